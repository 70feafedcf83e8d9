//! An answer: what is said, and how whole it arrives.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

/// How a body is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// With its length.
    Whole,
    /// In chunks, with an end.
    Chunked,
    /// In chunks, without an end: the connection breaks after so many bytes.
    Unterminated(usize),
    /// Only so many bytes of the length announced; the connection breaks.
    Short { sent: usize, announced: usize },
    /// So many bytes, then silence.
    Stalled(usize),
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) framing: Framing,
}

/// An OperationOutcome with one issue.
pub(crate) fn outcome(status: u16, severity: &str, code: &str, text: &str) -> Answer {
    let issue = json!({ "severity": severity, "code": code, "diagnostics": text });
    let body = json!({ "resourceType": "OperationOutcome", "issue": [issue] });
    Answer::json(status, &body).header("content-type", "application/fhir+json")
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), framing: Framing::Whole }
    }

    pub(crate) fn text(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(status) }.header("content-type", kind)
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// Sets a header, in place of one with that name.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        let mut without = self.without(name);
        without.headers.push((name.to_owned(), value.to_owned()));
        without
    }

    pub(super) fn header_if_missing(self, name: &str, value: &str) -> Self {
        if self.headers.iter().any(|(known, _)| known == name) {
            self
        } else {
            self.header(name, value)
        }
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(super) fn respond(self) -> Response {
        let mut response = Response::builder().status(StatusCode::from_u16(self.status).unwrap());
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        if let Framing::Short { announced, .. } = self.framing {
            response = response.header("content-length", announced);
        }
        response.body(self.framing.body(&self.body)).unwrap()
    }
}

/// What comes after the bytes that are sent.
#[derive(Clone, Copy)]
enum End {
    Clean,
    Broken,
    Never,
}

impl Framing {
    fn body(self, bytes: &Bytes) -> Body {
        match self {
            Self::Whole => Body::from(bytes.clone()),
            Self::Chunked => pieces(bytes, bytes.len(), End::Clean),
            Self::Unterminated(sent) | Self::Short { sent, .. } => pieces(bytes, sent, End::Broken),
            Self::Stalled(sent) => pieces(bytes, sent, End::Never),
        }
    }
}

fn pieces(bytes: &Bytes, sent: usize, end: End) -> Body {
    let bytes = bytes.slice(..sent.min(bytes.len()));
    let pieces: Vec<_> = bytes.chunks(64 << 10).map(|piece| Ok(bytes.slice_ref(piece))).collect();
    let last = stream::once(async move {
        match end {
            End::Clean => Ok(Bytes::new()),
            End::Never => std::future::pending().await,
            // What was sent is to arrive before the connection breaks.
            End::Broken => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(std::io::Error::other("cut"))
            }
        }
    });
    Body::from_stream(stream::iter(pieces).chain(last))
}
