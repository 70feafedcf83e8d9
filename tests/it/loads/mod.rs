//! Loads into a real PostgreSQL server, a DuckDB file, a folder and an object store. Where one of these is not installed,
//! its tests say so and end.

mod crash;
mod drops;
mod duckdb;
mod postgres;
mod refusals;
mod server;
mod tables;
mod types;

use std::path::Path;

use kiln::error::Result;
use kiln::load::{Load, LoadReport, LoadTable, TableVersion};
use kiln::pipeline::file_encoder;

/// The load that a pipeline's text says.
pub(crate) fn load(folder: &Path, text: &str) -> Load {
    let written: LoadTable = toml::from_str(text).unwrap();
    written.check(folder).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
}

/// Performs it.
pub(crate) async fn perform(load: &Load, tables: &[TableVersion], run: &str) -> Result<LoadReport> {
    load.load(tables, run, file_encoder).await
}

/// Rows written, by table.
pub(crate) fn written(report: &LoadReport) -> Vec<(&str, u64)> {
    report.tables.iter().map(|table| (table.table.as_str(), table.rows)).collect()
}
