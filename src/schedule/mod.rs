//! When pipelines run: cron with time zones, jitter, catching up, retries; and the service that starts them.

use serde::Deserialize;

use crate::settings::{Mistake, Span};

/// `[schedule]` of a pipeline as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleTable {
    /// A cron expression: five fields, or six with seconds.
    pub cron: String,
    /// An IANA time zone; UTC by default.
    pub timezone: Option<String>,
    /// The run begins up to so much later, by pipeline and slot always the same.
    pub jitter: Option<Span>,
    /// `skip` (default), `queue` or `replace`: what happens to a slot while the run of an earlier one goes on.
    pub overlap: Option<String>,
    /// `once` (default), `all` or `none`: what happens to slots that were missed.
    pub catch_up: Option<String>,
    /// How far back missed slots count.
    pub catch_up_within: Option<Span>,
    /// How often a run that failed for a passing reason (exit codes 6, 9) is tried again.
    pub retries: Option<u32>,
    /// The wait before the first retry; it doubles.
    pub backoff: Option<Span>,
    /// A run that takes longer is stopped, and tried again.
    pub timeout: Option<Span>,
}

/// A schedule, checked.
#[derive(Debug, Clone)]
pub struct Schedule {}

impl ScheduleTable {
    /// Checks it. Paths of mistakes are below `schedule`.
    pub fn check(&self) -> Result<Schedule, Vec<Mistake>> {
        todo!()
    }
}

impl std::fmt::Display for Schedule {
    /// For `kiln check`: the rule in words, and the next slots.
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
