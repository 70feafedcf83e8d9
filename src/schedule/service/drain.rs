//! The graceful stop: no run begins, those that go on may end in time, and then are told to.

use jiff::Timestamp;

use super::Service;
use crate::error::{Error, ErrorKind, Result};
use crate::schedule::process::Ending;
use crate::schedule::{between, later};

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on they do not end the process.
    #[cfg(unix)]
    pub(super) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind).map_err(|e| {
                Error::new(ErrorKind::Output, format!("signals cannot be listened for: {e}"))
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one.
    #[cfg(unix)]
    pub(super) async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Ctrl-C is listened for when it is waited for.
    #[cfg(not(unix))]
    pub(super) fn new() -> Result<Self> {
        Ok(Self {})
    }

    /// Waits for Ctrl-C.
    #[cfg(not(unix))]
    pub(super) async fn told(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Service {
    /// Lets the runs end that go on. When their time is over, or the process is told to stop again, they are stopped;
    /// the next start of the service takes them up.
    pub(super) async fn drain(&mut self, signals: &mut Signals) {
        self.stopping = true;
        self.tell(self.info("stopping").with("running", self.running()));
        let clock = self.clock.clone();
        let mut until = later(clock.now(), self.options.grace);
        while self.running() > 0 {
            self.publish();
            let left = between(clock.now(), until);
            if left.is_zero() {
                self.stop_runs();
            }
            // Runs that were told to end are killed soon; there is nothing else to wait for.
            let wait = if left.is_zero() { self.options.poll } else { left.min(self.options.poll) };
            tokio::select! {
                Some((file, ran)) = self.ends.recv() => self.ended(&file, ran),
                () = clock.wait(wait) => {}
                () = signals.told() => until = Timestamp::MIN,
            }
        }
        self.tell(self.info("stopped"));
    }

    fn stop_runs(&self) {
        for run in self.entries.values().filter_map(|entry| entry.run.as_ref()) {
            run.stop.send_replace(Some(Ending::Stopped));
        }
    }
}
