//! A request as the server saw it, and which of its routes it is for.

use axum::extract::Request;
use axum::http::{HeaderMap, Method};

use super::Origin;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    Metadata,
    SmartConfiguration,
    Token,
    Groups,
    KickOff,
    /// GET of the status url.
    Status,
    /// A further page of the manifest, from 1.
    Page(usize),
    Delete,
    /// A file or attachment with this name; in scripts and questions `*` is each.
    File(String),
    Unknown,
}

impl Route {
    pub(crate) fn file(name: &str) -> Self {
        Self::File(name.to_owned())
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(pattern), Self::File(_)) if pattern == "*" => true,
            _ => self == other,
        }
    }

    fn of(method: &Method, path: &str) -> Self {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["fhir", "metadata"]) => Self::Metadata,
            ("GET", ["fhir", ".well-known", "smart-configuration"]) => Self::SmartConfiguration,
            ("POST", ["auth", "token"]) => Self::Token,
            ("GET", ["fhir", "Group"]) => Self::Groups,
            (
                "GET" | "POST",
                ["fhir", "$export"]
                | ["fhir", "Patient", "$export"]
                | ["fhir", "Group", _, "$export"],
            ) => Self::KickOff,
            ("GET", ["fhir", "jobs", _]) => Self::Status,
            ("DELETE", ["fhir", "jobs", _]) => Self::Delete,
            ("GET", ["fhir", "jobs", _, "pages", page]) => {
                page.parse().map_or(Self::Unknown, Self::Page)
            }
            ("GET", ["files" | "bucket", _, _, name @ ..]) => Self::File(name.join("/")),
            ("GET", ["fhir", "Binary", name]) => Self::file(name),
            _ => Self::Unknown,
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) route: Route,
    pub(crate) method: Method,
    /// Path and query, not decoded.
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether it came to the other origin.
    pub(crate) elsewhere: bool,
    /// Requests at work when it came, itself among them.
    pub(crate) in_flight: usize,
}

impl Asked {
    pub(super) async fn read(request: Request, origin: Origin) -> Self {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
        Self {
            route: Route::of(&head.method, head.uri.path()),
            method: head.method,
            url: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            headers: head.headers,
            body: body.to_vec(),
            elsewhere: origin == Origin::Other,
            in_flight: 0,
        }
    }

    /// A header; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether a token, or anything else that signs in, came along.
    pub(crate) fn signed_in(&self) -> bool {
        self.headers.contains_key("authorization")
    }

    /// Path without query, in parts.
    pub(super) fn path(&self) -> Vec<&str> {
        self.url.split('?').next().unwrap_or_default().trim_start_matches('/').split('/').collect()
    }

    /// The query, not decoded.
    pub(crate) fn query(&self) -> &str {
        self.url.split_once('?').map_or("", |(_, query)| query)
    }

    /// The query, decoded.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.query().as_bytes()).into_owned().collect()
    }
}
