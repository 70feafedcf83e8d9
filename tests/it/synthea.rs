//! A real export through all shipped schemas: the tables hold what plain `serde_json` counts in it.

use std::fs;
use std::path::Path;

use kiln::query::Engine;
use serde_json::Value;

use crate::shared::shared;
use crate::support::{block_on, kiln_succeeds, value};
use crate::synthea_counts::{expected_counts, expected_sums};

#[test]
fn a_real_export_is_counted_as_by_hand() {
    let Some(source) = shared("data/synthea") else { return };
    let source = source.canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pipeline = format!(
        "[source]\npath = '{}/*.ndjson.gz'\n[warehouse]\npath = 'warehouse'\n[rejects]\nmax = 0\n",
        source.display()
    );
    fs::write(folder.path().join("synthea.toml"), pipeline).unwrap();
    kiln_succeeds(folder.path(), &["run", "synthea.toml", "--report", "report.json"]);

    let report = fs::read(folder.path().join("report.json")).unwrap();
    let report = serde_json::from_slice(&report).unwrap();
    assert_adds_up(&report);
    assert_report_counts(&report, &source);
    block_on(assert_tables(&folder.path().join("warehouse"), &source));
}

/// Lines = resources + Bundles + rejects + blanks; resources = with rows + without rows + failed.
fn assert_adds_up(report: &Value) {
    let files = report["files"].as_array().unwrap();
    assert!(!files.is_empty(), "the report names the files");
    for file in files.iter().chain([&report["total"]]) {
        let resources: u64 =
            file["resources"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        let parts =
            number(file, "bundles") + number(file, "rejected_lines") + number(file, "blanks");
        let whole = resources - number(file, "resources_in_bundles") + parts;
        assert_eq!(number(file, "lines"), whole, "{file}");
    }
    for name in ["lines", "blanks", "rejected_lines", "bundles", "rejected_entries"] {
        let sum: u64 = files.iter().map(|file| number(file, name)).sum();
        assert_eq!(sum, number(&report["total"], name), "sum of {name}");
    }
    for table in report["tables"].as_array().unwrap() {
        let parts = ["with_rows", "without_rows", "failed"].map(|name| number(table, name));
        assert_eq!(number(table, "resources"), parts.iter().sum::<u64>(), "{table}");
    }
}

/// Nothing is rejected, nothing fails, nothing is nulled, and rows are as counted.
fn assert_report_counts(report: &Value, source: &Path) {
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["rejects"], serde_json::json!({}), "rejects");
    // Synthea's coverage is contained in its claims.
    let [warning] = report["warnings"].as_array().unwrap().as_slice() else {
        panic!("one warning: {}", report["warnings"])
    };
    let warning = warning.as_str().unwrap();
    assert!(warning.starts_with("no `Coverage`, `"), "{warning}");
    let mut expected = expected_counts(source);
    for table in report["tables"].as_array().unwrap() {
        let name = table["table"].as_str().unwrap();
        let none = (number(table, "resources") == 0).then_some(0);
        assert_eq!(Some(number(table, "rows")), expected.remove(name).or(none), "rows of {name}");
        assert_eq!(number(table, "failed"), 0, "failures of {name}");
        assert_eq!(table["cast_failures"], serde_json::json!({}), "nulled values of {name}");
    }
    assert!(expected.is_empty(), "no table for {expected:?}");
}

async fn assert_tables(warehouse: &Path, source: &Path) {
    let engine = Engine::open(warehouse).await.unwrap();
    for (table, expected) in expected_counts(source) {
        let found = value(&engine, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(found, expected.to_string(), "rows of {table}");
    }
    for ((table, expression), expected) in expected_sums(source) {
        let sql = format!("SELECT CAST({expression} AS VARCHAR) FROM {table}");
        assert_eq!(value(&engine, &sql).await, expected, "{sql}");
    }
    let rejects = value(&engine, "SELECT count(*) FROM \"_rejects\"").await;
    assert_eq!(rejects, "0", "rejects");
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("`{name}` is a number in {of}"))
}
