//! Numbered things that come in any order and are wanted in the order of their numbers.

use std::collections::BTreeMap;

/// Holds back what comes early.
pub(super) struct InOrder<T> {
    next: u64,
    early: BTreeMap<u64, T>,
}

impl<T> InOrder<T> {
    /// Begins with number 0.
    pub(super) fn new() -> Self {
        Self { next: 0, early: BTreeMap::new() }
    }

    /// Takes the thing with this number. Each number comes once.
    pub(super) fn put(&mut self, number: u64, thing: T) {
        self.early.insert(number, thing);
    }

    /// Gives the thing whose turn it is, if it has come.
    pub(super) fn next(&mut self) -> Option<T> {
        let thing = self.early.remove(&self.next)?;
        self.next += 1;
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_out_in_the_order_of_their_numbers() {
        let mut in_order = InOrder::new();
        let mut out = Vec::new();
        for number in [2, 0, 3, 1] {
            in_order.put(number, number);
            out.push(std::iter::from_fn(|| in_order.next()).collect::<Vec<_>>());
        }
        assert_eq!(out, [vec![], vec![0], vec![], vec![1, 2, 3]]);
    }
}
