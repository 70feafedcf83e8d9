//! `kiln schedule`.

use std::path::PathBuf;

use clap::Args;

use crate::error::Result;

/// `kiln schedule`
#[derive(Debug, Args)]
pub struct ScheduleArguments {
    /// Pipeline files, or folders of them.
    #[arg(required = true)]
    pub pipelines: Vec<PathBuf>,
}

/// Runs pipelines when their schedules say.
pub(super) fn schedule(_arguments: &ScheduleArguments) -> Result<()> {
    todo!()
}
