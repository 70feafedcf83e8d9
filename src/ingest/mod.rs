//! Input files become blocks of whole lines, and lines become parsed tapes, every line accounted for.
//!
//! ```text
//! discover → Inputs → splits → Blocks ──next──► Block ──Parser::run──► Line::Resource (a simd-json tape)
//!            (files)           (shared)         (a thread's)      ├──► Line::Rejected (data, not an error)
//!                               ▲    ▲                            └──► BlockCounts ──in order──► Tally → Report
//!                               │    └── ranges of plain files, read by the thread that asks
//!                               └─────── compressed files, decoded ahead on threads of their own
//! ```
//!
//! Every thread owns one [`Block`] and one [`Parser`] and asks the shared [`Blocks`] for more. Where
//! blocks begin and end depends on the inputs and the [`Options`] alone, never on timing, so results
//! put in the order of [`Block::index`] are the same for any number of threads.
//!
//! Compressed files are decoded several at once, each thread at one file (or one run of neighbouring small
//! ones), into a few blocks that wait for their turn; a decoder that is that far ahead sleeps. Small files,
//! plain or compressed, share blocks, and each plain one costs four system calls from end to end: `statx` when
//! it is found; `open`, `pread` and `close` when it is read.
//!
//! A *line* is what ends at `\n` or at the end of the file, nothing else: U+2028 and U+2029 are text.
//! A `.json` document counts as one line. What becomes of each:
//!
//! | input | outcome |
//! | --- | --- |
//! | a JSON object with a `resourceType` | [`Resource`]; several types in one file are fine |
//! | a byte order mark at the start of a file | skipped; anywhere else it is invalid JSON |
//! | `\r\n` | the same as `\n` |
//! | no newline at the end of the file | the last line counts like any other |
//! | an empty line, or only spaces, tabs and `\r` | a blank |
//! | an empty file (plain, or compressed with nothing inside) | 0 lines |
//! | invalid UTF-8 | reject [`Reason::InvalidUtf8`] |
//! | broken or cut-off JSON, NUL or control characters | reject [`Reason::InvalidJson`] |
//! | two JSON values on one line | reject [`Reason::TrailingText`] |
//! | nesting deeper than 1,024 | reject [`Reason::TooDeep`]; no recursion, so no overflow |
//! | an array, string, number, boolean or null | reject [`Reason::NotAnObject`] |
//! | no `resourceType`, or one that is no string or no type name | reject, each with its own reason |
//! | duplicate keys | accepted; of several `resourceType` the last counts, the rest is the evaluator's |
//! | more than [`Options::max_line_bytes`] before the line end | reject [`Reason::TooLong`], read in bounded memory |
//! | a `Bundle`, on a line or as a `.json` document | its entries' resources, with the entry's index |
//! | a Bundle entry without `resource` | counted; delivered if it asks for a deletion |
//! | a Bundle entry, or its resource, that is no resource | reject with the entry's index; the others go on |
//! | a Bundle inside a Bundle | delivered as a resource of type `Bundle`, not opened |
//! | an array in a `.json` document | like a Bundle of its elements |
//! | gzip of several members, zstd of several frames | read whole, wherever the boundaries lie |
//! | compressed data cut off, or followed by other bytes; a `.gz` of 0 bytes | [`Error`](crate::error::Error) that names the file |
//! | a file that cannot be opened or read, or changes while being read | the same |
//! | a directory, pattern or manifest without any file | the same |
//!
//! Where simd-json and RFC 8259 part, the line is a reject [`Reason::NotRepresentable`]: numbers beyond f64
//! (`1e999`) and a lone surrogate escape (`"\ud800"`), both of which the grammar allows. simd-json accepts
//! nothing that the grammar forbids. Whole numbers beyond 64 bits are accepted; their digits are in the text.

mod block;
mod cursor;
mod decode;
mod decode_ahead;
mod identity;
mod input;
mod line;
mod manifest;
mod parse;
mod split;
mod tally;
#[cfg(test)]
mod tests;

pub use block::{Block, Blocks};
pub use identity::Identity;
pub use input::{Compression, Declared, Format, InputFile, Inputs, discover, is_input};
pub use line::{Deletion, Line, Origin, Reason, Rejected, Resource};
pub use manifest::{ListedFile, Manifest};
pub use parse::Parser;
pub use split::{Split, splits};
pub use tally::{BlockCounts, Counts, FileReport, PieceCounts, Report, Tally};

/// How input is cut and what is kept of it. None of it changes which lines are delivered, save
/// `max_line_bytes`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size at which a plain NDJSON file is cut into [`Split`]s.
    pub split_bytes: u64,
    /// Size of a block; a block is larger only for a line that is.
    pub block_bytes: usize,
    /// The longest line, or `.json` document, that is parsed. Bounds memory per thread.
    pub max_line_bytes: usize,
    /// Whether rejects carry the first 200 characters of their line. Lines are PHI.
    pub keep_excerpts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            split_bytes: 8 << 20,
            block_bytes: 4 << 20,
            max_line_bytes: 64 << 20,
            keep_excerpts: false,
        }
    }
}
