//! `kiln optimize` and `kiln vacuum`.

use std::path::PathBuf;

use clap::Args;

use super::commands::block_on;
use super::report;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::Span;
use crate::warehouse::{ParquetOptions, Warehouse};

/// `kiln optimize`
#[derive(Debug, Args)]
pub struct OptimizeArguments {
    /// The folder of the tables.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// Columns to sort by; tables that lack one are sorted by the others.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub sort: Vec<String>,
    /// Which tables; all by default.
    pub tables: Vec<String>,
}

/// `kiln vacuum`
#[derive(Debug, Args)]
pub struct VacuumArguments {
    /// The folder of the tables.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
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
    let warehouse = Warehouse::open(&arguments.warehouse)?;
    let options = ParquetOptions::default();
    let done = block_on(warehouse.optimize(&arguments.tables, &arguments.sort, &options))?;
    report::optimized(&done)
}

/// Removes files that are not needed.
pub(super) fn vacuum(arguments: &VacuumArguments) -> Result<()> {
    let warehouse = Warehouse::open(&arguments.warehouse)?;
    let keep = Span(arguments.keep.clone()).duration().ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`{}` is no span of time", arguments.keep))
            .hint("write `--keep 30d` or `--keep 12h`; `--keep 0s` keeps only what is current")
    })?;
    let removed = block_on(warehouse.vacuum(&arguments.tables, keep, arguments.dry_run))?;
    report::vacuumed(&removed, arguments.dry_run)
}
