//! A run's part files before their commit, and their move into the table.

use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;

use super::change::Change;
use super::delta::{self, CommitInfo, Committed, Replacement};
use super::part::PartFile;
use super::writer::{ParquetOptions, TableWriter};
use super::{Lock, Warehouse};
use crate::durable;
use crate::error::Result;

/// The staging area of one run. Holds the warehouse's lock; dropping it removes what was not
/// committed and gives the lock back.
#[derive(Debug)]
pub struct Staging {
    warehouse: Warehouse,
    run: String,
    _lock: Lock,
}

impl Staging {
    pub(super) fn new(warehouse: Warehouse, run: String, lock: Lock) -> Self {
        Self { warehouse, run, _lock: lock }
    }

    /// A writer of part files for a table, which need not exist.
    pub fn writer(
        &self,
        table: &str,
        schema: SchemaRef,
        options: &ParquetOptions,
    ) -> Result<TableWriter> {
        self.warehouse.table_folder(table)?;
        let folder = self.folder().join(table);
        durable::create_folder(&folder)?;
        TableWriter::new(&folder, &format!("part-{}", self.run), schema, options)
    }

    /// Changes the table by these files, in one version; creates the table if it does not exist. Does nothing if the
    /// table has this transaction already.
    ///
    /// An error leaves the table at its last version; files may lie unused in its folder.
    pub async fn commit(
        &self,
        table: &str,
        schema: &SchemaRef,
        parts: &[PartFile],
        change: Change<'_>,
        info: &CommitInfo,
    ) -> Result<Committed> {
        let Change::Replace = change else { todo!() };
        let folder = self.warehouse.table_folder(table)?;
        let existing = delta::open(&folder).await?;
        let replacement = Replacement { table, folder: &folder, schema, run: &self.run, info };
        if let Some(done) = replacement.already_committed(existing.as_ref()).await? {
            return Ok(done);
        }
        let commit = replacement.prepare(existing, parts).await?;
        move_into(&folder, parts)?;
        commit.write().await
    }

    fn folder(&self) -> PathBuf {
        self.warehouse.staging_folder().join(&self.run)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed here, the next `begin` removes.
        let _ = durable::remove_folder(&self.folder());
    }
}

/// Renames part files into the table's folder, durably: the log must not name a file that a power
/// cut takes away.
fn move_into(folder: &Path, parts: &[PartFile]) -> Result<()> {
    durable::create_folder(&folder.join("_delta_log"))?;
    for part in parts {
        if let Some(name) = part.path.file_name() {
            durable::rename(&part.path, &folder.join(name))?;
        }
    }
    durable::sync_folder(folder)?;
    folder.parent().map_or(Ok(()), durable::sync_folder)
}
