//! Tests of Delta tables: what readers see after commits, crashes, and commits done twice.

use std::future::IntoFuture;

use datafusion::prelude::SessionContext;
use serde_json::Value;

use super::*;

fn commit_info(transaction: i64) -> CommitInfo {
    CommitInfo { pipeline: "nightly".to_owned(), source: None, transaction }
}

/// Writes rows in several small part files.
fn stage(staging: &Staging, table: &str, batch: RecordBatch) -> Vec<PartFile> {
    let options = ParquetOptions { row_group_rows: 40, file_bytes: 1, ..ParquetOptions::default() };
    let writer = staging.writer(table, batch.schema(), &options).unwrap();
    writer.push(0, vec![batch]).unwrap();
    writer.finish().unwrap()
}

/// One run that replaces a table.
async fn replace(warehouse: &Warehouse, run: i64, table: &str, batch: RecordBatch) -> Committed {
    replace_as(warehouse, &format!("run-{run}"), run, table, batch).await
}

/// As [`replace`], with a run of any name.
pub(super) async fn replace_as(
    warehouse: &Warehouse,
    run: &str,
    transaction: i64,
    table: &str,
    batch: RecordBatch,
) -> Committed {
    let staging = warehouse.begin(run).unwrap();
    let (schema, info) = (batch.schema(), commit_info(transaction));
    let parts = stage(&staging, table, batch);
    staging.commit(table, &schema, &parts, Change::Replace, &info).await.unwrap()
}

/// A warehouse in a folder whose name needs escaping in a URL.
fn warehouse() -> (tempfile::TempDir, Warehouse) {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::create_or_open(&folder.path().join("my house #1 ü")).unwrap();
    (folder, warehouse)
}

async fn current(warehouse: &Warehouse, table: &str) -> RecordBatch {
    read(&warehouse.snapshot(table).await.unwrap().files)
}

pub(super) async fn query(table: &DeltaTable, sql: &str) -> RecordBatch {
    let context = SessionContext::new();
    let provider = table.table_provider().into_future().await.unwrap();
    context.register_table("t", provider).unwrap();
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[tokio::test]
async fn committed_rows_are_read_by_delta_and_by_parquet() {
    let (_folder, warehouse) = warehouse();
    let committed = replace(&warehouse, 1, "patient", rows(0..100)).await;
    assert_eq!((committed.version, committed.already), (0, false));
    assert_eq!(warehouse.tables().unwrap(), ["patient"]);
    assert_same(&current(&warehouse, "patient").await, &rows(0..100));

    let table = warehouse.open_table("patient").await.unwrap();
    let all = query(&table, "select * from t order by number").await;
    let numbers_only = numbers(&all);
    assert_eq!(numbers_only, (0..100).collect::<Vec<_>>());
    assert_same(&all, &rows(0..100));
}

#[tokio::test]
async fn statistics_never_hide_a_row() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 1, "t", rows(1..121)).await;
    let table = warehouse.open_table("t").await.unwrap();
    let cases = [
        ("number = 77", 1),
        ("_key = 'Patient/000078'", 1),
        ("_key is null", 10),
        ("price = 19.25", 0),
        ("price = 19.50", 1),
        ("exact = cast('9506172753950.6172753925' as decimal(38,10))", 0),
        ("exact = cast('9629629542962.9629542936' as decimal(38,10))", 1),
        ("day >= date '1970-03-20' and day < date '1970-03-23'", 2),
        ("instant = timestamp '2023-11-14T22:14:38.123534Z'", 1),
        (
            "local >= timestamp '2023-11-14T22:14:38.123534' and local < timestamp '2023-11-14T22:14:39'",
            1,
        ),
        ("ratio > 9.8 and ratio < 9.9", 1),
        ("array_length(names) = 3", 28),
    ];
    for (filter, wanted) in cases {
        let batch =
            query(&table, &format!("select count(*) as number from t where {filter}")).await;
        assert_eq!(numbers(&batch), [wanted], "{filter}");
    }
}

#[tokio::test]
async fn delta_readers_understand_the_statistics() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 1, "t", rows(1..121)).await;
    let table = warehouse.open_table("t").await.unwrap();
    let files = table.snapshot().unwrap().add_actions_table(true).unwrap();
    let known = |name: &str| files.column_by_name(name).is_some_and(|c| c.null_count() == 0);
    assert!(known("num_records"));
    for column in ["_key", "_run", "number", "small", "price", "exact", "day", "instant", "local"] {
        for of in ["min", "max", "null_count"] {
            assert!(known(&format!("{of}.{column}")), "{of} of `{column}`");
        }
    }
}

#[tokio::test]
async fn a_replaced_table_has_the_new_rows_and_its_past() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 1, "t", rows(0..100)).await;
    assert_eq!(replace(&warehouse, 2, "t", rows(50..60)).await.version, 1);
    assert_eq!(replace(&warehouse, 3, "t", rows(7..8)).await.version, 2);
    assert_eq!(numbers(&current(&warehouse, "t").await), [7]);
    let mut table = warehouse.open_table("t").await.unwrap();
    for (version, wanted) in [(0, 0..100), (1, 50..60), (2, 7..8)] {
        table.load_version(version).await.unwrap();
        let batch = query(&table, "select number from t order by number").await;
        assert_eq!(numbers(&batch), wanted.collect::<Vec<_>>());
    }
    // A table without rows is a version without files.
    let empty = replace(&warehouse, 4, "t", rows(0..0)).await;
    assert_eq!(empty.version, 3);
    assert_eq!(warehouse.snapshot("t").await.unwrap().files, Vec::<PathBuf>::new());
}

#[tokio::test]
async fn columns_may_change_from_version_to_version() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 1, "t", text("a", &[Some("x")])).await;
    let protocol = |table: &DeltaTable| {
        let protocol = table.snapshot().unwrap().protocol();
        (protocol.min_reader_version(), protocol.min_writer_version())
    };
    assert_eq!(protocol(&warehouse.open_table("t").await.unwrap()), (1, 2));
    // A column of `timestamp_ntz` upgrades the protocol of the table.
    assert_eq!(replace(&warehouse, 2, "t", rows(0..5)).await.version, 1);
    assert_same(&current(&warehouse, "t").await, &rows(0..5));
    let table = warehouse.open_table("t").await.unwrap();
    assert_eq!(protocol(&table), (3, 7));
    assert_eq!(numbers(&query(&table, "select number from t order by 1").await), [0, 1, 2, 3, 4]);
    // Metadata is written again only if it changed.
    for (run, batch, changed) in
        [(3, rows(0..2), false), (4, text("b", &[None]), true), (5, rows(0..3), true)]
    {
        let version = replace(&warehouse, run, "t", batch).await.version;
        assert_eq!(
            log(&warehouse, "t", version).iter().any(|a| a["metaData"].is_object()),
            changed
        );
    }
    assert_eq!(numbers(&current(&warehouse, "t").await), [0, 1, 2]);
}

/// The actions of one version.
fn log(warehouse: &Warehouse, table: &str, version: u64) -> Vec<Value> {
    let path = warehouse.root().join(table).join(format!("_delta_log/{version:020}.json"));
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_log_says_who_wrote_and_describes_columns() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 1, "t", rows(0..50)).await;
    let actions = log(&warehouse, "t", 0);
    let find = |name: &str| actions.iter().find_map(|a| a.get(name)).unwrap();
    let info = find("commitInfo");
    assert_eq!(info["operation"], "WRITE");
    assert_eq!(info["operationParameters"]["mode"], "Overwrite");
    assert_eq!((&info["run"], &info["pipeline"]), (&"run-1".into(), &"nightly".into()));
    assert!(info["engineInfo"].as_str().unwrap().starts_with("kiln/"));
    assert_eq!(info["operationMetrics"]["numOutputRows"], "50");
    assert_eq!(find("txn")["appId"], "kiln:nightly");
    let metadata = find("metaData");
    assert_eq!(metadata["name"], "t");
    let columns: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
    let column = |name: &str| {
        columns["fields"].as_array().unwrap().iter().find(|f| f["name"] == name).unwrap()
    };
    assert_eq!(column("_key")["metadata"]["comment"], "the resource's key");
    let types = [
        ("_run", "string"),
        ("price", "decimal(10,2)"),
        ("instant", "timestamp"),
        ("local", "timestamp_ntz"),
    ];
    for (name, wanted) in types {
        assert_eq!(column(name)["type"], wanted, "column `{name}`");
    }
    assert_eq!(column("names")["type"]["type"], "array");
}

/// Commits can run on a runtime of several threads.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test]
async fn a_transaction_is_committed_once() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 5, "t", rows(0..10)).await;
    let before = files_below(&warehouse.root().join("t"));
    for run in [5, 4] {
        let again = replace(&warehouse, run, "t", rows(10..20)).await;
        assert_eq!((again.version, again.already), (0, true));
    }
    assert_eq!(files_below(&warehouse.root().join("t")), before);
    assert_eq!(numbers(&current(&warehouse, "t").await), (0..10).collect::<Vec<_>>());
    // Another pipeline has its own count.
    let staging = warehouse.begin("other").unwrap();
    let parts = stage(&staging, "t", rows(20..21));
    let info = CommitInfo { pipeline: "other".to_owned(), source: None, transaction: 1 };
    let schema = all_types();
    let commit = sendable(staging.commit("t", &schema, &parts, Change::Replace, &info));
    let committed = commit.await.unwrap();
    assert_eq!((committed.version, committed.already), (1, false));
}

#[tokio::test]
async fn a_run_id_used_twice_does_not_touch_committed_files() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 1, "t", rows(0..10)).await;
    let staging = warehouse.begin("run-1").unwrap();
    let parts = stage(&staging, "t", rows(20..30));
    let error = staging
        .commit("t", &all_types(), &parts, Change::Replace, &commit_info(2))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Warehouse);
    assert_same(&current(&warehouse, "t").await, &rows(0..10));
}

#[tokio::test]
async fn what_a_dead_run_left_does_no_harm() {
    let (_folder, warehouse) = warehouse();
    replace(&warehouse, 1, "t", rows(0..10)).await;
    // Killed while staging: the lock is free, the files lie there.
    let staging = warehouse.begin("run-2").unwrap();
    stage(&staging, "t", rows(10..20));
    let staged = files_below(&warehouse.staging_folder());
    assert_eq!(staged.len(), 1);
    let stale = warehouse.staging_folder().join("dead/t");
    fs::create_dir_all(&stale).unwrap();
    fs::copy(&staged[0], stale.join("part-dead-00000.parquet")).unwrap();
    // Killed between the move and the commit: a file that no version names, also where the log
    // has no entry yet.
    fs::copy(&staged[0], warehouse.root().join("t/part-run-2-00000.parquet")).unwrap();
    fs::create_dir_all(warehouse.root().join("new/_delta_log")).unwrap();
    fs::copy(&staged[0], warehouse.root().join("new/part-run-2-00000.parquet")).unwrap();
    fs::write(warehouse.root().join("new/_delta_log/00000000000000000000.json#1"), "{").unwrap();
    drop(staging);

    assert_eq!(warehouse.tables().unwrap(), ["t"]);
    assert_same(&current(&warehouse, "t").await, &rows(0..10));
    let staging = warehouse.begin("run-2").unwrap();
    assert_eq!(files_below(&warehouse.staging_folder()), Vec::<PathBuf>::new());
    drop(staging);
    for table in ["t", "new"] {
        replace(&warehouse, 2, table, rows(30..40)).await;
        assert_same(&current(&warehouse, table).await, &rows(30..40));
    }
    assert_eq!(files_below(&warehouse.staging_folder()), Vec::<PathBuf>::new());
}

#[test]
fn two_runs_cannot_write_at_once() {
    let (_folder, warehouse) = warehouse();
    let staging = warehouse.begin("run-1").unwrap();
    let error = warehouse.begin("run-2").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.message().starts_with("another run is writing to `"), "{error}");
    assert!(error.remedy().is_some());
    drop(staging);
    warehouse.begin("run-2").unwrap();
}

/// What a child process holds between its making and the loading of its program.
#[test]
fn a_copy_of_the_file_does_not_hold_the_lock() {
    let (_folder, warehouse) = warehouse();
    let lock = warehouse.lock().unwrap();
    let copy = lock.file.try_clone().unwrap();
    drop(lock);
    warehouse.lock().unwrap();
    drop(copy);
}

#[tokio::test]
async fn what_is_not_there_is_an_input_error() {
    let (folder, warehouse) = warehouse();
    for missing in ["nothing", "my house #1 ü/_kiln"] {
        let error = Warehouse::open(&folder.path().join(missing)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.remedy().is_some());
    }
    assert_eq!(warehouse.open_table("t").await.unwrap_err().kind(), ErrorKind::Input);
    Warehouse::open(warehouse.root()).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for bad in [file.join("house"), folder.path().join("100%20")] {
        let error = Warehouse::create_or_open(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Output);
        assert!(error.remedy().is_some());
    }
}

#[tokio::test]
async fn names_do_not_lead_out_of_the_warehouse() {
    let (_folder, warehouse) = warehouse();
    for name in ["", "..", "a/b", "_kiln", "a b"] {
        assert_eq!(warehouse.open_table(name).await.unwrap_err().kind(), ErrorKind::Definition);
    }
    for run in ["", "..", "a/b"] {
        assert_eq!(warehouse.begin(run).unwrap_err().kind(), ErrorKind::Definition);
        assert_eq!(warehouse.write_report(run, b"").unwrap_err().kind(), ErrorKind::Definition);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_leaves_the_table_as_it_was() {
    let (_folder, warehouse) = warehouse();
    let staging = warehouse.begin("run-1").unwrap();
    let parts = stage(&staging, "t", rows(0..10));
    fs::create_dir_all(warehouse.root().join("t")).unwrap();
    fs::write(warehouse.root().join("t/_delta_log"), "").unwrap();
    let error = staging
        .commit("t", &all_types(), &parts, Change::Replace, &commit_info(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.to_string().contains("_delta_log"), "{error}");
    assert_eq!(warehouse.tables().unwrap(), Vec::<String>::new());
}

#[test]
fn reports_are_kept_by_run() {
    let (_folder, warehouse) = warehouse();
    for content in ["{}", "{\"lines\":1}"] {
        let path = warehouse.write_report("run-1", content.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(files_below(path.parent().unwrap()), [path]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_written_and_the_past_stays() {
    let (_folder, warehouse) = warehouse();
    for run in 0..12 {
        let committed = replace(&warehouse, run, "t", text("a", &[Some("x"), None])).await;
        assert!(committed.warning.is_none());
    }
    assert!(warehouse.root().join("t/_delta_log/_last_checkpoint").exists());
    assert_eq!(current(&warehouse, "t").await.num_rows(), 2);
    let mut table = warehouse.open_table("t").await.unwrap();
    table.load_version(0).await.unwrap();
    // The transaction is found through the checkpoint.
    assert!(replace(&warehouse, 9, "t", text("a", &[])).await.already);
}
