//! The service: looks after its pipelines, starts what is due, tells what happens, and stops gracefully.

mod drain;
mod reload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};

use super::agenda::{Decision, Start};
use super::board::{Board, LastRun};
use super::entry::{Begin, Entry, Going};
use super::event::{Event, Level};
use super::files::Files;
use super::listen::Listen;
use super::process::{Ending, Ran, Run, this_program};
use super::{Overlap, Schedule, between};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use drain::Signals;

/// A pipeline that has a schedule.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// What is in it, maybe secrets, too. It is run as it was when it was good.
    pub text: SecretString,
    /// When it runs.
    pub schedule: Schedule,
    /// The folder of the history, which has its slots.
    pub history: PathBuf,
}

/// What a pipeline file says: a pipeline, if it has a schedule, or mistakes, a line each.
pub type Loaded = Result<Option<Planned>, Vec<String>>;

/// Tells what a pipeline file with a text says.
pub(super) type Load = Box<dyn Fn(&Path, &str) -> Loaded + Send>;

/// How the service works.
pub struct Options {
    /// Files, and folders of them.
    pub pipelines: Vec<PathBuf>,
    /// What reads pipeline files.
    pub load: Load,
    /// Is told what happens.
    pub log: Box<dyn Fn(&Event) + Send>,
    /// So many runs may go on at the same time.
    pub parallel: usize,
    /// Runs may take so long to end once the service is told to stop.
    pub grace: Duration,
    /// The files are looked at so often, and the clock, which may be set; less than half a minute.
    pub poll: Duration,
    /// Where health and metrics are.
    pub listen: Option<Listen>,
}

/// A run that did not succeed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// The pipeline's name.
    pub pipeline: String,
    /// How it ended.
    pub ending: Ending,
}

/// Runs pipelines when their schedules say, until the process is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// There is nothing to do, ever: no file has a schedule; or the address for health and metrics cannot be had.
pub async fn serve(options: Options) -> Result<()> {
    let mut service = Service::new(options, Begin::Service)?;
    let mut signals = Signals::new()?;
    service.reload();
    if service.entries.is_empty() && !service.files.has_folder() {
        return Err(nothing_to_do(service.mistakes.len()));
    }
    service.begin = Begin::Appeared;
    service.publish();
    service.listen().await?;
    service.tell(&service.info("started").with("pipelines", service.entries.len()));
    while !service.step(&mut signals).await {
        service.reload();
        service.advance();
    }
    service.drain(&mut signals).await;
    Ok(())
}

/// Runs what is due now, and gives the runs that failed in the end.
///
/// # Errors
/// There are mistakes in pipeline files; the runs of the others are done.
pub async fn once(options: Options) -> Result<Vec<Failed>> {
    let mut service = Service::new(options, Begin::Once)?;
    let mut signals = Signals::new()?;
    service.reload();
    service.advance();
    let mut told = false;
    while !told && service.entries.values().any(|entry| !entry.agenda.is_idle()) {
        told = service.step(&mut signals).await;
    }
    if told {
        service.drain(&mut signals).await;
    }
    if service.failed.is_empty() && !service.mistakes.is_empty() {
        return Err(nothing_to_do(service.mistakes.len()));
    }
    Ok(service.failed)
}

fn nothing_to_do(mistakes: usize) -> Error {
    if mistakes > 0 {
        return Error::new(
            ErrorKind::Definition,
            format!("pipeline files with mistakes: {mistakes}"),
        )
        .hint("`kiln check FILE` says what is wrong");
    }
    Error::new(ErrorKind::Definition, "no pipeline has a schedule")
        .hint("give one a `[schedule]` with `cron = \"30 2 * * *\"`")
}

struct Service {
    options: Options,
    clock: Clock,
    program: PathBuf,
    files: Files,
    looked: Option<Timestamp>,
    begin: Begin,
    entries: BTreeMap<PathBuf, Entry>,
    mistakes: BTreeMap<PathBuf, Vec<String>>,
    board: Arc<Mutex<Board>>,
    end: mpsc::UnboundedSender<(PathBuf, Ran)>,
    ends: mpsc::UnboundedReceiver<(PathBuf, Ran)>,
    stopping: bool,
    failed: Vec<Failed>,
}

impl Service {
    fn new(options: Options, begin: Begin) -> Result<Self> {
        let unknown =
            || Error::new(ErrorKind::Input, "the system does not tell where this program is");
        let (end, ends) = mpsc::unbounded_channel();
        Ok(Self {
            clock: Clock::System,
            program: this_program().ok_or_else(unknown)?,
            files: Files::new(options.pipelines.clone()),
            looked: None,
            begin,
            entries: BTreeMap::new(),
            mistakes: BTreeMap::new(),
            board: Arc::default(),
            end,
            ends,
            stopping: false,
            failed: Vec::new(),
            options,
        })
    }

    async fn listen(&self) -> Result<()> {
        let Some(listen) = &self.options.listen else { return Ok(()) };
        let address = listen.serve(Arc::clone(&self.board), self.clock.clone()).await?;
        self.tell(&self.info("listening").with("address", address.to_string()));
        Ok(())
    }

    /// Starts what may start and waits for what comes next; whether the process was told to stop.
    async fn step(&mut self, signals: &mut Signals) -> bool {
        self.start_ready();
        self.publish();
        let (clock, pause) = (self.clock.clone(), self.pause());
        tokio::select! {
            Some((file, ran)) = self.ends.recv() => self.ended(&file, ran),
            () = clock.wait(pause) => {}
            () = signals.told() => return true,
        }
        false
    }

    /// How long there is nothing to do, if no run ends.
    fn pause(&self) -> Duration {
        /// A slot that cannot be settled at once must not keep a core busy.
        const SHORTEST: Duration = Duration::from_millis(10);
        let now = self.clock.now();
        let wakes = self
            .entries
            .values()
            .filter_map(|entry| entry.agenda.wake(&entry.planned.name, &entry.planned.schedule));
        wakes
            .map(|wake| between(now, wake))
            .min()
            .unwrap_or(Duration::MAX)
            .min(self.options.poll)
            .max(SHORTEST)
    }

    /// Decides about the slots that came due.
    fn advance(&mut self) {
        let now = self.clock.now();
        let mut events = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| !entry.gone) {
            let planned = &entry.planned;
            for decision in entry.agenda.advance(&planned.name, &planned.schedule, now) {
                events.extend(entry.decided(decision, now));
            }
        }
        for event in events {
            self.tell(&event);
        }
    }

    fn running(&self) -> usize {
        self.entries.values().filter(|entry| entry.run.is_some()).count()
    }

    /// Starts the runs that are ready, who waits longest first, as long as there is room.
    fn start_ready(&mut self) {
        while self.running() < self.options.parallel {
            let now = self.clock.now();
            let ready = self.entries.iter().filter(|(_, entry)| !entry.gone);
            let ready = ready.filter_map(|(file, entry)| Some((entry.agenda.ready(now)?, file)));
            let Some(file) = ready.min().map(|(_, file)| file.clone()) else { return };
            self.start(&file, now);
        }
    }

    fn start(&mut self, file: &Path, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(file) else { return };
        let Some(start) = entry.agenda.start() else { return };
        let taken = if start.take { entry.take(start.slot) } else { Ok(true) };
        match taken {
            Ok(true) => self.run(file, start, now),
            Ok(false) => {
                entry.agenda.ended(Ending::Exit(0), &entry.planned.schedule, now);
                let event = Event::new(now, Level::Info, "slot_taken_elsewhere")
                    .with("pipeline", entry.planned.name.as_str())
                    .at("slot", start.slot);
                self.tell(&event);
            }
            Err(error) => self.cannot_take(file, start, &error, now),
        }
    }

    /// Without a history a slot may be run twice: it waits until there is one.
    fn cannot_take(&mut self, file: &Path, start: Start, error: &Error, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(file) else { return };
        let schedule = &entry.planned.schedule;
        let pipeline = entry.planned.name.clone();
        if self.begin == Begin::Once {
            entry.agenda.ended(Ending::Exit(1), schedule, now);
            let ending = Ending::Exit(i32::from(error.kind().exit_code()));
            self.failed.push(Failed { pipeline: pipeline.clone(), ending });
        } else {
            entry.agenda.postpone(start, schedule, now);
        }
        let event = Event::new(now, Level::Error, "history_failed").with("pipeline", pipeline);
        self.tell(&event.at("slot", start.slot).with("message", error.to_string()));
    }

    fn run(&mut self, file: &Path, start: Start, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(file) else { return };
        let (stop, stopped) = watch::channel(None);
        entry.run = Some(Going { slot: start.slot, attempt: start.attempt, started: now, stop });
        let run = Run {
            program: self.program.clone(),
            file: file.to_owned(),
            text: entry.planned.text.clone(),
            slot: start.slot,
            timeout: entry.planned.schedule.timeout,
        };
        let event = Event::new(now, Level::Info, "run_started")
            .with("pipeline", entry.planned.name.as_str())
            .at("slot", start.slot)
            .with("attempt", start.attempt);
        self.tell(&event);
        let (end, file) = (self.end.clone(), file.to_owned());
        tokio::spawn(async move {
            let ran = run.perform(stopped).await;
            // Nobody listens any more only when the service ends.
            let _ = end.send((file, ran));
        });
    }

    fn ended(&mut self, file: &Path, ran: Ran) {
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(file) else { return };
        let Some(going) = entry.run.take() else { return };
        let name = entry.planned.name.clone();
        let last =
            LastRun { slot: going.slot, started: going.started, ended: now, ending: ran.ending };
        let level = if ran.ending == Ending::Exit(0) { Level::Info } else { Level::Error };
        let ended = Event::new(now, level, "run_ended")
            .with("pipeline", name.as_str())
            .at("slot", going.slot)
            .with("attempt", going.attempt)
            .with("outcome", ran.ending.name())
            .with("exit_code", ran.ending.exit_code())
            .with("seconds", (last.seconds() * 1000.0).round() / 1000.0)
            .with("said", Some(ran.said).filter(|said| level == Level::Error && !said.is_empty()));
        entry.record.ended(last);
        let retry = entry.agenda.ended(ran.ending, &entry.planned.schedule, now);
        let retry = retry.filter(|_| !self.stopping && !entry.gone).map(|(attempt, at)| {
            entry.record.retries += 1;
            Event::new(now, Level::Warning, "retry")
                .with("pipeline", name.as_str())
                .at("slot", going.slot)
                .with("attempt", attempt)
                .at("at", at)
        });
        if retry.is_none() && level == Level::Error {
            self.failed.push(Failed { pipeline: name, ending: ran.ending });
        }
        if entry.gone {
            self.entries.remove(file);
        }
        self.tell(&ended);
        if let Some(event) = retry {
            self.tell(&event);
        }
    }

    /// Shows what is known now to who asks for health and metrics.
    fn publish(&self) {
        let name = |path: &PathBuf| path.display().to_string();
        let records = self.entries.values().filter(|entry| !entry.gone);
        let board = Board {
            looked: Some(self.clock.now()),
            stopping: self.stopping,
            mistakes: self
                .mistakes
                .iter()
                .map(|(path, found)| (name(path), found.clone()))
                .collect(),
            records: records.map(|entry| (entry.planned.name.clone(), entry.shown())).collect(),
        };
        *self.board.lock().expect("nothing panics while it is held") = board;
    }

    fn info(&self, name: &'static str) -> Event {
        Event::new(self.clock.now(), Level::Info, name)
    }

    fn tell(&self, event: &Event) {
        (self.options.log)(event);
    }
}

impl Entry {
    /// Does what was decided, and gives what there is to tell.
    fn decided(&mut self, decision: Decision, now: Timestamp) -> Option<Event> {
        let (level, name, slot) = match decision {
            Decision::Due(slot) => (Level::Info, "slot_due", slot),
            Decision::Skip(slot) => {
                self.record.skipped += 1;
                if self.planned.schedule.overlap == Overlap::Skip && self.agenda.none_waits() {
                    // Or the next start of the service would catch up with it. If this fails, it does.
                    let _ = self.take(slot);
                }
                (Level::Warning, "slot_skipped", slot)
            }
            Decision::Missed(slot) => {
                self.record.missed += 1;
                (Level::Warning, "slot_missed", slot)
            }
            Decision::Stop => {
                let run = self.run.as_ref()?;
                run.stop.send_replace(Some(Ending::Replaced));
                return None;
            }
        };
        let event = Event::new(now, level, name).with("pipeline", self.planned.name.as_str());
        Some(event.at("slot", slot))
    }
}
