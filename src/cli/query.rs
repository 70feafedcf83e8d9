//! `kiln query` and `kiln library`: statements, files of them, and SQLQuery files.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::{LibraryArguments, QueryArguments};
use super::commands::screen;
use super::prompt::{self, PromptOptions};
use super::report;
use crate::error::{Error, ErrorKind, Result};
use crate::history::History;
use crate::objects::StoreSettings;
use crate::pipeline;
use crate::query::{Engine, Library, Output, Results, Shelf, write};
use crate::warehouse::{AsOf, Warehouse};

/// Runs what is asked, or the prompt.
pub(super) async fn query(arguments: QueryArguments) -> Result<()> {
    let engine = open(&arguments.warehouse, arguments.as_of.as_deref()).await?;
    let engine = match &arguments.terminology {
        Some(other) => engine.with_terminology(other, &StoreSettings::default()).await?,
        None => engine,
    };
    let results = match (&arguments.sql, &arguments.file) {
        (Some(sql), _) => engine.run(sql)?,
        (None, Some(file)) => of_file(&engine, file, &arguments).await?,
        (None, None) => {
            let options = PromptOptions { format: arguments.format, ..Default::default() };
            return prompt::run(&engine, options).await;
        }
    };
    let to = match arguments.output {
        Some(path) => Output::File(path),
        None => screen(),
    };
    write(results, arguments.format, to).await.map(|_| ())
}

/// The statements of a file: plain SQL, or one SQLQuery with what it depends on.
async fn of_file(engine: &Engine, file: &Path, arguments: &QueryArguments) -> Result<Results> {
    let text =
        fs::read_to_string(file).map_err(|e| Error::io(ErrorKind::Input, "read", file, e))?;
    let resource = file.extension().is_some_and(|e| e == "json");
    if !resource && !Library::is_annotated(&text) {
        return match arguments.parameters.first() {
            Some((name, _)) => Err(undeclared(file, name)),
            None => engine.run(&text),
        };
    }
    let library = Library::read(file)?;
    let shelf = shelf(file, &arguments.libraries, &library)?;
    let values = arguments.parameters.iter().cloned().collect();
    let results = engine.prepare(&shelf, &library, &values).await;
    results.map_err(|e| e.within("file", file.display()))
}

/// Plans a `.sql` file over the tables of all shipped schemas, with empty value sets. Of SQL that declares nothing only
/// the syntax is looked at: nobody knows which tables it is for.
pub(super) async fn check(file: &Path) -> Result<()> {
    let text =
        fs::read_to_string(file).map_err(|e| Error::io(ErrorKind::Input, "read", file, e))?;
    let engine = Engine::over_schemas(&pipeline::shipped_tables())?;
    let checked = async {
        if !Library::is_annotated(&text) {
            return engine.run(&text).map(|_| ());
        }
        let library = Library::read(file)?;
        engine.check_library(&shelf(file, &[], &library)?, &library).await
    };
    checked.await.map_err(|e| e.within("file", file.display()))
}

fn undeclared(file: &Path, name: &str) -> Error {
    let message = format!("`{}` declares no parameter `{name}`", file.display());
    Error::new(ErrorKind::Definition, message)
        .hint(format!("begin it with `-- @param: {name} string`, and write `:{name}` in the SQL"))
}

/// What a file may depend on. Nothing is read where it says nothing of the kind.
fn shelf(file: &Path, folders: &[PathBuf], library: &Library) -> Result<Shelf> {
    if library.dependencies.iter().all(|d| d.canonical.contains("/ViewDefinition/")) {
        return Ok(Shelf::default());
    }
    let own =
        [file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()];
    Shelf::read_all(if folders.is_empty() { &own } else { folders })
}

/// The tables of a warehouse as they are, or as they were.
pub(super) async fn open(warehouse: &Path, as_of: Option<&str>) -> Result<Engine> {
    match as_of {
        Some(then) => past(warehouse, then).await,
        None => Engine::open(warehouse).await,
    }
}

/// The other form of a library: FHIR for SQL, SQL for FHIR.
pub(super) fn library(arguments: &LibraryArguments) -> Result<()> {
    let library = Library::read(&arguments.file)?;
    if arguments.file.extension().is_some_and(|e| e == "json") {
        return report::text(&library.to_sql());
    }
    let json = serde_json::to_string_pretty(&library.to_fhir()).expect("a resource is plain data");
    report::text(&format!("{json}\n"))
}

/// The tables as a run left them, or as they were at a time.
async fn past(warehouse: &Path, then: &str) -> Result<Engine> {
    let then = AsOf::parse(then)?;
    let tables = Warehouse::open(warehouse)?;
    let versions = match (tables.versions_as_of(&then).await, &then) {
        // A run that found everything as it was has no version of its own.
        (Err(error), AsOf::Run(run)) => {
            let ended = ended(&tables, run)?.ok_or(error)?;
            tables.versions_as_of(&ended).await?
        }
        (versions, _) => versions?,
    };
    Engine::open_versions(warehouse, &versions).await
}

/// When a run ended, by the history.
fn ended(warehouse: &Warehouse, run: &str) -> Result<Option<AsOf>> {
    let Some(history) = History::find(&warehouse.state_folder())? else { return Ok(None) };
    let Ok((run, _)) = history.run(run) else { return Ok(None) };
    let ended = run.ended.and_then(|ended| ended.parse::<Timestamp>().ok());
    Ok(ended.map(|ended| AsOf::Time(ended.as_millisecond())))
}
