//! A run from what is decided before anything is asked, to the commits.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::commit::{self, Commit};
use super::stage::{Stage, Staged};
use super::{Done, RunOptions, check_rejects, moment, run_name};
use crate::error::{Error, ErrorKind, Result};
use crate::fhirpath::Temporal;
use crate::history::{History, RunBegun, RunEnded};
use crate::pipeline::definition::Pipeline;
use crate::pipeline::exports::{self, Attempt};
use crate::pipeline::feed::Feed;
use crate::pipeline::flow::on_threads;
use crate::pipeline::report::{Account, MembersReport, RunReport, SchemaChange, Stage as Timed};
use crate::pipeline::source::Source;
use crate::pipeline::synchronise::{Kind, Plan};
use crate::pipeline::{model, quality};
use crate::warehouse::{CommitInfo, Staging, Warehouse};

/// One run.
pub(super) struct Execution<'e> {
    pub(super) pipeline: &'e Pipeline,
    pub(super) options: &'e RunOptions<'e>,
    pub(super) started: Instant,
    pub(super) now: Temporal,
    pub(super) micros: i64,
    pub(super) run: String,
    pub(super) warehouse: Warehouse,
    pub(super) history: History,
    pub(super) plan: Plan,
    pub(super) changes: Vec<SchemaChange>,
}

impl<'e> Execution<'e> {
    /// Everything that can be refused before anything is asked.
    pub(super) async fn prepare(
        pipeline: &'e Pipeline,
        options: &'e RunOptions<'e>,
    ) -> Result<Self> {
        let started = Instant::now();
        let (now, micros) = moment();
        let run = options.run.clone().unwrap_or_else(|| run_name(&now));
        let warehouse = pipeline.warehouse()?;
        commit::check_owner(pipeline, &warehouse).await?;
        let history = History::open(&warehouse.state_folder())?;
        let plan = Plan::of(pipeline, &warehouse, &history, options.full).await?;
        let changes = commit::check_columns(pipeline, &warehouse, plan.kind).await?;
        Ok(Self { pipeline, options, started, now, micros, run, warehouse, history, plan, changes })
    }

    /// A run over what an earlier one exported.
    pub(super) fn again(
        pipeline: &'e Pipeline,
        options: &'e RunOptions<'e>,
        plan: Plan,
    ) -> Result<Self> {
        let (now, micros) = moment();
        let warehouse = pipeline.warehouse()?;
        let history = History::open(&warehouse.state_folder())?;
        let (started, run, changes) = (Instant::now(), run_name(&now), Vec::new());
        Ok(Self { pipeline, options, started, now, micros, run, warehouse, history, plan, changes })
    }

    /// Does it, and notes how it ended. The tables are as current as the others then, also such as are new.
    pub(super) async fn replay(&self, feed: Feed) -> Result<Done> {
        let staging = self.warehouse.begin(&self.run)?;
        self.begin()?;
        let done = self.go_on(feed, Some(staging)).await;
        let done = self.note_failure(done)?;
        let known = self.history.synchronised(&self.pipeline.name)?;
        let Some(mut known) = known.filter(|_| done.refused.is_none()) else {
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
    pub(super) async fn execute(&self) -> Result<Done> {
        if let Some(abandoned) = &self.plan.abandoned {
            exports::abandon(&self.pipeline.source, abandoned).await?;
        }
        let members = self.history.members(&self.pipeline.name)?;
        let members = members.map(|ids| ids.into_iter().collect());
        let feed = Feed::open(self.pipeline, &self.plan, members, self.options.progress)?;
        // Who has the export, or the warehouse, is the only run of the pipeline that is alive.
        let done = if let Source::Export(_) = self.pipeline.source {
            self.begin()?;
            self.go_on(feed, None).await
        } else {
            let staging = self.warehouse.begin(&self.run)?;
            self.begin()?;
            self.go_on(feed, Some(staging)).await
        };
        self.note_failure(done)
    }

    fn note_failure(&self, done: Result<Done>) -> Result<Done> {
        done.inspect_err(|error| {
            let ended = self.ended("failed", Some(error.to_string()), None);
            // What fails now hides nothing of what failed before.
            let _ = self.history.end(&ended);
        })
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

    pub(super) fn ended(
        &self,
        outcome: &str,
        message: Option<String>,
        report: Option<Value>,
    ) -> RunEnded {
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
            now: self.now,
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
        let mut done_with = None;
        let refused = match feed.folder() {
            Some(_) if refused.kind() == ErrorKind::Rejects => read_again(refused, &feed),
            _ => {
                report.exported(feed.exported());
                done_with = Some(feed);
                refused
            }
        };
        self.time(&mut report, waited);
        let ended = self.ended("rejected", Some(refused.to_string()), Some(json(&report)));
        self.history.end(&ended)?;
        if let Some(feed) = done_with {
            report.warnings.extend(feed.done(&self.run).await);
        }
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
        if let Some(export) = feed.export() {
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
        if changed { "committed" } else { "unchanged" }.clone_into(&mut report.outcome);
        if changed && !self.pipeline.quality.is_empty() {
            let judging = Instant::now();
            let warnings = quality::judge(self.pipeline).await;
            let warnings = warnings.map_err(|e| read_again(e.within("run", &self.run), feed))?;
            report.warnings.extend(warnings);
            report.stages.push(Timed::timed("quality", judging.elapsed()));
        }
        if changed && !self.pipeline.models.is_empty() {
            let making = Instant::now();
            report.models = model::make(self.pipeline, staging, &self.run, info).await?;
            report.stages.push(Timed::timed("models", making.elapsed()));
        }
        Ok(())
    }

    pub(super) fn time(&self, report: &mut RunReport, waited: Duration) {
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

/// Says that an export which a run stopped at is the next run's, too.
fn read_again(error: Error, feed: &Feed) -> Error {
    match feed.folder() {
        Some(folder) => error.at(
            "export",
            format!("{} (read again by the next run; remove it for another)", folder.display()),
        ),
        None => error,
    }
}

pub(super) fn json(report: &RunReport) -> Value {
    serde_json::to_value(report).expect("a report is plain data")
}

pub(super) fn pretty(report: &RunReport) -> Vec<u8> {
    serde_json::to_vec_pretty(report).expect("a report is plain data")
}
