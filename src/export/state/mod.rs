//! What an export remembers (`export.json` beside the data): enough to go on after being killed at any instant.
//!
//! `export.json` is replaced as a whole at every step. With 20,000 files that would be gigabytes of writing for the
//! step that is taken most, "a file is whole": those lines are appended to `export.journal`, which is folded into
//! `export.json` at the next start and at the end.

mod fingerprint;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::export::request::ExportRequest;

pub(super) use store::Store;

/// The form of `export.json` that this version writes and reads.
pub(super) const VERSION: u32 = 1;

/// `export.json`: replaced as a whole (temporary name, fsync, rename).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportState {
    /// Form of this file: 1.
    pub version: u32,
    /// What was asked, without `patient`: to refuse going on with another export's files.
    pub request: serde_json::Value,
    /// Which job of this folder it is, from 1: a lost one may be begun anew.
    #[serde(default)]
    pub job: u32,
    /// When the kick-off was sent, by our clock.
    #[serde(default)]
    pub began: Option<String>,
    /// The url of the kick-off, without `patient`.
    #[serde(default)]
    pub kick_off_url: Option<String>,
    /// When the kick-off was answered, by the server's clock (its `Date`), else ours.
    pub kicked_off: Option<String>,
    /// Where the job is polled.
    pub status_url: Option<String>,
    /// The manifest's pages as they came.
    pub pages: Vec<serde_json::Value>,
    /// Where they came from.
    #[serde(default)]
    pub page_urls: Vec<String>,
    /// Whether the last page has come.
    pub pages_complete: bool,
    /// Files that are whole, by section and place in the manifest.
    pub stored: Vec<StoredFile>,
    /// Whether all are whole.
    pub complete: bool,
    /// Whether the job was deleted on the server, or need not be.
    pub job_deleted: bool,
    /// Parts of an earlier job that was lost: removed when all of this one is stored.
    #[serde(default)]
    pub superseded: Vec<PathBuf>,
}

/// A file of the manifest that is on disk as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredFile {
    /// `output`, `deleted` or `error`.
    pub section: String,
    /// Place in the section, over all pages, from 0.
    pub index: usize,
    /// `type`, if the manifest gives one.
    pub resource_type: Option<String>,
    /// The url, without its query.
    pub url: String,
    /// Its parts beside `export.json`, in order; empty if the file is.
    pub parts: Vec<PathBuf>,
    /// Lines that are not blank.
    pub lines: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Of the bytes as the server has them (undecoded by us only where gzip was a transfer encoding), hex.
    pub sha256: String,
    /// Attachments of it that were loaded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attachments: u64,
    /// What is well to know of it: a count that does not fit, attachments that could not be loaded, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl ExportState {
    /// Whether an export was begun in this folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(store::STATE).is_file()
    }

    /// What is remembered of the export in a folder, if one was begun there.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        store::load(folder)
    }

    /// `_since` of the request.
    pub fn since(&self) -> Option<&str> {
        self.request.get("since").and_then(serde_json::Value::as_str)
    }

    /// Whether it asks for the same as a request, apart from `_since`.
    pub fn is_of(&self, request: &ExportRequest) -> bool {
        let mut asked = self.request.clone();
        if let Some(since) = asked.get_mut("since") {
            *since = serde_json::Value::Null;
        }
        asked == fingerprint_of(request)
    }

    /// Nothing done yet for this request.
    pub(super) fn new(request: serde_json::Value) -> Self {
        Self { version: VERSION, request, ..Self::default() }
    }

    /// Forgets the job, so that the next kick-off begins another. Its files stay until those of the next are all there.
    pub(super) fn forget_job(&mut self) {
        let mut superseded = std::mem::take(&mut self.superseded);
        superseded.extend(self.stored.drain(..).flat_map(|file| file.parts));
        let request = std::mem::take(&mut self.request);
        *self = Self { job: self.job, superseded, ..Self::new(request) };
    }
}

/// What tells a request from others, apart from `_since`, as text. Of patients there is only a hash.
pub fn identity(request: &ExportRequest) -> String {
    fingerprint_of(request).to_string()
}

/// The fingerprint of a request apart from `_since`.
fn fingerprint_of(request: &ExportRequest) -> serde_json::Value {
    fingerprint::fingerprint(&ExportRequest { since: None, ..request.clone() })
}

/// Most exports load no attachments.
#[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(number: &u64) -> bool {
    *number == 0
}
