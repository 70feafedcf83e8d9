//! What lines are delivered as: resources on a tape, and rejects with their place and reason.

use std::fmt;

use simd_json::Node;

/// What a line, or an entry of a Bundle, turned out to be.
#[derive(Debug)]
pub enum Line<'a> {
    /// A resource, parsed.
    Resource(Resource<'a>),
    /// An entry of a Bundle that asks for a deletion. Counted among the entries without a resource.
    Deletion(Deletion<'a>),
    /// Nothing that can be used. Also in the [`BlockCounts`]; its line number is relative.
    Rejected(&'a Rejected),
}

/// A resource on the tape of its line.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// The tape of the whole line.
    pub nodes: &'a [Node<'a>],
    /// Index of the resource's object in `nodes`: 0, or further on inside a Bundle.
    pub root: usize,
    /// The unmodified text of the line (or document) without its line end.
    pub raw: &'a [u8],
    /// Address of the parser's copy of `raw[0]`. Strings without escapes lie at the same distance from
    /// it as in `raw`: `key.as_ptr().addr() - base` is a key's offset in `raw`.
    pub base: usize,
    /// The value of `resourceType`.
    pub resource_type: &'a str,
    /// Where it stands.
    pub origin: Origin,
}

/// An entry of a Bundle with `request.method` DELETE and no resource (Bulk Data Access, "deleted").
#[derive(Debug, Clone, Copy)]
pub struct Deletion<'a> {
    /// `request.url`, else `fullUrl`: which resource.
    pub url: Option<&'a str>,
    /// Where it stands.
    pub origin: Origin,
}

/// Where a line stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Index into [`Inputs::files`](super::Inputs::files).
    pub file: u32,
    /// Line number from 1, counted from the first line of the file in this *block*;
    /// [`Tally`](super::Tally) knows how many precede it.
    pub line: u64,
    /// Offset of the line's text in the decoded file, in bytes.
    pub offset: u64,
    /// Index of the entry in a Bundle, or of the element in an array document.
    pub entry: Option<u32>,
}

/// A line, or an entry of a Bundle, that cannot be used: data, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where it stands.
    pub origin: Origin,
    /// Why. Says nothing of the content.
    pub reason: Reason,
    /// The first 200 characters of the line, if [`Options::keep_excerpts`] asks for them. PHI.
    pub excerpt: Option<String>,
}

impl Rejected {
    /// The first 200 characters of a line.
    pub fn excerpt_of(raw: &[u8]) -> String {
        const CHARACTERS: usize = 200;
        let longest = &raw[..raw.len().min(CHARACTERS * 4)];
        String::from_utf8_lossy(longest).chars().take(CHARACTERS).collect()
    }
}

/// Why a line or an entry was rejected. Displays without any content of the line, which is PHI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not UTF-8.
    InvalidUtf8,
    /// Not JSON, or cut off.
    InvalidJson,
    /// Something follows the JSON value.
    TrailingText,
    /// JSON, but with a number or an escape that has no value: beyond f64, half a surrogate pair.
    NotRepresentable,
    /// Nested deeper than the parser goes.
    TooDeep,
    /// Longer than [`Options::max_line_bytes`], given here.
    TooLong(usize),
    /// JSON of another type, named here, where an object should be.
    NotAnObject(&'static str),
    /// No `resourceType`.
    NoResourceType,
    /// `resourceType` is not a string.
    ResourceTypeNotText,
    /// `resourceType` is a string but cannot be the name of a type.
    ResourceTypeNotName,
    /// `Bundle.entry` is not an array.
    EntryNotArray,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidUtf8 => "not valid UTF-8",
            Self::InvalidJson => "not valid JSON",
            Self::TrailingText => "more text after the JSON value",
            Self::NotRepresentable => "a number beyond 1e308 or half a surrogate pair",
            Self::TooDeep => "nested too deeply",
            Self::TooLong(limit) => return write!(f, "longer than {limit} bytes"),
            Self::NotAnObject(kind) => return write!(f, "{kind} where a resource should be"),
            Self::NoResourceType => "no `resourceType`",
            Self::ResourceTypeNotText => "`resourceType` is not a string",
            Self::ResourceTypeNotName => "`resourceType` is not the name of a type",
            Self::EntryNotArray => "`entry` of the Bundle is not an array",
        })
    }
}
