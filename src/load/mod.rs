//! Loads tables into other databases and file drops: PostgreSQL, a DuckDB file, CSV, NDJSON or Parquet files.
//!
//! What is loaded is one version of each table, as Parquet files. A target remembers which version of a table it has, so a
//! load that broke off goes on with the tables that are missing.

mod duckdb;
mod files;
mod postgres;
mod rows;
mod settings;
mod stream;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
pub use settings::LoadTable;

/// A load, checked.
#[derive(Debug, Clone)]
pub struct Load {
    name: String,
    tables: Vec<String>,
    target: Target,
}

/// Where a load leads.
#[derive(Debug, Clone)]
enum Target {
    Postgres(postgres::Postgres),
    DuckDb(duckdb::DuckDb),
    Files(files::Files),
}

/// One version of a table.
#[derive(Debug, Clone)]
pub struct TableVersion {
    /// Its name.
    pub name: String,
    /// The Delta version.
    pub version: u64,
    /// Its columns, with comments in the metadata (`comment`); begins with `_key`, ends with `_source`, `_run`, for views.
    pub schema: SchemaRef,
    /// Its Parquet files, local.
    pub files: Vec<PathBuf>,
}

/// What a load did.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    /// Its name.
    pub name: String,
    /// By table.
    pub tables: Vec<LoadedTable>,
}

/// What became of one table.
#[derive(Debug, Clone, Serialize)]
pub struct LoadedTable {
    /// Its name.
    pub table: String,
    /// The Delta version that the target has now.
    pub version: u64,
    /// Rows written; none if the target had this version.
    pub rows: u64,
    /// Values that were changed because the target cannot hold them, by column.
    pub impossible: BTreeMap<String, u64>,
}

/// The formats of file drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// RFC 4180 with a header line.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One Parquet file a table.
    Parquet,
}

/// Takes the rows of a file, batch by batch, then nothing once: the end.
pub type RowSink = Box<dyn FnMut(Option<&RecordBatch>) -> io::Result<()>>;

/// Begins a file of a format: its encoding is not the business of this module.
pub type Encoder = fn(FileFormat, Box<dyn Write + Send>, &SchemaRef) -> io::Result<RowSink>;

impl Load {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tables it asks for; all if it names none.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Brings the target to these versions. `run` names the work in the target; file drops are written by `encoder`.
    ///
    /// # Errors
    /// `TryLater` where the target cannot be reached or is in use, `Refused` where it refuses, or cannot hold what a
    /// table has, `Output` where a file cannot be written. Versions of tables that the target shows are whole always.
    pub async fn load(
        &self,
        tables: &[TableVersion],
        run: &str,
        encoder: Encoder,
    ) -> Result<LoadReport> {
        let loaded = match &self.target {
            Target::Postgres(postgres) => postgres.load(tables, run).await,
            Target::DuckDb(duckdb) => duckdb.load(tables, run).await,
            Target::Files(files) => files.load(tables, run, encoder).await,
        };
        let tables = loaded.map_err(|error| error.within("load", &self.name))?;
        Ok(LoadReport { name: self.name.clone(), tables })
    }
}

impl LoadedTable {
    /// A table that was written.
    fn written(table: &TableVersion, rows: u64) -> Self {
        Self {
            table: table.name.clone(),
            version: table.version,
            rows,
            impossible: BTreeMap::new(),
        }
    }

    /// A table that the target has already.
    fn present(table: &TableVersion) -> Self {
        Self::written(table, 0)
    }
}

/// An identifier of SQL, quoted.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text of SQL, quoted (with standard conforming strings).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}

/// A failure of the machinery itself, such as a thread that cannot be started.
fn broken(doing: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Output, format!("cannot {doing}: {cause}"))
}
