//! One row group being encoded: each column by whichever thread takes it first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::Result;

/// A row group between its Arrow batches and its place in the file.
///
/// No thread ever waits for another here: the one that finishes the last column learns so from
/// [`RowGroup::encode`] and carries the group on.
pub(super) struct RowGroup {
    schema: SchemaRef,
    columns: Vec<Mutex<Column>>,
    /// The first column that nobody has taken.
    next: AtomicUsize,
    /// How many columns are not encoded yet.
    left: AtomicUsize,
}

/// A top-level column; a list or struct has several leaves in the file.
enum Column {
    Waiting { arrays: Vec<ArrayRef>, leaves: Vec<ArrowColumnWriter> },
    Taken,
    Encoded(Vec<ArrowColumnChunk>),
}

impl RowGroup {
    /// A row group of these batches, in their order. `index` is its number in the table.
    pub(super) fn new(
        factory: &ArrowRowGroupWriterFactory,
        schema: &SchemaRef,
        index: u64,
        batches: &[RecordBatch],
    ) -> Result<Self> {
        let mut leaves = factory.create_column_writers(index as usize)?.into_iter();
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let arrays = batches.iter().map(|batch| batch.column(at).clone()).collect();
            let leaves = leaves.by_ref().take(leaf_count(field.data_type())).collect();
            Mutex::new(Column::Waiting { arrays, leaves })
        });
        let columns: Vec<_> = columns.collect();
        let left = AtomicUsize::new(columns.len());
        Ok(Self { schema: schema.clone(), columns, next: AtomicUsize::new(0), left })
    }

    /// Encodes columns until none is left to take; true if this call finished the last one.
    pub(super) fn encode(&self) -> Result<bool> {
        let mut finished = false;
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(column) = self.columns.get(at) else { return Ok(finished) };
            let taken = std::mem::replace(&mut *lock(column), Column::Taken);
            if let Column::Waiting { arrays, leaves } = taken {
                let chunks = encode_column(self.schema.field(at), arrays, leaves)?;
                *lock(column) = Column::Encoded(chunks);
                finished = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
            }
        }
    }

    /// The encoded columns in schema order, leaving none behind.
    pub(super) fn take_chunks(&self) -> Vec<ArrowColumnChunk> {
        let take = |column| match std::mem::replace(&mut *lock(column), Column::Taken) {
            Column::Encoded(chunks) => chunks,
            Column::Waiting { .. } | Column::Taken => Vec::new(),
        };
        self.columns.iter().flat_map(take).collect()
    }
}

fn lock(column: &Mutex<Column>) -> MutexGuard<'_, Column> {
    column.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Arrays are dropped as they are encoded: the memory of a row group shrinks while it is worked on.
fn encode_column(
    field: &Field,
    arrays: Vec<ArrayRef>,
    mut leaves: Vec<ArrowColumnWriter>,
) -> Result<Vec<ArrowColumnChunk>> {
    for array in arrays {
        for (writer, leaf) in leaves.iter_mut().zip(compute_leaves(field, &array)?) {
            writer.write(&leaf)?;
        }
    }
    leaves.into_iter().map(ArrowColumnWriter::close).collect()
}

fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(item) => leaf_count(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|f| leaf_count(f.data_type())).sum(),
        _ => 1,
    }
}
