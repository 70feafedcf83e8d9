//! The pace of all downloads together: how many at once, and since when nobody may ask.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::super::retry::Backoff;
use crate::clock::Clock;

/// Shared by all requests of a run. One that is told to slow down (429, 503) holds up all of them and halves how many
/// run at once; each that succeeds raises it a little, until it is back at what the settings allow (F7).
pub(in super::super) struct Pace {
    clock: Clock,
    state: Mutex<State>,
    /// A turn ended.
    ended: Notify,
}

struct State {
    backoff: Backoff,
    /// Nothing is asked before.
    resume: Timestamp,
    running: usize,
    /// At once, now and at most. The fraction adds up to another one.
    width: f64,
    widest: f64,
    /// How often all were slowed down. Refusals of requests sent before the last time mean that time.
    slowed: u64,
}

/// Leave to send one request. Whoever holds it is counted as running.
pub(in super::super) struct Turn<'p> {
    pace: &'p Pace,
    slowed: u64,
}

enum Now {
    Go(u64),
    Wait(Duration),
    Full,
}

impl Pace {
    /// At most `widest` at once, with waits up to `longest`.
    pub(in super::super) fn new(clock: Clock, widest: usize, longest: Duration) -> Self {
        let widest = widest.max(1) as f64;
        let state = State {
            backoff: Backoff::new(Duration::from_secs(1), longest),
            resume: Timestamp::MIN,
            running: 0,
            width: widest,
            widest,
            slowed: 0,
        };
        Self { clock, state: Mutex::new(state), ended: Notify::new() }
    }

    /// Waits for leave to send a request.
    pub(in super::super) async fn turn(&self) -> Turn<'_> {
        loop {
            let ended = self.ended.notified();
            let now = self.state().next(self.clock.now());
            match now {
                Now::Go(slowed) => return Turn { pace: self, slowed },
                Now::Wait(wait) => self.clock.wait(wait).await,
                Now::Full => ended.await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }
}

impl State {
    fn next(&mut self, now: Timestamp) -> Now {
        match Duration::try_from(self.resume.duration_since(now)) {
            Ok(wait) if !wait.is_zero() => Now::Wait(wait),
            _ if self.running >= self.width as usize => Now::Full,
            _ => {
                self.running += 1;
                Now::Go(self.slowed)
            }
        }
    }
}

impl Turn<'_> {
    /// The server gave what was asked for.
    pub(in super::super) fn succeeded(self) {
        let mut state = self.pace.state();
        state.backoff.reset();
        state.width = (state.width + 1.0 / state.width).min(state.widest);
    }

    /// The server has too much to do: all wait as long as it `asked` for, within limits, or as the back-off says.
    /// Returns how long.
    pub(in super::super) fn slow_down(self, asked: Option<Duration>) -> Duration {
        let mut state = self.pace.state();
        let first = self.slowed == state.slowed;
        if first {
            state.slowed += 1;
            state.width = (state.width / 2.0).max(1.0);
        }
        let now = self.pace.clock.now();
        if first || asked.is_some() {
            let wait = SignedDuration::try_from(state.backoff.next(asked)).unwrap_or_default();
            state.resume = state.resume.max(now.checked_add(wait).unwrap_or(Timestamp::MAX));
        }
        Duration::try_from(state.resume.duration_since(now)).unwrap_or_default()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.state().running -= 1;
        self.pace.ended.notify_waiters();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Simulated;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn refused_together_is_slowed_down_once() {
        let time = Simulated::starting(Timestamp::UNIX_EPOCH);
        let pace = Pace::new(Clock::Simulated(time.clone()), 8, 60 * SECOND);
        let mut turns = Vec::new();
        for _ in 0..8 {
            turns.push(pace.turn().await);
        }
        assert!(matches!(pace.state().next(Timestamp::UNIX_EPOCH), Now::Full));
        for (turn, asked) in turns.into_iter().zip([Some(7 * SECOND), None, Some(SECOND), None]) {
            turn.slow_down(asked);
        }
        assert_eq!(pace.state().width as usize, 4);
        let turn = pace.turn().await;
        assert_eq!(time.waits(), [7 * SECOND]);
        turn.succeeded();
        for _ in 0..200 {
            pace.turn().await.succeeded();
        }
        assert_eq!(pace.state().width as usize, 8, "and back again");
    }

    /// F6: what servers ask for is cut, and one at a time is the least.
    #[tokio::test]
    async fn waits_end_and_somebody_always_runs() {
        let time = Simulated::starting(Timestamp::UNIX_EPOCH);
        let pace = Pace::new(Clock::Simulated(time.clone()), 8, 60 * SECOND);
        for _ in 0..10 {
            pace.turn().await.slow_down(Some(1_795_409_189 * SECOND));
        }
        drop(pace.turn().await);
        assert_eq!(time.waits(), [60 * SECOND; 10]);
        assert_eq!(pace.state().width as usize, 1);
    }
}
