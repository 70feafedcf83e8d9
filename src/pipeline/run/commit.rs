//! Commits what a run staged: one table after the other, each in one version.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::stage::Staged;
use crate::error::{Error, ErrorKind, Result};
use crate::flatten::{KEY_COLUMN, View};
use crate::pipeline::census::key;
use crate::pipeline::definition::{Mode, Pipeline};
use crate::pipeline::rejects::{REJECTS_TABLE, SCHEMA};
use crate::pipeline::report::{RunReport, SchemaChange, TableReport};
use crate::pipeline::synchronise::Kind;
use crate::pipeline::table_schema;
use crate::warehouse::{
    Change, ColumnChange, CommitInfo, Committed, Gone, KeySet, Staging, Warehouse,
};

/// What is committed, and how.
pub(super) struct Commit<'c> {
    pub(super) pipeline: &'c Pipeline,
    pub(super) kind: Kind,
    pub(super) warehouse: &'c Warehouse,
    pub(super) staging: &'c Staging,
    pub(super) info: &'c CommitInfo,
    /// Whether an earlier run began this, and may have committed some tables.
    pub(super) taken_up: bool,
    /// Patients whose rows go.
    pub(super) departed: Option<&'c BTreeSet<String>>,
}

impl Commit<'_> {
    /// Commits all tables; gives whether any has changed.
    pub(super) async fn all(&self, staged: &Staged, report: &mut RunReport) -> Result<bool> {
        let there = self.warehouse.table_names().await?;
        let mut changed = false;
        for (i, view) in self.pipeline.views.iter().enumerate() {
            let gone = self.gone(view, &staged.keys[i]);
            let nothing_to_do = self.kind != Kind::Full
                && gone.is_empty()
                && staged.parts[i].is_empty()
                && there.contains(&view.name);
            if nothing_to_do {
                continue;
            }
            let change =
                if self.kind == Kind::Full { Change::Replace } else { Change::Merge(&gone) };
            let (schema, parts) = (table_schema(view), &staged.parts[i]);
            let done = self.staging.commit(&view.name, &schema, parts, change, self.info).await?;
            note(&done, &mut report.tables[i]);
            self.settle(&view.name, done, &mut report.warnings)?;
            changed = true;
        }
        if !staged.rejects.is_empty() || !there.iter().any(|table| table == REJECTS_TABLE) {
            let (table, parts) = (REJECTS_TABLE, &staged.rejects);
            let info = CommitInfo { source: None, ..self.info.clone() };
            let done = self.staging.commit(table, &SCHEMA, parts, Change::Append, &info).await?;
            self.settle(table, done, &mut report.warnings)?;
        }
        Ok(changed)
    }

    /// The rows that go: of resources that came or were deleted, and of patients who left.
    fn gone(&self, view: &View, keys: &Arc<KeySet>) -> Vec<Gone> {
        let mut gone = Vec::new();
        if !keys.is_empty() {
            gone.push(Gone { column: KEY_COLUMN.to_owned(), keys: keys.clone() });
        }
        let Some(departed) = self.departed.filter(|departed| !departed.is_empty()) else {
            return gone;
        };
        let source = self.pipeline.source_name.as_deref();
        let mut keys = KeySet::default();
        for id in departed {
            keys.insert(&key(source, id));
        }
        let keys = Arc::new(keys);
        for column in patient_columns(view) {
            gone.push(Gone { column, keys: keys.clone() });
        }
        gone
    }

    /// A transaction is numbered by the clock. Where the table has a later one, the clock went back, and the table was
    /// not changed; unless this is what an earlier run began.
    fn settle(&self, table: &str, done: Committed, warnings: &mut Vec<String>) -> Result<()> {
        warnings.extend(done.warning.map(|w| w.to_string()));
        if !done.already || self.taken_up {
            return Ok(());
        }
        let message = format!("`{table}` was last changed by a run that began later than this one");
        Err(Error::new(ErrorKind::Warehouse, message).hint("set the clock right and run again"))
    }
}

fn note(done: &Committed, report: &mut TableReport) {
    report.version = Some(done.version);
    report.rows_gone = done.rows_gone;
    report.files_rewritten = done.files_rewritten;
}

/// The columns of a view that hold keys of patients.
fn patient_columns(view: &View) -> Vec<String> {
    let own = (view.resource.name() == "Patient").then(|| KEY_COLUMN.to_owned());
    let to_patients =
        view.references.iter().filter(|r| r.path.ends_with("getReferenceKey(Patient)"));
    own.into_iter().chain(to_patients.filter_map(|r| r.column.clone())).collect()
}

/// Tells the work of a run from other work on the same export: its views, and what becomes of earlier rows.
pub(super) fn work(pipeline: &Pipeline, kind: Kind) -> String {
    let mut hasher = DefaultHasher::new();
    for view in &pipeline.views {
        format!("{view:?}").hash(&mut hasher);
    }
    format!("{} {} {:016x}", env!("CARGO_PKG_VERSION"), kind.name(), hasher.finish())
}

/// Sources without a name share keys: a table has one of them at most.
pub(super) async fn check_owner(pipeline: &Pipeline, warehouse: &Warehouse) -> Result<()> {
    if pipeline.source_name.is_some() {
        return Ok(());
    }
    let there = warehouse.table_names().await?;
    for view in pipeline.views.iter().filter(|view| there.contains(&view.name)) {
        let others = warehouse.pipelines(&view.name).await?;
        if let Some(other) = others.iter().find(|other| **other != pipeline.name) {
            let message = format!(
                "`{}` is a table of the pipeline `{other}`: keys of two sources would mix",
                view.name
            );
            return Err(Error::new(ErrorKind::Definition, message).hint(format!(
                "give each source a name (`name` under `[source]`), use another warehouse, or call this pipeline \
                 `{other}` if it is the same"
            )));
        }
    }
    Ok(())
}

/// How the views' columns differ from those of the tables. Columns may come; where rows stay, others may not go or change.
pub(super) async fn check_columns(
    pipeline: &Pipeline,
    warehouse: &Warehouse,
    kind: Kind,
) -> Result<Vec<SchemaChange>> {
    let there = warehouse.table_names().await?;
    let mut changes = Vec::new();
    for view in pipeline.views.iter().filter(|view| there.contains(&view.name)) {
        for change in warehouse.compare(&view.name, &table_schema(view)).await? {
            let change =
                SchemaChange { table: view.name.clone(), kept: kind != Kind::Full, change };
            if change.kept && !matches!(change.change, ColumnChange::Added { .. }) {
                return Err(refuse(pipeline, &change));
            }
            changes.push(change);
        }
    }
    Ok(changes)
}

fn refuse(pipeline: &Pipeline, change: &SchemaChange) -> Error {
    let hint = match pipeline.mode {
        Mode::Merge => {
            "merge into another warehouse, or give the view the columns it had".to_owned()
        }
        Mode::Replace => format!(
            "`kiln rebuild PIPELINE {}` fills the table anew; or give the view the columns it had",
            change.table
        ),
    };
    Error::new(ErrorKind::Definition, change.to_string()).hint(hint)
}
