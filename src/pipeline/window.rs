//! How far threads may run ahead of the slowest, and how they end when one of them fails.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Keeps threads from running far ahead of the slowest block, and takes the first error.
#[derive(Default)]
pub(super) struct Window {
    ahead: u64,
    state: Mutex<WindowState>,
    moved: Condvar,
}

#[derive(Default)]
struct WindowState {
    /// The lowest block not left.
    lowest: u64,
    /// Blocks left above it.
    left: BTreeSet<u64>,
    stopped: bool,
    failure: Option<Error>,
}

impl Window {
    /// Lets blocks be begun that are less than so many ahead of the lowest not done.
    pub(super) fn new(ahead: u64) -> Self {
        Self { ahead, ..Self::default() }
    }

    /// Waits until the block is near enough to the lowest; `false` if the work has been stopped. Never waits with the
    /// lowest block in hand, so somebody always goes on.
    pub(super) fn enter(&self, index: u64) -> bool {
        let mut state = lock(&self.state);
        while !state.stopped && index >= state.lowest + self.ahead {
            state = self.moved.wait(state).expect("no thread panicked while it held the lock");
        }
        !state.stopped
    }

    /// Says that a block is done.
    pub(super) fn leave(&self, index: u64) {
        let mut state = lock(&self.state);
        state.left.insert(index);
        let mut lowest = state.lowest;
        while state.left.remove(&lowest) {
            lowest += 1;
        }
        state.lowest = lowest;
        self.moved.notify_all();
    }

    /// Ends the work; the first error is kept.
    pub(super) fn stop(&self, error: Error) {
        let mut state = lock(&self.state);
        state.stopped = true;
        state.failure.get_or_insert(error);
        self.moved.notify_all();
    }

    fn abandon(&self) {
        // Poisoned or not: nothing is read from the state any more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.moved.notify_all();
    }

    /// The error that ended the work.
    pub(super) fn failure(&self) -> Result<()> {
        lock(&self.state).failure.take().map_or(Ok(()), Err)
    }
}

/// Lets the other threads end when one panics: they would wait for its block for ever.
pub(super) struct StopOnPanic<'w>(pub(super) &'w Window);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}

/// Takes a lock that no thread can have poisoned without ending the run.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panicked while it held the lock")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_lets_waiting_threads_end() {
        let window = Window::new(1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| window.enter(1));
            let panicking = scope.spawn(|| {
                let _stop = StopOnPanic(&window);
                panic!("a bug");
            });
            assert!(panicking.join().is_err());
            assert!(!waiting.join().unwrap(), "told to end");
        });
    }
}
