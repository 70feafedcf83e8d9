//! Where the work stands: a bar with bytes, rows and rate on a terminal, a plain line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report;
use crate::pipeline::Progress;

/// How often the bar moves.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a plain line is written.
const PLAIN: Duration = Duration::from_secs(30);

/// Shows the progress of one command.
pub(super) struct Watch {
    bar: ProgressBar,
    name: String,
    started: Instant,
    /// The plain line written last.
    told: Mutex<String>,
}

impl Watch {
    /// Begins to show.
    pub(super) fn start(name: &str) -> Self {
        let bar = ProgressBar::new(0);
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {prefix} rows {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        Self { bar, name: name.to_owned(), started: Instant::now(), told: Mutex::default() }
    }

    /// Runs `work` while a thread shows its progress.
    pub(super) fn over<T>(self, progress: &Progress, work: impl FnOnce() -> T) -> T {
        let done = thread::scope(|scope| {
            let (alive, ended) = channel();
            let shown = &self;
            scope.spawn(move || shown.follow(progress, &ended));
            let done = work();
            drop(alive);
            done
        });
        self.bar.finish_and_clear();
        done
    }

    fn follow(&self, progress: &Progress, ended: &Receiver<()>) {
        let terminal = io::stderr().is_terminal();
        let pause = if terminal { REDRAW } else { PLAIN };
        while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            self.show(progress, terminal);
        }
    }

    fn show(&self, progress: &Progress, terminal: bool) {
        if let Some(standing) = progress.standing() {
            let rows = progress.rows.load(Ordering::Relaxed);
            let rows = if rows > 0 { format!("; {rows} rows") } else { String::new() };
            return self.show_export(&format!("{standing}{rows}"), terminal);
        }
        let total = progress.total_bytes.load(Ordering::Relaxed);
        let (bytes, rows) =
            (progress.bytes.load(Ordering::Relaxed), progress.rows.load(Ordering::Relaxed));
        if terminal {
            self.bar.set_length(total);
            self.bar.set_position(bytes);
            self.bar.set_prefix(rows.to_string());
        } else {
            let rate = bytes as f64 / 1e6 / self.started.elapsed().as_secs_f64();
            let done = (bytes * 100).checked_div(total).unwrap_or(0);
            let name = &self.name;
            report::plain(&format!(
                "{name}: {done} % of {} MB, {rows} rows, {rate:.0} MB/s",
                total / 1_000_000
            ));
        }
    }
    /// Where an export stands; elsewhere than on a terminal only what is news.
    fn show_export(&self, standing: &str, terminal: bool) {
        let text = format!("{}: {standing}", self.name);
        if terminal {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {prefix}") {
                self.bar.set_style(style);
            }
            self.bar.set_message(text);
            return self.bar.tick();
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != text {
            report::plain(&text);
            *told = text;
        }
    }
}
