//! The official SQL on FHIR test suite, run whole: every `*.json` of a folder, including files never seen before.
//!
//! `SQL_ON_FHIR_TESTS` names the folder (default: the shared one); `SQL_ON_FHIR_REPORT` a file for the suite's own
//! report format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use kiln::fhirpath::Document;
use kiln::flatten::{Column, View};
use serde_json::{Value, json};

use crate::shared::shared;
use crate::support::{flattened, json_cell};

#[test]
fn the_official_suite_passes() {
    let folder = match std::env::var_os("SQL_ON_FHIR_TESTS") {
        Some(folder) => PathBuf::from(folder),
        None => match shared("data/sql-on-fhir/tests") {
            Some(folder) => folder,
            None => return,
        },
    };
    let mut report = BTreeMap::new();
    let mut failures = Vec::new();
    let mut count = 0;
    for file in files(&folder) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Some(suite) = Suite::read(&file) else {
            println!("{name} is no test file and is passed over");
            continue;
        };
        let mut results = Vec::new();
        for test in &suite.tests {
            count += 1;
            let outcome = run_without_panic(test, &suite.resources);
            let mut result = json!({ "passed": outcome.is_ok() });
            if let Err(why) = &outcome {
                failures.push(format!("{name}: {}: {why}", test["title"]));
                result["error"] = json!(why);
            }
            results.push(json!({ "name": test["title"], "result": result }));
        }
        report.insert(name, json!({ "tests": results }));
    }
    if let Some(path) = std::env::var_os("SQL_ON_FHIR_REPORT") {
        std::fs::write(path, serde_json::to_vec_pretty(&report).unwrap()).unwrap();
    }
    assert!(count > 0, "no test in {}", folder.display());
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    found.sort();
    found
}

/// A file of the suite.
struct Suite {
    /// Each as it is written: reading and writing JSON would lose `1.0`.
    resources: Vec<String>,
    tests: Vec<Value>,
}

impl Suite {
    /// `None` for files of another form, such as the JSON Schema of the suite.
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read(path).unwrap();
        let mut suite: Value = serde_json::from_slice(&text).ok()?;
        let Value::Array(tests) = suite["tests"].take() else { return None };
        Some(Self { resources: resources(&text), tests })
    }
}

fn resources(text: &[u8]) -> Vec<String> {
    let mut scratch = text.to_vec();
    let base = scratch.as_ptr().addr();
    let tape = simd_json::to_tape(&mut scratch).unwrap();
    let arena = bumpalo::Bump::new();
    let doc = Document::new(&tape.0, 0, text, base, &arena);
    let as_written = |at| {
        let mut resource = String::new();
        doc.json(at, &mut resource);
        resource
    };
    doc.child(0, "resources")
        .map_or(Vec::new(), |list| doc.elements(list).map(as_written).collect())
}

/// A panic is the failure of its test, not of all.
fn run_without_panic(test: &Value, resources: &[String]) -> Result<(), String> {
    std::panic::catch_unwind(|| run(test, resources)).unwrap_or_else(|_| Err("panicked".into()))
}

fn run(test: &Value, resources: &[String]) -> Result<(), String> {
    let rows = rows_of(&test["view"], resources);
    if test["expectError"] == json!(true) {
        return rows.err().map(|_| ()).ok_or_else(|| "an error was expected".into());
    }
    let (columns, rows) = rows?;
    if let Some(expected) = test["expectColumns"].as_array() {
        let names: Vec<_> = columns.iter().map(|c| json!(c)).collect();
        if &names != expected {
            return Err(format!("columns are {names:?}"));
        }
    }
    if let Some(expected) = test["expectCount"].as_u64() {
        return (rows.len() as u64 == expected)
            .then_some(())
            .ok_or_else(|| format!("{} rows", rows.len()));
    }
    let Some(expected) = test["expect"].as_array() else { return Ok(()) };
    same_rows(expected, &rows)
}

/// As multisets: the order of rows is not fixed. A number is the same as `5` and as `5.0`.
fn same_rows(expected: &[Value], found: &[Value]) -> Result<(), String> {
    let sorted = |rows: &[Value]| {
        let mut texts: Vec<_> = rows.iter().map(|row| plain_numbers(row).to_string()).collect();
        texts.sort();
        texts
    };
    let (expected, found) = (sorted(expected), sorted(found));
    if expected == found { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}")) }
}

fn plain_numbers(value: &Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() && f.fract() == 0.0 && f.abs() < 1e15 => json!(f as i64),
            _ => value.clone(),
        },
        Value::Array(list) => list.iter().map(plain_numbers).collect(),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(k, v)| (k.clone(), plain_numbers(v))).collect())
        }
        _ => value.clone(),
    }
}

/// Flattens resources one by one; any failure is an error of the whole test.
pub(crate) fn rows(view: &Value, resources: &[Value]) -> Result<(Vec<String>, Vec<Value>), String> {
    rows_of(view, &resources.iter().map(Value::to_string).collect::<Vec<_>>())
}

fn rows_of(view: &Value, resources: &[String]) -> Result<(Vec<String>, Vec<Value>), String> {
    let (view, _) = View::compile(view).map_err(|problems| format!("{problems:?}"))?;
    let of_type = |text: &&String| {
        let resource: Value = serde_json::from_str(text).unwrap();
        resource["resourceType"] == view.resource.name()
    };
    let batch = flattened(&view, resources.iter().filter(of_type).cloned())?;
    Ok((view.columns.iter().map(|c| c.name.clone()).collect(), objects(&view.columns, &batch)))
}

fn objects(columns: &[Column], batch: &RecordBatch) -> Vec<Value> {
    let row = |i: usize| {
        let cells = columns
            .iter()
            .zip(batch.columns())
            .map(|(c, array)| (c.name.clone(), cell(c, array, i)));
        Value::Object(cells.collect())
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The suite writes decimals and complex values as JSON; our columns hold their text.
fn cell(column: &Column, array: &ArrayRef, i: usize) -> Value {
    json_cell(array, i, &|array, i| text(column, array.as_string::<i32>().value(i)))
}

fn text(column: &Column, text: &str) -> Value {
    match column.fhir_type.as_deref() {
        Some("decimal") => serde_json::from_str(text).unwrap_or(json!(text)),
        Some(of) if of.starts_with(|c: char| c.is_ascii_uppercase()) => {
            serde_json::from_str(text).unwrap_or(json!(text))
        }
        _ => json!(text),
    }
}
