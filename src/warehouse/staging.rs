//! A run's part files before their commit, and their move into the table.

use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;

use super::change::{Change, Gone};
use super::commit::{self, CommitInfo, Committed, Draft, Operation};
use super::merge::{self, Rewritten};
use super::part::PartFile;
use super::table_file::{self, TableFile};
use super::writer::{ParquetOptions, TableWriter};
use super::{Lock, Warehouse, delta, evolve};
use crate::durable;
use crate::error::Result;

/// The staging area of one run. Holds the warehouse's lock; dropping it removes what was not
/// committed and gives the lock back.
#[derive(Debug)]
pub struct Staging {
    pub(super) warehouse: Warehouse,
    pub(super) run: String,
    /// How rows that stay are written again.
    pub(super) parquet: ParquetOptions,
    _lock: Lock,
}

/// What a commit makes of a table: the files that leave it and those that stay, and what comes.
struct Outcome {
    leaving: Vec<TableFile>,
    rewritten: Rewritten,
    files_rewritten: usize,
}

impl Staging {
    pub(super) fn new(warehouse: Warehouse, run: String, lock: Lock) -> Self {
        Self { warehouse, run, parquet: ParquetOptions::default(), _lock: lock }
    }

    /// A writer of part files for a table, which need not exist.
    pub fn writer(
        &self,
        table: &str,
        schema: SchemaRef,
        options: &ParquetOptions,
    ) -> Result<TableWriter> {
        self.open_writer(table, &format!("part-{}", self.run), schema, options)
    }

    /// A folder for what a run needs besides part files; nobody makes it but who uses it.
    pub fn scratch(&self) -> PathBuf {
        self.folder().join("_scratch")
    }

    /// Changes the table by these files, in one version; creates the table if it does not exist. Does nothing if the
    /// table has this transaction already.
    ///
    /// Only files of the source of `info` are concerned. Rows that stay take the new columns: one that they lack is null
    /// in them; an error of kind `Definition` if they do not fit otherwise. An error leaves the table at its last
    /// version; files may lie unused in its folder.
    pub async fn commit(
        &self,
        table: &str,
        schema: &SchemaRef,
        parts: &[PartFile],
        change: Change<'_>,
        info: &CommitInfo,
    ) -> Result<Committed> {
        let place = self.warehouse.place(table)?;
        let existing = delta::open(&place).await?;
        let mut draft = Draft {
            table,
            place: &place,
            operation: operation(change),
            schema: Some(schema),
            run: &self.run,
            info: Some(info),
            leaving: &[],
            coming: parts,
        };
        let Some(old) = existing else { return self.publish(&draft, None, &[]).await };
        let done = commit::has_transaction(&old, &place, &info.pipeline, info.transaction).await?;
        if let Some(version) = done {
            let (rows_gone, files_rewritten) = (0, 0);
            let already = true;
            return Ok(Committed { version, already, rows_gone, files_rewritten, warning: None });
        }
        let active = delta::files(&old, &place).await?;
        let (ours, others) = table_file::of_source(
            active.clone(),
            table_file::named(info.source.as_deref(), schema),
        )?;
        let replaces = matches!(change, Change::Replace);
        let keeps_rows = !others.is_empty() || (!replaces && !ours.is_empty());
        let schema = self.columns(table, &old, schema, keeps_rows)?;
        let outcome = self.change(table, &schema, ours, change).await?;
        let coming = [outcome.rewritten.parts.as_slice(), parts].concat();
        (draft.schema, draft.leaving, draft.coming) = (Some(&schema), &outcome.leaving, &coming);
        let committed = self.publish(&draft, Some(&old), &active).await?;
        let (rows_gone, files_rewritten) = (outcome.rewritten.rows_gone, outcome.files_rewritten);
        Ok(Committed { rows_gone, files_rewritten, ..committed })
    }

    /// Removes files of a table all of whose rows are of runs before this one, by their column `_run`. None if there is
    /// nothing to remove.
    pub async fn drop_files(&self, table: &str, before_run: &str) -> Result<Option<Committed>> {
        let place = self.warehouse.place(table)?;
        let Some(existing) = delta::open(&place).await? else { return Ok(None) };
        let active = delta::files(&existing, &place).await?;
        // A bound that was cut is larger than the name, so the file stays.
        let old = |file: &&TableFile| file.max(RUN_COLUMN).is_some_and(|run| run < before_run);
        let leaving: Vec<_> = active.iter().filter(old).cloned().collect();
        if leaving.is_empty() {
            return Ok(None);
        }
        let draft = Draft {
            table,
            place: &place,
            operation: Operation::Expire,
            schema: None,
            run: &self.run,
            info: None,
            leaving: &leaving,
            coming: &[],
        };
        self.publish(&draft, Some(&existing), &active).await.map(Some)
    }

    pub(super) fn open_writer(
        &self,
        table: &str,
        stem: &str,
        schema: SchemaRef,
        options: &ParquetOptions,
    ) -> Result<TableWriter> {
        self.warehouse.place(table)?;
        let folder = self.folder().join(table);
        durable::create_folder(&folder)?;
        TableWriter::new(&folder, stem, schema, options)
    }

    /// Moves the files that come into the table's folder and commits.
    pub(super) async fn publish(
        &self,
        draft: &Draft<'_>,
        existing: Option<&DeltaTable>,
        active: &[TableFile],
    ) -> Result<Committed> {
        draft.check_names(active)?;
        draft.place.take_in(draft.coming).await?;
        draft.write(existing).await
    }

    /// The columns of the table from now on.
    fn columns(
        &self,
        table: &str,
        old: &DeltaTable,
        schema: &SchemaRef,
        keeps_rows: bool,
    ) -> Result<SchemaRef> {
        let place = self.warehouse.place(table)?;
        let state = old.snapshot().map_err(|e| place.read_error(e))?;
        commit::check_writable(table, &place, state)?;
        if keeps_rows {
            evolve::merged(table, state.schema().as_ref(), schema)
        } else {
            Ok(schema.clone())
        }
    }

    async fn change(
        &self,
        table: &str,
        columns: &SchemaRef,
        files: Vec<TableFile>,
        change: Change<'_>,
    ) -> Result<Outcome> {
        let nothing = Rewritten { parts: Vec::new(), rows_gone: 0 };
        let (leaving, gone) = match change {
            Change::Replace => (files, None),
            Change::Append => (Vec::new(), None),
            Change::Merge(gone) => {
                (merge::touched(&self.warehouse.place(table)?, files, gone).await?, Some(gone))
            }
        };
        let Some(gone) = gone.filter(|_| !leaving.is_empty()) else {
            return Ok(Outcome { leaving, rewritten: nothing, files_rewritten: 0 });
        };
        let rewritten = self.rewrite(table, columns, leaving.clone(), gone).await?;
        Ok(Outcome { files_rewritten: leaving.len(), leaving, rewritten })
    }

    /// Stages the rows of files without those that go.
    async fn rewrite(
        &self,
        table: &str,
        columns: &SchemaRef,
        files: Vec<TableFile>,
        gone: &[Gone],
    ) -> Result<Rewritten> {
        let files = self.fetch(table, files).await?;
        let (stem, columns) = (format!("part-{}-kept", self.run), merge::stored(columns));
        let writer = self.open_writer(table, &stem, columns.clone(), &self.parquet)?;
        merge::rewrite(&files, gone, &columns, writer)
    }

    /// The files with paths on this machine.
    pub(super) async fn fetch(&self, table: &str, files: Vec<TableFile>) -> Result<Vec<TableFile>> {
        self.warehouse.place(table)?.fetch(files, &self.folder().join(table).join("old")).await
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.warehouse.staging_folder().join(&self.run)
    }
}

/// The column that names the run of a row.
const RUN_COLUMN: &str = "_run";

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed here, the next `begin` removes.
        let _ = durable::remove_folder(&self.folder());
    }
}

fn operation(change: Change<'_>) -> Operation {
    match change {
        Change::Replace => Operation::Replace,
        Change::Merge(_) => Operation::Merge,
        Change::Append => Operation::Append,
    }
}
