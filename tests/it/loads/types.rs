//! Every type of column, from Parquet to PostgreSQL and DuckDB.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use kiln::load::TableVersion;

use super::perform;
use super::postgres::into;
use super::server::Database;
use super::tables::parquet;
use crate::support::block_on;

/// Two values and a null of each type: the column, its type in PostgreSQL, and what PostgreSQL writes for them.
#[allow(clippy::too_many_lines)] // a table
pub(crate) fn columns() -> Vec<(&'static str, ArrayRef, &'static str, [&'static str; 2])> {
    let wide = Decimal128Array::from(vec![Some(10_i128.pow(38) - 1), Some(-1), None]);
    let money = Decimal128Array::from(vec![Some(150), Some(-1_234_567_800), None]);
    let days = Date32Array::from(vec![Some(19_783), Some(-719_529), None]);
    let times = vec![Some(1_709_210_096_789_012), Some(-62_135_596_800_000_001), None];
    let wall = TimestampMicrosecondArray::from(times);
    let instant = wall.clone().with_timezone("UTC");
    let item = |kind: DataType| Arc::new(Field::new("item", kind, true));
    let list = |values: ArrayRef| -> ArrayRef {
        // Three values; none; null.
        let offsets = OffsetBuffer::new(vec![0, 3, 3, 3].into());
        let valid = vec![true, true, false].into();
        Arc::new(ListArray::new(item(values.data_type().clone()), offsets, values, Some(valid)))
    };
    let word: ArrayRef = Arc::new(StringArray::from(vec![Some("é \"q\" \\ ,"), Some(""), None]));
    let code = StructArray::from(vec![
        (Arc::new(Field::new("code", DataType::Utf8, true)), word.clone()),
        (
            Arc::new(Field::new("n", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(3)])) as ArrayRef,
        ),
    ]);
    let text = "é \"q\" \\ ,";
    vec![
        ("_key", Arc::new(StringArray::from(vec!["1", "2", "3"])), "text", ["1", "2"]),
        ("word", word.clone(), "text", [text, ""]),
        (
            "yes",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            "boolean",
            ["true", "false"],
        ),
        (
            "tiny",
            Arc::new(Int8Array::from(vec![Some(127), Some(-128), None])),
            "smallint",
            ["127", "-128"],
        ),
        (
            "small",
            Arc::new(Int16Array::from(vec![Some(i16::MAX), Some(i16::MIN), None])),
            "smallint",
            ["32767", "-32768"],
        ),
        (
            "whole",
            Arc::new(Int32Array::from(vec![Some(i32::MAX), Some(i32::MIN), None])),
            "integer",
            ["2147483647", "-2147483648"],
        ),
        (
            "large",
            Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), None])),
            "bigint",
            ["9223372036854775807", "-9223372036854775808"],
        ),
        (
            "single",
            Arc::new(Float32Array::from(vec![Some(1.5), Some(-0.1), None])),
            "real",
            ["1.5", "-0.1"],
        ),
        (
            "double",
            Arc::new(Float64Array::from(vec![Some(1e300), Some(f64::NAN), None])),
            "double precision",
            ["1e+300", "NaN"],
        ),
        (
            "money",
            Arc::new(money.with_precision_and_scale(18, 6).unwrap()),
            "numeric(18,6)",
            ["0.000150", "-1234.567800"],
        ),
        (
            "wide",
            Arc::new(wide.with_precision_and_scale(38, 9).unwrap()),
            "numeric(38,9)",
            ["99999999999999999999999999999.999999999", "-0.000000001"],
        ),
        (
            "bytes",
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None])),
            "bytea",
            ["\\x00ff", "\\x"],
        ),
        ("day", Arc::new(days), "date", ["2024-03-01", "0002-12-31 BC"]),
        (
            "wall",
            Arc::new(wall.clone()),
            "timestamp without time zone",
            ["2024-02-29 12:34:56.789012", "0001-12-31 23:59:59.999999 BC"],
        ),
        (
            "instant",
            Arc::new(instant.clone()),
            "timestamp with time zone",
            ["2024-02-29 12:34:56.789012+00", "0001-12-31 23:59:59.999999+00 BC"],
        ),
        ("words", list(word), "text[]", ["{\"é \\\"q\\\" \\\\ ,\",\"\",NULL}", "{}"]),
        (
            "moments",
            list(Arc::new(instant)),
            "timestamp with time zone[]",
            ["{\"2024-02-29 12:34:56.789012+00\",\"0001-12-31 23:59:59.999999+00 BC\",NULL}", "{}"],
        ),
        (
            "numbers",
            list(Arc::new(Int32Array::from(vec![Some(1), None, Some(-3)]))),
            "integer[]",
            ["{1,NULL,-3}", "{}"],
        ),
        (
            "codes",
            list(Arc::new(code)),
            "jsonb",
            [
                "[{\"n\": 9223372036854775807, \"code\": \"é \\\"q\\\" \\\\ ,\"}, {\"n\": null, \"code\": \"\"}, {\"n\": 3, \"code\": null}]",
                "[]",
            ],
        ),
    ]
}

/// A table of all these columns; in a second file, two of them.
pub(crate) fn table(folder: &Path) -> TableVersion {
    let of = |columns: &[(&str, ArrayRef)]| {
        let fields = columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns.iter().map(|(_, c)| c.clone()).collect()).unwrap()
    };
    let all: Vec<_> = columns().into_iter().map(|(name, column, ..)| (name, column)).collect();
    let batch = of(&all);
    let older = of(&[
        ("large", Arc::new(Int64Array::from(vec![7]))),
        ("_key", Arc::new(StringArray::from(vec!["4"]))),
    ]);
    let schema = batch.schema();
    let files = vec![
        parquet(&folder.join("all.parquet"), &[batch]),
        parquet(&folder.join("older.parquet"), &[older]),
    ];
    TableVersion { name: "all_types".into(), version: 1, schema, files }
}

#[test]
fn of_postgresql() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let report = perform(&into(&database, "public", ""), &[table(folder.path())], "r").await;
        assert_eq!(report.unwrap().tables[0].rows, 4);
        for (name, _, kind, expected) in columns() {
            let rows =
                database.rows(&format!("SELECT {name}::text FROM all_types ORDER BY _key")).await;
            assert_eq!(rows[..2], expected, "{name}");
            let last = match name {
                "_key" => ["3", "4"],
                "large" => ["∅", "7"],
                _ => ["∅", "∅"],
            };
            assert_eq!(rows[2..], last, "{name}");
            let of = format!(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'all_types'::regclass AND attname = '{name}'"
            );
            assert_eq!(database.rows(&of).await, [kind], "{name}");
        }
    });
}
