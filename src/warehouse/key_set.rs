//! Sets of keys by their hashes: 16 bytes a key, however long it is.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};

/// Keys of resources, or of patients. By their 128 bits, two of 10^9 keys are taken for one with a chance below 10^-20.
#[derive(Debug, Clone, Default)]
pub struct KeySet(HashSet<u128>);

/// The hash of a key.
pub fn key_hash(key: &str) -> u128 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key.as_bytes());
    let low = hasher.finish();
    hasher.write_u8(1);
    u128::from(hasher.finish()) << 64 | u128::from(low)
}

impl KeySet {
    /// Adds a key.
    pub fn insert(&mut self, key: &str) -> bool {
        self.0.insert(key_hash(key))
    }

    /// Adds a key by its [`key_hash`].
    pub fn insert_hash(&mut self, hash: u128) -> bool {
        self.0.insert(hash)
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains(&key_hash(key))
    }

    /// Whether a key is in it, by its [`key_hash`].
    pub fn contains_hash(&self, hash: u128) -> bool {
        self.0.contains(&hash)
    }

    /// Takes in others' keys.
    pub fn extend<'k>(&mut self, others: impl IntoIterator<Item = &'k Self>) {
        others.into_iter().for_each(|other| self.0.extend(&other.0));
    }

    /// The [`key_hash`] of each, in no order.
    pub fn hashes(&self) -> impl Iterator<Item = u128> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
