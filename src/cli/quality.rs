//! `kiln quality`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::commands::block_on;
use super::report;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline;
use crate::quality::{self, Measure, Rule, Scope};
use crate::query::Engine;

/// `kiln quality`
#[derive(Debug, Args)]
pub struct QualityArguments {
    /// The folder of the tables, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// What goes to standard output: what needs a look, or all counts.
    #[arg(long, value_enum, default_value = "table")]
    pub format: QualityFormat,
    /// Also write a page for browsers to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also write all counts to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Show counts from 1 to 10 in CSV and HTML, which have `<11` for them.
    #[arg(long)]
    pub exact: bool,
    /// End with code 5 if this is not so: `completeness patient.birth_date min 95%`, `orphans *.patient_id max 0`. Several
    /// times for several rules.
    #[arg(long, value_name = "RULE")]
    pub fail_on: Vec<Rule>,
}

/// How counts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QualityFormat {
    /// What needs a look, for people.
    Table,
    /// All counts.
    Csv,
    /// All counts, exact.
    Json,
}

/// Counts, shows, writes, and judges by the rules.
pub(super) fn quality(arguments: &QualityArguments) -> Result<()> {
    let measures = block_on(measured(arguments))?;
    match arguments.format {
        QualityFormat::Table => report::text(&quality::table(&measures))?,
        QualityFormat::Csv => report::text(&quality::csv(&measures, arguments.exact))?,
        QualityFormat::Json => report::json(&measures)?,
    }
    if let Some(path) = &arguments.csv {
        save(path, &quality::csv(&measures, arguments.exact))?;
    }
    if let Some(path) = &arguments.html {
        let now = jiff::Timestamp::now();
        let of = format!("{}, {now:.0}", arguments.warehouse.display());
        save(path, &quality::page(&measures, &of, arguments.exact))?;
    }
    quality::judge(&arguments.fail_on, &measures).map(|_| ())
}

async fn measured(arguments: &QualityArguments) -> Result<Vec<Measure>> {
    let engine = Engine::open(&arguments.warehouse).await?;
    let scope = Scope { must_support: pipeline::must_support(), ..Scope::default() };
    let scope = scope.with(&arguments.fail_on);
    let tables = engine.tables().await;
    quality::check_names(&arguments.fail_on, &tables)?;
    quality::measure(&engine, &scope, quality::today()).await
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error::io(ErrorKind::Output, "write", path, e))
}
