//! Tells when a server sends something else than the file: a page, or a resource that says what is wrong.

use serde_json::Value;

use super::super::outcome::Outcome;
use super::super::transport::gzip::MAGIC;
use super::{Section, Wanted};

/// What came instead of the file, by the type of the content and the beginning of the text.
pub(super) fn other_than_announced(
    file: &Wanted,
    content_type: &str,
    head: &[u8],
) -> Option<String> {
    let media_type = media_type(content_type);
    let first =
        head.iter().find(|byte| !byte.is_ascii_whitespace() && !BYTE_ORDER_MARK.contains(byte));
    if first == Some(&b'<') {
        let what = if media_type.contains("html") { "an HTML page" } else { "HTML or XML" };
        return Some(format!("the server sent {what} instead of NDJSON"));
    }
    if media_type == "text/html" && !head.is_empty() && first != Some(&b'{') {
        return Some("the server sent an HTML page instead of NDJSON".to_owned());
    }
    if head.starts_with(&MAGIC) {
        return Some("the file is compressed twice".to_owned());
    }
    if wraps(file, &media_type, head) {
        return Some("the server sent a Binary resource around the file".to_owned());
    }
    let outcomes =
        file.section == Section::Error || file.resource_type.as_deref() == Some("OperationOutcome");
    if outcomes || (media_type.contains("ndjson") && file.resource_type.is_none()) {
        return None;
    }
    let said = outcome(head)?;
    Some(format!("the server sent an OperationOutcome instead of the file: {said}"))
}

/// Whether the file is in the `data` of a Binary, as servers send it that do not look at `Accept` (hapi-fhir#4051).
fn wraps(file: &Wanted, media_type: &str, head: &[u8]) -> bool {
    let beginning = head.iter().filter(|byte| !byte.is_ascii_whitespace());
    media_type.ends_with("json")
        && !media_type.contains("ndjson")
        && file.resource_type.as_deref().is_some_and(|kind| kind != "Binary")
        && beginning.take(BINARY.len()).eq(BINARY)
}

/// Without blanks; servers write the type first.
const BINARY: &[u8] = b"{\"resourceType\":\"Binary\"";

/// Some programs begin a text with it; no JSON does.
pub(in crate::export) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// `text/html` of `text/html; charset=utf-8`.
pub(in super::super) fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The OperationOutcome that `text` begins with, as far as it may be shown.
fn outcome(text: &[u8]) -> Option<Outcome> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let value = serde_json::Deserializer::from_slice(text).into_iter::<Value>().next()?.ok()?;
    Outcome::of(&value)
}
