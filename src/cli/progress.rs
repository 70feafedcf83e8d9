//! Where the work stands: a bar with bytes, rows and rate on a terminal, a plain line now and then elsewhere.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Scope;
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
        Self { bar, name: name.to_owned(), started: Instant::now() }
    }

    /// Shows, on a thread of the scope, until what it gives is dropped.
    pub(super) fn scope<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        progress: &'s Progress,
    ) -> Sender<()> {
        let (alive, ended) = channel();
        scope.spawn(move || self.follow(progress, &ended));
        alive
    }

    fn follow(&self, progress: &Progress, ended: &Receiver<()>) {
        let terminal = io::stderr().is_terminal();
        let pause = if terminal { REDRAW } else { PLAIN };
        while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            self.show(progress, terminal);
        }
    }

    fn show(&self, progress: &Progress, terminal: bool) {
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

    /// Takes the bar away.
    pub(super) fn stop(&self) {
        self.bar.finish_and_clear();
    }
}

/// Runs `work` while its progress is shown.
pub(super) async fn while_watched<T>(
    watch: &Watch,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> T {
    let terminal = io::stderr().is_terminal();
    let mut ticks = tokio::time::interval(if terminal { REDRAW } else { PLAIN });
    ticks.tick().await;
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => watch.show(progress, terminal),
        }
    }
}
