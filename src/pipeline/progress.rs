//! Where the work stands: counted by those who do it, read by whoever shows it.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::export::{Observer, Standing};

/// Where the work stands.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the input as stored, as far as it is known.
    pub total_bytes: AtomicU64,
    /// Of them, done.
    pub bytes: AtomicU64,
    /// Rows made.
    pub rows: AtomicU64,
    export: Arc<Mutex<Option<Standing>>>,
}

impl Progress {
    /// Takes in the events of an export.
    pub fn observer(&self) -> Observer {
        let export = self.export.clone();
        Arc::new(move |event| {
            lock(&export).get_or_insert_default().update(event, Timestamp::now());
        })
    }

    /// Where the export stands, if there is one.
    pub fn standing(&self) -> Option<String> {
        lock(&self.export).as_ref().map(Standing::to_string)
    }
}

/// What a thread that panicked left is still good to show.
fn lock(export: &Mutex<Option<Standing>>) -> MutexGuard<'_, Option<Standing>> {
    export.lock().unwrap_or_else(PoisonError::into_inner)
}
