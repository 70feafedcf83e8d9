//! What a server says when it refuses: OperationOutcome, or an OAuth error.

use std::fmt;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::transport::{Request, described};
use crate::error::{Error, ErrorKind};

/// The error of a refused response: what the server says, the request, the status, and what to change. It is
/// [`ErrorKind::TryLater`] where the same request may be answered later, else [`ErrorKind::Refused`].
pub(super) fn refusal(
    request: &Request,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Error {
    let said = Said::of(body);
    let message = match &said {
        Said::Nothing => format!("the server answers `{status}`{}", kind_of_body(headers, body)),
        said => format!("the server answers `{status}`: {said}"),
    };
    let later = is_passing(status) || matches!(&said, Said::Outcome(o) if o.is_transient());
    let kind = if later { ErrorKind::TryLater } else { ErrorKind::Refused };
    Error::new(kind, message)
        .at("request", described(&request.method, &request.url))
        .hint(if later { LATER } else { remedy(status) })
}

/// Whether a status says that the server cannot for now, whatever the body says.
pub(super) fn is_passing(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 425 | 429 => true,
        501 | 505 => false,
        code => code >= 500,
    }
}

const LATER: &str = "the same command goes on later with what it has";

fn remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..400 => "give the url that the server means to be asked at",
        401 => {
            "the server does not accept the sign-in: check the client id, the registered key and the scopes"
        }
        403 => {
            "the client may not do this: have the server's operator allow it, or ask for the scopes it needs"
        }
        404 | 410 => {
            "check the server's base url, the level and the group's id: there is nothing at this url, or no more"
        }
        405 => {
            "the server does not take this method here: see `kickoff`, and which levels the server exports"
        }
        400 | 406 | 415 | 422 | 501 => {
            "leave out or correct the parameter that the server does not take"
        }
        _ => "ask the server's operator what it means",
    }
}

/// How a body that says nothing is called: often the page of a gateway, which is not shown.
fn kind_of_body(headers: &HeaderMap, body: &[u8]) -> String {
    if body.is_empty() {
        return " without a reason".to_owned();
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("something").split(';').next().unwrap_or_default();
    format!(" with `{}` instead of a reason", shown(kind))
}

/// What the body of a refused response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// An OperationOutcome.
    Outcome(Outcome),
    /// An error of OAuth (RFC 6749, 5.2).
    OAuth {
        /// `error`
        error: String,
        /// `error_description`
        description: Option<String>,
    },
    /// Nothing that could be shown.
    Nothing,
}

impl Said {
    /// Of a body, which may be anything.
    pub(super) fn of(body: &[u8]) -> Self {
        let Ok(json) = serde_json::from_slice::<Value>(without_mark(body)) else {
            return Self::Nothing;
        };
        if let Some(outcome) = Outcome::of(&json) {
            return Self::Outcome(outcome);
        }
        let text =
            |name: &str| json[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        match text("error") {
            Some(error) => Self::OAuth { error, description: text("error_description") },
            None => Self::Nothing,
        }
    }
}

/// A body without a byte order mark.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outcome(outcome) => outcome.fmt(f),
            Self::OAuth { error, description: None } => f.write_str(&shown(error)),
            Self::OAuth { error, description: Some(text) } => {
                f.write_str(&shown(&format!("{error}: {text}")))
            }
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// An OperationOutcome, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) issues: Vec<Issue>,
}

/// One of its issues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Issue {
    /// `severity`: fatal, error, warning or information.
    pub(super) severity: Option<String>,
    /// `code`, of the value set issue-type.
    pub(super) code: Option<String>,
    /// `details.text`, else the display of its coding.
    pub(super) details: Option<String>,
    /// `diagnostics`
    pub(super) diagnostics: Option<String>,
}

/// The codes of issue-type that say "not now": `transient` and what is below it (requirement 28).
const TRANSIENT: &[&str] =
    &["transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"];

impl Outcome {
    /// Of JSON; `None` if it is something else.
    pub(super) fn of(json: &Value) -> Option<Self> {
        if json["resourceType"] != "OperationOutcome" {
            return None;
        }
        let issues = json["issue"].as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Self { issues: issues.iter().map(Issue::of).collect() })
    }

    /// Of a body, which may be anything.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        Self::of(&serde_json::from_slice(without_mark(body)).ok()?)
    }

    /// Whether it says that only this request failed, for the moment, and the job lives: all errors in it have a code
    /// of the transient family (requirement 28).
    pub(super) fn is_transient(&self) -> bool {
        let errors: Vec<_> = self.issues.iter().filter(|issue| issue.is_error()).collect();
        let telling = if errors.is_empty() { self.issues.iter().collect() } else { errors };
        let transient =
            |issue: &&Issue| issue.code.as_deref().is_some_and(|code| TRANSIENT.contains(&code));
        !telling.is_empty() && telling.iter().all(transient)
    }

    /// Whether an issue is an error, rather than a warning or a note.
    pub(super) fn has_errors(&self) -> bool {
        self.issues.iter().any(Issue::is_error)
    }
}

impl Issue {
    fn of(json: &Value) -> Self {
        let text = |json: &Value| json.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let details = &json["details"];
        Self {
            severity: text(&json["severity"]),
            code: text(&json["code"]),
            details: text(&details["text"]).or_else(|| text(&details["coding"][0]["display"])),
            diagnostics: text(&json["diagnostics"]),
        }
    }

    fn is_error(&self) -> bool {
        !matches!(self.severity.as_deref(), Some("warning" | "information" | "success"))
    }
}

/// `severity/code: details: diagnostics` of each issue, cut.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issues: Vec<_> = self.issues.iter().map(Issue::to_string).collect();
        let text = if issues.is_empty() { "no issue".to_owned() } else { issues.join("; ") };
        f.write_str(&shown(&text))
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        write!(f, "{}/{}", or_unknown(&self.severity), or_unknown(&self.code))?;
        if let Some(details) = &self.details {
            write!(f, ": {details}")?;
        }
        match &self.diagnostics {
            Some(text) if self.details.as_ref() != Some(text) => write!(f, ": {text}"),
            _ => Ok(()),
        }
    }
}

/// The most characters of a server's text that are shown.
const MOST_SHOWN: usize = 500;

/// A server's text, fit to be shown: one line without control characters, without what may be a credential (tokens,
/// queries of urls), cut to 500 characters.
pub(super) fn shown(text: &str) -> String {
    // What decides about a word comes before the cut, which could hide what it is.
    let words: Vec<_> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    let line = words.into_iter().map(harmless).collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !is_invisible(*c)).collect();
    match line.char_indices().nth(MOST_SHOWN) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// Marks that change the direction of the text around them, or have no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// A word without what may be a credential: how JWTs begin (`{"` as base64), and what follows the `?` of a url.
fn harmless(word: &str) -> String {
    if let Some(start) = word.find("eyJ") {
        return format!("{}…", &word[..start]);
    }
    match word.split_once('?') {
        Some((url, query)) if url.contains("://") && !query.is_empty() => format!("{url}?…"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
