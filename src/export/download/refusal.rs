//! What it means that a server does not send a file, and what the log says of it.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::log::response_headers;
use super::super::outcome::{Said, is_passing};
use super::super::retry::retry_after;
use super::super::transport::{Response, redacted};
use super::persist::Miss;
use crate::error::{Error, ErrorKind};

/// Of the body of a refusal, at most.
const BODY: usize = 64 << 10;

/// What the log says of a failed attempt.
#[derive(Debug, Default)]
pub(in super::super) struct Report {
    status: Option<StatusCode>,
    headers: Value,
    body: Option<String>,
}

impl Report {
    /// Status and headers of the response.
    pub(in super::super) fn saw(&mut self, response: &Response) {
        self.status = Some(response.status);
        self.headers = response_headers(&response.headers);
    }

    /// `eventDetail` of `download_error`.
    pub(in super::super) fn detail(&self, url: &str, miss: &Miss) -> Value {
        let (Miss::Busy(_, error)
        | Miss::Passing(_, error)
        | Miss::Gone(error)
        | Miss::Lasting(error)
        | Miss::Fatal(error)) = miss;
        json!({
            "fileUrl": url,
            "body": self.body,
            "code": self.status.map(|status| status.as_u16()),
            "message": error.message(),
            "responseHeaders": self.headers,
        })
    }
}

/// What a response other than success means. A presigned url is one without credentials, or where a redirect led to:
/// when it expires, the server that signed it says 403, and 404 of what it has deleted.
pub(in super::super) async fn refusal(
    response: Response,
    credentials: bool,
    now: Timestamp,
    report: &mut Report,
) -> Miss {
    let (status, asked) = (response.status, retry_after(&response.headers, now));
    let place = format!("GET {}", redacted(&response.url));
    let said = response.body(BODY).await.map_or(Said::Nothing, |body| Said::of(&body));
    let transient = matches!(&said, Said::Outcome(outcome) if outcome.is_transient());
    report.body = (said != Said::Nothing).then(|| said.to_string());
    let said = report.body.as_ref().map_or(String::new(), |said| format!(": {said}"));
    let error = |kind, what: &str| {
        Error::new(kind, format!("the server {what} ({status}){said}")).at("request", &place)
    };
    match status.as_u16() {
        429 | 503 => Miss::Busy(asked, error(ErrorKind::TryLater, "has too much to do")),
        _ if transient || is_passing(status) => {
            Miss::Passing(asked, error(ErrorKind::TryLater, "failed to send the file"))
        }
        404 | 410 => Miss::Gone(error(ErrorKind::Incomplete, "no longer has the file")),
        403 if !credentials => Miss::Gone(error(ErrorKind::Incomplete, "no longer gives the file")),
        401 | 403 => Miss::Lasting(
            error(ErrorKind::Refused, "refuses to give the file")
                .hint("the scopes granted must cover every type that is exported"),
        ),
        _ => Miss::Lasting(error(ErrorKind::Incomplete, "does not send the file")),
    }
}
