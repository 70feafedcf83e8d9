//! Tests of Parquet encoding: the same bytes for the same rows, whoever writes them and how.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde_json::{Value, json};

use super::*;

const ROWS: i64 = 3000;

fn options(row_group_rows: usize, row_group_bytes: u64, file_bytes: u64) -> ParquetOptions {
    ParquetOptions { row_group_rows, row_group_bytes, file_bytes, ..ParquetOptions::default() }
}

/// Writes [`ROWS`] rows, cut into batches of `batch_rows`, in an order made from `seed`.
fn write(
    folder: &Path,
    options: &ParquetOptions,
    batch_rows: i64,
    threads: usize,
    seed: u64,
) -> Vec<PartFile> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let writer = TableWriter::new(folder, "part", all_types(), options).unwrap();
    let mut order: Vec<i64> = (0..(ROWS + batch_rows - 1) / batch_rows).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    pool.install(|| {
        order.into_par_iter().for_each(|number| {
            let first = number * batch_rows;
            let batch = rows(first..(first + batch_rows).min(ROWS));
            writer.push(number as u64, vec![batch]).unwrap();
        });
        writer.finish().unwrap()
    })
}

fn contents(parts: &[PartFile]) -> Vec<Vec<u8>> {
    parts.iter().map(|part| fs::read(&part.path).unwrap()).collect()
}

#[test]
fn same_bytes_for_any_threads_order_and_batches() {
    let cases = [
        (options(1000, u64::MAX, u64::MAX), 1, 3),
        (options(700, u64::MAX, 30_000), 3, 5),
        (options(1_000_000, 120_000, 30_000), 3, 3),
    ];
    for (options, files, groups) in cases {
        let folder = tempfile::tempdir().unwrap();
        let reference = write(folder.path(), &options, ROWS, 1, 0);
        assert_eq!(reference.len(), files, "{options:?}");
        assert_eq!(row_groups(&reference), groups, "{options:?}");
        let wanted = contents(&reference);
        for (batch_rows, threads) in
            [(1, 8), (3, 1), (3, 2), (3, 8), (1000, 1), (1000, 2), (1000, 8)]
        {
            let folder = tempfile::tempdir().unwrap();
            let parts = write(folder.path(), &options, batch_rows, threads, threads as u64);
            let same = contents(&parts) == wanted;
            assert!(same, "{options:?}, batches of {batch_rows}, {threads} threads");
        }
    }
}

fn row_groups(parts: &[PartFile]) -> usize {
    let count = |part: &PartFile| {
        let file = File::open(&part.path).unwrap();
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().num_row_groups()
    };
    parts.iter().map(count).sum()
}

#[test]
fn rows_come_back_as_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let parts = write(folder.path(), &options(700, u64::MAX, 60_000), 100, 4, 1);
    let files: Vec<_> = parts.iter().map(|part| part.path.clone()).collect();
    assert_same(&read(&files), &rows(0..ROWS));
    assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), ROWS as u64);
    for part in &parts {
        assert_eq!(part.bytes, fs::metadata(&part.path).unwrap().len());
    }
    let file = File::open(&files[0]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(reader.metadata().file_metadata().created_by(), Some("kiln"));
}

#[test]
fn without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let options = ParquetOptions::default();
    let writer = TableWriter::new(folder.path(), "part", all_types(), &options).unwrap();
    writer.push(0, vec![]).unwrap();
    writer.push(1, vec![rows(0..0)]).unwrap();
    assert_eq!(writer.finish().unwrap(), []);
    assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());

    let path = folder.path().join("table.parquet");
    let parts = TableWriter::single(&path, all_types(), &options).unwrap().finish().unwrap();
    assert_eq!((parts.len(), parts[0].rows, &parts[0].path), (1, 0, &path));
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.schema().fields().len(), all_types().fields().len());
}

#[test]
fn a_single_file_is_there_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.parquet");
    // Small `file_bytes` must not roll.
    let writer = TableWriter::single(&path, all_types(), &options(100, u64::MAX, 1)).unwrap();
    writer.push(0, vec![rows(0..250)]).unwrap();
    assert!(!path.exists());
    writer.finish().unwrap();
    assert_eq!(files_below(folder.path()), std::slice::from_ref(&path));
    assert_same(&read(&[path]), &rows(0..250));
}

#[test]
fn dropped_without_finish_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(100, u64::MAX, 1);
    let path = folder.path().join("table.parquet");
    let open = |single: bool| {
        if single {
            return TableWriter::single(&path, all_types(), &options);
        }
        TableWriter::new(folder.path(), "part", all_types(), &options)
    };
    for single in [true, false] {
        let writer = open(single).unwrap();
        writer.push(0, vec![rows(0..1000)]).unwrap();
        drop(writer);
        assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn misuse_and_bad_targets_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let new = || {
        TableWriter::new(folder.path(), "part", all_types(), &ParquetOptions::default()).unwrap()
    };
    let check = |error: Error, kind, words: &str| {
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(words), "{error}");
    };
    let twice = new();
    twice.push(0, vec![]).unwrap();
    check(twice.push(0, vec![]).unwrap_err(), ErrorKind::Output, "pushed twice");
    let gap = new();
    gap.push(1, vec![rows(0..1)]).unwrap();
    check(gap.finish().unwrap_err(), ErrorKind::Output, "never pushed");
    check(new().push(0, vec![text("a", &[])]).unwrap_err(), ErrorKind::Output, "does not fit");

    // Tests may run as root, whom no permission stops: a file where a folder should be does.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("table.parquet");
    let Err(error) = TableWriter::single(&below, all_types(), &ParquetOptions::default()) else {
        panic!("wrote below a file");
    };
    assert!(error.remedy().is_some());
    check(error, ErrorKind::Output, "file/.table.parquet.tmp");
    let lost = TableWriter::new(&file, "part", all_types(), &options(10, u64::MAX, 1)).unwrap();
    // Another thread may be the one that fails: then a later push says so.
    let error = (0..1000).find_map(|number| lost.push(number, vec![rows(0..30)]).err());
    check(error.expect("it cannot be written"), ErrorKind::Output, "part-00000.parquet");
    check(lost.finish().unwrap_err(), ErrorKind::Output, "could not be written");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let temporary = folder.path().join(format!(".t.parquet.tmp-{}", std::process::id()));
    std::os::unix::fs::symlink("/dev/full", temporary).unwrap();
    let writer = TableWriter::single(&path, all_types(), &options(100, u64::MAX, 1)).unwrap();
    let pushed = writer.push(0, vec![rows(0..1000)]);
    let error = pushed.and_then(|()| writer.finish()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.to_string().contains(".t.parquet.tmp"), "{error}");
    assert!(error.remedy().unwrap().contains("free disk space"));
    assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn types_that_delta_does_not_have_are_refused() {
    let time = DataType::Time64(TimeUnit::Microsecond);
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    let cases = [
        (vec![("at", time)], "`at` has the type Time64"),
        (vec![("at", seconds)], "`at` has the type Timestamp"),
        (vec![("a b", DataType::Utf8)], "`a b` has a name"),
        (vec![("a", DataType::Utf8), ("A", DataType::Utf8)], "`A` stands twice"),
        (vec![], "at least one column"),
    ];
    for (columns, words) in cases {
        let fields: Vec<_> = columns.into_iter().map(|(n, t)| Field::new(n, t, true)).collect();
        let error = schema::to_delta(&Schema::new(fields)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Definition);
        assert!(error.to_string().contains(words), "{error}");
    }
}

fn stats_of(batches: Vec<RecordBatch>, row_group_rows: usize) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (schema, options) = (batches[0].schema(), options(row_group_rows, u64::MAX, u64::MAX));
    let writer = TableWriter::new(folder.path(), "part", schema, &options).unwrap();
    writer.push(0, batches).unwrap();
    serde_json::from_str(&writer.finish().unwrap()[0].stats).unwrap()
}

#[test]
fn stats_of_every_type() {
    let stats = stats_of(vec![rows(1..100)], 40);
    assert_eq!(stats["numRecords"], 99);
    let cases = [
        ("_key", json!("Patient/000001"), json!("Patient/000098"), json!(9)),
        ("_run", json!("run-1"), json!("run-1"), json!(0)),
        ("number", json!(1), json!(99), json!(0)),
        ("small", json!(0), json!(95), json!(24)),
        ("flag", Value::Null, Value::Null, json!(33)),
        ("ratio", Value::Null, Value::Null, json!(16)),
        ("price", json!(0.25), json!(24.75), json!(14)),
        ("day", json!("1970-01-02"), json!("1970-04-10"), json!(12)),
        (
            "instant",
            json!("2023-11-14T22:13:21.123Z"),
            json!("2023-11-14T22:14:58.124Z"),
            json!(11),
        ),
        ("local", json!("2023-11-14T22:13:21.123"), json!("2023-11-14T22:14:58.124"), json!(11)),
        ("bytes", Value::Null, Value::Null, json!(9)),
        ("names", Value::Null, Value::Null, Value::Null),
    ];
    for (column, min, max, nulls) in cases {
        let found =
            (&stats["minValues"][column], &stats["maxValues"][column], &stats["nullCount"][column]);
        assert_eq!(found, (&min, &max, &nulls), "column `{column}`");
    }
}

#[test]
fn bounds_of_decimals_keep_all_digits() {
    let folder = tempfile::tempdir().unwrap();
    let writer =
        TableWriter::new(folder.path(), "part", all_types(), &ParquetOptions::default()).unwrap();
    writer.push(0, vec![rows(1..100)]).unwrap();
    let stats = writer.finish().unwrap().remove(0).stats;
    assert!(stats.contains(r#""exact":123456789012.3456789012"#), "{stats}");
    assert!(stats.contains(r#""exact":12222222112222.2222112188"#), "{stats}");
}

#[test]
fn bounds_of_text_hold_all_values() {
    let long = "x".repeat(200);
    let umlauts = "ü".repeat(100);
    let highest = "\u{10ffff}".repeat(50);
    let cases: &[(&[Option<&str>], bool)] = &[
        (&[Some("b"), None, Some("a")], true),
        (&[Some(""), Some("a\"\\\n\u{1}")], true),
        (&[Some(&long), Some("w")], true),
        (&[Some(&umlauts), Some("z"), Some("é")], true),
        (&[Some(&highest), Some(&long)], true),
        (&[None, None], false),
        // The first row group has only nulls, the second has none.
        (&[None, None, Some("b"), Some("a")], true),
    ];
    for &(values, bounded) in cases {
        let stats = stats_of(vec![text("a", values)], 2);
        let (min, max) = (&stats["minValues"]["a"], &stats["maxValues"]["a"]);
        assert_eq!(min.is_string(), bounded, "{values:?}");
        assert_eq!(stats["nullCount"]["a"], values.iter().filter(|v| v.is_none()).count());
        for value in values.iter().flatten() {
            assert!(min.as_str().unwrap() <= *value, "{min} <= {value}");
            assert!(max.as_str().unwrap() >= *value, "{max} >= {value}");
        }
        assert!(min.as_str().is_none_or(|bound| bound.len() <= 64), "{min}");
    }
}
