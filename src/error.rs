//! The one error type: what went wrong, where, and what to do about it.
//!
//! Three tiers, never mixed. A line of input that cannot be used is *data* (a reject, see
//! [`crate::ingest`]); a mistake of the user or of the world is an [`Error`]; a panic is a bug.

use std::fmt;
use std::path::Path;

/// What kind of failure, which decides the exit code and whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line makes no sense. Exit code 2.
    Usage,
    /// A pipeline, ViewDefinition or query is wrong; nothing was read. Exit code 3.
    Definition,
    /// The input is missing, unreadable or of no known kind. Exit code 4.
    Input,
    /// The data are not good enough: more lines were rejected than the pipeline allows, and nothing was committed; or they
    /// break its rules of quality, and models and loads were not made. Exit code 5.
    Rejects,
    /// The output or the warehouse cannot be written, or is locked by another run. Exit code 6.
    Output,
    /// The query is right in form but failed while running. Exit code 7.
    Query,
    /// The warehouse on disk contradicts itself. Exit code 8.
    Warehouse,
    /// A server could not for now: unreachable, overloaded, still at work. The same command, later, goes on. Exit code 9.
    TryLater,
    /// A server refuses: sign-in, permission, a parameter. The configuration has to change. Exit code 10.
    Refused,
    /// An export came with errors of the server, or files that are not what was announced; what is good is kept. Exit
    /// code 11.
    Incomplete,
}

impl ErrorKind {
    /// The process exit code for this kind. 1 is left to panics.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Definition => 3,
            Self::Input => 4,
            Self::Rejects => 5,
            Self::Output => 6,
            Self::Query => 7,
            Self::Warehouse => 8,
            Self::TryLater => 9,
            Self::Refused => 10,
            Self::Incomplete => 11,
        }
    }
}

/// A failure that ends the command. Displayed as one line; [`crate::cli`] prints the rest.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// Where: `("file", …)`, `("path", …)`, in the order of narrowing.
    at: Vec<(&'static str, String)>,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; the message is one lower-case sentence without a final period.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), at: Vec::new(), hint: None, source: None }
    }

    /// An input or output error of the operating system, with the path it happened at.
    pub fn io(kind: ErrorKind, doing: &str, path: &Path, source: std::io::Error) -> Self {
        Self::new(kind, format!("cannot {doing} `{}`: {source}", path.display())).caused_by(source)
    }

    /// Adds a place: the narrower the later.
    #[must_use]
    pub fn at(mut self, what: &'static str, place: impl fmt::Display) -> Self {
        self.at.push((what, place.to_string()));
        self
    }

    /// Adds a place around all that are known.
    #[must_use]
    pub fn within(mut self, what: &'static str, place: impl fmt::Display) -> Self {
        self.at.insert(0, (what, place.to_string()));
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Keeps the underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence that says what went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The places, widest first.
    pub fn places(&self) -> &[(&'static str, String)] {
        &self.at
    }

    /// What the user can do about it, if we know.
    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (what, place) in &self.at {
            write!(f, "; {what} {place}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
