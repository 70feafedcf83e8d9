//! A pass through the input: its rows encoded and staged, not yet visible.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::RunOptions;
use crate::error::Result;
use crate::fhirpath::{Environment, Temporal};
use crate::flatten::View;
use crate::ingest::InputFile;
use crate::pipeline::census::{Found, key};
use crate::pipeline::definition::Pipeline;
use crate::pipeline::deletions::{self, Deletions};
use crate::pipeline::feed::{Feed, NEW_MEMBERS};
use crate::pipeline::flow::{Care, Flow, Outcome, RowsOf, by_type};
use crate::pipeline::output::{TableOutput, finish_all};
use crate::pipeline::rejects::{REJECTS_TABLE, RejectLog, SCHEMA};
use crate::pipeline::source::Source;
use crate::pipeline::synchronise::Kind;
use crate::pipeline::table_schema;
use crate::warehouse::{KeySet, ParquetOptions, PartFile, Staging, TableWriter};

/// What a run is about to commit.
pub(super) struct Staged {
    pub(super) outcome: Outcome,
    /// Part files by view.
    pub(super) parts: Vec<Vec<PartFile>>,
    pub(super) rejects: Vec<PartFile>,
    /// The keys of resources that came or were deleted, by view; none for a full run.
    pub(super) keys: Vec<Arc<KeySet>>,
    /// Versions that did not count.
    pub(super) superseded: usize,
    pub(super) deletions: Deletions,
    /// Resources that are said to be deleted, and are there: they are there.
    pub(super) deleted_and_there: usize,
}

impl Staged {
    /// What is well to know of what came.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.superseded > 0 {
            warnings.push(format!("{} older versions of resources did not count", self.superseded));
        }
        if self.deleted_and_there > 0 {
            let count = self.deleted_and_there;
            warnings
                .push(format!("{count} resources are said to be deleted, and came: they are kept"));
        }
        let missed = self.deletions.not_understood.iter();
        warnings.extend(missed.map(|(why, count)| format!("{count} deletions not applied: {why}")));
        warnings
    }
}

/// One run's work on its input.
pub(super) struct Stage<'s> {
    pub(super) pipeline: &'s Pipeline,
    pub(super) options: &'s RunOptions<'s>,
    pub(super) staging: &'s Staging,
    pub(super) run: &'s str,
    pub(super) now: Temporal,
    pub(super) kind: Kind,
}

impl Stage<'_> {
    /// Reads the whole input, and once more what came in several versions.
    pub(super) fn stage(&self, feed: &mut Feed) -> Result<Staged> {
        let census = self.staging.scratch();
        let flow = self.flow(feed);
        let care = Care { census: Some(&census), ..flow.care };
        let flow = Flow { care, ..flow };
        let outputs = self.outputs(|_| true)?;
        let log = self.staging.writer(REJECTS_TABLE, SCHEMA.clone(), &ParquetOptions::default())?;
        let log = RejectLog::new(Some(log), self.run);
        let mut outcome = flow.drive(std::iter::from_fn(|| feed.next()), &outputs, log)?;
        let encoding = Instant::now();
        let mut parts = finish_all(outputs)?;
        let rejects =
            outcome.rejects.finish()?.map(TableWriter::finish).transpose()?.unwrap_or_default();
        outcome.times.encode += encoding.elapsed();

        let census = outcome.census.take().expect("it was asked for");
        let deletions = self.deletions(feed)?;
        let older = outcome.files.iter().take_while(|file| is_of_new_members(&file.path)).count();
        let deleted = self.deleted_keys(&deletions);
        let found = census.find(self.kind != Kind::Full, older as u32, &deleted)?;
        self.count_each_once(&flow, &found, &mut outcome, &mut parts)?;
        Ok(Staged {
            superseded: found.superseded.len(),
            deleted_and_there: deleted_and_there(&found, &deleted),
            keys: self.keys(found, &deleted),
            outcome,
            parts,
            rejects,
            deletions,
        })
    }

    fn flow<'f>(&'f self, feed: &Feed) -> Flow<'f> {
        let Self { pipeline, options, run, .. } = *self;
        // A pipeline that asks for some elements only gets nothing else.
        let asked_for = match &pipeline.source {
            Source::Export(source) => !source.settings.request.elements.is_empty(),
            _ => false,
        };
        Flow {
            views: &pipeline.views,
            origin: Some(RowsOf { run, source: pipeline.source_name.as_deref() }),
            care: Care { whole_only: self.kind != Kind::Full && !asked_for, ..Care::default() },
            environment: Environment {
                now: self.now,
                bases: feed.bases.clone(),
                key_prefix: pipeline.source_name.as_deref().map(Into::into),
            },
            input: &pipeline.input,
            threads: options.threads,
            progress: options.progress,
        }
    }

    /// Writers for the views that are wanted.
    fn outputs(&self, wanted: impl Fn(&View) -> bool) -> Result<Vec<TableOutput>> {
        let writer = |view: &View| {
            if !wanted(view) {
                return Ok(TableOutput::Nowhere);
            }
            let options = ParquetOptions::default();
            let writer = self.staging.writer(&view.name, table_schema(view), &options)?;
            Ok(TableOutput::Parquet(writer))
        };
        self.pipeline.views.iter().map(writer).collect()
    }

    /// Stages the tables anew whose resources came in several versions: without those that do not count.
    ///
    /// Which ones these are is known only at the end, and they are few: a second pass over some files is rarer, and
    /// simpler, than taking rows out of what is encoded.
    fn count_each_once(
        &self,
        flow: &Flow<'_>,
        found: &Found,
        outcome: &mut Outcome,
        parts: &mut [Vec<PartFile>],
    ) -> Result<()> {
        if found.superseded.is_empty() {
            return Ok(());
        }
        let types = by_type(flow.views);
        let doubled: Vec<_> = found.by_type.keys().map(|of| types[*of].0).collect();
        let wanted = |view: &View| doubled.contains(&view.resource.name());
        // The writers give part files the same names again, and replace them.
        let outputs = self.outputs(wanted)?;
        let care = Care { once_more: Some(found), census: None, ..flow.care };
        let flow = Flow { care, environment: flow.environment.clone(), ..*flow };
        let again = flow.again(holding(&doubled, outcome), &outputs)?;
        let written = finish_all(outputs)?;
        for (view, written) in written.into_iter().enumerate() {
            if wanted(&flow.views[view]) {
                parts[view] = written;
                outcome.counts[view] = again.counts[view].clone();
                outcome.passed_over[view] = again.passed_over[view];
            }
        }
        Ok(())
    }

    fn deletions(&self, feed: &Feed) -> Result<Deletions> {
        let Some(files) = feed.deleted()?.filter(|_| self.kind != Kind::Full) else {
            return Ok(Deletions::default());
        };
        deletions::read(files, &feed.bases, &self.pipeline.input, self.options.threads)
    }

    /// The keys of what was deleted, by the number of the type.
    fn deleted_keys(&self, deletions: &Deletions) -> BTreeMap<usize, KeySet> {
        let source = self.pipeline.source_name.as_deref();
        let mut deleted = BTreeMap::<_, KeySet>::new();
        for (of, (name, _)) in by_type(&self.pipeline.views).into_iter().enumerate() {
            for id in deletions.ids.get(name).into_iter().flatten() {
                deleted.entry(of).or_default().insert(&key(source, id));
            }
        }
        deleted
    }

    /// The keys that came or were deleted, by view.
    fn keys(&self, mut found: Found, deleted: &BTreeMap<usize, KeySet>) -> Vec<Arc<KeySet>> {
        let mut by_view = vec![Arc::default(); self.pipeline.views.len()];
        for (of, (_, views)) in by_type(&self.pipeline.views).into_iter().enumerate() {
            let mut keys = found.keys.remove(&of).unwrap_or_default();
            keys.extend(deleted.get(&of));
            let keys = Arc::new(keys);
            for view in views {
                by_view[view] = keys.clone();
            }
        }
        by_view
    }
}

/// How many resources are said to be deleted, and are there.
fn deleted_and_there(found: &Found, deleted: &BTreeMap<usize, KeySet>) -> usize {
    let both = found.keys.iter().map(|(of, keys)| {
        deleted
            .get(of)
            .map_or(0, |deleted| keys.hashes().filter(|key| deleted.contains_hash(*key)).count())
    });
    both.sum::<usize>().saturating_sub(found.deleted)
}

/// Whether a file has the history of new members, which is asked for before what has changed.
fn is_of_new_members(file: &Path) -> bool {
    file.parent().is_some_and(|folder| folder.ends_with(NEW_MEMBERS))
}

/// The files that hold resources of these types, with their numbers.
fn holding(types: &[&str], outcome: &Outcome) -> Vec<(u32, InputFile)> {
    let reports = outcome.input.files.iter();
    let files = (0..).zip(&outcome.files).zip(reports);
    files
        .filter(|(_, report)| types.iter().any(|of| report.counts.resources.contains_key(*of)))
        .map(|((number, file), _)| (number, file.clone()))
        .collect()
}
