//! Which files in an object store hold rows that go: only the columns that tell are loaded.

use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::async_reader::ParquetObjectReader;

use super::change::Gone;
use super::merge::check_whole;
use super::place::Objects;
use super::reader::{BATCH_ROWS, marks, read_error, telling};
use super::table_file::TableFile;
use crate::error::Result;

/// Files that are looked at together.
const READS: usize = 8;

/// For each file whether rows of it go.
pub(super) async fn hits(
    objects: &Objects,
    files: &[TableFile],
    gone: &[Gone],
) -> Result<Vec<bool>> {
    check_whole(files)?;
    // Collected, because a stream of futures made by a closure that borrows is not `Send`.
    let hits: Vec<_> = files.iter().map(|file| has_gone(objects, file, gone)).collect();
    stream::iter(hits).buffered(READS).try_collect().await
}

async fn has_gone(objects: &Objects, file: &TableFile, gone: &[Gone]) -> Result<bool> {
    let failed = |e: &dyn std::fmt::Display| read_error(&file.path, &e);
    let reader = ParquetObjectReader::new(objects.store().clone(), objects.object(&file.name))
        .with_file_size(file.bytes);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|e| failed(&e))?;
    let Some(columns) = telling(builder.parquet_schema(), gone) else { return Ok(false) };
    let rows = builder.with_projection(columns).with_batch_size(BATCH_ROWS).build();
    let mut rows = rows.map_err(|e| failed(&e))?;
    while let Some(batch) = rows.try_next().await.map_err(|e| failed(&e))? {
        if marks(&batch, gone).map_err(|e| failed(&e))?.contains(&true) {
            return Ok(true);
        }
    }
    Ok(false)
}
