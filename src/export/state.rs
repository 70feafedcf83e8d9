//! What an export remembers (`export.json` beside the data): enough to go on after being killed at any instant.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `export.json`: replaced as a whole (temporary name, fsync, rename) at every step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportState {
    /// Form of this file: 1.
    pub version: u32,
    /// What was asked, without `patient`: to refuse going on with another export's files.
    pub request: serde_json::Value,
    /// When the kick-off was answered, by the server's clock (its `Date`), else ours.
    pub kicked_off: Option<String>,
    /// Where the job is polled.
    pub status_url: Option<String>,
    /// The manifest's pages as they came.
    pub pages: Vec<serde_json::Value>,
    /// Whether the last page has come.
    pub pages_complete: bool,
    /// Files that are whole, by section and place in the manifest.
    pub stored: Vec<StoredFile>,
    /// Whether all are whole.
    pub complete: bool,
    /// Whether the job was deleted on the server, or need not be.
    pub job_deleted: bool,
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
    /// What is well to know of it: a count that does not fit, attachments that could not be loaded, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
