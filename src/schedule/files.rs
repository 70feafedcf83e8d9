//! The pipeline files that the service was given, and what became of them since the last look.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The pipeline files of a path: itself, or the `.toml` files of a folder, sorted.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files = listed(path).map_err(|e| Error::io(ErrorKind::Input, "read", path, e))?;
    files.sort();
    Ok(files)
}

/// Files, and the `.toml` files of folders.
#[derive(Debug)]
pub(super) struct Files {
    given: Vec<PathBuf>,
    /// Their content at the last look; none of those that cannot be read. (Times of change are too coarse, and pipeline
    /// files are small.)
    seen: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new, or was written to.
    Written(PathBuf),
    /// It is not there any more.
    Gone(PathBuf),
}

impl Files {
    pub(super) fn new(given: Vec<PathBuf>) -> Self {
        Self { given, seen: BTreeMap::new() }
    }

    /// Looks again.
    ///
    /// # Errors
    /// A folder cannot be listed; then nothing is said of any file.
    pub(super) fn changes(&mut self) -> Result<Vec<Change>, (PathBuf, io::Error)> {
        let mut found = BTreeSet::new();
        for path in &self.given {
            found.extend(listed(path).map_err(|error| (path.clone(), error))?);
        }
        let mut changes = Vec::new();
        for path in &found {
            let content = std::fs::read(path).ok();
            if self.seen.get(path) != Some(&content) {
                self.seen.insert(path.clone(), content);
                changes.push(Change::Written(path.clone()));
            }
        }
        let gone = |path: &PathBuf| (!found.contains(path)).then(|| Change::Gone(path.clone()));
        changes.extend(self.seen.keys().filter_map(gone));
        self.seen.retain(|path, _| found.contains(path));
        Ok(changes)
    }

    /// Whether files may come.
    pub(super) fn has_folder(&self) -> bool {
        self.given.iter().any(|path| path.is_dir())
    }
}

/// A file, also if it is not there; of a folder its `.toml` files that are not hidden.
fn listed(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if path.extension().is_some_and(|e| e == "toml") && !path.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if !hidden && file.extension().is_some_and(|e| e == "toml") {
            files.push(file);
        }
    }
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn changes_are_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.toml", "b.toml", ".hidden.toml", "notes.md"] {
            fs::write(path(name), "1").unwrap();
        }
        let mut files = Files::new(vec![folder.path().to_owned(), path("a.toml")]);
        let written = |name: &str| Change::Written(path(name));
        assert_eq!(files.changes().unwrap(), [written("a.toml"), written("b.toml")]);
        assert_eq!(files.changes().unwrap(), []);
        fs::write(path("a.toml"), "2").unwrap();
        fs::write(path("c.toml"), "1").unwrap();
        fs::remove_file(path("b.toml")).unwrap();
        let changes = [written("a.toml"), written("c.toml"), Change::Gone(path("b.toml"))];
        assert_eq!(files.changes().unwrap(), changes);
        assert_eq!(files.changes().unwrap(), []);
        // A folder that is away for a moment has not lost its pipelines.
        let away = path("away");
        let mut files = Files::new(vec![away.clone()]);
        assert_eq!(files.changes().unwrap_err().0, away);
    }
}
