//! A tape of choices: generators draw from it, so that a smaller tape is a simpler case and proptest can shrink it.

/// Choices still to be made. At the end of the tape every choice is the first, which generators keep the simplest.
#[derive(Debug)]
pub(super) struct Choices<'t> {
    tape: std::slice::Iter<'t, u16>,
}

impl<'t> Choices<'t> {
    pub(super) fn new(tape: &'t [u16]) -> Self {
        Self { tape: tape.iter() }
    }

    pub(super) fn tape_is_over(&self) -> bool {
        self.tape.len() == 0
    }

    /// One of `n` numbers from 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::from(*self.tape.next().unwrap_or(&0)) % n.max(1)
    }

    /// True about once in `n` times.
    pub(super) fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of the given.
    pub(super) fn one<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}
