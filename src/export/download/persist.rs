//! Tries again what failed for a passing reason, at the pace of all.

use std::time::Duration;

use super::super::job::{Event, Observer};
use super::super::retry::Backoff;
use super::super::transport::Failure;
use super::pace::Pace;
use crate::clock::Clock;
use crate::error::Error;

/// Why a request brought nothing.
#[derive(Debug)]
pub(in super::super) enum Miss {
    /// Too much to do (429, 503): nothing is wrong with this request. With the wait that was asked for.
    Busy(Option<Duration>, Error),
    /// Worth another try, after the wait that was asked for.
    Passing(Option<Duration>, Error),
    /// No longer there.
    Gone(Error),
    /// It will not get better by itself.
    Lasting(Error),
    /// Nothing can be stored any more.
    Fatal(Error),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Passing(error) => Self::Passing(None, error),
            Failure::Lasting(error) => Self::Lasting(error),
        }
    }
}

/// How often one request may be told to wait before that counts as a failed attempt: storms pass, but a server that
/// answers nothing else is to be given up at some time. With waits that double, this is about an hour.
const PATIENCE: u32 = 20;

/// What all requests of a run share.
pub(in super::super) struct Persistence {
    pub(in super::super) pace: Pace,
    pub(in super::super) clock: Clock,
    /// In all.
    pub(in super::super) attempts: u32,
    /// The longest wait between two.
    pub(in super::super) longest: Duration,
    pub(in super::super) observer: Observer,
}

impl Persistence {
    /// Attempts it until it succeeds, or fails for good or too often.
    pub(in super::super) async fn run<T>(
        &self,
        mut attempt: impl AsyncFnMut() -> Result<T, Miss>,
    ) -> Result<T, Miss> {
        let mut backoff = Backoff::new(Duration::from_secs(1), self.longest);
        let (mut failed, mut refused) = (0, 0);
        loop {
            let turn = self.pace.turn().await;
            let (wait, error) = match attempt().await {
                Ok(done) => {
                    turn.succeeded();
                    return Ok(done);
                }
                Err(Miss::Busy(asked, error)) => {
                    refused += 1;
                    failed += u32::from(refused > PATIENCE);
                    (Pause::All(turn.slow_down(asked)), error)
                }
                Err(Miss::Passing(asked, error)) => {
                    drop(turn);
                    failed += 1;
                    (Pause::One(backoff.next(asked)), error)
                }
                Err(other) => return Err(other),
            };
            if failed >= self.attempts.max(1) {
                return Err(Miss::Lasting(error));
            }
            self.pause(wait, &error).await;
        }
    }

    async fn pause(&self, pause: Pause, why: &Error) {
        let (Pause::All(after) | Pause::One(after)) = pause;
        (self.observer)(&Event::Retrying { why: why.to_string(), after });
        if let Pause::One(wait) = pause {
            self.clock.wait(wait).await;
        }
    }
}

/// Who waits.
#[derive(Clone, Copy)]
enum Pause {
    /// All requests: the pace sees to it.
    All(Duration),
    /// This one.
    One(Duration),
}
