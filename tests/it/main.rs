//! All integration tests, in one binary: each would link the whole of DataFusion.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod bad_input;
mod cli;
mod command;
mod fhirpath;
mod schemas;
mod shared;
mod sql_on_fhir;
#[allow(dead_code)]
mod synthea_counts;
mod views;
