//! Where the batches of one view go: Parquet files, or text. Both take numbered batches from any thread and write
//! them in the order of their numbers.

use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Mutex;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::in_order::InOrder;
use crate::error::{Error, ErrorKind, Result};
use crate::query::{Encode, Format, Partial, Sink};
use crate::warehouse::{PartFile, TableWriter};

/// The output of one view.
pub enum TableOutput {
    /// Parquet, encoded on all threads.
    Parquet(TableWriter),
    /// Nowhere.
    Nowhere,
    /// CSV or NDJSON, written by whoever brings the batch that is next.
    Text(TextTable),
}

impl TableOutput {
    /// Takes the batches of a block. Each number from 0 on comes exactly once.
    pub(super) fn push(&self, number: u64, batches: Vec<RecordBatch>) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.push(number, batches),
            Self::Nowhere => Ok(()),
            Self::Text(text) => text.push(number, batches),
        }
    }

    /// Completes the output; Parquet files are named.
    pub fn finish(self) -> Result<Vec<PartFile>> {
        match self {
            Self::Parquet(writer) => writer.finish(),
            Self::Nowhere => Ok(Vec::new()),
            Self::Text(text) => text.finish().map(|()| Vec::new()),
        }
    }
}

/// Completes all outputs: their last row groups are encoded on all threads.
pub(super) fn finish_all(outputs: Vec<TableOutput>) -> Result<Vec<Vec<PartFile>>> {
    outputs.into_par_iter().map(TableOutput::finish).collect()
}

/// A view as text.
pub struct TextTable {
    state: Mutex<State>,
    name: String,
    /// A file that gets its name when it is whole.
    file: Option<Partial>,
}

struct State {
    batches: InOrder<Vec<RecordBatch>>,
    encoder: Box<dyn Encode>,
}

impl TextTable {
    /// Writes to `to`; `name` is for errors.
    pub fn new(format: Format, schema: &SchemaRef, to: Sink<'static>, name: &Path) -> Result<Self> {
        let mut encoder = format.encoder(to, None);
        let name = name.display().to_string();
        encoder.begin(schema).map_err(|e| failed(&name, e))?;
        Ok(Self { state: Mutex::new(State { batches: InOrder::new(), encoder }), name, file: None })
    }

    /// Writes a file, which appears when it is whole.
    pub fn file(format: Format, schema: &SchemaRef, path: &Path) -> Result<Self> {
        let fault = |e| Error::io(ErrorKind::Output, "write", path, e);
        Self::partial(format, schema, path, Partial::create(path).map_err(fault)?)
    }

    /// As [`Self::file`], for its owner only.
    pub fn private_file(format: Format, schema: &SchemaRef, path: &Path) -> Result<Self> {
        let fault = |e| Error::io(ErrorKind::Output, "write", path, e);
        Self::partial(format, schema, path, Partial::create_private(path).map_err(fault)?)
    }

    fn partial(format: Format, schema: &SchemaRef, path: &Path, partial: Partial) -> Result<Self> {
        let fault = |e| Error::io(ErrorKind::Output, "write", path, e);
        let to = partial.file.try_clone().map_err(fault)?;
        let mut table =
            Self::new(format, schema, Box::new(BufWriter::with_capacity(1 << 20, to)), path)?;
        table.file = Some(partial);
        Ok(table)
    }

    pub(super) fn push(&self, number: u64, batches: Vec<RecordBatch>) -> Result<()> {
        // A poisoned lock means that another thread panicked while writing; so does this one.
        let mut state = self.state.lock().expect("no thread panicked while writing");
        state.batches.put(number, batches);
        while let Some(batches) = state.batches.next() {
            for batch in &batches {
                state.encoder.batch(batch).map_err(|e| failed(&self.name, e))?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        let mut state = self.state.into_inner().expect("no thread panicked while writing");
        let ended = state.encoder.end().and_then(|()| state.encoder.finish());
        drop(state);
        let published = ended.and_then(|()| self.file.map_or(Ok(()), Partial::publish));
        published.map_err(|e| failed(&self.name, e))
    }
}

fn failed(name: &str, e: io::Error) -> Error {
    Error::new(ErrorKind::Output, format!("cannot write `{name}`: {e}")).caused_by(e)
}
