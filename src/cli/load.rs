//! `kiln load`.

use std::path::PathBuf;

use clap::Args;

use crate::error::Result;

/// `kiln load`
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// Only the load with this name; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

/// Runs the loads of a pipeline on its tables as they are.
pub(super) fn load(_arguments: &LoadArguments) -> Result<()> {
    todo!()
}
