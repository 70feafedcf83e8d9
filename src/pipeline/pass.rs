//! One pass over the input: blocks are worked on by all threads, and what comes of them is taken in their order.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::in_order::InOrder;
use super::progress::Progress;
use super::window::{StopOnPanic, Window, lock};
use crate::error::Result;
use crate::ingest::{self, Block, Blocks, Inputs};

/// Blocks that a thread may be ahead of the slowest, for each thread. Bounds what waits to be put in order.
const AHEAD: u64 = 3;

/// How the input is read.
pub(super) struct Pass<'p> {
    pub(super) inputs: Arc<Inputs>,
    pub(super) input: &'p ingest::Options,
    pub(super) threads: usize,
    pub(super) progress: &'p Progress,
}

impl Pass<'_> {
    /// Every thread makes itself a worker, which turns blocks into results; it is told how long it took to get the
    /// block: to read it, or to wait until it was decoded.
    /// `settle` gets the results in the order of the input. The first error ends the pass.
    pub(super) fn run<W, D: Send>(
        &self,
        worker: impl Fn() -> W + Sync,
        work: impl Fn(&mut W, &Block, Duration) -> Result<D> + Sync,
        settle: impl FnMut(D) -> Result<()> + Send,
    ) -> Result<()> {
        let blocks = Blocks::new(self.inputs.clone(), self.input, self.threads);
        let window = Window::new(AHEAD * self.threads as u64);
        let settling = Mutex::new((InOrder::new(), settle));
        let each_block = || -> Result<()> {
            let (mut worker, mut block) = (worker(), Block::default());
            loop {
                let started = Instant::now();
                if !blocks.next(&mut block)? {
                    return Ok(());
                }
                let read = started.elapsed();
                if !window.enter(block.index) {
                    return Ok(());
                }
                let done = work(&mut worker, &block, read)?;
                let mut settling = lock(&settling);
                let (early, settle) = &mut *settling;
                early.put(block.index, done);
                while let Some(done) = early.next() {
                    settle(done)?;
                }
                drop(settling);
                self.progress.bytes.fetch_add(block.stored_bytes(), Ordering::Relaxed);
                window.leave(block.index);
            }
        };
        rayon::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|_| {
                    let _stop = StopOnPanic(&window);
                    if let Err(error) = each_block() {
                        window.stop(error);
                    }
                });
            }
        });
        window.failure()
    }
}
