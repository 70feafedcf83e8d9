//! The body of a file as it arrives from the network: read by a thread of its own, decoded, summed up.

use std::io::{self, BufRead, Read};

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Receiver;

use super::super::transport::gzip::MAGIC;

/// What the network hands to the thread that stores.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes as they came.
    Bytes(Bytes),
    /// The body is over, and came as a whole. A channel that closes without it was cut off.
    End,
}

/// The body as it comes, and what is known of it.
pub(super) struct Arriving {
    pieces: Receiver<Piece>,
    current: Bytes,
    ended: bool,
    bytes: u64,
    sha256: Sha256,
}

impl Arriving {
    /// What comes through `pieces`. To be read outside of the async world only: it blocks.
    pub(super) fn new(pieces: Receiver<Piece>) -> Self {
        let current = Bytes::new();
        Self { pieces, current, ended: false, bytes: 0, sha256: Sha256::new() }
    }

    /// The text in it. Whether it is gzip is told by its first bytes alone: files are compressed without anybody
    /// saying so, and proxies decompress without taking back the header (F14).
    pub(super) fn text(mut self) -> io::Result<Text> {
        while self.current.len() < MAGIC.len() {
            let Some(more) = self.receive()? else { break };
            self.current = joined(&self.current, &more);
        }
        Ok(if self.current.starts_with(&MAGIC) {
            Text::Gzip(Box::new(MultiGzDecoder::new(self)))
        } else {
            Text::Plain(self)
        })
    }

    fn receive(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        match self.pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                self.bytes += bytes.len() as u64;
                self.sha256.update(&bytes);
                Ok(Some(bytes))
            }
            Some(Piece::End) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the body breaks off")),
        }
    }
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.extend_from_slice(first);
    both.extend_from_slice(second);
    both.freeze()
}

impl Read for Arriving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Arriving {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            let Some(more) = self.receive()? else { break };
            self.current = more;
        }
        Ok(&self.current)
    }

    fn consume(&mut self, read: usize) {
        let _ = self.current.split_to(read);
    }
}

/// The text of a body.
pub(super) enum Text {
    /// The body is the text.
    Plain(Arriving),
    /// All members of gzip, one after the other. What follows them and is not gzip is an error, as is an end within.
    Gzip(Box<MultiGzDecoder<Arriving>>),
}

impl Text {
    /// Whether the text had to be decoded.
    pub(super) fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }

    /// Fills `into`, as far as there is text.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.read(&mut into[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Length and SHA-256 of the body, undecoded, once it has been read.
    pub(super) fn body(self) -> (u64, [u8; 32]) {
        let body = match self {
            Self::Plain(body) => body,
            Self::Gzip(decoder) => decoder.into_inner(),
        };
        (body.bytes, body.sha256.finalize().into())
    }
}

impl Read for Text {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(body) => body.read(into),
            Self::Gzip(decoder) => decoder.read(into),
        }
    }
}
