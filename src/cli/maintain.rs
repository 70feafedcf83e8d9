//! `kiln optimize` and `kiln vacuum`.

use std::path::PathBuf;

use clap::Args;

use crate::error::Result;

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
pub(super) fn optimize(_arguments: &OptimizeArguments) -> Result<()> {
    todo!()
}

/// Removes files that are not needed.
pub(super) fn vacuum(_arguments: &VacuumArguments) -> Result<()> {
    todo!()
}
