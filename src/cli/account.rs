//! The account of a run that is in the history, as text. Reports are read leniently: of another version of Kiln, they
//! may have other fields, and those are shown too.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::runs::seconds;
use crate::history::{Made, RunLine};

/// Parts of a report that have a form of their own, or are said elsewhere.
const KNOWN: &[&str] = &[
    "run",
    "pipeline",
    "started",
    "outcome",
    "seconds",
    "threads",
    "input_bytes",
    "text_bytes",
    "total",
    "files",
    "tables",
    "rejects",
    "export",
    "stages",
    "warnings",
];

/// Parts of a table's account that have a form of their own.
const KNOWN_OF_TABLE: &[&str] = &[
    "table",
    "resource",
    "resources",
    "with_rows",
    "rows",
    "bytes",
    "version",
    "cast_failures",
    "unresolved_references",
];

/// More files are not listed.
const FILES: usize = 20;

/// What one run did.
pub(super) fn of_run(line: &RunLine, report: Option<&Value>) -> String {
    let mut text = format!("run {} of `{}`\n", plain(&line.run), plain(&line.pipeline));
    let took = seconds(line).map_or_else(String::new, |s| format!(", in {s:.1} s"));
    let _ = writeln!(text, "  began {}, {}: {}{took}", line.started, line.kind, line.outcome);
    if let Some(message) = &line.message {
        let _ = writeln!(text, "  because {}", plain(message));
    }
    let Some(Value::Object(report)) = report else {
        text.push_str("  it left no report\n");
        return text;
    };
    let empty = Value::Null;
    let part = |name: &str| report.get(name).unwrap_or(&empty);
    section(&mut text, "export", part("export"));
    lines(&mut text, part("total"));
    tables(&mut text, part("tables"));
    let others = report.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    others.for_each(|(name, value)| section(&mut text, name, value));
    section(&mut text, "rejects", part("rejects"));
    stages(&mut text, part("stages"));
    files(&mut text, part("files").as_array().map_or(&[], Vec::as_slice));
    section(&mut text, "warnings", part("warnings"));
    text
}

/// Who made a version of a table, of what.
pub(super) fn of_version(table: &str, made: &Made) -> String {
    let mut text = format!(
        "version {} of `{table}`: run {} of `{}`, which began {}\n",
        made.version, made.run, made.pipeline, made.started
    );
    if let Some(folder) = &made.export {
        let of = made.transaction_time.as_deref().unwrap_or("?");
        let _ = writeln!(text, "export as of {of} in `{}`", plain(folder));
    }
    for file in &made.files {
        let _ = writeln!(text, "  {}", plain(file));
    }
    text
}

/// A part of the report without a form of its own: a line for each of what it holds.
fn section(text: &mut String, name: &str, value: &Value) {
    if is_nothing(value) {
        return;
    }
    let name = name.replace('_', " ");
    match value {
        Value::Array(items) => {
            let _ = writeln!(text, "{name}");
            for item in items {
                let _ = writeln!(text, "  {}", flat(item));
            }
        }
        Value::Object(members) => {
            let _ = writeln!(text, "{name}");
            for (key, value) in members.iter().filter(|(_, value)| !is_nothing(value)) {
                let _ = writeln!(text, "  {}: {}", plain(key), flat(value));
            }
        }
        other => drop(writeln!(text, "{name}: {}", flat(other))),
    }
}

fn lines(text: &mut String, total: &Value) {
    let Some(lines) = number(total, "lines") else { return };
    let _ = write!(text, "lines\n  {lines}");
    for (name, what) in
        [("bundles", "Bundles"), ("rejected_lines", "rejected"), ("blanks", "blank")]
    {
        if let Some(count @ 1..) = number(total, name) {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text.push('\n');
    section(text, "resources", &total["resources"]);
}

fn tables(text: &mut String, tables: &Value) {
    let Some(tables) = tables.as_array().filter(|t| !t.is_empty()) else { return };
    text.push_str("tables\n");
    for table in tables.iter().filter_map(Value::as_object) {
        text.push_str(&table_line(table));
    }
}

fn table_line(table: &Map<String, Value>) -> String {
    let word = |name: &str| table.get(name).map_or_else(|| "?".to_owned(), flat);
    let mut text = format!(
        "  {}: {} rows of {} {}",
        word("table"),
        word("rows"),
        word("resources"),
        word("resource")
    );
    if let Some(version) = table.get("version") {
        let _ = write!(text, ", version {version}");
    }
    let others = table.iter().filter(|(name, _)| !KNOWN_OF_TABLE.contains(&name.as_str()));
    for (name, value) in others.filter(|(_, value)| !is_nothing(value) && **value != 0) {
        let _ = write!(text, ", {} {}", name.replace('_', " "), flat(value));
    }
    text.push('\n');
    if let Some(failures) = table.get("cast_failures").filter(|f| !is_nothing(f)) {
        let _ = writeln!(text, "    did not fit and became null: {}", flat(failures));
    }
    let unresolved = table.get("unresolved_references").and_then(Value::as_array);
    for place in unresolved.into_iter().flatten() {
        let _ = writeln!(
            text,
            "    without a key: `{}`: {}",
            flat(&place["path"]),
            flat(&place["reasons"])
        );
    }
    text
}

fn stages(text: &mut String, stages: &Value) {
    let Some(stages) = stages.as_array().filter(|s| !s.is_empty()) else { return };
    text.push_str("stages\n");
    for stage in stages {
        let seconds = stage["seconds"].as_f64().unwrap_or(0.0);
        let _ = write!(text, "  {:8} {seconds:8.2} s", flat(&stage["name"]));
        if let Some(rate) = stage["mb_per_second"].as_f64() {
            let _ = write!(text, " of thread time, {rate:.0} MB/s each");
        }
        text.push('\n');
    }
}

fn files(text: &mut String, files: &[Value]) {
    if files.is_empty() {
        return;
    }
    text.push_str("files\n");
    for file in files.iter().take(FILES) {
        let lines = number(file, "lines").unwrap_or(0);
        let _ = writeln!(text, "  {}: {lines} lines", flat(&file["file"]));
    }
    if files.len() > FILES {
        let _ = writeln!(text, "  … {} more; `--format json` has all", files.len() - FILES);
    }
}

fn number(of: &Value, name: &str) -> Option<u64> {
    of.get(name)?.as_u64()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A value in one line.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let some = members.iter().filter(|(_, value)| !is_nothing(value));
            let parts = some.map(|(name, value)| format!("{} {}", plain(name), flat(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Text as a terminal may have it: servers write some of it.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reports_of_any_version_are_shown() {
        let line = RunLine {
            run: "r1".to_owned(),
            pipeline: "nightly".to_owned(),
            started: "2026-03-01T00:00:00.5Z".to_owned(),
            ended: Some("2026-03-01T00:00:02Z".to_owned()),
            kind: "full".to_owned(),
            outcome: "committed".to_owned(),
            message: None,
        };
        let head =
            "run r1 of `nightly`\n  began 2026-03-01T00:00:00.5Z, full: committed, in 1.5 s\n";
        let patient = json!({
            "table": "patient", "resource": "Patient", "resources": 9, "rows": 8, "failed": 0, "without_rows": 1,
            "version": 7, "cast_failures": {"born": 2}, "keys_gone": 5, "note": null,
            "unresolved_references": [{"path": "x.getReferenceKey()", "reasons": {"elsewhere": 4}}]
        });
        let stages = json!([{"name": "read", "seconds": 0.5, "mb_per_second": 100.0}, {"name": "commit", "seconds": 1}]);
        for (report, expected) in [
            (json!(null), "  it left no report\n"),
            (json!({}), ""),
            (json!({"tables": "?", "stages": 1, "files": {}, "total": []}), ""),
            (
                json!({"tables": [patient]}),
                "tables\n  patient: 8 rows of 9 Patient, version 7, keys gone 5, without rows 1\n    \
                 did not fit and became null: born 2\n    without a key: `x.getReferenceKey()`: elsewhere 4\n",
            ),
            (
                json!({"stages": stages}),
                "stages\n  read         0.50 s of thread time, 100 MB/s each\n  commit       1.00 s\n",
            ),
            (
                json!({"total": {"lines": 3, "blanks": 1, "resources": {"Patient": 2}}, "rejects": {"no JSON": 1}}),
                "lines\n  3, 1 blank\nresources\n  Patient: 2\nrejects\n  no JSON: 1\n",
            ),
            (
                json!({"schema_changes": [{"table": "a", "change": "added"}], "models": [], "members_left": 3}),
                "members left: 3\nschema changes\n  change added, table a\n",
            ),
            (json!({"warnings": ["\u{1b}[2Jgone"]}), "warnings\n  \\u{1b}[2Jgone\n"),
            (json!({"files": [{"file": "a", "lines": 2}]}), "files\n  a: 2 lines\n"),
        ] {
            let report = Some(report).filter(|r| !r.is_null());
            assert_eq!(of_run(&line, report.as_ref()), format!("{head}{expected}"), "{report:?}");
        }
    }
}
