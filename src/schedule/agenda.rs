//! What one pipeline does when: instants in, decisions out; without clocks, processes or files.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::process::Ending;
use super::{CatchUp, DAY, Overlap, Schedule, between, earlier, later};

/// A slot that is noticed later than this was missed.
pub(super) const ON_TIME: Duration = Duration::from_mins(1);

/// So many slots are looked at at once; the others at the next look.
const LIMIT: usize = 1000;

/// The slots of one pipeline: which are done with, which wait, which is run.
#[derive(Debug)]
pub(super) struct Agenda {
    /// All slots up to this one are done with, or wait.
    settled: Timestamp,
    waiting: VecDeque<Waiting>,
    doing: Doing,
}

#[derive(Debug)]
struct Waiting {
    slot: Timestamp,
    since: Timestamp,
    /// Whether the history has it as taken: its run was broken off.
    taken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// A run goes on.
    Running {
        slot: Timestamp,
        attempt: u32,
    },
    /// A run failed for a passing reason.
    Pausing {
        slot: Timestamp,
        attempt: u32,
        until: Timestamp,
    },
}

/// What was decided about slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is run as soon as there is room.
    Due(Timestamp),
    /// It is left out for an earlier or, with `replace`, a later one.
    Skip(Timestamp),
    /// It was missed, as may others before it, and is left out.
    Missed(Timestamp),
    /// The run that goes on has to be stopped.
    Stop,
}

/// A run that may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) slot: Timestamp,
    /// 1 for the first.
    pub(super) attempt: u32,
    /// Whether the slot has to be taken.
    pub(super) take: bool,
}

impl Agenda {
    /// With all slots up to an instant done with.
    pub(super) fn new(settled: Timestamp) -> Self {
        Self { settled, waiting: VecDeque::new(), doing: Doing::Nothing }
    }

    /// Runs the slot again that was settled last: its run was broken off.
    pub(super) fn resume(&mut self, now: Timestamp) {
        self.waiting.push_front(Waiting { slot: self.settled, since: now, taken: true });
    }

    /// Leaves out what an earlier rule would have given.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.settled = self.settled.max(now);
    }

    /// Decides about the slots that came due.
    pub(super) fn advance(
        &mut self,
        pipeline: &str,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Vec<Decision> {
        let due = self.came_due(pipeline, schedule, now);
        self.settled = due.last().copied().unwrap_or(self.settled);
        let missed = |slot: &Timestamp| between(schedule.due(pipeline, *slot), now) > ON_TIME;
        let (mut missed, on_time): (Vec<_>, Vec<_>) = due.into_iter().partition(missed);
        let mut decisions = Vec::new();
        let mut one = None;
        match schedule.catch_up {
            CatchUp::All => {
                missed.drain(..).for_each(|slot| decisions.push(self.wait(slot, now)));
            }
            CatchUp::Once if on_time.is_empty() => one = missed.pop(),
            CatchUp::Once | CatchUp::None => {}
        }
        if schedule.catch_up == CatchUp::None {
            decisions.extend(missed.last().map(|slot| Decision::Missed(*slot)));
        }
        for slot in one.into_iter().chain(on_time) {
            self.arrive(slot, schedule.overlap, now, &mut decisions);
        }
        self.drop_old(schedule, now, &mut decisions);
        decisions
    }

    /// The slots that came due since the last look. Where only the latest counts, those before it may be left out.
    fn came_due(&self, pipeline: &str, schedule: &Schedule, now: Timestamp) -> Vec<Timestamp> {
        let within = schedule.catch_up_within.max(ON_TIME);
        let windows = match schedule.catch_up {
            CatchUp::All => [within; 4],
            _ => [ON_TIME, Duration::from_hours(1), DAY, within].map(|window| window.min(within)),
        };
        for window in windows {
            let from = earlier(now, window.saturating_add(schedule.jitter)).max(self.settled);
            let due = schedule.slots(from).take_while(|slot| schedule.due(pipeline, *slot) <= now);
            let due: Vec<_> = due.take(LIMIT).collect();
            if !due.is_empty() || from == self.settled {
                return due;
            }
        }
        Vec::new()
    }

    /// A slot has come.
    fn arrive(
        &mut self,
        slot: Timestamp,
        overlap: Overlap,
        now: Timestamp,
        decisions: &mut Vec<Decision>,
    ) {
        let busy = self.doing != Doing::Nothing || !self.waiting.is_empty();
        if busy && overlap == Overlap::Skip {
            return decisions.push(Decision::Skip(slot));
        }
        if overlap == Overlap::Replace {
            decisions.extend(self.waiting.drain(..).map(|w| Decision::Skip(w.slot)));
            match self.doing {
                Doing::Running { .. } => decisions.push(Decision::Stop),
                Doing::Pausing { .. } => self.doing = Doing::Nothing,
                Doing::Nothing => {}
            }
        }
        decisions.push(self.wait(slot, now));
    }

    fn wait(&mut self, slot: Timestamp, now: Timestamp) -> Decision {
        self.waiting.push_back(Waiting { slot, since: now, taken: false });
        Decision::Due(slot)
    }

    /// Runs that always take longer than the time between two slots would leave more and more of them; the latest stays.
    fn drop_old(&mut self, schedule: &Schedule, now: Timestamp, decisions: &mut Vec<Decision>) {
        let within = schedule.catch_up_within.max(ON_TIME);
        while self.waiting.len() > 1
            && self.waiting.front().is_some_and(|w| between(w.since, now) > within)
        {
            decisions.extend(self.waiting.pop_front().map(|w| Decision::Missed(w.slot)));
        }
    }

    /// Since when a run could begin, if one could.
    pub(super) fn ready(&self, now: Timestamp) -> Option<Timestamp> {
        match self.doing {
            Doing::Nothing => self.waiting.front().map(|waiting| waiting.since),
            Doing::Pausing { until, .. } => Some(until),
            Doing::Running { .. } => None,
        }
        .filter(|since| *since <= now)
    }

    /// Begins the run that is ready.
    pub(super) fn start(&mut self) -> Option<Start> {
        let start = match self.doing {
            Doing::Running { .. } => return None,
            Doing::Pausing { slot, attempt, .. } => Start { slot, attempt, take: false },
            Doing::Nothing => {
                let next = self.waiting.pop_front()?;
                Start { slot: next.slot, attempt: 1, take: !next.taken }
            }
        };
        self.doing = Doing::Running { slot: start.slot, attempt: start.attempt };
        Some(start)
    }

    /// A slot that could not be taken for a passing reason waits again.
    pub(super) fn postpone(&mut self, start: Start, schedule: &Schedule, now: Timestamp) {
        self.doing = Doing::Nothing;
        let since = later(now, schedule.backoff);
        self.waiting.push_front(Waiting { slot: start.slot, since, taken: !start.take });
    }

    /// The run has ended. Gives the next attempt and when it is due, if there is one.
    pub(super) fn ended(
        &mut self,
        ending: Ending,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Option<(u32, Timestamp)> {
        let Doing::Running { slot, attempt } = self.doing else { return None };
        self.doing = Doing::Nothing;
        if !ending.is_passing() || attempt > schedule.retries {
            return None;
        }
        let until = later(now, schedule.backoff(attempt));
        self.doing = Doing::Pausing { slot, attempt: attempt + 1, until };
        Some((attempt + 1, until))
    }

    /// When there is something to decide or to begin, if no run ends before.
    pub(super) fn wake(&self, pipeline: &str, schedule: &Schedule) -> Option<Timestamp> {
        let slot = self.next_slot(schedule).map(|slot| schedule.due(pipeline, slot));
        let retry = match self.doing {
            Doing::Pausing { until, .. } => Some(until),
            _ => None,
        };
        slot.into_iter().chain(retry).min()
    }

    /// The next slot that nothing is decided about.
    pub(super) fn next_slot(&self, schedule: &Schedule) -> Option<Timestamp> {
        schedule.slots(self.settled).next()
    }

    /// Since when the slot waits that is next.
    pub(super) fn waiting_since(&self) -> Option<Timestamp> {
        let idle = matches!(self.doing, Doing::Nothing);
        self.waiting.front().filter(|_| idle).map(|waiting| waiting.since)
    }

    /// Whether nothing goes on or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.doing == Doing::Nothing && self.waiting.is_empty()
    }

    /// Whether no slot waits: a slot that is left out then counts as taken, or it would be caught up with.
    pub(super) fn none_waits(&self) -> bool {
        self.waiting.is_empty()
    }
}
