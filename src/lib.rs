//! Kiln turns FHIR bulk exports into columnar analytics: NDJSON in, Delta Lake tables and SQL out.
//!
//! # The flow
//!
//! ```text
//!            files → splits → blocks          views                     Parquet, Delta log
//! export ──► ingest ─────────────────► flatten ──► RecordBatch ──► warehouse ──► query ──► person, measure
//! sample ──►   │        tape of a line  (fhirpath, fhir)              │            ▲
//!              └─► rejects: data, counted, a table of their own ──────┘            │
//!                          pipeline: says what, in which order; tells what happened┘ ──► load ──► other databases
//!                          schedule: when              history: what happened
//! ```
//!
//! # The modules, in the order data passes them
//!
//! - [`sample`]: a synthetic population, written as a server would export it.
//! - [`export`]: performs a Bulk Data export: kick-off, polling, files; goes on wherever it was stopped.
//! - [`ingest`]: files → splits → blocks of lines → parsed tapes; every line ends as a resource, a reject or a blank.
//! - [`fhir`]: the R4 element table: which elements a type has, of which types, whether they repeat; and what the text
//!   of a Reference points at.
//! - [`fhirpath`]: expressions, compiled once and run on the tape.
//! - [`flatten`]: ViewDefinitions, compiled; resources → rows → columns → record batches.
//! - [`warehouse`]: Parquet encoding, staging, Delta commits; the only module that knows paths.
//! - [`query`]: SQL over the tables, and how results are written.
//! - [`measure`]: quality measures: a query's rows become populations, a rate, and FHIR MeasureReports.
//! - [`quality`]: counts what is missing, doubled or impossible in the tables, by SQL, and judges it by rules.
//! - [`load`]: brings versions of tables into PostgreSQL, DuckDB files and file drops.
//! - [`history`]: which runs there were, what they have synchronised; one SQLite file.
//! - [`pipeline`]: what a `pipelines/*.toml` says, one run of it (in full, or what has changed), and the audit of an
//!   export's data: the only module that knows the order of stages.
//! - [`schedule`]: when pipelines run, and the service that starts them.
//! - [`cli`]: the command line; the only module that prints.
//! - [`error`], [`settings`] (mistakes, secrets, spans of time), [`suggest`], `clock`, `durable` (files that are whole or not
//!   there), `objects` (object stores), `temporal` (dates and times as FHIR writes them) and `ucum` (units) belong to all.
//!
//! `main → cli → {schedule → history, pipeline → {sample, export, ingest, flatten → fhirpath → fhir, warehouse, query, quality → query, load,
//! history, schedule}}`. A stage imports no other stage: they meet only in other people's types (files, tape nodes, record batches, Delta tables). The rule is a test
//! (`tests/it/architecture.rs`).
//!
//! # Invariants
//!
//! 1. **Nothing is lost silently.** Lines = resources + Bundles + rejects + blanks, for each file; resources of a type =
//!    with rows + without rows + failed + passed over (older versions), for each table. A report that does not add up is a panic, not a number.
//! 2. **Nothing half-done is visible.** A table changes by one atomic commit.
//! 3. **Same input, same output**, whatever the number of threads: work is numbered by the input, and put in order.
//! 4. **Parse once.** One pass over a file feeds every view; memory is bounded by threads, not by input.
//! 5. **Lossless by default.** Text is as written, `1.50` stays `1.50`; what a typed column cannot hold is null and
//!    counted, and so is a reference that has no key.
//! 6. **Checked before the first byte.** Mistakes in pipelines, views and queries are refused at load, with their place.
//! 7. **PHI stays out** of logs and errors, and so do secrets; a token goes only where the protocol allows.

pub mod cli;
mod clock;
mod durable;
pub mod error;
pub mod export;
pub mod fhir;
pub mod fhirpath;
pub mod flatten;
pub mod history;
pub mod ingest;
pub mod load;
pub mod measure;
mod objects;
pub mod pipeline;
pub mod quality;
pub mod query;
pub mod sample;
pub mod schedule;
pub mod settings;
pub mod suggest;
mod temporal;
mod ucum;
pub mod warehouse;
