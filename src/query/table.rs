//! Results as aligned text.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;

use super::cell::{TextColumn, json_options, text_columns};
use super::format::{Encode, Sink};

/// Characters of a line of a cell that are shown.
const WIDEST: usize = 80;

/// Aligned columns with a line below that counts the rows. All shown rows are held until the
/// widths are known; with a limit, the rows beyond it are only counted.
pub(super) struct Aligned<'a> {
    to: Sink<'a>,
    limit: Option<usize>,
    schema: SchemaRef,
    /// An execution plan is shown whole: its lines are long, and their ends matter.
    whole: bool,
    shown: Vec<RecordBatch>,
    shown_rows: usize,
    rows: usize,
    sets: usize,
}

impl<'a> Aligned<'a> {
    pub(super) fn new(to: Sink<'a>, limit: Option<usize>) -> Self {
        let schema = Arc::new(Schema::empty());
        Self { to, limit, schema, whole: false, shown: Vec::new(), shown_rows: 0, rows: 0, sets: 0 }
    }
}

impl Encode for Aligned<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> io::Result<()> {
        let names = schema.fields().iter().map(|field| field.name());
        self.whole = names.clone().eq(["plan_type", "plan"]);
        let fields: Vec<_> =
            names.map(|n| Field::new(shown(n, false), DataType::Utf8, true)).collect();
        self.schema = Arc::new(Schema::new(fields));
        self.shown.clear();
        (self.shown_rows, self.rows) = (0, 0);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.rows += batch.num_rows();
        let room = self.limit.map_or(usize::MAX, |limit| limit - self.shown_rows);
        let batch = batch.slice(0, batch.num_rows().min(room));
        if batch.num_rows() == 0 || batch.num_columns() == 0 {
            return Ok(());
        }
        let options = json_options();
        let columns = text_columns(&batch, &options)?;
        let cells = columns
            .into_iter()
            .map(|column| shown_column(column, batch.num_rows(), self.whole))
            .collect::<io::Result<_>>()?;
        self.shown_rows += batch.num_rows();
        self.shown
            .push(RecordBatch::try_new(self.schema.clone(), cells).map_err(io::Error::other)?);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if self.sets > 0 {
            writeln!(self.to)?;
        }
        self.sets += 1;
        if self.shown.is_empty() {
            self.shown.push(RecordBatch::new_empty(self.schema.clone()));
        }
        let options = FormatOptions::new().with_null("NULL");
        let text = pretty_format_batches_with_options(&self.shown, &options);
        writeln!(self.to, "{}", text.map_err(io::Error::other)?)?;
        let more = self.rows - self.shown_rows;
        if more > 0 && self.limit.is_some() {
            writeln!(self.to, "… {} more {}; \\format csv or LIMIT", grouped(more), noun(more))?;
        }
        writeln!(self.to, "({} {})", grouped(self.rows), noun(self.rows))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn shown_column(mut column: TextColumn<'_>, rows: usize, whole: bool) -> io::Result<ArrayRef> {
    let cells = (0..rows).map(|row| Ok(column.text(row)?.map(|text| shown(text, whole))));
    Ok(Arc::new(cells.collect::<io::Result<StringArray>>()?))
}

/// `text` as a terminal may have it: long lines cut with `…`, control characters escaped.
fn shown(text: &str, whole: bool) -> String {
    let widest = if whole { usize::MAX } else { WIDEST };
    let plain = !text.chars().any(char::is_control) && text.chars().nth(widest).is_none();
    if plain {
        text.to_owned()
    } else {
        text.split('\n').map(|l| shown_line(l, widest)).collect::<Vec<_>>().join("\n")
    }
}

fn shown_line(line: &str, widest: usize) -> String {
    let mut shown = String::new();
    for (i, c) in line.chars().enumerate() {
        if i == widest {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

fn noun(rows: usize) -> &'static str {
    if rows == 1 { "row" } else { "rows" }
}

/// `1234567` as `1,234,567`.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
