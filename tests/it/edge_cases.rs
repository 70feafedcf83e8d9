//! The edge table: cases in which engines differ or fail, each with the answer and the sentence that decides it.
//!
//! `edge_cases.json` is read as the tables of a book: `table` has the rows, a row its cases. A case is a view
//! (`view`; or only its `select`, or its `columns` by name) over `lines` (or `files`, by name), and what must come of
//! it. Lines are raw text, with `'` for `"` to be read more easily. It runs through what `kiln flatten` runs; with `views` and `sql` through a whole warehouse.
//!
//! | key | says |
//! | --- | --- |
//! | `rows` | all rows, in order: text and booleans as in JSON, whole numbers too, typed decimals as their text |
//! | `order` | the names of the columns, in order |
//! | `cells` | what the named columns hold: `Int64`, `Decimal(10, 2)`, `[Text]` |
//! | `refused` | the errors for which the view is refused, with their place |
//! | `warned` | the warnings, if they matter; `[]` for none |
//! | `failed` | why resources or lines were rejected, in their order; none if it is missing |
//! | `nulled` | how many values did not fit their column, by column; none if it is missing |
//! | `bases` | base urls of the export's server |
//! | `unresolved` | how many references have no key, by path and reason, if it matters |
//! | `resources` | resources of the input by type, if they matter |
//! | `pending` | what it waits for, a key of `pending` above: counted and shown, yet its failing fails nothing |

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kiln::flatten::{Column, Severity, View};
use kiln::ingest::{Options, discover};
use kiln::pipeline::{
    self, Care, Finding, Flow, MaxRejects, Outcome, Pipeline, Progress, RunOptions, Source,
    TableOutput, TextTable,
};
use kiln::query::{Engine, Format, Output, write};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::support::{block_on, environment};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    /// Where the sentences stand, by the word that `rule.source` begins with.
    sources: BTreeMap<String, String>,
    /// What cases can wait for.
    pending: BTreeMap<String, String>,
    table: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    row: String,
    /// That of all its cases that have none of their own.
    rule: Option<Rule>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    source: String,
    sentence: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    title: String,
    rule: Option<Rule>,
    pending: Option<String>,
    #[serde(default)]
    lines: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, Vec<String>>,
    /// Without it `Patient`.
    resource: Option<String>,
    constant: Option<Value>,
    #[serde(rename = "where")]
    filter: Option<String>,
    columns: Option<BTreeMap<String, Value>>,
    select: Option<Value>,
    /// A whole view; as a text where its own spelling matters.
    view: Option<Value>,
    #[serde(default)]
    views: BTreeMap<String, Value>,
    sql: Option<String>,
    rows: Option<Vec<Value>>,
    order: Option<Vec<String>>,
    #[serde(default)]
    cells: BTreeMap<String, String>,
    refused: Option<Vec<String>>,
    warned: Option<Vec<String>>,
    #[serde(default)]
    failed: Vec<String>,
    #[serde(default)]
    nulled: BTreeMap<String, u64>,
    #[serde(default)]
    bases: Vec<String>,
    unresolved: Option<BTreeMap<String, BTreeMap<String, u64>>>,
    resources: Option<BTreeMap<String, u64>>,
}

#[test]
fn every_row_of_the_edge_table_holds() {
    let table = table();
    let (mut passed, mut failures, mut pending) = (0, Vec::new(), Vec::new());
    for (row, case) in table.table.iter().flat_map(|r| r.cases.iter().map(move |c| (&r.row, c))) {
        let name = format!("{row}: {}", case.title);
        match (case.run(), &case.pending) {
            (Ok(()), None) => passed += 1,
            (Err(why), None) => failures.push(format!("{name}\n    {why}")),
            (Ok(()), Some(mark)) => pending.push(format!("{mark}: {name} PASSES NOW")),
            (Err(why), Some(mark)) => pending.push(format!("{mark}: {name}\n    {why}")),
        }
    }
    println!("{passed} cases hold, {} are pending:\n{}", pending.len(), pending.join("\n"));
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

/// A case that says too little, or something twice, would hold for the wrong reason.
#[test]
fn every_case_is_well_formed() {
    let table = table();
    let mut titles = Vec::new();
    for row in &table.table {
        assert!(!row.cases.is_empty(), "{}: has cases", row.row);
        for case in &row.cases {
            let name = format!("{}: {}", row.row, case.title);
            let rule = case.rule.as_ref().or(row.rule.as_ref());
            rule.unwrap_or_else(|| panic!("{name}: a rule")).check(&table, &name);
            case.check(&table, &name);
            assert!(!titles.contains(&name), "{name}: there twice");
            titles.push(name);
        }
    }
    for mark in table.pending.keys() {
        let used = table.table.iter().flat_map(|r| &r.cases);
        let mut used = used.filter_map(|c| c.pending.as_ref());
        assert!(used.any(|m| m == mark), "nothing is pending for `{mark}`");
    }
}

/// The table cannot be wrong unnoticed: each of these expectations differs from what comes in one thing.
#[test]
fn wrong_expectations_are_found() {
    let right = json!({
        "title": "right",
        "lines": ["{'resourceType':'Patient','active':'x','name':[{'family':'a'}]}",
            "{'resourceType':'Patient','name':[{},{}]}"],
        "select": [{ "column": [{ "name": "b", "path": "active" }, { "name": "a", "path": "name.family", "tags": [] }] },
            { "column": [{ "name": "n", "path": "name.single().count()" }] }],
        "cells": { "n": "Int32" },
        "order": ["b", "a", "n"],
        "rows": [{ "b": null, "a": "a", "n": 1 }],
        "failed": ["`single()` found several values: `name.single()`"],
        "nulled": { "b": 1 },
        "resources": { "Patient": 2 },
    });
    let run = |case: Value| serde_json::from_value::<Case>(case).map_err(|e| e.to_string())?.run();
    assert_eq!(run(right.clone()), Ok(()));
    let wrong = [
        ("cells", json!({ "n": "Int64" })),
        ("cells", json!({ "m": "Int32" })),
        ("order", json!(["a", "b", "n"])),
        ("rows", json!([])),
        ("rows", json!([{ "b": null, "a": "a", "n": "1" }])),
        ("rows", json!([{ "b": null, "a": "a" }])),
        ("failed", json!([])),
        ("nulled", json!({})),
        ("resources", json!({ "Patient": 1 })),
        ("warned", json!([])),
        ("refused", json!(["select[0]: something"])),
        ("unknown field `nuled`", json!(null)),
    ];
    for (key, says) in wrong {
        let mut case = right.clone();
        case[key.trim_start_matches("unknown field ").trim_matches('`')] = says;
        let why = run(case).expect_err(key);
        assert!(why.starts_with(key), "{key}: {why}");
    }
}

fn table() -> Fixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/edge_cases.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

impl Rule {
    fn check(&self, table: &Fixture, name: &str) {
        let (source, section) = self.source.split_once(", ").unwrap_or_default();
        assert!(table.sources.contains_key(source), "{name}: unknown source `{source}`");
        assert!(!section.is_empty(), "{name}: a section of {source}");
        assert!(self.sentence.len() > 10, "{name}: a sentence that decides");
    }
}

impl Case {
    fn check(&self, table: &Fixture, name: &str) {
        if let Some(mark) = &self.pending {
            assert!(table.pending.contains_key(mark), "{name}: unknown mark `{mark}`");
        }
        let views = [
            self.view.is_some(),
            self.select.is_some(),
            self.columns.is_some(),
            self.sql.is_some(),
        ];
        assert_eq!(views.iter().filter(|v| **v).count(), 1, "{name}: one way to say the view");
        assert_eq!(self.sql.is_some(), !self.views.is_empty(), "{name}: `sql` goes with `views`");
        let shorthand = self.select.is_some() || self.columns.is_some();
        let parts = self.resource.is_some() || self.constant.is_some() || self.filter.is_some();
        assert!(shorthand || !parts, "{name}: a whole view has its own parts");
        assert!(self.rows.is_some() != self.refused.is_some(), "{name}: `rows` or `refused`");
        let input = !self.lines.is_empty() || !self.files.is_empty();
        assert_eq!(self.rows.is_some(), input, "{name}: input where there are rows");
        assert!(self.lines.is_empty() || self.files.is_empty(), "{name}: `lines` or `files`");
    }

    fn run(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let (views, findings) = self.load(folder.path());
        let of = |severity| -> Vec<String> {
            let found = findings.iter().filter(|f| f.problem.severity == severity);
            found.map(|f| f.problem.to_string()).collect()
        };
        let refused = self.refused.clone().unwrap_or_default();
        same("refused", &refused, &of(Severity::Error))?;
        if let Some(warned) = &self.warned {
            same("warned", warned, &of(Severity::Warning))?;
        }
        let Some(expected) = &self.rows else { return Ok(()) };
        let inputs = self.write(folder.path());
        match &self.sql {
            Some(sql) => same("rows", expected, &answer(views, inputs, sql, folder.path())),
            None => self.flatten(&views[0], &inputs, folder.path()),
        }
    }

    /// The views, from files as users write them.
    fn load(&self, folder: &Path) -> (Vec<View>, Vec<Finding>) {
        let one = || BTreeMap::from([("edge".to_owned(), self.view())]);
        let views = if self.views.is_empty() { one() } else { self.views.clone() };
        let mut names = Vec::new();
        for (name, view) in views {
            let text = view.as_str().map_or_else(|| view.to_string(), quoted);
            fs::write(folder.join(format!("{name}.json")), text).unwrap();
            names.push(format!("./{name}.json"));
        }
        let mut findings = Vec::new();
        (pipeline::load(&names, folder, &mut findings), findings)
    }

    fn view(&self) -> Value {
        if let Some(view) = &self.view {
            return view.clone();
        }
        let column = |(name, says): (&String, &Value)| {
            let mut column = if says.is_string() { json!({ "path": says }) } else { says.clone() };
            column["name"] = json!(name);
            column
        };
        let columns = self.columns.iter().flatten().map(column).collect::<Vec<_>>();
        let select = self.select.clone().unwrap_or_else(|| json!([{ "column": columns }]));
        let mut view = json!({
            "resourceType": "ViewDefinition",
            "status": "active",
            "resource": self.resource.as_deref().unwrap_or("Patient"),
            "select": select,
        });
        if let Some(constant) = &self.constant {
            view["constant"] = constant.clone();
        }
        if let Some(filter) = &self.filter {
            view["where"] = json!([{ "path": filter }]);
        }
        view
    }

    /// Gives the paths of the input, in order.
    fn write(&self, folder: &Path) -> Vec<String> {
        let folder = folder.join("input");
        let lines = || BTreeMap::from([("lines.ndjson".to_owned(), self.lines.clone())]);
        let files = if self.files.is_empty() { lines() } else { self.files.clone() };
        let path = |(name, lines): (String, Vec<String>)| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, quoted(&lines.join("\n"))).unwrap();
            path.to_string_lossy().into_owned()
        };
        files.into_iter().map(path).collect()
    }

    fn flatten(&self, view: &View, inputs: &[String], folder: &Path) -> Result<(), String> {
        let path = folder.join("rows.ndjson");
        let bases: Vec<_> = self.bases.iter().map(String::as_str).collect();
        let outcome = flatten(view, inputs, &bases, &path);
        let text = fs::read_to_string(path).unwrap();
        let found: Vec<_> = text.lines().map(|line| row(line, &view.columns)).collect();
        let reasons: Vec<_> = outcome.rejects.first.iter().map(|r| r.reason.clone()).collect();
        same("failed", &self.failed, &reasons)?;
        same("rows", self.rows.as_ref().unwrap_or(&Vec::new()), &found)?;
        same("nulled", &self.nulled, &nulled(view, &outcome))?;
        if let Some(unresolved) = &self.unresolved {
            same("unresolved", unresolved, &without_key(view, &outcome))?;
        }
        if let Some(order) = &self.order {
            same("order", order, &view.columns.iter().map(|c| c.name.clone()).collect())?;
        }
        for (name, cell) in &self.cells {
            let column = view.columns.iter().find(|c| c.name == *name);
            same("cells", cell, &column.map(held).unwrap_or_default())?;
        }
        match &self.resources {
            Some(resources) => same("resources", resources, &outcome.input.total.resources),
            None => Ok(()),
        }
    }
}

/// JSON as the table writes it: with `'` for `"`.
fn quoted(text: &str) -> String {
    text.replace('\'', "\"")
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), String> {
    let message = || format!("{what}: expected {expected:?}\n    {what}:    found {found:?}");
    (expected == found).then_some(()).ok_or_else(message)
}

fn flatten(view: &View, inputs: &[String], bases: &[&str], to: &Path) -> Outcome {
    let output = TextTable::file(Format::Ndjson, &view.schema(false), to).unwrap();
    let flow = Flow {
        views: std::slice::from_ref(view),
        origin: None,
        care: Care::default(),
        environment: environment(bases),
        input: &Options::default(),
        threads: 1,
        progress: &Progress::default(),
    };
    let outputs = vec![TableOutput::Text(output)];
    let inputs = discover(inputs).unwrap();
    pipeline::flatten(&flow, std::iter::once(Ok(inputs)), outputs, MaxRejects::Count(10)).unwrap()
}

fn nulled(view: &View, outcome: &Outcome) -> BTreeMap<String, u64> {
    let counts = view.columns.iter().zip(&outcome.counts[0].cast_failures);
    counts.filter(|(_, n)| **n > 0).map(|(c, n)| (c.name.clone(), *n)).collect()
}

fn without_key(view: &View, outcome: &Outcome) -> BTreeMap<String, BTreeMap<String, u64>> {
    let places = pipeline::unresolved_references(view, &outcome.counts[0]).into_iter();
    let reasons = |reasons: BTreeMap<&str, u64>| {
        reasons.into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect()
    };
    places.map(|place| (place.path, reasons(place.reasons))).collect()
}

/// `Int32`, or `[Int32]` for lists of them.
fn held(column: &Column) -> String {
    if column.collection { format!("[{:?}]", column.cell) } else { format!("{:?}", column.cell) }
}

/// A line of NDJSON, with numbers that are not whole as the text they are written as.
fn row(line: &str, columns: &[Column]) -> Value {
    let mut cells = Map::new();
    let mut rest = line.strip_prefix('{').unwrap();
    for column in columns {
        rest = rest.strip_prefix(&format!("\"{}\":", column.name)).unwrap();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next().unwrap().unwrap();
        let (text, after) = rest.split_at(values.byte_offset());
        let value: Value = serde_json::from_str(text).unwrap();
        cells.insert(column.name.clone(), if value.is_f64() { json!(text) } else { value });
        rest = after.strip_prefix([',', '}']).unwrap();
    }
    Value::Object(cells)
}

/// The answer of SQL over a warehouse of the views.
fn answer(views: Vec<View>, inputs: Vec<String>, sql: &str, folder: &Path) -> Vec<Value> {
    let warehouse = folder.join("warehouse");
    let pipeline = Pipeline {
        max_rejects: MaxRejects::Count(0),
        ..Pipeline::new("edge", Source::Paths(inputs), views, &warehouse)
    };
    let progress = Progress::default();
    let options = RunOptions::new(1, &progress);
    let path = folder.join("answer.ndjson");
    block_on(async {
        pipeline::run(&pipeline, &options).await.unwrap();
        let engine = Engine::open(&pipeline.warehouse).await.unwrap();
        let results = engine.run(sql).unwrap();
        write(results, Format::Ndjson, Output::File(path.clone())).await.unwrap();
    });
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
