//! The part files of one table: row groups appended in order, a new file when one is large enough.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;

use super::row_group::RowGroup;
use super::stats;
use crate::durable::{self, output_error};
use crate::error::{Error, ErrorKind, Result};

/// One finished Parquet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFile {
    /// Where it lies: in the staging area until it is committed.
    pub path: PathBuf,
    /// How many rows it has.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Row count, bounds and null counts as the JSON that Delta keeps with a file
    /// (Delta protocol, "Per-file Statistics").
    pub stats: String,
}

/// Where the files of a table go.
pub(super) enum Target {
    /// `<folder>/<stem>-00000.parquet` and on, a new one whenever one reaches `file_bytes`; a
    /// table without rows has no file.
    Parts { folder: PathBuf, stem: String, file_bytes: u64 },
    /// Exactly one file, under a temporary name until it is complete.
    Single { path: PathBuf },
}

/// The files written so far and the one being written.
pub(super) struct PartFiles {
    target: Target,
    schema: SchemaRef,
    parquet_schema: TypePtr,
    properties: WriterPropertiesPtr,
    open: Option<OpenFile>,
    finished: Vec<PartFile>,
    /// Set by [`PartFiles::discard`]: row groups that are late are dropped.
    discarded: bool,
}

struct OpenFile {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
}

impl PartFiles {
    pub(super) fn new(
        target: Target,
        schema: SchemaRef,
        parquet_schema: TypePtr,
        properties: WriterPropertiesPtr,
    ) -> Result<Self> {
        let (open, finished) = (None, Vec::new());
        let mut files =
            Self { target, schema, parquet_schema, properties, open, finished, discarded: false };
        // A target that cannot be written is found before the first row is read.
        if matches!(files.target, Target::Single { .. }) {
            files.open_next()?;
        }
        Ok(files)
    }

    /// Appends the next row group of the table.
    pub(super) fn append(&mut self, group: &RowGroup) -> Result<()> {
        let chunks = group.take_chunks();
        if self.discarded {
            return Ok(());
        }
        let file = self.open_next()?;
        let append = |writer: &mut SerializedFileWriter<File>| {
            let mut row_group = writer.next_row_group()?;
            for chunk in chunks {
                chunk.append_to_row_group(&mut row_group)?;
            }
            row_group.close()
        };
        append(&mut file.writer).map_err(|e| write_error(&file.path, e))?;
        let bytes = file.writer.bytes_written() as u64;
        match self.target {
            Target::Parts { file_bytes, .. } if bytes >= file_bytes => self.close(),
            _ => Ok(()),
        }
    }

    /// Completes the last file and gives all of them, durable, in order.
    pub(super) fn finish(&mut self) -> Result<Vec<PartFile>> {
        self.close()?;
        if let (Target::Single { path }, [file]) = (&self.target, self.finished.as_mut_slice()) {
            durable::rename(&file.path, path)?;
            file.path.clone_from(path);
        }
        durable::sync_folder(self.target.folder())?;
        Ok(std::mem::take(&mut self.finished))
    }

    /// Removes everything written so far.
    pub(super) fn discard(&mut self) {
        self.discarded = true;
        let finished = self.finished.drain(..).map(|file| file.path);
        for path in finished.chain(self.open.take().map(|file| file.path)) {
            // Nothing refers to the file; `begin` sweeps the staging area again.
            let _ = fs::remove_file(path);
        }
    }

    fn open_next(&mut self) -> Result<&mut OpenFile> {
        let file = match self.open.take() {
            Some(file) => file,
            None => self.create()?,
        };
        Ok(self.open.insert(file))
    }

    fn create(&self) -> Result<OpenFile> {
        let path = self.target.file_to_write(self.finished.len());
        let file = durable::create_file(&path)?;
        let (schema, properties) = (self.parquet_schema.clone(), self.properties.clone());
        let writer = SerializedFileWriter::new(file, schema, properties)
            .map_err(|e| write_error(&path, e))?;
        Ok(OpenFile { path, writer })
    }

    fn close(&mut self) -> Result<()> {
        let Some(OpenFile { path, mut writer }) = self.open.take() else { return Ok(()) };
        // Registered first, so that a failure below leaves it to `discard`.
        self.finished.push(PartFile { path, rows: 0, bytes: 0, stats: String::new() });
        let Some(part) = self.finished.last_mut() else { return Ok(()) };
        let metadata = writer.finish().map_err(|e| write_error(&part.path, e))?;
        part.bytes = writer.bytes_written() as u64;
        part.rows = metadata.file_metadata().num_rows() as u64;
        part.stats =
            stats::delta_stats(&metadata, &self.schema).map_err(|e| write_error(&part.path, e))?;
        writer.inner().sync_all().map_err(|e| output_error("write", &part.path, e))
    }
}

impl Target {
    /// What errors of the whole table name.
    pub(super) fn file_path(&self) -> &Path {
        match self {
            Self::Parts { folder, .. } => folder,
            Self::Single { path } => path,
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Parts { folder, .. } => folder,
            Self::Single { path } => {
                path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
            }
        }
    }

    fn file_to_write(&self, number: usize) -> PathBuf {
        match self {
            Self::Parts { folder, stem, .. } => folder.join(format!("{stem}-{number:05}.parquet")),
            Self::Single { path } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                path.with_file_name(format!(".{name}.tmp-{}", std::process::id()))
            }
        }
    }
}

/// A failure of the Parquet writer: of the disk if one is behind it, else of the data.
pub(super) fn write_error(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(io) => output_error("write", path, *io),
            Err(other) => {
                Error::new(ErrorKind::Output, format!("cannot write `{}`: {other}", path.display()))
            }
        },
        other => {
            Error::new(ErrorKind::Output, format!("cannot encode `{}`: {other}", path.display()))
                .caused_by(other)
        }
    }
}
