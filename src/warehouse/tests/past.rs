//! Tests of time travel: which versions belong to a run or a time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::tables::replace_as;
use super::*;

async fn as_of(warehouse: &Warehouse, text: &str) -> Result<BTreeMap<String, u64>> {
    warehouse.versions_as_of(&AsOf::parse(text)?).await
}

fn versions(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(table, version)| ((*table).to_owned(), *version)).collect()
}

/// Four runs, of which the third writes only to one of two tables.
#[tokio::test]
async fn versions_belong_to_runs_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::create_or_open(folder.path()).unwrap();
    let runs: [(&str, &[&str]); 4] = [
        ("20261101T020000Z-aa11", &["person"]),
        ("20261102T020000Z-aa22", &["person", "visit"]),
        ("20261103T020000Z-aa33", &["visit"]),
        ("20261103T030000Z-aa44", &["person", "visit"]),
    ];
    let mut ends = Vec::new();
    for (transaction, (run, tables)) in runs.into_iter().enumerate() {
        for table in tables {
            replace_as(&warehouse, run, transaction as i64, table, text("a", &[Some(run)])).await;
        }
        ends.push(jiff::Timestamp::now());
        // The log counts in milliseconds.
        std::thread::sleep(Duration::from_millis(3));
    }
    let at = |run: usize| ends[run].checked_add(Duration::from_millis(1)).unwrap().to_string();
    let today = ends[0].to_string()[..10].to_owned();
    let now = versions(&[("person", 2), ("visit", 2)]);
    let cases = [
        ("20261101T020000Z-aa11", versions(&[("person", 0)])),
        ("20261102", versions(&[("person", 1), ("visit", 0)])),
        ("20261103T02", versions(&[("person", 1), ("visit", 1)])),
        ("20261103T030000Z-aa44", now.clone()),
        (&at(0), versions(&[("person", 0)])),
        (&at(2), versions(&[("person", 1), ("visit", 1)])),
        (&today, now.clone()),
        ("9998-01-01T00:00:00+02:00", now),
    ];
    for (text, wanted) in cases {
        assert_eq!(as_of(&warehouse, text).await.unwrap(), wanted, "{text}");
    }
    let refused = [
        (
            "2026110",
            ErrorKind::Usage,
            "more than one run that wrote to the tables is called `2026110`",
        ),
        ("nightly", ErrorKind::Usage, "no run that wrote to the tables is called `nightly`"),
        ("2026-13-01", ErrorKind::Usage, "`2026-13-01` is no time"),
        ("2026-11-01T02:00", ErrorKind::Usage, "`2026-11-01T02:00` is no time"),
        ("1999-12-31", ErrorKind::Input, "held no tables then"),
    ];
    for (text, kind, message) in refused {
        let error = as_of(&warehouse, text).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(error.message().contains(message) && error.remedy().is_some(), "{error}");
    }
    let of_visit = warehouse.versions("visit").await.unwrap();
    let said: Vec<_> = of_visit.iter().map(|v| (v.version, v.run.as_deref().unwrap())).collect();
    assert_eq!(said, [(0, runs[1].0), (1, runs[2].0), (2, runs[3].0)]);
    assert_eq!(
        (of_visit[0].operation.as_str(), of_visit[0].pipeline.as_deref()),
        ("replace", Some("nightly"))
    );
}
