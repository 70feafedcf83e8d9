//! The list of single findings, as a file that only its owner can read.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::super::output::TextTable;
use super::finding::{Location, What};
use crate::error::{Error, ErrorKind, Result};
use crate::query::Format;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, of| Field::new(name, of, true);
    Arc::new(Schema::new(vec![
        field("file", DataType::Utf8),
        field("line", DataType::Int64),
        field("entry", DataType::Int64),
        field("severity", DataType::Utf8),
        field("what", DataType::Utf8),
        field("path", DataType::Utf8),
        field("text", DataType::Utf8),
    ]))
});

/// A file of findings, in the order of the input; it appears when it is whole. It names references and ids: data.
pub struct FindingList {
    table: TextTable,
    blocks: u64,
}

/// One of them.
pub(super) struct Line<'l> {
    pub(super) place: Location,
    pub(super) what: What,
    pub(super) path: &'l str,
    /// What the finding is about, where its path does not say it.
    pub(super) text: Option<String>,
}

impl FindingList {
    /// A list as CSV or NDJSON, by the ending of its name.
    ///
    /// # Errors
    /// Of kind `Usage` for another ending, of kind `Output` if the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let format = match ending.as_deref() {
            Some("csv") => Format::Csv,
            Some("ndjson" | "jsonl") => Format::Ndjson,
            _ => {
                let message = format!("`{}` is neither `.csv` nor `.ndjson`", path.display());
                return Err(Error::new(ErrorKind::Usage, message)
                    .hint("the list is written as what its name ends in"));
            }
        };
        Ok(Self { table: TextTable::private_file(format, &SCHEMA, path)?, blocks: 0 })
    }

    /// Adds those of the next block.
    pub(super) fn add(&mut self, lines: &[Line<'_>]) -> Result<()> {
        let batch = batch(lines);
        self.table.push(self.blocks, vec![batch])?;
        self.blocks += 1;
        Ok(())
    }

    /// Completes the file.
    pub(super) fn finish(self) -> Result<()> {
        self.table.finish()
    }
}

fn batch(lines: &[Line<'_>]) -> RecordBatch {
    let text = |value: &dyn Fn(&Line<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(lines.iter().map(value).collect::<StringArray>())
    };
    let number = |value: &dyn Fn(&Line<'_>) -> Option<i64>| -> ArrayRef {
        Arc::new(lines.iter().map(value).collect::<Int64Array>())
    };
    let columns = vec![
        text(&|l| Some(l.place.file.display().to_string())),
        number(&|l| Some(l.place.line as i64)),
        number(&|l| l.place.entry.map(i64::from)),
        text(&|l| Some(l.what.severity().name().to_owned())),
        text(&|l| Some(l.what.to_string())),
        text(&|l| (!l.path.is_empty()).then(|| l.path.to_owned())),
        text(&|l| l.text.clone()),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns).expect("the columns are built after the schema")
}
