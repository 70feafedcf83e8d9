//! A tiny warehouse for tests, written by delta-rs itself.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use tempfile::TempDir;

/// A warehouse with the tables `patient` (3 rows of every type), `observation` (5,000 rows in two
/// files) and `_rejects` (no rows), beside folders that are no tables.
pub(crate) async fn warehouse() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_table(&folder.path().join("patient"), vec![patients()]).await;
    let halves = vec![observations(0..2500), observations(2500..5000)];
    write_table(&folder.path().join("observation"), halves).await;
    write_table(&folder.path().join("_rejects"), vec![observations(0..0)]).await;
    fs::create_dir_all(folder.path().join("_kiln/_delta_log")).unwrap();
    fs::create_dir_all(folder.path().join("notes")).unwrap();
    folder
}

fn patients() -> RecordBatch {
    let comment = HashMap::from([("comment".to_owned(), "administrative gender".to_owned())]);
    let tags = vec![Some(vec![Some(1), None]), Some(vec![]), None];
    let columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new("id", DataType::Utf8, false), Arc::new(StringArray::from(vec!["a", "b", "c"]))),
        (
            Field::new("gender", DataType::Utf8, true).with_metadata(comment),
            Arc::new(StringArray::from(vec![Some("male"), Some(""), None])),
        ),
        (
            Field::new("familyName", DataType::Utf8, true),
            Arc::new(StringArray::from(vec!["O'Hara, \"Ann\"", "two\nlines", "Müller 李"])),
        ),
        (
            Field::new("weight", DataType::Decimal128(20, 4), true),
            Arc::new(
                Decimal128Array::from(vec![Some(15_000), Some(-1), None])
                    .with_precision_and_scale(20, 4)
                    .unwrap(),
            ),
        ),
        (
            Field::new("big", DataType::Int64, true),
            Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), Some(i64::MIN), None])),
        ),
        (
            Field::new("score", DataType::Float64, true),
            Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), None])),
        ),
        (
            Field::new("active", DataType::Boolean, true),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ),
        (
            Field::new("born", DataType::Date32, true),
            Arc::new(Date32Array::from(vec![Some(0), Some(-1), None])),
        ),
        (
            Field::new(
                "seen",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(0), Some(1_700_000_000_123_000), None])
                    .with_timezone("UTC"),
            ),
        ),
        (
            Field::new("tags", DataType::new_list(DataType::Int64, true), true),
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(tags)),
        ),
    ];
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

pub(super) fn observations(numbers: std::ops::Range<i64>) -> RecordBatch {
    let codes: StringArray = numbers.clone().map(|n| Some(format!("code-{}", n % 7))).collect();
    let fields =
        vec![Field::new("n", DataType::Int64, true), Field::new("code", DataType::Utf8, true)];
    let columns: Vec<ArrayRef> = vec![Arc::new(numbers.collect::<Int64Array>()), Arc::new(codes)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

pub(crate) async fn write_table(folder: &Path, batches: Vec<RecordBatch>) {
    fs::create_dir_all(folder).unwrap();
    for batch in batches {
        let url = deltalake::ensure_table_uri(folder.to_str().unwrap()).unwrap();
        let table = deltalake::DeltaTable::try_from_url(url).await.unwrap();
        table.write(vec![batch]).await.unwrap();
    }
}
