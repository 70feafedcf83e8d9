//! Compressed files, decoded ahead of the parser on threads of their own and handed out in their order.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::Options;
use super::block::Block;
use super::decode::Source;
use super::input::Inputs;
use crate::error::Result;

/// Full blocks of one run that may wait to be handed out.
const WAITING: usize = 3;

/// Neighbouring compressed files, by index. One thread decodes them one after the other, so that small
/// ones share blocks.
pub(super) type Run = Range<usize>;

/// Threads that decode several runs at once, and what they have ready.
///
/// Of each run under way one block is being filled, and [`WAITING`] blocks' worth of text waits: whatever
/// the size of the files, `4 × block_bytes × threads` are held (32 MiB with the default options and two
/// threads), and more only for lines that are longer than a block. Buffers go round: who takes a block
/// leaves an empty one.
///
/// Dropping it ends the threads and waits for them.
pub(super) struct DecodeAhead {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl DecodeAhead {
    /// Begins to decode `runs`, at most `threads` of them at once; without runs no thread is started.
    pub(super) fn start(
        inputs: &Arc<Inputs>,
        options: &Options,
        runs: Vec<Run>,
        threads: usize,
    ) -> Self {
        let at_once = threads.max(1).min(runs.len());
        let shared = Arc::new(Shared {
            inputs: inputs.clone(),
            options: options.clone(),
            runs,
            at_once,
            state: Mutex::default(),
            ready: Condvar::new(),
            room: Condvar::new(),
        });
        let decoder = |_| {
            let shared = shared.clone();
            thread::spawn(move || shared.decode_runs())
        };
        let threads = (0..at_once).map(decoder).collect();
        Self { shared, threads }
    }

    /// Exchanges the empty block `into` for the next one of the first run, waiting for it; `false` if the
    /// run has ended, and then the run after it is the first.
    ///
    /// # Errors
    /// If a file of the run cannot be decoded, in the place of the block that would have held its text.
    pub(super) fn next(&self, into: &mut Block) -> Result<bool> {
        let mut state = self.shared.state();
        loop {
            if let Some(first) = state.under_way.front_mut() {
                if let Some(block) = first.waiting.pop_front() {
                    state.empty.push(std::mem::replace(into, block));
                    self.shared.room.notify_all();
                    return Ok(true);
                }
                if let Some(outcome) = first.outcome.take() {
                    state.under_way.pop_front();
                    state.ended += 1;
                    self.shared.room.notify_all();
                    drop(state);
                    return outcome.unwrap_or_else(|panic| resume_unwind(panic)).map(|()| false);
                }
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the threads end after the block they are at.
    pub(super) fn stop(&self) {
        self.shared.state().stopped = true;
        self.shared.room.notify_all();
    }
}

impl Drop for DecodeAhead {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            // A panic was caught where it happened and goes on in the thread that asks for the block.
            let _ = thread.join();
        }
    }
}

struct Shared {
    inputs: Arc<Inputs>,
    options: Options,
    runs: Vec<Run>,
    /// Runs that may be under way.
    at_once: usize,
    state: Mutex<State>,
    /// There is a block, or a run has ended.
    ready: Condvar,
    /// A block was taken, or the threads are to end.
    room: Condvar,
}

#[derive(Default)]
struct State {
    /// Runs handed out to their end.
    ended: usize,
    /// The runs behind these that have been begun, in order.
    under_way: VecDeque<UnderWay>,
    /// Buffers to use again.
    empty: Vec<Block>,
    stopped: bool,
}

impl State {
    /// A run that has been begun and not yet handed out to its end.
    fn run(&mut self, run: usize) -> &mut UnderWay {
        &mut self.under_way[run - self.ended]
    }
}

#[derive(Default)]
struct UnderWay {
    waiting: VecDeque<Block>,
    /// How decoding ended, once it has: well, with an error, or with a panic.
    outcome: Option<thread::Result<Result<()>>>,
}

impl UnderWay {
    /// Whether one more block may wait. A block larger than all that may wait does so alone.
    fn has_room(&self, block: &Block, options: &Options) -> bool {
        let waiting: usize = self.waiting.iter().map(|block| block.used).sum();
        self.waiting.is_empty() || waiting + block.used <= WAITING * options.block_bytes
    }
}

impl Shared {
    /// What a thread does: one run after the other, each time the next that nobody has begun.
    fn decode_runs(&self) {
        while let Some(run) = self.begin() {
            // Whoever waits for the run would do so for ever if a panic went unnoticed.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.decode(run)));
            let mut state = self.state();
            state.run(run).outcome = Some(outcome);
            self.ready.notify_all();
        }
    }

    /// Waits until another run may be under way; `None` if there is nothing more to do.
    ///
    /// Runs are begun in order, so the first is never left waiting for those behind it.
    fn begin(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            let run = state.ended + state.under_way.len();
            if state.stopped || run == self.runs.len() {
                return None;
            }
            if state.under_way.len() < self.at_once {
                state.under_way.push_back(UnderWay::default());
                return Some(run);
            }
            state = self.wait_for_room(state);
        }
    }

    /// Decodes the files of a run into blocks, until its end or until told to stop.
    fn decode(&self, run: usize) -> Result<()> {
        let mut block = self.state().empty.pop().unwrap_or_default();
        for index in self.runs[run].clone() {
            let file = &self.inputs.files[index];
            let mut source = Source::open(file, index as u32)?;
            while !source.fill(&mut block, file, &self.options)? {
                if !self.put(run, &mut block) {
                    return Ok(());
                }
            }
            if block.used >= self.options.block_bytes && !self.put(run, &mut block) {
                return Ok(());
            }
        }
        if !block.pieces.is_empty() {
            self.put(run, &mut block);
        }
        self.state().empty.push(block);
        Ok(())
    }

    /// Exchanges a full block for an empty one, once it may wait; `false` if told to stop.
    fn put(&self, run: usize, block: &mut Block) -> bool {
        let mut state = self.state();
        while !state.stopped && !state.run(run).has_room(block, &self.options) {
            state = self.wait_for_room(state);
        }
        let empty = state.empty.pop().unwrap_or_default();
        let full = std::mem::replace(block, empty);
        state.run(run).waiting.push_back(full);
        self.ready.notify_all();
        !state.stopped
    }

    fn wait_for_room<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.room.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step between taking the lock and giving it back leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
