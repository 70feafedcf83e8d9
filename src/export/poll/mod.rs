//! Asks for the status of the job until it is done.

mod answer;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use self::answer::Answer;
use super::job::Event;
use super::manifest::Page;
use super::retry::Backoff;
use super::session::{Reply, Session};
use super::transport::{Failure, Request, described};
use crate::error::{Error, ErrorKind, Result};

pub(super) use answer::percent;

/// A page of the manifest, as it came.
#[derive(Debug, Clone)]
pub(super) struct NewPage {
    /// Where it was asked for.
    pub(super) url: Url,
    /// Where it came from, after redirects: what its own urls are relative to.
    pub(super) at: Url,
    /// As it came.
    pub(super) value: Value,
    pub(super) page: Page,
    /// Whether it is the last.
    pub(super) last: bool,
}

/// Why polling ended without the whole manifest.
#[derive(Debug)]
pub(super) enum Ended {
    /// The server does not know the job, any more or at all.
    Lost(Error),
    /// The job failed on the server.
    Failed(Error),
    /// We gave up, or were refused; the job may go on.
    Stopped(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Stopped(error)
    }
}

/// The request for the status, or for a page of the manifest. The token goes wherever `server` says its status is, but
/// not unencrypted to another origin.
pub(super) fn status_request(url: &Url, server: &Url, method: Method) -> Request {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let credentials = url.scheme() == "https" || url.origin() == server.origin();
    Request { method, url: url.clone(), headers, body: None, credentials }
}

/// Polls from `url` on, which is the status url or that of a page, until the last page came. Each page is handed to
/// `arrived` when it comes; one that was there before (`known`) again, if it changed since.
pub(super) async fn poll(
    session: Session<'_>,
    url: Url,
    known: &[Url],
    arrived: impl FnMut(NewPage) -> Result<()>,
) -> Result<(), Ended> {
    if known.split_last().is_some_and(|(_, before)| before.contains(&url)) {
        return Err(circle(&url));
    }
    let visited = known.iter().cloned().chain([url.clone()]).collect();
    let (shortest, longest) = session.settings.poll;
    let polling = Polling {
        session,
        url,
        visited,
        arrived,
        deadline: session.deadline(),
        floor: shortest,
        between: Backoff::new(shortest, longest),
        pauses: session.pauses(),
        failures: 0,
        progress: None,
    };
    polling.run().await
}

fn circle(page: &Url) -> Ended {
    let error = Error::new(ErrorKind::Incomplete, "the manifest's pages go round in a circle")
        .at("page", described(&Method::GET, page))
        .hint("the server does not keep to the protocol: export without partial manifests");
    Ended::Stopped(error)
}

/// Polling under way.
struct Polling<'a, F> {
    session: Session<'a>,
    /// What is asked next.
    url: Url,
    /// All that was asked, lest pages go round in a circle.
    visited: HashSet<Url>,
    arrived: F,
    deadline: jiff::Timestamp,
    /// The shortest time between polls; grows when the server complains.
    floor: Duration,
    /// Waits while the job runs.
    between: Backoff,
    /// Waits after failures.
    pauses: Backoff,
    /// Failures in a row that say nothing of the job.
    failures: u32,
    /// What the server last said of its progress.
    progress: Option<String>,
}

impl<F: FnMut(NewPage) -> Result<()>> Polling<'_, F> {
    async fn run(mut self) -> Result<(), Ended> {
        loop {
            let request =
                status_request(&self.url, &self.session.settings.request.server, Method::GET);
            let reply = match self.session.ask(&request).await {
                Ok(reply) => reply,
                Err(Failure::Passing(error)) => {
                    self.failed(error, None, None).await?;
                    continue;
                }
                Err(Failure::Lasting(error)) => return self.ended(Ended::Stopped(error), None),
            };
            match Answer::of(&reply, &request, self.session.clock.now()) {
                Answer::Running { progress, asked } => {
                    self.running(&reply, progress, asked).await?;
                }
                Answer::Page { value, done, asked } => {
                    if self.page(&reply, value, done)? {
                        return Ok(());
                    }
                    // The next page is asked for at once; the same one again after a while.
                    if self.url == request.url {
                        self.running(&reply, None, asked).await?;
                    }
                }
                Answer::TooMany { error, asked } => self.slow_down(error, &reply, asked).await?,
                Answer::Passing { error, asked, alive } => {
                    if alive {
                        // Such answers may come as long as they like.
                        self.failures = 0;
                        self.retry(error, Some(&reply), asked).await?;
                    } else {
                        self.failed(error, Some(&reply), asked).await?;
                    }
                }
                Answer::Lost(error) => return self.ended(Ended::Lost(error), Some(&reply)),
                Answer::Failed(error) => return self.ended(Ended::Failed(error), Some(&reply)),
                Answer::Stopped(error) => return self.ended(Ended::Stopped(error), Some(&reply)),
            }
        }
    }

    fn ended(&self, ended: Ended, reply: Option<&Reply>) -> Result<(), Ended> {
        let (Ended::Lost(error) | Ended::Failed(error) | Ended::Stopped(error)) = &ended;
        self.session.log_status_error(error, reply)?;
        Err(ended)
    }

    /// The job is at work: waits.
    async fn running(
        &mut self,
        reply: &Reply,
        progress: Option<String>,
        asked: Option<Duration>,
    ) -> Result<(), Ended> {
        self.failures = 0;
        self.pauses.reset();
        let wait = self.between.next(asked);
        if progress.is_some() && progress != self.progress {
            let detail = json!({
                "body": reply.outcome().map(|outcome| outcome.to_string()),
                "xProgress": progress,
                "retryAfter": asked.map(|asked| asked.as_secs()),
            });
            self.session.log.event("status_progress", detail)?;
            self.progress.clone_from(&progress);
        }
        let percent = progress.as_deref().and_then(percent);
        self.in_time(wait)?;
        (self.session.observer)(&Event::Waiting { progress, percent, next: wait });
        self.session.clock.wait(wait).await;
        Ok(())
    }

    /// A page came: hands it over, and goes to the next. Says whether it was the last.
    fn page(&mut self, reply: &Reply, value: Value, done: bool) -> Result<bool, Ended> {
        self.failures = 0;
        self.pauses.reset();
        let page = Page::read(&value, &reply.url)
            .map_err(|e| e.at("request", described(&Method::GET, &self.url)))?;
        let next = page.next.clone();
        let last = done && next.is_none();
        (self.arrived)(NewPage {
            url: self.url.clone(),
            at: reply.url.clone(),
            value,
            page,
            last,
        })?;
        if let Some(next) = next {
            if !self.visited.insert(next.clone()) {
                return Err(circle(&next));
            }
            self.url = next;
            self.between = Backoff::new(self.floor, self.session.settings.poll.1);
        }
        Ok(last)
    }

    /// The server complains of too many polls: waits, and polls less often from now on.
    async fn slow_down(
        &mut self,
        error: Error,
        reply: &Reply,
        asked: Option<Duration>,
    ) -> Result<(), Ended> {
        let longest = self.session.settings.poll.1;
        self.floor = self.floor.saturating_mul(2).min(longest.max(self.floor));
        self.between = Backoff::new(self.floor, longest);
        self.session.log_status_error(&error, Some(reply))?;
        let wait = self.between.next(asked);
        self.in_time(wait)?;
        self.session.pause(&error, wait).await;
        Ok(())
    }

    /// A poll failed for a passing reason: waits, unless that happened too often in a row.
    async fn failed(
        &mut self,
        error: Error,
        reply: Option<&Reply>,
        asked: Option<Duration>,
    ) -> Result<(), Ended> {
        self.failures += 1;
        if self.failures >= self.session.settings.attempts {
            self.session.log_status_error(&error, reply)?;
            return Err(Ended::Stopped(error.hint("the same command goes on with this job")));
        }
        self.retry(error, reply, asked).await
    }

    /// Waits before the same is asked again.
    async fn retry(
        &mut self,
        error: Error,
        reply: Option<&Reply>,
        asked: Option<Duration>,
    ) -> Result<(), Ended> {
        self.session.log_status_error(&error, reply)?;
        let wait = self.session.wait(&mut self.pauses, asked);
        self.in_time(wait)?;
        self.session.pause(&error, wait).await;
        Ok(())
    }

    fn in_time(&self, wait: Duration) -> Result<(), Ended> {
        if !self.session.is_too_late(self.deadline, wait) {
            return Ok(());
        }
        let error = Error::new(
            ErrorKind::TryLater,
            "the job was not done in the time that was given to it",
        )
        .at("request", described(&Method::GET, &self.url))
        .hint("the same command goes on waiting; `max_wait` gives it longer");
        self.session.log.event("client_error", json!({ "error": error.to_string() }))?;
        Err(Ended::Stopped(error))
    }
}
