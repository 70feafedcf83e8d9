//! `kiln measure`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::{query, report};
use crate::error::Result;
use crate::measure::{
    Comparison, Evaluation, Expected, Measure, Period, Summary, evaluate, write_individual,
    write_patients, write_summary,
};
use crate::objects::StoreSettings;
use crate::query::{Format, TerminologyUsed};

/// `kiln measure`
#[derive(Debug, Args)]
pub struct MeasureArguments {
    /// A measure file, or the name of a shipped measure.
    #[arg(value_name = "FILE|NAME")]
    pub measure: String,
    /// The measurement period: `2026`, `2026-Q1`, `2026-01`, `2026-01-01/2026-12-31`.
    #[arg(long)]
    pub period: Period,
    /// The value of another parameter of the file; may be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = super::args::parameter)]
    pub parameters: Vec<(String, String)>,
    /// The folder of the tables, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// The warehouse of code systems, value sets and concept maps, where it is another one.
    #[arg(long, value_name = "DIR")]
    pub terminology: Option<String>,
    /// The tables as a run left them, or as they were at a time, as in `kiln query`.
    #[arg(long, value_name = "RUN|TIME")]
    pub as_of: Option<String>,
    /// How the summary is written.
    #[arg(long, value_enum, default_value = "table")]
    pub format: SummaryFormat,
    /// Show no count from 1 to N - 1 in the summary, and none that would give one away.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    pub suppress: Option<u64>,
    /// Write who is in which population to this file (`patient_id`, `population`, strata). Only its owner can read it.
    #[arg(long, value_name = "FILE.csv")]
    pub patients: Option<PathBuf>,
    /// Write a FHIR MeasureReport of type summary to this file, with all counts.
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// Write a FHIR MeasureReport for each patient of the initial population to this file. Only its owner can read it.
    #[arg(long, value_name = "FILE.ndjson")]
    pub individual: Option<PathBuf>,
    /// Compare with what a test deck expects (`patient_id,group,population,count`); end with code 5 if anything differs.
    #[arg(long, value_name = "FILE.csv")]
    pub expected: Option<PathBuf>,
}

/// Formats of `kiln measure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// Text for people.
    Table,
    /// One JSON object, with the terminology that was used.
    Json,
    /// RFC 4180 with a header line.
    Csv,
}

/// Evaluates a measure and writes what is asked for.
pub(super) async fn measure(arguments: &MeasureArguments) -> Result<()> {
    // Mistakes in files show before anything runs.
    let measure = Measure::find(&arguments.measure)?;
    let expected = arguments.expected.as_deref().map(Expected::read).transpose()?;
    let engine = query::open(&arguments.warehouse, arguments.as_of.as_deref()).await?;
    let engine = match &arguments.terminology {
        Some(other) => engine.with_terminology(other, &StoreSettings::default()).await?,
        None => engine,
    };
    let values = arguments.parameters.iter().cloned().collect();
    let evaluated = evaluate(&engine, measure, arguments.period, &values).await;
    let evaluation = evaluated.map_err(|e| e.within("measure", &arguments.measure))?;
    let comparison = expected.map(|expected| expected.compare(&evaluation));
    terminology(&evaluation.terminology);
    for warning in &evaluation.warnings {
        report::plain(&format!("warning: {warning}"));
    }
    files(arguments, &evaluation, comparison.as_ref())?;
    show(arguments, &evaluation, comparison.as_ref())?;
    comparison.map_or(Ok(()), |comparison| comparison.conclude())
}

fn files(
    arguments: &MeasureArguments,
    evaluation: &Evaluation,
    comparison: Option<&Comparison>,
) -> Result<()> {
    let now = Timestamp::now();
    if let Some(path) = &arguments.patients {
        write_patients(path, evaluation, comparison)?;
    }
    if let Some(path) = &arguments.report {
        write_summary(path, evaluation, now)?;
    }
    match &arguments.individual {
        Some(path) => write_individual(path, evaluation, now),
        None => Ok(()),
    }
}

fn show(
    arguments: &MeasureArguments,
    evaluation: &Evaluation,
    comparison: Option<&Comparison>,
) -> Result<()> {
    let summary = Summary::new(evaluation, arguments.suppress);
    if let Some(comparison) = comparison {
        compared(comparison);
    }
    match arguments.format {
        SummaryFormat::Table => report::text(&summary.text()),
        SummaryFormat::Csv => report::rows(&summary.rows(), Format::Csv),
        SummaryFormat::Json => {
            let mut json = summary.json();
            if let Some(comparison) = comparison {
                json["comparison"] = json!({
                    "compared": comparison.compared(),
                    "different": comparison.differences.len(),
                    "not_expected": comparison.not_expected,
                    "populations": comparison.populations,
                });
            }
            report::json(&json)
        }
    }
}

/// Which terminology decided, in short; the summary as JSON has all of it.
fn terminology(used: &[TerminologyUsed]) {
    if used.is_empty() {
        return;
    }
    let count = |resource: &str| used.iter().filter(|u| u.resource == resource).count();
    let kinds = [
        ("ValueSet", "value sets"),
        ("ConceptMap", "concept maps"),
        ("CodeSystem", "code systems"),
    ];
    let kinds = kinds.map(|(resource, name)| (count(resource), name));
    let kinds: Vec<_> =
        kinds.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{name}: {n}")).collect();
    let rows: usize = used.iter().map(|u| u.rows).sum();
    report::plain(&format!("terminology used: {}; codes: {rows}", kinds.join(", ")));
    for empty in used.iter().filter(|u| u.rows == 0) {
        report::plain(&format!("warning: nothing is in `{}`", empty.canonical));
    }
}

/// How the counts compare, by population.
fn compared(comparison: &Comparison) {
    let line = |cells: [&str; 6]| {
        let [population, patients, expected, found, missing, unexpected] = cells;
        format!(
            "{population:<22} {patients:>9} {expected:>9} {found:>9} {missing:>9} {unexpected:>11}"
        )
    };
    report::plain(&line(["compared", "patients", "expected", "found", "missing", "unexpected"]));
    for c in &comparison.populations {
        let counts =
            [c.patients, c.expected, c.found, c.missing, c.unexpected].map(|n| n.to_string());
        let [patients, expected, found, missing, unexpected] = &counts;
        report::plain(&line([c.population, patients, expected, found, missing, unexpected]));
    }
    if comparison.not_expected > 0 {
        let n = comparison.not_expected;
        report::plain(&format!(
            "patients of the initial population that the file does not name: {n}"
        ));
    }
}
