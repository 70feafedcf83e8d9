//! A pipeline under the service's care: its agenda, its run, what the history knows of it.

use jiff::Timestamp;
use tokio::sync::watch;

use super::agenda::Agenda;
use super::board::Record;
use super::process::Ending;
use super::{CatchUp, Planned, earlier};
use crate::error::Result;
use crate::history::{History, RunLine};

/// A pipeline and what goes on with it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) planned: Planned,
    pub(super) agenda: Agenda,
    pub(super) record: Record,
    pub(super) run: Option<Going>,
    /// Its file is not there any more: it goes once its run has ended.
    pub(super) gone: bool,
}

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Going {
    pub(super) slot: Timestamp,
    pub(super) attempt: u32,
    pub(super) started: Timestamp,
    /// Says why it has to end.
    pub(super) stop: watch::Sender<Option<Ending>>,
}

/// What a pipeline does that comes under the service's care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// The service begins: runs that were broken off are resumed.
    Service,
    /// The file came while the service was there.
    Appeared,
    /// What is due now is run once, also if nothing is known of earlier slots.
    Once,
}

impl Entry {
    /// Begins where the history left off. If it cannot be read, the pipeline begins now, and the error says why.
    pub(super) fn open(mut planned: Planned, now: Timestamp, begin: Begin) -> (Self, Result<()>) {
        let schedule = &mut planned.schedule;
        if begin == Begin::Once && schedule.catch_up == CatchUp::None {
            schedule.catch_up = CatchUp::Once;
        }
        let known = Known::of(&planned);
        let (known, failed) = match known {
            Ok(known) => (known, Ok(())),
            Err(error) => (Known::default(), Err(error)),
        };
        let unknown = match begin {
            Begin::Once => earlier(now, planned.schedule.catch_up_within),
            Begin::Service | Begin::Appeared => now,
        };
        let mut agenda = Agenda::new(known.last_slot.unwrap_or(unknown));
        let resumes = begin != Begin::Appeared && planned.schedule.catch_up != CatchUp::None;
        let oldest = earlier(now, planned.schedule.catch_up_within);
        if resumes
            && known.last_slot.is_some_and(|slot| slot >= oldest && known.is_broken_off(slot))
        {
            agenda.resume(now);
        }
        let mut record = Record::default();
        record.last_success = known.last_success;
        (Self { planned, agenda, record, run: None, gone: false }, failed)
    }

    /// Takes a slot, unless another service has.
    pub(super) fn take(&self, slot: Timestamp) -> Result<bool> {
        History::open(&self.planned.history)?.take_slot(&self.planned.name, &slot.to_string())
    }

    /// The record as it is now.
    pub(super) fn shown(&self) -> Record {
        let mut record = self.record.clone();
        record.next = self.agenda.next_slot(&self.planned.schedule);
        record.waiting = self.agenda.waiting_since();
        record.running = self.run.as_ref().map(|run| run.started);
        record
    }
}

/// What the history knows.
#[derive(Debug, Default)]
struct Known {
    last_slot: Option<Timestamp>,
    last_run: Option<RunLine>,
    last_success: Option<Timestamp>,
}

impl Known {
    fn of(planned: &Planned) -> Result<Self> {
        /// The last success is looked for among so many runs.
        const RUNS: usize = 100;
        let Some(history) = History::find(&planned.history)? else { return Ok(Self::default()) };
        let instant = |text: Option<&String>| text.and_then(|text| text.parse().ok());
        let runs = history.runs(Some(&planned.name), RUNS)?;
        let succeeded = |run: &&RunLine| matches!(run.outcome.as_str(), "committed" | "unchanged");
        Ok(Self {
            last_slot: instant(history.last_slot(&planned.name)?.as_ref()),
            last_success: instant(runs.iter().find(succeeded).and_then(|run| run.ended.as_ref())),
            last_run: runs.into_iter().next(),
        })
    }

    /// Whether the run of the last slot has no end.
    fn is_broken_off(&self, slot: Timestamp) -> bool {
        self.last_run.as_ref().is_some_and(|run| {
            let began: Option<Timestamp> = run.started.parse().ok();
            run.ended.is_none() && began.is_some_and(|began| began >= slot)
        })
    }
}
