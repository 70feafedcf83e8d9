//! Rejects: what could not be used, where it stands and why; a table of its own in the warehouse.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int32Builder, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::Result;
use crate::ingest::{Inputs, Rejected};
use crate::warehouse::TableWriter;

/// Name of the table.
pub const REJECTS_TABLE: &str = "_rejects";

/// Its columns, each with its comment.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, of, comment: &str| {
        Field::new(name, of, true)
            .with_metadata([("comment".to_owned(), comment.to_owned())].into())
    };
    Arc::new(Schema::new(vec![
        field("file", DataType::Utf8, "the input file"),
        field("line", DataType::Int64, "line number, from 1; of a JSON document always 1"),
        field("byte_offset", DataType::Int64, "where the line begins in the (decompressed) file"),
        field("entry", DataType::Int32, "index within a Bundle, from 0"),
        field(
            "view_name",
            DataType::Utf8,
            "the view that failed on the resource; null if no view could use the line",
        ),
        field("reason", DataType::Utf8, "why, without any content of the line"),
        field("excerpt", DataType::Utf8, "first 200 characters of the line, if asked for; PHI"),
        field(super::RUN_COLUMN, DataType::Utf8, "the run that wrote the row"),
    ]))
});

/// One reject, at its place in the whole input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The input file.
    pub file: PathBuf,
    /// Line number, from 1.
    pub line: u64,
    /// Where the line begins in the (decompressed) file.
    pub byte_offset: u64,
    /// Index within a Bundle.
    pub entry: Option<u32>,
    /// The view that failed; `None` if the line could not be parsed.
    pub view: Option<String>,
    /// Why, without any content of the line.
    pub reason: String,
    /// Beginning of the line, if asked for. PHI.
    pub excerpt: Option<String>,
}

impl Reject {
    pub(super) fn of_line(rejected: Rejected, inputs: &Inputs) -> Self {
        Self {
            file: inputs.files[rejected.origin.file as usize].path.clone(),
            line: rejected.origin.line,
            byte_offset: rejected.origin.offset,
            entry: rejected.origin.entry,
            view: None,
            reason: rejected.reason.to_string(),
            excerpt: rejected.excerpt,
        }
    }
}

/// Takes rejects in the order of the input: counts all, keeps the first, writes them as batches.
pub struct RejectLog {
    writer: Option<TableWriter>,
    run: String,
    waiting: Vec<Reject>,
    pushed: u64,
    /// The first of them, for people.
    pub first: Vec<Reject>,
    /// How many, by reason.
    pub by_reason: BTreeMap<String, u64>,
}

/// How many rejects are shown.
const SHOWN: usize = 10;
/// How many wait for a batch.
const BATCH: usize = 8192;

impl RejectLog {
    /// With a `writer`, rejects become rows of the run.
    pub(super) fn new(writer: Option<TableWriter>, run: &str) -> Self {
        let (first, by_reason) = (Vec::new(), BTreeMap::new());
        Self { writer, run: run.to_owned(), waiting: Vec::new(), pushed: 0, first, by_reason }
    }

    /// All rejects.
    pub fn count(&self) -> u64 {
        self.by_reason.values().sum()
    }

    pub(super) fn add(&mut self, reject: Reject) -> Result<()> {
        *self.by_reason.entry(reject.reason.clone()).or_default() += 1;
        if self.first.len() < SHOWN {
            self.first.push(reject.clone());
        }
        if self.writer.is_some() {
            self.waiting.push(reject);
            if self.waiting.len() >= BATCH {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let batch = batch(&std::mem::take(&mut self.waiting), &self.run);
        if let Some(writer) = &self.writer {
            writer.push(self.pushed, vec![batch])?;
            self.pushed += 1;
        }
        Ok(())
    }

    /// Writes what waits, and gives the writer back.
    pub(super) fn finish(&mut self) -> Result<Option<TableWriter>> {
        if !self.waiting.is_empty() {
            self.flush()?;
        }
        Ok(self.writer.take())
    }
}

fn batch(rejects: &[Reject], run: &str) -> RecordBatch {
    let text = |value: &dyn Fn(&Reject) -> Option<String>| -> ArrayRef {
        let mut builder = StringBuilder::new();
        for r in rejects {
            builder.append_option(value(r));
        }
        Arc::new(builder.finish())
    };
    let number = |value: &dyn Fn(&Reject) -> u64| -> ArrayRef {
        let mut builder = Int64Builder::new();
        for r in rejects {
            builder.append_value(value(r) as i64);
        }
        Arc::new(builder.finish())
    };
    let mut entries = Int32Builder::new();
    for r in rejects {
        entries.append_option(r.entry.map(|e| e as i32));
    }
    let columns: Vec<ArrayRef> = vec![
        text(&|r| Some(r.file.display().to_string())),
        number(&|r| r.line),
        number(&|r| r.byte_offset),
        Arc::new(entries.finish()),
        text(&|r| r.view.clone()),
        text(&|r| Some(r.reason.clone())),
        text(&|r| r.excerpt.clone()),
        text(&|_| Some(run.to_owned())),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns).expect("the columns are built after the schema")
}
