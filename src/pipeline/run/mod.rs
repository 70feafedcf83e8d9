//! One execution of a pipeline, stage after stage, and the pass of `kiln flatten` that has no warehouse.

mod commit;
mod rebuild;
mod stage;

use std::time::{Duration, Instant};

use serde_json::Value;

use self::commit::Commit;
pub use self::rebuild::rebuild;
use self::stage::{Stage, Staged};
use super::definition::{MaxRejects, Pipeline};
use super::exports::Attempt;
use super::feed::{Brought, Feed};
use super::flow::{Flow, Outcome, on_threads};
use super::output::{TableOutput, finish_all};
use super::progress::Progress;
use super::rejects::RejectLog;
use super::report::{Account, MembersReport, RunReport, Stage as Timed};
use super::source::Source;
use super::synchronise::{Kind, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::fhir;
use crate::fhirpath::{Environment, Temporal};
use crate::history::{History, RunBegun, RunEnded, Synchronised};
use crate::ingest::Inputs;
use crate::warehouse::{CommitInfo, Staging, Warehouse};

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

/// One run.
struct Execution<'e> {
    pipeline: &'e Pipeline,
    options: &'e RunOptions<'e>,
    started: Instant,
    now: Temporal,
    micros: i64,
    run: String,
    warehouse: Warehouse,
    history: History,
    plan: Plan,
    changes: Vec<super::report::SchemaChange>,
}

impl<'e> Execution<'e> {
    /// Everything that can be refused before anything is asked.
    async fn prepare(pipeline: &'e Pipeline, options: &'e RunOptions<'e>) -> Result<Self> {
        let started = Instant::now();
        let (now, micros) = moment();
        let run = options.run.clone().unwrap_or_else(|| run_name(&now));
        let warehouse = Warehouse::create_or_open(&pipeline.warehouse)?;
        commit::check_owner(pipeline, &warehouse).await?;
        let history = History::open(&warehouse.own_folder())?;
        let plan = Plan::of(pipeline, &warehouse, &history, options.full).await?;
        let changes = commit::check_columns(pipeline, &warehouse, plan.kind).await?;
        Ok(Self { pipeline, options, started, now, micros, run, warehouse, history, plan, changes })
    }

    /// A run over what an earlier one exported.
    fn again(pipeline: &'e Pipeline, options: &'e RunOptions<'e>, plan: Plan) -> Result<Self> {
        let (now, micros) = moment();
        let warehouse = Warehouse::create_or_open(&pipeline.warehouse)?;
        let history = History::open(&warehouse.own_folder())?;
        let (started, run, changes) = (Instant::now(), run_name(&now), Vec::new());
        Ok(Self { pipeline, options, started, now, micros, run, warehouse, history, plan, changes })
    }

    /// Does it. The tables are as current as the others then, also such as are new.
    async fn replay(&self, feed: Feed) -> Result<Done> {
        let staging = self.warehouse.begin(&self.run)?;
        self.begin()?;
        let done = self.go_on(feed, Some(staging)).await?;
        let Some(mut known) = self.history.synchronised(&self.pipeline.name)? else {
            return Ok(done);
        };
        let new = |name: &&String| !known.tables.contains(name);
        let names: Vec<_> =
            self.pipeline.views.iter().map(|view| &view.name).filter(new).cloned().collect();
        known.tables.extend(names);
        let ended = self.ended(&done.report.outcome, None, Some(json(&done.report)));
        self.history.end(&RunEnded { synchronised: Some(known), ..ended })?;
        Ok(done)
    }

    /// Does it, and notes how it ended.
    async fn execute(&self) -> Result<Done> {
        if let Some(abandoned) = &self.plan.abandoned {
            super::exports::abandon(&self.pipeline.source, abandoned).await?;
        }
        let members = self.history.members(&self.pipeline.name)?;
        let members = members.map(|ids| ids.into_iter().collect());
        let feed = Feed::open(self.pipeline, &self.plan, members, self.options.progress)?;
        // Who has the export, or the warehouse, is the only run of the pipeline that is alive.
        let done = match self.pipeline.source {
            Source::Export(_) => {
                self.begin()?;
                self.go_on(feed, None).await
            }
            _ => {
                let staging = self.warehouse.begin(&self.run)?;
                self.begin()?;
                self.go_on(feed, Some(staging)).await
            }
        };
        if let Err(error) = &done {
            let ended = self.ended("failed", Some(error.to_string()), None);
            // What fails now hides nothing of what failed before.
            let _ = self.history.end(&ended);
        }
        done
    }

    fn begin(&self) -> Result<()> {
        self.history.begin(&RunBegun {
            run: self.run.clone(),
            pipeline: self.pipeline.name.clone(),
            started: self.now.to_string(),
            kind: self.plan.kind.name().to_owned(),
            slot: self.options.slot.clone(),
        })
    }

    fn ended(&self, outcome: &str, message: Option<String>, report: Option<Value>) -> RunEnded {
        RunEnded {
            run: self.run.clone(),
            ended: moment().0.to_string(),
            outcome: outcome.to_owned(),
            message,
            report,
            synchronised: None,
            members: None,
        }
    }

    async fn go_on(&self, mut feed: Feed, staging: Option<Staging>) -> Result<Done> {
        let waiting = Instant::now();
        // An export may take days before its first file; the warehouse stays free for others until then.
        feed.wait()?;
        let waited = waiting.elapsed();
        let staging = match staging {
            Some(staging) => staging,
            None => self.warehouse.begin(&self.run)?,
        };
        let work = Stage {
            pipeline: self.pipeline,
            options: self.options,
            staging: &staging,
            run: &self.run,
            now: self.now.clone(),
            kind: self.plan.kind,
        };
        let staged = on_threads(self.options.threads, || work.stage(&mut feed))??;
        let mut report = self.report(&staged, &feed);
        if let Err(refused) = self.check_worth(&staged) {
            return self.refuse(refused, report, feed, waited).await;
        }
        let info = self.info(&feed)?;
        self.commit(&staging, &staged, &feed, &info, &mut report).await?;
        self.conclude(report, feed, &info, waited).await
    }

    /// Whether what was read may change the tables: not if too much of it was rejected, and, where it would be all that
    /// the tables hold, not if it holds nothing.
    fn check_worth(&self, staged: &Staged) -> Result<()> {
        check_rejects(&staged.outcome, self.pipeline.max_rejects).map_err(|e| {
            e.hint("nothing was committed; the limit is `max` under `[rejects]` of the pipeline")
        })?;
        if self.plan.kind == Kind::Increment || staged.outcome.input.total.total_resources() > 0 {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Input, "the source holds no resource");
        Err(error.hint("nothing was committed: an empty source never replaces tables"))
    }

    /// Nothing is committed. Rejects may come from a mistake in a view: then the export is worth another run.
    async fn refuse(
        &self,
        refused: Error,
        mut report: RunReport,
        feed: Feed,
        waited: Duration,
    ) -> Result<Done> {
        report.outcome = format!("{}; nothing was committed", refused.message());
        let refused = match feed.folder() {
            Some(kept) if refused.kind() == ErrorKind::Rejects => {
                let kept = kept.display();
                let kept = format!("{kept} (read again by the next run; remove it for another)");
                refused.at("export", kept)
            }
            _ => {
                report.export = feed.done(&self.run).await?;
                refused
            }
        };
        self.time(&mut report, waited);
        let ended = self.ended("rejected", Some(refused.to_string()), Some(json(&report)));
        self.history.end(&ended)?;
        let saved = self.warehouse.write_report(&self.run, &pretty(&report))?;
        Ok(Done { report, refused: Some(refused.at("report", saved.display())) })
    }

    /// Who commits. An attempt at the same work that was broken off is taken up, with its transaction.
    fn info(&self, feed: &Feed) -> Result<CommitInfo> {
        let mut info = CommitInfo {
            pipeline: self.pipeline.name.clone(),
            source: self.pipeline.source_name.clone(),
            transaction: self.micros,
        };
        if let Some(export) = feed.folder() {
            let work = commit::work(self.pipeline, self.plan.kind);
            let attempt = Attempt { run: self.run.clone(), transaction: info.transaction, work };
            info.transaction = attempt.take_up(export)?.transaction;
        }
        Ok(info)
    }

    async fn commit(
        &self,
        staging: &Staging,
        staged: &Staged,
        feed: &Feed,
        info: &CommitInfo,
        report: &mut RunReport,
    ) -> Result<()> {
        let committing = Instant::now();
        let departed = match &self.pipeline.source {
            Source::Export(source)
                if source.increments.as_ref().is_some_and(|i| i.remove_departed) =>
            {
                feed.members().map(|members| &members.departed)
            }
            _ => None,
        };
        let commit = Commit {
            pipeline: self.pipeline,
            kind: self.plan.kind,
            warehouse: &self.warehouse,
            staging,
            info,
            // Of an export it is known what was committed already.
            taken_up: info.transaction != self.micros,
            departed,
        };
        let changed = commit.all(staged, report).await?;
        report.stages.push(Timed::timed("commit", committing.elapsed()));
        report.outcome = if changed { "committed" } else { "unchanged" }.to_owned();
        if changed && !self.pipeline.models.is_empty() {
            let making = Instant::now();
            report.models = super::model::make(self.pipeline, staging, &self.run, info).await?;
            report.stages.push(Timed::timed("models", making.elapsed()));
        }
        Ok(())
    }

    /// What is left when the tables are committed.
    async fn conclude(
        &self,
        mut report: RunReport,
        feed: Feed,
        info: &CommitInfo,
        waited: Duration,
    ) -> Result<Done> {
        let brought = feed.brought();
        let synchronised = brought.as_ref().and_then(|brought| self.synchronised(brought, info));
        if synchronised.is_none()
            && let Some(errors) = brought.map(|brought| brought.errors).filter(|n| *n > 0)
        {
            report.warnings.push(format!(
                "the server reported {errors} errors: the next run asks for the same changes again"
            ));
        }
        // What the tables hold does not depend on who else has it: the next run loads what is missing.
        let failed = self.load(&mut report).await.err();
        report.synchronised_until = synchronised.as_ref().map(|known| known.since.clone());
        let members = feed.members().map(|members| members.now.iter().cloned().collect());
        self.time(&mut report, waited);
        let ended = RunEnded {
            synchronised,
            members,
            ..self.ended(
                &report.outcome,
                failed.as_ref().map(Error::to_string),
                Some(json(&report)),
            )
        };
        self.history.end(&ended)?;
        report.export = feed.done(&self.run).await?;
        if let Some(export) = &report.export {
            report.warnings.extend_from_slice(&export.warnings);
        }
        report.seconds = self.started.elapsed().as_secs_f64();
        self.warehouse.write_report(&self.run, &pretty(&report))?;
        Ok(Done { report, refused: failed })
    }

    /// Loads the tables where the pipeline says.
    async fn load(&self, report: &mut RunReport) -> Result<()> {
        if self.pipeline.loads.is_empty() {
            return Ok(());
        }
        let loading = Instant::now();
        report.loads = super::loads::load(self.pipeline, &[], &self.run).await?;
        report.stages.push(Timed::timed("loads", loading.elapsed()));
        Ok(())
    }

    /// Up to when the tables have the changes of the source now. An export with errors may lack some.
    fn synchronised(&self, brought: &Brought, info: &CommitInfo) -> Option<Synchronised> {
        let Source::Export(source) = &self.pipeline.source else { return None };
        let increments = source.increments.as_ref()?;
        if brought.errors > 0 && !increments.advance_with_errors {
            return None;
        }
        let known = self.plan.known.as_ref().filter(|_| self.plan.kind == Kind::Increment);
        Some(Synchronised {
            request: crate::export::identity(&source.settings.request),
            since: brought.until.clone(),
            transaction: known.map_or(info.transaction, |known| known.transaction),
            tables: self.pipeline.views.iter().map(|view| view.name.clone()).collect(),
            run: self.run.clone(),
        })
    }

    fn time(&self, report: &mut RunReport, waited: Duration) {
        if matches!(self.pipeline.source, Source::Export(_)) {
            report.stages.insert(0, Timed::timed("wait for the export", waited));
        }
        report.seconds = self.started.elapsed().as_secs_f64();
    }

    fn report(&self, staged: &Staged, feed: &Feed) -> RunReport {
        let mut account = Account::of(&staged.outcome, &self.pipeline.views, self.plan.kind);
        for (table, parts) in account.tables.iter_mut().zip(&staged.parts) {
            table.bytes = parts.iter().map(|p| p.bytes).sum();
        }
        let mut warnings = account.warnings;
        if let Some(why) = &self.plan.why {
            warnings.push(format!("everything is asked for, not only what has changed: {why}"));
        }
        warnings.extend(staged.warnings());
        warnings.extend(self.changes.iter().map(ToString::to_string));
        RunReport {
            run: self.run.clone(),
            pipeline: self.pipeline.name.clone(),
            started: self.now.to_string(),
            kind: self.plan.kind.name().to_owned(),
            since: self.plan.since.clone(),
            synchronised_until: None,
            outcome: String::new(),
            seconds: 0.0,
            threads: self.options.threads,
            input_bytes: account.input_bytes,
            text_bytes: account.text_bytes,
            total: account.total,
            files: account.files,
            tables: account.tables,
            superseded: staged.superseded as u64,
            deleted: staged.deletions.counts(),
            deletions_not_understood: staged.deletions.not_understood.clone(),
            members: feed.members().map(MembersReport::of),
            rejects: staged.outcome.rejects.by_reason.clone(),
            schema_changes: self.changes.clone(),
            export: None,
            models: Vec::new(),
            loads: Vec::new(),
            stages: account.stages,
            warnings,
        }
    }
}

fn json(report: &RunReport) -> Value {
    serde_json::to_value(report).expect("a report is plain data")
}

fn pretty(report: &RunReport) -> Vec<u8> {
    serde_json::to_vec_pretty(report).expect("a report is plain data")
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
