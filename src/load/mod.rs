//! Loads tables into other databases and file drops: PostgreSQL, a DuckDB file, CSV, NDJSON or Parquet files.
//!
//! What is loaded is one version of each table, as Parquet files. A target remembers which version of a table it has, so a
//! load that broke off goes on with the tables that are missing.

use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::objects::StoreSettings;
use crate::settings::{Mistake, Secret};

/// `[[load]]` of a pipeline as written. Extend and document it as needed; keep the names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadTable {
    /// Names it in reports; the target by default.
    pub name: Option<String>,
    /// `postgres`, `duckdb` or `files`.
    pub to: String,
    /// Which tables, views' and models'; all by default. `_rejects` only if it is named.
    #[serde(default)]
    pub tables: Vec<String>,
    /// PostgreSQL: the connection url, usually a secret.
    pub url: Option<Secret>,
    /// PostgreSQL: the schema of the tables.
    pub schema: Option<String>,
    /// PostgreSQL: `swap` (default) or `merge`.
    pub mode: Option<String>,
    /// PostgreSQL: what happens to NUL bytes and other values that it cannot hold: `refuse` (default), `remove`, `null`.
    pub impossible: Option<String>,
    /// Columns that get an index where a table has them; keys do always.
    #[serde(default)]
    pub indexes: Vec<String>,
    /// DuckDB: the file. Files: the folder, or `s3://bucket/prefix`.
    pub path: Option<String>,
    /// DuckDB: the shared library of the driver, if it is not found.
    pub driver: Option<PathBuf>,
    /// Files: `csv`, `ndjson` or `parquet` (default).
    pub format: Option<String>,
    /// How the object store of `path` is reached.
    pub store: Option<StoreSettings>,
}

/// A load, checked.
#[derive(Debug, Clone)]
pub struct Load {}

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
    pub impossible: std::collections::BTreeMap<String, u64>,
}

impl LoadTable {
    /// Checks it; relative paths begin at `folder`. Paths of mistakes are below the load (`url`, not `load[0].url`).
    pub fn check(&self, _folder: &Path) -> Result<Load, Vec<Mistake>> {
        todo!()
    }
}

impl Load {
    /// What it is called.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The tables it asks for; all if it names none.
    pub fn tables(&self) -> &[String] {
        todo!()
    }

    /// Brings the target to these versions. `run` names the work in the target.
    pub async fn load(&self, _tables: &[TableVersion], _run: &str) -> Result<LoadReport> {
        todo!()
    }
}
