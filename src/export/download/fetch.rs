//! One attempt at one file: request, body to the thread that stores it, and what went wrong.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::super::job::Event;
use super::super::state::StoredFile;
use super::super::transport::{Request, Response, redacted};
use super::body::Piece;
use super::folder::Folder;
use super::persist::Miss;
use super::refusal::{Report, refusal};
use super::store::{Fault, Plan, store};
use super::target::Format;
use super::{Downloads, Wanted};
use crate::error::{Error, ErrorKind, Result};

/// Pieces of a body between the network and the thread that stores.
const PIECES: usize = 4;

impl Downloads {
    /// Loads and stores a file, or says why not. Every attempt is in the log.
    pub(super) async fn fetch(
        &self,
        file: &Wanted,
        folder: &Arc<Folder>,
    ) -> Result<StoredFile, Miss> {
        let url = redacted(&file.url);
        let item = json!({
            "fileUrl": url,
            "itemType": file.section.name(),
            "resourceType": file.resource_type,
        });
        self.log.event("download_request", item).map_err(Miss::Fatal)?;
        let mut report = Report::default();
        match self.attempt(file, folder, &mut report).await {
            Ok(stored) => {
                let detail = json!({
                    "fileUrl": url,
                    "resourceCount": stored.lines,
                    "fileSize": stored.bytes,
                });
                self.log.event("download_complete", detail).map_err(Miss::Fatal)?;
                Ok(stored)
            }
            Err(miss) => {
                let detail = report.detail(&url, &miss);
                self.log.event("download_error", detail).map_err(Miss::Fatal)?;
                Err(miss)
            }
        }
    }

    async fn attempt(
        &self,
        file: &Wanted,
        folder: &Arc<Folder>,
        report: &mut Report,
    ) -> Result<StoredFile, Miss> {
        let response = self.transport.send(&request(file)).await?;
        report.saw(&response);
        if !response.status.is_success() {
            return Err(refusal(response, file.credentials, self.clock.now(), report).await);
        }
        let plan = self.plan(file, folder, &response.headers)?;
        let url = redacted(&file.url);
        self.receive(response, plan).await.map_err(|miss| match miss {
            Miss::Passing(asked, error) => {
                Miss::Passing(asked, error.at("request", format!("GET {url}")))
            }
            other => other,
        })
    }

    fn plan(&self, file: &Wanted, folder: &Arc<Folder>, headers: &HeaderMap) -> Result<Plan, Miss> {
        let text =
            |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Plan {
            file: file.clone(),
            folder: Arc::clone(folder),
            format: Format {
                compress: self.settings.compress,
                part_bytes: self.settings.part_bytes.max(1),
            },
            count_must_fit: self.settings.count_must_fit,
            length: text(CONTENT_LENGTH).trim().parse().ok(),
            gzip_travels: travels_as_gzip(text(CONTENT_ENCODING), file)?,
            content_type: text(CONTENT_TYPE).to_owned(),
        })
    }

    /// The body, piece by piece, to a thread that stores it.
    async fn receive(&self, mut response: Response, plan: Plan) -> Result<StoredFile, Miss> {
        let (pieces, arriving) = mpsc::channel(PIECES);
        let storing = tokio::task::spawn_blocking(move || store(&plan, arriving));
        let received = self.hand_over(&mut response, pieces).await;
        let stored = match storing.await {
            Ok(stored) => stored,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        match (stored, received) {
            (Ok(stored), _) => Ok(stored),
            (Err(Fault::Disk(error)), _) => Err(Miss::Fatal(error)),
            (Err(_), Err(broken)) => Err(broken),
            (Err(Fault::Damaged(what)), Ok(())) => {
                Err(Miss::Passing(None, Error::new(ErrorKind::Incomplete, what)))
            }
        }
    }

    async fn hand_over(
        &self,
        response: &mut Response,
        to: mpsc::Sender<Piece>,
    ) -> Result<(), Miss> {
        while let Some(bytes) = response.chunk().await? {
            let length = bytes.len() as u64;
            if to.send(Piece::Bytes(bytes)).await.is_err() {
                return Ok(()); // The file is given up; storing it says why.
            }
            (self.observer)(&Event::Received { bytes: length });
        }
        // Nobody waiting for the end has found it out already.
        let _ = to.send(Piece::End).await;
        Ok(())
    }
}

fn request(file: &Wanted) -> Request {
    let accept = HeaderValue::from_static("application/fhir+ndjson");
    Request {
        method: Method::GET,
        url: file.url.clone(),
        headers: HeaderMap::from_iter([(ACCEPT, accept)]),
        body: None,
        credentials: file.credentials,
    }
}

/// Whether `Content-Encoding` is gzip. Others were not asked for, and Kiln does not know them.
fn travels_as_gzip(encoding: &str, file: &Wanted) -> Result<bool, Miss> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        other => {
            let other: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
            let what =
                format!("the server sent `{other}` as Content-Encoding; only gzip was offered");
            Err(Miss::Lasting(
                Error::new(ErrorKind::Incomplete, what)
                    .at("request", format!("GET {}", redacted(&file.url)))
                    .hint("a proxy may compress on its own: ask its operator to leave the files alone"),
            ))
        }
    }
}
