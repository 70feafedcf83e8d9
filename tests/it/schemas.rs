//! Every shipped schema compiles without a word and turns its fixture into exactly the expected rows.
//!
//! `schemas/<pack>/<view>.ndjson` are resources, `schemas/<pack>/<view>.expected.ndjson` rows derived by hand.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::ArrayRef;
use arrow::util::display::array_value_to_string;
use kiln::flatten::View;
use serde_json::{Map, Value, json};

use crate::support::{flattened, json_cell, kiln};

/// The files of all packs.
fn schemas() -> Vec<PathBuf> {
    let pattern = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/*/*.json");
    let found: Vec<_> = glob::glob(&pattern.to_string_lossy()).unwrap().flatten().collect();
    assert!(found.len() >= 16, "the shipped schemas are there");
    found
}

/// `tests/it/schemas/<pack>/<view>.<ending>`
fn fixture(schema: &Path, ending: &str) -> String {
    let pack = schema.parent().unwrap().file_name().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schemas").join(pack);
    let path = folder.join(schema.with_extension(ending).file_name().unwrap());
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn compile(path: &Path) -> View {
    let json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    match View::compile(&json) {
        Ok((view, warnings)) if warnings.is_empty() => view,
        Ok((_, problems)) | Err(problems) => panic!("{}: {problems:#?}", path.display()),
    }
}

#[test]
fn shipped_schemas_are_named_and_described() {
    for path in schemas() {
        let view = compile(&path);
        assert_eq!(
            view.name,
            path.file_stem().unwrap().to_string_lossy(),
            "file, view and table share a name"
        );
        assert!(view.description.is_some(), "{}: a description", view.name);
        for column in &view.columns {
            let described = column.description.as_ref().is_some_and(|d| !d.is_empty());
            assert!(described, "{}.{}: a description", view.name, column.name);
            assert!(column.fhir_type.is_some(), "{}.{}: a type", view.name, column.name);
        }
    }
}

#[test]
fn fixtures_give_the_expected_rows() {
    for path in schemas() {
        let view = compile(&path);
        let rows = rows(&view, &fixture(&path, "ndjson"));
        let expected = fixture(&path, "expected.ndjson");
        let expected: Vec<Value> =
            expected.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(rows.len(), expected.len(), "{}: rows", view.name);
        for (i, (row, wanted)) in rows.iter().zip(&expected).enumerate() {
            assert_row(&view.name, i, row, wanted);
        }
        for column in &view.columns {
            let filled = rows.iter().any(|row| !row[&column.name].is_null());
            assert!(filled, "{}.{}: no resource of the fixture fills it", view.name, column.name);
        }
    }
}

#[test]
fn table_names_are_used_once() {
    let mut names: Vec<_> = schemas().iter().map(|p| p.file_stem().unwrap().to_owned()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_page_of_all_tables_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = kiln(root, &["schema", "--markdown"]).output().unwrap();
    let made = String::from_utf8(page.stdout).unwrap();
    let kept = fs::read_to_string(root.join("schemas/TABLES.md")).unwrap();
    assert!(made == kept, "run `kiln schema --markdown > schemas/TABLES.md`");
}

/// One cell at a time, so that a difference names its column.
fn assert_row(view: &str, i: usize, row: &Value, wanted: &Value) {
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(row), keys(wanted), "{view} row {i}: columns");
    for (name, cell) in row.as_object().unwrap() {
        assert_eq!(cell, &wanted[name], "{view} row {i}: {name}");
    }
}

fn rows(view: &View, text: &str) -> Vec<Value> {
    let batch = flattened(view, text.lines().map(str::to_owned)).unwrap();
    let schema = batch.schema();
    let row = |i: usize| {
        let cells = schema.fields().iter().zip(batch.columns());
        Value::Object(
            cells.map(|(f, array)| (f.name().clone(), cell(array, i))).collect::<Map<_, _>>(),
        )
    };
    (0..batch.num_rows()).map(row).collect()
}

fn cell(array: &ArrayRef, i: usize) -> Value {
    json_cell(array, i, &|array, i| json!(array_value_to_string(array, i).unwrap()))
}
