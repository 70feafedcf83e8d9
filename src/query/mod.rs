//! SQL over the Delta tables of a warehouse: an [`Engine`] runs statements, [`write()`] puts their
//! results out as a table, CSV, NDJSON, JSON or Parquet.

mod catalog;
mod cell;
mod csv;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod json;
mod output;
mod parquet;
mod results;
mod select;
mod statement;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use arrow::datatypes::SchemaRef;
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::DeltaTable;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use deltalake::kernel::LogicalFileView;
use futures::future::try_join_all;

use crate::error::{Error, ErrorKind, Result};

pub(crate) use catalog::quoted;
pub use catalog::{Column, Table};
pub use format::{Encode, Format, Sink};
pub use output::{Output, Partial, Written, write};
pub use results::{ResultSet, Results};
pub use select::{Rows, tables_read};

/// A read-only SQL session over one warehouse. Timestamps, `now()` and `current_date` are UTC.
///
/// A table keeps, for the life of the session, the version that was current when it was opened:
/// two statements never see two states of it.
pub struct Engine {
    context: SessionContext,
    /// Rows by table, for those whose files all carry a row count in the Delta log.
    rows: BTreeMap<String, u64>,
}

impl Engine {
    /// Opens every table of the `warehouse` folder: each sub-folder that holds a `_delta_log` with an
    /// entry is a table named as the folder. Folders starting with `_kiln` or a dot are not tables.
    ///
    /// Fails with [`ErrorKind::Input`] when the folder is missing or holds no table, and with
    /// [`ErrorKind::Warehouse`] when a table's log cannot be read.
    pub async fn open(warehouse: &Path) -> Result<Self> {
        Self::open_folders(&table_folders(warehouse)?, |_| None).await
    }

    /// Opens tables at versions of the past; those that are not named are not there. A version whose files were removed
    /// fails only when it is read. Errors as [`Engine::open`].
    pub async fn open_versions(warehouse: &Path, versions: &BTreeMap<String, u64>) -> Result<Self> {
        let mut folders = table_folders(warehouse)?;
        folders.retain(|name, _| versions.contains_key(name));
        Self::open_folders(&folders, |name| versions.get(name).copied()).await
    }

    async fn open_folders(
        folders: &BTreeMap<String, PathBuf>,
        version: impl Fn(&str) -> Option<u64>,
    ) -> Result<Self> {
        let context = SessionContext::new_with_config(session_config());
        let tables = folders.iter().map(|(name, folder)| open_table(name, folder, version(name)));
        let tables = try_join_all(tables);
        let mut rows = BTreeMap::new();
        for (name, table) in tables.await? {
            if let Some(count) = register(&context, &name, &table)? {
                rows.insert(name, count);
            }
        }
        Ok(Self { context, rows })
    }

    /// A session over tables without rows, to check statements before there is any data.
    pub fn over_schemas(tables: &[(String, SchemaRef)]) -> Result<Self> {
        let context = SessionContext::new_with_config(session_config());
        let engine = Self { context, rows: BTreeMap::new() };
        tables.iter().try_for_each(|(name, schema)| engine.add_schema(name, schema))?;
        Ok(engine)
    }

    /// Runs all statements of `sql` and drops their rows: whatever is wrong with them shows.
    pub async fn check(&self, sql: &str) -> Result<()> {
        let mut results = self.run(sql)?;
        while let Some(mut set) = results.next().await? {
            while set.next().await?.is_some() {}
        }
        Ok(())
    }

    /// The tables of the warehouse and the views and tables made in this session, by name.
    pub async fn tables(&self) -> Vec<Table> {
        catalog::tables(&self.context, &self.rows).await
    }

    /// Reads `sql`, one statement or several separated by `;`, and refuses the whole text if any
    /// of them is malformed or would write. Nothing runs yet: each statement is planned and
    /// started when [`Results::next`] reaches it.
    pub fn run(&self, sql: &str) -> Result<Results> {
        let statements = statement::parse(sql)?;
        Ok(Results::new(self.context.clone(), sql, statements))
    }
}

/// Rows that operators hand on at a time: twice the default, which takes a fifth off the sum of the benchmark queries.
const BATCH_ROWS: usize = 16_384;

/// Up to this size the smaller side of a join is one hash table for all threads, and the larger side goes by without
/// being sent from thread to thread: a quarter less time for a join of two large tables (query 6 of the benchmark).
const SHARED_BUILD_BYTES: u64 = 256 << 20;
const SHARED_BUILD_ROWS: u64 = 4_000_000;

/// The settings of every session.
fn session_config() -> SessionConfig {
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    SessionConfig::new()
        .with_target_partitions(cpus)
        .with_information_schema(true)
        .with_collect_statistics(true)
        .with_batch_size(BATCH_ROWS)
        .set_u64("datafusion.optimizer.hash_join_single_partition_threshold", SHARED_BUILD_BYTES)
        .set_u64(
            "datafusion.optimizer.hash_join_single_partition_threshold_rows",
            SHARED_BUILD_ROWS,
        )
        // Measured on the ten benchmark queries: one gains, the others lose; the sum is equal.
        .set_bool("datafusion.execution.parquet.pushdown_filters", false)
        .set_bool("datafusion.sql_parser.collect_spans", true)
        .set_str("datafusion.execution.time_zone", "UTC")
}

/// The folders of `warehouse` that are Delta tables, by name.
fn table_folders(warehouse: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let unreadable = |e| {
        Error::io(ErrorKind::Input, "read the warehouse", warehouse, e)
            .hint("name the folder that `kiln run` wrote to with `--warehouse`")
    };
    let root = warehouse.canonicalize().map_err(unreadable)?;
    let mut folders = BTreeMap::new();
    for entry in root.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let hidden = name.starts_with("_kiln") || name.starts_with('.');
        if !hidden && has_version(&path) {
            folders.insert(name.to_owned(), path);
        }
    }
    if folders.is_empty() {
        return Err(Error::new(
            ErrorKind::Input,
            format!("the warehouse `{}` holds no tables", warehouse.display()),
        )
        .hint("run a pipeline into it first, or name another folder with `--warehouse`"));
    }
    Ok(folders)
}

/// Whether a folder has a Delta log with an entry. A log without one is what a run leaves that is killed before its
/// first commit: there is no table yet.
fn has_version(folder: &Path) -> bool {
    let is_entry = |name: &Path| name.extension().is_some_and(|e| e == "json" || e == "parquet");
    let log = folder.join("_delta_log").read_dir();
    log.is_ok_and(|entries| entries.flatten().any(|entry| is_entry(&entry.path())))
}

/// Reads the log of the table in `folder`, up to a version, or to the one that is current now.
async fn open_table(
    name: &str,
    folder: &Path,
    version: Option<u64>,
) -> Result<(String, DeltaTable)> {
    let unreadable = |e: deltalake::DeltaTableError| {
        Error::new(ErrorKind::Warehouse, format!("cannot open the table `{name}`: {e}"))
            .at("folder", folder.display())
            .caused_by(e)
    };
    let path = folder.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Input, "the warehouse has a path that is not UTF-8")
            .at("folder", folder.display())
    })?;
    let url = deltalake::ensure_table_uri(path).map_err(unreadable)?;
    let table = match version {
        Some(version) => deltalake::open_table_with_version(url, version).await,
        None => deltalake::open_table(url).await,
    };
    let table = table.map_err(unreadable)?;
    Ok((name.to_owned(), table))
}

/// Makes `table` known to the session as `name`, and gives its row count if its log has it.
fn register(context: &SessionContext, name: &str, table: &DeltaTable) -> Result<Option<u64>> {
    let failed = |e: datafusion::error::DataFusionError| {
        Error::new(ErrorKind::Warehouse, format!("cannot read the table `{name}`: {e}"))
    };
    let snapshot = table.snapshot().map_err(|e| failed(e.into()))?.snapshot();
    let rows = snapshot.log_data().iter().map(|file| row_count(&file)).sum();
    // Partition columns in dictionaries would save memory, but make hash joins on them panic.
    let config =
        DeltaScanConfig::new_from_session(&context.state()).with_wrap_partition_values(false);
    let scan = DeltaScanNext::new(Arc::new(snapshot.clone()), config).map_err(failed)?;
    let reference = datafusion::common::TableReference::bare(name);
    context.register_table(reference, Arc::new(scan)).map_err(failed)?;
    table.update_datafusion_session(&context.state()).map_err(|e| failed(e.into()))?;
    Ok(rows)
}

/// The rows of a data file, if the log says it: a file with a deletion vector holds fewer than
/// its statistics count.
fn row_count(file: &LogicalFileView) -> Option<u64> {
    let whole = file.deletion_vector_descriptor().is_none();
    file.num_records().filter(|_| whole).map(|rows| rows as u64)
}
