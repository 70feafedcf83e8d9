//! Files that appear when they are whole: for everybody, or for their owner only.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::query::Partial;

/// Writes a file of results without patients.
pub(super) fn write(
    path: &Path,
    content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<()> {
    fill(path, Partial::create(path), content)
}

/// Writes a file that names patients.
pub(super) fn write_private(
    path: &Path,
    content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<()> {
    fill(path, Partial::create_private(path), content)
}

fn fill(
    path: &Path,
    partial: io::Result<Partial>,
    content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<()> {
    let failed = |e| Error::io(ErrorKind::Output, "write", path, e);
    let partial = partial.map_err(failed)?;
    let mut to = BufWriter::with_capacity(1 << 18, &partial.file);
    content(&mut to).and_then(|()| to.flush()).map_err(failed)?;
    drop(to);
    partial.publish().map_err(failed)
}
