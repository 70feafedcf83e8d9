//! The command line as a user meets it: exact output, the lines that matter of what is said beside it, exit codes.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{check, check_with_input, folder, kiln, names, run};

const PATIENTS: &str = r#"{"resourceType":"Patient","id":"a","gender":"female","birthDate":"1980-02-03"}
{"resourceType":"Patient","id":"b","gender":"male","birthDate":"1990"}
{"resourceType":"Patient","id":"c","name":[{"family":"Ngô, \"the\" 2nd"}]}
"#;

const PEOPLE: &str = r#"{"resourceType":"ViewDefinition","name":"people","resource":"Patient","description":"Who's who","select":[{"column":[
  {"name":"id","path":"getResourceKey()","description":"Its key"},
  {"name":"gender","path":"gender"},
  {"name":"family","path":"name.first().family"},
  {"name":"birth","path":"birthDate","tag":[{"name":"ansi/type","value":"DATE"}]},
  {"name":"given","path":"name.given","collection":true}]}]}"#;

const IDS: &str = r#"{"resource":"Patient","select":[{"column":[{"name":"id","path":"id"}]}]}"#;

const PIPELINE: &str = r#"schemas = ["./people.json"]
[source]
path = "export"
[warehouse]
path = "tables"
[[query]]
name = "How many?"
sql = "SELECT count(*) AS n FROM people"
"#;

const ROWS: &str = r#"{"id":"a","gender":"female","family":null,"birth":"1980-02-03","given":[]}
{"id":"b","gender":"male","family":null,"birth":null,"given":[]}
{"id":"c","gender":null,"family":"Ngô, \"the\" 2nd","birth":null,"given":[]}
"#;

/// An export of three patients, a view, a pipeline.
fn scene() -> TempDir {
    folder(&[
        ("export/Patient.ndjson", PATIENTS),
        ("people.json", PEOPLE),
        ("patient-ids.json", IDS),
        ("pipeline.toml", PIPELINE),
    ])
}

/// The same, run.
fn warehouse() -> TempDir {
    let scene = scene();
    let ran = run(scene.path(), &["run", "pipeline.toml"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    scene
}

#[test]
fn flatten_writes_rows_to_standard_output() {
    let scene = scene();
    let account =
        ["people: 3 rows of 3 resources", "  1 value of `birth` did not fit and became null"];
    check(scene.path(), &["flatten", "--view", "people.json", "export"], 0, ROWS, &account);
    let table = "id,gender,family,birth,given\na,female,,1980-02-03,[]\nb,male,,,[]\nc,,\"Ngô, \"\"the\"\" 2nd\",,[]\n";
    check(
        scene.path(),
        &["flatten", "--view", "people.json", "--format", "csv", "export/*.ndjson"],
        0,
        table,
        &account,
    );
    check(
        scene.path(),
        &["flatten", "--view", "patient-ids.json", "--threads", "1", "export/Patient.ndjson"],
        0,
        "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n",
        &["patient_ids: 3 rows of 3 resources"],
    );
}

#[test]
fn flatten_writes_a_file_for_each_view() {
    let scene = scene();
    for (format, ending) in [("parquet", "parquet"), ("csv", "csv"), ("ndjson", "ndjson")] {
        let out = format!("out/{format}");
        let views = ["--view", "people.json", "--view", "patient_address"];
        let to = ["--format", format, "--out", &out, "export"];
        let said = ["people: 3 rows of 3 resources", "patient_address: 0 rows of 3 resources"];
        check(scene.path(), &[&["flatten"], &views[..], &to].concat(), 0, "", &said);
        let expected = [format!("patient_address.{ending}"), format!("people.{ending}")];
        assert_eq!(names(&scene.path().join(&out)), expected);
    }
    assert_eq!(fs::read_to_string(scene.path().join("out/ndjson/people.ndjson")).unwrap(), ROWS);
    let magic = fs::read(scene.path().join("out/parquet/people.parquet")).unwrap();
    assert!(magic.starts_with(b"PAR1") && magic.ends_with(b"PAR1"));
    check(
        scene.path(),
        &["flatten", "--view", "people.json", "--out", "default", "export"],
        0,
        "",
        &[],
    );
    assert_eq!(names(&scene.path().join("default")), ["people.parquet"]);
}

#[test]
fn flatten_refuses_what_cannot_be() {
    let scene = scene();
    let people = ["flatten", "--view", "people.json"];
    for (arguments, code, lines) in [
        (
            &["--format", "parquet", "export"][..],
            2,
            &["error: `parquet` is written to a folder", "  hint: name a folder with `--out`"][..],
        ),
        (
            &["--view", "patient", "export"],
            2,
            &[
                "error: standard output takes the rows of one view",
                "  hint: name a folder with `--out`",
            ],
        ),
        (
            &["--view", "patint", "export"],
            3,
            &[
                "error: there is no shipped schema `patint`",
                "  at: patint: schemas",
                "  hint: did you mean `patient`? A file is named with its path: `./patint.json`",
                "error: 1 mistake in the definitions; nothing was read",
            ],
        ),
        (
            &["--view", "people.json", "--out", "out", "export"],
            3,
            &["error: two schemas make a table `people`", "  hint: rename one, or leave one out"],
        ),
        (&["nope"], 4, &["error: cannot find `nope`: No such file or directory (os error 2)"]),
        (
            &["--out", "people.json/x", "export"],
            6,
            &["error: cannot create `people.json/x`: Not a directory (os error 20)"],
        ),
        (
            &["--max-rejects", "few", "export"],
            2,
            &[
                "error: invalid value 'few' for '--max-rejects <N|P%>': `few` is neither a number of lines nor a percentage such as `0.1%`",
            ],
        ),
        (
            &["--max-line-mib", "0", "export"],
            2,
            &["error: invalid value '0' for '--max-line-mib <MIB>': 0 is not in 1..=1024"],
        ),
        (&[], 2, &["error: the following required arguments were not provided:"]),
    ] {
        check(scene.path(), &[&people[..], arguments].concat(), code, "", lines);
    }
    assert!(!scene.path().join("out").exists());
}

#[test]
fn too_many_rejects_leave_no_file() {
    let scene = folder(&[
        (
            "bad.ndjson",
            "{\"resourceType\":\"Patient\",\"id\":\"a\"}\n{\"resourceType\":\"Patient\"\n",
        ),
        ("ids.json", IDS),
    ]);
    let lines = [
        "error: 1 reject among 2 lines, 0 allowed",
        "  first: bad.ndjson:2 (byte 36): not valid JSON",
        "  hint: `--max-rejects` allows more",
    ];
    for format in ["parquet", "csv", "ndjson"] {
        let arguments =
            ["flatten", "--view", "ids.json", "--format", format, "--out", "out", "bad.ndjson"];
        check(scene.path(), &arguments, 5, "", &lines);
        assert!(names(&scene.path().join("out")).is_empty(), "{format}");
    }
    let allowed = ["flatten", "--view", "ids.json", "--max-rejects", "50%", "bad.ndjson"];
    let lines = ["ids: 1 row of 1 resource", "rejected 1: not valid JSON"];
    check(scene.path(), &allowed, 0, "{\"id\":\"a\"}\n", &lines);
}

#[test]
fn query_writes_every_format() {
    let scene = warehouse();
    let sql = "SELECT id, birth FROM people ORDER BY id LIMIT 2";
    for (format, expected) in [
        (
            "table",
            "+----+------------+\n| id | birth      |\n+----+------------+\n| a  | 1980-02-03 |\n| b  | NULL       |\n+----+------------+\n(2 rows)\n",
        ),
        ("csv", "id,birth\na,1980-02-03\nb,\n"),
        ("ndjson", "{\"id\":\"a\",\"birth\":\"1980-02-03\"}\n{\"id\":\"b\",\"birth\":null}\n"),
        ("json", "[\n{\"id\":\"a\",\"birth\":\"1980-02-03\"},\n{\"id\":\"b\",\"birth\":null}\n]\n"),
    ] {
        let query = ["query", "--warehouse", "tables", "--format", format];
        check(scene.path(), &[&query[..], &[sql]].concat(), 0, expected, &[]);
        let to_file = [&query[..], &["--output", "result", sql]].concat();
        check(scene.path(), &to_file, 0, "", &[]);
        assert_eq!(fs::read_to_string(scene.path().join("result")).unwrap(), expected);
    }
    let parquet = ["query", "--warehouse", "tables", "--format", "parquet", sql];
    let refused =
        ["error: `parquet` is written to a file only", "  hint: name the file with `--output`"];
    check(scene.path(), &parquet, 2, "", &refused);
    check(scene.path(), &[&parquet[..], &["--output", "result.parquet"]].concat(), 0, "", &[]);
    assert!(fs::read(scene.path().join("result.parquet")).unwrap().starts_with(b"PAR1"));
}

#[test]
fn query_takes_several_statements_from_a_file_or_a_prompt() {
    let scene = warehouse();
    let sql = "CREATE VIEW women AS SELECT id FROM people WHERE gender = 'female';\n-- then\nSELECT count(*) AS n FROM women; SELECT 1 AS one";
    fs::write(scene.path().join("two.sql"), sql).unwrap();
    let file = ["query", "--warehouse", "tables", "--format", "ndjson", "-f", "two.sql"];
    check(scene.path(), &file, 0, "{\"n\":1}\n{\"one\":1}\n", &[]);
    let csv = ["query", "--warehouse", "tables", "--format", "csv", "-f", "two.sql"];
    let refused = ["error: 2 statements give rows, but `csv` holds one result"];
    check(scene.path(), &csv, 3, "", &refused);
    let prompt = ["query", "--warehouse", "tables", "--format", "csv"];
    check_with_input(
        scene.path(),
        &prompt,
        "SELECT count(*) AS n\nFROM people;\nSELECT 2 AS two;",
        0,
        "n\n3\ntwo\n2\n",
        &[],
    );
    check_with_input(
        scene.path(),
        &prompt,
        "SELECT nope FROM people;",
        3,
        "",
        &["error: there is no column `nope`"],
    );
}

#[test]
fn query_refuses_with_place_and_suggestion() {
    let scene = warehouse();
    for (sql, code, lines) in [
        (
            "SELECT id, gendr FROM people",
            3,
            &[
                "error: there is no column `gendr`",
                "  line: 1, column 12",
                "  SELECT id, gendr FROM people",
                "             ^^^^^",
                "  hint: did you mean `gender`? columns: _key, id, gender, family, birth, given, _source, _run",
            ][..],
        ),
        (
            "SELECT *\nFROM peple",
            3,
            &[
                "error: there is no table `peple`",
                "  line: 2, column 6",
                "  hint: did you mean `people`? tables: _rejects, people",
            ],
        ),
        (
            "INSERT INTO people VALUES ('x')",
            3,
            &["error: `INSERT` is refused: the query session only reads"],
        ),
        ("SELECT count(* FROM people", 3, &["  line: 1, column 16"]),
        ("", 3, &["error: there is no statement to run"]),
        (
            "SELECT CAST(id AS INT) FROM people",
            7,
            &[
                "error: the query failed: cannot cast string … to value of Int32 type",
                "  hint: TRY_CAST gives null where a value does not fit the type",
            ],
        ),
    ] {
        check(scene.path(), &["query", "--warehouse", "tables", sql], code, "", lines);
    }
    let query = |more: &[&'static str]| [&["query"], more, &["SELECT 1 AS one"]].concat();
    let hint = "  hint: name the folder that `kiln run` wrote to with `--warehouse`";
    let missing =
        "error: cannot read the warehouse `warehouse`: No such file or directory (os error 2)";
    check(scene.path(), &query(&[]), 4, "", &[missing, hint]);
    let below = ["--warehouse", "tables", "--format", "csv", "--output", "people.json/x.csv"];
    let cannot = "error: cannot write beside `people.json/x.csv`: Not a directory (os error 20)";
    check(scene.path(), &query(&below), 6, "", &[cannot]);
    let file = ["query", "--warehouse", "tables", "-f", "none.sql"];
    let cannot = "error: cannot read `none.sql`: No such file or directory (os error 2)";
    check(scene.path(), &file, 4, "", &[cannot]);
}

#[test]
fn check_says_everything_that_is_wrong_with_a_view() {
    let scene = scene();
    let bad = r#"{"name":"1-bad","resource":"Patient","selct":[],"select":[
      {"column":[{"name":"id","path":"getResourceKey()"},{"name":"ID","path":"brithDate"},
                 {"name":"x","path":"name.frist().family"},{"name":"a-b","path":"gender"}]},
      {"forEach":"name","forEachOrNull":"contact","column":[{"name":"fam","path":"family"}]},
      {"unionAll":[{"column":[{"name":"u","path":"gender"}]},{"column":[{"name":"w","path":"gender"}]}]}]}"#;
    fs::write(scene.path().join("bad.json"), bad).unwrap();
    fs::write(scene.path().join("cut.json"), "{\"name\":").unwrap();
    check(scene.path(), &["check", "people.json"], 0, "1 file checked: nothing is wrong\n", &[]);
    check(
        scene.path(),
        &["check", "bad.json", "cut.json", "none.json", "people.json"],
        3,
        "",
        &[
            "error: `1-bad` is no name for SQL",
            "  at: bad.json:1:2: name",
            "warning: `selct` is not part of a view and has no effect",
            "  at: bad.json:1:38: selct",
            "  hint: did you mean `select`?",
            "error: there are two columns `ID`",
            "  at: bad.json:2:59: select[0].column[1].name",
            "error: `Patient` has no element `brithDate`",
            "  at: bad.json:2:79: select[0].column[1].path",
            "      brithDate",
            "      ^^^^^^^^^",
            "  hint: did you mean `birthDate`?",
            "error: there is no function `frist()`",
            "  at: bad.json:3:43: select[0].column[2].path",
            "      name.frist().family",
            "           ^^^^^",
            "  hint: did you mean `first()`?",
            "error: `a-b` is no name for SQL",
            "  at: bad.json:3:61: select[0].column[3].name",
            "  hint: begin with a letter, go on with letters, digits and `_`",
            "error: a select may have only one of `forEach`, `forEachOrNull`",
            "  at: bad.json:4:25: select[1].forEachOrNull",
            "  hint: put one of them into a `select` of its own within",
            "error: the columns of this branch (w) are not those of the first (u)",
            "  at: bad.json:5:62: select[2].unionAll[1]",
            "  hint: all branches of `unionAll` need the same columns in the same order",
            "error: not valid JSON: EOF while parsing a value",
            "  at: cut.json:1:8",
            "error: cannot be read: No such file or directory (os error 2)",
            "  at: none.json",
            "error: 9 mistakes in the definitions; nothing was read",
        ],
    );
}

#[test]
fn check_says_everything_that_is_wrong_with_a_pipeline() {
    let scene = scene();
    let file = |name: &str, text: &str| fs::write(scene.path().join(name), text).unwrap();
    file("syntax.toml", "name = \"x\"\n[source\npath = \"export\"\n");
    file(
        "key.toml",
        "schemes = [\"patient\"]\n[source]\npath = \"export\"\n[warehouse]\npath = \"w\"\n",
    );
    file(
        "many.toml",
        r#"schemas = ["patiant", "./none.json", "./no*.json"]
[source]
path = "export"
sample = { patients = 1, folder = "s" }
max_line_mib = 0
[warehouse]
path = "w"
[rejects]
max = "lots"
[[query]]
name = "q"
file = "none.sql"
[[query]]
name = "r"
"#,
    );
    file(
        "sql.toml",
        r#"schemas = ["./people.json"]
source = { path = "nowhere" }
warehouse = { path = "w" }
query = [{ name = "q", sql = "SELECT gendr FROM people" }, { name = "r", sql = "SELEC 1" }]
"#,
    );
    check(
        scene.path(),
        &["check", "syntax.toml", "key.toml", "many.toml", "sql.toml"],
        3,
        "",
        &[
            "  at: syntax.toml: line 2",
            "error: unknown field `schemes`, expected one of `name`, `description`, `source`, `schemas`, `warehouse`, `rejects`, `quality`, `model`, `load`, `notify`, `schedule`, `retention`, `query`",
            "  at: key.toml: line 1",
            "error: `0` is not between 1 and 1024",
            "  at: many.toml: source.max_line_mib",
            "error: a source is one of `path`, `sample` and `export`",
            "  at: many.toml: source",
            "error: `lots` is neither a number of lines nor a percentage such as `0.1%`",
            "  at: many.toml: rejects.max",
            "error: there is no shipped schema `patiant`",
            "error: cannot be read: No such file or directory (os error 2)",
            "error: no file matches",
            "error: `none.sql` cannot be read: No such file or directory (os error 2)",
            "  at: many.toml: query[0].file",
            "error: a query has either `sql` or a `file`",
            "  at: many.toml: query[1]",
            "error: there is no column `gendr`",
            "  file: sql.toml",
            "  query: q",
            "  line: 1, column 8",
            "  SELECT gendr FROM people",
            "         ^^^^^",
            "  query: r",
            "error: 12 mistakes in the definitions; nothing was read",
        ],
    );
    for (text, message, at) in [
        ("", "missing field `source`", "line 1"),
        (
            "[source]\npath = 5\n[warehouse]\npath = 'w'",
            "expected a path, or a list of paths",
            "line 2",
        ),
        (
            "[source]\npath = []\n[warehouse]\npath = 'w'",
            "the list of paths is empty",
            "source.path",
        ),
        ("[source]\npath = 'x'\n[warehouse]\npath = ''", "the path is empty", "warehouse.path"),
        (
            "source = { path = 'x' }\nwarehouse = { path = 'w' }\nrejects = { max = -1 }",
            "expected a number of lines such as 250, or a share such as \"0.1%\"",
            "line 3",
        ),
        (
            "source = { sample = { patients = 0, folder = 's' } }\nwarehouse = { path = 'w' }",
            "a population has at least 1 patient",
            "source.sample.patients",
        ),
    ] {
        file("one.toml", text);
        let lines = [&format!("error: {message}"), &format!("  at: one.toml: {at}")];
        check(scene.path(), &["check", "one.toml"], 3, "", &lines.map(String::as_str));
    }
    // A run refuses the same before it looks at the source.
    let said = [
        "error: there is no column `gendr`",
        "error: 2 mistakes in the definitions; nothing was read",
    ];
    check(scene.path(), &["run", "sql.toml"], 3, "", &said);
    assert!(!scene.path().join("w").exists());
}

#[test]
fn schema_shows_columns_and_tables() {
    let scene = scene();
    check(
        scene.path(),
        &["schema", "people.json"],
        0,
        "people (Patient): Who's who\n  id      text    Its key\n  gender  text\n  family  text\n  birth   date\n  given   text[]\n",
        &[],
    );
    for (dialect, text) in [("postgres", "text"), ("duckdb", "VARCHAR")] {
        let expected = format!(
            "CREATE TABLE \"people\" (\n    \"id\" {text},\n    \"gender\" {text},\n    \"family\" {text},\n    \"birth\" date,\n    \"given\" {text}[]\n);\nCOMMENT ON TABLE \"people\" IS 'Who''s who';\nCOMMENT ON COLUMN \"people\".\"id\" IS 'Its key';\n"
        );
        check(scene.path(), &["schema", "--ddl", dialect, "people.json"], 0, &expected, &[]);
    }
    assert_eq!(run(scene.path(), &["schema"], "").code, 0);
    assert_eq!(names(scene.path()), names(self::scene().path()), "nothing was made");
}

#[test]
fn sample_gives_the_same_bytes_and_overwrites_nothing() {
    let scene = folder(&[("full/file", "")]);
    let sample = |out: &'static str| ["sample", "--patients", "3", "--seed", "7", out];
    for out in ["a", "b"] {
        let ran = run(scene.path(), &sample(out), "");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.ends_with(&format!("MB, in `{out}`\n")), "{}", ran.stdout);
    }
    let bytes = |out: &str| {
        let folder = scene.path().join(out);
        names(&folder)
            .into_iter()
            .map(|n| (fs::read(folder.join(&n)).unwrap(), n))
            .collect::<Vec<_>>()
    };
    assert!(bytes("a").len() > 10 && bytes("a") == bytes("b"));
    check(
        scene.path(),
        &sample("full"),
        6,
        "",
        &[
            "error: `full` is not empty",
            "  hint: name a new folder, or empty this one; `kiln sample` never overwrites",
        ],
    );
    assert_eq!(names(&scene.path().join("full")), ["file"]);
}

#[test]
fn the_demo_answers_its_questions_again_and_again() {
    let scene = folder(&[]);
    let first = run(scene.path(), &["demo"], "");
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.contains("Who is in the population?"), "{}", first.stdout);
    let hint =
        "hint: the tables stay: `kiln query --warehouse kiln-demo/warehouse` asks them anything";
    assert!(first.stderr.ends_with(&format!("{hint}\n")), "{}", first.stderr);
    let manifest = scene.path().join("kiln-demo/export/100-1/manifest.json");
    let made = fs::metadata(&manifest).unwrap().modified().unwrap();
    let second = run(scene.path(), &["demo"], "");
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(
        fs::metadata(&manifest).unwrap().modified().unwrap(),
        made,
        "the population is kept"
    );
    let sql = "SELECT count(*) AS n, count(DISTINCT _key) AS keys, count(DISTINCT _run) AS runs FROM patient";
    let query = ["query", "--warehouse", "kiln-demo/warehouse", "--format", "csv", sql];
    check(scene.path(), &query, 0, "n,keys,runs\n100,100,1\n", &[]);
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let scene = warehouse();
    let many = PATIENTS.repeat(20_000);
    fs::write(scene.path().join("many.ndjson"), many).unwrap();
    let numbers = "SELECT a.id FROM people a, people b, people c, people d, people e, people f, people g, people h, people i, people j";
    for arguments in [
        &["flatten", "--view", "people.json", "many.ndjson"][..],
        &["flatten", "--view", "people.json", "--format", "csv", "many.ndjson"],
        &["query", "--warehouse", "tables", "--format", "ndjson", numbers],
        &["schema"],
        &["schema", "--ddl", "postgres"],
        &["--help"],
    ] {
        let mut command = kiln(scene.path(), arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut start = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut start).unwrap();
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("error"), "{arguments:?}: {said}");
    }
}

#[test]
fn the_report_adds_up() {
    let scene = scene();
    let arguments = ["run", "pipeline.toml", "--report", "report.json"];
    let table = "\nHow many?\n+---+\n| n |\n+---+\n| 3 |\n+---+\n(1 row)\n";
    let lines = [
        "3 lines = 3 resources + 0 Bundles + 0 rejects + 0 blanks",
        "  people          3 rows of 3 Patient; 1 value did not fit and became null (birth 1)",
    ];
    check(scene.path(), &arguments, 0, table, &lines);
    let report = fs::read(scene.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    adds_up(&report);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["pipeline"], "pipeline");
    assert_eq!(report["tables"][0]["rows"], 3);
    assert_eq!(report["tables"][0]["cast_failures"]["birth"], 1);
    let kept = scene.path().join("tables/_kiln/runs");
    let kept = kept.join(format!("{}.json", report["run"].as_str().unwrap()));
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(kept).unwrap()).unwrap(), report);
}

/// Lines by what became of them, files to the total, resources of each table.
fn adds_up(report: &Value) {
    let number = |of: &Value, key: &str| of[key].as_u64().unwrap();
    let resources = |of: &Value| {
        of["resources"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>()
    };
    let files = report["files"].as_array().unwrap();
    for counts in files.iter().chain([&report["total"]]) {
        let outcomes = resources(counts) - number(counts, "resources_in_bundles")
            + number(counts, "bundles")
            + number(counts, "rejected_lines")
            + number(counts, "blanks");
        assert_eq!(number(counts, "lines"), outcomes);
    }
    let lines: u64 = files.iter().map(|f| number(f, "lines")).sum();
    assert_eq!(lines, number(&report["total"], "lines"));
    for table in report["tables"].as_array().unwrap() {
        let parts = ["with_rows", "without_rows", "failed"].map(|k| number(table, k));
        assert_eq!(number(table, "resources"), parts.iter().sum::<u64>());
    }
}

#[test]
fn help_says_what_and_how() {
    let here = Path::new(".");
    for (command, example) in [
        ("run", "Example: kiln run pipelines/nightly.toml --report report.json"),
        ("flatten", "Examples:"),
        ("query", "Examples:"),
        ("check", "  kiln check pipelines/*.toml schemas/*/*.json"),
        ("schema", "Examples:"),
        ("sample", "Example: kiln sample --patients 1000 --seed 7 export/"),
    ] {
        let ran = run(here, &[command, "--help"], "");
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.lines().any(|l| l == example), "{command}: {}", ran.stdout);
    }
    let ran = run(here, &["--help"], "");
    assert!(ran.stdout.contains("Exit codes: 0 done"), "{}", ran.stdout);
    assert_eq!(run(here, &["flaten"], "").code, 2);
    assert_eq!(run(here, &[], "").code, 2);
}
