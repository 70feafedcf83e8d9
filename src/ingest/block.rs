//! Blocks: the shared, ordered source of work, and the reading of plain files.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memchr::{memchr, memrchr};

use super::Options;
use super::cursor::Cursor;
use super::input::{Compression, Format, InputFile, Inputs};
use crate::error::{Error, ErrorKind, Result};

/// What is kept of a line too long to parse: enough for an excerpt.
pub(super) const HEAD_BYTES: usize = 1024;

/// Bytes read at first beyond the end of a range, to finish its last line; doubled as needed.
pub(super) const TAIL_BYTES: usize = 64 << 10;

/// All the input as numbered blocks of whole lines, shared by the threads that work on it.
///
/// Blocks are handed out in order under one lock. Ranges of plain files are read outside of it, so
/// threads read at the same time; compressed files have been decoded by then, or their next block is
/// waited for, on threads that belong to this and end with it (see `decode_ahead.rs`).
pub struct Blocks {
    inputs: Arc<Inputs>,
    options: Options,
    cursor: Mutex<Cursor>,
}

impl Blocks {
    /// The blocks of all splits of `inputs`, for so many threads to work on; as many decode compressed
    /// files.
    pub fn new(inputs: Arc<Inputs>, options: &Options, threads: usize) -> Self {
        let cursor = Mutex::new(Cursor::new(&inputs, options, threads));
        Self { inputs, options: options.clone(), cursor }
    }

    /// Fills `into` with the next block; `false` if there is none left.
    ///
    /// # Errors
    /// Of kind `Input`, if a file cannot be read or decoded, or is not what it was when it was found.
    /// After an error no more blocks are handed out.
    pub fn next(&self, into: &mut Block) -> Result<bool> {
        into.clear(&self.options);
        let more = self.cursor().advance(into, &self.options)?;
        if let Err(error) = into.read(&self.inputs, &self.options) {
            self.cursor().stop();
            return Err(error);
        }
        Ok(more)
    }

    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        // A thread that panicked while it held the cursor ends the run; until then it stays usable.
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole lines of one or several files, in a buffer that is used again for the next block.
#[derive(Default)]
pub struct Block {
    /// Place in the order of the input: 0, 1, 2 … whatever the number of threads.
    pub index: u64,
    /// Not shrunk from block to block, so that it is zeroed once; `used` bytes are valid.
    pub(super) data: Vec<u8>,
    pub(super) used: usize,
    /// In the order of the input; a file occurs once at most.
    pub(super) pieces: Vec<Piece>,
}

/// The lines of one file in a block.
pub(super) struct Piece {
    pub(super) file: u32,
    pub(super) format: Format,
    /// Bytes of the stored file that this piece accounts for; of plain files the range to read.
    pub(super) stored: Range<u64>,
    /// Where the lines lie in the block's data.
    pub(super) lines: Range<usize>,
    /// Offset of the first line in the decoded file.
    pub(super) offset: u64,
    /// Whether the last line is only the head of one that is too long.
    pub(super) cut: bool,
}

impl Block {
    /// Input this block accounts for, in bytes as stored: what a progress bar adds up.
    pub fn stored_bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.stored.end - piece.stored.start).sum()
    }

    /// Makes at least `bytes` more room behind what is used.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let needed = self.used + bytes;
        if self.data.len() < needed {
            self.data.resize(needed, 0);
        }
    }

    /// Adds a range to read, to the last piece if it goes on there.
    pub(super) fn plan(&mut self, file: u32, format: Format, range: Range<u64>) {
        match self.pieces.last_mut() {
            Some(last) if last.file == file => last.stored.end = range.end,
            _ => self.pieces.push(Piece {
                file,
                format,
                stored: range,
                lines: 0..0,
                offset: 0,
                cut: false,
            }),
        }
    }

    fn clear(&mut self, options: &Options) {
        self.used = 0;
        self.pieces.clear();
        // One very long line must not hold its memory for the rest of the run.
        if self.data.len() > options.block_bytes.saturating_mul(4).max(1 << 20) {
            self.data = Vec::new();
        }
    }

    /// Reads what was planned; pieces of compressed files are there already.
    fn read(&mut self, inputs: &Inputs, options: &Options) -> Result<()> {
        for index in 0..self.pieces.len() {
            let file = &inputs.files[self.pieces[index].file as usize];
            if file.compression == Compression::Plain {
                self.read_piece(index, file, options)?;
            }
        }
        Ok(())
    }

    fn read_piece(&mut self, index: usize, file: &InputFile, options: &Options) -> Result<()> {
        let Range { start, end } = self.pieces[index].stored;
        let reader = PlainReader::open(file)?;
        let base = self.used;
        let (lines, offset, cut) = match file.format {
            Format::Document => self.read_document(&reader, options)?,
            Format::Lines => self.read_lines(&reader, start..end, options)?,
        };
        debug_assert!(base <= lines.start && lines.end <= self.used);
        let piece = &mut self.pieces[index];
        (piece.lines, piece.offset, piece.cut) = (lines, offset, cut);
        Ok(())
    }

    fn read_document(
        &mut self,
        reader: &PlainReader<'_>,
        options: &Options,
    ) -> Result<(Range<usize>, u64, bool)> {
        let base = self.used;
        let cut = reader.file.size > options.max_line_bytes as u64;
        let end = if cut { reader.file.size.min(HEAD_BYTES as u64) } else { reader.file.size };
        reader.append(self, 0..end)?;
        if cut {
            reader.append(self, reader.file.size..reader.file.size)?;
        }
        Ok((base..self.used, 0, cut))
    }

    /// Reads the lines that begin in `range`: where they lie, the first one's offset, whether cut.
    fn read_lines(
        &mut self,
        reader: &PlainReader<'_>,
        range: Range<u64>,
        options: &Options,
    ) -> Result<(Range<usize>, u64, bool)> {
        let base = self.used;
        // The byte before tells whether a line begins right at the start.
        let from = range.start.saturating_sub(1);
        reader.append(self, from..range.end)?;
        let first = match range.start {
            0 => base,
            _ => match memchr(b'\n', &self.data[base..self.used]) {
                Some(newline) => base + newline + 1,
                None => self.used,
            },
        };
        let offset = from + (first - base) as u64;
        let cut = first < self.used && self.finish_last_line(reader, first, range.end, options)?;
        Ok((first..self.used, offset, cut))
    }

    /// Reads on from `position` to the end of the line that is open there. Gives whether it is too
    /// long; then only its head is kept.
    fn finish_last_line(
        &mut self,
        reader: &PlainReader<'_>,
        first: usize,
        mut position: u64,
        options: &Options,
    ) -> Result<bool> {
        let line = memrchr(b'\n', &self.data[first..self.used])
            .map_or(first, |newline| first + newline + 1);
        if line == self.used {
            return Ok(false);
        }
        let mut step = TAIL_BYTES as u64;
        while position < reader.file.size {
            let Some(allowed) = options.max_line_bytes.checked_sub(self.used - line) else {
                self.used = self.used.min(line + HEAD_BYTES);
                return Ok(true);
            };
            // One byte more than allowed shows that the line is too long.
            let end = position.saturating_add(step.min(allowed as u64 + 1)).min(reader.file.size);
            let unread = self.used;
            reader.append(self, position..end)?;
            if let Some(newline) = memchr(b'\n', &self.data[unread..self.used]) {
                self.used = unread + newline + 1;
                return Ok(false);
            }
            (position, step) = (end, step * 2);
        }
        Ok(false)
    }
}

#[cfg(test)]
impl Block {
    /// A block of one line without a file.
    pub(super) fn of_line(line: &[u8]) -> Self {
        let lines = 0..line.len();
        let piece =
            Piece { file: 0, format: Format::Lines, stored: 0..0, lines, offset: 0, cut: false };
        Self { index: 0, data: line.to_vec(), used: line.len(), pieces: vec![piece] }
    }
}

/// A plain file while a piece of it is read.
struct PlainReader<'a> {
    file: &'a InputFile,
    open: File,
}

impl<'a> PlainReader<'a> {
    fn open(file: &'a InputFile) -> Result<Self> {
        let open = File::open(&file.path)
            .map_err(|e| Error::io(ErrorKind::Input, "open", &file.path, e))?;
        Ok(Self { file, open })
    }

    /// Appends a range of the file to the block.
    ///
    /// At the end of the file one byte more is asked for, to see that it has not grown: what came later
    /// would be lost.
    fn append(&self, block: &mut Block, range: Range<u64>) -> Result<()> {
        let bytes = (range.end - range.start) as usize;
        let asked = bytes + usize::from(range.end == self.file.size);
        block.reserve(asked);
        let into = &mut block.data[block.used..block.used + asked];
        if self.read(into, range.start, bytes)? != bytes {
            return Err(changed(self.file));
        }
        block.used += bytes;
        Ok(())
    }

    /// Reads until it has `least` bytes or the file ends; gives how many it has.
    fn read(&self, into: &mut [u8], position: u64, least: usize) -> Result<usize> {
        let mut filled = 0;
        loop {
            match self.open.read_at(&mut into[filled..], position + filled as u64) {
                Ok(0) => return Ok(filled),
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Error::io(ErrorKind::Input, "read", &self.file.path, error));
                }
            }
            if filled >= least {
                return Ok(filled);
            }
        }
    }
}

/// The file is not what it was when it was found, or when its earlier part was read.
pub(super) fn changed(file: &InputFile) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("`{}` changed while it was being read", file.path.display()),
    )
    .hint("wait until whatever writes it has finished, then run again")
}
