//! Arguments of a function: which types they may have, and what stands in a row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::temporal::Temporal;

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum Takes {
    /// A date, a timestamp, or a date or dateTime as text.
    Moment,
    /// A number of any type.
    Number,
    /// Text.
    Text,
    /// Text, or a number.
    TextOrNumber,
}

impl Takes {
    /// The type that a given one is cast to before the call; `None` if the function does not take it.
    pub(super) fn coerced(self, given: &DataType) -> Option<DataType> {
        let number = given.is_numeric().then_some(DataType::Float64);
        let text = is_text(given).then_some(DataType::Utf8);
        match (self, given) {
            (Self::Moment, DataType::Date32 | DataType::Date64) => Some(DataType::Date32),
            (Self::Moment, DataType::Timestamp(..)) => {
                Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
            }
            (Self::Number, DataType::Null) => Some(DataType::Float64),
            (Self::Number, _) => number,
            (Self::Moment | Self::Text, _) => text,
            (Self::TextOrNumber, _) => number.or(text),
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Moment => "a date, a timestamp, or text with one",
            Self::Number => "a number",
            Self::Text => "text",
            Self::TextOrNumber => "text or a number",
        }
    }
}

/// Text of any kind, and a null without a type.
fn is_text(given: &DataType) -> bool {
    match given {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// The values of one argument.
pub(super) struct Argument {
    values: ArrayRef,
    /// The same value for all rows.
    constant: bool,
}

/// A value that may be missing, or written in a way that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read<T> {
    Missing,
    Malformed,
    Value(T),
}

impl<T> Read<T> {
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// All that a date or time of any precision may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// First and last calendar day as written, counted from 1970-01-01; of a timestamp, the day in UTC.
    pub(super) days: (i32, i32),
    /// First and last microsecond since 1970-01-01T00:00:00Z; without a zone, days and times are those of UTC.
    pub(super) micros: (i64, i64),
}

const DAY: i64 = 86_400_000_000;

impl Argument {
    pub(super) fn new(value: ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(values) => Self { values, constant: false },
            ColumnarValue::Scalar(scalar) => {
                Self { values: scalar.to_array_of_size(1)?, constant: true }
            }
        })
    }

    /// The index of a row in the values; `None` where they are null.
    fn index(&self, row: usize) -> Option<usize> {
        let index = if self.constant { 0 } else { row };
        (!self.values.is_null(index)).then_some(index)
    }

    /// The text of a row, if the argument is text.
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        Some(self.values.as_string_opt::<i32>()?.value(self.index(row)?))
    }

    /// The number of a row, if the argument is a number.
    pub(super) fn number(&self, row: usize) -> Option<f64> {
        Some(self.values.as_primitive_opt::<Float64Type>()?.value(self.index(row)?))
    }

    pub(super) fn moment(&self, row: usize) -> Read<Moment> {
        let Some(index) = self.index(row) else { return Read::Missing };
        let moment = match self.values.data_type() {
            DataType::Date32 => {
                Moment::of_day(self.values.as_primitive::<Date32Type>().value(index))
            }
            DataType::Timestamp(..) => {
                let micros = self.values.as_primitive::<TimestampMicrosecondType>();
                Moment::of_instant(micros.value(index))
            }
            _ => Moment::of_text(self.values.as_string::<i32>().value(index)),
        };
        moment.map_or(Read::Malformed, Read::Value)
    }
}

impl Moment {
    fn of_day(day: i32) -> Option<Self> {
        let first = i64::from(day).checked_mul(DAY)?;
        Some(Self { days: (day, day), micros: (first, first.checked_add(DAY - 1)?) })
    }

    fn of_instant(micros: i64) -> Option<Self> {
        let day = i32::try_from(micros.div_euclid(DAY)).ok()?;
        Some(Self { days: (day, day), micros: (micros, micros) })
    }

    /// A FHIR date, dateTime or instant. What is written to the second is one instant, as it is in a typed column.
    fn of_text(text: &str) -> Option<Self> {
        let written = Temporal::date_time(text)?;
        let day = |low| written.date_part().boundary(low).days_since_epoch();
        let zoned = Temporal { offset: written.offset.or(Some(0)), ..written };
        let micros = match zoned.instant_micros() {
            Some(instant) => (instant, instant),
            None => (zoned.boundary(true).instant_micros()?, last_micros(&zoned)?),
        };
        Some(Self { days: (day(true), day(false)), micros })
    }
}

fn last_micros(of: &Temporal) -> Option<i64> {
    Temporal { nanos: 999_999_999, ..of.boundary(false) }.instant_micros()
}
