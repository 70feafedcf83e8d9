//! Parquet encoding on all threads at once, with files that depend on the rows alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::cut::Cutter;
use super::part::{PartFile, PartFiles, Target, write_error};
use super::row_group::RowGroup;
use super::schema;
use crate::error::{Error, ErrorKind, Result};

/// How tables are encoded. The same options and rows give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetOptions {
    /// The codec of every column.
    pub compression: Compression,
    /// A row group ends with this many rows at the latest.
    pub row_group_rows: usize,
    /// A row group ends with the first 1024 rows that bring it to so many bytes of Arrow data.
    pub row_group_bytes: u64,
    /// A part file ends with the first row group that brings it to so many encoded bytes.
    pub file_bytes: u64,
}

impl Default for ParquetOptions {
    /// Small row groups are read by more threads at once, and the dictionary of a column with some ten thousand
    /// different values, such as the keys of encounters, still has room in them: queries that join by such keys take a
    /// tenth less time than with twice the rows.
    fn default() -> Self {
        Self {
            compression: Compression::ZSTD(ZstdLevel::default()),
            row_group_rows: 65_536,
            row_group_bytes: 48 << 20,
            file_bytes: 256 << 20,
        }
    }
}

/// The Parquet files of one table being written.
///
/// Numbered batches come in from any thread in any order ([`push`](Self::push)); the rows stand in
/// the files in the order of the numbers. Whoever completes a row group encodes it, idle rayon
/// threads take columns from it, and whoever encodes the last column appends it to the file. No
/// thread waits for another but in [`finish`](Self::finish).
///
/// **Memory.** The writer holds the batches pushed ahead of the lowest missing number, one open
/// row group, one row group of Arrow data for each thread that is in `push`, and the encoded row
/// groups that wait for an earlier one. The caller bounds the first by not starting block *n + k*
/// before block *n* is pushed; `k` of two or three times the threads loses no speed.
///
/// Dropping it without `finish` removes its files.
pub struct TableWriter {
    shared: Arc<Shared>,
}

/// What the threads that encode share. `intake` and `progress` are locked for moves of pointers
/// only, `files` while row groups are written; `progress` alone is locked under another, `files`.
struct Shared {
    schema: SchemaRef,
    factory: ArrowRowGroupWriterFactory,
    /// Names the table in errors.
    path: PathBuf,
    intake: Mutex<Intake>,
    progress: Mutex<Progress>,
    /// Signals that row groups were written, or that something failed.
    moved: Condvar,
    files: Mutex<PartFiles>,
}

struct Intake {
    /// The number that comes next.
    next: u64,
    /// Batches whose turn has not come.
    early: BTreeMap<u64, Vec<RecordBatch>>,
    cutter: Cutter,
    /// How many row groups were handed out.
    groups: u64,
}

#[derive(Default)]
struct Progress {
    /// The row group that the file needs next.
    next: u64,
    /// Encoded row groups whose turn has not come.
    encoded: BTreeMap<u64, Arc<RowGroup>>,
    written: u64,
    failed: bool,
    /// The first failure, until someone reports it.
    failure: Option<Error>,
}

impl TableWriter {
    /// Writes `<folder>/<stem>-00000.parquet` and on; the folder exists. A table without rows has
    /// no file. Fails for a type that a Delta table cannot have.
    pub fn new(
        folder: &Path,
        stem: &str,
        schema: SchemaRef,
        options: &ParquetOptions,
    ) -> Result<Self> {
        // Refused here, before any row is read, and not at the commit.
        schema::to_delta(&schema)?;
        let (folder, file_bytes) = (folder.to_path_buf(), options.file_bytes);
        Self::open(Target::Parts { folder, stem: stem.to_owned(), file_bytes }, schema, options)
    }

    /// Writes one file, also for a table without rows. It has a temporary name beside `path`
    /// until `finish`, which replaces what was there.
    pub fn single(path: &Path, schema: SchemaRef, options: &ParquetOptions) -> Result<Self> {
        Self::open(Target::Single { path: path.to_path_buf() }, schema, options)
    }

    /// Takes the batches with this number. Each number from 0 on is pushed exactly once, with no
    /// batches if a block has no rows for this table.
    ///
    /// Encodes on the calling thread what has become a complete row group. Fails if this or
    /// another thread failed to write; the error is reported once in full.
    pub fn push(&self, number: u64, batches: Vec<RecordBatch>) -> Result<()> {
        self.shared.check_progress()?;
        for batch in &batches {
            self.shared.check_columns(batch)?;
        }
        self.shared.take_in(number, batches)?;
        self.shared.encode_full();
        self.shared.check_progress()
    }

    /// Encodes the rest and completes the files: durable on disk, in row order.
    pub fn finish(self) -> Result<Vec<PartFile>> {
        self.shared.end_intake()?;
        self.shared.encode_full();
        self.shared.wait_written()?;
        lock(&self.shared.files).finish()
    }

    fn open(target: Target, schema: SchemaRef, options: &ParquetOptions) -> Result<Self> {
        let path = target.file_path().to_path_buf();
        let properties = Arc::new(properties(options));
        let failed = |e: ParquetError| write_error(&path, e);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).map_err(failed)?;
        let root = parquet_schema.root_schema_ptr();
        // The factory takes schema and properties from a file writer, of which it keeps nothing.
        let donor = SerializedFileWriter::new(std::io::sink(), root.clone(), properties.clone())
            .map_err(failed)?;
        let factory = ArrowRowGroupWriterFactory::new(&donor, schema.clone());
        let files = PartFiles::new(target, schema.clone(), root, properties)?;
        let cutter = Cutter::new(options.row_group_rows, options.row_group_bytes);
        let shared = Shared {
            schema,
            factory,
            path,
            intake: Mutex::new(Intake { next: 0, early: BTreeMap::new(), cutter, groups: 0 }),
            progress: Mutex::default(),
            moved: Condvar::new(),
            files: Mutex::new(files),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        // After `finish` there is nothing left to remove.
        lock(&self.shared.files).discard();
    }
}

impl Shared {
    fn check_columns(&self, batch: &RecordBatch) -> Result<()> {
        let fields = self.schema.fields();
        let fits = fields.len() == batch.num_columns()
            && fields.iter().zip(batch.columns()).all(|(field, column)| {
                field.data_type() == column.data_type()
                    && (field.is_nullable() || column.null_count() == 0)
            });
        if fits {
            Ok(())
        } else {
            Err(self.misuse("a batch does not fit the columns of the table"))
        }
    }

    fn take_in(&self, number: u64, batches: Vec<RecordBatch>) -> Result<()> {
        let mut intake = lock(&self.intake);
        if number < intake.next || intake.early.insert(number, batches).is_some() {
            return Err(self.misuse("a block was pushed twice"));
        }
        let intake = &mut *intake;
        while let Some(batches) = intake.early.remove(&intake.next) {
            for batch in &batches {
                intake.cutter.add(batch);
            }
            intake.next += 1;
        }
        Ok(())
    }

    /// Ends the last row group.
    fn end_intake(&self) -> Result<()> {
        let mut intake = lock(&self.intake);
        if !intake.early.is_empty() {
            return Err(self.misuse("a block was never pushed"));
        }
        intake.cutter.end();
        Ok(())
    }

    /// Encodes row groups as long as there is a complete one that nobody has taken.
    fn encode_full(self: &Arc<Self>) {
        while let Some((index, batches)) = self.next_full() {
            match RowGroup::new(&self.factory, &self.schema, index, &batches) {
                Ok(group) => {
                    // The row group keeps the arrays, and lets go of each once it is encoded.
                    drop(batches);
                    self.encode_shared(index, &Arc::new(group));
                }
                Err(e) => self.fail(write_error(&self.path, e)),
            }
        }
    }

    fn next_full(&self) -> Option<(u64, Vec<RecordBatch>)> {
        let mut intake = lock(&self.intake);
        let batches = intake.cutter.next_full()?;
        intake.groups += 1;
        Some((intake.groups - 1, batches))
    }

    /// Offers the columns to idle threads and encodes those that nobody takes. Waiting for the
    /// others, as rayon's `join` does, would have this thread start on other blocks meanwhile, one
    /// inside the other, each with its memory.
    fn encode_shared(self: &Arc<Self>, index: u64, group: &Arc<RowGroup>) {
        let others = (rayon::current_num_threads() - 1).min(self.schema.fields().len() - 1);
        for _ in 0..others {
            let (shared, group) = (Arc::clone(self), Arc::clone(group));
            rayon::spawn(move || shared.encode_columns(index, &group));
        }
        self.encode_columns(index, group);
    }

    fn encode_columns(&self, index: u64, group: &Arc<RowGroup>) {
        let unwinding = FailOnUnwind(self);
        match group.encode() {
            Ok(true) => self.deliver(index, Arc::clone(group)),
            Ok(false) => {}
            Err(e) => self.fail(write_error(&self.path, e)),
        }
        std::mem::forget(unwinding);
    }

    fn deliver(&self, index: u64, group: Arc<RowGroup>) {
        lock(&self.progress).encoded.insert(index, group);
        // Whoever holds the files looks again after letting go, so nothing is left behind by the
        // thread that goes away here.
        while self.next_is_encoded() {
            let mut files = match self.files.try_lock() {
                Ok(files) => files,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.write_encoded(&mut files);
        }
    }

    fn next_is_encoded(&self) -> bool {
        let progress = lock(&self.progress);
        !progress.failed && progress.encoded.contains_key(&progress.next)
    }

    fn write_encoded(&self, files: &mut PartFiles) {
        while let Some(group) = self.take_next() {
            match files.append(&group) {
                Ok(()) => lock(&self.progress).written += 1,
                Err(e) => return self.fail(e),
            }
        }
        self.moved.notify_all();
    }

    fn take_next(&self) -> Option<Arc<RowGroup>> {
        let mut progress = lock(&self.progress);
        let next = progress.next;
        let group = progress.encoded.remove(&next)?;
        progress.next += 1;
        Some(group)
    }

    fn wait_written(&self) -> Result<()> {
        let groups = lock(&self.intake).groups;
        let progress = lock(&self.progress);
        let waiting = |p: &mut Progress| !p.failed && p.written < groups;
        drop(self.moved.wait_while(progress, waiting).unwrap_or_else(PoisonError::into_inner));
        self.check_progress()
    }

    fn fail(&self, error: Error) {
        let mut progress = lock(&self.progress);
        progress.failed = true;
        progress.failure.get_or_insert(error);
        progress.encoded.clear();
        drop(progress);
        self.moved.notify_all();
    }

    fn check_progress(&self) -> Result<()> {
        let mut progress = lock(&self.progress);
        match progress.failure.take() {
            Some(error) => Err(error),
            None if progress.failed => Err(self.misuse("the table could not be written")),
            None => Ok(()),
        }
    }

    fn misuse(&self, message: &str) -> Error {
        Error::new(ErrorKind::Output, message).at("file", self.path.display())
    }
}

/// Turns a panic while encoding into a failure of the table: `finish` must not wait for ever.
struct FailOnUnwind<'a>(&'a Shared);

impl Drop for FailOnUnwind<'_> {
    fn drop(&mut self) {
        self.0.fail(self.0.misuse("encoding stopped"));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Dictionaries, page sizes and statistics are the crate's defaults. The Arrow schema is not
/// embedded: the Parquet types say all of it, and a dictionary of ours is no concern of readers.
fn properties(options: &ParquetOptions) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(options.compression)
        .set_created_by("kiln".to_owned())
        .build()
}
