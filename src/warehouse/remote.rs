//! Which files in an object store hold rows that go: only the columns that tell are loaded.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::change::Gone;
use super::merge::check_whole;
use super::place::Objects;
use super::reader::{BATCH_ROWS, marks, read_error, telling};
use super::table_file::TableFile;
use crate::error::Result;

/// Files that are looked at together.
const READS: usize = 8;

/// The end of a file that is loaded at first: its metadata is seldom larger.
const FOOTER_BYTES: usize = 64 << 10;

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
    let failed = |e: ParquetError| read_error(&file.path, &e);
    let path = objects.object(&file.name);
    let object = Object { store: objects.store().clone(), path, bytes: file.bytes };
    let builder = ParquetRecordBatchStreamBuilder::new(object).await.map_err(failed)?;
    let Some(columns) = telling(builder.parquet_schema(), gone) else { return Ok(false) };
    let rows = builder.with_projection(columns).with_batch_size(BATCH_ROWS).build();
    let mut rows = rows.map_err(failed)?;
    while let Some(batch) = rows.try_next().await.map_err(failed)? {
        if marks(&batch, gone).map_err(|e| read_error(&file.path, &e))?.contains(&true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A Parquet file that is read where it is.
struct Object {
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    bytes: u64,
}

impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let bytes = self.store.get_range(&self.path, range);
        bytes.map(|bytes| bytes.map_err(ParquetError::from)).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { Ok(self.store.get_ranges(&self.path, &ranges).await?) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES));
            reader.load_and_finish(self, bytes).await.map(Arc::new)
        }
        .boxed()
    }
}
