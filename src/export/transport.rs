//! Sends requests: puts the token where the protocol allows it and nowhere else, follows redirects, says what failed.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use url::Url;

use super::auth::Authorizer;
use super::clock::Clock;
use super::settings::Settings;
use crate::error::{Error, Result};

/// The HTTP client of one export; shared by all of its tasks.
pub(super) struct Transport {}

/// A request, as often as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    /// `Accept`, `Prefer`, …; the token and the headers of the settings are not among them.
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// Whether the token and the settings' headers go along, to the url's origin; never further by a redirect.
    pub(super) credentials: bool,
}

/// A response whose body is still to come.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from, after redirects.
    pub(super) url: Url,
}

/// Why there is no response, or no whole one.
#[derive(Debug)]
pub(super) enum Failure {
    /// The network or the server for the moment: unreachable, reset, timed out, cut off. Worth another try.
    Passing(Error),
    /// It will not get better by itself.
    Lasting(Error),
}

impl Transport {
    /// A client that signs in as the settings say. Discovers nothing yet.
    pub(super) fn new(settings: &Settings, clock: Clock) -> Result<Self> {
        todo!()
    }

    /// Sends a request. A 401 to a request with the token is sent once more with a new one. Redirects (at most 5) are
    /// followed, to other origins without token and headers, never from https to http. Any status is a response.
    pub(super) async fn send(&self, request: &Request) -> Result<Response, Failure> {
        todo!()
    }
}

impl Response {
    /// The next piece of the body as it comes, undecoded; `None` at its end. A body that breaks off is a passing failure.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        todo!()
    }

    /// The whole body, of at most `limit` bytes; gzip is decoded.
    pub(super) async fn body(self, limit: usize) -> Result<Bytes, Failure> {
        todo!()
    }
}

/// A url for logs and errors: without query values, user and fragment, which may be credentials (presigned urls).
pub(super) fn redacted(url: &Url) -> String {
    todo!()
}
