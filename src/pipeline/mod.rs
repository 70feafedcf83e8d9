//! Pipelines: what a `pipelines/*.toml` says, and one execution of it.
//!
//! Only this module knows the order of the stages: source → [`ingest`](crate::ingest) → [`flatten`](crate::flatten) →
//! [`warehouse`](crate::warehouse) → [`query`](crate::query).

mod audit;
mod definition;
mod exports;
mod feed;
mod flow;
mod in_order;
mod output;
mod pass;
mod place;
mod progress;
mod rejects;
mod report;
mod run;
mod schemas;
mod source;
mod window;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

pub use audit::{
    Audit, AuditFinding, AuditReport, FindingList, Location, Severity as AuditSeverity,
};
pub use definition::{DEMO, MaxRejects, Pipeline, Query, refuse};
pub use flow::{Flow, Outcome, Times, on_threads};
pub use output::{TableOutput, TextTable};
pub use place::Place;
pub use progress::Progress;
pub use rejects::{REJECTS_TABLE, Reject, RejectLog};
pub use report::{
    ExportReport, FileCounts, RunReport, TableReport, UnresolvedReferences, unresolved_references,
};
pub use run::{Done, RunOptions, check_rejects, environment, flatten, moment, run};
pub use schemas::{Finding, load, load_file, shipped};
pub use source::{ExportSource, Source, base_url, check_types};

use crate::flatten::View;

/// The column that names the run which wrote a row.
pub const RUN_COLUMN: &str = "_run";

/// The schema of a view's table in the warehouse: key, columns, run.
pub fn table_schema(view: &View) -> SchemaRef {
    with_run_field(&view.schema(true))
}

/// A schema with the run column at its end.
fn with_run_field(schema: &SchemaRef) -> SchemaRef {
    let of = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let comment = ("comment".to_owned(), "the run that wrote the row".to_owned());
    let field = Field::new(RUN_COLUMN, of, true).with_metadata([comment].into());
    let fields = schema.fields().iter().cloned().chain([Arc::new(field)]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
