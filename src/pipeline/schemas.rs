//! The views of a pipeline or a command: shipped ones by name or by pack, others by file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use include_dir::{Dir, include_dir};
use serde_json::Value;

use super::place::{Place, Places};
use crate::flatten::{Problem, Severity, View};
use crate::suggest;

/// The schemas that come with Kiln: a folder for each pack, a file for each table.
pub(super) static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/schemas");

/// A problem, and the file it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, or the name of a shipped schema.
    pub file: String,
    /// Where in the file, if that is known.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: Problem,
}

impl Finding {
    pub(crate) fn new(file: impl Into<String>, problem: Problem) -> Self {
        Self { file: file.into(), place: None, problem }
    }

    fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.problem.severity == Severity::Error
    }
}

/// The packs that are meant where no schema is named: what a population's export holds.
const BY_DEFAULT: [&str; 2] = ["us-core", "financial"];

/// A folder of shipped schemas, which one name brings all of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// The folder's name, as pipelines write it.
    pub name: &'static str,
    /// Its tables, sorted.
    pub tables: Vec<&'static str>,
}

/// The shipped schemas by pack; packs and tables are sorted. No name is used twice.
pub fn packs() -> Vec<Pack> {
    let mut packs: Vec<_> = SHIPPED
        .dirs()
        .filter_map(|folder| {
            let views =
                folder.files().filter(|f| f.path().extension().is_some_and(|e| e == "json"));
            let mut tables: Vec<_> = views.filter_map(|f| f.path().file_stem()?.to_str()).collect();
            tables.sort_unstable();
            Some(Pack { name: folder.path().to_str()?, tables })
        })
        .collect();
    packs.sort_unstable_by_key(|pack| pack.name);
    packs
}

/// The tables that all shipped schemas make, to check statements that read them.
pub fn shipped_tables() -> Vec<(String, SchemaRef)> {
    let names: Vec<_> = packs().iter().map(|pack| pack.name.to_owned()).collect();
    let views = load(&names, Path::new(""), &mut Vec::new());
    views.iter().map(|view| (view.name.clone(), super::table_schema(view))).collect()
}

/// Compiles the named views in the given order; what [`BY_DEFAULT`] says if nothing is named. A name with a slash, a dot
/// or a wildcard is a file below `folder`, any other a shipped schema or a pack of them; a shipped schema that is named
/// twice is there once. Warnings and errors go to `findings`.
pub fn load(names: &[String], folder: &Path, findings: &mut Vec<Finding>) -> Vec<View> {
    let default = BY_DEFAULT.map(String::from);
    let names = if names.is_empty() { &default[..] } else { names };
    let (mut views, mut taken) = (Vec::new(), BTreeSet::new());
    for name in names {
        if name.contains(['/', '.', '*', '\\']) {
            for path in files(name, folder, findings) {
                views.extend(load_file(&path, findings));
            }
            continue;
        }
        let shipped = shipped(name);
        if shipped.is_empty() {
            findings.push(unknown(name));
        }
        for (pack, table) in shipped {
            if taken.insert(table) {
                views.extend(load_shipped(pack, table, findings));
            }
        }
    }
    check_names(&views, findings);
    views
}

/// The shipped views of a table's or a pack's name, each with its pack; none for an unknown name.
fn shipped(name: &str) -> Vec<(&'static str, &'static str)> {
    let packs = packs().into_iter();
    let all = packs.flat_map(|pack| pack.tables.into_iter().map(move |table| (pack.name, table)));
    all.filter(|(pack, table)| *pack == name || *table == name).collect()
}

fn load_shipped(pack: &str, name: &str, findings: &mut Vec<Finding>) -> Option<View> {
    compile(name, SHIPPED.get_file(format!("{pack}/{name}.json"))?.contents(), findings)
}

fn unknown(name: &str) -> Finding {
    let packs = packs();
    let names = packs.iter().flat_map(|pack| pack.tables.iter().chain([&pack.name])).copied();
    let problem = Problem::error("schemas", format!("there is no shipped schema `{name}`"));
    let near = suggest::nearest(name, names);
    let file = format!("file is named with its path: `./{name}.json`");
    let hint = near.map_or_else(
        || {
            let packs: Vec<_> = packs.iter().map(|pack| pack.name).collect();
            let packs = packs.join(", ");
            format!(
                "a {file}; `kiln schema` lists the shipped ones, which are in the packs {packs}"
            )
        },
        |near| format!("did you mean `{near}`? A {file}"),
    );
    let problem = problem.hint(hint);
    Finding::new(name, problem)
}

fn files(pattern: &str, folder: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let full = folder.join(pattern);
    if !pattern.contains('*') {
        return vec![full];
    }
    let found =
        glob::glob(&full.to_string_lossy()).map(|paths| paths.flatten().collect::<Vec<_>>());
    let found = found.unwrap_or_default();
    if found.is_empty() {
        findings.push(Finding::new(pattern, Problem::error("schemas", "no file matches")));
    }
    found
}

/// Compiles the view in one file; `None` if that is impossible.
pub fn load_file(path: &Path, findings: &mut Vec<Finding>) -> Option<View> {
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(text) => compile(&name, &text, findings),
        Err(e) => {
            findings.push(Finding::new(name, Problem::error("", format!("cannot be read: {e}"))));
            None
        }
    }
}

fn compile(file: &str, text: &[u8], findings: &mut Vec<Finding>) -> Option<View> {
    let (mut json, text) = match parse(text) {
        Ok(parsed) => parsed,
        Err((place, message)) => {
            findings.push(Finding::new(file, Problem::error("", message)).at(place));
            return None;
        }
    };
    let places = Places::of(text);
    write_out_decimals(&mut json, &places);
    let (view, problems) = match View::compile(&json) {
        Ok((view, warnings)) => (Some(view), warnings),
        Err(problems) => (None, problems),
    };
    let mut found: Vec<_> = problems.into_iter().map(|p| placed(file, p, &places)).collect();
    found.extend(repeated(file, &places));
    found.sort_by_key(|f| f.place);
    let view = view.filter(|_| !found.iter().any(Finding::is_error));
    findings.append(&mut found);
    // A table needs a name; the file has one.
    view.map(|mut view| {
        if view.name.is_empty() {
            view.name =
                sql_name(&Path::new(file).file_stem().unwrap_or_default().to_string_lossy());
        }
        view
    })
}

/// The value of a JSON text and the text, or where it is no JSON.
fn parse(text: &[u8]) -> Result<(Value, &str), (Place, String)> {
    // Editors of Windows begin a text with a mark of its encoding.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let (line, column, message) = match (std::str::from_utf8(text), serde_json::from_slice(text)) {
        (Ok(text), Ok(json)) => return Ok((json, text)),
        (_, Err(e)) => (e.line(), e.column(), e.to_string()),
        (Err(e), Ok(_)) => (1, 1, e.to_string()),
    };
    // serde_json ends with the place, which is shown with the file.
    let message = message.split(" at line ").next().unwrap_or_default();
    let place = Place { line: line.max(1), column: column.max(1) };
    Err((place, format!("not valid JSON: {message}")))
}

fn placed(file: &str, problem: Problem, places: &Places<'_>) -> Finding {
    let within = problem.expression.as_ref().map(|(_, span)| span.start);
    let place = places.find(&problem.path, within);
    Finding::new(file, problem).at(place)
}

/// A member that is written twice: the first would be lost without a word.
fn repeated<'p>(file: &'p str, places: &'p Places<'_>) -> impl Iterator<Item = Finding> + 'p {
    places.repeated().map(move |(path, place)| {
        let key = path.rsplit('.').next().unwrap_or(path);
        let problem = Problem::error(path, format!("`{key}` is written twice here"));
        Finding::new(file, problem.hint("JSON keeps only one of them")).at(place)
    })
}

/// Replaces decimal constants by their text: `serde_json` would round them, and forget how they are written.
fn write_out_decimals(json: &mut Value, places: &Places<'_>) {
    let constants = json.get_mut("constant").and_then(Value::as_array_mut);
    for (i, constant) in constants.into_iter().flatten().enumerate() {
        let Some(decimal @ Value::Number(_)) = constant.get_mut("valueDecimal") else { continue };
        if let Some(text) = places.number(&format!("constant[{i}].valueDecimal")) {
            *decimal = Value::String(text.to_owned());
        }
    }
}

/// The nearest name that SQL takes: `my-view` becomes `my_view`.
fn sql_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { plain } else { format!("v{plain}") }
}

fn check_names(views: &[View], findings: &mut Vec<Finding>) {
    for (i, view) in views.iter().enumerate() {
        if views[..i].iter().any(|v| v.name.eq_ignore_ascii_case(&view.name)) {
            let problem =
                Problem::error("name", format!("two schemas make a table `{}`", view.name));
            findings.push(Finding::new(
                view.name.clone(),
                problem.hint("rename one, or leave one out"),
            ));
        }
    }
}
