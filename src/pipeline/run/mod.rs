//! One execution of a pipeline, stage after stage, and the pass of `kiln flatten` that has no warehouse.

mod commit;
mod conclude;
mod execution;
mod rebuild;
mod stage;

use std::time::Instant;

use self::execution::Execution;
pub use self::rebuild::rebuild;
use super::definition::{MaxRejects, Pipeline};
use super::flow::{Flow, Outcome, on_threads};
use super::output::{TableOutput, finish_all};
use super::progress::Progress;
use super::rejects::RejectLog;
use super::report::RunReport;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir;
use crate::fhirpath::{Environment, Temporal};
use crate::ingest::Inputs;

/// What differs from run to run.
pub struct RunOptions<'o> {
    /// How many threads.
    pub threads: usize,
    /// Where the work stands.
    pub progress: &'o Progress,
    /// The run's name; made from the time if there is none.
    pub run: Option<String>,
    /// Whether everything is asked for, whatever is known.
    pub full: bool,
    /// The slot of the schedule that it is for.
    pub slot: Option<String>,
}

impl<'o> RunOptions<'o> {
    /// A run like any other.
    pub fn new(threads: usize, progress: &'o Progress) -> Self {
        Self { threads, progress, run: None, full: false, slot: None }
    }

    fn copy(&self) -> Self {
        Self { run: self.run.clone(), slot: self.slot.clone(), ..*self }
    }
}

/// A run that read its whole source.
#[derive(Debug)]
pub struct Done {
    /// The account, which is also in the warehouse.
    pub report: RunReport,
    /// Why nothing was committed, or what failed when the tables were: a load.
    pub refused: Option<Error>,
}

/// Runs a pipeline: the tables take in what its source has, in one commit each.
///
/// If more is rejected than the pipeline allows, or anything fails, no table changes. The queries are not looked at:
/// whoever will ask them checks them first ([`Pipeline::check_queries`]). How the run ended is in the history, and told to
/// whom the pipeline names.
pub async fn run(pipeline: &Pipeline, options: &RunOptions<'_>) -> Result<Done> {
    let execution = Execution::prepare(pipeline, options).await?;
    let done = execution.execute().await;
    let failure = done.as_ref().map_or_else(Some, |done| done.refused.as_ref());
    let report = done.as_ref().ok().map(|done| &done.report);
    let mut warnings = Vec::new();
    for notification in &pipeline.notifications {
        warnings.extend(notification.tell(&pipeline.name, report, failure).await);
    }
    let mut done = done?;
    if done.refused.is_none() {
        warnings.extend(pipeline.retention.apply(&execution.warehouse, &execution.history).await);
    }
    done.report.warnings.extend(warnings);
    Ok(done)
}

/// What views can see of a run that begins at `now`: references below these bases, and below those that the manifests
/// name, are to resources of the input.
pub fn environment(now: Temporal, inputs: &Inputs, bases: &[String]) -> Environment {
    Environment { now, bases: self::bases(inputs, bases), key_prefix: None }
}

/// The bases of the input: those given, and those that its manifests name.
pub(super) fn bases(inputs: &Inputs, given: &[String]) -> Vec<String> {
    let mut bases: Vec<_> =
        given.iter().map(String::as_str).chain(inputs.bases()).map(fhir::base).collect();
    bases.sort();
    bases.dedup();
    bases
}

/// This moment, as FHIRPath's `now()` and in microseconds since the epoch.
pub fn moment() -> (Temporal, i64) {
    let now = jiff::Timestamp::now();
    let text = format!("{now:.6}");
    (Temporal::date_time(&text).expect("a timestamp is a dateTime"), now.as_microsecond())
}

/// The name of a run that begins now.
pub fn new_run() -> String {
    run_name(&moment().0)
}

/// A name that sorts by time and that no other run has.
fn run_name(now: &Temporal) -> String {
    let compact: String =
        now.to_string().chars().take(23).filter(|c| !matches!(c, '-' | ':' | '.')).collect();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{compact}Z-{}", &unique[..8])
}

/// Whether no more was rejected than allowed.
pub fn check_rejects(outcome: &Outcome, max: MaxRejects) -> Result<()> {
    let (count, lines) = (outcome.rejects.count(), outcome.input.total.lines);
    let allowed = max.allowed(lines);
    if count <= allowed {
        return Ok(());
    }
    let plural = |n: u64, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    let message =
        format!("{} among {}, {allowed} allowed", plural(count, "reject"), plural(lines, "line"));
    let error = Error::new(ErrorKind::Rejects, message);
    Err(match outcome.rejects.first.first() {
        Some(first) => error.at(
            "first",
            format!(
                "{}:{} (byte {}): {}",
                first.file.display(),
                first.line,
                first.byte_offset,
                first.reason
            ),
        ),
        None => error,
    })
}

/// A pass without a warehouse: the outputs are in the order of the flow's views, and complete when this returns.
pub fn flatten(
    flow: &Flow<'_>,
    parts: impl Iterator<Item = Result<Inputs>> + Send,
    outputs: Vec<TableOutput>,
    max: MaxRejects,
) -> Result<Outcome> {
    on_threads(flow.threads, || {
        let mut outcome = flow.drive(parts, &outputs, RejectLog::new(None, ""))?;
        check_rejects(&outcome, max).map_err(|e| e.hint("`--max-rejects` allows more"))?;
        let encoding = Instant::now();
        finish_all(outputs)?;
        outcome.times.encode += encoding.elapsed();
        Ok(outcome)
    })?
}
