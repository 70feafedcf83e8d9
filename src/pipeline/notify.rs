//! Tells others how a run ended: a webhook, or a command.

mod message;
mod send;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::report::RunReport;
use crate::clock::Clock;
use crate::error::Error;
use crate::settings::{Mistake, Mistakes, Secret};
use crate::suggest;
use message::{Event, Message};
use send::Limits;

/// `[[notify]]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyTable {
    /// Of `success`, `failure`, `rejects` (committed, with rejects); `failure` by default.
    #[serde(default)]
    on: Vec<String>,
    /// Where a POST of JSON goes.
    webhook: Option<Secret>,
    /// A program and its arguments; gets the same JSON at its standard input.
    #[serde(default)]
    command: Vec<String>,
}

/// A notification, checked.
#[derive(Debug, Clone)]
pub struct Notification {
    on: Vec<Event>,
    channel: Channel,
}

/// Whom it reaches.
#[derive(Debug, Clone)]
enum Channel {
    /// A url, which may carry a token: never printed.
    Webhook(Secret),
    /// A program with its arguments, in the folder of the pipeline.
    Command { program: Vec<String>, folder: PathBuf },
}

impl NotifyTable {
    /// Checks it; relative paths begin at `folder`. Paths of mistakes are below the notification.
    pub(super) fn check(self, folder: &Path) -> Result<Notification, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let on = events(&self.on, &mut mistakes);
        let channel = match (self.webhook, self.command.is_empty()) {
            (Some(url), true) => webhook(url.at(folder), &mut mistakes),
            (None, false) => Some(command(self.command, folder, &mut mistakes)),
            _ => {
                mistakes.add("", "a notification has either a `webhook` or a `command`");
                None
            }
        };
        match channel {
            Some(channel) if mistakes.0.is_empty() => Ok(Notification { on, channel }),
            _ => Err(mistakes.0),
        }
    }
}

fn events(written: &[String], mistakes: &mut Mistakes) -> Vec<Event> {
    if written.is_empty() {
        return vec![Event::Failure];
    }
    let mut events = Vec::new();
    for (i, name) in written.iter().enumerate() {
        if let Some(event) = Event::named(name) {
            events.push(event);
            continue;
        }
        let names = Event::ALL.map(Event::name);
        let hint = suggest::nearest(name, names).map_or_else(
            || format!("one of `{}`", names.join("`, `")),
            |near| format!("did you mean `{near}`?"),
        );
        mistakes.hinted(format!("on[{i}]"), format!("no run ends with `{name}`"), hint);
    }
    events
}

/// A url in the environment or a file is looked at when it is used.
fn webhook(url: Secret, mistakes: &mut Mistakes) -> Option<Channel> {
    if let Secret::Inline(text) = &url
        && let Err(why) = send::url(text)
    {
        mistakes.hinted("webhook", why, "a webhook is an `https` url, or `http` on this machine");
        return None;
    }
    Some(Channel::Webhook(url))
}

fn command(program: Vec<String>, folder: &Path, mistakes: &mut Mistakes) -> Channel {
    if program[0].is_empty() {
        mistakes.add("command[0]", "the program has no name");
    }
    Channel::Command { program, folder: folder.to_owned() }
}

impl Notification {
    /// Tells how a run ended, if it is to be told. Without PHI: name, pipeline, outcome, counts, durations, warnings'
    /// number. What fails is a warning, as text.
    pub async fn tell(
        &self,
        pipeline: &str,
        report: Option<&RunReport>,
        failure: Option<&Error>,
    ) -> Option<String> {
        self.tell_within(&Limits::default(), &Clock::System, pipeline, report, failure).await
    }

    async fn tell_within(
        &self,
        limits: &Limits,
        clock: &Clock,
        pipeline: &str,
        report: Option<&RunReport>,
        failure: Option<&Error>,
    ) -> Option<String> {
        let message = Message::of(pipeline, report, failure);
        if !self.on.iter().any(|event| event.is_met_by(message.event)) {
            return None;
        }
        let json = serde_json::to_vec(&message).expect("a message is plain data");
        let (to, sent) = match &self.channel {
            Channel::Webhook(url) => ("webhook", send::post(url, json, limits, clock).await),
            Channel::Command { program, folder } => {
                ("command", send::run(program, folder, json, limits).await)
            }
        };
        sent.err().map(|why| format!("the {to} that is notified of `{pipeline}` failed: {why}"))
    }

    /// When it is sent, and where to, for people: the program without its arguments, a url by its server or by where it is
    /// kept.
    pub fn describe(&self) -> String {
        let to = match &self.channel {
            Channel::Webhook(Secret::Env { env }) => format!("webhook in ${env}"),
            Channel::Webhook(Secret::File { file }) => format!("webhook in {}", file.display()),
            Channel::Webhook(Secret::Inline(text)) => {
                let url = send::url(text).ok();
                let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
                format!("webhook at {host}")
            }
            Channel::Command { program, .. } => format!("command {}", program[0]),
        };
        let on: Vec<_> = self.on.iter().map(|event| event.name()).collect();
        format!("{to} on {}", on.join(", "))
    }

    /// The secret that it needs when it is sent.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match &self.channel {
            Channel::Webhook(url) => Some(url),
            Channel::Command { .. } => None,
        }
    }
}
