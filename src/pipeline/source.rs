//! `[source]` of a pipeline: where its resources come from.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::definition::{Checker, Mode};
use super::object_source::{ObjectSource, split_pattern};
use crate::export::{ExportTable, Settings};
use crate::fhir::Type;
use crate::flatten::{Problem, Severity};
use crate::objects::{self, StoreSettings};
use crate::settings::{Mistake, Mistakes};

/// Where resources come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files, directories, patterns, manifests.
    Paths(Vec<String>),
    /// A synthetic population, written to `folder` first unless it is there.
    Sample {
        /// How many patients.
        patients: usize,
        /// Which population.
        seed: u64,
        /// Where it is written.
        folder: PathBuf,
    },
    /// Objects of an object store.
    Objects(ObjectSource),
    /// A Bulk Data export.
    Export(Box<ExportSource>),
}

/// A Bulk Data export as a source.
#[derive(Debug, Clone)]
pub struct ExportSource {
    /// What is asked of which server, and how.
    pub settings: Settings,
    /// Where exports are kept, one folder each.
    pub folder: PathBuf,
    /// How many are kept once the tables have their data.
    pub keep: usize,
    /// How changes are asked for, where not every run asks for everything.
    pub increments: Option<Increments>,
}

/// `since = "auto"`: how a run asks for what has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Increments {
    /// Changes are asked for from so much earlier than what is known to be complete.
    pub overlap: Duration,
    /// Whether an export that the server reported errors of counts as complete up to its time.
    pub advance_with_errors: bool,
    /// Whether the history of new members of the group is asked for; else the server is trusted to send it.
    pub history_of_new_members: bool,
    /// Whether the rows of patients go who left the group.
    pub remove_departed: bool,
}

impl Increments {
    /// Whether each run asks who belongs to the group.
    pub(super) fn follow_members(&self) -> bool {
        self.history_of_new_members || self.remove_departed
    }
}

/// As written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    path: Option<OneOrMany>,
    sample: Option<SampleTable>,
    export: Option<Box<ExportTable>>,
    name: Option<String>,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) store: StoreSettings,
    /// Whether what is loaded from an object store stays when the tables have it.
    #[serde(default)]
    keep: bool,
    #[serde(default)]
    base: Vec<String>,
    pub(super) max_line_mib: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a path, or a list of paths")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleTable {
    patients: usize,
    #[serde(default = "first_seed")]
    seed: u64,
    folder: String,
}

fn first_seed() -> u64 {
    1
}

impl SourceTable {
    /// The base urls that are given.
    pub(super) fn bases(&self, checker: &mut Checker<'_>) -> Vec<String> {
        let mut bases = Vec::new();
        for (i, url) in self.base.iter().enumerate() {
            match base_url(url) {
                Ok(url) => bases.push(url),
                Err(message) => checker.error(format!("source.base[{i}]"), message),
            }
        }
        bases
    }

    /// What the source is called. It begins keys and names rows: letters, digits, `-` and `_`, at most 32.
    pub(super) fn name(&self, checker: &mut Checker<'_>) -> Option<String> {
        let name = self.name.as_ref()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=32).contains(&name.len()) || !name.chars().all(plain) {
            let message = format!("`{name}` cannot be the name of a source");
            let hint = "use letters, digits, `-` and `_`, at most 32 of them";
            checker.add(Problem::error("source.name", message).hint(hint));
        }
        Some(name.clone())
    }

    /// The source of the pipeline with this name.
    pub(super) fn check(self, name: &str, checker: &mut Checker<'_>) -> Option<Source> {
        match (self.path, self.sample, self.export) {
            (Some(path), None, None) => paths(path, self.store, self.keep, name, checker),
            (None, Some(sample), None) => population(sample, checker),
            (None, None, Some(export)) => export_source(*export, self.mode, name, checker),
            _ => {
                checker.error("source", "a source is one of `path`, `sample` and `export`");
                None
            }
        }
    }
}

fn paths(
    written: OneOrMany,
    store: StoreSettings,
    keep: bool,
    name: &str,
    checker: &mut Checker<'_>,
) -> Option<Source> {
    let paths = match written {
        OneOrMany::One(path) if path.is_empty() => {
            checker.error("source.path", "the path is empty");
            return None;
        }
        OneOrMany::Many(paths) if paths.is_empty() => {
            checker.error("source.path", "the list of paths is empty");
            return None;
        }
        OneOrMany::One(path) => vec![path],
        OneOrMany::Many(paths) => paths,
    };
    match paths.iter().filter(|path| objects::is_url(path)).count() {
        0 => {
            let below = |path: &String| checker.folder.join(path).to_string_lossy().into_owned();
            Some(Source::Paths(paths.iter().map(below).collect()))
        }
        urls if urls == paths.len() => object_source(paths, store, keep, name, checker),
        _ => {
            checker.error("source.path", "paths are all in the object store, or none is");
            None
        }
    }
}

fn object_source(
    urls: Vec<String>,
    store: StoreSettings,
    keep: bool,
    name: &str,
    checker: &mut Checker<'_>,
) -> Option<Source> {
    for url in &urls {
        if let Err(error) = objects::check(split_pattern(url).0, &store) {
            let problem = Problem::error("source.path", error.message());
            checker.add(Problem { hint: error.remedy().map(str::to_owned), ..problem });
            return None;
        }
    }
    let folder = checker.folder.join("exports").join(name).join("objects");
    let store = store.at(checker.folder);
    Some(Source::Objects(ObjectSource { urls, store, folder, keep }))
}

fn population(sample: SampleTable, checker: &mut Checker<'_>) -> Option<Source> {
    if sample.patients == 0 {
        checker.error("source.sample.patients", "a population has at least 1 patient");
        return None;
    }
    let SampleTable { patients, seed, folder } = sample;
    Some(Source::Sample { patients, seed, folder: checker.folder.join(folder) })
}

fn export_source(
    mut written: ExportTable,
    mode: Mode,
    name: &str,
    checker: &mut Checker<'_>,
) -> Option<Source> {
    let increments = checker.settings("source.export", increments(&mut written)).flatten();
    if written.since.is_some() && mode == Mode::Replace {
        let message = "`since` would replace the tables by what has changed";
        let problem = Problem::error("source.export.since", message);
        checker.add(problem.hint(
            "write `since = \"auto\"`: runs ask for what has changed since the last; or `mode = \"merge\"` below `[source]`",
        ));
    }
    for problem in check_types(&written.types) {
        checker.add(problem);
    }
    let keep = written.keep.unwrap_or(1);
    let found = match written.resolve(checker.folder, Timestamp::now()) {
        Ok(found) => found,
        Err(mistakes) => {
            for mistake in mistakes {
                checker.add(Problem::of_setting("source.export", mistake, Problem::error));
            }
            return None;
        }
    };
    for warning in found.warnings {
        checker.add(Problem::of_setting("source.export", warning, Problem::warning));
    }
    let folder = found.folder.unwrap_or_else(|| PathBuf::from("exports").join(name));
    let folder = checker.folder.join(folder);
    let settings = found.settings;
    Some(Source::Export(Box::new(ExportSource { settings, folder, keep, increments })))
}

/// What is asked for as `since = "auto"`, which is taken out of the table.
fn increments(written: &mut ExportTable) -> Result<Option<Increments>, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let auto = written.since.take_if(|since| since == "auto").is_some();
    let group = written.group.is_some()
        || written.group_name.is_some()
        || written.group_identifier.is_some();
    let mut increments = Increments {
        advance_with_errors: written.advance_with_errors.unwrap_or(false),
        remove_departed: written.remove_departed.unwrap_or(false),
        ..Increments::default()
    };
    if let Some(span) = &written.since_overlap {
        match span.duration() {
            Some(overlap) => increments.overlap = overlap,
            None => mistakes.hinted("since_overlap", "this is no span of time", "write `1h`"),
        }
    }
    match written.new_members.as_deref() {
        None | Some("trust") => {}
        Some("history") => increments.history_of_new_members = true,
        Some(other) => {
            let hint = "write `trust` (the server sends it) or `history` (Kiln asks for it)";
            mistakes.hinted("new_members", format!("`{other}` is not known"), hint);
        }
    }
    for (path, given) in [
        ("since_overlap", written.since_overlap.is_some()),
        ("advance_with_errors", written.advance_with_errors.is_some()),
        ("new_members", written.new_members.is_some()),
        ("remove_departed", written.remove_departed.is_some()),
    ] {
        if given && !auto {
            mistakes.hinted(path, "this says something of `since = \"auto\"` only", "add that");
        }
    }
    if increments.follow_members() && !group {
        let path = if increments.remove_departed { "remove_departed" } else { "new_members" };
        mistakes.hinted(path, "only a group has members", "name the group");
    }
    if mistakes.0.is_empty() { Ok(auto.then_some(increments)) } else { Err(mistakes.0) }
}

/// What is odd about the resource types that a server is asked for. It may have some that R4 has not; what is nearly the
/// name of one is a slip of the pen.
pub fn check_types(types: &[String]) -> Vec<Problem> {
    let known = |name: &str| Type::named(name).is_some_and(Type::is_resource);
    let unknown = types.iter().enumerate().filter(|(_, name)| !known(name));
    let problems = unknown.map(|(i, name)| {
        let problem = Problem::no_resource_type(format!("source.export.types[{i}]"), name);
        let severity = if problem.hint.is_some() { Severity::Error } else { Severity::Warning };
        Problem { severity, ..problem }
    });
    problems.collect()
}

/// A server's base url, as given by people.
pub fn base_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map_or("", |rest| rest.split('/').next().unwrap_or_default());
    if host.is_empty() || text.contains(['?', '#', ' ']) {
        return Err(format!("`{text}` is no base url such as `https://example.org/fhir`"));
    }
    Ok(text.to_owned())
}
