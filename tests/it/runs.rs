//! What was done and what could not be used, as `kiln runs` and `kiln rejects` show it; and keys of named sources.

use std::path::Path;

use kiln::history::{History, RunBegun, RunEnded};
use serde_json::{Value, json};

use crate::command::{check, folder, run};

const PATIENTS: &str = r#"{"resourceType":"Patient","id":"a","generalPractitioner":[{"reference":"Practitioner/x"}]}
no JSON
{"resourceType":"Patient","id":"b","generalPractitioner":[{"reference":"urn:uuid:1"}]}
{"resourceType":"Practitioner","id":"x"}
"#;

const PEOPLE: &str = r#"{"name":"people","resource":"Patient","select":[{"column":[
  {"name":"id","path":"getResourceKey()"},
  {"name":"gp","path":"generalPractitioner.first().getReferenceKey(Practitioner)"}]}]}"#;

const DOCTORS: &str = r#"{"name":"doctors","resource":"Practitioner","select":[{"column":[
  {"name":"id","path":"getResourceKey()"}]}]}"#;

const PIPELINE: &str = r#"schemas = ["./people.json", "./doctors.json"]
[source]
path = "export"
name = "mercy"
[warehouse]
path = "warehouse"
[rejects]
max = 1
keep_excerpts = EXCERPTS
"#;

/// Notes a run that has ended.
fn note(history: &History, run: &str, pipeline: &str, outcome: &str, report: Option<Value>) {
    let begun = RunBegun {
        run: run.to_owned(),
        pipeline: pipeline.to_owned(),
        started: "2026-03-01T00:00:00Z".to_owned(),
        kind: "full".to_owned(),
        slot: None,
    };
    history.begin(&begun).unwrap();
    let ended = RunEnded {
        run: run.to_owned(),
        ended: "2026-03-01T00:00:01.5Z".to_owned(),
        outcome: outcome.to_owned(),
        message: (outcome == "failed").then(|| "why".to_owned()),
        report,
        synchronised: None,
        members: None,
    };
    history.end(&ended).unwrap();
}

fn scene() -> tempfile::TempDir {
    let scene = folder(&[]);
    let history = History::open(&scene.path().join("warehouse/_kiln")).unwrap();
    note(&history, "20260301T01-a", "monthly", "failed", None);
    let report = json!({
        "tables": [{ "table": "people", "resource": "Patient", "resources": 2, "rows": 2, "version": 4 }],
        "export": { "folder": "exports/1", "transaction_time": "2026-02-28T23:00:00Z" },
        "files": [{ "file": "exports/1/Patient.ndjson", "lines": 2 }],
    });
    note(&history, "20260301T02-b", "nightly", "committed", Some(report));
    scene
}

#[test]
fn runs_are_listed_and_shown() {
    let scene = scene();
    let list = |arguments: &[&str], expected: &str| {
        let arguments = [&["runs", "--format", "csv"], arguments].concat();
        check(scene.path(), &arguments, 0, expected, &[]);
    };
    let head = "run,pipeline,kind,started,seconds,outcome,message\n";
    let monthly = "20260301T01-a,monthly,full,2026-03-01T00:00:00Z,1.5,failed,why\n";
    let nightly = "20260301T02-b,nightly,full,2026-03-01T00:00:00Z,1.5,committed,\n";
    list(&[], &format!("{head}{nightly}{monthly}"));
    list(&["--limit", "1"], &format!("{head}{nightly}"));
    list(&["monthly"], &format!("{head}{monthly}"));
    let made = "version,run,pipeline,started,rows,export,transaction_time,files\n\
                4,20260301T02-b,nightly,2026-03-01T00:00:00Z,2,exports/1,2026-02-28T23:00:00Z,1\n";
    list(&["--table", "people"], made);
    list(&["--table", "people", "--version", "4"], made);

    let shown = "run 20260301T02-b of `nightly`
  began 2026-03-01T00:00:00Z, full: committed, in 1.5 s
export
  folder: exports/1
  transaction_time: 2026-02-28T23:00:00Z
tables
  people: 2 rows of 2 Patient, version 4
files
  exports/1/Patient.ndjson: 2 lines
";
    for arguments in [&["runs", "show"][..], &["runs", "show", "20260301T02"]] {
        check(scene.path(), arguments, 0, shown, &[]);
    }
    let failed = "run 20260301T01-a of `monthly`
  began 2026-03-01T00:00:00Z, full: failed, in 1.5 s
  because why
  it left no report
";
    check(scene.path(), &["runs", "show", "20260301T01"], 0, failed, &[]);
    let version =
        "version 4 of `people`: run 20260301T02-b of `nightly`, which began 2026-03-01T00:00:00Z
export as of 2026-02-28T23:00:00Z in `exports/1`
  exports/1/Patient.ndjson
";
    check(scene.path(), &["runs", "--table", "people", "--version", "4"], 0, version, &[]);
    let shown = run(scene.path(), &["runs", "show", "--format", "json"], "");
    let json: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(json["run"]["outcome"], "committed");
    assert_eq!(json["report"]["tables"][0]["version"], 4);
}

#[test]
fn what_is_not_there_is_said() {
    let scene = scene();
    for (arguments, code, line) in [
        (&["runs", "show", "20260301T0"][..], 2, "error: several runs begin with `20260301T0`"),
        (&["runs", "show", "x"], 2, "error: there is no run `x`"),
        (&["runs", "weekly"], 2, "error: there is no run of `weekly`"),
        (&["runs", "a", "b"], 2, "error: too many arguments"),
        (&["runs", "--table", "x"], 2, "error: no run of the history made a version of `x`"),
        (
            &["runs", "--table", "people", "--version", "5"],
            2,
            "error: no run of the history made version 5 of `people`",
        ),
        (&["runs", "--warehouse", "other"], 4, "error: there is no history in `other/_kiln`"),
        (&["rejects", "x"], 2, "error: there is no run `x`"),
        (
            &["rejects", "--warehouse", "other", "x'y"],
            2,
            "error: `x'y` cannot be the name of a run",
        ),
    ] {
        check(scene.path(), arguments, code, "", &[line]);
    }
}

/// A run of a pipeline with a named source.
fn warehouse(excerpts: bool) -> tempfile::TempDir {
    let scene = folder(&[
        ("export/all.ndjson", PATIENTS),
        ("people.json", PEOPLE),
        ("doctors.json", DOCTORS),
        ("pipeline.toml", &PIPELINE.replace("EXCERPTS", &excerpts.to_string())),
    ]);
    let ran = run(scene.path(), &["run", "pipeline.toml"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    scene
}

fn rejects(folder: &Path, arguments: &[&str]) -> String {
    let ran = run(folder, &[&["rejects", "--format", "csv"], arguments].concat(), "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

#[test]
fn rejects_are_shown_with_excerpts_only_if_they_were_kept() {
    for excerpts in [false, true] {
        let scene = warehouse(excerpts);
        let found = rejects(scene.path(), &[]);
        let mut lines = found.lines();
        let columns = if excerpts { "reason,excerpt,_run" } else { "reason,_run" };
        assert_eq!(
            lines.next(),
            Some(&*format!("file,line,byte_offset,entry,view_name,{columns}"))
        );
        let row = lines.next().unwrap();
        assert!(row.contains("all.ndjson,2,"), "{row}");
        assert_eq!(row.contains("no JSON,"), excerpts, "{row}");
        assert_eq!(lines.next(), None);
        let of = row.rsplit(',').next().unwrap();
        assert_eq!(rejects(scene.path(), &[of]), found);
    }
}

#[test]
fn keys_of_a_named_source_join() {
    let scene = warehouse(false);
    let query = "SELECT p._key, p.id, p.gp, d._key AS doctor, p._source FROM people p \
                 LEFT JOIN doctors d ON p.gp = d.id ORDER BY 1";
    let expected = "_key,id,gp,doctor,_source\n\
                    mercy/a,mercy/a,mercy/x,mercy/x,mercy\n\
                    mercy/b,mercy/b,,,mercy\n";
    check(scene.path(), &["query", "--format", "csv", query], 0, expected, &[]);
}
