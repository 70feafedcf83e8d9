//! When pipelines run: cron with time zones, jitter, catching up, retries; and the service that starts them.
//!
//! `rule` says which instants a cron expression means, `agenda` (pure: instants in, decisions out) what one pipeline
//! does about them, [`serve`] does it: each run is a process of its own, so that none takes the service down.

mod agenda;
mod board;
mod entry;
mod event;
mod files;
mod listen;
mod process;
mod rule;
mod service;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::settings::{Mistake, Mistakes, Span};
pub use event::{Event, Level};
pub use files::files;
pub use listen::Listen;
pub use process::Ending;
use rule::Rule;
pub use service::{Failed, Loaded, Options, Planned, once, serve};

/// `[schedule]` of a pipeline as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleTable {
    /// A cron expression: five fields, or six with seconds.
    pub cron: String,
    /// An IANA time zone; UTC by default.
    pub timezone: Option<String>,
    /// The run begins up to so much later, by pipeline and slot always the same.
    pub jitter: Option<Span>,
    /// `skip` (default), `queue` or `replace`: what happens to a slot while the run of an earlier one goes on.
    pub overlap: Option<String>,
    /// `once` (default), `all` or `none`: what happens to slots that were missed.
    pub catch_up: Option<String>,
    /// How far back missed slots count.
    pub catch_up_within: Option<Span>,
    /// How often a run that failed for a passing reason (exit codes 6, 9) is tried again.
    pub retries: Option<u32>,
    /// The wait before the first retry; it doubles.
    pub backoff: Option<Span>,
    /// A run that takes longer is stopped, and tried again.
    pub timeout: Option<Span>,
}

/// A schedule, checked.
#[derive(Debug, Clone)]
pub struct Schedule {
    rule: Rule,
    jitter: Duration,
    overlap: Overlap,
    catch_up: CatchUp,
    catch_up_within: Duration,
    retries: u32,
    backoff: Duration,
    timeout: Option<Duration>,
}

/// What happens to a slot while the run of an earlier one goes on, or waits to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlap {
    /// It is left out.
    Skip,
    /// It waits.
    Queue,
    /// The earlier one is stopped, or left.
    Replace,
}

/// What happens to slots that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CatchUp {
    /// They are left out.
    None,
    /// The latest one is run.
    Once,
    /// All are run, one after the other.
    All,
}

const OVERLAPS: [(&str, Overlap); 3] =
    [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace)];

const CATCH_UPS: [(&str, CatchUp); 3] =
    [("once", CatchUp::Once), ("all", CatchUp::All), ("none", CatchUp::None)];

const DAY: Duration = Duration::from_hours(24);

/// No wait between two attempts is longer, however often the first has doubled.
const MAX_BACKOFF: Duration = Duration::from_hours(6);

impl ScheduleTable {
    /// Checks it. Paths of mistakes are below `schedule`.
    pub fn check(&self) -> Result<Schedule, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let rule = Rule::check(&self.cron, self.timezone.as_deref(), &mut mistakes);
        let overlap = word("overlap", self.overlap.as_deref(), &OVERLAPS, &mut mistakes);
        let catch_up = word("catch_up", self.catch_up.as_deref(), &CATCH_UPS, &mut mistakes);
        let jitter = span("jitter", self.jitter.as_ref(), &mut mistakes);
        let within = span("catch_up_within", self.catch_up_within.as_ref(), &mut mistakes);
        let backoff = span("backoff", self.backoff.as_ref(), &mut mistakes);
        let timeout = span("timeout", self.timeout.as_ref(), &mut mistakes);
        for (key, span) in [("backoff", backoff), ("timeout", timeout)] {
            if span == Some(Duration::ZERO) {
                mistakes.add(key, "the time is 0");
            }
        }
        match rule {
            Some(rule) if mistakes.0.is_empty() => Ok(Schedule {
                rule,
                jitter: jitter.unwrap_or_default(),
                overlap,
                catch_up,
                catch_up_within: within.unwrap_or(DAY),
                retries: self.retries.unwrap_or(3),
                backoff: backoff.unwrap_or(Duration::from_mins(5)),
                timeout,
            }),
            _ => Err(mistakes.0),
        }
    }
}

/// What a word stands for; the first of the list where there is none.
fn word<T: Copy>(
    key: &str,
    written: Option<&str>,
    words: &[(&'static str, T)],
    mistakes: &mut Mistakes,
) -> T {
    let Some(written) = written else { return words[0].1 };
    if let Some((_, meant)) = words.iter().find(|(word, _)| *word == written) {
        return *meant;
    }
    let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    mistakes.add(key, format!("`{written}` is none of {}", known.join(", ")));
    words[0].1
}

fn span(key: &str, written: Option<&Span>, mistakes: &mut Mistakes) -> Option<Duration> {
    /// Longer ones are slips, and no arithmetic with instants fails below it.
    const LONGEST: Duration = Duration::from_hours(24 * 366 * 10);
    let span = written?;
    let duration = span.duration().filter(|d| *d <= LONGEST);
    if duration.is_none() {
        let message = format!("`{}` is no span of time, or longer than ten years", span.0);
        mistakes.hinted(key, message, "write it as `30d`, `2h`, `5m`, or in seconds");
    }
    duration
}

impl Schedule {
    /// The slots after an instant, in order; without end, save for rules that name a last year.
    pub fn slots(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.rule.after(after), |slot| self.rule.after(*slot))
    }

    /// A slot as the clocks of the schedule's time zone show it.
    pub fn local(&self, slot: Timestamp) -> String {
        let zoned = slot.to_zoned(self.rule.zone().clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// When the run of a slot of a pipeline begins: for the same two always the same.
    fn due(&self, pipeline: &str, slot: Timestamp) -> Timestamp {
        let span = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        if span == 0 {
            return slot;
        }
        let digest = Sha256::digest(format!("{pipeline}\0{slot}"));
        let drawn = digest.iter().take(8).fold(0, |drawn, byte| drawn << 8 | u64::from(*byte));
        later(slot, Duration::from_millis(drawn % span))
    }

    /// The wait before the attempt after `attempt`, which is 1 for the first.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.backoff.saturating_mul(doubled).min(MAX_BACKOFF.max(self.backoff))
    }
}

/// An instant and a span after it.
fn later(instant: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    instant.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// An instant and a span before it.
fn earlier(instant: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    instant.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// How much later an instant is than another; zero if it is not.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

impl std::fmt::Display for Schedule {
    /// For `kiln check`: the rule in words, and the next slots.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |words: &[(&'static str, bool)]| words.iter().find(|w| w.1).map_or("", |w| w.0);
        write!(f, "{}", self.rule)?;
        if !self.jitter.is_zero() {
            write!(f, ", up to {:?} later", self.jitter)?;
        }
        let overlap = name(&OVERLAPS.map(|(word, policy)| (word, policy == self.overlap)));
        let catch_up = name(&CATCH_UPS.map(|(word, policy)| (word, policy == self.catch_up)));
        write!(f, "; overlap {overlap}; catch up {catch_up}; {} retries", self.retries)?;
        if let Some(timeout) = self.timeout {
            write!(f, "; stopped after {timeout:?}")?;
        }
        let next: Vec<_> = self.slots(Timestamp::now()).take(3).map(|s| self.local(s)).collect();
        write!(f, "; next {}", next.join(", "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
