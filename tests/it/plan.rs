//! What `kiln check` prints of a pipeline, what it says of its models, and what models do in a run.

use kiln::query::Engine;
use serde_json::Value;

use crate::command::{check, folder, kiln, run, write};
use crate::support::{block_on, rows};

const PEOPLE: &str = r#"{"resourceType":"ViewDefinition","name":"people","resource":"Patient","select":[{"column":[
  {"name":"id","path":"getResourceKey()"},{"name":"gender","path":"gender","description":"As told"}]}]}"#;

const NIGHTLY: &str = r#"
description = "Everybody."
schemas = ["./people.json"]
[source]
name = "mercy"
mode = "merge"
base = ["https://mercy.example/fhir"]
[source.export]
server = "https://mercy.example/fhir"
types = ["Patient"]
type_filters = ["Patient?active=true"]
until = "2026-01-01T00:00:00Z"
patients = ["Jane"]
level = "patient"
since = "auto"
since_overlap = "90m"
accept_errors = true
headers = { X-Key = { env = "KILN_TEST_HEADER" } }
[source.export.auth]
kind = "bearer"
token = "s3cret"
[warehouse]
path = "tables"
[rejects]
max = 5
keep_excerpts = true
[[quality.rule]]
check = "completeness"
table = "people"
column = "gender"
min = "95%"
[[quality.rule]]
check = "duplicates"
table = "*"
min = 1
max = 10
level = "warn"
[[model]]
name = "by_gender"
sql = "SELECT gender, count(*) AS n FROM people GROUP BY gender"
[[notify]]
webhook = "https://chat.example/s3cret"
[retention]
versions = "36h"
[[query]]
name = "How many?"
sql = "SELECT sum(n) FROM by_gender"
"#;

const PLAN: &str = "\
nightly
  about      Everybody.
  source     export of all patients from https://mercy.example/fhir
             types Patient
             filter Patient?active=true
             patients as listed: 1
             until 2026-01-01T00:00:00Z
             only what changed since the last run and 90m before it
             signs in by the token in the pipeline itself
             header X-Key from $KILN_TEST_HEADER
             errors of the server are accepted
             kept in HERE/exports/nightly, 1 of them once loaded
             called mercy: keys begin with mercy/
             rows are merged by key
             references below https://mercy.example/fhir have keys
  tables     people    5 columns of Patient
  warehouse  HERE/tables
  rejects    at most 5 lines; excerpts are kept (PHI)
  quality    stops unless completeness people.gender min 95 %
             warns unless duplicates *.* min 1 max 10
  models     by_gender    2 columns, reads people
  notify     webhook at chat.example on failure
  retention  versions of the last 36h
  queries    How many?
  needs      $KILN_TEST_HEADER (source.export.headers.X-Key)

1 file checked: 2 warnings
";

#[test]
fn the_plan_says_what_will_be_done_without_secrets_or_patients() {
    let scene = folder(&[("people.json", PEOPLE), ("nightly.toml", NIGHTLY)]);
    let plan = PLAN.replace("HERE", scene.path().to_str().unwrap());
    let unset = ["warning: the environment variable `KILN_TEST_HEADER` is not set"];
    check(scene.path(), &["check", "nightly.toml"], 0, &plan, &unset);
    let json = kiln(scene.path(), &["check", "--format", "json", "nightly.toml"])
        .env("KILN_TEST_HEADER", "s3cret")
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&json.stderr).contains("is not set"));
    let text = String::from_utf8(json.stdout).unwrap();
    assert!(!text.contains("s3cret") && !text.contains("Jane"), "{text}");
    let plans: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plans[0]["pipeline"], "nightly");
    assert_eq!(plans[0]["sections"][2]["lines"][0], "people    5 columns of Patient");
}

#[test]
fn wrong_models_are_refused_with_place_and_suggestion() {
    let pipeline = |models: &str| {
        format!(
            "schemas = [\"./people.json\"]\nsource = {{ path = \"p.ndjson\" }}\nwarehouse = {{ path = \"w\" }}\n{models}"
        )
    };
    let model = |name: &str, sql: &str| format!("[[model]]\nname = \"{name}\"\nsql = '{sql}'\n");
    let two = |a: (&str, &str), b: (&str, &str)| model(a.0, a.1) + &model(b.0, b.1);
    for (models, lines) in [
        (
            model("a", "SELECT * FROM peple"),
            &["error: there is no table `peple`", "  model: a", "  line: 1, column 15"][..],
        ),
        // What reads a wrong model is not told of.
        (
            two(("b", "SELECT y FROM a"), ("a", "SELECT idd FROM people")),
            &[
                "error: there is no column `idd`",
                "  model: a",
                "error: 1 mistake in the definitions; nothing was read",
            ],
        ),
        (
            two(("a", "SELECT id FROM b"), ("b", "SELECT id FROM a")),
            &[
                "error: models read each other in a circle: `a` reads `b` reads `a`",
                "  at: p.toml: model[0]",
            ],
        ),
        (model("people", "SELECT 1 AS x"), &["error: a view makes a table `people`"]),
        (model("_a", "SELECT 1 AS x"), &["error: `_a` cannot be the name of a table"]),
        (
            model("a", "SELECT count(*) FROM people"),
            &[
                "error: the column `count(*)` has a name that a Delta table cannot have",
                "  model: a",
            ],
        ),
        (
            model("a", "SELECT id, gender AS \"ID\" FROM people"),
            &["error: the column `ID` stands twice (letter case does not distinguish)"],
        ),
        (
            model("a", "SELECT 1 AS x; SELECT 2 AS x"),
            &["error: the rows of a table come from one SELECT, and no more"],
        ),
        (
            model("a", "SELECT id FROM people")
                + "[[query]]\nname = \"q\"\nsql = \"SELECT idd FROM a\"\n",
            &["error: there is no column `idd`", "  query: q"],
        ),
        (
            model("by_sex", "SELECT 1 AS x")
                + "[[load]]\nname = \"drop\"\nto = \"files\"\npath = \"d\"\ntables = [\"by_sx\"]\n",
            &[
                "error: the pipeline makes no table `by_sx`",
                "  load: drop",
                "  hint: did you mean `by_sex`?",
            ],
        ),
    ] {
        let scene = folder(&[("people.json", PEOPLE), ("p.toml", &pipeline(&models))]);
        for command in ["check", "run"] {
            check(scene.path(), &[command, "p.toml"], 3, "", lines);
        }
        assert!(!scene.path().join("w").exists());
    }
}

#[test]
fn models_follow_the_tables_from_run_to_run() {
    let pipeline = r#"schemas = ["./people.json"]
source = { path = "p.ndjson" }
warehouse = { path = "w" }
# Written before what it reads.
[[model]]
name = "share"
sql = "SELECT gender, 100 * n / (SELECT sum(n) FROM by_gender) AS percent FROM by_gender"
[[model]]
name = "by_gender"
description = "Everybody, counted"
sql = "SELECT gender, row_number() OVER (ORDER BY gender) AS nth, count(*) AS n, NULL AS nothing FROM people GROUP BY gender"
[[query]]
name = "Shares"
sql = "SELECT gender, percent FROM share ORDER BY gender"
"#;
    let scene = folder(&[("people.json", PEOPLE), ("p.toml", pipeline)]);
    let patients = |genders: &[&str]| {
        let line = |(i, gender): (usize, &&str)| {
            format!("{{\"resourceType\":\"Patient\",\"id\":\"{i}\",\"gender\":\"{gender}\"}}\n")
        };
        genders.iter().enumerate().map(line).collect::<String>()
    };
    for (genders, version, expected) in [
        (&["male", "female", "male", "male"][..], "0", &["female|25", "male|75"][..]),
        (&["female", "female"], "1", &["female|100"]),
    ] {
        write(scene.path(), "p.ndjson", patients(genders).as_bytes());
        let ran = run(scene.path(), &["run", "p.toml", "--report", "report.json"], "");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let report = std::fs::read(scene.path().join("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        for (i, name) in ["by_gender", "share"].iter().enumerate() {
            assert_eq!(report["models"][i]["table"], *name);
            assert_eq!(report["models"][i]["rows"], expected.len());
            assert_eq!(report["models"][i]["version"].to_string(), version);
        }
        let entry = format!("w/by_gender/_delta_log/{version:0>20}.json");
        let entry = std::fs::read_to_string(scene.path().join(entry)).unwrap();
        assert_eq!(
            entry.contains(r#""description":"Everybody, counted""#),
            version == "0",
            "{entry}"
        );
        block_on(async {
            let engine = Engine::open(&scene.path().join("w")).await.unwrap();
            let found = rows(&engine, "SELECT gender, percent FROM share ORDER BY gender").await;
            assert_eq!(found.iter().map(|r| r.join("|")).collect::<Vec<_>>(), expected);
            let sql = "SELECT column_name, data_type FROM information_schema.columns
                       WHERE table_name = 'by_gender' ORDER BY ordinal_position";
            let columns: Vec<_> = rows(&engine, sql).await.iter().map(|r| r[0].clone()).collect();
            assert_eq!(columns, ["gender", "nth", "n", "nothing"]);
        });
    }
}
