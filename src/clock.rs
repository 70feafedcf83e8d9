//! Time: the system's, or one that tests can pass as fast as they like.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Tells the time and waits.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's time.
    #[default]
    System,
    /// Time that passes only by waiting, at once.
    Simulated(Arc<Simulated>),
}

/// A time of its own.
#[derive(Debug)]
pub struct Simulated {
    now: Mutex<Timestamp>,
    waits: Mutex<Vec<Duration>>,
}

impl Simulated {
    /// A time that begins at `start`.
    pub fn starting(start: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(start), waits: Mutex::default() })
    }

    /// What was waited for so far, in the order in which it began.
    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().expect("nothing panics while it is held").clone()
    }

    fn pass(&self, wait: Duration) {
        self.waits.lock().expect("nothing panics while it is held").push(wait);
        let mut now = self.now.lock().expect("nothing panics while it is held");
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        *now = now.checked_add(wait).unwrap_or(Timestamp::MAX);
    }
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Simulated(time) => *time.now.lock().expect("nothing panics while it is held"),
        }
    }

    /// Waits; others may work meanwhile.
    pub async fn wait(&self, wait: Duration) {
        match self {
            Self::System => tokio::time::sleep(wait).await,
            Self::Simulated(time) => {
                time.pass(wait);
                tokio::task::yield_now().await;
            }
        }
    }
}
