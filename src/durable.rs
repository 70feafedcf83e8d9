//! File operations that name the path when they fail and survive a power cut once they return.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// A step that a crash may come before. Tests of debug builds choose which, by `KILN_CRASH_AT`: the process ends there as
/// if it were killed.
pub(crate) fn step() {
    #[cfg(debug_assertions)]
    {
        use std::sync::LazyLock;
        use std::sync::atomic::{AtomicU64, Ordering};
        static CRASH_AT: LazyLock<Option<u64>> =
            LazyLock::new(|| std::env::var("KILN_CRASH_AT").ok()?.parse().ok());
        static STEPS: AtomicU64 = AtomicU64::new(0);
        if let Some(at) = *CRASH_AT
            && STEPS.fetch_add(1, Ordering::Relaxed) == at
        {
            std::process::abort();
        }
    }
}

/// An error of writing, with what the user can do about it.
pub(crate) fn output_error(doing: &str, path: &Path, source: io::Error) -> Error {
    let hint = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free disk space, or choose an output on another disk; what is not whole does not count"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose an output that this user may write to"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file stands where a folder is needed: move it away, or choose another output"
        }
        _ => "check that the output exists and can be written",
    };
    Error::io(ErrorKind::Output, doing, path, source).hint(hint)
}

/// Creates a folder and those above it, and makes its entry in its parent durable.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|e| output_error("create", path, e))?;
    path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// Creates or empties a file for writing.
pub(crate) fn create_file(path: &Path) -> Result<File> {
    step();
    File::create(path).map_err(|e| output_error("create", path, e))
}

/// Renames within one file system. Durable only after [`sync_folder`] of the new parent.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    step();
    fs::rename(from, to).map_err(|e| output_error("write", to, e))
}

/// Makes a file's content durable.
pub(crate) fn sync_file(path: &Path) -> Result<()> {
    step();
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| output_error("write", path, e))
}

/// Makes the entries of a folder durable: what was created in it or renamed into it.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    // A folder cannot be opened as a file everywhere; where it cannot, the rename itself is durable.
    if cfg!(not(unix)) {
        return Ok(());
    }
    sync_file(path)
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whom the system lets read new files.
    Usual,
    /// Its owner.
    Owner,
}

/// Writes a whole file so that a reader sees either the old content or all of the new.
pub(crate) fn write_whole(path: &Path, content: &[u8], readers: Readers) -> Result<()> {
    step();
    // Always the same name: what a killed process left is written over by the next.
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
    written.map_err(|e| output_error("write", path, e))?;
    rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Removes a folder with all it holds; one that is not there is no error.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    step();
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(output_error("remove", path, e)),
        _ => Ok(()),
    }
}
