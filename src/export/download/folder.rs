//! The folder of an export: names of stored files, and what an earlier start left in it.
//!
//! ```text
//! Patient.00003.ndjson        fourth file of `output`
//! Patient.00003-002.ndjson    its second part, if it was cut
//! deleted.00000.ndjson.zst    first file of `deleted`, compressed
//! Resource.00007.json         of no known type, and one JSON document rather than lines
//! .Patient.00004-0.part       not whole yet
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::parts::Staged;
use super::{Section, Wanted};
use crate::durable::sync_folder;
use crate::error::{Error, ErrorKind, Result};

/// The folder, and the files found in it that nobody has asked for yet.
#[derive(Debug)]
pub(in super::super) struct Folder {
    path: PathBuf,
    found: Mutex<HashMap<Slot, Vec<String>>>,
}

/// A place of the manifest: what a file's name is made of, besides its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    section: Section,
    index: usize,
}

const TEMPORARY: &str = ".part";

impl Folder {
    /// Opens it. Temporary files that a killed process left are removed.
    pub(in super::super) fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(ErrorKind::Output, "read", path, error);
        let mut found: HashMap<Slot, Vec<String>> = HashMap::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with('.') && name.ends_with(TEMPORARY) {
                let left = path.join(name);
                std::fs::remove_file(&left)
                    .map_err(|error| Error::io(ErrorKind::Output, "remove", &left, error))?;
            } else if let Some(slot) = Slot::of_name(name) {
                found.entry(slot).or_default().push(name.to_owned());
            }
        }
        Ok(Self { path: path.to_owned(), found: Mutex::new(found) })
    }

    /// The folder as a place to write to, while others write too.
    pub(in super::super) fn beside(path: &Path) -> Self {
        Self { path: path.to_owned(), found: Mutex::default() }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes parts visible, for good: renamed, and the folder synced. Parts of the same file that an earlier start
    /// stored but did not live to note are removed, lest a line be there twice.
    pub(super) fn publish(&self, slot: Slot, parts: Vec<Staged>) -> Result<Vec<PathBuf>> {
        let earlier = self.found.lock().expect("nothing panics while it is held").remove(&slot);
        let names: Vec<_> =
            parts.into_iter().map(|part| part.publish(&self.path)).collect::<Result<_>>()?;
        for old in earlier.into_iter().flatten().filter(|old| !names.contains(old)) {
            let path = self.path.join(old);
            std::fs::remove_file(&path)
                .map_err(|error| Error::io(ErrorKind::Output, "remove", &path, error))?;
        }
        sync_folder(&self.path)?;
        Ok(names.into_iter().map(PathBuf::from).collect())
    }
}

impl Slot {
    /// That of a file.
    pub(super) fn of(file: &Wanted) -> Self {
        Self { section: file.section, index: file.index }
    }

    /// The name without extension, of a file or, if it is organised by blocks, of one type of it.
    pub(super) fn stem(self, type_name: &str) -> String {
        let Self { section, index } = self;
        match section {
            Section::Output => format!("{type_name}.{index:05}"),
            Section::Deleted | Section::Error => format!("{}.{index:05}", section.name()),
        }
    }

    /// That of a stored file, or part.
    fn of_name(name: &str) -> Option<Self> {
        let (kind, rest) = name.split_once('.')?;
        let (number, extension) = rest.split_once('.')?;
        let number = number.split_once('-').map_or(number, |(index, _part)| index);
        let ours = number.len() >= 5
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && matches!(extension, "ndjson" | "ndjson.zst" | "json" | "json.zst");
        let section = match kind {
            "deleted" => Section::Deleted,
            "error" => Section::Error,
            _ => Section::Output,
        };
        ours.then(|| number.parse().ok()).flatten().map(|index| Self { section, index })
    }
}

/// A resource type as part of a file name. What a server says may be anything: other characters than letters and digits
/// are left out, and what then does not look like a type is `Resource`.
pub(super) fn type_name(said: Option<&str>) -> String {
    let said = said.unwrap_or_default().chars();
    let name: String = said.filter(char::is_ascii_alphanumeric).take(64).collect();
    if name.starts_with(|c: char| c.is_ascii_uppercase()) { name } else { "Resource".to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types() {
        for (said, expected) in [
            (Some("Patient"), "Patient"),
            (Some("../../Patient\0"), "Patient"),
            (Some("deleted"), "Resource"),
            (Some(""), "Resource"),
            (Some("../.."), "Resource"),
            (None, "Resource"),
        ] {
            assert_eq!(type_name(said), expected, "{said:?}");
        }
    }

    #[test]
    fn names_tell_their_place() {
        let slot = |section, index| Some(Slot { section, index });
        for (name, expected) in [
            ("Patient.00003.ndjson", slot(Section::Output, 3)),
            ("Patient.00003-002.ndjson.zst", slot(Section::Output, 3)),
            ("Resource.123456.json", slot(Section::Output, 123_456)),
            ("deleted.00000.ndjson", slot(Section::Deleted, 0)),
            ("error.00001.ndjson", slot(Section::Error, 1)),
            ("export.json", None),
            ("log.ndjson", None),
            ("Patient.ndjson", None),
            ("Patient.3.ndjson", None),
            ("Patient.00003.csv", None),
        ] {
            assert_eq!(Slot::of_name(name), expected, "{name}");
        }
    }
}
