//! What is wrong with a definition, and where: collected, so that one check shows everything.

use std::fmt;
use std::ops::Range;

use crate::fhir::{self, Type};
use crate::settings::Mistake;
use crate::suggest;

/// Whether a definition can still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is refused.
    Error,
    /// It works, though not as its author may think.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the definition can still be used.
    pub severity: Severity,
    /// The JSON path: `select[0].column[2].path`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The expression it is in, and where in it, in bytes.
    pub expression: Option<(String, Range<usize>)>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// An error at a JSON path.
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            message: message.into(),
            expression: None,
            hint: None,
        }
    }

    /// An error where a resource type should be; the hint is the type that is nearly called so, if there is one.
    pub fn no_resource_type(path: impl Into<String>, name: &str) -> Self {
        let problem = Self::error(path, format!("`{name}` is no resource type of FHIR R4"));
        match suggest::nearest(name, fhir::resource_types().map(Type::name)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        }
    }

    /// A mistake in the settings below `path`.
    pub fn of_setting(path: &str, mistake: Mistake, of: fn(String, String) -> Self) -> Self {
        let separator = if path.is_empty() || mistake.path.is_empty() { "" } else { "." };
        let problem = of(format!("{path}{separator}{}", mistake.path), mistake.message);
        Self { hint: mistake.hint, ..problem }
    }

    /// A warning at a JSON path.
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place within an expression.
    #[must_use]
    pub fn within(mut self, expression: &str, span: Range<usize>) -> Self {
        self.expression = Some((expression.to_owned(), span));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
