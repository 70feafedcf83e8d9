//! Loads one attachment into a file of its own.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::write::MultiGzDecoder;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::super::download::content::media_type;
use super::super::download::persist::Miss;
use super::super::download::refusal::{Report, refusal};
use super::super::transport::{Request, Response, redacted};
use super::Attachments;
use crate::error::{Error, ErrorKind, Result};
use crate::export::digest::hex;

/// An attachment to be loaded.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    pub(super) url: Url,
    /// Whether the token goes along.
    pub(super) credentials: bool,
    pub(super) content_type: Option<String>,
    /// SHA-1, base64.
    pub(super) hash: Option<String>,
    /// Of the resource.
    pub(super) resource_type: Option<String>,
}

/// The content of an attachment in a temporary file, which goes away with this value.
#[derive(Debug)]
pub(super) struct Content {
    path: PathBuf,
    /// In bytes.
    pub(super) size: u64,
    /// Hex.
    pub(super) sha256: String,
}

impl Drop for Content {
    fn drop(&mut self) {
        // Renamed, or another start removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A Binary that is sent as JSON is read as a whole; longer ones are left on the server.
const LONGEST_BINARY: u64 = 256 << 20;

impl Attachments {
    /// Loads an attachment, or says why not. Every attempt is in the log.
    pub(super) async fn fetch(&self, sought: &Sought) -> Result<Content, Miss> {
        let url = redacted(&sought.url);
        let item =
            json!({"fileUrl": url, "itemType": "attachment", "resourceType": sought.resource_type});
        self.log.event("download_request", item).map_err(Miss::Fatal)?;
        let mut report = Report::default();
        let fetched = self.attempt(sought, &mut report).await;
        let (event, detail) = match &fetched {
            Ok(content) => (
                "download_complete",
                json!({"fileUrl": url, "resourceCount": null, "fileSize": content.size}),
            ),
            Err(miss) => ("download_error", report.detail(&url, miss)),
        };
        self.log.event(event, detail).map_err(Miss::Fatal)?;
        fetched
    }

    async fn attempt(&self, sought: &Sought, report: &mut Report) -> Result<Content, Miss> {
        let sent = self.transport.send(&request(sought)).await.map_err(Miss::from);
        let response = sent.map_err(|miss| of_this(miss, !sought.credentials))?;
        report.saw(&response);
        if !response.status.is_success() {
            let forbidden = response.status.as_u16() == 403 || !sought.credentials;
            let miss = refusal(response, sought.credentials, self.clock.now(), report).await;
            return Err(of_this(miss, forbidden));
        }
        let came = header(&response, &CONTENT_TYPE);
        let content = self.receive(response, sought).await?;
        let content = self.unwrapped(content, &came, sought)?;
        if came == "text/html" && sought.content_type.is_some() && !wants(sought, "html") {
            return Err(damaged("the server sent an HTML page instead of the attachment", sought));
        }
        verified(content, sought)
    }

    /// The body, into a temporary file. Writing is to the system's cache, and does not hold up others for long.
    async fn receive(&self, mut response: Response, sought: &Sought) -> Result<Content, Miss> {
        let mut writing = Writing::create(&self.folder)?;
        match header(&response, &CONTENT_ENCODING).as_str() {
            "" | "identity" => {
                while let Some(bytes) = response.chunk().await? {
                    writing.write_all(&bytes).map_err(|error| writing.failed(error))?;
                }
            }
            "gzip" | "x-gzip" => {
                let mut decoder = MultiGzDecoder::new(writing);
                let broken = |error: io::Error| {
                    damaged(&format!("the gzip data are damaged: {error}"), sought)
                };
                while let Some(bytes) = response.chunk().await? {
                    decoder.write_all(&bytes).map_err(broken)?;
                }
                writing = decoder.finish().map_err(broken)?;
            }
            _ => return Err(damaged("the server sent an encoding other than gzip", sought)),
        }
        Ok(writing.finish())
    }

    /// Servers that do not know the type asked for send the Binary as a resource, with the content in `data`.
    fn unwrapped(&self, content: Content, came: &str, sought: &Sought) -> Result<Content, Miss> {
        if !came.contains("json") || wants(sought, "json") || content.size > LONGEST_BINARY {
            return Ok(content);
        }
        let Ok(binary) = serde_json::from_slice::<Binary>(&content.bytes().map_err(Miss::Fatal)?)
        else {
            return Ok(content);
        };
        if binary.resource_type != "Binary" {
            let what = "the server sent another resource instead of the attachment";
            return Err(damaged(what, sought));
        }
        let data: String = binary.data.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes = STANDARD
            .decode(data)
            .map_err(|_| damaged("the server sent a Binary whose `data` is not base64", sought))?;
        let mut writing = Writing::create(&self.folder)?;
        writing.write_all(&bytes).map_err(|error| writing.failed(error))?;
        Ok(writing.finish())
    }
}

fn verified(content: Content, sought: &Sought) -> Result<Content, Miss> {
    let Some(hash) = &sought.hash else { return Ok(content) };
    let bytes = content.bytes().map_err(Miss::Fatal)?;
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    if STANDARD.encode(digest.as_ref()) == hash.trim() {
        return Ok(content);
    }
    Err(damaged("the attachment does not have the `hash` in the resource", sought))
}

#[derive(Deserialize)]
struct Binary {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(default)]
    data: String,
}

impl Content {
    /// All of it.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.path)
            .map_err(|error| Error::io(ErrorKind::Output, "read", &self.path, error))
    }

    /// Keeps it for good under its name.
    pub(super) fn keep(self, path: &Path) -> Result<()> {
        File::open(&self.path)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&self.path, path))
            .map_err(|error| Error::io(ErrorKind::Output, "write", path, error))
    }
}

/// Content on its way into its file, summed up.
struct Writing {
    file: File,
    sha256: sha2::Sha256,
    content: Content,
}

impl Writing {
    fn create(folder: &Path) -> Result<Self, Miss> {
        let path = folder.join(format!(".{}.part", uuid::Uuid::new_v4()));
        let file = File::create(&path)
            .map_err(|error| Miss::Fatal(Error::io(ErrorKind::Output, "write", &path, error)))?;
        let content = Content { path, size: 0, sha256: String::new() };
        Ok(Self { file, sha256: sha2::Digest::new(), content })
    }

    fn failed(&self, error: io::Error) -> Miss {
        Miss::Fatal(Error::io(ErrorKind::Output, "write", &self.content.path, error))
    }

    fn finish(mut self) -> Content {
        let digest = sha2::Digest::finalize(self.sha256);
        self.content.sha256 = hex(&digest);
        self.content
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        sha2::Digest::update(&mut self.sha256, &bytes[..written]);
        self.content.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn request(sought: &Sought) -> Request {
    let accept = sought.content_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok());
    let accept = accept.unwrap_or(HeaderValue::from_static("*/*"));
    Request {
        method: Method::GET,
        url: sought.url.clone(),
        headers: HeaderMap::from_iter([(ACCEPT, accept)]),
        body: None,
        credentials: sought.credentials,
    }
}

/// What is `only` about this attachment says nothing about whether the server lets us in.
fn of_this(miss: Miss, only: bool) -> Miss {
    match miss {
        Miss::Lasting(error) if only => Miss::Gone(error),
        other => other,
    }
}

/// The value up to a `;`, in small letters.
fn header(response: &Response, name: &HeaderName) -> String {
    media_type(response.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

fn wants(sought: &Sought, kind: &str) -> bool {
    sought.content_type.as_deref().is_some_and(|wanted| media_type(wanted).contains(kind))
}

fn damaged(what: &str, sought: &Sought) -> Miss {
    let error = Error::new(ErrorKind::Incomplete, what);
    Miss::Passing(None, error.at("request", format!("GET {}", redacted(&sought.url))))
}
