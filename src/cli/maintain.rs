//! `kiln optimize` and `kiln vacuum`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::commands::block_on;
use super::report;
use crate::error::{Error, ErrorKind, Result};
use crate::objects::{self, StoreSettings};
use crate::settings::Span;
use crate::warehouse::{ParquetOptions, Warehouse};

/// `kiln optimize`
#[derive(Debug, Args)]
pub struct OptimizeArguments {
    /// The folder of the tables, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// The folder of the state of a warehouse in an object store, as its pipelines name it.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Columns to sort by; tables that lack one are sorted by the others.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub sort: Vec<String>,
    /// Which tables; all by default.
    pub tables: Vec<String>,
}

/// `kiln vacuum`
#[derive(Debug, Args)]
pub struct VacuumArguments {
    /// The folder of the tables, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// The folder of the state of a warehouse in an object store, as its pipelines name it.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Versions younger than this stay readable: `30d`, `12h`.
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    pub keep: String,
    /// Say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Which tables; all by default.
    pub tables: Vec<String>,
}

/// Merges small files and sorts rows.
pub(super) fn optimize(arguments: &OptimizeArguments) -> Result<()> {
    let warehouse = open(&arguments.warehouse, arguments.state.as_deref())?;
    let options = ParquetOptions::default();
    let done = block_on(warehouse.optimize(&arguments.tables, &arguments.sort, &options))?;
    report::optimized(&done)
}

/// Removes files that are not needed.
pub(super) fn vacuum(arguments: &VacuumArguments) -> Result<()> {
    let warehouse = open(&arguments.warehouse, arguments.state.as_deref())?;
    let keep = Span(arguments.keep.clone()).duration().ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`{}` is no span of time", arguments.keep))
            .hint("write `--keep 30d` or `--keep 12h`; `--keep 0s` keeps only what is current")
    })?;
    let removed = block_on(warehouse.vacuum(&arguments.tables, keep, arguments.dry_run))?;
    report::vacuumed(&removed, arguments.dry_run)
}

/// The warehouse; an object store is signed in to as the environment says.
fn open(warehouse: &Path, state: Option<&Path>) -> Result<Warehouse> {
    match (warehouse.to_str(), state) {
        (Some(url), Some(state)) if objects::is_url(url) => {
            Warehouse::open_location(url, state, &StoreSettings::default())
        }
        _ => Warehouse::open(warehouse),
    }
}
