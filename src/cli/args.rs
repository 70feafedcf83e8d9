//! What the command line takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::export_args::{ExportArguments, KeygenArguments};
use super::load::LoadArguments;
use super::maintain::{OptimizeArguments, VacuumArguments};
use super::measure::MeasureArguments;
use super::quality::QualityArguments;
use super::runs::{RejectsArguments, RunsArguments};
use super::schedule::ScheduleArguments;
use crate::pipeline::{MaxRejects, base_url};
use crate::query::Format;

/// Turns FHIR bulk exports into columnar analytics.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, after_help = AFTER_HELP)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done · 1 a bug · 2 the command line · 3 a wrong definition or query · 4 the input · \
5 too many rejects, or data not good enough · 6 the output · 7 a query failed while running · 8 the warehouse is damaged · \
9 a server could not for now · 10 a server refuses · 11 an export came with errors

Try it: kiln demo";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a population, turn it into tables and ask them three questions; needs nothing.
    Demo(Threads),
    /// Run a pipeline: source → tables → queries.
    #[command(after_help = "Example: kiln run pipelines/nightly.toml --report report.json")]
    Run(RunArguments),
    /// Flatten resources by views, without a warehouse.
    #[command(after_help = "Examples:
  kiln flatten --view patient export/ | head
  kiln flatten --view my_view.json --format csv export/Patient.*.ndjson.gz > patients.csv
  kiln flatten --view patient --view condition --format parquet --out tables export/")]
    Flatten(FlattenArguments),
    /// Ask the tables of a warehouse; without SQL, at a prompt.
    #[command(after_help = "Examples:
  kiln query 'SELECT gender, count(*) FROM patient GROUP BY gender'
  kiln query --warehouse /data/warehouse --format csv -f cohort.sql --output cohort.csv
  kiln query -f readmissions.sql --param from_day=2026-01-01
  kiln query")]
    Query(QueryArguments),
    /// Count what is missing, doubled or impossible in the tables of a warehouse.
    #[command(after_help = "Examples:
  kiln quality --warehouse /data/warehouse --html quality.html
  kiln quality --format csv --fail-on 'completeness patient.birth_date min 95%'")]
    Quality(QualityArguments),
    /// Say everything that is wrong with pipelines and views, and with the data, before anything runs.
    #[command(after_help = "Examples:
  kiln check pipelines/*.toml schemas/*/*.json
  kiln check --data export/
  kiln check --data export/ --strict --list findings.csv")]
    Check(CheckArguments),
    /// Show the columns and types of views.
    #[command(after_help = "Examples:
  kiln schema                     all shipped schemas of clinical and financial data
  kiln schema terminology         those of one pack
  kiln schema patient my_view.json
  kiln schema --ddl postgres patient")]
    Schema(SchemaArguments),
    /// Turn an annotated SQL file into the FHIR Library that it is, and back.
    #[command(after_help = "Examples:
  kiln library readmissions.sql > Library-readmissions.json
  kiln library Library-readmissions.json > readmissions.sql")]
    Library(LibraryArguments),
    /// Evaluate a quality measure: populations, rate, lists of patients, MeasureReports.
    #[command(after_help = "Examples:
  kiln measure cms122 --period 2026
  kiln measure cms165 --period 2026-Q1 --patients patients.csv --report report.json
  kiln measure measures/my_measure.sql --period 2025-07-01/2026-06-30 --suppress 11 --format csv")]
    Measure(Box<MeasureArguments>),
    /// Perform a Bulk Data export: ask a server, wait, load the files; killed, it goes on with the same command.
    #[command(after_help = "Examples:
  kiln export --dry-run https://example.org/fhir
  kiln export https://example.org/fhir/Group/7/\\$export --out export --type Patient,Condition \\
      --client-id kiln --key private.jwk
  kiln export pipelines/nightly.toml")]
    Export(Box<ExportArguments>),
    /// Run pipelines when their schedules say, until told to stop.
    #[command(after_help = "Example: kiln schedule pipelines/ --listen 127.0.0.1:9187")]
    Schedule(ScheduleArguments),
    /// Show the runs of a warehouse, or what one did.
    #[command(after_help = "Examples:
  kiln runs                       the latest
  kiln runs nightly               of one pipeline
  kiln runs show 20261123T0200    what one did
  kiln runs --table patient       which runs made its versions")]
    Runs(RunsArguments),
    /// Show what a run could not use.
    #[command(after_help = "Example: kiln rejects 20261123T0200 --format csv")]
    Rejects(RejectsArguments),
    /// Load the tables of a warehouse where a pipeline says.
    #[command(after_help = "Example: kiln load pipelines/nightly.toml --only research")]
    Load(LoadArguments),
    /// Fill tables anew: from the exports that are kept, or by a full export.
    #[command(after_help = "Example: kiln rebuild pipelines/nightly.toml patient")]
    Rebuild(RebuildArguments),
    /// Merge small files of tables, and sort their rows.
    #[command(
        after_help = "Example: kiln optimize --warehouse /data/warehouse --sort patient_id observation"
    )]
    Optimize(OptimizeArguments),
    /// Remove files that no version needs that is young enough.
    #[command(after_help = "Example: kiln vacuum --warehouse /data/warehouse --keep 30d --dry-run")]
    Vacuum(VacuumArguments),
    /// Make a key pair for SMART Backend Services, and the public JWKS to register.
    Keygen(KeygenArguments),
    /// Write a synthetic population as a server would export it.
    #[command(after_help = "Example: kiln sample --patients 1000 --seed 7 export/")]
    Sample(SampleArguments),
}

/// How many threads.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Threads {
    /// Threads; by default one for each core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Threads {
    /// The number.
    pub fn count(self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.map_or_else(cores, usize::from)
    }
}

/// `kiln run`
#[derive(Debug, Default, Args)]
pub struct RunArguments {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// Also write the report of the run to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Ask the server for everything, where the pipeline would ask for what has changed.
    #[arg(long)]
    pub full: bool,
    /// The slot of the schedule that this run is for; `kiln schedule` gives it.
    #[arg(long, value_name = "INSTANT", hide = true)]
    pub slot: Option<String>,
    /// Read the text of the pipeline file from standard input; `kiln schedule` gives the last one without mistakes.
    #[arg(long, hide = true)]
    pub from_stdin: bool,
    /// How many threads.
    #[command(flatten)]
    pub threads: Threads,
}

/// `kiln flatten`
#[derive(Debug, Args)]
pub struct FlattenArguments {
    /// A ViewDefinition file, or the name of a shipped schema; may be given several times.
    #[arg(long = "view", value_name = "FILE|NAME", required = true)]
    pub views: Vec<String>,
    /// What to write; NDJSON to standard output and Parquet to a folder by default.
    #[arg(long, value_enum)]
    pub format: Option<TableFormat>,
    /// Folder for one file a view, or `-` for standard output.
    #[arg(long, value_name = "DIR|-", default_value = "-")]
    pub out: PathBuf,
    /// Base url of the server that the resources come from: absolute references below it get keys. Manifests name
    /// theirs themselves; may be given several times.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub base: Vec<String>,
    /// How many lines may be rejected: a number or a percentage of all lines.
    #[arg(long, value_name = "N|P%", default_value = "0.1%")]
    pub max_rejects: MaxRejects,
    /// Lines longer than so many MiB are rejected.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_line_mib: u16,
    /// How many threads.
    #[command(flatten)]
    pub threads: Threads,
    /// Files, directories, patterns or Bulk Data manifests.
    #[arg(required = true)]
    pub inputs: Vec<String>,
}

/// Formats of `kiln flatten`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// One Parquet file a view, zstd.
    Parquet,
    /// RFC 4180 with a header line; null is empty, the empty text is `""`.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// `kiln query`
#[derive(Debug, Args)]
pub struct QueryArguments {
    /// The folder of the tables, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// The tables as a run left them, or as they were at a time: `20261123T0200…`, `2026-11-23` (the end of that day,
    /// UTC), `2026-11-23T02:00:00Z`.
    #[arg(long, value_name = "RUN|TIME")]
    pub as_of: Option<String>,
    /// How results are written.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Write the result to this file, whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Read the statements from this file; an SQLQuery (`@name`, `@param`, `@relatedDependency` in its comments, or the
    /// FHIR Library as `.json`) is run with its parameters and dependencies.
    #[arg(short, long, value_name = "FILE", conflicts_with = "sql")]
    pub file: Option<PathBuf>,
    /// The value of a parameter of an SQLQuery; may be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE", requires = "file", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,
    /// A folder where the SQLViews are that it depends on, by default its own folder; may be given several times.
    #[arg(long = "library", value_name = "DIR", requires = "file")]
    pub libraries: Vec<PathBuf>,
    /// The warehouse of code systems, value sets and concept maps, where it is another one.
    #[arg(long, value_name = "DIR")]
    pub terminology: Option<String>,
    /// The statements.
    pub sql: Option<String>,
}

/// `NAME=VALUE`
pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is given as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `kiln library`
#[derive(Debug, Args)]
pub struct LibraryArguments {
    /// An annotated `.sql` file, or the FHIR Library as `.json`.
    pub file: PathBuf,
}

/// `kiln check`
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Pipelines (`.toml`), views (`.json`), SQLQuery and SQLView files (`.sql`).
    #[arg(required_unless_present = "sources")]
    pub files: Vec<PathBuf>,
    /// What the options for data say.
    #[command(flatten)]
    pub data: DataArguments,
}

/// `kiln check --data`
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArguments {
    /// Tell what is wrong with these files, directories, patterns or Bulk Data manifests: references to nothing, ids
    /// that are missing or used twice, JSON that is not R4's. No content is shown.
    #[arg(long = "data", value_name = "SOURCE", num_args = 1..)]
    pub sources: Vec<String>,
    /// Base url of the server that the resources come from: absolute references below it are to resources of the
    /// data. Manifests name theirs themselves; may be given several times.
    #[arg(long, value_name = "URL", value_parser = base_url, requires = "sources")]
    pub base: Vec<String>,
    /// Write every finding to this file (`.csv`, `.ndjson`), with file, line, path and the reference, id or key that it
    /// is about. Only its owner can read it.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub list: Option<PathBuf>,
    /// End with code 5 if there are errors in the data; notes do not count.
    #[arg(long, requires = "sources")]
    pub strict: bool,
    /// How the findings, or the plans of pipelines, are written.
    #[arg(long, value_enum, default_value = "table")]
    pub format: AuditFormat,
    /// How many threads.
    #[command(flatten)]
    pub threads: Threads,
}

/// Formats of `kiln check --data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// Aligned text for people.
    Table,
    /// One JSON object.
    Json,
}

/// `kiln schema`
#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// As `CREATE TABLE` statements.
    #[arg(long, value_enum)]
    pub ddl: Option<Dialect>,
    /// As one page of Markdown: every table and column of every shipped schema, by pack.
    #[arg(long, conflicts_with_all = ["ddl", "views"])]
    pub markdown: bool,
    /// ViewDefinition files, names of shipped schemas or packs of them; `us-core` and `financial` by default.
    pub views: Vec<String>,
}

/// Dialects of `kiln schema --ddl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// PostgreSQL
    Postgres,
    /// DuckDB
    Duckdb,
}

/// `kiln sample`
#[derive(Debug, Args)]
pub struct SampleArguments {
    /// How many patients.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub patients: u32,
    /// Which population: the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The folder to write to; must be empty or not exist.
    pub out: PathBuf,
}

/// `kiln rebuild`
#[derive(Debug, Args)]
pub struct RebuildArguments {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// Which tables; all by default.
    pub tables: Vec<String>,
    /// How many threads.
    #[command(flatten)]
    pub threads: Threads,
}
