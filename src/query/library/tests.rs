//! Files as they are written, and what they give over two small tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::datasource::MemTable;
use serde_json::{Value, json};

use super::*;

/// A session with the tables `patient` and `condition`.
async fn engine() -> Engine {
    let engine = Engine::over_schemas(&[]).unwrap();
    for (name, rows) in [
        (
            "patient",
            "('p1', DATE '1950-01-31', 7.5), ('p2', DATE '2000-02-29', 9.25)) t(id, birth_date, weight)",
        ),
        (
            "condition",
            "('p1', 'sct', '1'), ('p2', 'sct', '2'), ('p2', 'icd', '1')) t(patient_id, code_system, code)",
        ),
    ] {
        let batches: Vec<RecordBatch> = engine
            .context
            .sql(&format!("SELECT * FROM (VALUES {rows}"))
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
        engine.context.register_table(name, Arc::new(table)).unwrap();
    }
    engine
}

fn library(text: &str) -> Library {
    Library::from_sql(text, "unnamed").unwrap()
}

fn given(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The rows of a library as lines of cells, or what is wrong.
async fn answer(shelf: &Shelf, library: &Library, values: &[(&str, &str)]) -> Result<Vec<String>> {
    let engine = engine().await;
    let mut results = engine.prepare(shelf, library, &given(values)).await?;
    let mut set = results.next().await?.expect("a query gives rows");
    let mut batches = Vec::new();
    while let Some(batch) = set.next().await? {
        batches.push(batch);
    }
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let rows = table.lines().skip(3).filter(|line| line.starts_with('|'));
    Ok(rows
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned())
        .collect())
}

const PATIENT: &str = "-- @relatedDependency: http://x.org/ViewDefinition/patient as p\n";

#[tokio::test]
async fn parameters_are_bound_with_their_types() {
    for (of, sql, value, expected) in [
        ("string", "SELECT :v", "a'; DROP TABLE patient; --", Ok("a'; DROP TABLE patient; --")),
        ("string", "SELECT id FROM p WHERE id = :v", "p2", Ok("p2")),
        ("integer", "SELECT :v + 1", "41", Ok("42")),
        ("integer", "SELECT :v", "4.5", Err("is not a whole number")),
        ("integer", "SELECT :v", "3000000000", Err("is not a whole number")),
        ("date", "SELECT id FROM p WHERE birth_date < :v", "1960-01-01", Ok("p1")),
        ("date", "SELECT :v - INTERVAL '1 year'", "2026-12-31", Ok("2025-12-31")),
        ("date", "SELECT :v", "2026-13-01", Err("is not a day")),
        ("dateTime", "SELECT :v", "2026-01-01T10:00:00+02:00", Ok("2026-01-01T08:00:00Z")),
        ("dateTime", "SELECT :v", "2026-01-01", Err("is not an instant")),
        ("boolean", "SELECT NOT :v", "false", Ok("true")),
        ("boolean", "SELECT :v", "yes", Err("is not `true` or `false`")),
        ("decimal", "SELECT id FROM p WHERE weight > :v", "8.10", Ok("p2")),
        ("decimal", "SELECT :v", "-1.50", Ok("-1.50")),
        ("decimal", "SELECT :v", "1e5", Err("is not a decimal number")),
        (
            "string",
            "WITH w AS (SELECT :v AS x) SELECT x || (SELECT max(:v) FROM p) FROM w",
            "a",
            Ok("aa"),
        ),
    ] {
        let library = library(&format!("{PATIENT}-- @param: v {of}\n{sql}"));
        let answer = answer(&Shelf::default(), &library, &[("v", value)]).await;
        match (answer, expected) {
            (Ok(rows), Ok(row)) => assert_eq!(rows, [row], "{sql} with {value}"),
            (Err(e), Err(said)) => {
                assert!(e.to_string().contains(said), "{e}");
                assert!(!e.to_string().contains(value), "values are not shown: {e}");
            }
            (answer, _) => panic!("{sql} with {value}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn values_and_parameters_must_fit() {
    let library = library("-- @param: from_day date the first day\nSELECT :from_day");
    for (values, said, hint) in [
        (
            &[][..],
            "the parameter `from_day` has no value",
            "`--param from_day=DATE`: the first day",
        ),
        (
            &[("from", "2026-01-01")],
            "the query has no parameter `from`",
            "its parameters: from_day",
        ),
        (
            &[("from_dax", "2026-01-01")],
            "the query has no parameter `from_dax`",
            "did you mean `from_day`?",
        ),
    ] {
        let error = answer(&Shelf::default(), &library, values).await.unwrap_err();
        assert_eq!((error.message(), error.remedy()), (said, Some(hint)));
    }
}

#[test]
fn annotations_stand_in_comments_of_both_kinds() {
    let text = "/*\n * @name: Two_Kinds\n   @title: A title: with a colon\n   @version: 1.2.0\n*/\n\
        -- @param: day date   The day\n--@author: A\n-- @author: B\n\
        -- @relatedDependency: http://x.org/ViewDefinition/big-view|2 as v\n\
        -- @relatedDependency: http://x.org/ValueSet/some-set\n\
        SELECT '-- @name: no', \"/* @name: no */\" FROM v JOIN some_set ON :day = day -- @publisher: P\n";
    let read = library(text);
    assert_eq!(read.name, "Two_Kinds");
    assert_eq!(read.url, "http://kiln.example.org/Library/Two_Kinds");
    assert_eq!(read.version.as_deref(), Some("1.2.0"));
    assert_eq!(read.says("title"), Some("A title: with a colon"));
    assert_eq!(read.says("publisher"), Some("P"));
    assert_eq!(read.about["author"], ["A", "B"]);
    let labels: Vec<_> =
        read.dependencies.iter().map(|d| (d.canonical.as_str(), d.label.as_str())).collect();
    assert_eq!(
        labels,
        [
            ("http://x.org/ViewDefinition/big-view|2", "v"),
            ("http://x.org/ValueSet/some-set", "some_set")
        ]
    );
    assert_eq!(read.parameters[0].description.as_deref(), Some("The day"));
    assert_eq!(library("SELECT 1").name, "unnamed");
}

#[test]
fn wrong_files_are_refused_with_their_line() {
    for (text, said) in [
        ("-- @name: 1a\nSELECT 1", "`1a` cannot be the name of a query"),
        ("SELECT 1\n-- @param: x", "a parameter is written `name type description`; line 2"),
        ("-- @param: x money\nSELECT 1", "`money` is no type of a parameter; line 1"),
        (
            "-- @param: x date\n-- @param: x date\nSELECT 1",
            "the parameter `x` is declared twice; line 2",
        ),
        ("-- @type: view\nSELECT 1", "`view` is no type of a library; line 1"),
        (
            "-- @relatedDependency: u a\nSELECT 1",
            "a dependency is written `CANONICAL as label`; line 1",
        ),
        ("-- @relatedDependency: u as a-b\nSELECT 1", "`a-b` cannot be a label; line 1"),
        (
            "-- @relatedDependency: u as a\n-- @relatedDependency: v as A\nSELECT 1",
            "the label `A` is used twice; line 2",
        ),
        (
            "-- @relatedDependency: u as a\nWITH a AS (SELECT 1) SELECT * FROM a",
            "`a` is a label and also a table of WITH",
        ),
        (
            "-- @type: sql-view\n-- @param: x date\nSELECT :x",
            "an SQLView takes no parameters, and this one has `x`",
        ),
        ("-- @param: day date\nSELECT :dat", "the parameter `:dat` is not declared"),
        ("SELECT 1; SELECT 2", "an SQLQuery or SQLView is one SELECT, and no more"),
        ("CREATE VIEW v AS SELECT 1", "an SQLQuery or SQLView is one SELECT, and no more"),
        ("DROP TABLE patient", "`DROP` is refused: the query session only reads"),
    ] {
        assert_eq!(Library::from_sql(text, "unnamed").unwrap_err().to_string(), said, "{text}");
    }
}

/// Labels are of their file: each of the three calls another table `t`.
#[tokio::test]
async fn labels_mean_what_their_own_file_says() {
    let ours = "http://kiln.example.org/Library";
    let shelf = Shelf::of(vec![
        library(
            "-- @type: sql-view\n-- @name: coded\n-- @relatedDependency: http://x.org/ViewDefinition/condition as t\n\
             SELECT t.patient_id, count(*) AS codes FROM t GROUP BY 1",
        ),
        library(&format!(
            "-- @type: sql-view\n-- @name: twice\n-- @relatedDependency: {ours}/coded as T\n\
             SELECT t.patient_id FROM t WHERE t.codes > 1"
        )),
    ]);
    let query = library(&format!(
        "-- @name: q\n-- @relatedDependency: http://x.org/ViewDefinition/patient as t\n\
         -- @relatedDependency: {ours}/twice as w\n-- @relatedDependency: {ours}/coded as c\n\
         SELECT t.id, EXISTS_.n, c.codes FROM t JOIN c ON c.patient_id = t.id\n\
         JOIN (SELECT t.id, count(w.patient_id) AS n FROM t LEFT JOIN w ON w.patient_id = t.id GROUP BY 1) EXISTS_\n\
         ON EXISTS_.id = t.id ORDER BY 1"
    ));
    assert_eq!(answer(&shelf, &query, &[]).await.unwrap(), ["p1 0 1", "p2 1 2"]);
}

#[tokio::test]
async fn what_cannot_be_found_is_said() {
    let view = |name: &str, version: &str, on: &str| {
        library(&format!(
            "-- @type: sql-view\n-- @name: {name}\n-- @version: {version}\n\
             -- @relatedDependency: http://kiln.example.org/Library/{on} as t\nSELECT 1 AS x"
        ))
    };
    let shelf = Shelf::of(vec![
        view("a", "1", "b"),
        view("b", "1", "c"),
        view("c", "1", "a"),
        view("d", "1", "asked"),
        view("d", "2", "asked"),
        library("-- @name: asked\nSELECT 1 AS x"),
    ]);
    for (on, said) in [
        (
            "Library/a",
            "libraries depend on each other: http://kiln.example.org/Library/a → http://kiln.example.org/Library/b → http://kiln.example.org/Library/c → http://kiln.example.org/Library/a",
        ),
        ("Library/d", "`http://kiln.example.org/Library/d` is the url of several files"),
        ("Library/d|3", "there is no `http://kiln.example.org/Library/d|3`"),
        (
            "Library/asked",
            "`http://kiln.example.org/Library/asked` is an SQLQuery, and only SQLViews are tables",
        ),
        (
            "ViewDefinition/patiant",
            "the ViewDefinition `http://kiln.example.org/ViewDefinition/patiant` has no table `patiant` here",
        ),
    ] {
        let query = library(&format!(
            "-- @name: q\n-- @relatedDependency: http://kiln.example.org/{on} as t\nSELECT * FROM t"
        ));
        let error = answer(&shelf, &query, &[]).await.unwrap_err();
        assert_eq!(error.message(), said, "{on}");
    }
}

#[test]
fn a_library_goes_to_fhir_and_back() {
    let text = "-- @name: q\n-- @title: T\n-- @version: 1\n-- @status: active\n-- @author: A\n-- @author: B\n\
        -- @param: day date The day\n-- @relatedDependency: http://x.org/ViewDefinition/patient|1 as p\n\
        SELECT id FROM p WHERE birth_date = :day";
    let written = library(text);
    let resource = written.to_fhir();
    assert_eq!(resource["parameter"][0]["use"], "in");
    assert_eq!(resource["relatedArtifact"][0]["label"], "p");
    assert_eq!(resource["type"]["coding"][0]["code"], "sql-query");
    let read = Library::from_fhir(&resource.to_string()).unwrap();
    assert_eq!(read, written);
    assert_eq!(read.to_sql(), text);
    // Of others, the elements count: SQL without annotations gets them.
    let mut plain = resource.clone();
    plain["content"][0]["extension"] = Value::Null;
    plain["content"][0]["data"] =
        json!(STANDARD.encode("SELECT id FROM p WHERE birth_date = :day"));
    let plain = Library::from_fhir(&plain.to_string()).unwrap();
    let again = library(&plain.to_sql());
    assert_eq!(
        (&again.parameters, &again.dependencies),
        (&written.parameters, &written.dependencies)
    );
    assert_eq!(
        (&again.url, &again.about, &again.version),
        (&plain.url, &plain.about, &plain.version)
    );
}
