//! Results as CSV: the quoting of RFC 4180, with the line ends that command-line tools expect.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cell::{json_options, text_columns};
use super::format::{Encode, Sink};

/// A CSV file: a header, then a line a row. Null is an empty field and the empty text is `""`,
/// so a reader that looks can tell them apart.
pub(super) struct Csv<'a> {
    to: Sink<'a>,
    line: Vec<u8>,
}

impl<'a> Csv<'a> {
    pub(super) fn new(to: Sink<'a>) -> Self {
        Self { to, line: Vec::new() }
    }
}

impl Encode for Csv<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> io::Result<()> {
        self.line.clear();
        for (i, field) in schema.fields().iter().enumerate() {
            separate(i, &mut self.line);
            write_field(Some(field.name()), &mut self.line);
        }
        self.line.push(b'\n');
        self.to.write_all(&self.line)
    }

    fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let options = json_options();
        let mut columns = text_columns(batch, &options)?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (i, column) in columns.iter_mut().enumerate() {
                separate(i, &mut self.line);
                write_field(column.text(row)?, &mut self.line);
            }
            self.line.push(b'\n');
            self.to.write_all(&self.line)?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn separate(column: usize, line: &mut Vec<u8>) {
    if column > 0 {
        line.push(b',');
    }
}

/// RFC 4180, section 2, rules 5 to 7.
fn write_field(text: Option<&str>, line: &mut Vec<u8>) {
    let Some(text) = text else { return };
    if !text.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        line.extend_from_slice(text.as_bytes());
        return;
    }
    line.push(b'"');
    line.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    line.push(b'"');
}
