//! Splits: the line-aligned ranges that are the unit of work on one machine and on many.

use super::Options;
use super::input::{Compression, Format, Inputs};

/// A byte range of a file. A line belongs to the split in which its first byte lies, so that ranges cut
/// at any byte share out the lines of a file without gap or overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Index into [`Inputs::files`].
    pub file: usize,
    /// First byte, in the file as stored.
    pub start: u64,
    /// One past the last byte, in the file as stored.
    pub end: u64,
}

/// Cuts the inputs into splits, in their order: plain NDJSON every `split_bytes`; a compressed file, a
/// document and an empty file are one split each.
pub fn splits(inputs: &Inputs, options: &Options) -> Vec<Split> {
    let step = options.split_bytes.max(1);
    let mut splits = Vec::with_capacity(inputs.files.len());
    for (index, file) in inputs.files.iter().enumerate() {
        let whole = file.compression != Compression::Plain || file.format == Format::Document;
        let step = if whole { u64::MAX } else { step };
        let mut start = 0_u64;
        loop {
            let end = start.saturating_add(step).min(file.size);
            splits.push(Split { file: index, start, end });
            start = end;
            if start >= file.size {
                break;
            }
        }
    }
    splits
}
