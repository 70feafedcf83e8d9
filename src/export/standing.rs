//! Where an export stands, in one line for people: what the server says, how much has arrived, how long it may take.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::job::Event;

/// The account of an export's events.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    phase: Phase,
    /// The first per cent the server told, and when: the estimate begins there.
    first: Option<(Timestamp, u8)>,
    files: Files,
    /// What failed last, until something goes well.
    trouble: Option<(String, Duration)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Asking,
    Preparing {
        said: Option<String>,
        left: Option<Duration>,
        next: Duration,
    },
    Loading,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Files {
    listed: usize,
    stored: usize,
    received: u64,
}

impl Standing {
    /// Takes in what happened at `now`; true if people should be told at once.
    pub fn update(&mut self, event: &Event, now: Timestamp) -> bool {
        let trouble = self.trouble.take();
        match event {
            Event::Started { .. } => return true,
            Event::Waiting { progress, percent, next } => {
                let left = percent.and_then(|percent| self.left(percent, now));
                let before = std::mem::replace(
                    &mut self.phase,
                    Phase::Preparing { said: progress.clone(), left, next: *next },
                );
                return !matches!(before, Phase::Preparing { said, .. } if said == *progress);
            }
            Event::Listed { files } => {
                self.files.listed += files;
                self.phase = Phase::Loading;
                return true;
            }
            Event::Received { bytes } => {
                self.files.received += bytes;
                // Other files may go well while one fails.
                self.trouble = trouble;
            }
            Event::Stored(_) => {
                self.files.stored += 1;
                self.phase = Phase::Loading;
            }
            Event::Retrying { why, after } => {
                let same = trouble.is_some_and(|(before, _)| before == *why);
                self.trouble = Some((why.clone(), *after));
                return !same;
            }
        }
        false
    }

    /// What is left, if it goes on as it went since the first per cent was told.
    fn left(&mut self, percent: u8, now: Timestamp) -> Option<Duration> {
        let (since, from) = *self.first.get_or_insert((now, percent));
        let gained = percent.checked_sub(from).filter(|gained| *gained > 0)?;
        let elapsed = Duration::try_from(now.duration_since(since)).ok()?;
        Some(elapsed * u32::from(100_u8.saturating_sub(percent)) / u32::from(gained))
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.phase {
            Phase::Asking => f.write_str("asking the server")?,
            Phase::Preparing { said, left, next } => {
                f.write_str("the server prepares the export")?;
                if let Some(said) = said {
                    write!(f, ": {said}")?;
                }
                if let Some(left) = left {
                    write!(f, ", about {} left", rough(*left))?;
                }
                write!(f, "; asked again in {}", rough(*next))?;
            }
            Phase::Loading => {
                let Files { listed, stored, received } = self.files;
                let megabytes = received as f64 / 1e6;
                write!(f, "{stored} of {listed} files stored, {megabytes:.1} MB received")?;
            }
        }
        match &self.trouble {
            Some((why, after)) => write!(f, "; {why}; tried again in {}", rough(*after)),
            None => Ok(()),
        }
    }
}

/// A duration in its largest unit.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        7_200..=172_799 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::{Event, Standing};

    fn waiting(said: &str, percent: Option<u8>) -> Event {
        let progress = (!said.is_empty()).then(|| said.to_owned());
        Event::Waiting { progress, percent, next: Duration::from_mins(5) }
    }

    #[test]
    fn people_read_one_line() {
        let mut standing = Standing::default();
        let begun: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let retrying =
            |why: &str| Event::Retrying { why: why.to_owned(), after: Duration::from_secs(4) };
        for (minutes, event, told, line) in [
            (0, Event::Started { resumed: false }, true, "asking the server"),
            (1, waiting("", None), true, "the server prepares the export; asked again in 5 min"),
            (
                2,
                waiting("queued", None),
                true,
                "the server prepares the export: queued; asked again in 5 min",
            ),
            (
                10,
                waiting("10%", Some(10)),
                true,
                "the server prepares the export: 10%; asked again in 5 min",
            ),
            (
                15,
                waiting("10%", Some(10)),
                false,
                "the server prepares the export: 10%; asked again in 5 min",
            ),
            (
                70,
                waiting("20%", Some(20)),
                true,
                "the server prepares the export: 20%, about 8 h left; asked again in 5 min",
            ),
            (
                75,
                waiting("15%", Some(15)),
                true,
                "the server prepares the export: 15%, about 19 h left; asked again in 5 min",
            ),
            (80, Event::Listed { files: 3 }, true, "0 of 3 files stored, 0.0 MB received"),
            (
                80,
                retrying("status 503"),
                true,
                "0 of 3 files stored, 0.0 MB received; status 503; tried again in 4 s",
            ),
            (
                80,
                retrying("status 503"),
                false,
                "0 of 3 files stored, 0.0 MB received; status 503; tried again in 4 s",
            ),
            (
                81,
                Event::Received { bytes: 1_500_000 },
                false,
                "0 of 3 files stored, 1.5 MB received; status 503; tried again in 4 s",
            ),
            (82, Event::Listed { files: 2 }, true, "0 of 5 files stored, 1.5 MB received"),
        ] {
            let now = begun + SignedDuration::from_mins(minutes);
            assert_eq!(standing.update(&event, now), told, "{minutes} {event:?}");
            assert_eq!(standing.to_string(), line);
        }
    }
}
