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
        report.loads = loads::load(self.pipeline, &[], &self.run).await?;
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
            request: export::identity(&source.settings.request),
            since: brought.until.clone(),
            transaction: known.map_or(info.transaction, |known| known.transaction),
            tables: self.pipeline.views.iter().map(|view| view.name.clone()).collect(),
            run: self.run.clone(),
        })
    }
}
