//! A pipeline under the service's care: its agenda, its run, what the history knows of it.

use jiff::Timestamp;
use tokio::sync::watch;

use super::agenda::Agenda;
use super::board::Record;
use super::process::Ending;
use super::{CatchUp, Planned, earlier};
use crate::error::Result;
use crate::history::{History, RunLine};

/// A pipeline and what goes on with it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) planned: Planned,
    pub(super) agenda: Agenda,
    pub(super) record: Record,
    pub(super) run: Option<Going>,
    /// Its file is not there any more: it goes once its run has ended.
    pub(super) gone: bool,
}

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Going {
    pub(super) slot: Timestamp,
    pub(super) attempt: u32,
    pub(super) started: Timestamp,
    /// Says why it has to end.
    pub(super) stop: watch::Sender<Option<Ending>>,
}

/// What a pipeline does that comes under the service's care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// The service begins: runs that were broken off are resumed.
    Service,
    /// The file came while the service was there.
    Appeared,
    /// What is due now is run once, also if nothing is known of earlier slots.
    Once,
}

impl Entry {
    /// Begins where the history left off. If it cannot be read, the pipeline begins now, and the error says why.
    pub(super) fn open(mut planned: Planned, now: Timestamp, begin: Begin) -> (Self, Result<()>) {
        let schedule = &mut planned.schedule;
        if begin == Begin::Once && schedule.catch_up == CatchUp::None {
            schedule.catch_up = CatchUp::Once;
        }
        let known = Known::of(&planned);
        let (known, failed) = match known {
            Ok(known) => (known, Ok(())),
            Err(error) => (Known::default(), Err(error)),
        };
        let unknown = match begin {
            Begin::Once => earlier(now, planned.schedule.catch_up_within),
            Begin::Service | Begin::Appeared => now,
        };
        let mut agenda = Agenda::new(known.last_slot.unwrap_or(unknown));
        let resumes = begin != Begin::Appeared && planned.schedule.catch_up != CatchUp::None;
        let oldest = earlier(now, planned.schedule.catch_up_within);
        if resumes
            && known.last_slot.is_some_and(|slot| slot >= oldest && known.is_broken_off(slot))
        {
            agenda.resume(now);
        }
        let mut record = Record::default();
        record.last_success = known.last_success;
        (Self { planned, agenda, record, run: None, gone: false }, failed)
    }

    /// Takes a slot, unless another service has.
    pub(super) fn take(&self, slot: Timestamp) -> Result<bool> {
        History::open(&self.planned.history)?.take_slot(&self.planned.name, &slot.to_string())
    }

    /// The record as it is now.
    pub(super) fn shown(&self) -> Record {
        let mut record = self.record.clone();
        record.next = self.agenda.next_slot(&self.planned.schedule);
        record.waiting = self.agenda.waiting_since();
        record.running = self.run.as_ref().map(|run| run.started);
        record
    }
}

/// What the history knows.
#[derive(Debug, Default)]
struct Known {
    last_slot: Option<Timestamp>,
    last_run: Option<RunLine>,
    last_success: Option<Timestamp>,
}

impl Known {
    fn of(planned: &Planned) -> Result<Self> {
        /// The last success is looked for among so many runs.
        const RUNS: usize = 100;
        let Some(history) = History::find(&planned.history)? else { return Ok(Self::default()) };
        let instant = |text: Option<&String>| text.and_then(|text| text.parse().ok());
        let runs = history.runs(Some(&planned.name), RUNS)?;
        let succeeded = |run: &&RunLine| matches!(run.outcome.as_str(), "committed" | "unchanged");
        Ok(Self {
            last_slot: instant(history.last_slot(&planned.name)?.as_ref()),
            last_success: instant(runs.iter().find(succeeded).and_then(|run| run.ended.as_ref())),
            last_run: runs.into_iter().next(),
        })
    }

    /// Whether the run of the last slot has no end.
    fn is_broken_off(&self, slot: Timestamp) -> bool {
        self.last_run.as_ref().is_some_and(|run| {
            let began: Option<Timestamp> = run.started.parse().ok();
            run.ended.is_none() && began.is_some_and(|began| began >= slot)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::history::{RunBegun, RunEnded};
    use crate::schedule::ScheduleTable;

    const SLOT: &str = "2026-06-01T02:00:00Z";

    /// What a daily pipeline does at a time of the same day whose last slot was taken, and whose run began and ended so.
    fn check(
        begin: Begin,
        now: &str,
        catch_up: &str,
        run: Option<(&str, Option<&str>)>,
    ) -> Option<(String, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        assert!(history.take_slot("p", SLOT).unwrap());
        if let Some((started, outcome)) = run {
            note(&history, started, outcome);
        }
        drop(history);
        let (mut entry, failed) =
            Entry::open(planned(folder.path(), catch_up), now.parse().unwrap(), begin);
        failed.unwrap();
        let now = now.parse().unwrap();
        let schedule = entry.planned.schedule.clone();
        entry.agenda.advance("p", &schedule, now);
        entry.agenda.ready(now)?;
        entry.agenda.start().map(|start| (start.slot.to_string(), start.take))
    }

    fn planned(history: &Path, catch_up: &str) -> Planned {
        let toml = format!("cron = '0 2 * * *'\ncatch_up = '{catch_up}'");
        let table: ScheduleTable = toml::from_str(&toml).unwrap();
        let schedule = table.check().unwrap();
        Planned { name: "p".into(), file: "p.toml".into(), schedule, history: history.to_owned() }
    }

    fn note(history: &History, started: &str, outcome: Option<&str>) {
        let run = RunBegun {
            run: "r".into(),
            pipeline: "p".into(),
            started: started.into(),
            kind: "full".into(),
            slot: Some(SLOT.into()),
        };
        history.begin(&run).unwrap();
        if let Some(outcome) = outcome {
            let ended = RunEnded {
                run: "r".into(),
                ended: "2026-06-01T02:30:00Z".into(),
                outcome: outcome.into(),
                message: None,
                report: None,
                synchronised: None,
                members: None,
            };
            history.end(&ended).unwrap();
        }
    }

    #[test]
    fn the_service_goes_on_where_the_history_left_off() {
        use Begin::{Appeared, Once, Service};
        let started = "2026-06-01T02:00:01Z";
        let (broken_off, failed) = (Some((started, None)), Some((started, Some("failed"))));
        let again = Some((SLOT.to_owned(), false));
        let next = Some(("2026-06-02T02:00:00Z".to_owned(), true));
        let (day, next_day) = ("2026-06-01T09:00:00Z", "2026-06-02T01:59:00Z");
        for (begin, now, catch_up, run, expected) in [
            (Service, day, "once", broken_off, again.clone()),
            (Once, next_day, "once", broken_off, again.clone()),
            (Appeared, day, "once", broken_off, None),
            (Service, day, "none", broken_off, None),
            (Service, day, "once", failed, None),
            (Service, day, "once", None, None),
            // A run of before, started by hand.
            (Service, day, "once", Some(("2026-06-01T01:00:00Z", None)), None),
            (Service, "2026-06-02T09:00:00Z", "once", broken_off, next.clone()),
            (Service, "2026-06-02T09:00:00Z", "none", broken_off, None),
            (Once, "2026-06-02T09:00:00Z", "none", failed, next),
        ] {
            let found = check(begin, now, catch_up, run);
            assert_eq!(found, expected, "{begin:?} {now} {catch_up} {run:?}");
        }
    }

    #[test]
    fn without_a_history_only_once_looks_back() {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-06-02T09:00:00Z".parse().unwrap();
        for (begin, due) in [(Begin::Service, false), (Begin::Appeared, false), (Begin::Once, true)]
        {
            let (mut entry, failed) = Entry::open(planned(folder.path(), "once"), now, begin);
            failed.unwrap();
            let schedule = entry.planned.schedule.clone();
            entry.agenda.advance("p", &schedule, now);
            assert_eq!(entry.agenda.ready(now).is_some(), due, "{begin:?}");
        }
    }
}
