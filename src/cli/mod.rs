//! The command line: arguments in, one short function a subcommand, an exit code out.

mod account;
mod args;
mod commands;
mod ddl;
mod export;
mod export_args;
mod load;
mod maintain;
mod measure;
mod progress;
mod prompt;
mod quality;
mod query;
mod report;
mod runs;
mod schedule;

use std::process::ExitCode;

use clap::Parser;

pub use args::Arguments;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap knows where help and mistakes go; a closed pipe is nobody's concern here.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if report::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
