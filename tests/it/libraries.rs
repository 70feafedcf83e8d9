//! SQLQuery and SQLView files on the command line: run, turned into FHIR and back, checked.

use std::path::Path;

use crate::command::{check, folder, run};
use crate::support::kiln_succeeds;

const PEOPLE: &str = r#"{"resourceType":"Patient","id":"a","gender":"female","birthDate":"1950-05-01"}
{"resourceType":"Patient","id":"b","gender":"male","birthDate":"1990-05-01"}
{"resourceType":"Patient","id":"c","gender":"female","birthDate":"1991"}
"#;

const VIEW: &str = "-- @type: sql-view
-- @name: known_age
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as p
SELECT p.id, p.gender, p.birth FROM p WHERE p.gender <> 'unknown'
";

const QUERY: &str = "/* @name: older
   @title: Patients of an age */
-- @param: age integer completed years
-- @param: on_day date
-- @relatedDependency: http://kiln.example.org/Library/known_age as p
SELECT p.id, age_at(p.birth, :on_day) AS age FROM p WHERE age_at(p.birth, :on_day) >= :age ORDER BY 1
";

const PIPELINE: &str = "schemas = ['patient']\nsource = { path = 'people.ndjson' }\nwarehouse = { path = 'warehouse' }\n";

#[test]
fn a_query_file_is_run_with_its_parameters() {
    let scene = folder(&[
        ("people.ndjson", PEOPLE),
        ("all.toml", PIPELINE),
        ("sql/older.sql", QUERY),
        ("sql/views/known_age.sql", VIEW),
    ]);
    kiln_succeeds(scene.path(), &["run", "all.toml"]);
    let ask = |arguments: &[&str], code: i32, rows: &str, lines: &[&str]| {
        let start = ["query", "--format", "csv", "-f", "sql/older.sql"];
        check(scene.path(), &[&start[..], arguments].concat(), code, rows, lines);
    };
    let day = "--param=on_day=2026-12-31";
    ask(&["--param", "age=35", day], 0, "id,age\na,76\nb,36\nc,35\n", &[]);
    ask(&["--param", "age=70", day], 0, "id,age\na,76\n", &[]);
    ask(
        &["--param", "age=old", day],
        3,
        "",
        &[
            "error: the value of the parameter `age` is not a whole number of 32 bits",
            "  file: sql/older.sql",
        ],
    );
    ask(
        &[day],
        3,
        "",
        &[
            "error: the parameter `age` has no value",
            "  hint: `--param age=INTEGER`: completed years",
        ],
    );
    ask(
        &["--param", "age", day],
        2,
        "",
        &[
            "error: invalid value 'age' for '--param <NAME=VALUE>': a parameter is given as NAME=VALUE",
        ],
    );
    ask(
        &["--library", "sql/none", "--param", "age=1", day],
        4,
        "",
        &["error: cannot read `sql/none`: No such file or directory (os error 2)"],
    );
    check_forms(scene.path());
}

/// FHIR for SQL, and SQL for FHIR, which runs as the first did.
fn check_forms(scene: &Path) {
    let made = run(scene, &["library", "sql/older.sql"], "");
    assert_eq!(made.code, 0, "{}", made.stderr);
    std::fs::write(scene.join("sql/Library-older.json"), &made.stdout).unwrap();
    std::fs::remove_file(scene.join("sql/older.sql")).unwrap();
    let asked = [
        "query",
        "--format",
        "csv",
        "-f",
        "sql/Library-older.json",
        "--param",
        "age=70",
        "--param",
        "on_day=2026-12-31",
    ];
    check(scene, &asked, 0, "id,age\na,76\n", &[]);
    check(scene, &["library", "sql/Library-older.json"], 0, &as_written(), &[]);
}

/// [`QUERY`] as it is written from FHIR, which says more than the file did.
fn as_written() -> String {
    let (comments, body) = QUERY.split_at(QUERY.find("-- @param").unwrap());
    let (annotations, select) = body.split_at(body.find("SELECT").unwrap());
    assert!(comments.contains("Patients of an age"));
    let head = "-- @name: older\n-- @url: http://kiln.example.org/Library/older\n-- @status: draft\n-- @title: Patients of an age\n";
    format!("{head}{annotations}\n{select}")
}

#[test]
fn files_are_checked_before_they_run() {
    let wrong = QUERY.replace("p.birth,", "p.brith,");
    let scene = folder(&[
        ("good/older.sql", QUERY),
        ("good/known_age.sql", VIEW),
        ("bad/wrong.sql", &wrong),
        ("bad/known_age.sql", VIEW),
        ("alone/older.sql", QUERY),
        ("plain/plain.sql", "SELECT 1 FROM anything"),
    ]);
    check(
        scene.path(),
        &["check", "good/older.sql", "good/known_age.sql", "plain/plain.sql"],
        0,
        "3 files checked: nothing is wrong\n",
        &[],
    );
    check(
        scene.path(),
        &["check", "bad/wrong.sql", "alone/older.sql"],
        3,
        "",
        &[
            "error: there is no column `brith` in `p`",
            "  file: bad/wrong.sql",
            "  hint: did you mean `birth`? columns: id, gender, birth",
            "error: the library `http://kiln.example.org/Library/known_age` is not found",
            "  file: alone/older.sql",
            "error: 2 mistakes in the definitions; nothing was read",
        ],
    );
}

#[test]
fn shipped_queries_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pattern = root.join("pipelines/measures/**/*.sql");
    let files: Vec<_> = glob::glob(&pattern.to_string_lossy()).unwrap().flatten().collect();
    assert!(files.len() > 12, "the shipped measures and their views are there");
    let files: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
    kiln_succeeds(root, &[&["check"], &files[..]].concat());
}
