//! Measures over rows written in SQL: what is refused, and what lists, summaries and reports say.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::error::{Error, Result};
use crate::query::fixture::warehouse;
use crate::query::{Engine, Library, Shelf};

/// Patients by age group and sex; `old` and `none` are excluded or in no population.
const PATIENTS: &str = "
SELECT column1 AS patient_id, true AS initial_population, column2 AS denominator,
       column3 AS denominator_exclusion, column4 AS numerator, column5 AS stratum_age, column6 AS sde_sex
FROM (VALUES ('d', true, false, false, 'young', 'F'),
             ('a', true, NULL, true, 'young', NULL),
             ('b', true, true, true, 'old', 'M'),
             ('c', false, true, true, NULL, 'M')) v
UNION ALL SELECT 'z', NULL, true, true, true, 'old', 'M'";

const ABOUT: &str = "-- @name: m
-- @title: Made up
-- @version: 1
-- @measure: http://example.org/Measure/m
-- @scoring: proportion
-- @improvement_notation: increase
-- @param: measurement_period_start date
-- @param: measurement_period_end date\n";

async fn evaluated(about: &str, sql: &str) -> Result<Evaluation> {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await?;
    let library = Library::from_sql(&format!("{about}{sql}"), "m")?;
    let measure = Measure::new(library, Shelf::default())?;
    evaluate(&engine, measure, "2026".parse().unwrap(), &BTreeMap::new()).await
}

async fn made_up() -> Evaluation {
    evaluated(ABOUT, PATIENTS).await.unwrap()
}

fn date() -> Timestamp {
    "2027-01-31T08:00:00Z".parse().unwrap()
}

/// Writes to a file and gives its text.
fn written(write: impl FnOnce(&Path) -> Result<()>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write(&path).unwrap();
    fs::read_to_string(path).unwrap()
}

fn describe(error: &Error) -> String {
    format!("{} {}", error.kind().exit_code(), error.message())
}

#[tokio::test]
async fn rows_that_are_refused() {
    let row = |id: &str| format!("SELECT {id} AS patient_id, true AS initial_population");
    let union = |ids: [&str; 3]| ids.map(row).join(" UNION ALL ");
    for (sql, expected) in [
        (
            union(["'p1'", "'p1'", "'p2'"]),
            "7 1 patient has several rows, but a measure has one row for each",
        ),
        (union(["'p1'", "NULL", "NULL"]), "7 `patient_id` is null in 2 rows"),
        (row("1"), "3 the column `patient_id` of a measure is text"),
    ] {
        let error = evaluated("-- @scoring: cohort\n", &sql).await.unwrap_err();
        assert_eq!(
            describe(&error),
            "3 the query has no parameter `measurement_period_end`",
            "{sql}"
        );
        let about = ABOUT.replace("proportion", "cohort");
        let error = evaluated(&about, &sql).await.unwrap_err();
        assert_eq!(describe(&error), expected, "{sql}");
        assert!(!format!("{error:?}").contains("p1"), "no id is told");
    }
}

#[tokio::test]
async fn the_period_is_bound() {
    let sql = "SELECT 'p' AS patient_id,
        :measurement_period_start = DATE '2026-01-01' AND :measurement_period_end = DATE '2026-12-31' AS initial_population";
    let evaluation = evaluated(&ABOUT.replace("proportion", "cohort"), sql).await.unwrap();
    assert_eq!(evaluation.counts().of(Population::InitialPopulation), 1);
}

#[tokio::test]
async fn summaries() {
    let evaluation = made_up().await;
    let rows = "\
Made up (m 1), 2026-01-01 to 2026-12-31

initial-population              4
denominator                     3
denominator-exclusion           1
numerator                       1
rate                       50.0 %

age: old
initial-population              1
denominator                     1
denominator-exclusion           1
numerator                       0
rate                            –

age: young
initial-population              2
denominator                     2
denominator-exclusion           0
numerator                       1
rate                       50.0 %

age: (not known)
initial-population              1
denominator                     0
denominator-exclusion           0
numerator                       0
rate                            –
";
    assert_eq!(Summary::new(&evaluation, None).text(), rows);
    let summary = Summary::new(&evaluation, Some(3));
    let text = summary.text();
    let all = "\
initial-population              4
denominator                     3
denominator-exclusion          <3
numerator                      <3
rate                    not shown

age: old
initial-population             <3\n";
    assert!(text.contains(all), "{text}");
    let json = summary.json();
    assert_eq!(
        json["groups"][0]["populations"][2],
        json!({ "population": "denominator-exclusion", "count": null })
    );
    assert_eq!(json["groups"][0]["rate"], Value::Null);
    assert_eq!(Summary::new(&evaluation, None).json()["groups"][2]["rate"], json!(0.5));
}

#[tokio::test]
async fn lists_and_comparisons() {
    let evaluation = made_up().await;
    let list = written(|path| write_patients(path, &evaluation, None));
    let expected = "\
patient_id,population,stratum_age
a,initial-population,young
a,denominator,young
a,numerator,young
b,initial-population,old
b,denominator,old
b,denominator-exclusion,old
c,initial-population,
d,initial-population,young
d,denominator,young
";
    assert_eq!(list, expected);

    // `x` is not there at all, which is right where 0 is expected.
    let deck = "count,patient_id,population,group
1,a,initial-population,1
0,a,numerator,1
1,b,numerator,1
0,c,denominator,1
0,x,numerator,1
1,x,denominator,1
";
    let comparison = deck_of(deck).unwrap().compare(&evaluation);
    let counts = |population, [patients, expected, found, missing, unexpected]: [u64; 5]| {
        Compared { population, patients, expected, found, missing, unexpected }
    };
    assert_eq!(
        comparison.populations,
        [
            counts("initial-population", [1, 1, 1, 0, 0]),
            counts("denominator", [2, 1, 0, 1, 0]),
            counts("numerator", [3, 1, 1, 1, 1]),
        ]
    );
    assert_eq!((comparison.compared(), comparison.not_expected), (6, 1));
    let error = comparison.conclude().unwrap_err();
    assert_eq!(describe(&error), "5 3 of 6 counts are not as expected");
    let list = written(|path| write_patients(path, &evaluation, Some(&comparison)));
    for line in [
        "a,denominator,young,\n",
        "a,numerator,young,unexpected\n",
        "b,numerator,old,missing\n",
        "x,denominator,,missing\n",
    ] {
        assert!(list.contains(line), "{line} in {list}");
    }
    let right = deck_of("patient_id,group,population,count\n\"a\",1,numerator,1\n").unwrap();
    right.compare(&evaluation).conclude().unwrap();
}

fn deck_of(text: &str) -> Result<Expected> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("expected.csv");
    fs::write(&path, text).unwrap();
    Expected::read(&path)
}

#[test]
fn decks_that_are_refused() {
    const HEAD: &str = "patient_id,group,population,count\n";
    for (rows, expected) in [
        ("patient_id,population,count\na,numerator,1", "the file has no column `group`"),
        ("patient,count", "the file has no column `patient_id`"),
        (HEAD, "the file expects nothing"),
        (&format!("{HEAD}a,1,numerator,2"), "a count is neither 0 nor 1; row 2"),
        (&format!("{HEAD}a,1,numerators,1"), "a row has no population that is known; row 2"),
        (&format!("{HEAD},1,numerator,1"), "a row has no patient; row 2"),
        (
            &format!("{HEAD}a,1,numerator,1\na,1,numerator,0"),
            "a patient has two rows for one population; row 3",
        ),
        (&format!("{HEAD}a,1,numerator,1\na,2,denominator,0"), "the file is of 2 groups"),
        (&format!("{HEAD}a,1,numerator"), "the file is no CSV file with a header"),
    ] {
        let error = deck_of(rows).unwrap_err();
        let places = error.places()[1..]
            .iter()
            .fold(String::new(), |said, (what, at)| said + "; " + what + " " + at);
        assert_eq!(format!("{}{places}", error.message()), expected);
    }
}

#[tokio::test]
async fn the_summary_report() {
    let evaluation = made_up().await;
    let report: Value =
        serde_json::from_str(&written(|path| write_summary(path, &evaluation, date()))).unwrap();
    for (pointer, expected) in [
        ("/resourceType", json!("MeasureReport")),
        ("/status", json!("complete")),
        ("/type", json!("summary")),
        ("/measure", json!("http://example.org/Measure/m|1")),
        ("/date", json!("2027-01-31T08:00:00Z")),
        ("/period", json!({ "start": "2026-01-01", "end": "2026-12-31" })),
        ("/improvementNotation/coding/0/code", json!("increase")),
        ("/group/0/measureScore", json!({ "value": 0.5 })),
        ("/group/0/population/0/count", json!(4)),
        ("/group/0/population/3/code/coding/0/code", json!("numerator")),
        ("/group/0/population/3/count", json!(1)),
        ("/group/0/stratifier/0/code", json!([{ "text": "age" }])),
        ("/group/0/stratifier/0/stratum/0/value/text", json!("old")),
        ("/group/0/stratifier/0/stratum/0/population/2/count", json!(1)),
        ("/group/0/stratifier/0/stratum/1/measureScore/value", json!(0.5)),
        ("/group/0/stratifier/0/stratum/2/value/coding/0/code", json!("unknown")),
    ] {
        assert_eq!(report.pointer(pointer), Some(&expected), "{pointer}");
    }
    let absent =
        ["/subject", "/reporter", "/contained", "/group/0/stratifier/0/stratum/0/measureScore"];
    assert!(absent.iter().all(|pointer| report.pointer(pointer).is_none()));
    let nameless = evaluated(&ABOUT.replace("@measure", "@nothing"), PATIENTS).await.unwrap();
    let error = report::summary(&nameless, date()).unwrap_err();
    assert_eq!(error.message(), "a MeasureReport names its measure, and the file does not");
}

#[tokio::test]
async fn individual_reports() {
    let evaluation = made_up().await;
    let text = written(|path| write_individual(path, &evaluation, date()));
    let reports: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let subjects: Vec<_> =
        reports.iter().map(|r| r["subject"]["reference"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["Patient/a", "Patient/b", "Patient/c", "Patient/d"]);
    let ids: std::collections::BTreeSet<_> =
        reports.iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
    for (i, pointer, expected) in [
        (0, "/type", json!("individual")),
        (0, "/group/0/population/3/count", json!(1)),
        (0, "/group/0/measureScore/value", json!(1.0)),
        (1, "/group/0/population/2/count", json!(1)),
        (1, "/group/0/population/3/count", json!(0)),
        (1, "/group/0/stratifier/0/stratum/0/value/text", json!("old")),
        (1, "/contained/0/id", json!("sde-sex")),
        (1, "/contained/0/valueString", json!("M")),
        (1, "/extension/0/valueReference/reference", json!("#sde-sex")),
        (3, "/group/0/measureScore/value", json!(0.0)),
    ] {
        assert_eq!(reports[i].pointer(pointer), Some(&expected), "{i} {pointer}");
    }
    assert!(
        reports[0].get("contained").is_none()
            && reports[1].pointer("/group/0/measureScore").is_none()
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_patients() {
    use std::os::unix::fs::PermissionsExt;
    let evaluation = made_up().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_patients(&path("patients"), &evaluation, None).unwrap();
    write_individual(&path("individual"), &evaluation, date()).unwrap();
    write_summary(&path("summary"), &evaluation, date()).unwrap();
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("patients"), mode("individual")), (0o600, 0o600));
    assert_ne!(mode("summary"), 0o600);
}
