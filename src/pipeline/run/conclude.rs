//! What is left of a run when the tables are committed: loads, the history, the end of the export.

use std::time::{Duration, Instant};

use super::Done;
use super::execution::{Execution, json, pretty};
use crate::error::{Error, Result};
use crate::export;
use crate::history::{RunEnded, Synchronised};
use crate::pipeline::feed::{Brought, Feed};
use crate::pipeline::loads;
use crate::pipeline::report::{RunReport, Stage as Timed};
use crate::pipeline::source::Source;
use crate::pipeline::synchronise::Kind;
use crate::warehouse::CommitInfo;

impl Execution<'_> {
    /// What is left when the tables are committed.
    pub(super) async fn conclude(
        &self,
        mut report: RunReport,
        feed: Feed,
        info: &CommitInfo,
        waited: Duration,
    ) -> Result<Done> {
        let brought = feed.brought();
        let lacks_some = brought.as_ref().is_some_and(|brought| self.lacks_some(brought));
        let whole = brought.as_ref().filter(|_| !lacks_some);
        let synchronised = whole.and_then(|brought| self.synchronised(brought, info));
        if let Some(brought) = brought.filter(|_| lacks_some) {
            let errors = brought.errors;
            let what = if self.plan.kind == Kind::Full { "everything" } else { "the same changes" };
            report.warnings.push(format!(
                "the server reported {errors} errors: the next run asks for {what} again"
            ));
            if self.plan.kind == Kind::Full {
                // What is missing now was there before: changes since then do not bring it back.
                self.history.forget(&self.pipeline.name)?;
            }
        }
        // What the tables hold does not depend on who else has it: the next run loads what is missing.
        let failed = self.load(&mut report).await.err();
        report.synchronised_until = synchronised.as_ref().map(|known| known.since.clone());
        // Who is new, and whose history did not come whole, is new again the next time.
        let members = feed.members().filter(|_| !lacks_some);
        let members = members.map(|members| members.now.iter().cloned().collect());
        report.exported(feed.exported());
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
        // Only now: an export that is done with is not asked for again.
        report.warnings.extend(feed.done(&self.run).await);
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
        report.loads = loads::load(self.pipeline, &[], &self.run).await?;
        report.stages.push(Timed::timed("loads", loading.elapsed()));
        Ok(())
    }

    /// Whether the export came with errors, and does not count as complete.
    fn lacks_some(&self, brought: &Brought) -> bool {
        let Source::Export(source) = &self.pipeline.source else { return false };
        let increments = source.increments.as_ref();
        increments.is_some_and(|i| brought.errors > 0 && !i.advance_with_errors)
    }

    /// Up to when the tables have the changes of the source now.
    fn synchronised(&self, brought: &Brought, info: &CommitInfo) -> Option<Synchronised> {
        let Source::Export(source) = &self.pipeline.source else { return None };
        source.increments.as_ref()?;
        let known = self.plan.known.as_ref().filter(|_| self.plan.kind == Kind::Increment);
        Some(Synchronised {
            request: export::identity(&source.settings.request),
            since: brought.until.clone(),
            transaction: known.map_or(info.transaction, |known| known.transaction),
            tables: self.pipeline.views.iter().map(|view| view.name.clone()).collect(),
            run: self.run.clone(),
        })
    }
}
