//! What the tables hold, and what they should hold: by the model's own rules, without Kiln.

use std::collections::BTreeMap;
use std::path::Path;

use kiln::query::Engine;
use serde_json::Value;

use super::population::{Key, patient_of};
use crate::support;

/// Rows of a table as text, sorted.
pub(super) type Rows = Vec<Vec<String>>;

/// The tables, with the columns that count.
pub(super) const TABLES: [(&str, &str); 3] = [
    ("patient", "id, family, active, birth_date"),
    ("condition", "id, patient_id, code"),
    ("observation", "id, patient_id, part, value"),
];

/// The views, as files.
pub(super) const VIEWS: [(&str, &str); 3] = [
    (
        "patient",
        r#"{"resourceType": "ViewDefinition", "name": "patient", "status": "active", "resource": "Patient",
  "select": [{"column": [
    {"name": "id", "path": "getResourceKey()", "type": "string"},
    {"name": "family", "path": "name.first().family", "type": "string"},
    {"name": "active", "path": "active", "type": "boolean"},
    {"name": "birth_date", "path": "birthDate", "type": "date"}]}]}"#,
    ),
    (
        "condition",
        r#"{"resourceType": "ViewDefinition", "name": "condition", "status": "active", "resource": "Condition",
  "where": [{"path": "clinicalStatus.coding.exists(code = 'active')"}],
  "select": [{"column": [
    {"name": "id", "path": "getResourceKey()", "type": "string"},
    {"name": "patient_id", "path": "subject.getReferenceKey(Patient)", "type": "string"},
    {"name": "code", "path": "code.text", "type": "string"}]}]}"#,
    ),
    (
        "observation",
        r#"{"resourceType": "ViewDefinition", "name": "observation", "status": "active", "resource": "Observation",
  "where": [{"path": "status = 'final'"}],
  "select": [
    {"column": [
      {"name": "id", "path": "getResourceKey()", "type": "string"},
      {"name": "patient_id", "path": "subject.getReferenceKey(Patient)", "type": "string"}]},
    {"forEach": "component", "column": [
      {"name": "part", "path": "code.text", "type": "string"},
      {"name": "value", "path": "value.ofType(integer)", "type": "integer"}]}]}"#,
    ),
];

/// The rows that these resources should give, by table.
pub(super) fn expected(state: &BTreeMap<Key, Value>) -> BTreeMap<&'static str, Rows> {
    let mut tables: BTreeMap<_, Rows> =
        TABLES.iter().map(|(table, _)| (*table, Vec::new())).collect();
    for ((kind, _), resource) in state {
        let table = TABLES.iter().find(|(table, _)| table.eq_ignore_ascii_case(kind)).unwrap().0;
        tables.get_mut(table).unwrap().extend(rows_of(resource));
    }
    for rows in tables.values_mut() {
        rows.sort();
    }
    tables
}

fn rows_of(resource: &Value) -> Rows {
    let text = |value: &Value| match value {
        Value::Null => "∅".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |values: &[&Value]| values.iter().map(|value| text(value)).collect::<Vec<_>>();
    let id = &resource["id"];
    let patient = Value::from(patient_of(resource));
    match resource["resourceType"].as_str() {
        Some("Patient") => {
            let family = &resource["name"][0]["family"];
            vec![row(&[id, family, &resource["active"], &resource["birthDate"]])]
        }
        Some("Condition") if resource["clinicalStatus"]["coding"][0]["code"] == "active" => {
            vec![row(&[id, &patient, &resource["code"]["text"]])]
        }
        Some("Observation") if resource["status"] == "final" => {
            let components = resource["component"].as_array().into_iter().flatten();
            let one =
                |part: &Value| row(&[id, &patient, &part["code"]["text"], &part["valueInteger"]]);
            components.map(one).collect()
        }
        _ => Vec::new(),
    }
}

/// The rows of the tables that a warehouse has.
pub(super) async fn found(warehouse: &Path) -> BTreeMap<&'static str, Rows> {
    let engine = Engine::open(warehouse).await.unwrap();
    let mut tables = BTreeMap::new();
    for (table, columns) in TABLES {
        let sql = format!("SELECT {columns} FROM {table}");
        tables.insert(table, sorted(&engine, &sql).await);
    }
    tables
}

/// All columns but `_run`, of all tables of views.
pub(super) async fn whole(warehouse: &Path) -> BTreeMap<&'static str, (Vec<String>, Rows)> {
    let engine = Engine::open(warehouse).await.unwrap();
    let known = engine.tables().await;
    let mut tables = BTreeMap::new();
    for (table, _) in TABLES {
        let columns = &known.iter().find(|known| known.name == table).unwrap().columns;
        let columns = columns.iter().map(|column| column.name.clone());
        let columns: Vec<_> = columns.filter(|name| name != "_run").collect();
        let quoted: Vec<_> = columns.iter().map(|name| format!("\"{name}\"")).collect();
        let sql = format!("SELECT {} FROM {table}", quoted.join(", "));
        let rows = sorted(&engine, &sql).await;
        tables.insert(table, (columns, rows));
    }
    tables
}

async fn sorted(engine: &Engine, sql: &str) -> Rows {
    let mut rows = support::rows(engine, sql).await;
    rows.sort();
    rows
}

/// Panics with the rows that are too many and those that are missing.
pub(super) fn assert_equal(
    found: &BTreeMap<&'static str, Rows>,
    expected: &BTreeMap<&'static str, Rows>,
    what: &str,
) {
    let mut differences = Vec::new();
    for (table, expected) in expected {
        let found = &found[table];
        differences
            .extend(minus(found, expected).map(|row| format!("{table}: {row:?} is too much")));
        differences
            .extend(minus(expected, found).map(|row| format!("{table}: {row:?} is missing")));
    }
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}

/// What `rows` has more often than `others`; both are sorted.
fn minus<'r>(rows: &'r Rows, others: &'r Rows) -> impl Iterator<Item = &'r Vec<String>> {
    let mut others = others.iter().peekable();
    rows.iter().filter(move |row| {
        while others.next_if(|other| other < row).is_some() {}
        others.next_if(|other| other == row).is_none()
    })
}
