//! `kiln runs` and `kiln rejects`.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use clap::Args;

use super::{account, report};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{History, Made, RunLine};
use crate::query::{Engine, Format, Output, write};

/// `kiln runs`
#[derive(Debug, Args)]
pub struct RunsArguments {
    /// The folder of the tables.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// The folder of the history, where the pipeline has `state` for it.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// How many runs are listed, the newest first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Say which runs made the versions of this table, from which files.
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Only this version of the table.
    #[arg(long, value_name = "N", requires = "table")]
    pub version: Option<u64>,
    /// How it is written; one run as `table` (text) or `json` only.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// The name of a pipeline; or `show` and the name of a run or the beginning of it, the latest by default.
    pub what: Vec<String>,
}

/// `kiln rejects`
#[derive(Debug, Args)]
pub struct RejectsArguments {
    /// The folder of the tables.
    #[arg(long, value_name = "DIR", default_value = "warehouse")]
    pub warehouse: PathBuf,
    /// How the rows are written.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Write them to this file, whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The run, or the beginning of its name; the latest that has rejects by default.
    pub run: Option<String>,
}

/// Shows runs.
pub(super) fn runs(arguments: &RunsArguments) -> Result<()> {
    let history = history(arguments)?;
    let what: Vec<_> = arguments.what.iter().map(String::as_str).collect();
    match (what.as_slice(), &arguments.table) {
        ([], Some(table)) => versions(&history, table, arguments),
        (["show"], None) => match history.runs(None, 1)?.first() {
            Some(latest) => show(&history, &latest.run, arguments.format),
            None => Err(Error::new(ErrorKind::Usage, "there is no run yet")),
        },
        (["show", run], None) => show(&history, run, arguments.format),
        ([], None) => list(&history, None, arguments),
        ([pipeline], None) => list(&history, Some(pipeline), arguments),
        _ => Err(Error::new(ErrorKind::Usage, "too many arguments").hint(
            "`kiln runs`, `kiln runs PIPELINE`, `kiln runs show RUN` or `kiln runs --table TABLE`",
        )),
    }
}

fn history(arguments: &RunsArguments) -> Result<History> {
    let folder = match &arguments.state {
        Some(folder) => folder.clone(),
        None => own_folder(&arguments.warehouse),
    };
    if let Some(history) = History::find(&folder)? {
        return Ok(history);
    }
    let error =
        Error::new(ErrorKind::Input, format!("there is no history in `{}`", folder.display()));
    Err(error.hint(
        "runs of `kiln run` have one; name its warehouse with `--warehouse`, or the pipeline's `state` with `--state`",
    ))
}

/// What Kiln keeps beside the tables of a warehouse.
fn own_folder(warehouse: &Path) -> PathBuf {
    warehouse.join("_kiln")
}

fn list(history: &History, pipeline: Option<&str>, arguments: &RunsArguments) -> Result<()> {
    let runs = history.runs(pipeline, arguments.limit)?;
    if let (Some(pipeline), true) = (pipeline, runs.is_empty()) {
        let error = Error::new(ErrorKind::Usage, format!("there is no run of `{pipeline}`"));
        return Err(error.hint("`kiln runs` lists those of all pipelines"));
    }
    report::rows(&lines(&runs), arguments.format)
}

fn lines(runs: &[RunLine]) -> RecordBatch {
    let seconds = runs.iter().map(seconds).collect::<Float64Array>();
    table([
        ("run", text(runs, |r| Some(&r.run))),
        ("pipeline", text(runs, |r| Some(&r.pipeline))),
        ("kind", text(runs, |r| Some(&r.kind))),
        ("started", text(runs, |r| Some(&r.started))),
        ("seconds", Arc::new(seconds)),
        ("outcome", text(runs, |r| Some(&r.outcome))),
        ("message", text(runs, |r| r.message.as_deref())),
    ])
}

/// How long a run took, to a tenth of a second.
pub(super) fn seconds(run: &RunLine) -> Option<f64> {
    let instant = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let took = instant(run.ended.as_deref()?)?.duration_since(instant(&run.started)?);
    Some((took.as_secs_f64() * 10.0).round() / 10.0)
}

/// Which runs made a table.
fn versions(history: &History, table: &str, arguments: &RunsArguments) -> Result<()> {
    let Some(version) = arguments.version else {
        let made = history.made(table, arguments.limit)?;
        if made.is_empty() {
            return Err(unknown(table));
        }
        return report::rows(&made_rows(&made), arguments.format);
    };
    let made = history.made(table, usize::MAX)?;
    let Some(found) = made.iter().find(|m| m.version <= version) else {
        return Err(unknown(table));
    };
    if found.version < version {
        let message = format!("no run of the history made version {version} of `{table}`");
        let hint = format!(
            "`kiln optimize` or another program may have, or it is not there yet; before it came version {} by run {}",
            found.version, found.run
        );
        return Err(Error::new(ErrorKind::Usage, message).hint(hint));
    }
    match arguments.format {
        Format::Table => report::text(&account::of_version(table, found)),
        _ => report::rows(&made_rows(std::slice::from_ref(found)), arguments.format),
    }
}

fn unknown(table: &str) -> Error {
    let message = format!("no run of the history made a version of `{table}`");
    Error::new(ErrorKind::Usage, message).hint("`kiln runs show` names the tables of a run")
}

fn made_rows(made: &[Made]) -> RecordBatch {
    let versions = made.iter().map(|m| Some(m.version)).collect::<UInt64Array>();
    let rows = made.iter().map(|m| m.rows).collect::<UInt64Array>();
    let files = made.iter().map(|m| Some(m.files.len() as u64)).collect::<UInt64Array>();
    table([
        ("version", Arc::new(versions)),
        ("run", text(made, |m| Some(&m.run))),
        ("pipeline", text(made, |m| Some(&m.pipeline))),
        ("started", text(made, |m| Some(&m.started))),
        ("rows", Arc::new(rows)),
        ("export", text(made, |m| m.export.as_deref())),
        ("transaction_time", text(made, |m| m.transaction_time.as_deref())),
        ("files", Arc::new(files)),
    ])
}

fn text<'t, T>(of: &'t [T], get: impl Fn(&'t T) -> Option<&'t str>) -> ArrayRef {
    Arc::new(of.iter().map(get).collect::<StringArray>())
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("all columns have a value for each run")
}

/// Shows one run.
fn show(history: &History, run: &str, format: Format) -> Result<()> {
    let (line, stored) = history.run(run)?;
    match format {
        Format::Table => report::text(&account::of_run(&line, stored.as_ref())),
        Format::Json => report::json(&serde_json::json!({ "run": line, "report": stored })),
        _ => Err(Error::new(ErrorKind::Usage, "one run is shown as `table` or `json`")),
    }
}

/// Shows what a run could not use.
pub(super) fn rejects(arguments: &RejectsArguments) -> Result<()> {
    super::commands::block_on(show_rejects(arguments))
}

async fn show_rejects(arguments: &RejectsArguments) -> Result<()> {
    // Says what is wrong with the name before a warehouse is opened for it.
    let named =
        arguments.run.as_deref().map(|run| named_run(&arguments.warehouse, run)).transpose()?;
    let engine = Engine::open(&arguments.warehouse).await?;
    if !engine.tables().await.iter().any(|t| t.name == "_rejects") {
        let error = Error::new(ErrorKind::Input, "the warehouse has no table `_rejects`");
        return Err(error.hint("runs of `kiln run` make it"));
    }
    let of_run = match &named {
        Some(run) => format!("starts_with(_run, '{run}')"),
        None => "_run = (SELECT max(_run) FROM _rejects)".to_owned(),
    };
    let excerpt = format!("SELECT 1 FROM _rejects WHERE {of_run} AND excerpt IS NOT NULL LIMIT 1");
    let excerpts = engine.run(&excerpt)?.next().await?;
    let some = match excerpts {
        Some(mut rows) => rows.next().await?.is_some_and(|batch| batch.num_rows() > 0),
        None => false,
    };
    let sql = format!(
        "SELECT file, line, byte_offset, entry, view_name, reason{}, _run FROM _rejects
         WHERE {of_run} ORDER BY _run, file, line, entry, view_name",
        if some { ", excerpt" } else { "" }
    );
    let to = match &arguments.output {
        Some(path) => Output::File(path.clone()),
        None => Output::Stream(Box::new(BufWriter::new(io::stdout()))),
    };
    let written = write(engine.run(&sql)?, arguments.format, to).await?;
    if let (0, Some(run)) = (written.rows, named) {
        report::hint(&format!(
            "`kiln runs show {run}` counts what a run rejected by reason, also where nothing was committed"
        ));
    }
    Ok(())
}

/// The whole name of a run, or its beginning where there is no history.
fn named_run(warehouse: &Path, run: &str) -> Result<String> {
    if let Some(history) = History::find(&own_folder(warehouse))? {
        return Ok(history.run(run)?.0.run);
    }
    if run.is_empty()
        || run.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
    {
        let error = Error::new(ErrorKind::Usage, format!("`{run}` cannot be the name of a run"));
        return Err(error.hint("column `_run` of the tables has them"));
    }
    Ok(run.to_owned())
}
