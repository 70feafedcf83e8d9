//! The account of a run: it adds up, or it is not given.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::flow::Outcome;
use super::model::ModelReport;
use super::roster::Members;
use super::synchronise::Kind;
use crate::fhir::Unresolvable;
use crate::flatten::{Counts, View};
use crate::ingest;
use crate::load::LoadReport;
use crate::warehouse::ColumnChange;

/// What a run did. Written as JSON beside the tables, and to people as text.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// The run's name.
    pub run: String,
    /// The pipeline's.
    pub pipeline: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// `full`, `increment` or `merge`.
    pub kind: String,
    /// Since when changes were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Up to when the tables have the changes of the source now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synchronised_until: Option<String>,
    /// `committed`, `unchanged`, or why nothing was committed.
    pub outcome: String,
    /// Whole time, in seconds.
    pub seconds: f64,
    /// How many threads.
    pub threads: usize,
    /// Bytes of the input as stored.
    pub input_bytes: u64,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Sums over all files.
    pub total: FileCounts,
    /// By file.
    pub files: Vec<FileCounts>,
    /// By table.
    pub tables: Vec<TableReport>,
    /// Older versions of resources, which did not count.
    pub superseded: u64,
    /// Resources that were deleted, by type.
    pub deleted: BTreeMap<String, u64>,
    /// Deletions that name no resource that could be found, by reason.
    pub deletions_not_understood: BTreeMap<&'static str, u64>,
    /// The members of the group, if they are followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<MembersReport>,
    /// How many were rejected, by reason.
    pub rejects: BTreeMap<String, u64>,
    /// How the columns of tables changed.
    pub schema_changes: Vec<SchemaChange>,
    /// The export, if the source is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportReport>,
    /// Tables made of others.
    pub models: Vec<ModelReport>,
    /// Where tables were loaded to.
    pub loads: Vec<LoadReport>,
    /// Wall seconds of the stages, in their order.
    pub stages: Vec<Stage>,
    /// What is well to know.
    pub warnings: Vec<String>,
}

/// The export whose data a run committed, or found to be none.
#[derive(Debug, Serialize)]
pub struct ExportReport {
    /// Where its files and its log are.
    pub folder: String,
    /// The instant up to which it is complete, as the server wrote it.
    pub transaction_time: String,
    /// Files of all sections.
    pub files: usize,
    /// Bytes of their text.
    pub bytes: u64,
    /// What is well to know; also among the warnings of the run.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// The members of a group: how many.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MembersReport {
    /// Now.
    pub now: usize,
    /// Who were none at the last run.
    pub new: usize,
    /// Who were members then, and are none any more.
    pub departed: usize,
}

impl MembersReport {
    pub(super) fn of(members: &Members) -> Self {
        let Members { now, new, departed } = members;
        Self { now: now.len(), new: new.len(), departed: departed.len() }
    }
}

/// How a column of a table differs from the view's.
#[derive(Debug, Clone, Serialize)]
pub struct SchemaChange {
    /// The table.
    pub table: String,
    /// Whether earlier rows stay.
    #[serde(skip)]
    pub kept: bool,
    /// The column, and what is new about it.
    #[serde(flatten)]
    pub change: ColumnChange,
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.table;
        match &self.change {
            ColumnChange::Added { column } if self.kept => {
                write!(
                    f,
                    "`{table}` has a new column `{column}`, null in earlier rows: `kiln rebuild` fills it"
                )
            }
            ColumnChange::Added { column } => write!(f, "`{table}` has a new column `{column}`"),
            ColumnChange::Dropped { column } => {
                write!(f, "`{table}` has a column `{column}` that its view does not have any more")
            }
            ColumnChange::Retyped { column, from, to } => {
                write!(f, "`{table}.{column}` was {from}, and is {to} in the view")
            }
        }
    }
}

/// The account of a file, or of all.
#[derive(Debug, Clone, Serialize)]
pub struct FileCounts {
    /// Its path; empty for the sum.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Lines: resources not from Bundles + Bundles + rejects + blanks.
    pub lines: u64,
    /// Lines of white space.
    pub blanks: u64,
    /// Lines that could not be used.
    pub rejected_lines: u64,
    /// Lines that were Bundles.
    pub bundles: u64,
    /// Resources from entries of Bundles.
    pub resources_in_bundles: u64,
    /// Entries of Bundles that could not be used.
    pub rejected_entries: u64,
    /// Entries of Bundles without a resource.
    pub entries_without_resource: u64,
    /// All resources, by type.
    pub resources: BTreeMap<String, u64>,
}

impl FileCounts {
    fn of(file: String, counts: &ingest::Counts) -> Self {
        Self {
            file,
            lines: counts.lines,
            blanks: counts.blanks,
            rejected_lines: counts.rejected_lines,
            bundles: counts.bundles,
            resources_in_bundles: counts.entry_resources,
            rejected_entries: counts.rejected_entries,
            entries_without_resource: counts.entries_without_resource,
            resources: counts.resources.clone(),
        }
    }

    /// All resources.
    pub fn total_resources(&self) -> u64 {
        self.resources.values().sum()
    }

    /// Whether every line is accounted for.
    pub fn adds_up(&self) -> bool {
        let lines = self.total_resources() - self.resources_in_bundles;
        lines + self.bundles + self.rejected_lines + self.blanks == self.lines
    }
}

/// The account of a table: resources of its type = with rows + without rows + failed + passed over.
#[derive(Debug, Serialize)]
pub struct TableReport {
    /// Its name.
    pub table: String,
    /// The resource type it is made of.
    pub resource: String,
    /// Resources of that type.
    pub resources: u64,
    /// Of them, how many gave rows.
    pub with_rows: u64,
    /// How many gave none, by the view's rule.
    pub without_rows: u64,
    /// On how many the view failed: rejects.
    pub failed: u64,
    /// How many were passed over: older versions, and what is not whole.
    pub passed_over: u64,
    /// Rows that came.
    pub rows: u64,
    /// Rows that went, where they were counted.
    pub rows_gone: u64,
    /// Files that were written again without the rows that went.
    pub files_rewritten: usize,
    /// Bytes of its Parquet files.
    pub bytes: u64,
    /// The Delta version, once committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Values that did not fit the type of their column and became null, by column.
    pub cast_failures: BTreeMap<String, u64>,
    /// Resources without an id: their rows have no key.
    pub without_id: u64,
    /// References that gave no key, by the path that asked for it.
    pub unresolved_references: Vec<UnresolvedReferences>,
}

/// References that gave no key at one place of a view.
#[derive(Debug, Serialize)]
pub struct UnresolvedReferences {
    /// The column, unless a criterion or an iteration asked for the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What asked for them, such as `subject.getReferenceKey(Patient)`.
    pub path: String,
    /// How many, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

impl UnresolvedReferences {
    /// Whether there are absolute references below a base that is not known to be the source's.
    pub fn is_elsewhere(&self) -> bool {
        self.reasons.contains_key(Unresolvable::Elsewhere.name())
    }
}

/// Of each place where a view asks for keys of references, those that gave none.
pub fn unresolved_references(view: &View, counts: &Counts) -> Vec<UnresolvedReferences> {
    let places = view.references.iter().zip(&counts.unresolved);
    let with_some = places.filter(|(_, counts)| counts.iter().any(|n| *n > 0));
    with_some
        .map(|(place, counts)| UnresolvedReferences {
            column: place.column.clone(),
            path: place.path.clone(),
            reasons: Unresolvable::ALL
                .iter()
                .zip(counts)
                .filter(|(_, n)| **n > 0)
                .map(|(reason, n)| (reason.name(), *n))
                .collect(),
        })
        .collect()
}

impl TableReport {
    pub(super) fn of(view: &View, counts: &Counts, passed_over: u64, resources: u64) -> Self {
        let failures = view.columns.iter().zip(&counts.cast_failures).filter(|(_, n)| **n > 0);
        Self {
            table: view.name.clone(),
            resource: view.resource.name().to_owned(),
            resources,
            with_rows: counts.with_rows,
            without_rows: counts.without_rows,
            failed: counts.failed,
            passed_over,
            rows: counts.rows,
            rows_gone: 0,
            files_rewritten: 0,
            bytes: 0,
            version: None,
            cast_failures: failures.map(|(c, n)| (c.name.clone(), *n)).collect(),
            without_id: counts.without_id,
            unresolved_references: unresolved_references(view, counts),
        }
    }
}

/// How long a stage took.
#[derive(Debug, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Seconds: of all threads together for the stages that interleave, else of the wall.
    pub seconds: f64,
    /// Bytes of text by these seconds, in 10^6 a second; a stage that does not go through the input has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mb_per_second: Option<f64>,
}

impl Stage {
    /// A stage that goes through the input.
    pub(super) fn through(name: &'static str, time: std::time::Duration, bytes: u64) -> Self {
        let seconds = time.as_secs_f64();
        let rate = (seconds > 0.0).then(|| bytes as f64 / 1e6 / seconds);
        Self { name, seconds, mb_per_second: rate }
    }

    /// A stage that does not.
    pub(super) fn timed(name: &'static str, time: std::time::Duration) -> Self {
        Self { name, seconds: time.as_secs_f64(), mb_per_second: None }
    }
}

/// Everything that a pass through the input tells.
pub(super) struct Account {
    pub(super) input_bytes: u64,
    pub(super) text_bytes: u64,
    pub(super) total: FileCounts,
    pub(super) files: Vec<FileCounts>,
    pub(super) tables: Vec<TableReport>,
    pub(super) stages: Vec<Stage>,
    pub(super) warnings: Vec<String>,
}

impl RunReport {
    /// Adds what was exported, and what is well to know of it.
    pub(super) fn exported(&mut self, export: Option<ExportReport>) {
        self.warnings.extend(export.iter().flat_map(|export| export.warnings.clone()));
        self.export = export;
    }
}

impl Account {
    /// # Panics
    /// If a line or a resource is unaccounted for: that is a bug, and numbers that do not add up must not be given.
    pub(super) fn of(outcome: &Outcome, views: &[View], kind: Kind) -> Self {
        let files: Vec<_> = outcome
            .input
            .files
            .iter()
            .map(|f| FileCounts::of(f.path.display().to_string(), &f.counts))
            .collect();
        let total = FileCounts::of(String::new(), &outcome.input.total);
        assert!(
            total.adds_up() && files.iter().all(FileCounts::adds_up),
            "a line is unaccounted for"
        );
        let tables: Vec<_> = views
            .iter()
            .zip(outcome.counts.iter().zip(&outcome.passed_over))
            .map(|(view, (counts, passed_over))| {
                let resources = total.resources.get(view.resource.name()).copied().unwrap_or(0);
                let table = TableReport::of(view, counts, *passed_over, resources);
                assert_eq!(
                    resources,
                    table.with_rows + table.without_rows + table.failed + table.passed_over,
                    "a resource is unaccounted for"
                );
                table
            })
            .collect();
        let empty = (kind == Kind::Full).then(|| without_resources(&tables)).flatten();
        let text_bytes = outcome.input.files.iter().map(|f| f.text_bytes).sum();
        let times = &outcome.times;
        Self {
            input_bytes: outcome.input.files.iter().map(|f| f.stored_bytes).sum(),
            text_bytes,
            total,
            files,
            tables,
            stages: vec![
                Stage::through("read", times.read, text_bytes),
                Stage::through("parse", times.parse, text_bytes),
                Stage::through("flatten", times.flatten, text_bytes),
                Stage::through("encode", times.encode, text_bytes),
            ],
            warnings: outcome.warnings.iter().cloned().chain(empty).collect(),
        }
    }
}

/// The resource types of the tables of which the source holds none: one sentence for all of
/// them, since a pipeline that names no schemas writes tables of many types.
fn without_resources(tables: &[TableReport]) -> Option<String> {
    let without: Vec<_> = tables.iter().filter(|table| table.resources == 0).collect();
    let types: BTreeSet<_> = without.iter().map(|t| format!("`{}`", t.resource)).collect();
    let types = types.into_iter().collect::<Vec<_>>().join(", ");
    let which = match without.as_slice() {
        [] => return None,
        [one] => format!("`{}` is empty", one.table),
        many => format!("{} tables are empty", many.len()),
    };
    Some(format!("no {types} in the source: {which}"))
}

/// Files that were passed over, and files that hold fewer or more resources than their manifest says.
pub(super) fn warnings(input: &ingest::Report, ignored: &[PathBuf]) -> Vec<String> {
    let mut warnings: Vec<_> = passed_over(ignored).into_iter().collect();
    for file in &input.files {
        let Some(declared) = &file.declared else { continue };
        let found = file.counts.total_resources();
        if let Some(count) = declared.count.filter(|count| *count != found) {
            warnings.push(format!(
                "`{}` holds {found} resources; its manifest says {count}",
                file.path.display()
            ));
        }
        let other = file.counts.resources.keys().find(|of| **of != declared.resource_type);
        if let Some(other) = other.filter(|_| !declared.resource_type.is_empty()) {
            let path = file.path.display();
            warnings.push(format!(
                "`{path}` holds `{other}`; its manifest says `{}` only",
                declared.resource_type
            ));
        }
    }
    warnings
}

/// Names more than these are not listed.
const LISTED: usize = 5;

fn passed_over(ignored: &[PathBuf]) -> Option<String> {
    let listed: Vec<_> =
        ignored.iter().take(LISTED).map(|path| format!("`{}`", path.display())).collect();
    let more = if ignored.len() > LISTED { ", …" } else { "" };
    let (listed, count) = (listed.join(", "), ignored.len());
    (count > 0).then(|| {
        format!("not read, for the name or for not being in the manifest: {count} ({listed}{more})")
    })
}
