//! Slots over both changes of the clocks, what agendas decide, and a year of nights in no time.

use std::time::Duration;

use jiff::Timestamp;

use super::agenda::{Agenda, Decision};
use super::process::Ending;
use super::{Schedule, ScheduleTable, between};
use crate::clock::{Clock, Simulated};

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn table(toml: &str) -> ScheduleTable {
    toml::from_str(toml).unwrap()
}

fn schedule(toml: &str) -> Schedule {
    table(toml).check().unwrap()
}

/// The slots of a rule between two instants, as the clocks of its zone show them.
fn check_slots(cron: &str, zone: &str, from: &str, to: &str, expected: &[&str]) {
    let schedule = schedule(&format!("cron = '{cron}'\ntimezone = '{zone}'"));
    let slots = schedule.slots(instant(from)).take_while(|slot| *slot < instant(to));
    let found: Vec<_> = slots.map(|slot| schedule.local(slot)).collect();
    assert_eq!(found, expected, "{cron} in {zone}");
}

const NEW_YORK: &str = "America/New_York";
const BERLIN: &str = "Europe/Berlin";

#[test]
fn slots_in_the_gap_come_once_right_after_it() {
    // 2026-03-08 02:00 is 03:00 in New York, 2026-03-29 02:00 is 03:00 in Berlin.
    let new_york = |cron: &str, expected: &[&str]| {
        check_slots(cron, NEW_YORK, "2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z", expected);
    };
    new_york("30 2 * * *", &["2026-03-08T03:00:00-04:00"]);
    new_york("0 3 * * *", &["2026-03-08T03:00:00-04:00"]);
    new_york("59 1 * * *", &["2026-03-08T01:59:00-05:00"]);
    new_york("30 2,14 * * *", &["2026-03-08T03:00:00-04:00", "2026-03-08T14:30:00-04:00"]);
    // Two times in the gap are one slot after it.
    new_york("15,45 2 * * *", &["2026-03-08T03:00:00-04:00"]);
    // An interval goes on as if nothing was.
    new_york(
        "*/30 1-3 * * *",
        &[
            "2026-03-08T01:00:00-05:00",
            "2026-03-08T01:30:00-05:00",
            "2026-03-08T03:00:00-04:00",
            "2026-03-08T03:30:00-04:00",
        ],
    );
    let berlin = |cron: &str, expected: &[&str]| {
        check_slots(cron, BERLIN, "2026-03-28T23:00:00Z", "2026-03-30T00:00:00Z", expected);
    };
    berlin("30 2 * * *", &["2026-03-29T03:00:00+02:00"]);
    berlin("5 30 2 * * SUN", &["2026-03-29T03:00:00+02:00"]);
    berlin("0 2-3 * * *", &["2026-03-29T03:00:00+02:00"]);
}

#[test]
fn slots_in_the_hour_that_comes_twice_come_once() {
    // 2026-11-01 02:00 is 01:00 in New York, 2026-10-25 03:00 is 02:00 in Berlin.
    let new_york = |cron: &str, expected: &[&str]| {
        check_slots(cron, NEW_YORK, "2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z", expected);
    };
    new_york("30 1 * * *", &["2026-11-01T01:30:00-04:00"]);
    new_york("30 1,2 * * *", &["2026-11-01T01:30:00-04:00", "2026-11-01T02:30:00-05:00"]);
    // An interval has its slots in both.
    new_york(
        "*/30 1 * * *",
        &[
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T01:00:00-05:00",
            "2026-11-01T01:30:00-05:00",
        ],
    );
    let berlin = |cron: &str, expected: &[&str]| {
        check_slots(cron, BERLIN, "2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z", expected);
    };
    berlin("30 2 * * *", &["2026-10-25T02:30:00+02:00"]);
    // Begun in the second of the two hours, the slot of the first does not come again.
    check_slots("30 2 * * *", BERLIN, "2026-10-25T01:10:00Z", "2026-10-25T12:00:00Z", &[]);
}

#[test]
fn every_day_of_a_year_has_its_slot() {
    for zone in [NEW_YORK, BERLIN, "UTC", "Australia/Lord_Howe", "America/Havana"] {
        for cron in ["30 2 * * *", "30 1 * * *", "0 0 * * *", "15 2,2 * * *"] {
            let schedule = schedule(&format!("cron = '{cron}'\ntimezone = '{zone}'"));
            let slots: Vec<_> = schedule.slots(instant("2026-01-01T15:00:00Z")).take(365).collect();
            let mut days: Vec<_> =
                slots.iter().map(|s| schedule.local(*s)[..10].to_owned()).collect();
            days.dedup();
            assert_eq!(days.len(), 365, "{cron} in {zone}: one a day");
            assert!(slots.is_sorted());
        }
    }
}

#[test]
fn mistakes_have_their_places() {
    for (toml, path, message, hint) in [
        ("cron = '0 2 * *'", "cron", "has 4 fields", "30 2 * * 1-5"),
        ("cron = '0 25 * * *'", "cron", "`0 25 * * *` is no cron expression", "day of week"),
        ("cron = '0 2 * * * 2026 7'", "cron", "has 7 fields", ""),
        ("cron = '0 0 30 2 *'", "cron", "never comes", ""),
        (
            "cron = '0 2 * * *'\ntimezone = 'America/New_Yrok'",
            "timezone",
            "no time zone",
            "`America/New_York`",
        ),
        (
            "cron = '0 2 * * *'\noverlap = 'kill'",
            "overlap",
            "none of `skip`, `queue`, `replace`",
            "",
        ),
        ("cron = '0 2 * * *'\ncatch_up = 'two'", "catch_up", "none of `once`, `all`, `none`", ""),
        ("cron = '0 2 * * *'\njitter = 'soon'", "jitter", "`soon` is no span", "`30d`"),
        ("cron = '0 2 * * *'\ncatch_up_within = '9999d'", "catch_up_within", "ten years", ""),
        ("cron = '0 2 * * *'\ntimeout = 0", "timeout", "is 0", ""),
    ] {
        let mistakes = table(toml).check().unwrap_err();
        let [mistake] = mistakes.as_slice() else { panic!("{toml}: {mistakes:?}") };
        assert_eq!(mistake.path, path, "{toml}");
        assert!(mistake.message.contains(message), "{toml}: {}", mistake.message);
        assert!(mistake.hint.as_deref().unwrap_or_default().contains(hint), "{toml}: {mistake:?}");
    }
    let all = table("cron = 'x'\ntimezone = 'Nowhere/At/All'\noverlap = ''\nbackoff = 0");
    assert_eq!(all.check().unwrap_err().len(), 4, "all are told at once");
}

#[test]
fn schedules_tell_what_they_are() {
    let text =
        schedule("cron = '30 2 * * *'\ntimezone = 'Europe/Berlin'\njitter = '10m'").to_string();
    assert!(
        text.starts_with("`30 2 * * *` in Europe/Berlin, up to 600s later; overlap skip;"),
        "{text}"
    );
    assert!(text.contains("T02:30:00+0"), "{text}");
}

#[test]
fn jitter_depends_on_pipeline_and_slot_only() {
    let schedule = schedule("cron = '0 2 * * *'\njitter = '10m'");
    let slots: Vec<_> = schedule.slots(instant("2026-01-01T00:00:00Z")).take(100).collect();
    let jitter = |name: &str| -> Vec<Duration> {
        slots.iter().map(|slot| between(*slot, schedule.due(name, *slot))).collect()
    };
    assert_eq!(jitter("a"), jitter("a"));
    assert_ne!(jitter("a"), jitter("b"));
    let (least, most) = (jitter("a").into_iter().min(), jitter("a").into_iter().max());
    assert!(most.unwrap() < Duration::from_mins(10) && most.unwrap() > Duration::from_mins(8));
    assert!(least.unwrap() < Duration::from_mins(2));
}

/// A pipeline in a simulated time: looks at given times of one day, with runs that end at given times. What was decided
/// is told as `time what slot`.
fn check_day(toml: &str, settled: &str, steps: &[(&str, Option<Ending>)], expected: &[&str]) {
    let day = |time: &str| instant(&format!("2026-06-01T{time}:00Z"));
    let short = |slot: Timestamp| slot.to_string()[11..16].to_owned();
    let schedule = schedule(toml);
    let mut agenda = Agenda::new(instant(settled));
    let mut told = Vec::new();
    for (time, ending) in steps {
        let now = day(time);
        if let Some(ending) = ending
            && let Some((attempt, at)) = agenda.ended(*ending, &schedule, now)
        {
            told.push(format!("{time} retry {attempt} at {}", short(at)));
        }
        for decision in agenda.advance("p", &schedule, now) {
            told.extend(match decision {
                Decision::Due(_) => None,
                Decision::Skip(slot) => Some(format!("{time} skip {}", short(slot))),
                Decision::Missed(slot) => Some(format!("{time} miss {}", short(slot))),
                Decision::Stop => Some(format!("{time} stop")),
            });
        }
        if agenda.ready(now).is_some() {
            let start = agenda.start().unwrap();
            told.push(format!("{time} run {} {}", short(start.slot), start.attempt));
        }
    }
    assert_eq!(told, expected, "{toml} from {settled}: {steps:?}");
}

const GOOD: Option<Ending> = Some(Ending::Exit(0));
const PASSING: Option<Ending> = Some(Ending::Exit(9));
const REPLACED: Option<Ending> = Some(Ending::Replaced);

#[test]
fn overlaps() {
    let settled = "2026-06-01T00:30:00Z";
    let hourly = |overlap: &str| format!("cron = '0 * * * *'\noverlap = '{overlap}'");
    let steps = [
        ("01:00", None),
        ("02:00", None),
        ("03:00", None),
        ("03:30", GOOD),
        ("03:40", GOOD),
        ("04:00", GOOD),
    ];
    check_day(
        &hourly("skip"),
        settled,
        &steps,
        &["01:00 run 01:00 1", "02:00 skip 02:00", "03:00 skip 03:00", "04:00 run 04:00 1"],
    );
    check_day(
        &hourly("queue"),
        settled,
        &steps,
        &["01:00 run 01:00 1", "03:30 run 02:00 1", "03:40 run 03:00 1", "04:00 run 04:00 1"],
    );
    check_day(
        &hourly("replace"),
        settled,
        &[("01:00", None), ("02:00", None), ("02:00", REPLACED), ("03:00", None), ("03:01", GOOD)],
        &[
            "01:00 run 01:00 1",
            "02:00 stop",
            "02:00 run 02:00 1",
            "03:00 stop",
            "03:01 run 03:00 1",
        ],
    );
    // A run that waits for its next attempt goes on, too.
    let retried = [("01:00", None), ("01:57", PASSING), ("02:00", None), ("02:02", None)];
    check_day(
        &hourly("skip"),
        settled,
        &retried,
        &["01:00 run 01:00 1", "01:57 retry 2 at 02:02", "02:00 skip 02:00", "02:02 run 01:00 2"],
    );
    check_day(
        &hourly("replace"),
        settled,
        &retried,
        &["01:00 run 01:00 1", "01:57 retry 2 at 02:02", "02:00 run 02:00 1"],
    );
    // Who always takes too long leaves out what is too old.
    check_day(
        "cron = '0 * * * *'\noverlap = 'queue'\ncatch_up_within = '90m'",
        settled,
        &[("01:00", None), ("02:00", None), ("03:00", None), ("04:00", None), ("04:30", GOOD)],
        &["01:00 run 01:00 1", "04:00 miss 02:00", "04:30 run 03:00 1"],
    );
}

#[test]
fn catching_up() {
    let two_hourly = |rest: &str| format!("cron = '0 */2 * * *'\n{rest}");
    let night = "2026-05-31T20:00:00Z";
    let steps =
        [("07:00", None), ("07:10", GOOD), ("07:20", GOOD), ("07:30", GOOD), ("08:00", GOOD)];
    check_day(&two_hourly(""), night, &steps, &["07:00 run 06:00 1", "08:00 run 08:00 1"]);
    check_day(
        &two_hourly("catch_up = 'none'"),
        night,
        &steps,
        &["07:00 miss 06:00", "08:00 run 08:00 1"],
    );
    check_day(
        &two_hourly("catch_up = 'all'\ncatch_up_within = '6h'"),
        night,
        &steps,
        &["07:00 run 02:00 1", "07:10 run 04:00 1", "07:20 run 06:00 1", "08:00 run 08:00 1"],
    );
    // On the very slot the missed ones need no run of their own.
    check_day(&two_hourly(""), night, &[("06:00", None)], &["06:00 run 06:00 1"]);
    // Nothing is missed: nothing runs. Too long ago: nothing runs.
    check_day(&two_hourly(""), "2026-06-01T06:00:00Z", &[("07:00", None)], &[]);
    check_day("cron = '0 0 1 * *'\ncatch_up_within = '6h'", night, &[("07:00", None)], &[]);
    check_day("cron = '0 0 1 * *'", night, &[("07:00", None)], &["07:00 run 00:00 1"]);
}

#[test]
fn retries_double_their_wait() {
    let daily = "cron = '0 1 * * *'\nretries = 2\nbackoff = '10m'";
    let settled = "2026-06-01T00:30:00Z";
    let begin = ("01:00", None);
    let fails = |code| Some(Ending::Exit(code));
    check_day(
        daily,
        settled,
        &[
            begin,
            ("01:05", fails(6)),
            ("01:14", None),
            ("01:15", None),
            ("01:20", fails(9)),
            ("01:40", None),
            ("01:50", PASSING),
            ("03:00", None),
        ],
        &[
            "01:00 run 01:00 1",
            "01:05 retry 2 at 01:15",
            "01:15 run 01:00 2",
            "01:20 retry 3 at 01:40",
            "01:40 run 01:00 3",
        ],
    );
    for code in [1, 2, 3, 4, 5, 7, 8, 10, 11] {
        check_day(
            daily,
            settled,
            &[begin, ("01:05", fails(code)), ("03:00", None)],
            &["01:00 run 01:00 1"],
        );
    }
    for ending in [Ending::Killed, Ending::Stopped] {
        check_day(
            daily,
            settled,
            &[begin, ("01:05", Some(ending)), ("03:00", None)],
            &["01:00 run 01:00 1"],
        );
    }
    check_day(
        daily,
        settled,
        &[begin, ("02:00", Some(Ending::TimedOut))],
        &["01:00 run 01:00 1", "02:00 retry 2 at 02:10"],
    );
    let backoffs = schedule("cron = '0 1 * * *'\nbackoff = '1h'");
    let hours: Vec<_> =
        [1, 2, 3, 4, 60].map(|attempt| backoffs.backoff(attempt).as_secs() / 3600).into();
    assert_eq!(hours, [1, 2, 4, 6, 6]);
}

/// A year of nights in New York, with a service that is away now and then and runs that fail for a passing reason: every
/// night has its run, and what was missed in longer absences is caught up with once.
#[tokio::test]
async fn a_simulated_year() {
    let schedule = schedule(
        "cron = '30 2 * * *'\ntimezone = 'America/New_York'\njitter = '20m'\ncatch_up_within = '3d'",
    );
    let clock = Clock::Simulated(Simulated::starting(instant("2026-01-01T12:00:00Z")));
    let end = instant("2027-01-01T12:00:00Z");
    let mut agenda = Agenda::new(clock.now());
    let (mut runs, mut retries, mut last): (Vec<Timestamp>, u32, _) = (Vec::new(), 0, clock.now());
    let mut absences = 0;
    while let Some(wake) = agenda.wake("bcda", &schedule).filter(|wake| *wake < end) {
        clock.wait(between(clock.now(), wake)).await;
        let now = clock.now();
        agenda.advance("bcda", &schedule, now);
        let Some(_) = agenda.ready(now) else { continue };
        let start = agenda.start().unwrap();
        clock.wait(Duration::from_mins(40)).await;
        let fails = start.attempt == 1 && runs.len() % 7 == 3;
        let ending = if fails { Ending::Exit(9) } else { Ending::Exit(0) };
        if agenda.ended(ending, &schedule, clock.now()).is_some() {
            retries += 1;
            continue;
        }
        assert!(start.slot > last, "slots are run in order, once");
        last = start.slot;
        runs.push(start.slot);
        if runs.len() % 50 == 0 {
            // Away for two nights: the service begins again with what the history knows.
            absences += 1;
            clock.wait(Duration::from_hours(50)).await;
            agenda = Agenda::new(last);
            agenda.advance("bcda", &schedule, clock.now());
            let missed = agenda.start().unwrap();
            assert!(between(missed.slot, clock.now()) < Duration::from_hours(25), "the latest");
            agenda.ended(Ending::Exit(0), &schedule, clock.now());
            (last, _) = (missed.slot, runs.push(missed.slot));
        }
    }
    // 365 nights, and one left out in each absence.
    assert_eq!(runs.len() + absences, 365);
    assert!(absences >= 6 && retries >= 50, "{absences} {retries}");
    let local: Vec<_> = runs.iter().map(|slot| schedule.local(*slot)[11..].to_owned()).collect();
    let odd: Vec<_> = local.iter().filter(|time| !time.starts_with("02:30:00")).collect();
    assert_eq!(odd, ["03:00:00-04:00"], "the night of the gap");
}
