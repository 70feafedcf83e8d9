//! The rows of files in order, with as much memory as is allowed: DataFusion sorts them, on disk where they are many.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Column;
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, stream};

use super::merge;
use super::part::PartFile;
use super::reader::Reader;
use super::table_file::TableFile;
use super::writer::TableWriter;
use crate::error::{Error, ErrorKind, Result};

/// Memory for rows while they are sorted.
pub(super) const MEMORY_BYTES: usize = 512 << 20;

/// Rows that are sorted together at first: batches are held whole, so small ones keep within the memory.
const BATCH_ROWS: usize = 8192;

/// Writes the rows of files in the order of these columns, nulls last. What does not fit into so many bytes of memory
/// lies in a folder meanwhile.
pub(super) async fn sorted(
    files: &[TableFile],
    by: &[String],
    columns: &SchemaRef,
    memory: (usize, &Path),
    writer: TableWriter,
) -> Result<Vec<PartFile>> {
    let failed = |e: DataFusionError| sort_error(&e);
    let readers = Arc::new(merge::open(files, BATCH_ROWS)?);
    let rows = Rows { readers, columns: columns.clone() };
    let table = StreamingTable::try_new(columns.clone(), vec![Arc::new(rows)]).map_err(failed)?;
    let context = session(memory).map_err(failed)?;
    let rows = context.read_table(Arc::new(table)).map_err(failed)?;
    let order = by.iter().map(|name| Expr::Column(Column::from_name(name)).sort(true, false));
    let rows = rows.sort(order.collect()).map_err(failed)?;
    let mut batches = rows.execute_stream().await.map_err(failed)?;
    let mut number = 0;
    while let Some(batch) = batches.next().await {
        writer.push(number, vec![batch.map_err(failed)?])?;
        number += 1;
    }
    writer.finish()
}

/// One partition: the order of equal rows is then that of the files, always the same.
fn session((bytes, folder): (usize, &Path)) -> QueryResult<SessionContext> {
    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(BATCH_ROWS);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(bytes, 1.0)
        .with_temp_file_path(folder.join("sort"))
        .build_arc()?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// The rows of files, one after the other.
struct Rows {
    readers: Arc<Vec<Reader>>,
    columns: SchemaRef,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("files", &self.readers.len()).finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.columns
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let groups: Vec<_> = merge::groups(&self.readers).collect();
        let (readers, columns) = (self.readers.clone(), self.columns.clone());
        let batches = groups.into_iter().flat_map(move |(file, group)| {
            match readers[file].staying(group, &[], &columns) {
                Ok((batches, _)) => batches.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(DataFusionError::External(Box::new(e)))],
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.columns.clone(), stream::iter(batches)))
    }
}

fn sort_error(error: &DataFusionError) -> Error {
    let message = format!("cannot sort: {}", error.message());
    Error::new(ErrorKind::Output, message)
        .hint("nothing was changed; check disk space, or sort by other columns")
}
