//! The order of the work: which files, or ranges of them, the next block is made of.

use std::sync::Arc;

use super::Options;
use super::block::Block;
use super::decode_ahead::{DecodeAhead, Run};
use super::input::{Compression, Format, Inputs};
use super::split::{Split, splits};
use crate::error::Result;

/// A run takes in another compressed file while its files, as stored, are less than this part of a block:
/// at the tenfold compression of FHIR a run is some blocks of text, and the small files in it share them.
const RUN_PART: u64 = 4;

/// Where in the input the next block begins.
pub(super) struct Cursor {
    inputs: Arc<Inputs>,
    steps: Vec<Step>,
    /// The step that is being handed out.
    next_step: usize,
    /// Bytes of its split that have been.
    taken: u64,
    next_index: u64,
    ahead: DecodeAhead,
}

/// What is handed out in one go, as one block or several.
#[derive(Debug, PartialEq)]
enum Step {
    /// A range of a plain file; may share a block with those beside it.
    Plain(Split),
    /// The blocks of a run of compressed files.
    Compressed(Run),
}

impl Cursor {
    /// Stands at the beginning of `inputs`; from now on compressed files are being decoded.
    pub(super) fn new(inputs: &Arc<Inputs>, options: &Options, threads: usize) -> Self {
        let steps = steps(inputs, options);
        let runs = steps.iter().filter_map(|step| match step {
            Step::Compressed(run) => Some(run.clone()),
            Step::Plain(_) => None,
        });
        let ahead = DecodeAhead::start(inputs, options, runs.collect(), threads);
        Self { inputs: inputs.clone(), steps, next_step: 0, taken: 0, next_index: 0, ahead }
    }

    /// Gives the empty `block` its index and its pieces, those of compressed files with their text; `false`
    /// if there is nothing left, as after an error. Compressed and plain files do not share a block.
    pub(super) fn advance(&mut self, block: &mut Block, options: &Options) -> Result<bool> {
        let more = self.hand_out(block, options);
        match more {
            Ok(true) => {
                block.index = self.next_index;
                self.next_index += 1;
            }
            Ok(false) => {}
            Err(_) => self.stop(),
        }
        more
    }

    fn hand_out(&mut self, block: &mut Block, options: &Options) -> Result<bool> {
        loop {
            match self.steps.get(self.next_step) {
                None => return Ok(false),
                Some(Step::Plain(_)) => {
                    self.plan(block, options);
                    return Ok(true);
                }
                Some(Step::Compressed(_)) if self.ahead.next(block)? => return Ok(true),
                Some(Step::Compressed(_)) => self.next_step += 1,
            }
        }
    }

    /// Hands out nothing more.
    pub(super) fn stop(&mut self) {
        self.next_step = self.steps.len();
        self.ahead.stop();
    }

    /// Hands out ranges of plain files up to a block's size.
    fn plan(&mut self, block: &mut Block, options: &Options) {
        let mut room = options.block_bytes.max(1) as u64;
        while room > 0
            && let Some(&Step::Plain(split)) = self.steps.get(self.next_step)
        {
            let start = split.start + self.taken;
            let format = self.inputs.files[split.file].format;
            let end = if format == Format::Document {
                split.end
            } else {
                split.end.min(start.saturating_add(room))
            };
            room = room.saturating_sub(end - start);
            self.taken += end - start;
            if end == split.end {
                self.next_step += 1;
                self.taken = 0;
            }
            block.plan(split.file as u32, format, start..end);
        }
    }
}

/// The splits of plain files, and the compressed files put together to runs.
fn steps(inputs: &Inputs, options: &Options) -> Vec<Step> {
    let limit = options.block_bytes as u64 / RUN_PART;
    let mut steps = Vec::with_capacity(inputs.files.len());
    let mut stored = 0_u64;
    for split in splits(inputs, options) {
        let file = &inputs.files[split.file];
        if file.compression == Compression::Plain {
            steps.push(Step::Plain(split));
            continue;
        }
        match steps.last_mut() {
            Some(Step::Compressed(run)) if stored + file.size <= limit => run.end += 1,
            _ => {
                stored = 0;
                steps.push(Step::Compressed(split.file..split.file + 1));
            }
        }
        stored += file.size;
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::ingest::InputFile;

    /// Files by compression and stored size, and the steps they make.
    type Case<'c> = (&'c [(Compression, u64)], Vec<Step>);

    #[test]
    fn small_compressed_files_make_runs() {
        let plain = |file, size| Step::Plain(Split { file, start: 0, end: size });
        let run = Step::Compressed;
        let (gzip, none) = (Compression::Gzip, Compression::Plain);
        let cases: &[Case<'_>] = &[
            (&[], vec![]),
            (&[(none, 9), (none, 0)], vec![plain(0, 9), plain(1, 0)]),
            (&[(gzip, 10), (gzip, 15)], vec![run(0..2)]),
            (&[(gzip, 10), (gzip, 16)], vec![run(0..1), run(1..2)]),
            (&[(gzip, 99), (gzip, 99), (gzip, 1)], vec![run(0..1), run(1..2), run(2..3)]),
            (&[(gzip, 1), (none, 9), (gzip, 1)], vec![run(0..1), plain(1, 9), run(2..3)]),
        ];
        for (files, expected) in cases {
            let file = |&(compression, size)| InputFile {
                path: PathBuf::new(),
                size,
                format: Format::Lines,
                compression,
                declared: None,
            };
            let inputs = Inputs { files: files.iter().map(file).collect(), ..Inputs::default() };
            let options = Options { block_bytes: 100, ..Options::default() };
            assert_eq!(steps(&inputs, &options), *expected, "{files:?}");
        }
    }
}
