//! Compressed files: decoded one block after the other, always to their very end.

use std::fs::File;
use std::io::{BufReader, ErrorKind as IoKind, Read};

use flate2::bufread::MultiGzDecoder;
use memchr::{memchr, memrchr};

use super::Options;
use super::block::{Block, HEAD_BYTES, Piece, TAIL_BYTES};
use super::input::{Compression, Format, InputFile};
use crate::error::{Error, ErrorKind, Result};

/// Compressed bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// Decoded bytes taken at a time while a line that is too long is passed over.
const SKIP_BYTES: usize = 64 << 10;

/// A compressed file that is being decoded into blocks.
pub(super) struct Source {
    file: u32,
    decoder: Decoder,
    /// Decoded bytes that belong to the next block: the beginning of its first line.
    carry: Vec<u8>,
    /// Offset of the carry in the decoded file.
    offset: u64,
    /// Bytes of the stored file that earlier pieces account for.
    accounted: u64,
}

impl Source {
    /// Opens the file, which is the `index`th.
    pub(super) fn open(file: &InputFile, index: u32) -> Result<Self> {
        let decoder = Decoder::open(file)?;
        Ok(Self { file: index, decoder, carry: Vec::new(), offset: 0, accounted: 0 })
    }

    /// Decodes whole lines (or the whole document) behind what `block` holds, up to about a block's
    /// size; gives whether the file has ended.
    pub(super) fn fill(
        &mut self,
        block: &mut Block,
        file: &InputFile,
        options: &Options,
    ) -> Result<bool> {
        let start = block.used;
        let offset = self.offset;
        block.reserve(self.carry.len());
        block.data[start..start + self.carry.len()].copy_from_slice(&self.carry);
        block.used += self.carry.len();
        self.carry.clear();

        let progress = self.decode_lines(block, start, file, options)?;
        self.offset += (block.used - start) as u64;
        let (cut, ended) = match progress {
            Progress::Ended => (false, true),
            Progress::BetweenLines => (false, false),
            Progress::TooLong => (true, self.skip_line(block, start, file)?),
        };
        let stored = self.accounted..self.decoder.position();
        self.accounted = stored.end;
        block.pieces.push(Piece {
            file: self.file,
            format: file.format,
            stored,
            lines: start..block.used,
            offset,
            cut,
        });
        Ok(ended)
    }

    /// Decodes until the block is full and a line has ended in it, or the file has.
    fn decode_lines(
        &mut self,
        block: &mut Block,
        start: usize,
        file: &InputFile,
        options: &Options,
    ) -> Result<Progress> {
        let step = options.block_bytes.max(1);
        let mut room = step.saturating_sub(block.used).max(1);
        loop {
            let unread = block.used;
            block.reserve(room);
            let read = self.decoder.fill(&mut block.data[unread..unread + room], file)?;
            block.used += read;
            if read < room {
                return Ok(Progress::Ended);
            }
            if file.format == Format::Lines
                && let Some(newline) = memrchr(b'\n', &block.data[start..block.used])
            {
                let end = start + newline + 1;
                self.carry.extend_from_slice(&block.data[end..block.used]);
                block.used = end;
                return Ok(Progress::BetweenLines);
            }
            if block.used - start > options.max_line_bytes {
                return Ok(Progress::TooLong);
            }
            room = step.min(room.max(TAIL_BYTES) * 2);
        }
    }

    /// Passes over the rest of the line (or document) that begins at `start`, keeping its head. Gives
    /// whether the file has ended.
    fn skip_line(&mut self, block: &mut Block, start: usize, file: &InputFile) -> Result<bool> {
        block.used = block.used.min(start + HEAD_BYTES);
        let mut skipped = vec![0; SKIP_BYTES];
        loop {
            let read = self.decoder.fill(&mut skipped, file)?;
            let newline =
                if file.format == Format::Lines { memchr(b'\n', &skipped[..read]) } else { None };
            if let Some(newline) = newline {
                self.carry.extend_from_slice(&skipped[newline + 1..read]);
                self.offset += newline as u64 + 1;
                return Ok(false);
            }
            self.offset += read as u64;
            if read < skipped.len() {
                return Ok(true);
            }
        }
    }
}

/// Why decoding into a block stopped.
enum Progress {
    /// The file has ended.
    Ended,
    /// The block is full, and what follows its last line is in the carry.
    BetweenLines,
    /// The block holds one line only, unfinished and longer than allowed.
    TooLong,
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<BufReader<Stored>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Stored>>>),
}

impl Decoder {
    fn open(file: &InputFile) -> Result<Self> {
        let cannot = |error| Error::io(ErrorKind::Input, "open", &file.path, error);
        // A small file is there with one call; the byte more is for its end to be seen.
        let capacity = READ_BYTES.min((file.size as usize).saturating_add(1));
        let stored = Stored { file: File::open(&file.path).map_err(cannot)?, position: 0 };
        let reader = BufReader::with_capacity(capacity, stored);
        Ok(match file.compression {
            Compression::Zstd => {
                Self::Zstd(Box::new(zstd::Decoder::with_buffer(reader).map_err(cannot)?))
            }
            Compression::Gzip | Compression::Plain => {
                Self::Gzip(Box::new(MultiGzDecoder::new(reader)))
            }
        })
    }

    /// Fills `into`, with less only if the data ends.
    fn fill(&mut self, into: &mut [u8], file: &InputFile) -> Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            let read = match self {
                Self::Gzip(decoder) => decoder.read(&mut into[filled..]),
                Self::Zstd(decoder) => decoder.read(&mut into[filled..]),
            };
            match read {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == IoKind::Interrupted => {}
                Err(error) => return Err(broken(file, error)),
            }
        }
        Ok(filled)
    }

    /// How far the stored file has been read.
    fn position(&self) -> u64 {
        match self {
            Self::Gzip(decoder) => decoder.get_ref().get_ref().position,
            Self::Zstd(decoder) => decoder.get_ref().get_ref().position,
        }
    }
}

/// The file as stored, and how far it has been read.
struct Stored {
    file: File,
    position: u64,
}

impl Read for Stored {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(into)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// The data does not decode: cut off, damaged, or followed by something else.
fn broken(file: &InputFile, error: std::io::Error) -> Error {
    let path = file.path.display();
    let message = match error.kind() {
        IoKind::UnexpectedEof => format!("`{path}` is cut off: its compressed data does not end"),
        _ => format!("`{path}` cannot be decoded: {error}"),
    };
    Error::new(ErrorKind::Input, message)
        .caused_by(error)
        .hint("fetch it again; nothing of it was kept")
}
