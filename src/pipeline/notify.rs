//! Tells others how a run ended: a webhook, or a command.

use std::path::Path;

use serde::Deserialize;

use super::report::RunReport;
use crate::error::Error;
use crate::settings::{Mistake, Secret};

/// `[[notify]]` as written. Extend as needed; keep the names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyTable {
    /// Of `success`, `failure`, `rejects` (committed, with rejects); `failure` by default.
    #[serde(default)]
    on: Vec<String>,
    /// Where a POST of JSON goes.
    webhook: Option<Secret>,
    /// A program and its arguments; gets the same JSON at its standard input.
    #[serde(default)]
    command: Vec<String>,
}

/// A notification, checked.
#[derive(Debug, Clone)]
pub struct Notification {}

impl NotifyTable {
    /// Checks it; relative paths begin at `folder`. Paths of mistakes are below the notification.
    pub(super) fn check(self, _folder: &Path) -> Result<Notification, Vec<Mistake>> {
        todo!()
    }
}

impl Notification {
    /// Tells how a run ended. Without PHI: name, pipeline, outcome, counts, durations, warnings' number. What fails is a
    /// warning, as text.
    pub async fn tell(
        &self,
        _pipeline: &str,
        _report: Option<&RunReport>,
        _failure: Option<&Error>,
    ) -> Option<String> {
        todo!()
    }
}
