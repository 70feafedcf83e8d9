//! Counts over tiny tables, each with planted faults, and how they are shown and judged.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use tempfile::TempDir;

use super::*;
use crate::query::fixture::write_table;

/// A table of text columns from rows of words; `-` is null. `value_quantity` is a number.
fn batch(columns: &str, rows: &[&str]) -> RecordBatch {
    let cells: Vec<Vec<Option<&str>>> = rows
        .iter()
        .map(|row| row.split_whitespace().map(|c| Some(c).filter(|c| *c != "-")).collect())
        .collect();
    let column = |(i, name): (usize, &str)| {
        let texts = cells.iter().map(|row| row[i]);
        let array: ArrayRef = if name == "value_quantity" {
            Arc::new(texts.map(|t| t.map(|t| t.parse().unwrap())).collect::<Float64Array>())
        } else {
            Arc::new(texts.collect::<StringArray>())
        };
        (name.to_owned(), array, true)
    };
    RecordBatch::try_from_iter_with_nullable(
        columns.split_whitespace().enumerate().map(column).collect::<Vec<_>>(),
    )
    .unwrap()
}

async fn warehouse() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let patients = batch(
        "id family_name given_names gender birth death _run",
        &[
            "a Doe Ann female 1980-05-01 - r",
            "b Doe Ann female 1980-05-01 - r",
            "c Roe - male 1990 1989-12-31 r",
            "d Roe - - 1890-01 - r",
            "d Poe Jim male 2031-01-01 1990 r",
        ],
    );
    let observations = batch(
        "id patient_id code_system code code_text effective_start effective_end value_quantity value_unit",
        &[
            "1 a http://loinc.org 2345-7 - 2026-01-05 - 90 mg/dL",
            "2 a http://loinc.org 2345-7 - 2026-01-05 - 91 mg/dL",
            "3 a http://loinc.org 2345-7 - 2026-01-06 2026-01-05 5 mmol/L",
            "4 b urn:local:x glu - 2026-04-06 2026-04-06 5 -",
            "5 b - glu - 1979 - - -",
            "6 gone - - sugar 2031-02-02 - - -",
            "7 - - - - - - - -",
        ],
    );
    write_table(&folder.path().join("patient"), vec![patients]).await;
    write_table(&folder.path().join("observation"), vec![observations]).await;
    folder
}

/// 2026-11-23.
const TODAY: i32 = 20_780;

async fn measured(scope: Scope) -> Vec<Measure> {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    measure(&engine, &scope, TODAY).await.unwrap()
}

fn line(m: &Measure) -> String {
    let (check, n, of) = (m.check.name(), m.numerator, m.denominator);
    format!("{}.{} {check} [{}] {n}/{of}", m.table, m.column, m.detail)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_counted() {
    let must = [("patient".to_owned(), vec!["gender".to_owned(), "birth".to_owned()])];
    let scope = Scope { must_support: must.into(), ..Scope::default() };
    let found: Vec<_> = measured(scope).await.iter().map(line).collect();
    let completeness = [
        ("id", 7),
        ("patient_id", 6),
        ("code_system", 4),
        ("code", 5),
        ("code_text", 1),
        ("effective_start", 6),
        ("effective_end", 2),
        ("value_quantity", 4),
        ("value_unit", 3),
    ];
    let mut expected: Vec<_> = completeness
        .iter()
        .map(|(column, n)| format!("observation.{column} completeness [] {n}/7"))
        .collect();
    expected.extend(
        [
            "observation.code coded [] 3/6",
            "observation.effective_start impossible_dates [in the future] 1/6",
            "observation.effective_end impossible_dates [end before start] 1/2",
            "observation.id duplicates [same id] 0/7",
            "observation.value_unit units [no unit] 1/4",
            "observation.code system [http://loinc.org] 3/5",
            "observation.code system [urn:local:x] 1/5",
            "observation.code system [(none)] 1/5",
            "observation.patient_id orphans [not in patient] 1/6",
            "observation.effective_start impossible_dates [before birth] 1/5",
            "observation.code duplicates [same patient, code and time] 1/5",
            "observation.value_unit units [not the usual unit of the code] 1/3",
            "observation.value_unit unit [2345-7 in mg/dL] 2/3",
            "observation.value_unit unit [2345-7 in mmol/L] 1/3",
            "observation.effective_start volume [2026-01] 3/5",
            "observation.effective_start volume [2026-04] 1/5",
            "observation.effective_start volume [2031-02] 1/5",
            "observation.effective_start gaps [months without rows] 59/62",
            "patient.gender completeness [] 4/5",
            "patient.birth completeness [] 5/5",
            "patient.birth impossible_dates [birth in the future] 1/5",
            "patient.death impossible_dates [death in the future] 0/2",
            "patient.birth impossible_dates [birth before 1900] 1/5",
            "patient.death impossible_dates [death before birth] 2/2",
            "patient.id duplicates [same id] 1/5",
            "patient.family_name duplicates [same name, birth and sex] 1/3",
        ]
        .map(str::to_owned),
    );
    for (i, line) in expected.iter().enumerate() {
        // Codes of the same count come in the order of their system, null last or first.
        assert!(found.contains(line), "{i}: {line} is missing in\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_judged() {
    let all = measured(Scope::default()).await;
    for (rule, expected) in [
        ("completeness patient.gender min 80%", &[][..]),
        (
            "completeness patient.gender min 80.01%",
            &["completeness of `patient.gender`: 80.00 %, at least 80.01 %"],
        ),
        ("completeness patient.gender min 5", &["completeness of `patient.gender`: 4, at least 5"]),
        (
            "orphans * max 0",
            &["orphans of `observation.patient_id` (not in patient): 1, at most 0"],
        ),
        ("orphans *.patient_id max 20%", &[]),
        ("orphans pat* max 0", &[]),
        (
            "duplicates patient max 0%",
            &[
                "duplicates of `patient.id` (same id): 20.00 %, at most 0 %",
                "duplicates of `patient.family_name` (same name, birth and sex): 33.34 %, at most 0 %",
            ],
        ),
        ("coded *.code min 51%", &["coded of `observation.code`: 50.00 %, at least 51 %"]),
        ("units *.value_u* max 1", &[]),
    ] {
        let parsed: Rule = rule.parse().unwrap();
        let found: Vec<_> = parsed.broken(&all).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{rule}");
        // What only the rule needs gives the same.
        let few = measured(Scope::of(std::slice::from_ref(&parsed))).await;
        assert!(few.len() < all.len());
        let found: Vec<_> = parsed.broken(&few).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{rule}");
    }
    let mut warn: Rule = "orphans * max 0".parse().unwrap();
    warn.level = Level::Warn;
    let warnings = judge(std::slice::from_ref(&warn), &all).unwrap();
    assert_eq!(
        warnings,
        ["data quality: orphans of `observation.patient_id` (not in patient): 1, at most 0"]
    );
    let stop: Rule = "completeness patient.* min 100%".parse().unwrap();
    let error = judge(&[warn, stop], &all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejects);
    assert_eq!(error.message(), "the data break 3 rules of quality");
    assert_eq!(error.places().len(), 3);
}

#[test]
fn wrong_rules_are_refused() {
    for (rule, expected) in [
        ("completeness patient", "`completeness patient` is no rule"),
        ("completenes patient min 1", "did you mean `completeness`?"),
        ("volume patient min 1", "the checks are: completeness, orphans"),
        ("orphans patient max 101%", "`101%` is neither a number nor a share"),
        ("orphans patient max -1", "`-1` is neither"),
        ("orphans patient below 1", "is no rule"),
        ("orphans .id max 1", "the name is empty"),
    ] {
        let said = rule.parse::<Rule>().unwrap_err();
        assert!(said.contains(expected), "{rule}: {said}");
    }
    let tables = [("patient".to_owned(), vec!["birth_date".to_owned()])];
    let rules =
        ["coded pat*.birth* min 1", "coded patients min 1", "coded patient.birt_date min 1"]
            .map(|rule| rule.parse().unwrap());
    let mistakes = unknown_names(&rules, &tables);
    let said: Vec<_> =
        mistakes.iter().map(|m| format!("{}: {} {:?}", m.path, m.message, m.hint)).collect();
    assert_eq!(
        said,
        [
            "[1].table: there is no table `patients` Some(\"did you mean `patient`?\")",
            "[2].column: `patient` has no column `birt_date` Some(\"did you mean `birth_date`?\")",
        ]
    );
}

#[test]
fn small_counts_are_hidden() {
    let csv_of = |numerator, denominator, exact| {
        let measure = Measure {
            table: "t".into(),
            column: "c".into(),
            check: Check::Completeness,
            detail: "a,\"b\"".into(),
            numerator,
            denominator,
        };
        let text = csv(&[measure], exact);
        text.lines()
            .nth(1)
            .unwrap()
            .strip_prefix("t,c,completeness,\"a,\"\"b\"\"\",")
            .unwrap()
            .to_owned()
    };
    for (numerator, denominator, exact, expected) in [
        (0, 0, false, "0,0,"),
        (0, 100, false, "0,100,0.000000"),
        (1, 100, false, "<11,100,"),
        (10, 100, false, "<11,100,"),
        (11, 100, false, "11,100,0.110000"),
        (89, 100, false, "89,100,0.890000"),
        (90, 100, false, ">89,100,"),
        (100, 100, false, "100,100,1.000000"),
        (3, 5, false, "<11,<11,"),
        (0, 5, false, "0,<11,"),
        (5, 12, false, "<11,12,"),
        (3, 5, true, "3,5,0.600000"),
    ] {
        assert_eq!(csv_of(numerator, denominator, exact), expected, "{numerator}/{denominator}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_what_needs_a_look() {
    let mut measures = measured(Scope::default()).await;
    measures.retain(|m| matches!(m.check, Check::Completeness | Check::Orphans));
    for i in [0, 3] {
        measures[i].numerator = 0;
    }
    measures[3].column = "esc\u{1b}ape".to_owned();
    let listed = table(&measures);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(
        lines[1..4],
        [
            "observation",
            "  never filled: id, esc\u{fffd}ape",
            "  patient_id       completeness    85.7 %                6 of 7",
        ]
    );
    assert!(listed.contains(
        "  patient_id       orphans         16.7 %                1 of 6  not in patient\n"
    ));
    assert!(!listed.contains("  birth "), "{listed}");
    assert!(listed.ends_with("counts need a look\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_stands_alone() {
    let mut measures = measured(Scope::default()).await;
    measures[0].detail = "<script>alert('x')</script>".to_owned();
    let html = page(&measures, "a & b", false);
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    assert!(html.contains("<p>a &amp; b. Counts from 1 to 10"));
    // All counts of this warehouse are small.
    for shown in html.split("<td class=\"n\">").skip(1).map(|cell| cell.split('<').next().unwrap())
    {
        let number = shown.parse::<u64>().unwrap_or(0);
        assert!(!(1..11).contains(&number), "{shown}");
    }
    for outside in ["<script", "http-equiv", "src=", "href=", "url(", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    // No value of a patient.
    for value in ["Doe", "Ann", "1980-05", ">a<", "gone"] {
        assert!(!html.contains(value), "{value}");
    }
    let exact = page(&measures, "a", true);
    assert!(exact.contains("<td class=\"n\">4</td>"));
}
