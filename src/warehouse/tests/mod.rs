//! Tests of the warehouse: rows of every type, made from their number, written and read back.
#![allow(clippy::unwrap_used, clippy::from_iter_instead_of_collect)]

mod crash;
mod encoding;
mod maintain;
mod merge;
mod past;
mod store;
mod tables;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    DictionaryArray, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

/// A table with a column of each type that Delta has.
fn all_types() -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let local = DataType::Timestamp(TimeUnit::Microsecond, None);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let list = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let key = Field::new("_key", DataType::Utf8, true)
        .with_metadata(HashMap::from([("comment".to_owned(), "the resource's key".to_owned())]));
    Arc::new(Schema::new(vec![
        key,
        Field::new("_run", dictionary, false),
        Field::new("number", DataType::Int64, false),
        Field::new("small", DataType::Int32, true),
        Field::new("flag", DataType::Boolean, true),
        Field::new("ratio", DataType::Float64, true),
        Field::new("price", DataType::Decimal128(10, 2), true),
        Field::new("exact", DataType::Decimal128(38, 10), true),
        Field::new("day", DataType::Date32, true),
        Field::new("instant", utc, true),
        Field::new("local", local, true),
        Field::new("bytes", DataType::Binary, true),
        Field::new("names", list, true),
    ]))
}

/// The rows with these numbers, of [`all_types`].
fn rows(numbers: Range<i64>) -> RecordBatch {
    let n = || numbers.clone();
    let sparse = |every: i64| move |i: i64| (i % every != 0).then_some(i);
    let price = Decimal128Array::from_iter(n().map(|i| sparse(7)(i).map(|i| i128::from(i) * 25)));
    let exact = n().map(|i| sparse(5)(i).map(|i| i128::from(i) * 1_234_567_890_123_456_789_012));
    let instant = n().map(|i| sparse(9)(i).map(|i| 1_700_000_000_123_456 + i * 1_000_001));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter(
            n().map(|i| sparse(11)(i).map(|i| format!("Patient/{i:06}"))),
        )),
        Arc::new(n().map(|_| "run-1").collect::<DictionaryArray<Int32Type>>()),
        Arc::new(Int64Array::from_iter_values(n())),
        Arc::new(Int32Array::from_iter(n().map(|i| sparse(4)(i).map(|i| i as i32 % 97)))),
        Arc::new(BooleanArray::from_iter(n().map(|i| sparse(3)(i).map(|i| i % 2 == 0)))),
        Arc::new(Float64Array::from_iter(n().map(|i| sparse(6)(i).map(|i| i as f64 / 8.0)))),
        Arc::new(price.with_precision_and_scale(10, 2).unwrap()),
        Arc::new(Decimal128Array::from_iter(exact).with_precision_and_scale(38, 10).unwrap()),
        Arc::new(Date32Array::from_iter(n().map(|i| sparse(8)(i).map(|i| i as i32)))),
        Arc::new(TimestampMicrosecondArray::from_iter(instant.clone()).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from_iter(instant)),
        Arc::new(BinaryArray::from_iter(n().map(|i| sparse(10)(i).map(i64::to_le_bytes)))),
        Arc::new(names(numbers.clone())),
    ];
    RecordBatch::try_new(all_types(), columns).unwrap()
}

/// Null, empty, and longer lists, some with null items.
fn names(numbers: Range<i64>) -> arrow::array::ListArray {
    let item = Field::new("element", DataType::Utf8, true);
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item);
    for i in numbers {
        for part in 0..i % 4 {
            builder.values().append_option((part != 2).then(|| format!("né{i}-{part}")));
        }
        builder.append(i % 13 != 0);
    }
    builder.finish()
}

/// A batch of one string column.
fn text(name: &str, values: &[Option<&str>]) -> RecordBatch {
    let schema = Schema::new(vec![Field::new(name, DataType::Utf8, true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(StringArray::from(values.to_vec()))])
        .unwrap()
}

/// All rows of Parquet files, in order, without dictionaries.
fn read(files: &[PathBuf]) -> RecordBatch {
    let batches = files.iter().flat_map(|path| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()
    });
    let batches: Vec<_> = batches.collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Compares values and types column by column; names of list items and metadata do not count.
fn assert_same(actual: &RecordBatch, expected: &RecordBatch) {
    assert_eq!(actual.num_columns(), expected.num_columns());
    for (at, field) in expected.schema().fields().iter().enumerate() {
        let stored = schema::stored_type(field.data_type());
        let wanted = cast(expected.column(at), stored).unwrap();
        let got = cast(actual.column(at), stored).unwrap();
        assert_eq!(got.to_data(), wanted.to_data(), "column `{}`", field.name());
        // The query engine reads text as views.
        let view =
            matches!(actual.column(at).data_type(), DataType::Utf8View | DataType::BinaryView);
        if !field.data_type().is_nested() && !view {
            assert_eq!(actual.column(at).data_type(), stored, "column `{}`", field.name());
        }
    }
}

/// The values of the column `number`.
fn numbers(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name("number").unwrap();
    column.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|p| if p.is_dir() { files_below(&p) } else { vec![p] });
    files.collect()
}
