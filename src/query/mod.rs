//! SQL over the Delta tables of a warehouse: an [`Engine`] runs statements, [`write()`] puts their
//! results out as a table, CSV, NDJSON, JSON or Parquet.

mod catalog;
mod cell;
mod csv;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod functions;
mod json;
mod library;
mod location;
mod output;
mod parquet;
mod results;
mod select;
mod statement;
mod table;
mod terminology;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use arrow::datatypes::SchemaRef;
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::DeltaTable;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use deltalake::kernel::LogicalFileView;
use deltalake::logstore::LogStoreRef;
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::{Error, ErrorKind, Result};
use crate::objects::StoreSettings;

pub(crate) use catalog::quoted;
pub use catalog::{Column, Table};
pub use format::{Encode, Format, Sink};
pub use library::{Dependency, Library, LibraryType, Parameter, ParameterType, Shelf};
use location::Logs;
pub use output::{Output, Partial, Written, write};
pub use results::{ResultSet, Results};
pub use select::{Rows, tables_read};
use terminology::Terminology;
pub use terminology::TerminologyUsed;

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
    /// The url of an object store is read as the environment says.
    ///
    /// Fails with [`ErrorKind::Input`] when the folder is missing or holds no table, and with
    /// [`ErrorKind::Warehouse`] when a table's log cannot be read.
    pub async fn open(warehouse: &Path) -> Result<Self> {
        Self::open_location(&warehouse.to_string_lossy(), &StoreSettings::default()).await
    }

    /// As [`Engine::open`], with what is needed to sign in to an object store.
    pub async fn open_location(location: &str, store: &StoreSettings) -> Result<Self> {
        Self::open_logs(&location::logs(location, store).await?, |_| None).await
    }

    /// Opens tables at versions of the past; those that are not named are not there. A version whose files were removed
    /// fails only when it is read. Errors as [`Engine::open`].
    pub async fn open_versions(warehouse: &Path, versions: &BTreeMap<String, u64>) -> Result<Self> {
        let (location, store) = (warehouse.to_string_lossy(), StoreSettings::default());
        let mut logs = location::logs(&location, &store).await?;
        logs.retain(|name, _| versions.contains_key(name));
        Self::open_logs(&logs, |name| versions.get(name).copied()).await
    }

    async fn open_logs(logs: &Logs, version: impl Fn(&str) -> Option<u64>) -> Result<Self> {
        let context = new_session(Terminology::default());
        let tables = logs.iter().map(|(name, log)| open_table(name, log, version(name)));
        let tables = stream::iter(tables).buffered(AT_A_TIME).try_collect::<Vec<_>>();
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
        let context = new_session(Terminology::empty());
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

/// So many logs are read at a time: enough for an object store that is slow to answer. Each takes a thread, and a
/// thread its memory: with all of a hundred tables at once it was half a gigabyte.
const AT_A_TIME: usize = 8;

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

/// A session without tables.
fn new_session(terminology: Terminology) -> SessionContext {
    let config = session_config().with_extension(Arc::new(terminology));
    let context = SessionContext::new_with_config(config);
    functions::register(&context);
    terminology::register(&context);
    context
}

/// Reads the log of a table, up to a version, or to the one that is current now.
async fn open_table(
    name: &str,
    log: &LogStoreRef,
    version: Option<u64>,
) -> Result<(String, DeltaTable)> {
    let mut table = DeltaTable::new(log.clone());
    let loaded = match version {
        Some(version) => table.load_version(version).await,
        None => table.load().await,
    };
    loaded.map_err(|e| location::unreadable(name, e).at("table", log.root_url()))?;
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
