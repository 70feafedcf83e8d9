//! One export from the kick-off to the last file, taken up wherever it was left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::settings::Settings;
use super::state::{ExportState, StoredFile};
use crate::error::Result;

/// An export in its folder.
pub struct ExportJob {}

/// Is told where the export stands.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Where the export stands.
#[derive(Debug, Clone)]
pub enum Event {
    /// The server took the request, or an export begun earlier is taken up (`resumed`).
    Started {
        /// Whether it was begun earlier.
        resumed: bool,
    },
    /// The job is still running.
    Waiting {
        /// `X-Progress`
        progress: Option<String>,
        /// The per cent in it.
        percent: Option<u8>,
        /// When it is asked again.
        next: Duration,
    },
    /// A page of the manifest came: so many files more.
    Listed {
        /// Files of this page.
        files: usize,
    },
    /// Bytes of files arrived.
    Received {
        /// How many.
        bytes: u64,
    },
    /// A file is whole.
    Stored(StoredFile),
    /// Something failed and will be tried again.
    Retrying {
        /// What failed.
        why: String,
        /// After so long.
        after: Duration,
    },
}

/// An export whose files are all stored.
#[derive(Debug, Clone)]
pub struct Complete {
    /// The instant up to which it is complete, as the server wrote it.
    pub transaction_time: String,
    /// What is well to know: counts that do not fit, errors the server reported and that are accepted, …
    pub warnings: Vec<String>,
    /// All that was asked, found and stored.
    pub state: ExportState,
}

impl ExportJob {
    /// Takes hold of `folder`, which is made if need be, and of the export that was begun there.
    ///
    /// # Errors
    /// Another process holds it; another export was begun there; settings that no server can be asked with.
    pub fn open(
        settings: Settings,
        folder: &Path,
        clock: Clock,
        observer: Observer,
    ) -> Result<Self> {
        todo!()
    }

    /// Goes on until all files are stored. Each is handed to `arrived` in the order of the manifest (`output`, as
    /// soon as all before it are there; stored by an earlier start or now), `deleted` and `error` files too.
    pub async fn run(&mut self, arrived: impl FnMut(&StoredFile)) -> Result<Complete> {
        todo!()
    }

    /// Deletes the job on the server, if the settings say so and all is stored. A server that no longer knows it is
    /// content; one that fails gives a warning.
    pub async fn finish(&mut self) -> Result<Option<String>> {
        todo!()
    }

    /// Cancels the job on the server and forgets it.
    pub async fn cancel(&mut self) -> Result<()> {
        todo!()
    }
}
