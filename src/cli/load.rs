//! `kiln load`.

use std::path::PathBuf;

use clap::Args;

use super::commands::{accept, block_on};
use super::report;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{self, Pipeline};

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
pub(super) fn load(arguments: &LoadArguments) -> Result<()> {
    let pipeline = accept(Pipeline::load(&arguments.pipeline))?;
    if pipeline.loads.is_empty() {
        return Err(Error::new(ErrorKind::Definition, "the pipeline has no load").hint(
            "a load is a table `[[load]]`, with `to = \"postgres\"`, `\"duckdb\"` or `\"files\"`",
        ));
    }
    let run = pipeline::new_run();
    let reports = block_on(pipeline::load_tables(&pipeline, &arguments.only, &run))?;
    report::loads(&reports);
    Ok(())
}
