//! Sends requests: puts the token where the protocol allows it and nowhere else, follows redirects, says what failed.

pub(super) mod gzip;
#[cfg(test)]
pub(super) mod loopback;
pub(super) mod wire;

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use self::wire::{Along, Wire};
use super::auth::Authorizer;
use super::outcome::refusal;
use super::settings::Settings;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// The HTTP client of one export; shared by all of its tasks.
pub(super) struct Transport {
    wire: Arc<Wire>,
    authorizer: Authorizer,
}

/// A request, as often as it is sent.
#[derive(Clone)]
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
    /// What it answers, for errors: [`described`].
    request: String,
    body: reqwest::Response,
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
    /// A client that signs in as the settings say: reads their secrets and keys, discovers nothing yet.
    pub(super) fn new(settings: &Settings, clock: Clock) -> Result<Self> {
        let wire = Arc::new(Wire::new(settings)?);
        let authorizer = Authorizer::new(settings, Arc::clone(&wire), clock)?;
        Ok(Self { wire, authorizer })
    }

    /// Sends a request. A 401 to a request with the token is sent once more with a new one. Redirects (at most 5) are
    /// followed, to other origins without token and headers, never from https to http. Any status is a response.
    pub(super) async fn send(&self, request: &Request) -> Result<Response, Failure> {
        if !request.credentials {
            return Ok(self.wire.follow(request, Along::Nothing).await?.response);
        }
        let used = self.authorizer.authorization().await?;
        let reply = self.wire.follow(request, Along::Credentials(used.as_ref())).await?;
        let refused = reply.credentials && reply.response.status == StatusCode::UNAUTHORIZED;
        let Some(used) = used.filter(|_| refused) else { return Ok(reply.response) };
        self.authorizer.rejected(&used);
        let renewed = self.authorizer.authorization().await?;
        match renewed.filter(|renewed| renewed.expose_secret() != used.expose_secret()) {
            Some(renewed) => {
                let again = self.wire.follow(request, Along::Credentials(Some(&renewed))).await?;
                Ok(again.response)
            }
            None => Ok(reply.response),
        }
    }

    /// Reads a JSON document of the server's, signed in.
    pub(super) async fn read(&self, url: Url, accept: &'static str) -> Result<Value, Failure> {
        let mut request = json_request(url, accept);
        request.credentials = true;
        json_of(&request, self.send(&request).await?).await
    }

    /// The client without sign-in, for what is asked before it.
    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// What signs the requests in, to say how, and what was odd about it.
    pub(super) fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }
}

/// Without the body, which may be an assertion or name patients.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("request", &described(&self.method, &self.url))
            .field("headers", &self.headers)
            .field("body", &self.body.as_ref().map(Bytes::len))
            .field("credentials", &self.credentials)
            .finish()
    }
}

impl Response {
    /// The next piece of the body as it comes, undecoded; `None` at its end. A body that breaks off is a passing failure.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        self.body.chunk().await.map_err(|error| wire::failure(error, &self.request))
    }

    /// The whole body, of at most `limit` bytes; gzip is decoded.
    pub(super) async fn body(mut self, limit: usize) -> Result<Bytes, Failure> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > limit {
                return Err(too_large(limit, &self.request));
            }
            whole.extend_from_slice(&chunk);
        }
        gzip::decoded(&self.headers, whole.freeze(), limit, &self.request)
    }
}

/// Enough for a CapabilityStatement of everything.
const LARGEST_JSON: usize = 64 << 20;

/// A request for a JSON document, without credentials.
pub(super) fn json_request(url: Url, accept: &'static str) -> Request {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
    Request { method: Method::GET, url, headers, body: None, credentials: false }
}

/// The JSON document of a response; a status that is none of success is a refusal.
pub(super) async fn json_of(request: &Request, response: Response) -> Result<Value, Failure> {
    let (status, headers) = (response.status, response.headers.clone());
    let body = response.body(LARGEST_JSON).await?;
    if !status.is_success() {
        return Err(refusal(request, status, &headers, &body).into());
    }
    serde_json::from_slice(&body).map_err(|_| {
        let error = Error::new(ErrorKind::Refused, "the server's answer is no JSON")
            .at("request", described(&request.method, &request.url))
            .hint("correct the server's base url: something else answers there");
        Failure::Lasting(error)
    })
}

fn too_large(limit: usize, request: &str) -> Failure {
    let message = format!("the server's answer is larger than {limit} bytes");
    Failure::Lasting(Error::new(ErrorKind::Incomplete, message).at("request", request))
}

impl Failure {
    /// What failed.
    pub(super) fn error(self) -> Error {
        match self {
            Self::Passing(error) | Self::Lasting(error) => error,
        }
    }
}

impl From<Error> for Failure {
    /// As lasting as its kind says.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::TryLater => Self::Passing(error),
            _ => Self::Lasting(error),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error()
    }
}

/// A request for errors and logs: the method, and the url as [`redacted`] gives it.
pub(super) fn described(method: &Method, url: &Url) -> String {
    format!("{method} {}", redacted(url))
}

/// A url for logs and errors: without query values, user and fragment, which may be credentials (presigned urls).
pub(super) fn redacted(url: &Url) -> String {
    let mut shown = without_user(url);
    shown.set_query(None);
    let names: Vec<_> = url.query().into_iter().flat_map(|query| query.split('&')).collect();
    let names: Vec<_> = names.into_iter().map(query_name).collect();
    if names.is_empty() { shown.to_string() } else { format!("{shown}?{}", names.join("&")) }
}

/// The longest name of a query parameter that is shown: what is longer is no name.
const LONGEST_NAME: usize = 40;

/// A parameter without its value; one without a name may be a credential as a whole.
fn query_name(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if name.len() <= LONGEST_NAME => format!("{name}=…"),
        _ => "…".to_owned(),
    }
}

/// A url without user, password and fragment: the client would make a sign-in of the former.
fn without_user(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        // Both fail only for urls that cannot have a user, which have none.
        let _ = bare.set_username("").and_then(|()| bare.set_password(None));
    }
    bare
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
