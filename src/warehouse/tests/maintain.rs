//! Tests of maintenance: the same rows in fewer files, in order; files that are needed stay.

use std::collections::BTreeSet;
use std::time::Duration;

use super::merge::{rows_of, step_of};
use super::*;

/// Twelve runs that append, of two sources in turn; eleven rows each.
async fn many_files() -> (tempfile::TempDir, Warehouse) {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::create_or_open(folder.path()).unwrap();
    for run in 0..12 {
        let rows =
            (0..11).map(|n| (format!("k{}", (n * 7 + run * 5) % 40), run * 11 + n)).collect();
        step_of(&warehouse, run, ["a", "b"][run as usize % 2], rows).await;
    }
    (folder, warehouse)
}

async fn parquet_of(warehouse: &Warehouse) -> BTreeSet<PathBuf> {
    warehouse.snapshot("t").await.unwrap().files.into_iter().collect()
}

#[tokio::test]
async fn small_files_become_large_ones_of_the_same_rows() {
    let (_folder, warehouse) = many_files().await;
    let before = rows_of(&warehouse).await;
    let done = warehouse.optimize(&[], &[], &ParquetOptions::default()).await.unwrap();
    assert!(done[0].files_before > 12, "{done:?}");
    assert_eq!((done[0].table.as_str(), done[0].files_after, done[0].version), ("t", 2, Some(12)));
    let after = rows_of(&warehouse).await;
    // Each source keeps its order.
    for source in ["a", "b"] {
        let of = |rows: &[merge::Row]| {
            let rows = rows.iter().filter(|row| row.3.as_deref() == Some(source));
            rows.cloned().collect::<Vec<_>>()
        };
        assert_eq!(of(&before), of(&after));
    }
    let versions = warehouse.versions("t").await.unwrap();
    assert_eq!((versions[12].operation.as_str(), &versions[12].run), ("optimize", &None));
    let log = fs::read_to_string(warehouse.root().join("t/_delta_log/00000000000000000012.json"));
    let log = log.unwrap();
    assert!(!log.contains("\"dataChange\":true") && log.contains("\"dataChange\":false"));
    let again = warehouse.optimize(&[], &[], &ParquetOptions::default()).await.unwrap();
    assert_eq!((again[0].version, again[0].files_before, again[0].files_after), (None, 2, 2));
    assert_eq!(files_below(&warehouse.staging_folder()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn rows_are_sorted_over_all_files() {
    let (_folder, warehouse) = many_files().await;
    let mut wanted = rows_of(&warehouse).await;
    let by = ["_key", "nothing", "number"].map(str::to_owned);
    let error = warehouse.optimize(&[], &by, &ParquetOptions::default()).await.unwrap_err();
    assert_eq!(error.message(), "no table has a column `nothing`");
    let options = ParquetOptions { row_group_rows: 10, file_bytes: 2000, ..Default::default() };
    let by = [by[0].clone(), by[2].clone()];
    let done = warehouse.optimize(&["t".to_owned()], &by, &options).await.unwrap();
    assert!(done[0].files_after > 2, "{done:?}");
    wanted.sort_by(|a, b| (&a.3, &a.0, a.2).cmp(&(&b.3, &b.0, b.2)));
    assert_eq!(rows_of(&warehouse).await, wanted);
    let error = warehouse.optimize(&["x".to_owned()], &[], &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[tokio::test]
async fn only_files_that_no_young_version_needs_are_removed() {
    let (_folder, warehouse) = many_files().await;
    let hour = Duration::from_hours(1);
    warehouse.optimize(&[], &[], &ParquetOptions::default()).await.unwrap();
    let middle = jiff::Timestamp::now();
    std::thread::sleep(Duration::from_millis(1100));
    step_of(&warehouse, 20, "a", vec![("k1".to_owned(), 1000)]).await;
    let by = ["_key".to_owned()];
    warehouse.optimize(&[], &by, &ParquetOptions::default()).await.unwrap();
    let current = parquet_of(&warehouse).await;
    let all: BTreeSet<_> = parquet(&warehouse);

    // All is young.
    assert_eq!(warehouse.vacuum(&[], hour, false).await.unwrap(), []);
    // What was current a second ago stays: version 12, and all that came since.
    let since = Duration::try_from(jiff::Timestamp::now().duration_since(middle)).unwrap();
    let dry = warehouse.vacuum(&[], since, true).await.unwrap();
    assert_eq!(parquet(&warehouse), all);
    let removed = warehouse.vacuum(&[], since, false).await.unwrap();
    assert_eq!(dry, removed);
    assert_eq!(removed[0].table.as_deref(), Some("t"));
    let mut table = warehouse.open_table("t").await.unwrap();
    for version in 12..=14 {
        table.load_version(version).await.unwrap();
        let batch = tables::query(&table, "select number from t").await;
        assert_eq!(batch.num_rows(), if version == 12 { 132 } else { 133 }, "version {version}");
    }
    table.load_version(11).await.unwrap();
    let gone = delta::files(&table, &warehouse.place("t").unwrap()).await.unwrap();
    assert!(gone.iter().all(|file| !file.path.exists()));
    // Only what is current, and what dead runs left goes too.
    let staging = warehouse.staging_folder().join("dead/t");
    fs::create_dir_all(&staging).unwrap();
    fs::write(staging.join("part-dead-00000.parquet"), "dead").unwrap();
    fs::create_dir_all(warehouse.root().join("unborn/_delta_log")).unwrap();
    fs::write(warehouse.root().join("unborn/part-dead-00000.parquet"), "dead").unwrap();
    fs::write(warehouse.root().join("t/part-dead-00000.parquet"), "dead").unwrap();
    let removed = warehouse.vacuum(&[], Duration::ZERO, false).await.unwrap();
    let tables: Vec<_> = removed.iter().map(|removed| removed.table.as_deref()).collect();
    assert_eq!(tables, [Some("t"), Some("unborn"), None]);
    assert_eq!(parquet(&warehouse), current);
    assert_eq!(rows_of(&warehouse).await.len(), 133);
}

#[tokio::test]
async fn maintenance_waits_for_no_run() {
    let (_folder, warehouse) = many_files().await;
    let _staging = warehouse.begin("run-9999").unwrap();
    let error = warehouse.vacuum(&[], Duration::ZERO, false).await.unwrap_err();
    assert!(error.message().starts_with("another run is writing"), "{error}");
    let error = warehouse.optimize(&[], &[], &ParquetOptions::default()).await.unwrap_err();
    assert!(error.message().starts_with("another run is writing"), "{error}");
}

/// Every Parquet file that is there.
fn parquet(warehouse: &Warehouse) -> BTreeSet<PathBuf> {
    let files = files_below(warehouse.root()).into_iter();
    files
        .filter(|path| {
            path.extension().is_some_and(|e| e == "parquet")
                && !path.to_string_lossy().contains("_delta_log")
        })
        .collect()
}

/// Forty megabytes, sorted in sixteen: they do not fit, and lie on disk in between.
#[tokio::test]
async fn more_rows_than_memory_are_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::create_or_open(folder.path()).unwrap();
    let texts: Vec<String> = (0..40_000_u64)
        .map(|n| format!("{:0>1000}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let values: Vec<_> = texts.iter().map(|text| Some(text.as_str())).collect();
    let batch = text("a", &values);
    tables::replace_as(&warehouse, "run-1", 1, "t", batch.clone()).await;
    let (table, place) = (warehouse.open_table("t").await.unwrap(), warehouse.place("t").unwrap());
    let files = delta::files(&table, &place).await.unwrap();
    let options = ParquetOptions::default();
    let writer = TableWriter::new(folder.path(), "sorted", batch.schema(), &options).unwrap();
    let memory = (16 << 20, folder.path());
    let by = ["a".to_owned()];
    let parts = sort::sorted(&files, &by, &batch.schema(), memory, writer).await.unwrap();
    let paths: Vec<_> = parts.into_iter().map(|part| part.path).collect();
    let mut wanted = texts.clone();
    wanted.sort_unstable();
    let wanted: Vec<_> = wanted.iter().map(|text| Some(text.as_str())).collect();
    assert_same(&read(&paths), &text("a", &wanted));
}
