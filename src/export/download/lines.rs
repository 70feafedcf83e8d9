//! Cuts a text into lines as it streams by, however long they are, and knows whether it ends where it should.

use super::balance::Balance;
use super::content::BYTE_ORDER_MARK;
use super::target::Target;
use crate::error::Result;

/// The lines of one file: a byte order mark is dropped, every line ends in `\n`, nothing else is changed.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: bool,
    /// The line so far; in a document the whole of it.
    line: Balance,
    /// A `\r` at the end of the last piece: part of the line end, unless something follows.
    carriage_return: bool,
    /// Whether the file is one JSON value over several lines.
    document: bool,
    counted: u64,
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// So many lines that are not blank.
    Lines(u64),
    /// One JSON value over several lines, such as a Bundle written to be read by people.
    Document,
    /// It ends in the middle of a JSON value (F13).
    Cut,
}

impl Lines {
    /// Hands the next piece of the text on to `target`. The first has at least three bytes, if the text has.
    pub(super) fn feed(&mut self, mut text: &[u8], target: &mut Target) -> Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        while let Some(at) = memchr::memchr(b'\n', text) {
            self.piece(&text[..at], target)?;
            self.carriage_return = false;
            self.end_line(target)?;
            text = &text[at + 1..];
        }
        self.piece(text, target)
    }

    /// The end of the text.
    pub(super) fn finish(mut self, target: &mut Target) -> Result<Ending> {
        if !self.document && !self.line.is_blank() {
            if !self.line.is_whole() {
                return Ok(Ending::Cut);
            }
            self.end_line(target)?;
        }
        Ok(match self.document {
            false => Ending::Lines(self.counted),
            true if self.line.is_whole() => Ending::Document,
            true => Ending::Cut,
        })
    }

    fn piece(&mut self, text: &[u8], target: &mut Target) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.carriage_return) {
            target.text(b"\r")?;
        }
        self.line.feed(text);
        let text = match text.split_last() {
            Some((b'\r', before)) => {
                self.carriage_return = true;
                before
            }
            _ => text,
        };
        target.text(text)
    }

    fn end_line(&mut self, target: &mut Target) -> Result<()> {
        let blank = self.line.is_blank();
        self.counted += u64::from(!blank && !self.document);
        self.document |= self.counted == 1 && self.line.is_open();
        target.end_line(blank, self.document)?;
        if !self.document {
            self.line = Balance::default();
        }
        Ok(())
    }
}
