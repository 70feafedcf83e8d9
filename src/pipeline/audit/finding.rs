//! What can be wrong with data, and the account of what was found where.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::fhir::{Type, Unresolvable};
use crate::fhirpath::Json;
use crate::ingest;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Against FHIR, or against the rest of the input.
    Error,
    /// Allowed, and well to know.
    Note,
}

impl Severity {
    /// `error` or `note`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
        }
    }
}

/// What was found. Displays without any content of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    /// A line or an entry that cannot be used.
    Rejected(ingest::Reason),
    /// A `resourceType` that R4 does not have, or none.
    UnknownResourceType,
    /// A resource without an id.
    NoId,
    /// A type and id that more resources than this one have.
    SharedId,
    /// A reference to a resource that the input does not hold, though it holds others of the type.
    NotInInput,
    /// A reference to a resource of a type of which the input holds none.
    TypeNotInInput(Type),
    /// A reference to what is no type of R4.
    UnknownTarget,
    /// `#id` without such a contained resource.
    NotContained,
    /// A reference that says no resource of this server.
    Unresolvable(Unresolvable),
    /// A key that R4 does not have there.
    UnknownElement,
    /// A key that the same object has already.
    DuplicateKey,
    /// JSON of another type than the element's.
    JsonType(Found, Type),
    /// A text or number that is not a value of the element's type.
    NoValue(Type),
    /// One value where the definition has a list.
    OneForList,
    /// A list where the definition has one value.
    ListForOne,
    /// `null`, and nothing beside it that would say why.
    Null,
    /// `{}`, or nothing in it but an id.
    EmptyObject,
    /// `[]`
    EmptyList,
    /// `""`
    EmptyText,
    /// A `modifierExtension`.
    Modified,
}

/// A type of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Found {
    Object,
    Array,
    Text,
    Number,
    Boolean,
    Null,
}

impl From<Json<'_>> for Found {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Object => Self::Object,
            Json::Array => Self::Array,
            Json::Text(_) => Self::Text,
            Json::Integer(_) | Json::Number => Self::Number,
            Json::Boolean => Self::Boolean,
            Json::Null => Self::Null,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::Text => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        })
    }
}

impl What {
    /// How bad it is.
    pub(super) fn severity(self) -> Severity {
        use Unresolvable::{Elsewhere, NotLiteral, Urn};
        match self {
            Self::TypeNotInInput(_)
            | Self::Unresolvable(Elsewhere | Urn | NotLiteral)
            | Self::Modified => Severity::Note,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected(reason) => return write!(f, "rejected: {reason}"),
            Self::UnknownResourceType => "resource type unknown to R4",
            Self::NoId => "no id",
            Self::SharedId => "type and id of several resources",
            Self::NotInInput => "reference: not in the input",
            Self::TypeNotInInput(of) => return write!(f, "reference: no {of} in the input"),
            Self::UnknownTarget => "reference: type unknown to R4",
            Self::NotContained => "reference: not contained",
            Self::Unresolvable(reason) => return write!(f, "reference: {}", reason.name()),
            Self::UnknownElement => "element unknown to R4",
            Self::DuplicateKey => "duplicate key",
            Self::JsonType(found, of) => return write!(f, "{found} where {of} belongs"),
            Self::NoValue(of) => return write!(f, "not a valid {of}"),
            Self::OneForList => "one value where a list belongs",
            Self::ListForOne => "a list where one value belongs",
            Self::Null => "null",
            Self::EmptyObject => "empty object",
            Self::EmptyList => "empty list",
            Self::EmptyText => "empty string",
            Self::Modified => "modifier: the meaning is not the usual one",
        })
    }
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The input file.
    pub file: PathBuf,
    /// Line number, from 1.
    pub line: u64,
    /// Index within a Bundle, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u32>,
}

/// What was found at a path of the resources, how often, and where first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditFinding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, without any content of the data.
    pub what: String,
    /// The keys that lead there, without indexes; empty for whole lines.
    pub path: String,
    /// How often.
    pub count: u64,
    /// Where first, in the order of the input.
    pub first: Location,
}

impl AuditFinding {
    /// Whether it is about references to another server, or to this one by a base that is not known.
    pub fn is_elsewhere(&self) -> bool {
        self.what == What::Unresolvable(Unresolvable::Elsewhere).to_string()
    }
}

/// Paths beyond so many rows are counted together: garbage must neither fill the memory nor hide the rest.
const MOST_ROWS: usize = 1000;

/// The path that they are counted under.
const OTHER_PATHS: &str = "(other paths)";

/// Adds up what blocks found, in the order of the input.
#[derive(Default)]
pub(super) struct Account(HashMap<(What, String), (u64, Location)>);

impl Account {
    /// Adds findings of one kind at one path, the first of which is at `first`.
    pub(super) fn add(
        &mut self,
        what: What,
        path: String,
        count: u64,
        first: impl Fn() -> Location,
    ) {
        let full = self.0.len() >= MOST_ROWS;
        let mut key = (what, path);
        if full && !self.0.contains_key(&key) {
            OTHER_PATHS.clone_into(&mut key.1);
        }
        self.0.entry(key).or_insert_with(|| (0, first())).0 += count;
    }

    /// The findings, the worst first: errors before notes, the frequent before the rare.
    pub(super) fn finish(self) -> Vec<AuditFinding> {
        let mut rows: Vec<_> = self.0.into_iter().collect();
        rows.sort_by(|((a, path), (n, _)), ((b, other), (m, _))| {
            (a.severity(), m, a, path).cmp(&(b.severity(), n, b, other))
        });
        let finding = |((what, path), (count, first)): ((What, String), _)| AuditFinding {
            severity: what.severity(),
            what: what.to_string(),
            path,
            count,
            first,
        };
        rows.into_iter().map(finding).collect()
    }
}
