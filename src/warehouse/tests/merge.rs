//! Tests of changes: which rows a table has after replacing, merging and appending, source by source.

use std::collections::BTreeSet;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Key, patient, number, source.
pub(super) type Row = (Option<String>, Option<String>, i64, Option<String>);

/// A change, as the model and the warehouse take it.
#[derive(Debug, Clone)]
enum Asked {
    Replace,
    /// Keys that go, patients that go.
    Merge(Vec<String>, Vec<String>),
    Append,
}

#[derive(Debug, Clone)]
struct Step {
    asked: Asked,
    source: Option<String>,
    rows: Vec<Row>,
}

fn columns() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("_key"),
        text("patient"),
        Field::new("number", DataType::Int64, false),
        text("_source"),
        text("_run"),
    ]))
}

fn batch(rows: &[Row], run: &str) -> RecordBatch {
    let text = |of: fn(&Row) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let columns_of: Vec<ArrayRef> = vec![
        text(|row| row.0.as_deref()),
        text(|row| row.1.as_deref()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        text(|row| row.3.as_deref()),
        Arc::new(rows.iter().map(|_| Some(run)).collect::<StringArray>()),
    ];
    RecordBatch::try_new(columns(), columns_of).unwrap()
}

fn keys(keys: &[String]) -> Arc<KeySet> {
    let mut set = KeySet::default();
    for key in keys {
        set.insert(key);
    }
    Arc::new(set)
}

fn gone(asked: &Asked) -> Vec<Gone> {
    let Asked::Merge(of_keys, of_patients) = asked else { return Vec::new() };
    let gone =
        |column: &str, names: &[String]| Gone { column: column.to_owned(), keys: keys(names) };
    vec![gone("_key", of_keys), gone("patient", of_patients), gone("nothing", of_keys)]
}

/// What the model has after a step.
fn expected(mut table: Vec<Row>, step: &Step) -> Vec<Row> {
    table.retain(|(key, patient, _, source)| {
        let hit = |value: &Option<String>, names: &[String]| {
            value.as_ref().is_some_and(|value| names.contains(value))
        };
        *source != step.source
            || match &step.asked {
                Asked::Replace => false,
                Asked::Append => true,
                Asked::Merge(keys, patients) => !hit(key, keys) && !hit(patient, patients),
            }
    });
    table.extend(step.rows.iter().cloned());
    table
}

const SMALL: ParquetOptions = ParquetOptions {
    compression: parquet::basic::Compression::UNCOMPRESSED,
    row_group_rows: 5,
    row_group_bytes: u64::MAX,
    file_bytes: 400,
};

async fn apply(warehouse: &Warehouse, run: i64, step: &Step) -> Result<Committed> {
    let name = format!("run-{run:04}");
    let mut staging = warehouse.begin(&name)?;
    staging.parquet = SMALL;
    let writer = staging.writer("t", columns(), &SMALL)?;
    writer.push(0, vec![batch(&step.rows, &name)])?;
    let parts = writer.finish()?;
    let gone = gone(&step.asked);
    let change = match &step.asked {
        Asked::Replace => Change::Replace,
        Asked::Merge(..) => Change::Merge(&gone),
        Asked::Append => Change::Append,
    };
    let info =
        CommitInfo { pipeline: "p".to_owned(), source: step.source.clone(), transaction: run };
    staging.commit("t", &columns(), &parts, change, &info).await
}

/// Appends rows of keys and numbers.
pub(super) async fn step_of(
    warehouse: &Warehouse,
    run: i64,
    source: &str,
    rows: Vec<(String, i64)>,
) {
    let source = Some(source.to_owned());
    let rows = rows.into_iter().map(|(key, n)| (Some(key), None, n, source.clone())).collect();
    let step = Step { asked: Asked::Append, source, rows };
    apply(warehouse, run, &step).await.unwrap();
}

pub(super) async fn rows_of(warehouse: &Warehouse) -> Vec<Row> {
    let snapshot = warehouse.snapshot("t").await.unwrap();
    if snapshot.files.is_empty() {
        return Vec::new();
    }
    let copies = tempfile::tempdir().unwrap();
    let batch = read(&warehouse.local_files(&snapshot, copies.path()).await.unwrap());
    let text = |at: usize, row: usize| {
        let column = batch.column(at).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let numbers = numbers(&batch);
    (0..batch.num_rows())
        .map(|row| (text(0, row), text(1, row), numbers[row], text(3, row)))
        .collect()
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `key/patient/number`, with `-` for null.
fn rows(text: &str, source: &str) -> Vec<Row> {
    let named = |name: &str| (name != "-").then(|| name.to_owned());
    let row = |word: &str| {
        let parts: Vec<_> = word.split('/').collect();
        (named(parts[0]), named(parts[1]), parts[2].parse().unwrap(), named(source))
    };
    text.split_whitespace().map(row).collect()
}

fn warehouse() -> (tempfile::TempDir, Warehouse) {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::create_or_open(folder.path()).unwrap();
    (folder, warehouse)
}

/// Before, a table has these rows of the sources `-`, `a` and `b`; a change of `a` leaves those.
#[tokio::test]
async fn changes_leave_the_rows_that_they_should() {
    let before = [
        ("-", "k1/p1/1 k2/p2/2"),
        ("a", "k1/p1/3 k1/p1/4 k2/p2/5 -/p3/6 k4/-/7"),
        ("b", "k1/p1/8"),
    ];
    let merge = |keys: &str, patients: &str| Asked::Merge(words(keys), words(patients));
    let cases = [
        (Asked::Replace, "k9/p9/9", vec![1, 2, 8, 9], 0),
        (Asked::Replace, "", vec![1, 2, 8], 0),
        (Asked::Append, "k1/p1/9", vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 0),
        (merge("k1", ""), "k1/p1/9", vec![1, 2, 5, 6, 7, 8, 9], 2),
        (merge("k1 k2 k4", ""), "", vec![1, 2, 6, 8], 4),
        (merge("k1", "p3 p2"), "", vec![1, 2, 7, 8], 4),
        (merge("", "p1 p2 p3"), "k7/p1/9", vec![1, 2, 7, 8, 9], 4),
        (merge("k1 k2 k4", "p3"), "", vec![1, 2, 8], 5),
        (merge("other", "nobody"), "k7/p1/9", vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 0),
        (merge("", ""), "", vec![1, 2, 3, 4, 5, 6, 7, 8], 0),
    ];
    for (asked, new, wanted, rows_gone) in cases {
        let (_folder, warehouse) = warehouse();
        for (run, (source, text)) in before.iter().enumerate() {
            let rows = rows(text, source);
            let source = (*source != "-").then(|| (*source).to_owned());
            let step = Step { asked: Asked::Append, source, rows };
            apply(&warehouse, run as i64, &step).await.unwrap();
        }
        let untouched = warehouse.snapshot("t").await.unwrap().files;
        let step =
            Step { asked: asked.clone(), source: Some("a".to_owned()), rows: rows(new, "a") };
        let committed = apply(&warehouse, 9, &step).await.unwrap();
        let mut found: Vec<_> = rows_of(&warehouse).await.into_iter().map(|row| row.2).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{asked:?}");
        assert_eq!(committed.rows_gone, rows_gone, "{asked:?}");
        // What has no hit is not touched.
        if rows_gone == 0 && !matches!(asked, Asked::Replace) {
            let now = warehouse.snapshot("t").await.unwrap().files;
            assert!(untouched.iter().all(|file| now.contains(file)), "{asked:?}");
            assert_eq!(committed.files_rewritten, 0);
        }
    }
}

/// A step that nobody chose.
fn random_step(random: &mut impl Rng, number: &mut i64) -> Step {
    let source = [None, Some("a"), Some("b")][random.random_range(0..3)].map(str::to_owned);
    let name = |random: &mut dyn FnMut() -> usize, prefix: &str| {
        let at = random();
        (at > 0).then(|| format!("{prefix}{at}"))
    };
    let rows = (0..random.random_range(0..40)).map(|_| {
        *number += 1;
        let key = name(&mut || random.random_range(0..30), "k");
        let patient = name(&mut || random.random_range(0..10), "p");
        (key, patient, *number, source.clone())
    });
    let rows = rows.collect();
    let asked = match random.random_range(0..10) {
        0 => Asked::Replace,
        1..4 => Asked::Append,
        _ => {
            let mut some = |prefix: &str, most: usize, of: usize| -> Vec<String> {
                let count = random.random_range(0..most);
                (0..count).map(|_| format!("{prefix}{}", random.random_range(1..of))).collect()
            };
            Asked::Merge(some("k", 8, 30), some("p", 3, 10))
        }
    };
    Step { asked, source, rows }
}

#[tokio::test]
async fn any_changes_end_as_the_model_says() {
    for seed in 0..4 {
        let (_folder, warehouse) = warehouse();
        check_against_model(&warehouse, seed).await;
    }
}

/// Applies random steps to an empty warehouse, and looks at the rows after each.
pub(super) async fn check_against_model(warehouse: &Warehouse, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut model, mut number) = (Vec::new(), 0);
    for run in 0..25 {
        let step = random_step(&mut random, &mut number);
        let before = model.len();
        model = expected(model, &step);
        let committed = apply(warehouse, run, &step).await.unwrap();
        let found = rows_of(warehouse).await;
        assert_eq!(sorted(found), sorted(model.clone()), "seed {seed}, run {run}: {step:?}");
        if matches!(step.asked, Asked::Merge(..)) {
            let gone = before + step.rows.len() - model.len();
            assert_eq!(committed.rows_gone, gone as u64, "seed {seed}, run {run}");
        }
        assert!(apply(warehouse, run, &step).await.unwrap().already);
    }
}

#[test]
fn the_same_bytes_with_any_number_of_threads() {
    let run_with = |threads: usize| {
        let (folder, warehouse) = warehouse();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        pool.install(|| {
            runtime.block_on(async {
                let mut random = ChaCha8Rng::seed_from_u64(7);
                let mut number = 0;
                for run in 0..12 {
                    let step = random_step(&mut random, &mut number);
                    apply(&warehouse, run, &step).await.unwrap();
                }
            });
        });
        let named =
            |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), path);
        let files = files_below(&folder.path().join("t")).into_iter().map(named);
        let parts = files.filter(|(name, _)| name.starts_with("part-"));
        let mut contents: Vec<_> =
            parts.map(|(name, path)| (name, fs::read(path).unwrap())).collect();
        contents.sort();
        contents
    };
    let one = run_with(1);
    assert!(one.iter().any(|(name, _)| name.contains("-kept-")));
    assert!(run_with(8) == one, "other bytes with eight threads");
}

#[tokio::test]
async fn small_files_do_not_pile_up() {
    let (_folder, warehouse) = warehouse();
    let mut most = 0;
    for run in 0..60 {
        let text = format!("k{run}/p{run}/{run}");
        let asked = Asked::Merge(vec![format!("k{run}")], Vec::new());
        let step = Step { asked, source: Some("a".to_owned()), rows: rows(&text, "a") };
        apply_whole(&warehouse, run, &step).await;
        most = most.max(warehouse.snapshot("t").await.unwrap().files.len());
    }
    assert!((17..=18).contains(&most), "{most} files");
    let numbers: BTreeSet<_> = rows_of(&warehouse).await.into_iter().map(|row| row.2).collect();
    assert_eq!(numbers, (0..60).collect());
}

/// As [`apply`], with files of the usual size.
async fn apply_whole(warehouse: &Warehouse, run: i64, step: &Step) {
    let name = format!("run-{run:04}");
    let staging = warehouse.begin(&name).unwrap();
    let writer = staging.writer("t", columns(), &ParquetOptions::default()).unwrap();
    writer.push(0, vec![batch(&step.rows, &name)]).unwrap();
    let parts = writer.finish().unwrap();
    let (gone, source) = (gone(&step.asked), step.source.clone());
    let info = CommitInfo { pipeline: "p".to_owned(), source, transaction: run };
    staging.commit("t", &columns(), &parts, Change::Merge(&gone), &info).await.unwrap();
}

/// Tells [`crashing_child`] the warehouse to write to.
const ROOT: &str = "KILN_TEST_MERGE_ROOT";

fn before_crash() -> Step {
    let rows = (0..60).map(|n| (Some(format!("k{n}")), None, n, None)).collect();
    Step { asked: Asked::Replace, source: None, rows }
}

fn crashing() -> Step {
    let asked = Asked::Merge(vec!["k3".to_owned(), "k50".to_owned()], Vec::new());
    Step { asked, source: None, rows: vec![(Some("k3".to_owned()), None, 100, None)] }
}

#[tokio::test]
#[ignore = "started by `a_merge_killed_anywhere_is_done_by_the_next`"]
async fn crashing_child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let warehouse = Warehouse::open(Path::new(&root)).unwrap();
    apply(&warehouse, 2, &crashing()).await.unwrap();
}

#[tokio::test]
async fn a_merge_killed_anywhere_is_done_by_the_next() {
    let old = expected(Vec::new(), &before_crash());
    let new = sorted(expected(old.clone(), &crashing()));
    let old = sorted(old);
    let mut crashes = 0;
    for at in 0.. {
        let (folder, warehouse) = warehouse();
        apply(&warehouse, 1, &before_crash()).await.unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "warehouse::tests::merge::crashing_child", "--ignored"]);
        child.env(ROOT, folder.path()).env("KILN_CRASH_AT", at.to_string());
        let survived = child.output().unwrap().status.success();
        let left = sorted(rows_of(&warehouse).await);
        assert!(left == new || (!survived && left == old), "half done at step {at}");
        apply(&warehouse, 2, &crashing()).await.unwrap();
        assert_eq!(sorted(rows_of(&warehouse).await), new, "killed at step {at}");
        if survived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 10, "only {crashes} steps");
}

/// The log of a wide table, also from a checkpoint, tells whose rows a file has.
#[tokio::test]
async fn the_source_of_files_of_wide_tables_is_known_after_checkpoints() {
    let (_folder, warehouse) = warehouse();
    let mut fields: Vec<_> =
        (0..45).map(|n| Field::new(format!("c{n}"), DataType::Utf8, true)).collect();
    fields.extend(["_source", "_run"].map(|name| Field::new(name, DataType::Utf8, true)));
    let schema = Arc::new(Schema::new(fields));
    for run in 0..25 {
        let source = ["a", "b"][run % 2];
        let name = format!("run-{run:04}");
        let value = |field: &Field| match field.name().as_str() {
            "_source" => source.to_owned(),
            other => format!("{other} {run}"),
        };
        let arrays = schema
            .fields()
            .iter()
            .map(|field| -> ArrayRef { Arc::new(StringArray::from(vec![value(field)])) });
        let batch = RecordBatch::try_new(schema.clone(), arrays.collect()).unwrap();
        let staging = warehouse.begin(&name).unwrap();
        let writer = staging.writer("t", schema.clone(), &ParquetOptions::default()).unwrap();
        writer.push(0, vec![batch]).unwrap();
        let parts = writer.finish().unwrap();
        let info = CommitInfo {
            pipeline: source.to_owned(),
            source: Some(source.to_owned()),
            transaction: run as i64,
        };
        staging.commit("t", &schema, &parts, Change::Replace, &info).await.unwrap();
        let files = warehouse.snapshot("t").await.unwrap().files;
        assert_eq!(files.len(), (run + 1).min(2), "after run {run}");
    }
    assert_eq!(warehouse.pipelines("t").await.unwrap(), ["a", "b"]);
    assert!(warehouse.has_transaction("t", "a", 24).await.unwrap());
    assert!(!warehouse.has_transaction("t", "b", 24).await.unwrap());
    assert!(!warehouse.has_transaction("nothing", "b", 24).await.unwrap());
}

#[tokio::test]
async fn columns_may_come_but_not_go_or_change() {
    let number = |data_type| Field::new("n", data_type, true);
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let cases = [
        (
            vec![text("a"), number(DataType::Int64), text("b")],
            Ok(r#"[{"change":"added","column":"b"}]"#),
        ),
        (vec![number(DataType::Int64), text("a")], Ok("[]")),
        (vec![text("a")], Err("the table `t` has a column `n`, the new rows do not")),
        (
            vec![text("a"), text("n")],
            Err("the column `n` of the table `t` is bigint, of the new rows string"),
        ),
        (
            vec![text("a"), number(DataType::Int64), Field::new("b", DataType::Utf8, false)],
            Err("the column `b` is new and never null, which old rows of `t` are"),
        ),
    ];
    for (fields, wanted) in cases {
        let (_folder, warehouse) = warehouse();
        let first = Arc::new(Schema::new(vec![text("a"), number(DataType::Int64)]));
        assert_eq!(warehouse.compare("t", &first).await.unwrap(), []);
        change_columns(&warehouse, 1, first, Change::Replace).await.unwrap();
        let schema = Arc::new(Schema::new(fields));
        let found = warehouse.compare("t", &schema).await.unwrap();
        let keys = Gone { column: "a".to_owned(), keys: keys(&["a0".to_owned()]) };
        for change in [Change::Append, Change::Merge(std::slice::from_ref(&keys))] {
            match (change_columns(&warehouse, 2, schema.clone(), change).await, wanted) {
                (Ok(_), Ok(json)) => assert_eq!(serde_json::to_string(&found).unwrap(), json),
                (Err(error), Err(message)) => {
                    assert_eq!((error.kind(), error.message()), (ErrorKind::Definition, message));
                    assert!(error.remedy().unwrap().contains("kiln rebuild"));
                }
                (result, _) => panic!("{schema:?}: {result:?}"),
            }
        }
        // Two rows stayed or one, and two came.
        if wanted.is_ok() {
            let now = read_as(&warehouse, &schema).await;
            assert_eq!(now.num_rows(), 4);
        }
        change_columns(&warehouse, 3, schema.clone(), Change::Replace).await.unwrap();
        assert_eq!(read_as(&warehouse, &schema).await.num_rows(), 2);
    }
}

/// Rows of `a` and `n` with any columns: two of them, `a0` and `a1`.
async fn change_columns(
    warehouse: &Warehouse,
    run: i64,
    schema: SchemaRef,
    change: Change<'_>,
) -> Result<Committed> {
    let arrays = schema.fields().iter().map(|field| -> ArrayRef {
        match field.data_type() {
            DataType::Int64 => Arc::new(Int64Array::from(vec![0, 1])),
            _ => Arc::new(StringArray::from(vec!["a0", "a1"])),
        }
    });
    let batch = RecordBatch::try_new(schema.clone(), arrays.collect()).unwrap();
    let staging = warehouse.begin(&format!("run-{run}")).unwrap();
    let writer = staging.writer("t", schema.clone(), &ParquetOptions::default()).unwrap();
    writer.push(0, vec![batch]).unwrap();
    let parts = writer.finish().unwrap();
    let info = CommitInfo { pipeline: "p".to_owned(), source: None, transaction: run };
    staging.commit("t", &schema, &parts, change, &info).await
}

/// The table as DataFusion reads it, with its columns checked.
async fn read_as(warehouse: &Warehouse, schema: &SchemaRef) -> RecordBatch {
    let table = warehouse.open_table("t").await.unwrap();
    let batch = tables::query(&table, "select * from t").await;
    let names =
        |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    assert_eq!(names(&batch.schema()), names(schema));
    batch
}

#[tokio::test]
async fn old_runs_leave_as_whole_files() {
    let (_folder, warehouse) = warehouse();
    for run in 0..6 {
        let step =
            Step { asked: Asked::Append, source: None, rows: rows(&format!("k/p/{run}"), "-") };
        apply(&warehouse, run, &step).await.unwrap();
    }
    let staging = warehouse.begin("run-0009").unwrap();
    assert!(staging.drop_files("t", "run-0000").await.unwrap().is_none());
    assert!(staging.drop_files("nothing", "run-0000").await.unwrap().is_none());
    staging.drop_files("t", "run-0004").await.unwrap().unwrap();
    let left: Vec<_> = rows_of(&warehouse).await.into_iter().map(|row| row.2).collect();
    assert_eq!(left, [4, 5]);
    let operations = warehouse.versions("t").await.unwrap().into_iter().map(|v| v.operation);
    let operations: Vec<_> = operations.collect();
    assert_eq!(operations.last().unwrap(), "expire");
    assert_eq!(operations[0], "append");
}
