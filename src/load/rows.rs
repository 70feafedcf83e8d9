//! The rows of a table's version: its Parquet files as record batches of one schema without dictionaries.

use std::fmt::Write;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use sha2::{Digest, Sha256};

use super::TableVersion;
use crate::error::{Error, ErrorKind, Result};

/// Rows that are read at once.
const BATCH_ROWS: usize = 8192;

/// The rows of one file in the columns of `schema` (plain, see [`plain`]), which the file may lack.
pub(super) struct FileRows {
    path: String,
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
}

impl FileRows {
    /// Opens a file.
    pub(super) fn open(path: &Path, schema: &SchemaRef) -> Result<Self> {
        let (file, metadata) = open(path)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let of_file = builder.schema().clone();
        let wanted = schema.fields().iter().filter_map(|field| of_file.index_of(field.name()).ok());
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.collect::<Vec<_>>());
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
        let reader = reader.map_err(|e| damaged(path, e))?;
        Ok(Self { path: path.display().to_string(), schema: schema.clone(), reader })
    }
}

impl Iterator for FileRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        let adapted = batch.and_then(|batch| adapt(&batch, &self.schema));
        Some(adapted.map_err(|e| damaged(Path::new(&self.path), e)))
    }
}

/// The names of the columns that a file has.
pub(super) fn columns_of(path: &Path) -> Result<Vec<String>> {
    let (_, metadata) = open(path)?;
    Ok(metadata.schema().fields().iter().map(|field| field.name().clone()).collect())
}

/// How many rows a table's files have.
pub(super) fn count(table: &TableVersion) -> Result<u64> {
    let rows = |path: &std::path::PathBuf| {
        open(path).map(|(_, metadata)| metadata.metadata().file_metadata().num_rows() as u64)
    };
    table.files.iter().map(rows).sum()
}

/// The columns without dictionaries and without types that differ only in how memory holds them.
pub(super) fn plain(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| plain_field(field));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

fn plain_field(field: &Field) -> Field {
    field.clone().with_data_type(plain_type(field.data_type()))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Int8 => DataType::Int16,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::List(item) | DataType::LargeList(item) => {
            DataType::List(Arc::new(plain_field(item)))
        }
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| plain_field(field)).collect())
        }
        other => other.clone(),
    }
}

/// What distinguishes the columns of a table from those of another: names and types, in order.
pub(super) fn schema_fingerprint(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|f| format!("{}\0{}\n", f.name(), f.data_type()));
    fingerprint(columns)
}

/// What distinguishes the content of a version of a table: the names of its files, which are never used twice.
pub(super) fn files_fingerprint(table: &TableVersion) -> String {
    let mut names: Vec<_> = table.files.iter().map(|f| f.file_name().unwrap_or_default()).collect();
    names.sort_unstable();
    fingerprint(names.into_iter().map(|name| format!("{}\n", name.to_string_lossy())))
}

/// The beginning of a SHA-256 digest, hexadecimal.
pub(super) fn fingerprint(parts: impl IntoIterator<Item = String>) -> String {
    let mut digest = Sha256::new();
    parts.into_iter().for_each(|part| digest.update(part.as_bytes()));
    hexadecimal(&digest.finalize()[..16])
}

/// Bytes, hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        let Some(column) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        };
        cast(column, field.data_type())
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // A table may say that a column is never null where files of older versions lack it.
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

/// The types are those of Parquet: the table's schema says what they stand for.
fn open(path: &Path) -> Result<(File, ArrowReaderMetadata)> {
    let file = File::open(path).map_err(|e| {
        Error::io(ErrorKind::Warehouse, "read", path, e).hint(
            "run the load again: if the table was changed meanwhile, its old files may be gone",
        )
    })?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, options).map_err(|e| damaged(path, e))?;
    Ok((file, metadata))
}

fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Warehouse, format!("cannot read `{}`: {cause}", path.display()))
}
