//! What is known of the pipelines at this moment, as health (JSON) and as metrics (Prometheus' text format).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::between;
use super::process::Ending;

/// A pipeline that had to wait longer for its turn is late.
pub(super) const LATE: Duration = Duration::from_mins(10);

/// A service that did not look after its pipelines for so long hangs.
const HANGS: Duration = Duration::from_mins(1);

/// Upper bounds of the histogram, in seconds: from one second to half a day.
const BOUNDS: [u32; 9] = [1, 10, 60, 300, 900, 3600, 7200, 14_400, 43_200];

/// How runs end, as metrics name it.
const OUTCOMES: [Ending; 6] = [
    Ending::Exit(0),
    Ending::Exit(1),
    Ending::Killed,
    Ending::TimedOut,
    Ending::Replaced,
    Ending::Stopped,
];

/// All that the service tells about itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    /// When the service last looked after its pipelines.
    pub(super) looked: Option<Timestamp>,
    /// It starts no more runs.
    pub(super) stopping: bool,
    /// Files with mistakes, with the mistakes.
    pub(super) mistakes: BTreeMap<String, Vec<String>>,
    /// By pipeline.
    pub(super) records: BTreeMap<String, Record>,
}

/// What happened to one pipeline since the service began.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) last: Option<LastRun>,
    pub(super) last_success: Option<Timestamp>,
    pub(super) next: Option<Timestamp>,
    /// Since when a run goes on.
    pub(super) running: Option<Timestamp>,
    /// Since when a slot waits for its turn.
    pub(super) waiting: Option<Timestamp>,
    pub(super) skipped: u64,
    pub(super) missed: u64,
    pub(super) retries: u64,
    endings: BTreeMap<&'static str, u64>,
    /// How many runs took at most so long, by [`BOUNDS`].
    within: [u64; BOUNDS.len()],
    seconds: f64,
}

/// The run that ended last.
#[derive(Debug, Clone)]
pub(super) struct LastRun {
    pub(super) slot: Timestamp,
    pub(super) started: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) ending: Ending,
}

impl LastRun {
    pub(super) fn seconds(&self) -> f64 {
        between(self.started, self.ended).as_secs_f64()
    }
}

impl Record {
    /// Notes that a run has ended.
    pub(super) fn ended(&mut self, run: LastRun) {
        let seconds = run.seconds();
        *self.endings.entry(run.ending.name()).or_default() += 1;
        self.seconds += seconds;
        for (count, bound) in self.within.iter_mut().zip(BOUNDS) {
            *count += u64::from(seconds <= f64::from(bound));
        }
        if run.ending == Ending::Exit(0) {
            self.last_success = Some(run.ended);
        }
        self.last = Some(run);
    }

    fn is_late(&self, now: Timestamp) -> bool {
        self.waiting.is_some_and(|since| between(since, now) > LATE)
    }

    fn json(&self, now: Timestamp) -> Value {
        let instant = |instant: Option<Timestamp>| instant.map(|instant| instant.to_string());
        let last = self.last.as_ref().map(|last| {
            json!({
                "slot": last.slot.to_string(),
                "started": last.started.to_string(),
                "ended": last.ended.to_string(),
                "outcome": last.ending.name(),
                "exit_code": last.ending.exit_code(),
                "seconds": last.seconds(),
            })
        });
        json!({
            "last_run": last,
            "last_success": instant(self.last_success),
            "next_slot": instant(self.next),
            "running_since": instant(self.running),
            "waiting_since": instant(self.waiting),
            "late": self.is_late(now),
        })
    }
}

impl Board {
    /// Whether the service does its work: it looks after its pipelines.
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        self.looked.is_some_and(|looked| between(looked, now) <= HANGS)
    }

    /// Whether all is well, and why: each pipeline with its last run, its next slot, and whether it is late.
    pub(super) fn health(&self, now: Timestamp) -> (bool, Value) {
        let late = self.records.values().any(|record| record.is_late(now));
        let status = match (self.is_alive(now), self.stopping, late) {
            (false, ..) => "hangs",
            (_, true, _) => "stopping",
            (.., true) => "late",
            _ => "ok",
        };
        let pipelines: serde_json::Map<_, _> =
            self.records.iter().map(|(name, record)| (name.clone(), record.json(now))).collect();
        let body = json!({ "status": status, "pipelines": pipelines, "mistakes": self.mistakes });
        (status == "ok", body)
    }

    /// The metrics. Names and units follow Prometheus' conventions.
    pub(super) fn metrics(&self, now: Timestamp) -> String {
        let mut text = Metrics::default();
        text.family("kiln_build_info", "gauge", "The version of Kiln.");
        text.line("kiln_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.family("kiln_schedule_files_with_mistakes", "gauge", "Pipeline files with mistakes.");
        text.line("kiln_schedule_files_with_mistakes", &[], self.mistakes.len());
        self.outcomes(&mut text);
        self.durations(&mut text);
        type Value = fn(&Record, Timestamp) -> Option<String>;
        let seconds =
            |instant: Option<Timestamp>| instant.map(|instant| instant.as_second().to_string());
        let instants: [(&str, &str, fn(&Record) -> Option<Timestamp>); 3] = [
            ("last_success", "When the last run succeeded.", |r| r.last_success),
            ("last_run", "When the last run ended.", |r| r.last.as_ref().map(|last| last.ended)),
            ("next_slot", "The next slot.", |r| r.next),
        ];
        for (name, help, value) in instants {
            let name = format!("kiln_schedule_{name}_timestamp_seconds");
            self.each(&mut text, &name, "gauge", help, |record| seconds(value(record)));
        }
        let values: [(&str, &str, &str, Value); 6] = [
            (
                "last_exit_code",
                "gauge",
                "The exit code of the last run, if it ended by itself.",
                |r, _| Some(r.last.as_ref()?.ending.exit_code()?.to_string()),
            ),
            ("running", "gauge", "Whether a run goes on.", |r, _| {
                Some(u8::from(r.running.is_some()).to_string())
            }),
            ("late", "gauge", "Whether a slot waits for longer than ten minutes.", |r, now| {
                Some(u8::from(r.is_late(now)).to_string())
            }),
            ("retries_total", "counter", "Runs that were tried again.", |r, _| {
                Some(r.retries.to_string())
            }),
            ("skipped_total", "counter", "Slots left out for other slots.", |r, _| {
                Some(r.skipped.to_string())
            }),
            ("missed_total", "counter", "Times that slots were missed and left out.", |r, _| {
                Some(r.missed.to_string())
            }),
        ];
        for (name, kind, help, value) in values {
            let name = format!("kiln_schedule_{name}");
            self.each(&mut text, &name, kind, help, |record| value(record, now));
        }
        text.0
    }

    fn outcomes(&self, text: &mut Metrics) {
        let name = "kiln_schedule_runs_total";
        text.family(name, "counter", "Runs that ended, by how.");
        for (pipeline, record) in &self.records {
            // All from the beginning on: a rate begins with the first failure, not the second.
            for outcome in OUTCOMES.map(Ending::name) {
                let count = record.endings.get(outcome).copied().unwrap_or_default();
                text.line(name, &[("pipeline", pipeline), ("outcome", outcome)], count);
            }
        }
    }

    fn durations(&self, text: &mut Metrics) {
        text.family("kiln_schedule_run_duration_seconds", "histogram", "How long runs took.");
        for (pipeline, record) in &self.records {
            let count: u64 = record.endings.values().sum();
            let name = "kiln_schedule_run_duration_seconds_bucket";
            for (bound, within) in BOUNDS.iter().zip(record.within) {
                text.line(name, &[("pipeline", pipeline), ("le", &bound.to_string())], within);
            }
            text.line(name, &[("pipeline", pipeline), ("le", "+Inf")], count);
            let labels = [("pipeline", pipeline.as_str())];
            text.line("kiln_schedule_run_duration_seconds_sum", &labels, record.seconds);
            text.line("kiln_schedule_run_duration_seconds_count", &labels, count);
        }
    }

    /// A family with one value a pipeline, where there is one.
    fn each(
        &self,
        text: &mut Metrics,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&Record) -> Option<String>,
    ) {
        text.family(name, kind, help);
        for (pipeline, record) in &self.records {
            if let Some(value) = value(record) {
                text.line(name, &[("pipeline", pipeline)], value);
            }
        }
    }
}

/// Prometheus' text format.
#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let escaped =
            |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn board() -> Board {
        let mut record =
            Record { next: Some(instant("2026-11-24T02:00:00Z")), retries: 1, ..Record::default() };
        for (ended, ending) in [("02:00:05", Ending::Exit(9)), ("02:05:01", Ending::Exit(0))] {
            record.ended(LastRun {
                slot: instant("2026-11-23T02:00:00Z"),
                started: instant("2026-11-23T02:00:00Z"),
                ended: instant(&format!("2026-11-23T{ended}Z")),
                ending,
            });
        }
        let records = [("a \"b\"".to_owned(), record)].into();
        Board { looked: Some(instant("2026-11-23T03:00:00Z")), records, ..Board::default() }
    }

    #[test]
    fn metrics_are_prometheus_text() {
        let text = board().metrics(instant("2026-11-23T03:00:00Z"));
        for line in [
            "# TYPE kiln_schedule_runs_total counter",
            r#"kiln_schedule_runs_total{pipeline="a \"b\"",outcome="failed"} 1"#,
            r#"kiln_schedule_runs_total{pipeline="a \"b\"",outcome="killed"} 0"#,
            r#"kiln_schedule_run_duration_seconds_bucket{pipeline="a \"b\"",le="1"} 0"#,
            r#"kiln_schedule_run_duration_seconds_bucket{pipeline="a \"b\"",le="10"} 1"#,
            r#"kiln_schedule_run_duration_seconds_bucket{pipeline="a \"b\"",le="900"} 2"#,
            r#"kiln_schedule_run_duration_seconds_bucket{pipeline="a \"b\"",le="+Inf"} 2"#,
            r#"kiln_schedule_run_duration_seconds_sum{pipeline="a \"b\""} 306"#,
            r#"kiln_schedule_last_success_timestamp_seconds{pipeline="a \"b\""} 1795399501"#,
            r#"kiln_schedule_next_slot_timestamp_seconds{pipeline="a \"b\""} 1795485600"#,
            r#"kiln_schedule_running{pipeline="a \"b\""} 0"#,
            r#"kiln_schedule_retries_total{pipeline="a \"b\""} 1"#,
            "kiln_schedule_files_with_mistakes 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in:\n{text}");
        }
    }

    #[test]
    fn health_tells_what_is_wrong() {
        let now = instant("2026-11-23T03:00:00Z");
        let waits = |since: &str| {
            let mut board = board();
            let since = Some(instant(&format!("2026-11-23T{since}Z")));
            board.records.values_mut().for_each(|record| record.waiting = since);
            board
        };
        let hangs = Board { looked: Some(instant("2026-11-23T02:58:00Z")), ..board() };
        for (board, expected, late) in [
            (board(), "ok", false),
            (waits("02:55:00"), "ok", false),
            (waits("02:49:00"), "late", true),
            (Board { stopping: true, ..board() }, "stopping", false),
            (hangs, "hangs", false),
        ] {
            let (well, body) = board.health(now);
            assert_eq!((well, body["status"].as_str()), (expected == "ok", Some(expected)));
            let pipeline = &body["pipelines"]["a \"b\""];
            assert_eq!(pipeline["late"], late);
            assert_eq!(pipeline["last_run"]["outcome"], "succeeded");
            assert_eq!(pipeline["next_slot"], "2026-11-24T02:00:00Z");
        }
    }
}
