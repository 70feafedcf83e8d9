//! Random draws that are the same for the same seed on every machine: integers only, no libm.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A source of draws. Each patient and each town has a stream of its own, so none depends on others.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// Stream `stream` of `seed`.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// True in `permille` of 1000 cases.
    pub(super) fn chance(&mut self, permille: i64) -> bool {
        self.between(0, 999) < permille
    }

    /// Evenly from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    /// Bell-shaped from `low` to `high`, both included.
    pub(super) fn bell(&mut self, low: i64, high: i64) -> i64 {
        let sum = self.between(low, high) + self.between(low, high) + self.between(low, high);
        sum.div_euclid(3)
    }

    /// One of `items`, all equally likely. `items` are tables, never empty.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.between(0, items.len() as i64 - 1) as usize]
    }

    /// One of `items` by weight; `None` when all weigh nothing.
    pub(super) fn weighted<'a, T>(
        &mut self,
        items: &'a [T],
        weight: impl Fn(&T) -> i64,
    ) -> Option<&'a T> {
        let total: i64 = items.iter().map(&weight).sum();
        if total == 0 {
            return None;
        }
        let mut left = self.between(0, total - 1);
        items.iter().find(|item| {
            left -= weight(item);
            left < 0
        })
    }

    /// `count` decimal digits, the first not zero.
    pub(super) fn digits(&mut self, count: u32) -> String {
        self.between(10_i64.pow(count - 1), 10_i64.pow(count) - 1).to_string()
    }

    /// A version 4 UUID (RFC 9562).
    pub(super) fn uuid(&mut self) -> String {
        let (high, low): (u64, u64) = (self.0.random(), self.0.random());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }
}
