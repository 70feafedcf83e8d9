//! One resource under evaluation: its tape, its text, and the arena for everything computed from it.

use std::cell::Cell;

use bumpalo::Bump;
use simd_json::{Node, StaticNode};

use super::value::{Element, QuantityRef, decimal};

/// A parsed JSON document that holds a resource.
///
/// The tape's strings point into a scratch copy of the text that parsing may have changed; `raw` is the text as it
/// was read. Both have the same layout, so that a key's address tells where its value's text stands.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    /// The whole tape.
    pub nodes: &'a [Node<'a>],
    /// Index of the resource's object; not 0 for an entry of a Bundle.
    pub root: u32,
    /// The unmodified JSON text.
    pub raw: &'a [u8],
    /// Address of the scratch byte that corresponds to `raw[0]`.
    pub base: usize,
    /// Where computed values live until the next resource.
    pub arena: &'a Bump,
    /// The number that was found last by counting: its node, and its offset in `raw`.
    counted: &'a Cell<(u32, usize)>,
}

/// What JSON has at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Json<'a> {
    /// An object.
    Object,
    /// An array.
    Array,
    /// A string, without its escapes.
    Text(&'a str),
    /// A number written without fraction and exponent that fits 64 bits.
    Integer(i64),
    /// Any other number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`
    Null,
}

impl<'a> Document<'a> {
    /// The resource at `root` of a tape, whose strings point into a copy of `raw` that begins at address `base`.
    pub fn new(
        nodes: &'a [Node<'a>],
        root: u32,
        raw: &'a [u8],
        base: usize,
        arena: &'a Bump,
    ) -> Self {
        Self { nodes, root, raw, base, arena, counted: arena.alloc(Cell::default()) }
    }

    /// What is at a node.
    pub fn json_at(&self, at: u32) -> Json<'a> {
        match self.nodes[at as usize] {
            Node::Object { .. } => Json::Object,
            Node::Array { .. } => Json::Array,
            Node::String(text) => Json::Text(text),
            Node::Static(StaticNode::Null) => Json::Null,
            Node::Static(StaticNode::Bool(_)) => Json::Boolean,
            Node::Static(StaticNode::I64(number)) => Json::Integer(number),
            Node::Static(StaticNode::U64(number)) => {
                i64::try_from(number).map_or(Json::Number, Json::Integer)
            }
            Node::Static(_) => Json::Number,
        }
    }

    /// The string at a node.
    pub fn text(&self, at: u32) -> Option<&'a str> {
        match self.nodes.get(at as usize) {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Keys and value indexes of the object at `at`; nothing if it is none.
    pub fn entries(&self, at: u32) -> Entries<'a> {
        let at = at as usize;
        match self.nodes.get(at) {
            Some(Node::Object { len, .. }) => Entries { nodes: self.nodes, at: at + 1, left: *len },
            _ => Entries { nodes: self.nodes, at: 0, left: 0 },
        }
    }

    /// Index of the value of `key` in the object at `at`. Of duplicate keys the last counts, as in most parsers.
    pub fn child(&self, at: u32, key: &str) -> Option<u32> {
        self.entries(at).filter(|(k, _)| *k == key).last().map(|(_, value)| value)
    }

    /// Indexes of the elements of the array at `at`; of a value that is no array, its own index.
    pub fn elements(&self, at: u32) -> Elements<'a> {
        match self.nodes.get(at as usize) {
            Some(Node::Array { len, .. }) => {
                Elements { nodes: self.nodes, at: at as usize + 1, left: *len }
            }
            Some(_) => Elements { nodes: self.nodes, at: at as usize, left: 1 },
            None => Elements { nodes: self.nodes, at: 0, left: 0 },
        }
    }

    /// Whether there is a value: a node that is not JSON's null.
    pub fn present(&self, at: u32) -> bool {
        self.nodes.get(at as usize).is_some_and(|n| !matches!(n, Node::Static(StaticNode::Null)))
    }

    /// The number at `at` as it was written: `1.50`, `1.0E-3`, all of its digits.
    pub fn number_text(&self, at: u32) -> Option<&'a str> {
        self.nodes.get(at as usize).filter(|n| is_number(n))?;
        let start = self.number_start(at)?;
        let rest = &self.raw[start..];
        let end = rest.iter().position(|b| !is_number_byte(*b)).unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).ok()
    }

    fn number_start(&self, at: u32) -> Option<usize> {
        self.start_behind_key(at).or_else(|| self.start_by_counting(at))
    }

    /// In an object, the node before a value is its key, a slice of the scratch copy: its address is an offset, and
    /// the value's text stands behind it in `raw`. In an array the node before is no key, and no colon follows it.
    fn start_behind_key(&self, at: u32) -> Option<usize> {
        let Node::String(key) = self.nodes.get((at as usize).checked_sub(1)?)? else { return None };
        let start = (key.as_ptr() as usize).checked_sub(self.base)?;
        let end = start + key.len();
        // A key with an escape is shorter than its text, and its closing quote is elsewhere.
        if self.raw.get(start..end)? != key.as_bytes() || start == 0 || self.raw[start - 1] != b'"'
        {
            return None;
        }
        let rest = self.raw.get(end..)?.strip_prefix(b"\"")?;
        let colon = rest.iter().position(|b| !b.is_ascii_whitespace())?;
        let value =
            rest[colon..].strip_prefix(b":")?.iter().position(|b| !b.is_ascii_whitespace())?;
        let found = end + 1 + colon + 1 + value;
        is_number_byte(self.raw[found]).then_some(found)
    }

    /// The slow way, for numbers in arrays and behind keys with escapes: the n-th number of the tape is the n-th
    /// number of the text. It goes on from the number before, where it can: from the start it would take a long array
    /// the square of its length.
    fn start_by_counting(&self, at: u32) -> Option<usize> {
        let (node, offset) = Some(self.counted.get()).filter(|(n, _)| *n <= at).unwrap_or_default();
        let between =
            self.nodes[node as usize..at as usize].iter().filter(|n| is_number(n)).count();
        let found = offset + numbers(&self.raw[offset..]).nth(between)?;
        self.counted.set((at, found));
        Some(found)
    }

    /// The Quantity object at `at`: its value, and the code of its unit (or the unit, where no code is given).
    pub fn quantity(&self, at: u32) -> Option<QuantityRef<'a>> {
        let (number, unit) = self.written_quantity(at)?;
        Some(QuantityRef { value: decimal(number)?, unit })
    }

    /// The Quantity object at `at`, its value as written; `None` with a comparator: `<5` is no number.
    pub(super) fn written_quantity(&self, at: u32) -> Option<(&'a str, &'a str)> {
        let (mut value, mut unit, mut code) = (None, None, None);
        for (key, at) in self.entries(at) {
            match key {
                "value" => value = Some(at),
                "unit" => unit = self.text(at),
                "code" => code = self.text(at),
                "comparator" => return None,
                _ => {}
            }
        }
        Some((self.number_text(value?)?, code.or(unit).unwrap_or("1")))
    }

    /// The element for the resource itself.
    pub fn root_element(&self, of: Option<crate::fhir::Type>) -> Element {
        Element { at: self.root, companion: Element::ABSENT, of }
    }

    /// The JSON text of the value at `at`, rebuilt from the tape with numbers as written.
    pub fn json(&self, at: u32, out: &mut String) {
        match self.nodes[at as usize] {
            Node::String(text) => json_string(text, out),
            Node::Object { .. } => {
                let pairs = self.entries(at).map(|(key, value)| (Some(key), value));
                self.json_list(['{', '}'], pairs, out);
            }
            Node::Array { .. } => {
                self.json_list(['[', ']'], self.elements(at).map(|v| (None, v)), out);
            }
            Node::Static(StaticNode::Null) => out.push_str("null"),
            Node::Static(StaticNode::Bool(b)) => out.push_str(if b { "true" } else { "false" }),
            Node::Static(_) => out.push_str(self.number_text(at).unwrap_or("null")),
        }
    }

    fn json_list(
        &self,
        brackets: [char; 2],
        values: impl Iterator<Item = (Option<&'a str>, u32)>,
        out: &mut String,
    ) {
        out.push(brackets[0]);
        for (i, (key, value)) in values.enumerate() {
            if i > 0 {
                out.push(',');
            }
            if let Some(key) = key {
                json_string(key, out);
                out.push(':');
            }
            self.json(value, out);
        }
        out.push(brackets[1]);
    }
}

fn json_string(text: &str, out: &mut String) {
    // Serialising a string cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn is_number(node: &Node<'_>) -> bool {
    matches!(node, Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_)))
}

fn is_number_byte(b: u8) -> bool {
    b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Offsets of all numbers of a valid JSON text, in order.
fn numbers(raw: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(b) = raw.get(at) {
            match b {
                b'"' => at = string_end(raw, at + 1),
                b'-' | b'0'..=b'9' => {
                    let start = at;
                    at += raw[at..]
                        .iter()
                        .position(|b| !is_number_byte(*b))
                        .unwrap_or(raw.len() - at);
                    return Some(start);
                }
                _ => at += 1,
            }
        }
        None
    })
}

/// Offset behind the closing quote of a string whose text begins at `at`.
fn string_end(raw: &[u8], mut at: usize) -> usize {
    while let Some(b) = raw.get(at) {
        match b {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    raw.len()
}

/// Iterates the pairs of an object.
pub struct Entries<'a> {
    nodes: &'a [Node<'a>],
    at: usize,
    left: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, u32);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let Node::String(key) = self.nodes[self.at] else { return None };
        let value = self.at + 1;
        self.at = value + width(&self.nodes[value]);
        Some((key, value as u32))
    }
}

/// Iterates the elements of an array.
pub struct Elements<'a> {
    nodes: &'a [Node<'a>],
    at: usize,
    left: usize,
}

impl Iterator for Elements<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let value = self.at;
        self.at += width(&self.nodes[value]);
        Some(value as u32)
    }
}

/// Nodes that a value takes on the tape.
pub(super) fn width(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}
