//! Shipped measures on test decks: every patient in every population that was published for the patient. And what
//! `kiln measure` writes and refuses, with a measure made up here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{check, folder, run, write};
use crate::shared::shared;
use crate::support::kiln_succeeds;

/// The published patients, which are not part of the repository.
#[test]
fn published_patients_are_where_they_should_be() {
    if let Some(root) = shared("data/ecqm") {
        decks(&root);
    }
}

/// Patients that take the paths which the published ones do not.
#[test]
fn invented_patients_are_where_they_should_be() {
    decks(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/measures"));
}

/// Evaluates the measure of each folder `cms…` over its resources and the value sets beside it.
fn decks(root: &Path) {
    let value_sets =
        entries(root).into_iter().find(|path| name(path).starts_with("ValueSet.ndjson"));
    let value_sets = value_sets.expect("value sets are beside the decks");
    let decks: Vec<_> = entries(root).into_iter().filter(|path| path.is_dir()).collect();
    assert!(!decks.is_empty(), "there are decks");
    let wrong: Vec<_> = decks.iter().flat_map(|deck| differences(deck, &value_sets)).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Where the program's list of patients is not as the deck expects it, both ways.
fn differences(deck: &Path, value_sets: &Path) -> Vec<String> {
    let measure = name(deck);
    let folder = warehouse(&[&deck.join("*.ndjson"), value_sets]);
    let expected = fs::canonicalize(deck.join("expected.csv")).unwrap();
    let asked = ["measure", &measure, "--period", "2026", "--patients", "patients.csv"];
    kiln_succeeds(folder.path(), &asked);
    let rows = csv(&expected);
    assert!(rows.len() > 1, "{measure}: something is expected");
    let cell = |row: &[String], column: &str| {
        let i = rows[0].iter().position(|name| name == column).unwrap();
        row[i].clone()
    };
    let populations: BTreeSet<_> = rows[1..].iter().map(|row| cell(row, "population")).collect();
    let members = rows[1..].iter().filter(|row| cell(row, "count") != "0");
    let wanted: BTreeSet<_> =
        members.map(|row| (cell(row, "patient_id"), cell(row, "population"))).collect();
    let listed = csv(&folder.path().join("patients.csv"));
    assert_eq!(listed[0][..2], ["patient_id", "population"]);
    let listed = listed[1..].iter().map(|row| (row[0].clone(), row[1].clone()));
    let found: BTreeSet<_> =
        listed.filter(|(_, population)| populations.contains(population)).collect();
    let differ = wanted.symmetric_difference(&found);
    let told: Vec<_> = differ
        .map(|pair| {
            let (patient, population) = pair;
            let how = if wanted.contains(pair) { "should be" } else { "should not be" };
            format!("{measure}: {patient} {how} in {population}")
        })
        .collect();
    // The program compares too.
    let compared =
        run(folder.path(), &[&asked[..], &["--expected", expected.to_str().unwrap()]].concat(), "");
    assert_eq!(compared.code, if told.is_empty() { 0 } else { 5 }, "{}", compared.stderr);
    told
}

/// A folder with a warehouse of the resources of these files.
fn warehouse(sources: &[&Path]) -> TempDir {
    let paths = sources
        .iter()
        .map(|path| fs::canonicalize(path.parent().unwrap()).unwrap().join(name(path)));
    let paths: Vec<_> = paths.map(|path| format!("{:?}", path.display().to_string())).collect();
    let pipeline = format!(
        "schemas = [\"us-core\", \"terminology\"]\n[source]\npath = [{}]\n[warehouse]\npath = \"warehouse\"\n",
        paths.join(", ")
    );
    let folder = folder(&[("deck.toml", &pipeline)]);
    kiln_succeeds(folder.path(), &["run", "deck.toml"]);
    folder
}

/// The rows of a CSV file in which no field holds a comma, a quote or a line end.
fn csv(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.trim_end().split(',').map(str::to_owned).collect()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Women, of whom those born before `born_before` are in the numerator; who has no birth date is excluded.
const MEASURE: &str = "-- @name: women
-- @title: Women of age
-- @measure: http://example.org/Measure/women
-- @scoring: proportion
-- @improvement_notation: increase
-- @param: measurement_period_start date
-- @param: measurement_period_end date
-- @param: born_before date
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://example.org/ValueSet/sex as sexes
SELECT p.id AS patient_id,
       s.code IS NOT NULL AS initial_population,
       true AS denominator,
       p.birth IS NULL AS denominator_exclusion,
       p.birth_date < :born_before AS numerator
FROM patient p LEFT JOIN sexes s ON s.code = p.gender";

const VALUE_SET: &str = r#"{"resourceType":"ValueSet","id":"s","url":"http://example.org/ValueSet/sex","status":"active","expansion":{"timestamp":"2026-01-01","total":1,"contains":[{"system":"http://hl7.org/fhir/administrative-gender","code":"female"}]}}"#;

/// A warehouse with four women and a man, another one with the value set, and a measure.
fn women() -> TempDir {
    let patient = |id: &str, gender: &str, birth: &str| {
        let birth =
            if birth.is_empty() { String::new() } else { format!(r#","birthDate":"{birth}""#) };
        format!("{{\"resourceType\":\"Patient\",\"id\":\"{id}\",\"gender\":\"{gender}\"{birth}}}\n")
    };
    let patients = [
        patient("p1", "female", "1950-01-01"),
        patient("p2", "female", "2010-01-01"),
        patient("p3", "female", ""),
        patient("p4", "female", "1960-01-01"),
        patient("p5", "male", "1950-01-01"),
    ];
    let pipeline = |source: &str, schema: &str, warehouse: &str| {
        format!(
            "schemas = [{schema:?}]\nsource.path = {source:?}\nwarehouse.path = {warehouse:?}\n"
        )
    };
    let folder = folder(&[
        ("Patient.ndjson", &patients.concat()),
        ("ValueSet.ndjson", VALUE_SET),
        ("data.toml", &pipeline("Patient.ndjson", "patient", "warehouse")),
        ("codes.toml", &pipeline("ValueSet.ndjson", "terminology", "codes")),
        ("measures/women.sql", MEASURE),
        ("measures/ratio.sql", &MEASURE.replace("proportion", "ratio")),
        ("right.csv", "patient_id,group,population,count\np1,1,numerator,1\np5,1,denominator,0\n"),
        ("wrong.csv", "patient_id,group,population,count\np1,1,numerator,1\np2,1,numerator,1\n"),
    ]);
    kiln_succeeds(folder.path(), &["run", "data.toml"]);
    kiln_succeeds(folder.path(), &["run", "codes.toml"]);
    folder
}

const ASKED: [&str; 8] = [
    "measure",
    "measures/women.sql",
    "--period",
    "2026",
    "--param",
    "born_before=2000-01-01",
    "--terminology",
    "codes",
];

const TEXT: &str = "\
Women of age (women), 2026-01-01 to 2026-12-31

initial-population              4
denominator                     4
denominator-exclusion           1
numerator                       2
rate                       66.7 %
";

/// What a table lacks is said: else a rate of nobody would look like one.
#[test]
fn what_an_export_lacks_is_said() {
    let folder = women();
    let needing =
        |needs: &str| MEASURE.replace("-- @scoring", &format!("-- @needs: {needs}\n-- @scoring"));
    for (needs, code, lines) in [
        (
            "patient.sex_code nobody is known",
            0,
            &["warning: no row of `patient` has a `sex_code`: nobody is known"][..],
        ),
        ("patient.gender nobody is known", 0, &[]),
        (
            "q.gender nobody is known",
            3,
            &["error: `@needs: q.gender nobody is known` is not understood"],
        ),
    ] {
        write(folder.path(), "measures/women.sql", needing(needs).as_bytes());
        let ran = run(folder.path(), &ASKED, "");
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(lines.iter().all(|line| ran.stderr.contains(line)), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("warning"), needs.contains("sex_code"), "{}", ran.stderr);
    }
}

const USED: &str = "terminology used: value sets: 1; codes: 1";

#[test]
fn summaries_are_written() {
    let folder = women();
    let cases: &[(&[&str], i32, &str, &[&str])] = &[
        (&[], 0, TEXT, &[USED]),
        (
            &["--format", "csv"],
            0,
            "stratifier,stratum,population,count,rate
,,initial-population,4,
,,denominator,4,
,,denominator-exclusion,1,
,,numerator,2,
,,rate,,0.6666666666666666
",
            &[USED],
        ),
        (
            &["--format", "csv", "--suppress", "3"],
            0,
            "stratifier,stratum,population,count,rate
,,initial-population,4,
,,denominator,4,
,,denominator-exclusion,<3,
,,numerator,<3,
,,rate,,
",
            &[],
        ),
        (
            &["--expected", "right.csv"],
            0,
            TEXT,
            &["patients of the initial population that the file does not name: 3"],
        ),
        (
            &["--expected", "wrong.csv", "--patients", "patients.csv"],
            5,
            TEXT,
            &[
                "compared                patients  expected     found   missing  unexpected",
                "numerator                      2         2         1         1           0",
                "error: 1 of 2 counts are not as expected",
            ],
        ),
    ];
    for (options, code, stdout, lines) in cases {
        check(folder.path(), &[&ASKED[..], options].concat(), *code, stdout, lines);
    }
    let list = fs::read_to_string(folder.path().join("patients.csv")).unwrap();
    assert!(
        list.starts_with("patient_id,population,difference\np1,initial-population,\n"),
        "{list}"
    );
    assert!(list.contains("p2,numerator,missing\n"), "{list}");
}

#[test]
fn reports_are_written() {
    let folder = women();
    let files = ["--report", "report.json", "--individual", "each.ndjson", "--format", "json"];
    let ran = run(folder.path(), &[&ASKED[..], &files].concat(), "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(summary["terminology"][0]["canonical"], "http://example.org/ValueSet/sex");
    assert_eq!(summary["groups"][0]["populations"][3]["count"], 2);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(report["group"][0]["population"][0]["count"], 4);
    assert_eq!(read("each.ndjson").lines().count(), 4);
    // Reports are resources themselves: a pipeline could read them.
    kiln_succeeds(
        folder.path(),
        &["check", "--strict", "--data", "report.json", "each.ndjson", "Patient.ndjson"],
    );
}

#[test]
fn mistakes_are_refused() {
    let folder = women();
    write(folder.path(), "none.csv", b"patient,count\n");
    let period = "error: invalid value '26' for '--period <PERIOD>': a period is a year `2026`, a quarter `2026-Q1`, a month \
                  `2026-01`, or its days `2026-01-01/2026-12-31`";
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["measure", "cms123", "--period", "2026"],
            3,
            "error: there is no shipped measure `cms123`",
        ),
        (&["measure", "cms122", "--period", "26"], 2, period),
        (
            &["measure", "measures/ratio.sql", "--period", "2026"],
            3,
            "error: measures with the scoring `ratio` cannot be evaluated",
        ),
        (
            &["measure", "measures/women.sql", "--period", "2026"],
            3,
            "error: the parameter `born_before` has no value",
        ),
        (
            &[&ASKED[..6], &[]].concat(),
            3,
            "error: no terminology is loaded: there is no table `value_set`",
        ),
        (
            &[&ASKED[..], &["--expected", "none.csv"]].concat(),
            4,
            "error: the file has no column `patient_id`",
        ),
    ];
    for (arguments, code, line) in cases {
        check(folder.path(), arguments, *code, "", &[*line]);
    }
}
