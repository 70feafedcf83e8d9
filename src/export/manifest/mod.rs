//! The manifest, of any version of the guide, read tolerantly.
//!
//! One reader for 2.0 (STU2), 3.0 and the 4.0 ballot: `error` or `outcome`, `extension` as an object or an array,
//! urls that are relative, lists that are null or missing, keys nobody knows (Bulk Data Access, "Response - Complete
//! Status").

mod local;
mod unsigned;
mod value;

use serde_json::Value;
use url::Url;

use self::value::{announced, count, flag, text};
use super::download::{Section, Wanted};
use crate::error::{Error, ErrorKind, Result};

pub(super) use local::{local, text_of};
pub(super) use unsigned::unsigned;

/// A page of the manifest; most have only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// `transactionTime` as written.
    pub(super) transaction_time: Option<String>,
    /// `requiresAccessToken`, if it says.
    pub(super) requires_token: Option<bool>,
    /// Whether files are organised by blocks (`outputOrganizedBy`).
    pub(super) organized: bool,
    /// `output`
    pub(super) output: Vec<Entry>,
    /// `deleted`
    pub(super) deleted: Vec<Entry>,
    /// `error`, or `outcome` (4.0).
    pub(super) error: Vec<Entry>,
    /// `link` to the next page.
    pub(super) next: Option<Url>,
}

/// A file that a page lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) resource_type: Option<String>,
    pub(super) url: Url,
    pub(super) count: Option<u64>,
    /// Bytes.
    pub(super) size: Option<u64>,
    pub(super) checksum: Option<String>,
}

/// Whether this is a manifest, and not a progress report or an OperationOutcome.
pub(super) fn is_manifest(value: &Value) -> bool {
    value.get("resourceType").is_none()
        && ["output", "transactionTime", "link"].iter().any(|key| value.get(key).is_some())
}

impl Page {
    /// Reads a page that came from `at`.
    ///
    /// # Errors
    /// Of kind `Incomplete`, if it is no manifest, or lists a file without a url that can be loaded.
    pub(super) fn read(value: &Value, at: &Url) -> Result<Self> {
        if !is_manifest(value) {
            return Err(broken("what the server calls a manifest has no `output`"));
        }
        let mut error = entries(value, "error", at)?;
        error.extend(entries(value, "outcome", at)?);
        Ok(Self {
            transaction_time: text(value, "transactionTime"),
            requires_token: flag(value, "requiresAccessToken"),
            organized: text(value, "outputOrganizedBy").is_some_and(|by| !by.is_empty()),
            output: entries(value, "output", at)?,
            deleted: entries(value, "deleted", at)?,
            error,
            next: next(value, at)?,
        })
    }

    /// The files of a section.
    pub(super) fn section(&self, section: Section) -> &[Entry] {
        match section {
            Section::Output => &self.output,
            Section::Deleted => &self.deleted,
            Section::Error => &self.error,
        }
    }

    /// A file as it is to be loaded. Where the page does not say whether files want the token, they get it at the
    /// server's own origin alone; what would go unencrypted, though the server is encrypted, never gets it.
    pub(super) fn wanted(&self, section: Section, at: usize, index: usize, server: &Url) -> Wanted {
        let entry = &self.section(section)[at];
        let own = || entry.url.origin() == server.origin();
        let downgraded = server.scheme() == "https" && entry.url.scheme() != "https";
        Wanted {
            section,
            index,
            resource_type: entry.resource_type.clone(),
            url: entry.url.clone(),
            credentials: self.requires_token.unwrap_or_else(own) && !downgraded,
            count: entry.count,
            size: entry.size,
            checksum: entry.checksum.clone(),
            organized: self.organized && section == Section::Output,
        }
    }
}

fn entries(page: &Value, key: &str, at: &Url) -> Result<Vec<Entry>> {
    let list = match page.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(broken(format!("`{key}` of the manifest is no list"))),
    };
    list.iter()
        .enumerate()
        .filter(|(_, entry)| !entry.is_null())
        .map(|(index, written)| {
            entry(written, at).map_err(|e| e.at("file", format!("{key}[{index}]")))
        })
        .collect()
}

fn entry(written: &Value, at: &Url) -> Result<Entry> {
    let url = text(written, "url").ok_or_else(|| broken("a file of the manifest has no url"))?;
    let url = resolved(&url, at)?;
    let extension = written.get("extension");
    Ok(Entry {
        resource_type: text(written, "type").filter(|name| !name.is_empty()),
        url,
        count: count(written.get("count")),
        size: count(written.get("fileSize"))
            .or_else(|| count(announced(extension, "file_length").as_ref())),
        checksum: announced(extension, "checksum").and_then(|v| v.as_str().map(str::to_owned)),
    })
}

fn resolved(url: &str, at: &Url) -> Result<Url> {
    at.join(url.trim())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| broken("a url of the manifest is not one that can be loaded by http"))
}

/// The url of the next page. `#pending` and `#closed` (4.0, publish) are no pages.
fn next(page: &Value, at: &Url) -> Result<Option<Url>> {
    let links = match page.get("link") {
        Some(Value::Array(links)) => links.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => &[],
    };
    let next = links.iter().find(|link| text(link, "relation").as_deref() == Some("next"));
    let url = next.and_then(|link| text(link, "url")).filter(|url| !url.starts_with('#'));
    url.map(|url| resolved(&url, at)).transpose()
}

fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Incomplete, message)
        .hint("the server does not keep to the protocol: report it to who runs the server")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
