//! Loads the files of a manifest, several at once, and stores each only when it is whole and as announced.
//!
//! ```text
//! Downloads::run ── Persistence (attempts) ── Pace (429, 503: all wait) ── fetch ──► Transport
//!                                                                            │ pieces of the body, a few at a time
//!                         a thread per file: Text (gzip) ──► Lines ──► Target ──► Series of parts, temporary
//!                                                                            │ whole, and as announced?
//!                                                                          Folder::publish ──► StoredFile
//!                                                                                       Attachments, if wanted
//! ```
//!
//! Lines are stored as they came, but for a byte order mark and `\r\n`. A file whose first line is the beginning of a JSON
//! value that ends on a later one is a document (a Bundle written to be read by people): it is stored as `.json`, which
//! the ingest reads as such, in one part, if it is one whole value.
//!
//! Memory is bounded by `parallel` × a few buffers, however long a file or its lines are; but one line of a file that is
//! organised by blocks is held as a whole.

mod balance;
mod body;
pub(super) mod content;
mod fetch;
pub(super) mod folder;
mod lines;
pub(super) mod pace;
pub(super) mod parts;
pub(super) mod persist;
pub(super) mod refusal;
pub(super) mod store;
pub(super) mod target;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

use self::folder::Folder;
use self::pace::Pace;
use self::persist::{Miss, Persistence};
use super::attachments::Attachments;
use super::job::Observer;
use super::log::Log;
use super::settings::Settings;
use super::state::StoredFile;
use super::transport::Transport;
use crate::clock::Clock;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Is told of bytes that arrive, and of attempts that failed.
    pub(super) observer: Observer,
}

impl Downloads {
    /// Loads what comes through `files` until the channel closes, and hands over what became of each as soon as that is
    /// known. An error of `loaded`, and a folder that cannot be written, end it.
    pub(super) async fn run(
        &self,
        mut files: UnboundedReceiver<Wanted>,
        mut loaded: impl FnMut(Loaded) -> Result<()>,
    ) -> Result<()> {
        let run = self.begin()?;
        let mut running = FuturesUnordered::new();
        let mut open = true;
        while open || !running.is_empty() {
            tokio::select! {
                file = files.recv(), if open && running.len() < self.settings.parallel.max(1) => match file {
                    Some(file) => running.push(self.load(file, &run)),
                    None => open = false,
                },
                Some(done) = running.next() => loaded(done?)?,
            }
        }
        Ok(())
    }

    /// What all files of a run share.
    pub(super) fn begin(&self) -> Result<Run> {
        let folder = Arc::new(Folder::open(&self.folder)?);
        let longest = self.settings.poll.1;
        let persistence = Arc::new(Persistence {
            pace: Pace::new(self.clock.clone(), self.settings.parallel, longest),
            clock: self.clock.clone(),
            attempts: self.settings.attempts,
            longest,
            observer: Arc::clone(&self.observer),
        });
        let attachments = Attachments::new(self, Arc::clone(&persistence))?;
        Ok(Run { folder, persistence, attachments })
    }

    async fn load(&self, file: Wanted, run: &Run) -> Result<Loaded> {
        match run.persistence.run(async || self.fetch(&file, &run.folder).await).await {
            Ok(stored) => match &run.attachments {
                Some(attachments) if file.section == Section::Output => {
                    attachments.load(stored, file.credentials).await.map(Loaded::Stored)
                }
                _ => Ok(Loaded::Stored(stored)),
            },
            Err(Miss::Gone(error)) => Ok(Loaded::Gone(file, error)),
            Err(Miss::Busy(_, error) | Miss::Passing(_, error) | Miss::Lasting(error)) => {
                Ok(Loaded::Failed(file, error))
            }
            Err(Miss::Fatal(error)) => Err(error),
        }
    }
}

/// What all files of a run share.
pub(super) struct Run {
    folder: Arc<Folder>,
    persistence: Arc<Persistence>,
    pub(super) attachments: Option<Attachments>,
}

impl Section {
    /// As manifests and logs call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Deleted => "deleted",
            Self::Error => "error",
        }
    }
}

/// A url without what may be a credential: user, query and fragment.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    // A url that cannot have a user has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}
