//! One execution of a pipeline, stage after stage, and the pass of `kiln flatten` that has no warehouse.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::definition::{MaxRejects, Pipeline};
use super::feed::Feed;
use super::flow::{Flow, Outcome, RowsOf, on_threads};
use super::output::{TableOutput, finish_all};
use super::progress::Progress;
use super::rejects::{REJECTS_TABLE, RejectLog, SCHEMA};
use super::report::{Account, RunReport, Stage};
use super::table_schema;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir;
use crate::fhirpath::{Environment, Temporal};
use crate::ingest::Inputs;
use crate::warehouse::{
    Change, CommitInfo, Committed, ParquetOptions, PartFile, Staging, TableWriter, Warehouse,
};

/// What differs from run to run.
pub struct RunOptions<'o> {
    /// How many threads.
    pub threads: usize,
    /// Where the work stands.
    pub progress: &'o Progress,
    /// The run's name; made from the time if there is none.
    pub run: Option<String>,
}

/// A run that read its whole source.
#[derive(Debug)]
pub struct Done {
    /// The account, which is also in the warehouse.
    pub report: RunReport,
    /// Why nothing was committed, if nothing was.
    pub refused: Option<Error>,
}

/// Runs a pipeline: every table gets the resources of the source as its whole content, in one commit each.
///
/// If more is rejected than the pipeline allows, or anything fails, no table changes. The queries are not looked at:
/// whoever will ask them checks them first ([`Pipeline::check_queries`]).
pub async fn run(pipeline: &Pipeline, options: &RunOptions<'_>) -> Result<Done> {
    let started = Instant::now();
    let (now, micros) = moment();
    let run = options.run.clone().unwrap_or_else(|| run_name(&now));
    let mut feed = Feed::open(&pipeline.source, &pipeline.bases, options.progress)?;
    // An export may take days before its first file; the warehouse stays free for others until then.
    feed.wait()?;
    let waited = started.elapsed();
    let staging = Warehouse::create_or_open(&pipeline.warehouse)?.begin(&run)?;
    let environment = Environment {
        now,
        bases: feed.bases.clone(),
        key_prefix: pipeline.source_name.as_deref().map(Into::into),
    };
    let passed = on_threads(options.threads, || {
        stage(pipeline, options, &staging, &mut feed, &run, environment)
    })??;

    let mut report = passed.report(pipeline, options, &run, &now);
    let refused = check_worth(&passed.outcome, pipeline.max_rejects).err();
    if let Some(error) = &refused {
        report.outcome = format!("{}; nothing was committed", error.message());
    } else {
        let committing = Instant::now();
        let info = CommitInfo {
            pipeline: pipeline.name.clone(),
            source: pipeline.source_name.clone(),
            transaction: micros,
        };
        commit(pipeline, &staging, &passed, &info, &mut report).await?;
        report.stages.push(Stage::timed("commit", committing.elapsed()));
        "committed".clone_into(&mut report.outcome);
    }
    // Rejects may come from a mistake in a view: the export is worth another run. One without resources is not.
    let refused = match (refused, feed.folder()) {
        (Some(error), Some(kept)) if error.kind() == ErrorKind::Rejects => {
            let kept =
                format!("{} (read again by the next run; remove it for another)", kept.display());
            Some(error.at("export", kept))
        }
        (refused, _) => {
            report.export = feed.done(&run).await?;
            refused
        }
    };
    if let Some(export) = &report.export {
        report.stages.insert(0, Stage::timed("wait for the export", waited));
        report.warnings.extend_from_slice(&export.warnings);
    }
    report.seconds = started.elapsed().as_secs_f64();
    let saved = save(&pipeline.warehouse, &report)?;
    Ok(Done { report, refused: refused.map(|e| e.at("report", saved.display())) })
}

/// Whether what was read may replace the tables: not if it holds nothing, and not if too much of it was rejected.
fn check_worth(outcome: &Outcome, max: MaxRejects) -> Result<()> {
    check_rejects(outcome, max).map_err(|e| {
        e.hint("nothing was committed; the limit is `max` under `[rejects]` of the pipeline")
    })?;
    if outcome.input.total.total_resources() > 0 {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Input, "the source holds no resource");
    Err(error.hint("nothing was committed: an empty source never replaces tables"))
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
        now.to_string().chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{compact}Z-{}", &unique[..8])
}

/// A pass through the input, encoded and staged, not yet visible.
struct Staged {
    outcome: Outcome,
    /// Part files by view.
    parts: Vec<Vec<PartFile>>,
    rejects: Vec<PartFile>,
}

fn stage(
    pipeline: &Pipeline,
    options: &RunOptions<'_>,
    staging: &Staging,
    feed: &mut Feed,
    run: &str,
    environment: Environment,
) -> Result<Staged> {
    let parquet = ParquetOptions::default();
    let mut outputs = Vec::with_capacity(pipeline.views.len());
    for view in &pipeline.views {
        outputs.push(TableOutput::Parquet(staging.writer(
            &view.name,
            table_schema(view),
            &parquet,
        )?));
    }
    let log = RejectLog::new(Some(staging.writer(REJECTS_TABLE, SCHEMA.clone(), &parquet)?), run);
    let flow = Flow {
        views: &pipeline.views,
        origin: Some(RowsOf { run, source: pipeline.source_name.as_deref() }),
        environment,
        input: &pipeline.input,
        threads: options.threads,
        progress: options.progress,
    };
    let mut outcome = flow.drive(std::iter::from_fn(|| feed.next()), &outputs, log)?;
    let encoding = Instant::now();
    let parts = finish_all(outputs)?;
    let rejects =
        outcome.rejects.finish()?.map(TableWriter::finish).transpose()?.unwrap_or_default();
    outcome.times.encode += encoding.elapsed();
    Ok(Staged { outcome, parts, rejects })
}

impl Staged {
    fn report(
        &self,
        pipeline: &Pipeline,
        options: &RunOptions<'_>,
        run: &str,
        now: &Temporal,
    ) -> RunReport {
        let mut account = Account::of(&self.outcome, &pipeline.views);
        for (table, parts) in account.tables.iter_mut().zip(&self.parts) {
            table.bytes = parts.iter().map(|p| p.bytes).sum();
        }
        RunReport {
            run: run.to_owned(),
            pipeline: pipeline.name.clone(),
            started: now.to_string(),
            outcome: String::new(),
            seconds: 0.0,
            threads: options.threads,
            input_bytes: account.input_bytes,
            text_bytes: account.text_bytes,
            total: account.total,
            files: account.files,
            tables: account.tables,
            rejects: self.outcome.rejects.by_reason.clone(),
            export: None,
            stages: account.stages,
            warnings: account.warnings,
        }
    }
}

async fn commit(
    pipeline: &Pipeline,
    staging: &Staging,
    staged: &Staged,
    info: &CommitInfo,
    report: &mut RunReport,
) -> Result<()> {
    for (i, view) in pipeline.views.iter().enumerate() {
        let done = staging
            .commit(&view.name, &table_schema(view), &staged.parts[i], Change::Replace, info)
            .await?;
        report.tables[i].version = Some(done.version);
        settle(&view.name, done, report)?;
    }
    let done =
        staging.commit(REJECTS_TABLE, &SCHEMA, &staged.rejects, Change::Replace, info).await?;
    settle(REJECTS_TABLE, done, report)
}

/// A transaction is numbered by the clock. Where the table has a later one, the clock went back, and the table was
/// not changed.
fn settle(table: &str, done: Committed, report: &mut RunReport) -> Result<()> {
    report.warnings.extend(done.warning.map(|w| w.to_string()));
    if !done.already {
        return Ok(());
    }
    let message = format!("`{table}` was last changed by a run that began later than this one");
    Err(Error::new(ErrorKind::Warehouse, message).hint("set the clock right and run again"))
}

fn save(warehouse: &Path, report: &RunReport) -> Result<PathBuf> {
    let json = serde_json::to_vec_pretty(report).expect("a report is plain data");
    Warehouse::create_or_open(warehouse)?.write_report(&report.run, &json)
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
