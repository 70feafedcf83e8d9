//! Writing that survives a power cut once it returns, and that nobody sees half of.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// An error of writing, with what the user can do about it.
pub(super) fn output_error(doing: &str, path: &Path, source: io::Error) -> Error {
    let hint = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free disk space; the same command then goes on with what is stored"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that this user may write to"
        }
        _ => "check that the folder exists and can be written",
    };
    Error::io(ErrorKind::Output, doing, path, source).hint(hint)
}

/// Creates a folder and those above it, and makes its entry in its parent durable.
pub(in crate::export) fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|e| output_error("create", path, e))?;
    path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::export) enum Readers {
    /// Whom the system lets read new files.
    Usual,
    /// Its owner: urls of exports may carry signatures.
    Owner,
}

/// Writes a whole file so that a reader sees either the old content or all of the new.
pub(in crate::export) fn write_whole(path: &Path, content: &[u8], readers: Readers) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary).map_err(|e| output_error("create", &temporary, e))?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|e| output_error("write", &temporary, e))?;
    fs::rename(&temporary, path).map_err(|e| output_error("write", path, e))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes what was created in or renamed into a folder durable.
fn sync_folder(path: &Path) -> Result<()> {
    // A folder cannot be opened as a file everywhere; where it cannot, the rename itself is durable.
    if cfg!(not(unix)) {
        return Ok(());
    }
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| output_error("write", path, e))
}
