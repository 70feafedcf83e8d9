//! Results as JSON: one object a row, every column present, in lines or in one array.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cell::{json_columns, json_options};
use super::format::{Encode, Sink};

/// JSON objects, streamed. Decimals and 64-bit integers are numbers with all their digits,
/// timestamps RFC 3339, bytes hexadecimal; a float that is no number is null.
pub(super) struct Json<'a> {
    to: Sink<'a>,
    array: bool,
    /// `"name":` for each column.
    keys: Vec<String>,
    rows: u64,
    line: Vec<u8>,
}

impl<'a> Json<'a> {
    /// NDJSON: one object a line.
    pub(super) fn lines(to: Sink<'a>) -> Self {
        Self { to, array: false, keys: Vec::new(), rows: 0, line: Vec::new() }
    }

    /// One array of objects.
    pub(super) fn array(to: Sink<'a>) -> Self {
        Self { array: true, ..Self::lines(to) }
    }

    fn separator(&self) -> &'static str {
        match (self.array, self.rows) {
            (false, _) => "",
            (true, 0) => "[\n",
            (true, _) => ",\n",
        }
    }
}

impl Encode for Json<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> io::Result<()> {
        let names = schema.fields().iter().map(|field| serde_json::to_string(field.name()));
        self.keys = names.map(|name| Ok(name? + ":")).collect::<io::Result<_>>()?;
        self.rows = 0;
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let options = json_options();
        let mut columns = json_columns(batch, &options)?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            self.line.extend_from_slice(self.separator().as_bytes());
            for (i, (key, column)) in self.keys.iter().zip(&mut columns).enumerate() {
                self.line.push(if i == 0 { b'{' } else { b',' });
                self.line.extend_from_slice(key.as_bytes());
                if column.is_null(row) {
                    self.line.extend_from_slice(b"null");
                } else {
                    column.encode(row, &mut self.line);
                }
            }
            self.line.extend_from_slice(if self.array { b"}" } else { b"}\n" });
            self.to.write_all(&self.line)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        match (self.array, self.rows) {
            (false, _) => Ok(()),
            (true, 0) => self.to.write_all(b"[]\n"),
            (true, _) => self.to.write_all(b"\n]\n"),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
