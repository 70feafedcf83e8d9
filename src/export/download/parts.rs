//! Writes text into parts that are cut at line ends, and makes them visible only when all is well.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Folder;
use super::target::Format;
use crate::error::{Error, ErrorKind, Result};

/// The parts of one file, or of one type of an organised file.
pub(in super::super) struct Series {
    folder: Arc<Folder>,
    /// `Patient.00003`
    stem: String,
    format: Format,
    closed: Vec<Temporary>,
    open: Option<Part>,
    /// Of text, in all parts.
    bytes: u64,
}

struct Part {
    temporary: Temporary,
    writer: Writer,
    bytes: u64,
}

enum Writer {
    Plain(BufWriter<File>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

/// A file under a temporary name; gone with this value, unless it was renamed.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Another start removes what cannot be removed now.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A part that is complete and synced, and the name it is to have.
#[derive(Debug)]
pub(in super::super) struct Staged {
    temporary: Temporary,
    /// Its name in the folder.
    pub(in super::super) name: String,
}

impl Staged {
    /// Gives it its name. The folder is to be synced afterwards.
    pub(in super::super) fn publish(mut self, folder: &Path) -> Result<String> {
        let path = folder.join(&self.name);
        std::fs::rename(&self.temporary.path, &path)
            .map_err(|error| Error::io(ErrorKind::Output, "write", &path, error))?;
        self.temporary.renamed = true;
        Ok(std::mem::take(&mut self.name))
    }
}

const COMPRESSION_LEVEL: i32 = 3;

impl Series {
    /// Nothing yet, not even a file.
    pub(in super::super) fn new(folder: Arc<Folder>, stem: String, format: Format) -> Self {
        Self { folder, stem, format, closed: Vec::new(), open: None, bytes: 0 }
    }

    /// Bytes of text so far.
    pub(in super::super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A piece of a line.
    pub(in super::super) fn write(&mut self, text: &[u8]) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let part = match &mut self.open {
            Some(part) => part,
            none => none.insert(Part::create(
                &self.folder,
                &self.stem,
                self.closed.len(),
                &self.format,
            )?),
        };
        part.write(text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// The end of a line; a part that is long enough ends here too, if it `may_end`.
    pub(in super::super) fn end_line(&mut self, may_end: bool) -> Result<()> {
        self.write(b"\n")?;
        let full = self.open.as_ref().is_some_and(|part| part.bytes >= self.format.part_bytes);
        if full && may_end { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<()> {
        self.closed.extend(self.open.take().map(Part::close).transpose()?);
        Ok(())
    }

    /// All parts with their names: `Patient.00003.ndjson`, or `Patient.00003-001.ndjson` and so on.
    pub(in super::super) fn finish(mut self, extension: &str) -> Result<Vec<Staged>> {
        self.close()?;
        let single = self.closed.len() == 1;
        let zstd = if self.format.compress { ".zst" } else { "" };
        let stem = &self.stem;
        let name = |number: usize| {
            let part = if single { String::new() } else { format!("-{number:03}") };
            format!("{stem}{part}.{extension}{zstd}")
        };
        let numbered = self.closed.into_iter().zip(1..);
        Ok(numbered.map(|(temporary, n)| Staged { temporary, name: name(n) }).collect())
    }
}

impl Part {
    fn create(folder: &Folder, stem: &str, number: usize, format: &Format) -> Result<Self> {
        let path = folder.path().join(format!(".{stem}-{number}.part"));
        let failed = |error| Error::io(ErrorKind::Output, "write", &path, error);
        let file = BufWriter::new(File::create(&path).map_err(failed)?);
        let temporary = Temporary { path: path.clone(), renamed: false };
        let writer = if format.compress {
            Writer::Zstd(
                zstd::stream::write::Encoder::new(file, COMPRESSION_LEVEL).map_err(failed)?,
            )
        } else {
            Writer::Plain(file)
        };
        Ok(Self { temporary, writer, bytes: 0 })
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        self.bytes += text.len() as u64;
        match &mut self.writer {
            Writer::Plain(file) => file.write_all(text),
            Writer::Zstd(encoder) => encoder.write_all(text),
        }
        .map_err(|error| Error::io(ErrorKind::Output, "write", &self.temporary.path, error))
    }

    fn close(self) -> Result<Temporary> {
        let written = match self.writer {
            Writer::Plain(file) => Ok(file),
            Writer::Zstd(encoder) => encoder.finish(),
        };
        written
            .and_then(|file| file.into_inner().map_err(std::io::IntoInnerError::into_error))
            .and_then(|file| file.sync_all())
            .map_err(|error| Error::io(ErrorKind::Output, "write", &self.temporary.path, error))?;
        Ok(self.temporary)
    }
}
