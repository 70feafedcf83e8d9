//! All integration tests, in one binary: each would link the whole of DataFusion.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod architecture;
mod bad_input;
mod bulk_server;
mod check;
mod check_data;
mod cli;
mod command;
mod crash;
mod determinism;
mod edge_cases;
mod export;
mod export_cli;
mod export_runs;
mod fhirpath;
mod loads;
mod moto;
mod numbers;
mod object_source;
mod oracle;
mod pipelines;
mod plan;
mod references;
mod runs;
mod rust_code;
mod schedule;
mod schemas;
mod shared;
mod sql_on_fhir;
mod strict_views;
mod support;
mod synthea;
mod synthea_counts;
mod views;
mod year;
