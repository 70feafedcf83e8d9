//! One export from the kick-off to the last file, taken up wherever it was left.

mod conclude;
mod gather;
mod gathering;
mod order;
mod renew;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use url::Url;

use super::kick_off::{Accepted, kick_off};
use super::log::Log;
use super::poll::{Ended, status_request};
use super::session::{Reply, Session};
use super::settings::Settings;
use super::state::{ExportState, Store, StoredFile};
use super::transport::Transport;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// An export in its folder.
pub struct ExportJob {
    settings: Arc<Settings>,
    store: Store,
    transport: Arc<Transport>,
    log: Arc<Log>,
    clock: Clock,
    observer: Observer,
}

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
    /// Errors that the server reported, and that are accepted.
    pub errors: u64,
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
        let transport = Arc::new(Transport::new(&settings, clock.clone())?);
        let store = Store::open(folder, &settings.request)?;
        let log = Arc::new(Log::open(folder, clock.clone())?);
        Ok(Self { settings: Arc::new(settings), store, transport, log, clock, observer })
    }

    /// What is remembered of it.
    pub fn state(&self) -> &ExportState {
        &self.store.state
    }

    /// Takes up a job that was begun elsewhere, by its status url, instead of beginning one (requirement 11). What the
    /// job was asked for is not known: it is taken to be what the settings say.
    ///
    /// # Errors
    /// If this folder has a job of its own, or `url` is none.
    pub fn adopt(&mut self, url: &str) -> Result<()> {
        let refused = |message: &str| Error::new(ErrorKind::Usage, message);
        let url = Url::parse(url).map_err(|_| refused("the status url of the job is no url"))?;
        match self.status_url()? {
            None => {}
            Some(own) if own == url => return Ok(()),
            Some(_) => {
                let error = refused("this folder has an export of its own");
                return Err(error.hint("take the job up in another folder"));
            }
        }
        let state = &mut self.store.state;
        state.job += 1;
        state.began = Some(self.clock.now().to_string());
        state.status_url = Some(url.into());
        self.store.save()
    }

    /// Goes on until all files are stored. Each is handed to `arrived` in the order of the manifest (`output`, as
    /// soon as all before it are there; stored by an earlier start or now), `deleted` and `error` files too.
    ///
    /// # Errors
    /// Of kind `TryLater` where the same command goes on later, of kind `Refused` where settings have to change, of kind
    /// `Incomplete` where the job failed, files are not as announced, or the server reported errors that are not
    /// accepted. What is stored stays stored.
    pub async fn run(&mut self, mut arrived: impl FnMut(&StoredFile)) -> Result<Complete> {
        let done = self.go_on(&mut arrived).await;
        if let Err(error) = &done {
            // That the log cannot be written hides no error that is there already.
            let _ = self.log.event("client_error", json!({ "error": error.to_string() }));
        }
        done
    }

    async fn go_on(&mut self, arrived: &mut impl FnMut(&StoredFile)) -> Result<Complete> {
        let mut restarted = false;
        loop {
            self.begin().await?;
            let mut handed_over = false;
            let hand_over = |file: &StoredFile| {
                handed_over = true;
                arrived(file);
            };
            match gather::gather(self, hand_over).await {
                Ok(()) => return conclude::conclude(self),
                Err(Ended::Lost(error)) => self.lost(error, handed_over || restarted)?,
                Err(Ended::Failed(error)) => return Err(self.failed(error)?),
                Err(Ended::Stopped(error)) => return Err(error),
            }
            restarted = true;
        }
    }

    /// Kicks off, unless a job was begun already.
    async fn begin(&mut self) -> Result<()> {
        if let Some(status_url) = self.status_url()? {
            self.log.identify(&status_url);
            (self.observer)(&Event::Started { resumed: true });
            return Ok(());
        }
        let began = self.clock.now().to_string();
        let Self { settings, store, transport, log, clock, observer } = self;
        let session = Session { transport, settings, clock, log, observer };
        kick_off(session, |accepted: &Accepted| {
            let state = &mut store.state;
            state.job += 1;
            state.began = Some(began);
            state.kicked_off = Some(accepted.at.to_string());
            let mut url = accepted.url.clone();
            if !settings.request.parameters.is_empty() {
                // The server's own may be secrets, and this comes to stand in the manifest beside the data.
                url.set_query(None);
            }
            state.kick_off_url = Some(url.into());
            state.status_url = Some(accepted.status_url.to_string());
            store.save()
        })
        .await?;
        (self.observer)(&Event::Started { resumed: false });
        Ok(())
    }

    /// The server lost the job: begins another, if that is wanted. Files that were handed over already cannot be taken
    /// back: then only the next start does.
    fn lost(&mut self, error: Error, later: bool) -> Result<()> {
        if !self.settings.restart_lost_job {
            let hint =
                "`restart_lost_job` lets Kiln begin another export; what is stored stays meanwhile";
            return Err(error.hint(hint));
        }
        self.store.state.forget_job();
        self.store.save_and_fold()?;
        if later {
            let message = format!("{}; nothing of it can be used", error.message());
            return Err(Error::new(ErrorKind::TryLater, message)
                .caused_by(error)
                .hint("the same command begins another export"));
        }
        let why = format!("{error}; another export is begun");
        (self.observer)(&Event::Retrying { why, after: Duration::ZERO });
        Ok(())
    }

    /// The job failed on the server: the same command would ask for it again, and hear the same.
    fn failed(&mut self, error: Error) -> Result<Error> {
        if !self.settings.restart_lost_job {
            let hint = "`restart_lost_job` lets the next start begin another export, as does another folder";
            return Ok(error.hint(hint));
        }
        self.store.state.forget_job();
        self.store.save_and_fold()?;
        Ok(error.hint("the same command begins another export"))
    }

    /// Deletes the job on the server, if the settings say so and all is stored. A server that no longer knows it is
    /// content; one that fails gives a warning.
    pub async fn finish(&mut self) -> Result<Option<String>> {
        let state = &self.store.state;
        if !self.settings.delete_job || !state.complete || state.job_deleted {
            return Ok(None);
        }
        if let Err(error) = self.delete().await {
            return Ok(Some(format!("the job stays on the server: {error}")));
        }
        self.store.state.job_deleted = true;
        self.store.save()?;
        Ok(None)
    }

    /// Cancels the job on the server and forgets it.
    ///
    /// # Errors
    /// If the server refuses, or cannot for now: nothing is forgotten then.
    pub async fn cancel(&mut self) -> Result<()> {
        self.delete().await?;
        self.store.state.forget_job();
        self.store.save_and_fold()
    }

    /// Sends the DELETE (requirement 30); that there is no such job is as good.
    async fn delete(&self) -> Result<()> {
        let Some(url) = self.status_url()? else { return Ok(()) };
        let request = status_request(&url, &self.settings.request.server, Method::DELETE);
        let reply: Reply = self.session().ask_again(&request).await?;
        let gone = matches!(reply.status.as_u16(), 404 | 410);
        if gone || reply.status.is_success() { Ok(()) } else { Err(reply.refusal(&request)) }
    }

    fn session(&self) -> Session<'_> {
        Session {
            transport: &self.transport,
            settings: &self.settings,
            clock: &self.clock,
            log: &self.log,
            observer: &self.observer,
        }
    }

    fn status_url(&self) -> Result<Option<Url>> {
        self.store.state.status_url.as_deref().map(stored_url).transpose()
    }
}

/// A url of the state.
fn stored_url(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|_| {
        Error::new(ErrorKind::Output, "the state of the export has a url that is none")
            .at("file", "export.json")
            .hint("move the file away, and the export begins anew")
    })
}
