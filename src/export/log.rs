//! `log.ndjson`, version 2, beside the data: what happened, for people and for the tools that read such logs.

use serde_json::Value;

use crate::error::Result;

/// The log of one export, appended to by every start.
pub(super) struct Log {}

impl Log {
    /// Appends an event: `{exportId, timestamp, eventId, eventDetail}`. Urls in `detail` are redacted by the caller.
    pub(super) fn event(&self, event: &str, detail: Value) -> Result<()> {
        todo!()
    }
}
