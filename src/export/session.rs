//! What every exchange with the server shares: sending, waiting, telling.

use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::json;
use url::Url;

use super::job::{Event, Observer};
use super::log::{Log, response_headers};
use super::outcome::{Outcome, refusal};
use super::retry::{Backoff, retry_after};
use super::settings::Settings;
use super::transport::{Failure, Request, Transport};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// The longest answer that is not a file of the export: a manifest of 100,000 files with signed urls.
const LONGEST_ANSWER: usize = 256 << 20;

/// After a failure the first pause; those that follow double.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The means of one export.
#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) transport: &'a Transport,
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a Clock,
    pub(super) log: &'a Log,
    pub(super) observer: &'a Observer,
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from, after redirects.
    pub(super) url: Url,
    pub(super) body: Bytes,
}

impl Session<'_> {
    /// Sends a request once, and reads what comes.
    pub(super) async fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let response = self.transport.send(request).await?;
        let (status, headers, url) =
            (response.status, response.headers.clone(), response.url.clone());
        let body = response.body(LONGEST_ANSWER).await?;
        Ok(Reply { status, headers, url, body })
    }

    /// Sends a request, again and again while it fails for a passing reason, as often as the settings say.
    pub(super) async fn ask_again(&self, request: &Request) -> Result<Reply> {
        let mut pauses = self.pauses();
        for attempt in 1.. {
            let (error, asked) = match self.ask(request).await {
                Ok(reply) if !reply.is_passing() => return Ok(reply),
                Ok(reply) => {
                    let asked = retry_after(&reply.headers, self.clock.now());
                    (reply.refusal(request), asked)
                }
                Err(Failure::Passing(error)) => (error, None),
                Err(Failure::Lasting(error)) => return Err(error),
            };
            if attempt >= self.settings.attempts {
                return Err(error);
            }
            self.pause(&error, self.wait(&mut pauses, asked)).await;
        }
        unreachable!("the loop returns")
    }

    /// The pauses after failures, which are longer than those between polls.
    pub(super) fn pauses(&self) -> Backoff {
        let (shortest, longest) = self.settings.poll;
        Backoff::new(FIRST_PAUSE.clamp(shortest, longest.max(shortest)), longest)
    }

    /// The pause after a failure: what the server asks for, as the settings allow it, else the next of `pauses`.
    pub(super) fn wait(&self, pauses: &mut Backoff, asked: Option<Duration>) -> Duration {
        let (shortest, longest) = self.settings.poll;
        match asked {
            Some(asked) => asked.clamp(shortest, longest.max(shortest)),
            None => pauses.next(None),
        }
    }

    /// Waits before another try, and says why.
    pub(super) async fn pause(&self, why: &Error, wait: Duration) {
        (self.observer)(&Event::Retrying { why: why.to_string(), after: wait });
        self.clock.wait(wait).await;
    }

    /// When the time that the settings give is over, from now on.
    pub(super) fn deadline(&self) -> jiff::Timestamp {
        let wait = SignedDuration::try_from(self.settings.max_wait).unwrap_or(SignedDuration::MAX);
        self.clock.now().checked_add(wait).unwrap_or(jiff::Timestamp::MAX)
    }

    /// Whether waiting so long would go beyond the deadline.
    pub(super) fn is_too_late(&self, deadline: jiff::Timestamp, wait: Duration) -> bool {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        self.clock.now().checked_add(wait).is_ok_and(|then| then > deadline)
    }

    /// Logs a status request that failed.
    pub(super) fn log_status_error(&self, error: &Error, reply: Option<&Reply>) -> Result<()> {
        self.log.event(
            "status_error",
            json!({
                "body": reply.and_then(Reply::outcome).map(|outcome| outcome.to_string()),
                "code": reply.map(|reply| reply.status.as_u16()),
                "message": error.to_string(),
                "responseHeaders": reply.map(|reply| response_headers(&reply.headers)),
            }),
        )
    }
}

impl Reply {
    /// What the server says in the standard's form, if it does.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        Outcome::parse(&self.body)
    }

    /// Whether the same request may succeed later: too many requests, or a failure of the server that is not said to
    /// be one of the request.
    pub(super) fn is_passing(&self) -> bool {
        match (self.status.as_u16(), self.outcome()) {
            (408 | 425 | 429, _) => true,
            (400.., Some(outcome)) if outcome.is_transient() => true,
            // `processing` and the like: it was understood, and failed for a reason of its own.
            (500.., Some(_)) | (501, None) => false,
            (500.., None) => true,
            _ => false,
        }
    }

    /// That the server refuses, with what it says.
    pub(super) fn refusal(&self, request: &Request) -> Error {
        refusal(request, self.status, &self.headers, &self.body)
    }

    /// What an answer means to us, before what the server says.
    pub(super) fn error(&self, kind: ErrorKind, message: &str, request: &Request) -> Error {
        let refusal = self.refusal(request);
        let error = Error::new(kind, format!("{message}: {}", refusal.message()));
        refusal.places().iter().fold(error, |error, (what, place)| error.at(what, place))
    }
}
