//! Which resources came, and which of several versions of one counts.
//!
//! An export may hold a resource twice: in two of its files, or because its server lists what changed while it exports.
//! The latest by `meta.lastUpdated` counts, else the later in the order of the input; a whole one before one that is tagged
//! SUBSETTED. Forty bytes a resource are noted; they leave memory for files of the staging area when there are many, so
//! that memory does not grow with the export.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;

use super::instant;
use crate::durable::{create_folder, output_error};
use crate::error::Result;
use crate::ingest::{Identity, Origin};
use crate::warehouse::{KeySet, key_hash};

/// Where a resource stands in the whole input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The file, counted over all parts of the input.
    file: u32,
    /// Offset of the line.
    offset: u64,
    /// Entry of a Bundle.
    entry: Option<u32>,
}

impl Place {
    /// The place of a resource in the file with this number.
    pub(super) fn of(origin: Origin, file: u32) -> Self {
        Self { file, offset: origin.offset, entry: origin.entry }
    }
}

/// A resource that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Hash of its id.
    key: u128,
    /// Its type, by number.
    of: u16,
    whole: bool,
    /// `meta.lastUpdated` in microseconds since 1970; the least there is for none.
    updated: i64,
    place: Place,
}

/// The key of a resource: its id, behind the name of its source if that has one.
pub(super) fn key<'k>(source: Option<&str>, id: &'k str) -> Cow<'k, str> {
    source.map_or(Cow::Borrowed(id), |source| Cow::Owned(format!("{source}/{id}")))
}

impl Seen {
    /// A resource with an id, of a source that may have a name; one without an id has no other versions.
    pub(super) fn of(
        identity: &Identity<'_>,
        source: Option<&str>,
        of: usize,
        place: Place,
    ) -> Option<Self> {
        let updated = identity.last_updated.and_then(instant::microseconds).unwrap_or(i64::MIN);
        Some(Self {
            key: key_hash(&key(source, identity.id?)),
            of: of as u16,
            whole: !identity.subsetted,
            updated,
            place,
        })
    }

    /// What is compared to find the version that counts: the greatest.
    fn rank(&self) -> (bool, i64, Place) {
        (self.whole, self.updated, self.place)
    }

    const BYTES: usize = 16 + 2 + 1 + 8 + 4 + 8 + 5;

    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.key.to_le_bytes());
        to.extend(self.of.to_le_bytes());
        to.push(u8::from(self.whole));
        to.extend(self.updated.to_le_bytes());
        to.extend(self.place.file.to_le_bytes());
        to.extend(self.place.offset.to_le_bytes());
        to.push(u8::from(self.place.entry.is_some()));
        to.extend(self.place.entry.unwrap_or_default().to_le_bytes());
    }

    fn read(bytes: &[u8; Self::BYTES]) -> Self {
        let mut rest = &bytes[..];
        Self {
            key: u128::from_le_bytes(take(&mut rest)),
            of: u16::from_le_bytes(take(&mut rest)),
            whole: take::<1>(&mut rest) != [0],
            updated: i64::from_le_bytes(take(&mut rest)),
            place: Place {
                file: u32::from_le_bytes(take(&mut rest)),
                offset: u64::from_le_bytes(take(&mut rest)),
                entry: {
                    let is_some = take::<1>(&mut rest) != [0];
                    let entry = u32::from_le_bytes(take(&mut rest));
                    is_some.then_some(entry)
                },
            },
        }
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    let (taken, rest) = from.split_first_chunk().expect("a record has this length");
    *from = rest;
    *taken
}

/// Records are kept in so many lists, by their key, each of which is looked through on its own.
const LISTS: usize = 256;

/// So many wait in memory: 64 MB.
const WAITING: usize = 1 << 20;

/// All resources of the types that have views.
pub(super) struct Census {
    /// Where records go that do not fit in memory.
    folder: PathBuf,
    lists: Vec<Vec<Seen>>,
    waiting: usize,
    /// How many may wait.
    most: usize,
    spilled: bool,
}

/// What a census comes to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Versions that do not count, for those of another place.
    pub(super) superseded: HashSet<Place>,
    /// Of them, how many, by the number of the type.
    pub(super) by_type: BTreeMap<usize, u64>,
    /// The keys that came, by the number of the type; only if they were asked for.
    pub(super) keys: BTreeMap<usize, KeySet>,
    /// Of these, how many were deleted later.
    pub(super) deleted: usize,
}

impl Census {
    /// None yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, lists: vec![Vec::new(); LISTS], waiting: 0, most: WAITING, spilled: false }
    }

    /// Takes in resources.
    pub(super) fn add(&mut self, seen: impl IntoIterator<Item = Seen>) -> Result<()> {
        for one in seen {
            self.lists[(one.key >> 120) as usize].push(one);
            self.waiting += 1;
        }
        if self.waiting >= self.most { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<()> {
        create_folder(&self.folder)?;
        self.spilled = true;
        self.waiting = 0;
        let mut bytes = Vec::new();
        for list in 0..LISTS {
            bytes.clear();
            self.lists[list].drain(..).for_each(|seen| seen.write(&mut bytes));
            let path = self.path(list);
            let file = OpenOptions::new().append(true).create(true).open(&path);
            file.and_then(|mut file| file.write_all(&bytes))
                .map_err(|e| output_error("write", &path, e))?;
        }
        Ok(())
    }

    fn path(&self, list: usize) -> PathBuf {
        self.folder.join(format!("{list:02x}"))
    }

    /// Finds the versions that do not count; with `keys`, also the keys that came.
    ///
    /// The first files, so many, are older than what is said to be deleted, by the number of the type: what is in none but
    /// them was there, and is no more.
    pub(super) fn find(
        mut self,
        keys: bool,
        older_files: u32,
        deleted: &BTreeMap<usize, KeySet>,
    ) -> Result<Found> {
        let mut found = Found::default();
        for list in 0..LISTS {
            let mut seen = std::mem::take(&mut self.lists[list]);
            if self.spilled {
                self.read(list, &mut seen)?;
            }
            seen.sort_unstable_by_key(|one| (one.of, one.key, one.rank()));
            let is_deleted = |last: &Seen| {
                let of_type = || deleted.get(&usize::from(last.of));
                last.place.file < older_files
                    && of_type().is_some_and(|of| of.contains_hash(last.key))
            };
            found.add(&seen, keys, is_deleted);
        }
        Ok(found)
    }

    fn read(&self, list: usize, into: &mut Vec<Seen>) -> Result<()> {
        let path = self.path(list);
        let failed = |e| output_error("read", &path, e);
        let mut file = BufReader::new(File::open(&path).map_err(failed)?);
        let records = file.get_ref().metadata().map_err(failed)?.len() as usize / Seen::BYTES;
        into.reserve(records);
        let mut bytes = [0; Seen::BYTES];
        for _ in 0..records {
            file.read_exact(&mut bytes).map_err(failed)?;
            into.push(Seen::read(&bytes));
        }
        Ok(())
    }
}

impl Found {
    /// Takes in records of which those of one resource stand together, the one that counts last.
    fn add(&mut self, seen: &[Seen], keys: bool, is_deleted: impl Fn(&Seen) -> bool) {
        for versions in seen.chunk_by(|a, b| (a.of, a.key) == (b.of, b.key)) {
            let Some((last, earlier)) = versions.split_last() else { continue };
            let of = usize::from(last.of);
            let deleted = is_deleted(last);
            self.deleted += usize::from(deleted);
            let earlier = if deleted { versions } else { earlier };
            if !earlier.is_empty() {
                *self.by_type.entry(of).or_default() += earlier.len() as u64;
                self.superseded.extend(earlier.iter().map(|seen| seen.place));
            }
            if keys {
                self.keys.entry(of).or_default().insert_hash(last.key);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(of: usize, id: &str, updated: Option<&str>, subsetted: bool, offset: u64) -> Seen {
        let identity = Identity { id: Some(id), last_updated: updated, subsetted };
        let origin = Origin { file: 0, line: 1, offset, entry: (offset % 2 == 1).then_some(7) };
        Seen::of(&identity, None, of, Place::of(origin, 3)).unwrap()
    }

    #[test]
    fn the_version_that_counts() {
        type Version = (Option<&'static str>, bool);
        const OLD: Option<&str> = Some("2026-01-01T00:00:00Z");
        const NEW: Option<&str> = Some("2026-01-01T00:00:00.001Z");
        // The same instant as NEW.
        const ABROAD: Option<&str> = Some("2026-01-01T02:00:00.001+02:00");
        let cases: [(&[Version], u64); 9] = [
            (&[(None, false)], 0),
            (&[(None, false), (None, false)], 1),
            (&[(OLD, false), (NEW, false)], 1),
            (&[(NEW, false), (OLD, false)], 0),
            (&[(NEW, false), (ABROAD, false), (OLD, false)], 1),
            (&[(OLD, false), (None, false)], 0),
            (&[(OLD, false), (Some("soon"), false)], 0),
            (&[(OLD, false), (NEW, true)], 0),
            (&[(OLD, true), (NEW, true)], 1),
        ];
        for (versions, counts) in cases {
            for most in [WAITING, 2, 1] {
                let folder = tempfile::tempdir().unwrap();
                let mut census = Census { most, ..Census::new(folder.path().join("census")) };
                for (i, (updated, subsetted)) in versions.iter().enumerate() {
                    census.add([seen(1, "a", *updated, *subsetted, i as u64)]).unwrap();
                    // Others with this id, or of this type.
                    census.add([seen(0, "a", NEW, false, 10 + i as u64)]).unwrap_or_default();
                    census.add([seen(1, &format!("b{i}"), NEW, false, 20 + i as u64)]).unwrap();
                }
                let found = census.find(true, 0, &BTreeMap::new()).unwrap();
                let of_a = |offset: u64| seen(1, "a", None, false, offset).place;
                let left: Vec<_> = (0..versions.len() as u64)
                    .filter(|i| !found.superseded.contains(&of_a(*i)))
                    .collect();
                assert_eq!(left, [counts], "{versions:?}, {most} in memory");
                assert_eq!(found.by_type.get(&1).copied().unwrap_or(0), versions.len() as u64 - 1);
                assert_eq!(found.keys[&1].len(), versions.len() + 1);
                assert!(found.keys[&1].contains("a") && !found.keys[&0].contains("b0"));
            }
        }
    }
}
