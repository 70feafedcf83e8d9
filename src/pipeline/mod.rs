//! Pipelines: what a `pipelines/*.toml` says, and one execution of it.
//!
//! Only this module knows the order of the stages: source → [`ingest`](crate::ingest) → [`flatten`](crate::flatten) →
//! [`warehouse`](crate::warehouse) → [`query`](crate::query).

mod audit;
mod census;
mod definition;
mod deletions;
mod exports;
mod feed;
mod flow;
mod in_order;
mod instant;
mod loads;
mod model;
mod needs;
mod notify;
mod object_source;
mod output;
mod pass;
mod place;
mod plan;
mod progress;
mod quality;
mod rejects;
mod report;
mod retention;
mod roster;
mod run;
mod schemas;
mod source;
mod statements;
mod synchronise;
mod window;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

pub use audit::{
    Audit, AuditFinding, AuditReport, FindingList, Location, Severity as AuditSeverity,
};
pub use definition::{DEMO, MaxRejects, Pipeline, Query, refuse};
pub use flow::{Care, Flow, Outcome, RowsOf, Times, on_threads};
pub use loads::{encoder as file_encoder, load as load_tables};
pub use model::{Model, ModelReport};
pub use needs::Needed;
pub use notify::Notification;
pub use object_source::ObjectSource;
pub use output::{TableOutput, TextTable};
pub use place::Place;
pub use plan::{Plan, Section};
pub use progress::Progress;
pub use quality::must_support;
pub use rejects::{REJECTS_TABLE, Reject, RejectLog};
pub use report::{
    ExportReport, FileCounts, MembersReport, RunReport, SchemaChange, TableReport,
    UnresolvedReferences, unresolved_references,
};
pub use retention::Retention;
pub use run::{
    Done, RunOptions, check_rejects, environment, flatten, moment, new_run, rebuild, run,
};
pub use schemas::{Finding, Pack, load, load_file, packs, shipped_tables};
pub use source::{ExportSource, Increments, Source, base_url, check_types};
pub use statements::Planned;
pub use synchronise::next_export;

use crate::flatten::View;

/// The column that names the run which wrote a row.
pub const RUN_COLUMN: &str = "_run";

/// The column that names the source of a row; null for a source without a name.
pub const SOURCE_COLUMN: &str = "_source";

/// The schema of a view's table in the warehouse: key, columns, source, run.
pub fn table_schema(view: &View) -> SchemaRef {
    with_origin_fields(&view.schema(true))
}

/// A schema with the columns for source and run at its end.
fn with_origin_fields(schema: &SchemaRef) -> SchemaRef {
    let of = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let field = |name: &str, comment: &str| {
        let comment = ("comment".to_owned(), comment.to_owned());
        Arc::new(Field::new(name, of.clone(), true).with_metadata([comment].into()))
    };
    let fields = schema.fields().iter().cloned().chain([
        field(SOURCE_COLUMN, "the source that the row comes from, if it has a name"),
        field(RUN_COLUMN, "the run that wrote the row"),
    ]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
