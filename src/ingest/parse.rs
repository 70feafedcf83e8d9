//! Lines become simd-json tapes, and each line is delivered as resources, a reject or a blank.

use memchr::memchr;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use super::Options;
use super::block::{Block, Piece};
use super::identity::{after, members};
use super::input::Format;
use super::line::{Deletion, Line, Origin, Reason, Rejected, Resource};
use super::tally::{BlockCounts, PieceCounts};
use crate::error::Result;

/// Buffers that grew for a longer line than this are given back: a tape can take 12 times its text.
const KEPT_BYTES: usize = 4 << 20;

/// Turns blocks into tapes. One per thread: its buffers are used again for every line.
pub struct Parser {
    /// The line that is parsed, which the parser changes, and padding.
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    max_line_bytes: usize,
    keep_excerpts: bool,
}

impl Parser {
    /// A parser that goes by `options`.
    pub fn new(options: &Options) -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::default(),
            tape: Tape(Vec::new()),
            max_line_bytes: options.max_line_bytes,
            keep_excerpts: options.keep_excerpts,
        }
    }

    /// Calls `each` for every resource and reject of the block, in order, and counts them.
    ///
    /// # Errors
    /// Those of `each`, which end the block. Bad lines are none.
    pub fn run<F>(&mut self, block: &Block, mut each: F) -> Result<BlockCounts>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        let mut pieces = Vec::with_capacity(block.pieces.len());
        for piece in &block.pieces {
            let text = &block.data[piece.lines.clone()];
            let mut out = Outcomes {
                each: &mut each,
                counts: PieceCounts::of(piece),
                max_line_bytes: self.max_line_bytes,
                keep_excerpts: self.keep_excerpts,
            };
            match piece.format {
                Format::Lines => self.lines(piece, text, &mut out)?,
                Format::Document if text.is_empty() => {}
                Format::Document => self.line(piece, text, 0, piece.cut, &mut out)?,
            }
            pieces.push(out.counts);
        }
        Ok(BlockCounts { index: block.index, pieces })
    }

    fn lines<F>(&mut self, piece: &Piece, text: &[u8], out: &mut Outcomes<'_, F>) -> Result<()>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let newline = memchr(b'\n', rest);
            let line = &rest[..newline.unwrap_or(rest.len())];
            self.line(piece, line, start, piece.cut && newline.is_none(), out)?;
            start += line.len() + 1;
        }
        Ok(())
    }

    /// Deals with one line, `start` bytes into the piece.
    fn line<F>(
        &mut self,
        piece: &Piece,
        line: &[u8],
        start: usize,
        cut: bool,
        out: &mut Outcomes<'_, F>,
    ) -> Result<()>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        out.counts.totals.lines += 1;
        let mut offset = piece.offset + start as u64;
        let too_long = cut || line.len() > out.max_line_bytes;
        let mut raw = line.strip_suffix(b"\r").unwrap_or(line);
        if offset == 0
            && let Some(text) = raw.strip_prefix(b"\xef\xbb\xbf")
        {
            (raw, offset) = (text, 3);
        }
        let origin =
            Origin { file: piece.file, line: out.counts.totals.lines, offset, entry: None };
        if too_long {
            out.reject(raw, origin, Reason::TooLong(out.max_line_bytes))
        } else if raw.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            out.counts.totals.blanks += 1;
            Ok(())
        } else {
            self.parse(raw, origin, piece.format, out)
        }
    }

    fn parse<F>(
        &mut self,
        raw: &[u8],
        origin: Origin,
        format: Format,
        out: &mut Outcomes<'_, F>,
    ) -> Result<()>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        // This copy stands in for the one `fill_tape` would make; `raw` keeps the text of numbers.
        self.scratch.clear();
        self.scratch.extend_from_slice(raw);
        self.scratch.extend_from_slice(&[b' '; INPUT_PADDING]);
        let base = self.scratch.as_ptr().addr();
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let delivered =
            match fill_tape_padded(&mut self.scratch, raw.len(), &mut self.buffers, &mut tape) {
                Ok(()) => Parsed { nodes: &tape.0, raw, base, origin }.deliver(format, out),
                Err(error) => out.reject(raw, origin, reason(error.error(), raw)),
            };
        self.tape = tape.reset();
        if self.scratch.len() > KEPT_BYTES {
            (self.scratch, self.buffers, self.tape) =
                (Vec::new(), Buffers::default(), Tape(Vec::new()));
        }
        delivered
    }
}

/// What the parser's complaint means for the line.
fn reason(error: &ErrorType, raw: &[u8]) -> Reason {
    match error {
        ErrorType::InvalidUtf8 => Reason::InvalidUtf8,
        ErrorType::DepthLimitExceeded => Reason::TooDeep,
        ErrorType::InputTooLarge => Reason::TooLong(u32::MAX as usize),
        _ => second_opinion(raw),
    }
}

/// simd-json's other complaints do not tell these apart, so the grammar alone is checked once more.
fn second_opinion(raw: &[u8]) -> Reason {
    let mut values = serde_json::Deserializer::from_slice(raw).into_iter::<serde::de::IgnoredAny>();
    match (values.next(), values.next()) {
        (Some(Ok(_)), None) => Reason::NotRepresentable,
        (Some(Ok(_)), Some(_)) => Reason::TrailingText,
        _ => Reason::InvalidJson,
    }
}

/// Where the outcomes of a piece's lines go.
struct Outcomes<'c, F> {
    each: &'c mut F,
    counts: PieceCounts,
    max_line_bytes: usize,
    keep_excerpts: bool,
}

impl<F> Outcomes<'_, F>
where
    F: FnMut(Line<'_>) -> Result<()>,
{
    fn reject(&mut self, raw: &[u8], origin: Origin, reason: Reason) -> Result<()> {
        let totals = &mut self.counts.totals;
        *(if origin.entry.is_some() {
            &mut totals.rejected_entries
        } else {
            &mut totals.rejected_lines
        }) += 1;
        let rejected = Rejected {
            origin,
            reason,
            excerpt: self.keep_excerpts.then(|| Rejected::excerpt_of(raw)),
        };
        (self.each)(Line::Rejected(&rejected))?;
        self.counts.rejects.push(rejected);
        Ok(())
    }
}

/// A line as parsed.
#[derive(Clone, Copy)]
struct Parsed<'a> {
    nodes: &'a [Node<'a>],
    raw: &'a [u8],
    base: usize,
    origin: Origin,
}

impl<'a> Parsed<'a> {
    fn deliver<F>(self, format: Format, out: &mut Outcomes<'_, F>) -> Result<()>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        match self.nodes[0] {
            Node::Array { len, .. } if format == Format::Document => {
                out.counts.totals.bundles += 1;
                self.each_element(0, len, |element, at| element.resource(at, out))
            }
            _ => match self.resource_type(0) {
                Ok("Bundle") => self.bundle(out),
                resource_type => self.typed_resource(0, resource_type, out),
            },
        }
    }

    fn bundle<F>(self, out: &mut Outcomes<'_, F>) -> Result<()>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        let (entries, len) = match self.member(0, "entry").map(|at| (at, self.nodes[at])) {
            None => (0, 0),
            Some((at, Node::Array { len, .. })) => (at, len),
            Some(_) => return out.reject(self.raw, self.origin, Reason::EntryNotArray),
        };
        out.counts.totals.bundles += 1;
        self.each_element(entries, len, |entry, at| {
            match (entry.nodes[at], entry.member(at, "resource")) {
                (Node::Object { .. }, Some(resource)) => entry.resource(resource, out),
                (Node::Object { .. }, None) => {
                    out.counts.totals.entries_without_resource += 1;
                    entry
                        .deletion(at)
                        .map_or(Ok(()), |deletion| (out.each)(Line::Deletion(deletion)))
                }
                (other, _) => out.reject(entry.raw, entry.origin, Reason::NotAnObject(kind(other))),
            }
        })
    }

    /// The deletion that an entry asks for, if it does.
    fn deletion(self, entry: usize) -> Option<Deletion<'a>> {
        let text = |at: usize| match self.nodes[at] {
            Node::String(text) => Some(text),
            _ => None,
        };
        let request = self.member(entry, "request")?;
        let method = self.member(request, "method").and_then(text)?;
        let url = || self.member(request, "url").and_then(text);
        let full_url = || self.member(entry, "fullUrl").and_then(text);
        (method == "DELETE").then(|| Deletion { url: url().or_else(full_url), origin: self.origin })
    }

    /// Calls `each` with the place of every element of the array at `array`.
    fn each_element(
        self,
        array: usize,
        len: usize,
        mut each: impl FnMut(Self, usize) -> Result<()>,
    ) -> Result<()> {
        let mut at = array + 1;
        for index in 0..len {
            let origin = Origin { entry: Some(index as u32), ..self.origin };
            each(Self { origin, ..self }, at)?;
            at = after(self.nodes, at);
        }
        Ok(())
    }

    /// Delivers the value at `root` as a resource, if it is one.
    fn resource<F>(self, root: usize, out: &mut Outcomes<'_, F>) -> Result<()>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        self.typed_resource(root, self.resource_type(root), out)
    }

    fn typed_resource<F>(
        self,
        root: usize,
        resource_type: Result<&'a str, Reason>,
        out: &mut Outcomes<'_, F>,
    ) -> Result<()>
    where
        F: FnMut(Line<'_>) -> Result<()>,
    {
        let in_entry = self.origin.entry.is_some();
        let counted = resource_type
            .and_then(|name| out.counts.totals.count_resource(name, in_entry).map(|()| name));
        match counted {
            Ok(resource_type) => {
                let Self { nodes, raw, base, origin } = self;
                (out.each)(Line::Resource(Resource {
                    nodes,
                    root,
                    raw,
                    base,
                    resource_type,
                    origin,
                }))
            }
            Err(reason) => out.reject(self.raw, self.origin, reason),
        }
    }

    fn resource_type(self, at: usize) -> Result<&'a str, Reason> {
        match self.nodes[at] {
            Node::Object { .. } => {
                match self.member(at, "resourceType").map(|value| self.nodes[value]) {
                    Some(Node::String(name)) => Ok(name),
                    Some(_) => Err(Reason::ResourceTypeNotText),
                    None => Err(Reason::NoResourceType),
                }
            }
            other => Err(Reason::NotAnObject(kind(other))),
        }
    }

    /// Index of the value of an object's member; of several with one name the last.
    fn member(self, object: usize, name: &str) -> Option<usize> {
        members(self.nodes, object).filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }
}

/// What JSON calls it.
fn kind(node: Node<'_>) -> &'static str {
    match node {
        Node::Object { .. } => "an object",
        Node::Array { .. } => "an array",
        Node::String(_) => "a string",
        Node::Static(StaticNode::Null) => "null",
        Node::Static(StaticNode::Bool(_)) => "a boolean",
        Node::Static(_) => "a number",
    }
}
