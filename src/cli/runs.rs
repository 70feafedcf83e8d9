//! `kiln runs` and `kiln rejects`.

use std::path::PathBuf;

use clap::Args;

use crate::error::Result;

/// `kiln runs`
#[derive(Debug, Args)]
pub struct RunsArguments {
    /// The folder of the tables.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// `show RUN`, or the name of a pipeline.
    pub what: Vec<String>,
}

/// `kiln rejects`
#[derive(Debug, Args)]
pub struct RejectsArguments {
    /// The folder of the tables.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// The run, or the beginning of its name; the latest by default.
    pub run: Option<String>,
}

/// Shows runs.
pub(super) fn runs(_arguments: &RunsArguments) -> Result<()> {
    todo!()
}

/// Shows what a run could not use.
pub(super) fn rejects(_arguments: &RejectsArguments) -> Result<()> {
    todo!()
}
