//! Which files of a table hold rows that go, and what stays of them, written again.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::{Field, Schema, SchemaRef};
use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::sync::Arc;

use super::change::Gone;
use super::part::PartFile;
use super::place::Place;
use super::reader::{BATCH_ROWS, Reader};
use super::remote;
use super::schema::stored_type;
use super::table_file::TableFile;
use super::writer::TableWriter;
use crate::error::{Error, ErrorKind, Result};

/// A file below this size is small.
const SMALL_BYTES: u64 = 16 << 20;

/// A merge leaves so many small files alone. With one more it writes all of them again, as one: each run leaves a small
/// file, and reading a table takes longer with each.
const MAX_SMALL: usize = 16;

/// What stays of files that were written again.
pub(super) struct Rewritten {
    pub(super) parts: Vec<PartFile>,
    pub(super) rows_gone: u64,
}

/// The files that a merge writes again, because rows of them go or because there are many small ones.
pub(super) async fn touched(
    place: &Place,
    files: Vec<TableFile>,
    gone: &[Gone],
) -> Result<Vec<TableFile>> {
    let small = files.iter().filter(|file| file.bytes < SMALL_BYTES).count();
    let below = if small > MAX_SMALL { SMALL_BYTES } else { 0 };
    let gone: Vec<_> = gone.iter().filter(|gone| !gone.keys.is_empty()).cloned().collect();
    let hits = match place.objects() {
        _ if gone.is_empty() => vec![false; files.len()],
        None => hits(&files, &gone)?,
        Some(objects) => remote::hits(objects, &files, &gone).await?,
    };
    let touched = files.into_iter().zip(hits).filter(|(file, hit)| *hit || file.bytes < below);
    Ok(touched.map(|(file, _)| file).collect())
}

/// For each file whether rows of it go.
fn hits(files: &[TableFile], gone: &[Gone]) -> Result<Vec<bool>> {
    let readers = open(files, BATCH_ROWS)?;
    let hits: Vec<_> = files.iter().map(|_| AtomicBool::new(false)).collect();
    let groups: Vec<_> = groups(&readers).collect();
    groups.into_par_iter().try_for_each(|(file, group)| {
        // One row is enough.
        if !hits[file].load(Ordering::Relaxed) && readers[file].has_gone(group, gone)? {
            hits[file].store(true, Ordering::Relaxed);
        }
        Ok::<_, Error>(())
    })?;
    Ok(hits.into_iter().map(AtomicBool::into_inner).collect())
}

/// Writes the rows of files again, in their order, without those that go.
///
/// As many row groups are read at once as there are threads, and written before the next: that bounds the memory.
pub(super) fn rewrite(
    files: &[TableFile],
    gone: &[Gone],
    columns: &SchemaRef,
    writer: TableWriter,
) -> Result<Rewritten> {
    let readers = open(files, BATCH_ROWS)?;
    let groups: Vec<_> = groups(&readers).enumerate().collect();
    let mut rows_gone = 0;
    for wave in groups.chunks(rayon::current_num_threads()) {
        let counts = wave.par_iter().map(|&(number, (file, group))| {
            let (batches, rows_gone) = readers[file].staying(group, gone, columns)?;
            writer.push(number as u64, batches)?;
            Ok::<_, Error>(rows_gone)
        });
        rows_gone += counts.collect::<Result<Vec<_>>>()?.into_iter().sum::<u64>();
    }
    Ok(Rewritten { parts: writer.finish()?, rows_gone })
}

/// The columns as they stand in files.
pub(super) fn stored(columns: &Schema) -> SchemaRef {
    let fields = columns
        .fields()
        .iter()
        .map(|field| Field::clone(field).with_data_type(stored_type(field.data_type()).clone()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Opens files whose rows are all there.
pub(super) fn open(files: &[TableFile], batch_rows: usize) -> Result<Vec<Reader>> {
    check_whole(files)?;
    files.par_iter().map(|file| Reader::open(file.path.clone(), batch_rows)).collect()
}

/// Refuses files with rows that are only marked as removed.
pub(super) fn check_whole(files: &[TableFile]) -> Result<()> {
    let Some(file) = files.iter().find(|file| file.has_deletion_vector) else { return Ok(()) };
    let message = format!("rows of `{}` are marked as removed", file.path.display());
    Err(Error::new(ErrorKind::Warehouse, message)
        .hint("another program changed the table with deletion vectors: rebuild it"))
}

/// Every row group: the number of its file, and its own.
pub(super) fn groups(readers: &[Reader]) -> impl Iterator<Item = (usize, usize)> {
    let numbered = readers.iter().enumerate();
    numbered.flat_map(|(file, reader)| (0..reader.groups()).map(move |group| (file, group)))
}
