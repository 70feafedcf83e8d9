//! The text of one value, exact: no number passes through a float, no instant loses its zone.

use std::io;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::array_value_to_string;

/// How values become JSON: null fields of nested objects are kept, and a timestamp without a zone
/// is the UTC that the session takes it for.
pub(super) fn json_options() -> EncoderOptions {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_timestamp_format("%Y-%m-%dT%H:%M:%S%.fZ".to_owned())
}

/// One encoder a column of `batch`.
pub(super) fn json_columns<'a>(
    batch: &'a RecordBatch,
    options: &'a EncoderOptions,
) -> io::Result<Vec<NullableEncoder<'a>>> {
    let fields = batch.schema_ref().fields().iter();
    fields.zip(batch.columns()).map(|(f, c)| make_encoder(f, c, options).map_err(fault)).collect()
}

/// A column whose values are wanted as plain text: strings as they are, nested values as JSON,
/// all others as in JSON without its quotes.
pub(super) struct TextColumn<'a> {
    array: &'a dyn Array,
    strings: Option<StringViewArray>,
    json: NullableEncoder<'a>,
    scratch: Vec<u8>,
}

/// One [`TextColumn`] a column of `batch`.
pub(super) fn text_columns<'a>(
    batch: &'a RecordBatch,
    options: &'a EncoderOptions,
) -> io::Result<Vec<TextColumn<'a>>> {
    let encoders = json_columns(batch, options)?;
    batch.columns().iter().zip(encoders).map(|(c, json)| TextColumn::new(c, json)).collect()
}

impl<'a> TextColumn<'a> {
    fn new(array: &'a dyn Array, json: NullableEncoder<'a>) -> io::Result<Self> {
        let strings = if is_text(array.data_type()) {
            let view = cast(array, &DataType::Utf8View).map_err(fault)?;
            Some(view.as_string_view().clone())
        } else {
            None
        };
        Ok(Self { array, strings, json, scratch: Vec::new() })
    }

    /// The text of the value in `row`; `None` for null.
    pub(super) fn text(&mut self, row: usize) -> io::Result<Option<&str>> {
        if self.json.is_null(row) {
            return Ok(None);
        }
        if let Some(strings) = &self.strings {
            return Ok(strings.is_valid(row).then(|| strings.value(row)));
        }
        self.scratch.clear();
        self.json.encode(row, &mut self.scratch);
        if self.scratch == b"null" {
            // JSON has no NaN and no infinity; text has.
            let word = array_value_to_string(self.array, row).map_err(fault)?;
            self.scratch = word.into_bytes();
        }
        let text = std::str::from_utf8(&self.scratch).map_err(io::Error::other)?;
        // What is quoted here is an instant, a date, a time or hexadecimal: nothing is escaped.
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Ok(Some(bare.unwrap_or(text)))
    }
}

/// The first name that two columns of `schema` share.
pub(super) fn repeated_name(schema: &SchemaRef) -> Option<&str> {
    let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)).map(|(_, name)| *name)
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn fault(e: ArrowError) -> io::Error {
    io::Error::other(e)
}
