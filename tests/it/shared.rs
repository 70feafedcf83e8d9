//! The shared data that is not part of the repository.

use std::path::PathBuf;

/// A file or folder below `KILN_SHARED` (default `../shared`); prints that the test is skipped where it is missing.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root =
        std::env::var_os("KILN_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: {} is not there (set KILN_SHARED)", found.display());
    None
}
