//! Where libraries are found by their canonical url, and in which order their dependencies are made.

use std::path::{Path, PathBuf};

use super::annotation::wrong;
use super::{Library, LibraryType};
use crate::error::{Error, ErrorKind, Result};

/// The libraries that a file may depend on.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    libraries: Vec<Library>,
}

impl Shelf {
    /// Every annotated `.sql` file and every Library in a `.json` file of a folder, at any depth but not in folders whose
    /// names begin with `.` or `_`, as those of a warehouse do. Files that are neither are passed over; one that is
    /// annotated and wrong is an error.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut shelf = Self::default();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let failed = |e| Error::io(ErrorKind::Input, "read", &folder, e);
            let mut entries: Vec<_> = std::fs::read_dir(&folder)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(failed)?
                .iter()
                .map(std::fs::DirEntry::path)
                .collect();
            entries.sort();
            for path in entries {
                if path.is_dir() {
                    folders.extend(Some(path).filter(|path| !is_bookkeeping(path)));
                } else if is_library(&path) {
                    shelf.libraries.push(Library::read(&path)?);
                }
            }
        }
        Ok(shelf)
    }

    /// As [`Shelf::read`], of several folders.
    pub fn read_all(folders: &[PathBuf]) -> Result<Self> {
        let shelves = folders.iter().map(|folder| Ok(Self::read(folder)?.libraries));
        let libraries = shelves.collect::<Result<Vec<_>>>()?.concat();
        Ok(Self { libraries })
    }

    /// A shelf of these.
    pub fn of(libraries: Vec<Library>) -> Self {
        Self { libraries }
    }

    /// Adds those whose url no library of the shelf has.
    #[must_use]
    pub fn or(mut self, others: Vec<Library>) -> Self {
        let new = |other: &Library| !self.libraries.iter().any(|own| own.url == other.url);
        let others: Vec<_> = others.into_iter().filter(new).collect();
        self.libraries.extend(others);
        self
    }

    /// The library of a `url` or `url|version`; `None` if there is none of that url. Several versions and none pinned, or
    /// none of the pinned version, is an error.
    pub fn find(&self, canonical: &str) -> Result<Option<&Library>> {
        let (url, version) = match canonical.split_once('|') {
            Some((url, version)) => (url, Some(version)),
            None => (canonical, None),
        };
        let of_url: Vec<_> = self.libraries.iter().filter(|l| l.url == url).collect();
        let fits = |l: &&&Library| version.is_none() || l.version.as_deref() == version;
        let mut fitting = of_url.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(Some(one)),
            (Some(_), Some(_)) => Err(wrong(format!("`{canonical}` is the url of several files"))
                .hint("name the version, as in `url|1.0.0`, and keep each version once")),
            (None, _) if of_url.is_empty() => Ok(None),
            (None, _) => {
                let versions: Vec<_> = of_url.iter().filter_map(|l| l.version.as_deref()).collect();
                Err(wrong(format!("there is no `{canonical}`"))
                    .hint(format!("there are the versions: {}", versions.join(", "))))
            }
        }
    }

    /// The SQLViews that `library` needs, each behind those that it needs itself. A circle is an error that shows it.
    pub(super) fn order(&self, library: &Library) -> Result<Vec<Library>> {
        let (mut ordered, mut path) = (Vec::new(), Vec::new());
        self.visit(library, &mut path, &mut ordered)?;
        ordered.pop();
        Ok(ordered)
    }

    fn visit(
        &self,
        library: &Library,
        path: &mut Vec<String>,
        ordered: &mut Vec<Library>,
    ) -> Result<()> {
        if ordered.iter().any(|done| done.url == library.url) {
            return Ok(());
        }
        if let Some(start) = path.iter().position(|url| *url == library.url) {
            let circle: Vec<_> =
                path[start..].iter().chain([&library.url]).map(String::as_str).collect();
            return Err(wrong(format!("libraries depend on each other: {}", circle.join(" → "))));
        }
        path.push(library.url.clone());
        for dependency in &library.dependencies {
            let Some(found) = self.find(&dependency.canonical)? else { continue };
            if found.kind == LibraryType::Query {
                let message =
                    format!("`{}` is an SQLQuery, and only SQLViews are tables", found.url);
                return Err(wrong(message).hint("`@type: sql-view` makes a view of it"));
            }
            self.visit(found, path, ordered)?;
        }
        path.pop();
        ordered.push(library.clone());
        Ok(())
    }
}

fn is_bookkeeping(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']))
}

/// No library is longer: a folder may also hold exports, which are not to be read to the end.
const LONGEST: u64 = 4 << 20;

/// Whether a file is meant to be a library.
fn is_library(path: &Path) -> bool {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > LONGEST) {
        return false;
    }
    let text = || std::fs::read_to_string(path).unwrap_or_default();
    match path.extension().and_then(|e| e.to_str()) {
        Some("sql") => Library::is_annotated(&text()),
        Some("json") => text().contains("\"Library\""),
        _ => false,
    }
}
