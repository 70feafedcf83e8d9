//! What an answer to a poll means (Bulk Data Access, "Bulk Data Status Request").

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::export::download::content::BYTE_ORDER_MARK;
use crate::export::manifest::is_manifest;
use crate::export::retry::retry_after;
use crate::export::session::Reply;
use crate::export::transport::Request;

/// What an answer means.
#[derive(Debug)]
pub(super) enum Answer {
    /// The job is at work.
    Running { progress: Option<String>, asked: Option<Duration> },
    /// A page of the manifest; the job is `done`, or at work and this is what is there already.
    Page { value: Value, done: bool, asked: Option<Duration> },
    /// Too many polls.
    TooMany { error: Error, asked: Option<Duration> },
    /// This poll failed. The job is known to be `alive`, or nothing is known.
    Passing { error: Error, asked: Option<Duration>, alive: bool },
    /// There is no such job.
    Lost(Error),
    /// The job failed.
    Failed(Error),
    /// We are refused, or what came is not of the protocol.
    Stopped(Error),
}

impl Answer {
    /// Reads an answer that came at `now`.
    pub(super) fn of(reply: &Reply, request: &Request, now: Timestamp) -> Self {
        let asked = retry_after(&reply.headers, now);
        let error = |kind, message: &str| reply.error(kind, message, request);
        match (job_status(reply), reply.outcome()) {
            (202, _) => match manifest(reply) {
                Some(value) => Self::Page { value, done: false, asked },
                None => Self::Running { progress: progress(reply), asked },
            },
            (429, _) => Self::TooMany {
                error: error(ErrorKind::TryLater, "the server is asked for the status too often"),
                asked,
            },
            (400.., Some(outcome)) if outcome.is_transient() => Self::Passing {
                error: error(ErrorKind::TryLater, "the server cannot tell the status for now"),
                asked,
                alive: true,
            },
            (404 | 410, _) => {
                Self::Lost(error(ErrorKind::Refused, "the server does not know the export any more"))
            }
            (401 | 403, _) => Self::Stopped(
                error(ErrorKind::Refused, "the server refuses to tell the status")
                    .hint("check `auth`; the same command then goes on with this job"),
            ),
            (400.., Some(_)) => {
                Self::Failed(error(ErrorKind::Incomplete, "the export failed on the server"))
            }
            (408 | 425 | 500.., None) => Self::Passing {
                error: error(ErrorKind::TryLater, "the server, or one before it, failed"),
                asked,
                alive: false,
            },
            (200..300, outcome) => match manifest(reply) {
                Some(value) => Self::Page { value, done: true, asked },
                None if outcome.is_some_and(|outcome| outcome.has_errors()) => {
                    Self::Failed(error(ErrorKind::Incomplete, "the export failed on the server"))
                }
                None => Self::Stopped(
                    error(ErrorKind::Incomplete, "the server says the job is done, but sends no manifest")
                        .hint("the server does not keep to the protocol: report it to who runs the server"),
                ),
            },
            _ => Self::Stopped(error(ErrorKind::Refused, "the server refuses to tell the status")),
        }
    }
}

/// The status of the job: that of HTTP or, where the two are separate, of `X-Export-Status`, "number, optional text"
/// (Bulk Data Access 3.0, "separate-export-status").
fn job_status(reply: &Reply) -> u16 {
    let separate = || {
        let text = reply.headers.get("x-export-status")?.to_str().ok()?.trim_start();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..digits].parse().ok().filter(|status| (100..600).contains(status))
    };
    let http = reply.status.as_u16();
    if http == 200 { separate().unwrap_or(http) } else { http }
}

fn manifest(reply: &Reply) -> Option<Value> {
    serde_json::from_slice(without_mark(&reply.body)).ok().filter(is_manifest)
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// `X-Progress`: less than 100 characters by the guide; cut, since it is shown.
fn progress(reply: &Reply) -> Option<String> {
    let text = String::from_utf8_lossy(reply.headers.get("x-progress")?.as_bytes()).into_owned();
    let text: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The per cent in a text such as "In Progress (24%)"; the last digits before the sign.
pub(in crate::export) fn percent(progress: &str) -> Option<u8> {
    let before = progress.split('%').next().filter(|before| before.len() < progress.len())?;
    let before = before.trim_end();
    // "24.5%": the whole part.

    let start = before
        .rfind(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let whole = before[start..].split('.').next()?;
    whole.parse::<u8>().ok().filter(|percent| *percent <= 100)
}
