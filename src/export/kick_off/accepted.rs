//! A kick-off that the server took.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LOCATION, DATE, HeaderMap};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::export::session::Reply;
use crate::export::transport::{Request, described};

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::export) struct Accepted {
    /// Where the job is polled.
    pub(in crate::export) status_url: Url,
    /// When it was answered, by the server's clock, else ours.
    pub(in crate::export) at: Timestamp,
    /// The url of the request.
    pub(in crate::export) url: Url,
}

impl Accepted {
    /// Reads the answer: 202 and `Content-Location`, which some write relative to the request (failure case 2).
    pub(super) fn of(reply: &Reply, request: &Request, now: Timestamp) -> Result<Self> {
        let broken = |message: &str, hint: &str| {
            Error::new(ErrorKind::Refused, message)
                .at("request", described(&request.method, &request.url))
                .at("status", reply.status)
                .hint(hint)
        };
        if reply.status != StatusCode::ACCEPTED {
            return Err(broken(
                "the server does not answer the kick-off with 202, as the protocol wants",
                "check that `server` is the base url of a FHIR server that exports",
            ));
        }
        let location = reply.headers.get(CONTENT_LOCATION).and_then(|url| url.to_str().ok());
        let location = location.map(str::trim).filter(|url| !url.is_empty());
        let status_url = location.ok_or_else(|| {
            broken(
                "the server took the export, but does not say where its status is (no `Content-Location`)",
                "the server does not keep to the protocol: report it to who runs the server",
            )
        })?;
        let status_url =
            reply.url.join(status_url).ok().filter(Url::has_host).ok_or_else(|| {
                broken(
                    "the server's `Content-Location` is no url",
                    "the server does not keep to the protocol: report it to who runs the server",
                )
            })?;
        let at = server_date(&reply.headers).unwrap_or(now);
        Ok(Self { status_url, at, url: request.url.clone() })
    }
}

/// The server's time, by `Date`.
pub(super) fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Timestamp::try_from(date).ok()
}
