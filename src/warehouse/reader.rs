//! Parquet files read again: their row groups, as the columns of a table, without the rows that go.

use std::fs::File;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::schema::types::SchemaDescriptor;

use super::change::Gone;
use super::key_set::KeySet;
use crate::error::{Error, ErrorKind, Result};

/// Rows that are read at a time, at most, unless fewer are asked for.
pub(super) const BATCH_ROWS: usize = 65_536;

/// An open Parquet file; its content is read only on demand.
pub(super) struct Reader {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    batch_rows: usize,
}

impl Reader {
    pub(super) fn open(path: PathBuf, batch_rows: usize) -> Result<Self> {
        let file = File::open(&path).map_err(|e| read_error(&path, &e))?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
            .map_err(|e| read_error(&path, &e))?;
        Ok(Self { path, metadata, batch_rows })
    }

    /// How many row groups it has.
    pub(super) fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Whether a row group has a row that goes; reads only the columns that tell.
    pub(super) fn has_gone(&self, group: usize, gone: &[Gone]) -> Result<bool> {
        let Some(columns) = telling(self.metadata.parquet_schema(), gone) else { return Ok(false) };
        for batch in self.read(group, columns)? {
            let marks = marks(&batch?, gone).map_err(|e| self.failed(&e))?;
            if marks.contains(&true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rows of a row group that stay, with these columns, and how many go.
    pub(super) fn staying(
        &self,
        group: usize,
        gone: &[Gone],
        columns: &SchemaRef,
    ) -> Result<(Vec<RecordBatch>, u64)> {
        let (mut batches, mut rows_gone) = (Vec::new(), 0);
        for batch in self.read(group, ProjectionMask::all())? {
            let mut batch = batch?;
            let stays: BooleanArray = marks(&batch, gone)
                .map_err(|e| self.failed(&e))?
                .into_iter()
                .map(|goes| Some(!goes))
                .collect();
            let rows = stays.true_count();
            if rows < batch.num_rows() {
                rows_gone += (batch.num_rows() - rows) as u64;
                batch = filter_record_batch(&batch, &stays).map_err(|e| self.failed(&e))?;
            }
            if rows > 0 {
                batches.push(conform(&batch, columns).map_err(|e| self.failed(&e))?);
            }
        }
        Ok((batches, rows_gone))
    }

    fn read(
        &self,
        group: usize,
        columns: ProjectionMask,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
        let file = File::open(&self.path).map_err(|e| self.failed(&e))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let reader = builder
            .with_projection(columns)
            .with_row_groups(vec![group])
            .with_batch_size(self.batch_rows)
            .build()
            .map_err(|e| self.failed(&e))?;
        Ok(reader.map(|batch| batch.map_err(|e| self.failed(&e))))
    }

    fn failed(&self, cause: &impl std::fmt::Display) -> Error {
        read_error(&self.path, cause)
    }
}

/// The columns that tell which rows go; none if there are none.
pub(super) fn telling(columns: &SchemaDescriptor, gone: &[Gone]) -> Option<ProjectionMask> {
    let names: Vec<_> = gone.iter().map(|gone| gone.column.as_str()).collect();
    let fields = columns.root_schema().get_fields();
    let has_any = fields.iter().any(|field| names.contains(&field.name()));
    has_any.then(|| ProjectionMask::columns(columns, names))
}

/// For each row whether it goes.
pub(super) fn marks(batch: &RecordBatch, gone: &[Gone]) -> Result<Vec<bool>, ArrowError> {
    let mut marks = vec![false; batch.num_rows()];
    for Gone { column, keys } in gone {
        if let Some(values) = batch.column_by_name(column) {
            mark(values.as_ref(), keys, &mut marks)?;
        }
    }
    Ok(marks)
}

fn mark(values: &dyn Array, keys: &KeySet, marks: &mut [bool]) -> Result<(), ArrowError> {
    let text = cast(values, &DataType::Utf8)?;
    let text = text.as_string::<i32>();
    // The rows of a resource stand together: their key is looked up once.
    let mut last = None;
    for (at, mark) in marks.iter_mut().enumerate().filter(|(at, _)| text.is_valid(*at)) {
        let key = text.value(at);
        let hit = match last {
            Some((same, hit)) if same == key => hit,
            _ => keys.contains(key),
        };
        last = Some((key, hit));
        *mark |= hit;
    }
    Ok(())
}

/// The batch with these columns: those that it lacks are null, those of another type are cast.
fn conform(batch: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let arrays = columns.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        None => Ok(new_null_array(field.data_type(), rows)),
        Some(array) if array.data_type() == field.data_type() => Ok(array.clone()),
        Some(array) => cast(array, field.data_type()),
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(columns.clone(), arrays, &options)
}

pub(super) fn read_error(path: &std::path::Path, cause: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Warehouse, format!("cannot read `{}`: {cause}", path.display()))
        .hint("a file of the table is damaged or missing: rebuild the table")
}
