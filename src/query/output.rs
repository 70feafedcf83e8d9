//! Where results go: a stream, a person's screen, or a file that appears whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind as Io};
use std::path::{Path, PathBuf};

use super::cell::repeated_name;
use super::error::NAME_APART;
use super::format::{Encode, Format, Sink};
use super::results::Results;
use crate::error::{Error, ErrorKind, Result};

/// The destination of [`write`].
pub enum Output<'a> {
    /// A stream. If its reader closes it, writing ends there and is no error.
    Stream(Sink<'a>),
    /// A person's screen: as a stream, but [`Format::Table`] shows at most so many rows of each
    /// result and says how many more there are.
    Screen(Sink<'a>, usize),
    /// A file, written under another name beside it and renamed when whole. A device or a named
    /// pipe is written to directly.
    File(PathBuf),
}

/// What [`write`] has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows of all result sets; those beyond the limit of a screen count too.
    pub rows: u64,
    /// Result sets.
    pub sets: usize,
}

/// Runs `results` to their end and writes them as `format`, batch by batch.
///
/// Fails with [`ErrorKind::Definition`] when the format cannot hold what the statements give
/// (several results, two columns of one name), [`ErrorKind::Usage`] when the output cannot hold
/// the format, [`ErrorKind::Output`] when it cannot be written, and as [`Results::next`] does.
pub async fn write(mut results: Results, format: Format, to: Output<'_>) -> Result<Written> {
    check(&results, format, &to)?;
    match to {
        Output::Stream(sink) => stream(&mut results, format, sink, None).await,
        Output::Screen(sink, rows) => stream(&mut results, format, sink, Some(rows)).await,
        Output::File(path) => file(&mut results, format, &path).await,
    }
}

/// Why writing stopped before the end.
enum Stop {
    /// The reader has had enough.
    Closed,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        if e.kind() == Io::BrokenPipe {
            return Self::Closed;
        }
        Self::Failed(
            Error::new(ErrorKind::Output, format!("cannot write the result: {e}")).caused_by(e),
        )
    }
}

fn check(results: &Results, format: Format, to: &Output<'_>) -> Result<()> {
    let sets = results.remaining();
    let file = matches!(to, Output::File(_));
    if format == Format::Parquet && !file {
        return Err(Error::new(ErrorKind::Usage, "`parquet` is written to a file only")
            .hint("name the file with `--output`"));
    }
    if sets == 0 && file {
        return Err(Error::new(ErrorKind::Definition, "no statement gives rows to write"));
    }
    if sets > 1 && !format.holds_several() {
        let message =
            format!("{sets} statements give rows, but `{}` holds one result", format.name());
        return Err(Error::new(ErrorKind::Definition, message)
            .hint("make the earlier ones views with CREATE VIEW, or choose `table` or `ndjson`"));
    }
    Ok(())
}

async fn stream(
    results: &mut Results,
    format: Format,
    sink: Sink<'_>,
    rows: Option<usize>,
) -> Result<Written> {
    let mut written = Written::default();
    let mut encoder = format.encoder(sink, rows);
    match pour(results, format, encoder.as_mut(), &mut written).await {
        Ok(()) | Err(Stop::Closed) => Ok(written),
        Err(Stop::Failed(error)) => Err(error),
    }
}

async fn pour(
    results: &mut Results,
    format: Format,
    encoder: &mut dyn Encode,
    written: &mut Written,
) -> Result<(), Stop> {
    while let Some(mut set) = results.next().await? {
        if let Some(name) = repeated_name(&set.schema).filter(|_| format.needs_unique_names()) {
            let message =
                format!("two columns are named `{name}`, which `{}` cannot hold", format.name());
            return Err(Error::new(ErrorKind::Definition, message).hint(NAME_APART).into());
        }
        encoder.begin(&set.schema)?;
        while let Some(batch) = set.next().await? {
            encoder.batch(&batch)?;
            written.rows += batch.num_rows() as u64;
        }
        encoder.end()?;
        written.sets += 1;
    }
    Ok(encoder.finish()?)
}

async fn file(results: &mut Results, format: Format, path: &Path) -> Result<Written> {
    let fault = |doing| move |e| Error::io(ErrorKind::Output, doing, path, e);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(fault("write")(io::Error::from(Io::IsADirectory)));
        }
        Ok(found) if !found.is_file() => {
            let device = File::options().write(true).open(path).map_err(fault("open"))?;
            return stream(results, format, Box::new(BufWriter::new(device)), None).await;
        }
        _ => {}
    }
    let partial = Partial::create(path).map_err(fault("write beside"))?;
    let copy = partial.file.try_clone().map_err(fault("write"))?;
    let sink = Box::new(BufWriter::with_capacity(1 << 18, copy));
    let written = stream(results, format, sink, None).await?;
    partial.publish().map_err(fault("write"))?;
    Ok(written)
}

/// A file on its way to a name. Dropped before [`Partial::publish`], it leaves nothing.
pub struct Partial {
    /// Open for writing.
    pub file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Partial {
    /// A file that will be `target`.
    pub fn create(target: &Path) -> io::Result<Self> {
        // Through a link, so that the link is kept and its target replaced.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let name = target.file_name().ok_or(Io::InvalidFilename)?.to_string_lossy().into_owned();
        let path = target.with_file_name(format!(".{name}.{}.partial", uuid::Uuid::new_v4()));
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, target })
    }

    /// As [`Self::create`], for its owner only.
    pub fn create_private(target: &Path) -> io::Result<Self> {
        let partial = Self::create(target)?;
        // Nothing is in it yet that others might have read.
        #[cfg(unix)]
        partial.file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(partial)
    }

    /// Makes it durable and gives it its name.
    pub fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename there is nothing by this name: the failure to remove it says nothing.
        let _ = fs::remove_file(&self.path);
    }
}
