//! Every example of the documentation, and the edges of each function, through SQL.
#![allow(clippy::unwrap_used)]

use super::all;
use crate::query::fixture::warehouse;
use crate::query::{Engine, Format, Output, write};

/// The values of expressions, as CSV writes them; null is empty.
async fn values(engine: &Engine, expressions: &[&str]) -> Vec<String> {
    let rows = expressions.iter().enumerate().map(|(i, e)| {
        // A row of one column each: an error names its expression.
        format!("select {i} as i, cast({e} as text) as v")
    });
    let sql =
        format!("select v from ({}) order by i", rows.collect::<Vec<_>>().join(" union all "));
    let mut out = Vec::new();
    let results = engine.run(&sql).unwrap();
    write(results, Format::Csv, Output::Stream(Box::new(&mut out))).await.unwrap();
    String::from_utf8(out).unwrap().lines().skip(1).map(str::to_owned).collect()
}

async fn check(cases: &[(&str, &str)]) {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let expressions: Vec<_> = cases.iter().map(|c| c.0).collect();
    let found = values(&engine, &expressions).await;
    assert_eq!(found.len(), cases.len());
    for ((expression, expected), found) in cases.iter().zip(&found) {
        assert_eq!(found, expected, "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_true() {
    let examples: Vec<_> = all().map(|f| f.example).collect();
    check(&examples).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_tells_what_they_do() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let sql = "select syntax_example, description like 'completed years%' as told \
               from information_schema.routines where routine_name = 'age_at' limit 1";
    let mut out = Vec::new();
    write(engine.run(sql).unwrap(), Format::Csv, Output::Stream(Box::new(&mut out))).await.unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "syntax_example,told\n\"age_at(birth, day)\",true\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ages() {
    check(&[
        ("age_at(date '2000-02-29', date '2001-02-28')", "0"),
        ("age_at(date '2000-02-29', date '2001-03-01')", "1"),
        ("age_at(date '2000-02-29', date '2004-02-29')", "4"),
        ("age_at('1960', date '2026-12-31')", "66"),
        ("age_at('1960', date '2026-12-30')", ""),
        ("age_at('1960-12', '2026-11')", "65"),
        ("age_at('1960-12', '2026-12')", ""),
        ("age_at('1960-12-24', timestamp '2026-12-24 00:00:00')", "66"),
        ("age_at('1960-12-24', '2026-12-23T23:30:00-05:00')", "65"),
        ("age_at(arrow_cast('1960-12-24', 'Utf8View'), arrow_cast('2026', 'LargeUtf8'))", ""),
        ("age_at(arrow_cast('1960-12-24', 'Dictionary(Int32, Utf8)'), arrow_cast(date '2027-01-01', 'Date64'))", "66"),
        ("age_at('2026-05-01', date '2026-04-30')", ""),
        ("age_at('2026-05', date '2026-05-31')", "0"),
        ("age_at('2026-05', date '2026-05-30')", ""),
        ("age_at('1960-13', date '2026-01-01')", ""),
        ("age_at(null, date '2026-01-01')", ""),
        ("age_at(null, null)", ""),
        ("age_in_months_at('2025-12-31', '2026-02-28')", "1"),
        ("age_in_months_at('2025-12', '2026-02-15')", ""),
        ("age_in_days_at('2025-12-31', '2026')", ""),
        ("age_in_days_at('2025-12-31', '2025-12-31')", "0"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_dates() {
    check(&[
        ("fhir_low('2026')", "2026-01-01T00:00:00Z"),
        ("fhir_high('2026')", "2026-12-31T23:59:59.999999Z"),
        ("fhir_high('2024-02')", "2024-02-29T23:59:59.999999Z"),
        ("fhir_high('1969-12-31')", "1969-12-31T23:59:59.999999Z"),
        ("fhir_low('2026-03-01T00:30:00.120+02:00')", "2026-02-28T22:30:00.120Z"),
        ("fhir_high('2026-03-01T00:30:00.120+02:00')", "2026-02-28T22:30:00.120Z"),
        ("fhir_high('2026-03-01T00:30:00')", "2026-03-01T00:30:00Z"),
        ("fhir_low_date('2026-03-01T00:30:00+02:00')", "2026-03-01"),
        ("fhir_high_date('2026-03-01T23:30:00-05:00')", "2026-03-01"),
        ("fhir_high(date '2026-03-01')", "2026-03-01T23:59:59.999999Z"),
        ("fhir_low_date(timestamp '2026-03-01 10:00:00')", "2026-03-01"),
        ("fhir_low('2026-02-30')", ""),
        ("fhir_low('yesterday')", ""),
        ("fhir_low('')", ""),
        ("fhir_low(' 2026')", ""),
        ("fhir_high_date(null)", ""),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn periods() {
    check(&[
        ("period_overlaps(date '2026-01-01', date '2026-01-31', date '2026-01-31', date '2026-02-01')", "true"),
        ("period_overlaps(date '2026-01-01', date '2026-01-31', date '2026-02-01', null)", "false"),
        ("period_overlaps(date '2026-01-01', date '2026-01-31', timestamp '2026-01-31 18:00:00', null)", "true"),
        ("period_overlaps(timestamp '2026-01-01 10:00:00', timestamp '2026-01-01 11:00:00', timestamp '2026-01-01 11:00:00.000001', null)", "false"),
        ("period_overlaps(null, date '2025-12-31', date '2026-01-01', null)", "false"),
        ("period_overlaps(null, null, date '2026-01-01', date '2026-12-31')", ""),
        ("period_overlaps(date '2026-02-01', date '2026-01-01', date '2026-01-01', date '2026-12-31')", ""),
        ("period_overlaps('2026-01-01', 'later', date '2026-01-01', date '2026-12-31')", ""),
        ("period_during(date '2026-01-01', date '2026-12-31', date '2026-01-01', date '2026-12-31')", "true"),
        ("period_during(date '2025-12-31', date '2026-12-31', date '2026-01-01', null)", "false"),
        ("period_during(date '2026-01-01', null, date '2026-01-01', null)", "true"),
        ("period_during(null, date '2026-01-01', date '2026-01-01', null)", "false"),
        ("period_contains(null, date '2026-01-01', date '2026-01-01')", "true"),
        ("period_contains(date '2026-01-01', null, '2025')", "false"),
        ("period_contains(date '2026-06-01', null, '2026')", ""),
        ("period_contains(date '2026-06-01', null, null)", ""),
        ("period_contains(null, null, date '2026-06-01')", ""),
        ("period_days(date '2026-01-01', date '2026-01-01')", "1"),
        ("period_days(timestamp '2026-01-01 23:00:00', timestamp '2026-01-02 01:00:00')", "2"),
        ("period_days(date '2026-01-02', date '2026-01-01')", ""),
        ("period_days(date '2026-01-02', null)", ""),
    ])
    .await;
}

/// Constants are folded while planning; columns come in batches.
#[tokio::test(flavor = "multi_thread")]
async fn columns_are_read_row_by_row() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let sql = "select id, age_at(born, date '2026-06-01') as age, fhir_low_date(id) as low, \
               period_contains(born, null, seen) as seen from patient order by id";
    let mut out = Vec::new();
    write(engine.run(sql).unwrap(), Format::Csv, Output::Stream(Box::new(&mut out))).await.unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "id,age,low,seen\na,56,,true\nb,56,,true\nc,,,\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_calls_are_refused_before_they_run() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    for (sql, expected) in [
        ("select age_at(born) from patient", "`age_at(birth, day)` was given 1 arguments"),
        (
            "select age_at(active, born) from patient",
            "`age_at` takes a date, a timestamp, or text with one where it was given Boolean",
        ),
    ] {
        let error = engine.check(sql).await.unwrap_err();
        assert!(error.message().contains(expected), "{sql}: {}", error.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn units() {
    check(&[
        ("ucum(cast(5.60 as decimal(24, 9)), 'mg/dL', 'g/L')", "0.056"),
        ("ucum(90, arrow_cast('mg/dL', 'Utf8View'), 'mmol/L', '2345-7')", "4.995670418970226"),
        ("ucum(90, 'mg/dL', 'mmol/L', 180.156)", "4.995670418970226"),
        ("ucum(90, 'mg/dL', 'mmol/L')", ""),
        ("ucum(90, 'mg/dL', 'mmol/L', null)", ""),
        ("ucum(90, 'mg/dL', null)", ""),
        ("ucum(null, 'mg/dL', 'g/L')", ""),
        ("ucum(90, 'parsecs', 'm')", ""),
    ])
    .await;
}
