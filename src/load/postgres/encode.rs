//! Record batches as PostgreSQL's binary COPY (PostgreSQL documentation, COPY, "Binary Format"; the formats of values are
//! those of the types' receive functions).
//!
//! Written here, because the encoder must find what PostgreSQL cannot hold, value by value, and because lists of points
//! in time and structs have to become `timestamptz[]` and `jsonb`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Schema,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};

use super::numeric::put_numeric;
use super::types::PgType;
use crate::error::Result;

/// What happens to values that PostgreSQL cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::load) enum Impossible {
    /// Nothing is loaded.
    Refuse,
    /// NUL characters go; values that cannot be made to fit become null.
    Remove,
    /// They become null.
    Null,
}

/// Days of a date from 1970 on that PostgreSQL holds: from 4713 BC to the year 5874897.
const DATES: std::ops::Range<i32> = -2_440_588..2_145_042_906;

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800_000_000;

/// The first microsecond from 1970 on that PostgreSQL holds, of 4714 BC; the last is beyond what Arrow holds.
const FIRST_MICROSECOND: i64 = EPOCH - 211_813_488_000_000_000;

/// Encodes batches of one schema.
pub(super) struct CopyEncoder {
    types: Vec<PgType>,
    policy: Impossible,
    /// Impossible values by column, in the order of the columns.
    found: Vec<u64>,
    row: Vec<u8>,
    scratch: Vec<u8>,
}

impl CopyEncoder {
    /// For batches of this (plain) schema.
    pub(super) fn new(schema: &Schema, policy: Impossible) -> Result<Self> {
        let types = PgType::of_columns(schema)?;
        let found = vec![0; types.len()];
        Ok(Self { types, policy, found, row: Vec::new(), scratch: Vec::new() })
    }

    /// What comes before the rows.
    pub(super) fn begin(to: &mut impl Write) -> io::Result<()> {
        to.write_all(b"PGCOPY\n\xff\r\n\0")?;
        to.write_all(&[0; 8])
    }

    /// What comes after the rows.
    pub(super) fn end(to: &mut impl Write) -> io::Result<()> {
        to.write_all(&(-1_i16).to_be_bytes())?;
        to.flush()
    }

    /// The rows of a batch.
    pub(super) fn batch(&mut self, batch: &RecordBatch, to: &mut impl Write) -> io::Result<()> {
        let options = EncoderOptions::default().with_explicit_nulls(true);
        let mut nested = nested(batch, &self.types, &options).map_err(io::Error::other)?;
        let count = (self.types.len() as i16).to_be_bytes();
        for row in 0..batch.num_rows() {
            self.row.clear();
            self.row.extend_from_slice(&count);
            for (i, json) in nested.iter_mut().enumerate() {
                let mut values = Values { policy: self.policy, found: 0, to: &mut self.row };
                match json {
                    Some(json) => values.json(json, row, &mut self.scratch),
                    None => values.value(&self.types[i], batch.column(i).as_ref(), row),
                }
                self.found[i] += values.found;
            }
            to.write_all(&self.row)?;
        }
        Ok(())
    }

    /// How many values PostgreSQL cannot hold, by column.
    pub(super) fn impossible(&self, schema: &Schema) -> BTreeMap<String, u64> {
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.zip(self.found.iter().copied()).filter(|(_, found)| *found > 0).collect()
    }
}

/// Encoders of the columns that become JSON.
fn nested<'a>(
    batch: &'a RecordBatch,
    types: &[PgType],
    options: &'a EncoderOptions,
) -> Result<Vec<Option<NullableEncoder<'a>>>, ArrowError> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).zip(types);
    let encoder = |((field, column), kind): ((&'a _, &'a arrow::array::ArrayRef), &PgType)| {
        (*kind == PgType::Jsonb).then(|| make_encoder(field, column, options)).transpose()
    };
    columns.map(encoder).collect()
}

/// Values of one column, each with its length before it.
struct Values<'v> {
    policy: Impossible,
    found: u64,
    to: &'v mut Vec<u8>,
}

impl Values<'_> {
    /// A value, or null.
    fn value(&mut self, kind: &PgType, array: &dyn Array, row: usize) {
        let start = self.to.len();
        self.to.extend_from_slice(&(-1_i32).to_be_bytes());
        if array.is_valid(row) && self.content(kind, array, row) {
            self.close(start);
        } else {
            self.to.truncate(start + 4);
        }
    }

    /// Writes the length of what was written since.
    fn close(&mut self, start: usize) {
        let length = (self.to.len() - start - 4) as i32;
        self.to[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// The value itself; false if it cannot be.
    fn content(&mut self, kind: &PgType, array: &dyn Array, row: usize) -> bool {
        match kind {
            PgType::Boolean => self.put(&[u8::from(array.as_boolean().value(row))]),
            PgType::SmallInt => {
                self.put(&array.as_primitive::<Int16Type>().value(row).to_be_bytes())
            }
            PgType::Integer => {
                self.put(&array.as_primitive::<Int32Type>().value(row).to_be_bytes())
            }
            PgType::BigInt => self.put(&array.as_primitive::<Int64Type>().value(row).to_be_bytes()),
            PgType::Real => self.put(&array.as_primitive::<Float32Type>().value(row).to_be_bytes()),
            PgType::Double => {
                self.put(&array.as_primitive::<Float64Type>().value(row).to_be_bytes())
            }
            PgType::Numeric(_, scale) => {
                let value = array.as_primitive::<Decimal128Type>().value(row);
                put_numeric(value, *scale as usize, self.to);
                true
            }
            PgType::Text => self.text(array.as_string::<i32>().value(row)),
            PgType::Bytea => self.put(array.as_binary::<i32>().value(row)),
            PgType::Date => self.date(array.as_primitive::<Date32Type>().value(row)),
            PgType::Timestamp | PgType::TimestampTz => {
                self.moment(array.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            PgType::Array(element) => self.array(element, &array.as_list::<i32>().value(row)),
            PgType::Jsonb => unreachable!("JSON has encoders of its own"),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> bool {
        self.to.extend_from_slice(bytes);
        true
    }

    /// Notes an impossible value.
    fn impossible(&mut self) -> bool {
        self.found += 1;
        false
    }

    fn text(&mut self, text: &str) -> bool {
        if memchr::memchr(0, text.as_bytes()).is_none() {
            return self.put(text.as_bytes());
        }
        self.impossible();
        self.to.extend(text.bytes().filter(|byte| *byte != 0));
        self.policy == Impossible::Remove
    }

    fn date(&mut self, days: i32) -> bool {
        if !DATES.contains(&days) {
            return self.impossible();
        }
        self.put(&(days - (EPOCH / 86_400_000_000) as i32).to_be_bytes())
    }

    fn moment(&mut self, microseconds: i64) -> bool {
        if microseconds < FIRST_MICROSECOND {
            return self.impossible();
        }
        self.put(&(microseconds - EPOCH).to_be_bytes())
    }

    fn array(&mut self, element: &PgType, values: &dyn Array) -> bool {
        let dimensions = i32::from(!values.is_empty());
        self.put(&dimensions.to_be_bytes());
        self.put(&i32::from(values.null_count() > 0 || Self::may_null(element)).to_be_bytes());
        self.put(&element.oid().to_be_bytes());
        if !values.is_empty() {
            self.put(&(values.len() as i32).to_be_bytes());
            // Arrays begin at 1.
            self.put(&1_i32.to_be_bytes());
            (0..values.len()).for_each(|row| self.value(element, values, row));
        }
        true
    }

    /// Whether a value that is there may become null. PostgreSQL works out by itself whether there is one.
    fn may_null(element: &PgType) -> bool {
        matches!(element, PgType::Text | PgType::Date | PgType::Timestamp | PgType::TimestampTz)
    }

    /// A value of nested type, as JSON.
    fn json(&mut self, json: &mut NullableEncoder<'_>, row: usize, scratch: &mut Vec<u8>) {
        let start = self.to.len();
        self.to.extend_from_slice(&(-1_i32).to_be_bytes());
        if json.is_null(row) {
            return;
        }
        scratch.clear();
        json.encode(row, scratch);
        // The version of the binary format of jsonb.
        self.to.push(1);
        if !copy_without_nul(scratch, self.to) {
            self.close(start);
            return;
        }
        self.impossible();
        if self.policy == Impossible::Remove {
            self.close(start);
        } else {
            self.to.truncate(start + 4);
        }
    }
}

/// Copies JSON without the escapes of NUL characters; says whether there were any.
fn copy_without_nul(json: &[u8], to: &mut Vec<u8>) -> bool {
    let (mut i, mut found) = (0, false);
    while i < json.len() {
        let end = memchr::memchr(b'\\', &json[i..]).map_or(json.len(), |at| i + at);
        to.extend_from_slice(&json[i..end]);
        if json[end..].starts_with(b"\\u0000") {
            found = true;
            i = end + 6;
        } else {
            let escape = json.len().min(end + 2);
            to.extend_from_slice(&json[end..escape]);
            i = escape;
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nul_characters_in_json() {
        for (json, clean, found) in [
            (r#"{"a":"b"}"#, r#"{"a":"b"}"#, false),
            (r#"{"a":"b\u0000c\n"}"#, r#"{"a":"bc\n"}"#, true),
            // A backslash, then letters.
            (r#"{"a":"\\u0000"}"#, r#"{"a":"\\u0000"}"#, false),
            (r#""\\\u0000\u0000""#, r#""\\""#, true),
        ] {
            let mut copy = Vec::new();
            assert_eq!(copy_without_nul(json.as_bytes(), &mut copy), found, "{json}");
            assert_eq!(String::from_utf8(copy).unwrap(), clean, "{json}");
        }
    }
}
