//! The official SQL on FHIR test suite, run whole: every `*.json` of a folder, including files never seen before.
//!
//! `SQL_ON_FHIR_TESTS` names the folder (default: the shared one); `SQL_ON_FHIR_REPORT` a file for the suite's own
//! report format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
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
        let suite: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut results = Vec::new();
        for test in suite["tests"].as_array().into_iter().flatten() {
            count += 1;
            let outcome = run(test, suite["resources"].as_array().map_or(&[], Vec::as_slice));
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

fn run(test: &Value, resources: &[Value]) -> Result<(), String> {
    let rows = rows(&test["view"], resources);
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

/// As multisets: the order of rows is not fixed.
fn same_rows(expected: &[Value], found: &[Value]) -> Result<(), String> {
    let sorted = |rows: &[Value]| {
        let mut texts: Vec<_> = rows.iter().map(Value::to_string).collect();
        texts.sort();
        texts
    };
    let (expected, found) = (sorted(expected), sorted(found));
    if expected == found { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}")) }
}

/// Flattens resources one by one; any failure is an error of the whole test.
pub(crate) fn rows(view: &Value, resources: &[Value]) -> Result<(Vec<String>, Vec<Value>), String> {
    let (view, _) = View::compile(view).map_err(|problems| format!("{problems:?}"))?;
    let wanted = resources.iter().filter(|r| r["resourceType"] == view.resource.name());
    let batch = flattened(&view, wanted.map(Value::to_string))?;
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
        Some("decimal") => serde_json::from_str(text).unwrap(),
        Some(of) if of.starts_with(|c: char| c.is_ascii_uppercase()) => {
            serde_json::from_str(text).unwrap_or(json!(text))
        }
        _ => json!(text),
    }
}
