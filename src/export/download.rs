//! Loads the files of a manifest, several at once, and stores each only when it is whole and as announced.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

use super::clock::Clock;
use super::log::Log;
use super::settings::Settings;
use super::state::StoredFile;
use super::transport::Transport;
use crate::error::{Error, Result};

/// A file of the manifest that is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `output`, `deleted` or `error`.
    pub(super) section: Section,
    /// Place in the section, over all pages, from 0.
    pub(super) index: usize,
    /// `type`, if the manifest gives one.
    pub(super) resource_type: Option<String>,
    pub(super) url: Url,
    /// `requiresAccessToken` of its page.
    pub(super) credentials: bool,
    /// `count`
    pub(super) count: Option<u64>,
    /// `fileSize`, or `file_length` of an extension, in bytes.
    pub(super) size: Option<u64>,
    /// `checksum` of an extension: `sha256:…`.
    pub(super) checksum: Option<String>,
    /// Whether it is organised by blocks (`outputOrganizedBy`): headers are left out, and resources of several types
    /// go to parts of their own.
    pub(super) organized: bool,
}

/// A section of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// Resources.
    Output,
    /// Bundles of deletions.
    Deleted,
    /// OperationOutcomes; `outcome` in 4.0.0.
    Error,
}

/// What became of a file.
#[derive(Debug)]
pub(super) enum Loaded {
    /// It is whole and on disk for good (fsync of file and folder).
    Stored(StoredFile),
    /// The server no longer has it (404, 410): its url may have been renewed in the manifest.
    Gone(Wanted, Error),
    /// All attempts failed, or it is not what was announced.
    Failed(Wanted, Error),
}

/// Loads files.
pub(super) struct Downloads {
    pub(super) transport: Arc<Transport>,
    pub(super) settings: Arc<Settings>,
    /// Beside `export.json`.
    pub(super) folder: PathBuf,
    pub(super) clock: Clock,
    pub(super) log: Arc<Log>,
}

impl Downloads {
    /// Loads what comes through `files` until the channel closes, and hands over what became of each as soon as that is
    /// known. An error of `loaded`, and a folder that cannot be written, end it.
    pub(super) async fn run(
        &self,
        files: UnboundedReceiver<Wanted>,
        loaded: impl FnMut(Loaded) -> Result<()>,
    ) -> Result<()> {
        todo!()
    }
}
