//! Which resources the input holds: 16 bytes for each type and id, however long they are.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

/// The hash of a type and id. By its 128 bits, two of 10^9 resources are taken for one with a chance below 10^-20.
pub(super) type Key = u128;

/// The key of a resource.
pub(super) fn key(of: &str, id: &str) -> Key {
    let mut hasher = DefaultHasher::new();
    (of, id).hash(&mut hasher);
    let low = hasher.finish();
    hasher.write_u8(1);
    Key::from(hasher.finish()) << 64 | Key::from(low)
}

/// Keys are kept in so many lists, by their first bits: lists that grow and are sorted on their own need little memory
/// besides, and all threads can sort.
const LISTS: usize = 1 << 10;

/// The resources of the input.
pub(super) struct Identities {
    lists: Vec<Vec<Key>>,
    repeated: HashSet<Key>,
    types: HashSet<String>,
}

impl Identities {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { lists: vec![Vec::new(); LISTS], repeated: HashSet::new(), types: HashSet::new() }
    }

    /// Adds the keys and types of some resources. The order is of no account.
    pub(super) fn add(&mut self, keys: Vec<Key>, types: HashSet<String>) {
        for key in keys {
            self.lists[list(key)].push(key);
        }
        self.types.extend(types);
    }

    /// Makes them ready to be asked.
    pub(super) fn seal(mut self) -> Self {
        let repeated = self.lists.par_iter_mut().flat_map_iter(|keys| {
            keys.sort_unstable();
            let repeated = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
            let repeated: Vec<_> = repeated.collect();
            keys.dedup();
            repeated
        });
        self.repeated = repeated.collect();
        self
    }

    /// Whether there is such a resource.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.lists[list(key)].binary_search(&key).is_ok()
    }

    /// Whether there is more than one.
    pub(super) fn is_repeated(&self, key: Key) -> bool {
        !self.repeated.is_empty() && self.repeated.contains(&key)
    }

    /// Whether there is any resource of a type.
    pub(super) fn has_type(&self, of: &str) -> bool {
        self.types.contains(of)
    }
}

fn list(key: Key) -> usize {
    (key >> 118) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_what_was_added_twice_is_known() {
        let keys =
            |from: u32, to: u32| (from..to).map(|i| key("Patient", &i.to_string())).collect();
        let mut identities = Identities::new();
        identities.add(keys(0, 10_000), ["Patient".to_owned()].into());
        identities.add(keys(9_990, 20_000), ["Patient".to_owned()].into());
        let identities = identities.seal();
        for i in 0..30_000u32 {
            let key = key("Patient", &i.to_string());
            assert_eq!(identities.contains(key), i < 20_000, "{i}");
            assert_eq!(identities.is_repeated(key), (9_990..10_000).contains(&i), "{i}");
        }
        // Where the type ends and the id begins makes a difference.
        assert!(key("Pat", "ient0") != key("Patient", "0"));
        assert!(identities.has_type("Patient") && !identities.has_type("Group"));
    }
}
