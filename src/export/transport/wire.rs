//! Puts requests on the wire: the rule where credentials may go, redirects, and what network errors mean.

use std::error::Error as _;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION,
};
use reqwest::{Client, Method, StatusCode, redirect, tls};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{Failure, Request, Response, described, redacted, without_user};
use crate::error::{Error, ErrorKind, Result};
use crate::export::settings::Settings;
use crate::settings::reveal;

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// The HTTP client without sign-in.
pub(in crate::export) struct Wire {
    client: Client,
    /// The vendor's headers of the settings, all sensitive.
    headers: HeaderMap,
    allow_http: bool,
}

/// What goes along with a request to its url's own origin.
#[derive(Clone, Copy)]
pub(in crate::export) enum Along<'a> {
    /// Nothing: files that need no sign-in, which may be anywhere.
    Nothing,
    /// The headers of the settings: discovery, requests for tokens.
    Headers,
    /// The headers of the settings and this `Authorization`.
    Credentials(Option<&'a SecretString>),
}

/// A response, and whether what went along reached whom it came from.
pub(in crate::export) struct Reply {
    pub(in crate::export) response: Response,
    /// `false` after a redirect to another origin.
    pub(in crate::export) credentials: bool,
}

impl Wire {
    /// A client with the timeouts and headers of the settings.
    ///
    /// # Errors
    /// A header that cannot be sent, or whose value is not found.
    pub(in crate::export) fn new(settings: &Settings) -> Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .min_tls_version(tls::Version::TLS_1_2)
            .connect_timeout(settings.timeout)
            .read_timeout(settings.timeout)
            .build()
            .map_err(|error| {
                let message = format!("cannot set up TLS: {}", root_cause(&error));
                Error::new(ErrorKind::Definition, message)
                    .hint("see the certificates of the system, or `SSL_CERT_FILE`")
            })?;
        Ok(Self { client, headers: own_headers(settings)?, allow_http: settings.allow_http })
    }

    /// Sends a request and follows redirects. What goes `along` reaches only the origin of the request's url, and
    /// never again what comes after another origin (requirements 34, 44 and 49).
    pub(in crate::export) async fn follow(
        &self,
        request: &Request,
        along: Along<'_>,
    ) -> Result<Reply, Failure> {
        let mut hop = Hop::first(request, along);
        let mut seen = Vec::new();
        loop {
            self.allowed(&hop.url)?;
            let response = self.exchange(&hop).await?;
            let Some(target) = target(&response) else {
                return Ok(Reply { response, credentials: !matches!(hop.along, Along::Nothing) });
            };
            seen.push((hop.method.clone(), hop.url.clone()));
            hop = hop.redirected(response.status, &target)?;
            if seen.contains(&(hop.method.clone(), hop.url.clone())) {
                return Err(refused_redirect("the server redirects in a circle", &hop.url));
            }
            if seen.len() > MOST_REDIRECTS {
                let message = format!("the server redirects more than {MOST_REDIRECTS} times");
                return Err(refused_redirect(&message, &hop.url));
            }
        }
    }

    /// Sends a request once; a redirect is a response like others.
    pub(in crate::export) async fn once(
        &self,
        request: &Request,
        along: Along<'_>,
    ) -> Result<Response, Failure> {
        let hop = Hop::first(request, along);
        self.allowed(&hop.url)?;
        self.exchange(&hop).await
    }

    /// Plain http shows everything to everybody: only where nobody is in between, or with the switch (requirement 1).
    pub(in crate::export) fn allowed(&self, url: &Url) -> Result<(), Failure> {
        let why = match url.scheme() {
            "https" => return Ok(()),
            "http" if self.allow_http || is_loopback(url) => return Ok(()),
            "http" => "plain `http` would show token and data to everybody on the way",
            _ => "only `https` urls can be requested",
        };
        Err(Failure::Lasting(
            Error::new(ErrorKind::Refused, why)
                .at("url", redacted(url))
                .hint("use the `https` url; `allow_http` is for servers of your own network"),
        ))
    }

    async fn exchange(&self, hop: &Hop<'_>) -> Result<Response, Failure> {
        let request = described(&hop.method, &hop.url);
        let mut sent = self.client.request(hop.method.clone(), hop.url.clone());
        sent = sent.headers(self.headers_of(hop)?);
        if let Some(body) = &hop.body {
            sent = sent.body(body.clone());
        }
        let body = sent.send().await.map_err(|error| failure(error, &request))?;
        let (status, headers) = (body.status(), body.headers().clone());
        Ok(Response { status, headers, url: hop.url.clone(), request, body })
    }

    fn headers_of(&self, hop: &Hop<'_>) -> Result<HeaderMap, Failure> {
        let mut headers = hop.headers.clone();
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        if matches!(hop.along, Along::Headers | Along::Credentials(_)) {
            headers.extend(self.headers.clone());
        }
        if let Along::Credentials(Some(authorization)) = hop.along {
            let mut value = HeaderValue::from_str(authorization.expose_secret()).map_err(|_| {
                let message = "the token has characters that no header can have";
                Failure::Lasting(Error::new(ErrorKind::Refused, message))
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }
}

/// One request of a chain of redirects.
struct Hop<'a> {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
    along: Along<'a>,
}

impl<'a> Hop<'a> {
    fn first(request: &Request, along: Along<'a>) -> Self {
        Self {
            method: request.method.clone(),
            url: without_user(&request.url),
            headers: request.headers.clone(),
            body: request.body.clone(),
            along,
        }
    }

    /// The request that a redirect asks for: the same, but for 303, which asks for the result by GET.
    fn redirected(mut self, status: StatusCode, target: &Url) -> Result<Self, Failure> {
        if self.url.scheme() == "https" && target.scheme() != "https" {
            return Err(refused_redirect("the server redirects from https to http", target));
        }
        if status == StatusCode::SEE_OTHER {
            self.method = Method::GET;
            self.body = None;
            self.headers.remove(CONTENT_TYPE);
            self.headers.remove(CONTENT_LENGTH);
        }
        if target.origin() != self.url.origin() {
            self.along = Along::Nothing;
            self.headers.remove(AUTHORIZATION);
            if self.body.is_some() {
                // A kick-off names patients.
                let message = "the server redirects a request with a body to another server";
                return Err(refused_redirect(message, target));
            }
        }
        self.url = without_user(target);
        Ok(self)
    }
}

/// Where a redirect leads; `None` for other responses.
fn target(response: &Response) -> Option<Url> {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers.get(LOCATION).filter(|_| redirects)?;
    response.url.join(std::str::from_utf8(location.as_bytes()).ok()?).ok()
}

fn refused_redirect(message: &str, target: &Url) -> Failure {
    Failure::Lasting(
        Error::new(ErrorKind::Refused, message)
            .at("target", redacted(target))
            .hint("give the url that the server means to be asked at"),
    )
}

/// Whether nobody else's machine is meant (RFC 6761 for `localhost`).
pub(in crate::export) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn own_headers(settings: &Settings) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, secret) in &settings.headers {
        let value = reveal(secret).map_err(|error| error.within("header", name))?;
        let wrong = |what| {
            let message = format!("the {what} of a header has characters that it cannot have");
            Error::new(ErrorKind::Definition, message).at("header", name)
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?;
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| wrong("value"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// What an error of the client means; its url is left out, and said as `request` instead.
pub(super) fn failure(error: reqwest::Error, request: &str) -> Failure {
    let error = error.without_url();
    let cause = root_cause(&error);
    // The type that tells is rustls's, which is no dependency of ours.
    if cause.contains("certificate") {
        let message = format!("the server cannot be trusted: {cause}");
        return Failure::Lasting(
            Error::new(ErrorKind::Refused, message)
                .at("request", request)
                .hint("name the authority that signed its certificate in `SSL_CERT_FILE`, or correct the url"),
        );
    }
    if error.is_builder() {
        let message = format!("the request cannot be sent: {cause}");
        return Failure::Lasting(Error::new(ErrorKind::Refused, message).at("request", request));
    }
    let what = match &error {
        e if e.is_connect() && e.is_timeout() => "the server cannot be reached in time",
        e if e.is_connect() => "the server cannot be reached",
        e if e.is_timeout() => "the server was silent for too long",
        _ => "the connection broke off",
    };
    let error = Error::new(ErrorKind::TryLater, format!("{what}: {cause}"));
    Failure::Passing(error.at("request", request))
}

/// The last of an error's sources, which says what happened.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// Whether a 307 from a request to `target` is followed.
#[cfg(test)]
pub(super) fn redirect_for_tests(request: &Request, target: &Url) -> Result<(), Failure> {
    let hop = Hop::first(request, Along::Nothing);
    hop.redirected(StatusCode::TEMPORARY_REDIRECT, target).map(|_| ())
}
