//! One function a subcommand.

use std::fs;
use std::future::Future;
use std::io::{self, BufWriter, IsTerminal};
use std::iter;
use std::path::{Path, PathBuf};

use super::args::{
    Arguments, AuditFormat, CheckArguments, Command, DataArguments, FlattenArguments,
    RebuildArguments, RunArguments, SampleArguments, SchemaArguments, TableFormat, Threads,
};
use super::progress::Watch;
use super::prompt::PromptOptions;
use super::{ddl, export, load, maintain, measure, quality, query, report, runs, schedule};
use crate::error::{Error, ErrorKind, Result};
use crate::flatten::View;
use crate::ingest::{self, discover};
use crate::pipeline::{
    self, Audit, Care, Finding, FindingList, Flow, Pack, Pipeline, Plan, Progress, RunOptions,
    TableOutput, TextTable,
};
use crate::query::{Format, Output, write};
use crate::sample::Sample;
use crate::warehouse::{ParquetOptions, TableWriter};

/// Runs one command.
pub(super) fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Demo(threads) => demo(threads),
        Command::Run(arguments) => run_pipeline(&arguments),
        Command::Flatten(arguments) => flatten(&arguments),
        Command::Query(arguments) => block_on(query::query(arguments)),
        Command::Quality(arguments) => quality::quality(&arguments),
        Command::Check(arguments) => check(&arguments),
        Command::Schema(arguments) => schema(&arguments),
        Command::Library(arguments) => query::library(&arguments),
        Command::Measure(arguments) => block_on(measure::measure(&arguments)),
        Command::Export(arguments) => export::export(&arguments),
        Command::Schedule(arguments) => schedule::schedule(&arguments),
        Command::Runs(arguments) => runs::runs(&arguments),
        Command::Rejects(arguments) => runs::rejects(&arguments),
        Command::Load(arguments) => load::load(&arguments),
        Command::Rebuild(arguments) => rebuild(&arguments),
        Command::Optimize(arguments) => maintain::optimize(&arguments),
        Command::Vacuum(arguments) => maintain::vacuum(&arguments),
        Command::Keygen(arguments) => export::new_keys(&arguments),
        Command::Sample(arguments) => sample(&arguments),
    }
}

/// The runtime that DataFusion and delta-rs need; commands without them start none.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let failed = |e| Error::new(ErrorKind::Output, format!("cannot start threads: {e}"));
    runtime.map_err(failed)?.block_on(work)
}

fn demo(threads: Threads) -> Result<()> {
    let loaded = Pipeline::parse(pipeline::DEMO, "demo.toml", "demo", Path::new("."));
    let run = RunArguments { threads, ..RunArguments::default() };
    execute(&accept(loaded)?, &run)?;
    report::hint(
        "the tables stay: `kiln query --warehouse kiln-demo/warehouse` asks them anything",
    );
    Ok(())
}

fn run_pipeline(arguments: &RunArguments) -> Result<()> {
    let pipeline = accept(definition(arguments))?;
    execute(&pipeline, arguments)
}

fn rebuild(arguments: &RebuildArguments) -> Result<()> {
    let pipeline = accept(Pipeline::load(&arguments.pipeline))?;
    let progress = Progress::default();
    let options = RunOptions::new(arguments.threads.count(), &progress);
    let watch = Watch::start(&pipeline.name);
    let work = pipeline::rebuild(pipeline, &arguments.tables, &options);
    let done = watch.over(&progress, || block_on(work))?;
    for done in &done {
        report::run(&done.report);
    }
    done.into_iter().find_map(|done| done.refused).map_or(Ok(()), Err)
}

/// Shows what was found; errors end the command.
pub(super) fn accept<T>(loaded: Result<(T, Vec<Finding>), Vec<Finding>>) -> Result<T> {
    match loaded {
        Ok((found, warnings)) => {
            report::findings(&warnings);
            Ok(found)
        }
        Err(findings) => {
            report::findings(&findings);
            Err(refuse(&findings))
        }
    }
}

/// The pipeline of a run: in its file, or on standard input where `kiln schedule` gives it.
fn definition(arguments: &RunArguments) -> Result<(Pipeline, Vec<Finding>), Vec<Finding>> {
    if !arguments.from_stdin {
        return Pipeline::load(&arguments.pipeline);
    }
    // What cannot be read to its end is no pipeline either, and is refused as such.
    let text = io::read_to_string(io::stdin()).unwrap_or_default();
    Pipeline::read(&text, &arguments.pipeline)
}

fn refuse(findings: &[Finding]) -> Error {
    pipeline::refuse(findings.iter().filter(|f| f.is_error()).count())
}

fn execute(pipeline: &Pipeline, arguments: &RunArguments) -> Result<()> {
    let mistakes = block_on(pipeline.check_queries())?;
    mistakes.iter().for_each(report::error);
    if !mistakes.is_empty() {
        return Err(pipeline::refuse(mistakes.len()));
    }
    let progress = Progress::default();
    let options = RunOptions {
        full: arguments.full,
        slot: arguments.slot.clone(),
        ..RunOptions::new(arguments.threads.count(), &progress)
    };
    let watch = Watch::start(&pipeline.name);
    let done = watch.over(&progress, || block_on(pipeline::run(pipeline, &options)))?;
    report::run(&done.report);
    if let Some(path) = &arguments.report {
        let json = serde_json::to_vec_pretty(&done.report).expect("a report is plain data");
        fs::write(path, json).map_err(|e| Error::io(ErrorKind::Output, "write", path, e))?;
    }
    match done.refused {
        Some(error) => Err(error),
        None => block_on(answer(pipeline)),
    }
}

/// The queries of a pipeline, on the screen.
async fn answer(pipeline: &Pipeline) -> Result<()> {
    if pipeline.queries.is_empty() {
        return Ok(());
    }
    let engine = pipeline.engine().await?;
    for query in &pipeline.queries {
        report::heading(&query.name)?;
        write(engine.run(&query.sql)?, Format::Table, screen()).await?;
    }
    Ok(())
}

pub(super) fn screen() -> Output<'static> {
    let to = Box::new(BufWriter::new(io::stdout()));
    if io::stdout().is_terminal() {
        Output::Screen(to, PromptOptions::default().rows)
    } else {
        Output::Stream(to)
    }
}

fn flatten(arguments: &FlattenArguments) -> Result<()> {
    let views = views(&arguments.views)?;
    let format = format(arguments, &views)?;
    let inputs = discover(&arguments.inputs)?;
    let outputs = outputs(&arguments.out, format, &views)?;
    let input = ingest::Options {
        max_line_bytes: usize::from(arguments.max_line_mib) << 20,
        ..Default::default()
    };
    let progress = Progress::default();
    let threads = arguments.threads.count();
    let flow = Flow {
        views: &views,
        origin: None,
        care: Care::default(),
        environment: pipeline::environment(pipeline::moment().0, &inputs, &arguments.base),
        input: &input,
        threads,
        progress: &progress,
    };
    let input = iter::once(Ok(inputs));
    let outcome = Watch::start("flatten")
        .over(&progress, || pipeline::flatten(&flow, input, outputs, arguments.max_rejects))?;
    report::flattened(&outcome, &views);
    Ok(())
}

/// The views named on the command line: file names, or names of shipped schemas.
fn views(names: &[String]) -> Result<Vec<View>> {
    let mut findings = Vec::new();
    let views = pipeline::load(names, Path::new(""), &mut findings);
    report::findings(&findings);
    if findings.iter().any(Finding::is_error) { Err(refuse(&findings)) } else { Ok(views) }
}

/// What is written, if standard output can take it where that is asked for.
fn format(arguments: &FlattenArguments, views: &[View]) -> Result<TableFormat> {
    if !is_stdout(&arguments.out) {
        return Ok(arguments.format.unwrap_or(TableFormat::Parquet));
    }
    let refused = match (arguments.format, views) {
        (Some(TableFormat::Parquet), _) => "`parquet` is written to a folder",
        (format, [_]) => return Ok(format.unwrap_or(TableFormat::Ndjson)),
        _ => "standard output takes the rows of one view",
    };
    Err(Error::new(ErrorKind::Usage, refused).hint("name a folder with `--out`"))
}

fn is_stdout(out: &Path) -> bool {
    out.as_os_str() == "-"
}

fn outputs(out: &Path, format: TableFormat, views: &[View]) -> Result<Vec<TableOutput>> {
    match (format, views) {
        (TableFormat::Csv, [view]) if is_stdout(out) => standard_output(Format::Csv, view),
        (_, [view]) if is_stdout(out) => standard_output(Format::Ndjson, view),
        _ => {
            fs::create_dir_all(out).map_err(|e| Error::io(ErrorKind::Output, "create", out, e))?;
            views.iter().map(|view| file_output(out, format, view)).collect()
        }
    }
}

fn standard_output(format: Format, view: &View) -> Result<Vec<TableOutput>> {
    let to = Box::new(BufWriter::with_capacity(1 << 20, io::stdout()));
    Ok(vec![TableOutput::Text(TextTable::new(
        format,
        &view.schema(false),
        to,
        Path::new("standard output"),
    )?)])
}

fn file_output(folder: &Path, format: TableFormat, view: &View) -> Result<TableOutput> {
    let path = |ending: &str| folder.join(format!("{}.{ending}", view.name));
    let text = |path: PathBuf, format| {
        TextTable::file(format, &view.schema(false), &path).map(TableOutput::Text)
    };
    match format {
        TableFormat::Parquet => {
            TableWriter::single(&path("parquet"), view.schema(false), &ParquetOptions::default())
                .map(TableOutput::Parquet)
        }
        TableFormat::Csv => text(path("csv"), Format::Csv),
        TableFormat::Ndjson => text(path("ndjson"), Format::Ndjson),
    }
}

fn check(arguments: &CheckArguments) -> Result<()> {
    let definitions = check_definitions(arguments);
    if arguments.data.sources.is_empty() {
        return definitions;
    }
    // Everything is told at once: wrong definitions say nothing of the data.
    let data = audit(&arguments.data);
    match definitions {
        Ok(()) => data,
        Err(refused) => {
            let _ = data.inspect_err(report::error);
            Err(refused)
        }
    }
}

fn check_definitions(arguments: &CheckArguments) -> Result<()> {
    let (mut findings, mut plans, mut mistakes) = (Vec::new(), Vec::new(), 0);
    for file in &arguments.files {
        let seen = findings.len();
        if file.extension().is_some_and(|e| e == "toml") {
            mistakes += check_pipeline(file, &mut findings, &mut plans)?;
        } else if file.extension().is_some_and(|e| e == "sql") {
            let checked = block_on(query::check(file)).inspect_err(report::error);
            mistakes += usize::from(checked.is_err());
        } else {
            pipeline::load_file(file, &mut findings);
        }
        report::findings(&findings[seen..]);
    }
    mistakes += findings.iter().filter(|f| f.is_error()).count();
    if mistakes > 0 {
        return Err(pipeline::refuse(mistakes));
    }
    match (arguments.files.len(), arguments.data.format) {
        (0, _) => Ok(()),
        // One JSON document: the data's, if it is looked at.
        (_, AuditFormat::Json) if arguments.data.sources.is_empty() => report::json(&plans),
        (_, AuditFormat::Json) => Ok(()),
        (files, AuditFormat::Table) => {
            report::plans(&plans)?;
            report::checked(files, findings.len())
        }
    }
}

/// Tells what is wrong with data. That there is something wrong ends the command only where it is asked to be strict.
fn audit(arguments: &DataArguments) -> Result<()> {
    let inputs = discover(&arguments.sources)?;
    let list = arguments.list.as_deref().map(FindingList::create).transpose()?;
    let progress = Progress::default();
    let audit = Audit {
        input: &ingest::Options::default(),
        bases: &arguments.base,
        threads: arguments.threads.count(),
        progress: &progress,
    };
    let found = Watch::start("check").over(&progress, || audit.run(inputs, list))?;
    report::audited(&found, arguments.format)?;
    if found.resources == 0 {
        return Err(Error::new(ErrorKind::Input, "the data holds no resource"));
    }
    match found.errors {
        1.. if arguments.strict => Err(report::too_wrong(found.errors)),
        _ => Ok(()),
    }
}

/// Gives the number of wrong statements, which are shown here: they can be planned only if all else is right.
fn check_pipeline(
    file: &Path,
    findings: &mut Vec<Finding>,
    plans: &mut Vec<Plan>,
) -> Result<usize> {
    match Pipeline::load(file) {
        Ok((pipeline, warnings)) => {
            findings.extend(warnings);
            findings.extend(pipeline.unset_variables(&file.display().to_string()));
            let planned = block_on(pipeline.plan())?;
            plans.push(pipeline.describe(&planned));
            let count = planned.mistakes.len();
            for mistake in planned.mistakes {
                report::error(&mistake.within("file", file.display()));
            }
            Ok(count)
        }
        Err(found) => {
            findings.extend(found);
            Ok(0)
        }
    }
}

fn schema(arguments: &SchemaArguments) -> Result<()> {
    if arguments.markdown {
        let pack = |pack: Pack| Ok((pack.name, views(&[pack.name.to_owned()])?));
        let packs = pipeline::packs().into_iter().map(pack).collect::<Result<Vec<_>>>()?;
        return report::text(&ddl::page(packs));
    }
    for view in views(&arguments.views)? {
        match arguments.ddl {
            Some(dialect) => report::text(&ddl::create_table(&view, dialect))?,
            None => report::text(&ddl::columns(&view))?,
        }
    }
    Ok(())
}

fn sample(arguments: &SampleArguments) -> Result<()> {
    let sample =
        Sample { patients: arguments.patients as usize, seed: arguments.seed, ..Sample::default() };
    let written = sample.write(&arguments.out)?;
    report::sampled(&arguments.out, written.resources, written.files, written.bytes)
}
