//! What a pipeline file says, read and checked as a whole before anything is done.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::model::{self, Model, ModelTable};
use super::needs::{Needed, Needs};
use super::notify::{Notification, NotifyTable};
use super::quality::{self, QualityTable};
use super::retention::{Retention, RetentionTable};
use super::schemas::{self, Finding};
use super::source::{Source, SourceTable};
use crate::error::{Error, ErrorKind, Result};
use crate::flatten::{Problem, View};
use crate::ingest;
use crate::load::{Load, LoadTable};
use crate::objects::{self, StoreSettings};
use crate::quality::{Rule, RuleTable};
use crate::query::Engine;
use crate::schedule::{Schedule, ScheduleTable};
use crate::settings::Mistake;
use crate::warehouse::Warehouse;

/// A pipeline: from where, through which views, into which warehouse, and what is asked then.
#[derive(Debug)]
pub struct Pipeline {
    /// Its name; names its transactions in the tables.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Where the resources come from.
    pub source: Source,
    /// What the source is called, if several fill the same tables: keys begin with it.
    pub source_name: Option<String>,
    /// Whether rows come to those that are there, or in their place.
    pub mode: Mode,
    /// Base urls of the source's server, besides those that manifests name.
    pub bases: Vec<String>,
    /// One table each.
    pub views: Vec<View>,
    /// The folder of the tables, or the url of an object store.
    pub warehouse: PathBuf,
    /// Where lock, staging area and history of a warehouse in an object store are.
    pub state: PathBuf,
    /// How that object store is reached.
    pub store: StoreSettings,
    /// How many lines may be rejected.
    pub max_rejects: MaxRejects,
    /// How the input is read.
    pub input: ingest::Options,
    /// What the data must be like, once they are in the tables.
    pub quality: Vec<Rule>,
    /// Tables made of the views' tables, in the order in which they are made.
    pub models: Vec<Model>,
    /// Where tables are loaded to then.
    pub loads: Vec<Load>,
    /// Who is told how a run ended.
    pub notifications: Vec<Notification>,
    /// When it runs.
    pub schedule: Option<Schedule>,
    /// What is kept, and how long.
    pub retention: Retention,
    /// Queries that are answered when the tables are there.
    pub queries: Vec<Query>,
    /// Variables of the environment that hold its secrets.
    pub needs: Vec<Needed>,
}

/// What a run does to the rows that the tables have of its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All go.
    #[default]
    Replace,
    /// Those go whose resources come anew, or are deleted.
    Merge,
}

/// A query of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Its heading.
    pub name: String,
    /// The statement.
    pub sql: String,
}

/// How many lines may be rejected before a run is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxRejects {
    /// So many.
    Count(u64),
    /// So large a share of all lines, from 0 to 1.
    Share(f64),
}

impl Default for MaxRejects {
    /// 0.1 %.
    fn default() -> Self {
        Self::Share(0.001)
    }
}

impl MaxRejects {
    /// How many rejects are still allowed among so many lines.
    pub fn allowed(self, lines: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => (share * lines as f64).floor() as u64,
        }
    }
}

impl std::str::FromStr for MaxRejects {
    type Err = String;

    /// `250` or `0.1%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is neither a number of lines nor a percentage such as `0.1%`");
        match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
                (0.0..=100.0)
                    .contains(&percent)
                    .then_some(Self::Share(percent / 100.0))
                    .ok_or_else(wrong)
            }
            None => text.trim().parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    description: Option<String>,
    source: SourceTable,
    #[serde(default)]
    schemas: Vec<String>,
    warehouse: WarehouseTable,
    #[serde(default)]
    rejects: RejectsTable,
    #[serde(default)]
    quality: QualityTable,
    #[serde(default)]
    model: Vec<ModelTable>,
    #[serde(default)]
    load: Vec<LoadTable>,
    #[serde(default)]
    notify: Vec<NotifyTable>,
    schedule: Option<ScheduleTable>,
    #[serde(default)]
    retention: RetentionTable,
    #[serde(default)]
    query: Vec<QueryTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarehouseTable {
    path: String,
    /// Where the lock, the staging area and the history are; for a warehouse in an object store.
    state: Option<String>,
    #[serde(default)]
    store: StoreSettings,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RejectsTable {
    max: Option<CountOrShare>,
    #[serde(default)]
    keep_excerpts: bool,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number of lines such as 250, or a share such as \"0.1%\""
)]
enum CountOrShare {
    Count(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryTable {
    name: String,
    sql: Option<String>,
    file: Option<String>,
}

/// The demo pipeline, compiled in.
pub const DEMO: &str = include_str!("../../pipelines/demo.toml");

impl Pipeline {
    /// Its warehouse, which is made if it is not there.
    pub fn warehouse(&self) -> Result<Warehouse> {
        Warehouse::open_location(&self.warehouse.to_string_lossy(), &self.state, &self.store)
    }

    /// SQL over its warehouse.
    pub async fn engine(&self) -> Result<Engine> {
        Engine::open_location(&self.warehouse.to_string_lossy(), &self.store).await
    }

    /// A pipeline that only fills the tables of views.
    pub fn new(name: &str, source: Source, views: Vec<View>, warehouse: &Path) -> Self {
        Self {
            name: name.to_owned(),
            description: None,
            source,
            source_name: None,
            mode: Mode::default(),
            bases: Vec::new(),
            views,
            warehouse: warehouse.to_owned(),
            state: PathBuf::new(),
            store: StoreSettings::default(),
            max_rejects: MaxRejects::default(),
            input: ingest::Options::default(),
            quality: Vec::new(),
            models: Vec::new(),
            loads: Vec::new(),
            notifications: Vec::new(),
            schedule: None,
            retention: Retention::default(),
            queries: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// Reads a pipeline file. Relative paths in it are relative to its folder. Warnings come with the pipeline; if
    /// there is an error, all findings come instead of it.
    pub fn load(path: &Path) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| {
            vec![Finding::new(file, Problem::error("", format!("cannot be read: {e}")))]
        })?;
        Self::read(&text, path)
    }

    /// Reads the text of a pipeline file, as [`Pipeline::load`] does.
    pub fn read(text: &str, path: &Path) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(text, &path.display().to_string(), &stem, folder)
    }

    /// Reads the text of a pipeline; `folder` is where its relative paths begin.
    pub fn parse(
        text: &str,
        file: &str,
        stem: &str,
        folder: &Path,
    ) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        let written: File =
            toml::from_str(text).map_err(|e| vec![Finding::new(file, syntax(text, &e))])?;
        let mut checker = Checker { file, folder, findings: Vec::new() };
        let pipeline = checker.pipeline(written, stem);
        let findings = checker.findings;
        match pipeline {
            Some(pipeline) if !findings.iter().any(Finding::is_error) => Ok((pipeline, findings)),
            _ => Err(findings),
        }
    }
}

/// A mistake in the form of the file, with its line.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count() + 1;
    let problem = Problem::error(format!("line {line}"), error.message().replace('\n', "; "));
    if error.message().starts_with("missing field") {
        return problem.hint(
            "a pipeline needs `[source]` with a `path`, a `sample` or an `export`, and `[warehouse]` with a `path`",
        );
    }
    problem
}

/// Gathers what is wrong with a file.
pub(super) struct Checker<'c> {
    file: &'c str,
    /// Where its relative paths begin.
    pub(super) folder: &'c Path,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    pub(super) fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Problem::error(path, message));
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.findings.push(Finding::new(self.file, problem));
    }

    fn pipeline(&mut self, written: File, stem: &str) -> Option<Pipeline> {
        let mut input =
            ingest::Options { keep_excerpts: written.rejects.keep_excerpts, ..Default::default() };
        match written.source.max_line_mib {
            Some(mib @ 1..=1024) => input.max_line_bytes = mib << 20,
            Some(mib) => {
                self.error("source.max_line_mib", format!("`{mib}` is not between 1 and 1024"));
            }
            None => {}
        }
        let bases = written.source.bases(self);
        let name = written.name.unwrap_or_else(|| stem.to_owned());
        let source_name = written.source.name(self);
        let mode = written.source.mode;
        let mut needs = Needs::default();
        needs.store("source.store", &written.source.store);
        needs.store("warehouse.store", &written.warehouse.store);
        needs.loads(&written.load);
        let source = written.source.check(&name, self);
        needs.source(source.as_ref());
        let max_rejects = self.max_rejects(written.rejects.max);
        let views = schemas::load(&written.schemas, self.folder, &mut self.findings);
        let quality = self.quality(written.quality, &views);
        let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
        let models = self.models(written.model, &names);
        let loads = self.all("load", written.load, |table, folder| table.check(folder));
        let notifications = self.all("notify", written.notify, NotifyTable::check);
        needs.notifications(&notifications);
        let schedule = written.schedule.map(|table| self.settings("schedule", table.check()));
        let retention = self.settings("retention", written.retention.check());
        let queries = self.queries(written.query);
        let warehouse = self.warehouse(&written.warehouse);
        let state = written.warehouse.state.unwrap_or_else(|| format!("state/{name}"));
        Some(Pipeline {
            description: written.description,
            source_name,
            mode,
            bases,
            max_rejects,
            input,
            quality,
            models,
            loads,
            notifications,
            schedule: schedule.flatten(),
            retention: retention.unwrap_or_default(),
            queries,
            needs: needs.0,
            state: self.folder.join(state),
            store: written.warehouse.store.at(self.folder),
            ..Pipeline::new(&name, source?, views, &warehouse)
        })
    }

    fn quality(&mut self, written: QualityTable, views: &[View]) -> Vec<Rule> {
        let count = written.rule.len();
        let rules = self.all("quality.rule", written.rule, |table, _| RuleTable::check(table));
        // Without the rules and views that are wrong, numbers of rules and names of tables would be.
        if rules.len() == count && !self.findings.iter().any(Finding::is_error) {
            for mut mistake in quality::unknown_names(&rules, views) {
                mistake.path = format!("quality.rule{}", mistake.path);
                self.add(Problem::of_setting("", mistake, Problem::error));
            }
        }
        rules
    }

    fn models(&mut self, written: Vec<ModelTable>, views: &[&str]) -> Vec<Model> {
        let count = written.len();
        let models = self.all("model", written, ModelTable::check);
        // Without the models and views that are wrong, the others seem wrong too.
        if models.len() < count || self.findings.iter().any(Finding::is_error) {
            return models;
        }
        self.settings("", model::order(models, views)).unwrap_or_default()
    }

    /// Checks each table of a list.
    fn all<T, C>(
        &mut self,
        key: &str,
        written: Vec<T>,
        check: impl Fn(T, &Path) -> Result<C, Vec<Mistake>>,
    ) -> Vec<C> {
        let tables = written.into_iter().enumerate();
        let folder = self.folder;
        let checked =
            tables.map(|(i, table)| self.settings(&format!("{key}[{i}]"), check(table, folder)));
        checked.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// What settings come to, or nothing where they have mistakes, which are noted below `path`.
    pub(super) fn settings<T>(
        &mut self,
        path: &str,
        checked: Result<T, Vec<Mistake>>,
    ) -> Option<T> {
        let mistakes = match checked {
            Ok(settings) => return Some(settings),
            Err(mistakes) => mistakes,
        };
        for mistake in mistakes {
            self.add(Problem::of_setting(path, mistake, Problem::error));
        }
        None
    }

    /// The folder or url of the tables.
    fn warehouse(&mut self, written: &WarehouseTable) -> PathBuf {
        let WarehouseTable { path, state, store } = written;
        if path.is_empty() {
            self.error("warehouse.path", "the path is empty");
        }
        if objects::is_url(path) {
            if let Err(error) = objects::check(path, store) {
                let problem = Problem::error("warehouse", error.message());
                self.add(match error.remedy() {
                    Some(remedy) => problem.hint(remedy),
                    None => problem,
                });
            }
            return PathBuf::from(path);
        }
        if state.is_some() {
            let problem = Problem::error("warehouse.state", "a folder keeps its state itself");
            self.add(problem.hint("leave it out: it is for warehouses in an object store"));
        }
        self.folder.join(path)
    }

    fn max_rejects(&mut self, written: Option<CountOrShare>) -> MaxRejects {
        match written {
            None => MaxRejects::default(),
            Some(CountOrShare::Count(count)) => MaxRejects::Count(count),
            Some(CountOrShare::Text(text)) => text.parse().unwrap_or_else(|message: String| {
                self.error("rejects.max", message);
                MaxRejects::default()
            }),
        }
    }

    fn queries(&mut self, written: Vec<QueryTable>) -> Vec<Query> {
        let mut queries = Vec::new();
        for (i, query) in written.into_iter().enumerate() {
            let at = format!("query[{i}]");
            let sql = match (query.sql, query.file) {
                (Some(sql), None) => sql,
                (None, Some(file)) => match std::fs::read_to_string(self.folder.join(&file)) {
                    Ok(sql) => sql,
                    Err(e) => {
                        self.error(format!("{at}.file"), format!("`{file}` cannot be read: {e}"));
                        continue;
                    }
                },
                _ => {
                    self.error(at, "a query has either `sql` or a `file`");
                    continue;
                }
            };
            queries.push(Query { name: query.name, sql });
        }
        queries
    }
}

/// The mistakes that were found as one error, for commands that stop there.
pub fn refuse(mistakes: usize) -> Error {
    let noun = if mistakes == 1 { "mistake" } else { "mistakes" };
    Error::new(
        ErrorKind::Definition,
        format!("{mistakes} {noun} in the definitions; nothing was read"),
    )
}
