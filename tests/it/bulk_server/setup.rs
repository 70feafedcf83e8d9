//! What the server has and how it is set up.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::body::Bytes;
use jiff::SignedDuration;
use kiln::export::Clock;
use serde_json::{Value, json};

use super::asked::Route;
use super::fault::Fault;
use super::keys::TestKey;

/// A server as a test wants it.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) clock: Clock,
    /// How far its clock is ahead of the client's.
    pub(crate) clock_ahead: SignedDuration,
    pub(crate) guide: Guide,
    pub(crate) sign_in: SignIn,
    /// `requiresAccessToken`
    pub(crate) files_need_token: bool,
    /// How long a token is good.
    pub(crate) token_seconds: i64,
    /// How the token endpoint tells it.
    pub(crate) expires_in: fn(i64) -> Value,
    /// How often the job is not yet done.
    pub(crate) polls: usize,
    pub(crate) files: Vec<File>,
    pub(crate) groups: Vec<Value>,
    /// So many files within so long; more are answered 429.
    pub(crate) rate: Option<(usize, Duration)>,
    /// Which requests of a route, counted from 1, and what happens to them.
    pub(crate) faults: Vec<(Route, RangeInclusive<usize>, Fault)>,
}

/// A version of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guide {
    Stu2,
    Stu3,
    /// 4.0.0-ballot
    Stu4,
}

/// How clients sign in.
#[derive(Clone)]
pub(crate) enum SignIn {
    Nobody,
    /// SMART Backend Services, with these keys registered.
    Smart(Vec<TestKey>),
    /// Client id and secret.
    Basic,
    /// This token.
    Bearer(&'static str),
}

/// A section of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Output,
    Deleted,
    Error,
    /// In no manifest: an attachment.
    Attachment,
}

/// A file that the server has.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) section: Section,
    /// `type`
    pub(crate) kind: Option<&'static str>,
    /// The end of its url; may have slashes.
    pub(crate) name: String,
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
    /// Further keys of its entry: `count`, `fileSize`, `extension`.
    pub(crate) entry: Value,
    /// Whether it is at the other origin.
    pub(crate) elsewhere: bool,
    /// Its page, from 0, where partial manifests are wanted.
    pub(crate) page: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            clock_ahead: SignedDuration::ZERO,
            guide: Guide::Stu3,
            sign_in: SignIn::Nobody,
            files_need_token: false,
            token_seconds: 300,
            expires_in: |seconds| json!(seconds),
            polls: 2,
            files: Vec::new(),
            groups: Vec::new(),
            rate: None,
            faults: Vec::new(),
        }
    }
}

impl Setup {
    pub(crate) fn with(files: impl IntoIterator<Item = File>) -> Self {
        Self { files: files.into_iter().collect(), ..Self::default() }
    }

    /// Lets something happen to these requests of a route.
    pub(crate) fn fault(mut self, route: Route, nth: RangeInclusive<usize>, fault: Fault) -> Self {
        self.faults.push((route, nth, fault));
        self
    }

    pub(crate) fn sign_in(self, sign_in: SignIn) -> Self {
        Self { sign_in, files_need_token: true, ..self }
    }
}

impl File {
    /// Resources of a type, with their count.
    pub(crate) fn output(kind: &'static str, name: &str, lines: &[String]) -> Self {
        let file = Self::new(Section::Output, Some(kind), name, lines.join("\n") + "\n");
        file.entry("count", json!(lines.len()))
    }

    pub(crate) fn new(
        section: Section,
        kind: Option<&'static str>,
        name: &str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            section,
            kind,
            name: name.to_owned(),
            body: body.into(),
            content_type: "application/fhir+ndjson",
            entry: json!({}),
            elsewhere: false,
            page: 0,
        }
    }

    /// Something more in its entry.
    pub(crate) fn entry(mut self, key: &str, value: Value) -> Self {
        self.entry[key] = value;
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.entry.as_object_mut().unwrap().remove(key);
        self
    }

    /// At the other origin, with a presigned url.
    pub(crate) fn elsewhere(self) -> Self {
        Self { elsewhere: true, ..self }
    }

    pub(crate) fn page(self, page: usize) -> Self {
        Self { page, ..self }
    }
}
