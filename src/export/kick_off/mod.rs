//! Sends the kick-off request, and finds the group it is for.

mod accepted;
mod group;
mod parameters;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::time::Duration;

use serde_json::{Value, json};

pub(super) use self::accepted::Accepted;
pub(super) use self::group::group_id;
pub(super) use self::parameters::kick_off_request;
use self::parameters::{loggable, setting_of};
use super::log::{LOG_VERSION, response_headers};
use super::request::{ExportRequest, KickOff};
use super::retry::retry_after;
use super::session::{Reply, Session};
use super::transport::{Failure, Request, redacted};
use crate::error::{Error, ErrorKind, Result};

/// Begins the job. When the server took the request, that is remembered (`remember`) before anything else is done.
///
/// # Errors
/// Of kind `Refused` with what the server says, of kind `TryLater` if it cannot for now.
pub(super) async fn kick_off(
    session: Session<'_>,
    remember: impl FnOnce(&Accepted) -> Result<()>,
) -> Result<()> {
    let asked = &session.settings.request;
    let group = group_id(session).await?;
    let post = asked.kick_off == KickOff::Post
        || asked.kick_off == KickOff::Auto && !asked.patients.is_empty();
    let request = kick_off_request(asked, group.as_deref(), post);
    session.log.identify(&request.url);
    let (reply, request) = match send(session, &request).await? {
        Ok(reply) => (reply, request),
        Err(reply) if asked.kick_off == KickOff::Auto && !post && wants_post(&reply, asked) => {
            // 4.0 knows POST alone (requirement 4).
            let other = kick_off_request(asked, group.as_deref(), true);
            match send(session, &other).await? {
                Ok(taken) => (taken, other),
                // A server without POST: what it said to GET is what is wrong.
                Err(again) if knows_no_post(&again) => return refuse(session, &reply, &request),
                Err(again) => return refuse(session, &again, &other),
            }
        }
        Err(reply) => return refuse(session, &reply, &request),
    };
    match Accepted::of(&reply, &request, session.clock.now()) {
        Ok(accepted) => {
            remember(&accepted)?;
            session.log.identify(&accepted.status_url);
            let capability = capability(session).await;
            log(session, &request, Answer::Taken(&reply, &capability))
        }
        Err(error) => {
            log(session, &request, Answer::Refused(Some(&reply), &error))?;
            Err(error)
        }
    }
}

/// Sends the request until it is answered for good: taken (`Ok`) or refused (`Err`).
///
/// A kick-off whose answer is lost may have begun a job that nobody will ask for. It is sent again all the same: the
/// protocol has no way to find such a job, and a server that allows one at a time says so by 429, for which we wait
/// until it is gone. Where jobs are free, the other one expires.
async fn send(session: Session<'_>, request: &Request) -> Result<Result<Reply, Reply>> {
    let deadline = session.deadline();
    let mut pauses = session.pauses();
    let mut failures = 0;
    loop {
        let (error, asked) = match session.ask(request).await {
            Ok(reply) if reply.status.is_success() => return Ok(Ok(reply)),
            Ok(reply) if reply.status == 429 => (busy(&reply, request), waited(session, &reply)),
            Ok(reply) if !reply.is_passing() => return Ok(Err(reply)),
            Ok(reply) => {
                failures += 1;
                (reply.refusal(request), waited(session, &reply))
            }
            Err(Failure::Passing(error)) => {
                failures += 1;
                (error, None)
            }
            Err(Failure::Lasting(error)) => return failed(session, request, error),
        };
        let wait = session.wait(&mut pauses, asked);
        if failures >= session.settings.attempts || session.is_too_late(deadline, wait) {
            return failed(session, request, error);
        }
        session.pause(&error, wait).await;
    }
}

fn waited(session: Session<'_>, reply: &Reply) -> Option<Duration> {
    retry_after(&reply.headers, session.clock.now())
}

/// 429 to a kick-off means, in practice, that a job of this client is still there (requirement 11).
fn busy(reply: &Reply, request: &Request) -> Error {
    let message = "the server takes no further export: one of this client is probably still running, or was not deleted";
    let error = reply.error(ErrorKind::TryLater, message, request);
    let error = match reply.headers.get("content-location").and_then(|url| url.to_str().ok()) {
        Some(url) => match request.url.join(url) {
            Ok(url) => error.at("job", redacted(&url)),
            Err(_) => error,
        },
        None => error,
    };
    error.hint("go on with that export in its own folder, take it up by its status url (`kiln export --adopt`), or cancel it; else wait for it to end")
}

fn failed<T>(session: Session<'_>, request: &Request, error: Error) -> Result<T> {
    log(session, request, Answer::Refused(None, &error))?;
    Err(error)
}

/// Whether GET itself may be what the server refuses: by 405, or by a 400 that names none of our parameters. One that
/// it names is never tried in another way, in which it might be overlooked.
fn wants_post(reply: &Reply, asked: &ExportRequest) -> bool {
    match reply.status.as_u16() {
        405 => true,
        400 => named_parameter(reply, asked).is_none(),
        _ => false,
    }
}

fn knows_no_post(reply: &Reply) -> bool {
    matches!(reply.status.as_u16(), 404 | 405 | 406 | 415 | 501)
}

/// The parameter of ours that the server complains of, with its setting.
fn named_parameter(reply: &Reply, asked: &ExportRequest) -> Option<(String, String)> {
    let said = reply.outcome()?.to_string();
    let sent = parameters::of(asked);
    // The longest first: `_type` is also the beginning of `_typeFilter`.
    let mut names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    let name = names.into_iter().find(|name| said.contains(name))?;
    Some((name.to_owned(), setting_of(name)))
}

fn refuse<T>(session: Session<'_>, reply: &Reply, request: &Request) -> Result<T> {
    let refusal = reply.refusal(request);
    let error = match named_parameter(reply, &session.settings.request) {
        Some((name, setting)) => refusal
            .at("parameter", format!("`{name}`"))
            .hint(format!("this server does not take it so: change or leave out `{setting}`")),
        None => refusal,
    };
    log(session, request, Answer::Refused(Some(reply), &error))?;
    Err(error)
}

/// What the server says it is, for the log: read when the job has begun, and nothing if it does not say.
async fn capability(session: Session<'_>) -> Value {
    let url = session.settings.request.below("metadata");
    session.transport.read(url, "application/fhir+json").await.unwrap_or_default()
}

/// What came of a kick-off.
#[derive(Clone, Copy)]
enum Answer<'a> {
    /// A job, and the server's CapabilityStatement.
    Taken(&'a Reply, &'a Value),
    /// No job, for this reason.
    Refused(Option<&'a Reply>, &'a Error),
}

/// `kickoff`: the fields of log version 2.
fn log(session: Session<'_>, request: &Request, answer: Answer<'_>) -> Result<()> {
    let (reply, error, server) = match answer {
        Answer::Taken(reply, server) => (Some(reply), None, server),
        Answer::Refused(reply, error) => (reply, Some(error), &Value::Null),
    };
    session.log.event(
        "kickoff",
        json!({
            "exportUrl": redacted(&request.url),
            "errorCode": error.and(reply).map(|reply| reply.status.as_u16()),
            "errorBody": error.map(ToString::to_string),
            "softwareName": server["software"]["name"],
            "softwareVersion": server["software"]["version"],
            "softwareReleaseDate": server["software"]["releaseDate"],
            "fhirVersion": server["fhirVersion"],
            "requestParameters": loggable(&session.settings.request),
            "responseHeaders": reply.map(|reply| response_headers(&reply.headers)),
            "logVersion": LOG_VERSION,
        }),
    )
}
