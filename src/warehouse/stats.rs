//! What Delta keeps about a file, so that a query can skip it (Delta protocol, "Per-file Statistics").

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{SortOptions, sort_to_indices};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DecimalType, Field, Int8Type, Int16Type, Int32Type,
    Int64Type, Schema, TimestampMicrosecondType,
};
use jiff::Timestamp;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;

use super::schema::stored_type;

/// The `stats` of an add action: row count, and for each column of a plain type the number of
/// nulls and, if its type has an order that all readers share, bounds.
///
/// Bounds may be wider than the values (long strings are cut, the upper one rounded up), never
/// narrower. Floats have none: Parquet leaves NaN out of its bounds and Delta orders it last.
pub(super) fn delta_stats(metadata: &ParquetMetaData, schema: &Schema) -> Result<String> {
    let (mut min_values, mut max_values, mut null_count) = <(Object, Object, Object)>::default();
    let rows = metadata.file_metadata().num_rows();
    let fields = schema.fields().iter().map(|f| stored_field(f)).collect::<Vec<_>>();
    let stored = Schema::new(fields);
    for field in stored.fields().iter().filter(|f| !f.data_type().is_nested()) {
        let column = ColumnStats::read(metadata, &stored, field.name())?;
        if let Some(nulls) = column.nulls {
            null_count.push(field.name(), &nulls.to_string());
        }
        if let Some((min, max)) = column.bounds {
            min_values.push(field.name(), &min);
            max_values.push(field.name(), &max);
        }
    }
    Ok(format!(
        r#"{{"numRecords":{rows},"minValues":{},"maxValues":{},"nullCount":{}}}"#,
        min_values.text(),
        max_values.text(),
        null_count.text()
    ))
}

struct ColumnStats {
    nulls: Option<u64>,
    /// As JSON.
    bounds: Option<(String, String)>,
}

impl ColumnStats {
    fn read(metadata: &ParquetMetaData, schema: &Schema, name: &str) -> Result<Self> {
        let groups = metadata.row_groups();
        let descriptor = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::try_new(name, schema, descriptor)?;
        let nulls = converter.row_group_null_counts(groups)?;
        let total = (nulls.null_count() == 0).then(|| nulls.values().iter().sum());
        let (mins, maxes) = (converter.row_group_mins(groups)?, converter.row_group_maxes(groups)?);
        // A row group without a bound says nothing about its values, unless it has none.
        let known = groups.iter().enumerate().all(|(at, group)| {
            (mins.is_valid(at) && maxes.is_valid(at))
                || (nulls.is_valid(at) && nulls.value(at) == group.num_rows() as u64)
        });
        let bounds = if known { bounds(&mins, &maxes) } else { None };
        Ok(Self { nulls: total, bounds })
    }
}

fn bounds(mins: &ArrayRef, maxes: &ArrayRef) -> Option<(String, String)> {
    let min = json_value(mins, first(mins, false)?, Round::Down)?;
    let max = json_value(maxes, first(maxes, true)?, Round::Up)?;
    Some((min, max))
}

/// Where the first value of this order stands; none if all are null.
fn first(values: &ArrayRef, descending: bool) -> Option<usize> {
    let order = SortOptions { descending, nulls_first: false };
    let at =
        sort_to_indices(values, Some(order), Some(1)).ok()?.values().first().copied()? as usize;
    values.is_valid(at).then_some(at)
}

#[derive(Clone, Copy)]
enum Round {
    Down,
    Up,
}

/// A bound as JSON text; none for types without bounds in Delta and values outside its forms.
fn json_value(values: &ArrayRef, at: usize, round: Round) -> Option<String> {
    match values.data_type() {
        DataType::Utf8 => serde_json::to_string(values.as_string::<i32>().value(at)).ok(),
        DataType::LargeUtf8 => serde_json::to_string(values.as_string::<i64>().value(at)).ok(),
        DataType::Int8 => Some(values.as_primitive::<Int8Type>().value(at).to_string()),
        DataType::Int16 => Some(values.as_primitive::<Int16Type>().value(at).to_string()),
        DataType::Int32 => Some(values.as_primitive::<Int32Type>().value(at).to_string()),
        DataType::Int64 => Some(values.as_primitive::<Int64Type>().value(at).to_string()),
        // All digits, as a JSON number: an f64 would round them.
        DataType::Decimal128(precision, scale) => {
            let value = values.as_primitive::<Decimal128Type>().value(at);
            Some(Decimal128Type::format_decimal(value, *precision, *scale))
        }
        DataType::Date32 => date(values.as_primitive::<Date32Type>().value(at)),
        DataType::Timestamp(_, zone) => {
            let value = values.as_primitive::<TimestampMicrosecondType>().value(at);
            timestamp(value, zone.is_some(), round)
        }
        _ => None,
    }
}

fn date(days: i32) -> Option<String> {
    let midnight = Timestamp::from_second(i64::from(days) * 86_400).ok()?;
    within_four_digit_years(midnight).then(|| format!("\"{}\"", midnight.strftime("%Y-%m-%d")))
}

/// Delta's timestamps in statistics have milliseconds, so the bound is rounded outwards.
fn timestamp(microseconds: i64, zoned: bool, round: Round) -> Option<String> {
    let milliseconds = match round {
        Round::Down => microseconds.div_euclid(1000),
        Round::Up => microseconds.div_euclid(1000) + i64::from(microseconds.rem_euclid(1000) != 0),
    };
    let instant = Timestamp::from_millisecond(milliseconds).ok()?;
    let zone = if zoned { "Z" } else { "" };
    within_four_digit_years(instant)
        .then(|| format!("\"{}{zone}\"", instant.strftime("%Y-%m-%dT%H:%M:%S%.3f")))
}

/// Years before 1 are written differently by each reader.
fn within_four_digit_years(instant: Timestamp) -> bool {
    const YEAR_1: i64 = -62_135_596_800;
    instant.as_second() >= YEAR_1
}

fn stored_field(field: &Field) -> Field {
    Field::new(field.name(), stored_type(field.data_type()).clone(), field.is_nullable())
}

/// A JSON object written member by member: `serde_json` numbers do not hold 38 digits.
#[derive(Default)]
struct Object(String);

impl Object {
    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(value);
    }

    fn text(&self) -> String {
        format!("{{{}}}", self.0)
    }
}
