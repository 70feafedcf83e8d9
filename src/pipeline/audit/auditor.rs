//! One thread's part: blocks in, findings out.

use std::collections::{HashMap, HashSet};

use bumpalo::Bump;

use super::finding::What;
use super::identities::{Identities, Key, key};
use super::places::{At, Places};
use super::walk::Walk;
use crate::error::Result;
use crate::fhirpath::Document;
use crate::ingest::{Block, BlockCounts, Line, Origin, Parser, Resource};

/// Holds the resources of a block against the definitions and the rest of the input.
pub(super) struct Auditor<'s> {
    pub(super) identities: &'s Identities,
    /// The urls under which the resources live on their server.
    pub(super) bases: &'s [String],
    pub(super) places: Places,
    pub(super) findings: Findings,
    /// How many objects were walked over, which numbers them.
    objects: u64,
}

/// What a block held.
pub(super) struct Audited {
    pub(super) counts: BlockCounts,
    /// By kind and path, in the order of their first place.
    pub(super) rows: Vec<Row>,
    /// Each by itself, if that was asked for.
    pub(super) listed: Vec<Listed>,
}

/// What was found at one path.
pub(super) struct Row {
    pub(super) what: What,
    pub(super) path: String,
    pub(super) count: u64,
    /// The first place; its line is counted from the first of the file in this block.
    pub(super) first: Origin,
}

/// One finding.
pub(super) struct Listed {
    /// Index of its row.
    pub(super) row: usize,
    pub(super) origin: Origin,
    /// The reference, the name or the identity that it is about; empty for others.
    pub(super) text: String,
}

impl<'s> Auditor<'s> {
    /// An auditor that has seen nothing; with `list`, each finding is kept by itself.
    pub(super) fn new(identities: &'s Identities, bases: &'s [String], list: bool) -> Self {
        let findings = Findings { list, ..Findings::default() };
        Self { identities, bases, places: Places::new(), findings, objects: 0 }
    }

    /// Audits the resources of a block.
    pub(super) fn block(
        &mut self,
        parser: &mut Parser,
        arena: &Bump,
        block: &Block,
    ) -> Result<Audited> {
        self.places.trim();
        let counts = parser.run(block, |line| {
            if let Line::Resource(resource) = line {
                Walk::new(document(&resource, arena), self, resource.origin)
                    .resource(resource.resource_type);
            }
            Ok(())
        })?;
        let (rows, listed) = self.findings.take(&self.places);
        Ok(Audited { counts, rows, listed })
    }

    /// The number of the next object.
    pub(super) fn next_object(&mut self) -> u64 {
        self.objects += 1;
        self.objects
    }
}

/// The keys of the resources of a block, and their types.
pub(super) fn identities(
    parser: &mut Parser,
    arena: &Bump,
    block: &Block,
) -> Result<(Vec<Key>, HashSet<String>)> {
    let (mut keys, mut types) = (Vec::new(), HashSet::new());
    parser.run(block, |line| {
        if let Line::Resource(resource) = line {
            let (doc, of) = (document(&resource, arena), resource.resource_type);
            if !types.contains(of) {
                types.insert(of.to_owned());
            }
            keys.extend(doc.child(doc.root, "id").and_then(|id| Some(key(of, doc.text(id)?))));
        }
        Ok(())
    })?;
    Ok((keys, types))
}

fn document<'a>(resource: &Resource<'a>, arena: &'a Bump) -> Document<'a> {
    let Resource { nodes, root, raw, base, .. } = *resource;
    Document::new(nodes, root as u32, raw, base, arena)
}

/// What was found so far in a block.
#[derive(Default)]
pub(super) struct Findings {
    list: bool,
    rows: HashMap<(What, At, Option<String>), usize>,
    counts: Vec<(u64, Origin)>,
    listed: Vec<Listed>,
}

impl Findings {
    /// Adds one, at a place or at a key of it that the definitions do not have. `text` is what it is about.
    pub(super) fn add(
        &mut self,
        what: What,
        place: At,
        name: Option<&str>,
        origin: Origin,
        text: impl FnOnce() -> String,
    ) {
        let next = self.counts.len();
        let row = *self.rows.entry((what, place, name.map(shown))).or_insert(next);
        if row == next {
            self.counts.push((0, origin));
        }
        self.counts[row].0 += 1;
        if self.list {
            self.listed.push(Listed { row, origin, text: text() });
        }
    }

    /// Gives what was found, and begins anew.
    fn take(&mut self, places: &Places) -> (Vec<Row>, Vec<Listed>) {
        let mut keys: Vec<_> = self.rows.drain().collect();
        keys.sort_unstable_by_key(|(_, row)| *row);
        let rows = keys.into_iter().zip(self.counts.drain(..)).map(|((key, _), (count, first))| {
            let (what, place, name) = key;
            let path = [places.path(place)].into_iter().filter(|path| !path.is_empty());
            let path = path.chain(name).collect::<Vec<_>>().join(".");
            Row { what, path, count, first }
        });
        (rows.collect(), std::mem::take(&mut self.listed))
    }
}

/// Longer names are no names of elements or types.
const LONGEST_NAME: usize = 50;

/// A name as it may be shown: one that looks like an element's or a type's (`birthdate`, `MedicationUsage`). Any other
/// may be data that was put in the wrong place, and all data may be PHI.
fn shown(name: &str) -> String {
    let mut letters = name.strip_prefix('_').unwrap_or(name).bytes();
    let first = letters.next().is_some_and(|b| b.is_ascii_alphabetic());
    let second = letters.next().is_some_and(|b| b.is_ascii_lowercase());
    let like_a_name = first && second && letters.all(|b| b.is_ascii_alphabetic());
    if like_a_name && name.len() <= LONGEST_NAME { name.to_owned() } else { "*".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn only_what_looks_like_a_name_of_fhir_is_shown() {
        for name in ["birthdate", "_given", "MedicationUsage", "resourceTypE"] {
            assert_eq!(shown(name), name);
        }
        let long = "a".repeat(51);
        for name in ["", "_", "a", "ZEBRA", "Mc Coy", "a1", "1a", "o'neil", "müller", "__a", &long]
        {
            assert_eq!(shown(name), "*", "{name}");
        }
    }
}
