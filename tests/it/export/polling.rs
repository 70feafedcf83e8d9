//! Polling: F4 to F6, F20, F28, F29.

use std::time::Duration;

use kiln::error::ErrorKind;
use kiln::export::{Clock, Event, ExportJob};

use super::bench::{Bench, START, seconds, two_files};
use crate::bulk_server::{Answer, Fault, Route, Setup, outcome};
use crate::support::block_on;

fn html(status: u16) -> Answer {
    Answer::text(status, "text/html", "<html><h1>Bad gateway</h1></html>")
}

/// Failed polls that say nothing of the job, and how many of them come; the job goes on.
#[test]
fn f04_failed_polls_are_tried_again() {
    let cases = [
        (outcome(500, "error", "transient", "try again"), 2),
        (outcome(503, "error", "lock-error", "locked"), 3),
        (outcome(500, "error", "timeout", "slow"), 3),
        (outcome(429, "error", "throttled", "too often"), 4),
        (outcome(400, "error", "throttled", "too often"), 2),
        (html(500), 3),
        (html(502), 3),
        (html(504), 3),
        (Answer::new(503), 3),
    ];
    for (answer, times) in cases {
        block_on(async {
            let name = format!("{answer:?}");
            let setup = Setup::with(two_files()).fault(
                Route::Status,
                2..=1 + times,
                Fault::Instead(answer),
            );
            let bench = Bench::new(setup).await;
            let done = bench.stores_all().await;
            assert_eq!(bench.server.count(&Route::Status), 3 + times, "{name}");
            assert_eq!(bench.server.count(&Route::KickOff), 1, "{name}");
            let told = done.events.iter().filter(|e| matches!(e, Event::Retrying { .. })).count();
            assert_eq!(told, times, "{name}");
        });
    }
}

#[test]
fn f04_gateways_that_stay_broken_are_left_for_later() {
    block_on(async {
        let setup =
            Setup::with(two_files()).fault(Route::Status, 2..=9999, Fault::Instead(html(502)));
        let bench = Bench::new(setup).await;
        let failed = bench.fails(ErrorKind::TryLater, &["502", "/fhir/jobs/1"]).await;
        assert_eq!(bench.server.count(&Route::Status), 1 + bench.settings.attempts as usize);
        assert!(failed.waits.iter().all(|wait| *wait >= bench.settings.poll.0));
        assert!(bench.state()["statusUrl"].is_string(), "the next start goes on");
    });
}

#[test]
fn f04_a_job_that_failed_is_said_at_once() {
    block_on(async {
        let answer = outcome(500, "fatal", "processing", "the database is gone");
        let setup = Setup::with(two_files()).fault(Route::Status, 2..=3, Fault::Instead(answer));
        let mut bench = Bench::new(setup).await;
        let failed =
            bench.fails(ErrorKind::Incomplete, &["/fhir/jobs/1", "restart_lost_job"]).await;
        let error = failed.result.unwrap_err();
        assert!(error.to_string().contains("fatal/processing"), "{error}");
        assert!(error.to_string().contains("the database is gone"), "{error}");
        assert_eq!(bench.server.count(&Route::Status), 2);
        // The job is dead: only another one can bring the data, if it may.
        bench.settings.restart_lost_job = true;
        bench.fails(ErrorKind::Incomplete, &["begins another export"]).await;
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::KickOff), 2);
    });
}

/// What `Retry-After` says, and the shortest and longest wait that is right.
#[test]
fn f05_f06_waits_are_sane_whatever_the_server_says() {
    let cases: [(Option<&str>, u64, u64); 15] = [
        (Some("120"), 120, 120),
        (Some(" 7 "), 7, 7),
        (Some("Sun, 01 Mar 2026 12:01:30 GMT"), 90, 90),
        (Some("Sunday, 01-Mar-26 12:01:30 GMT"), 90, 90),
        (Some("Sun Mar  1 12:01:30 2026"), 90, 90),
        (Some("Sun, 01 Mar 2026 11:00:00 GMT"), 1, 20),
        (Some("0"), 1, 20),
        (Some("-5"), 1, 20),
        (Some("1.5"), 1, 20),
        (Some("soon"), 1, 20),
        (Some(""), 1, 20),
        (None, 1, 20),
        (Some("1795409189266"), 300, 300),
        (Some("1795409190"), 300, 300),
        (Some("99999999999999999999999999"), 1, 300),
    ];
    for (text, least, most) in cases {
        block_on(async {
            let fault = text.map_or(Fault::NoHeader("retry-after"), |text| {
                Fault::Header("retry-after", text.into())
            });
            let bench =
                Bench::new(Setup::with(two_files()).fault(Route::Status, 1..=1, fault)).await;
            let done = bench.stores_all().await;
            let first = done.waits[0];
            assert!(seconds(least) <= first && first <= seconds(most), "{text:?}: {first:?}");
        });
    }
}

#[test]
fn waits_without_advice_grow() {
    block_on(async {
        let setup = Setup { polls: 12, ..Setup::with(two_files()) };
        let setup = setup.fault(Route::Status, 1..=12, Fault::NoHeader("retry-after"));
        let done = Bench::new(setup).await.stores_all().await;
        let total: Duration = done.waits.iter().sum();
        assert!(done.waits[8] > done.waits[0] * 4, "{:?}", done.waits);
        assert!(total >= seconds(300), "{:?}", done.waits);
    });
}

#[test]
fn progress_is_told() {
    block_on(async {
        let setup = Setup { polls: 3, ..Setup::with(two_files()) }
            .fault(Route::Status, 1..=1, Fault::Header("x-progress", "In Progress (24%)".into()))
            .fault(Route::Status, 2..=2, Fault::Header("x-progress", "still counting".into()));
        let done = Bench::new(setup).await.stores_all().await;
        let told: Vec<_> = done
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Waiting { progress, percent, next } => {
                    Some((progress.as_deref(), *percent, *next))
                }
                _ => None,
            })
            .collect();
        let expected = [
            (Some("In Progress (24%)"), Some(24), seconds(10)),
            (Some("still counting"), None, seconds(10)),
            (Some("50% complete"), Some(50), seconds(10)),
        ];
        assert_eq!(told, expected);
    });
}

#[test]
fn f20_a_lost_job_is_begun_anew_only_if_told_to() {
    block_on(async {
        let setup = Setup { polls: 8, ..Setup::with(two_files()) };
        let mut bench = Bench::new(setup).await.set(|s| s.max_wait = seconds(35));
        bench.fails(ErrorKind::TryLater, &[]).await;
        delete_elsewhere(&bench).await;
        bench.settings.max_wait = seconds(9999);
        let lost = bench.run().await.result.unwrap_err();
        assert!(lost.to_string().contains("404"), "{lost}");
        assert!(lost.remedy().is_some(), "what to do is said");
        assert_eq!(bench.server.count(&Route::KickOff), 1);
        bench.settings.restart_lost_job = true;
        let done = bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::KickOff), 2);
        let said = format!("{:?} {:?}", done.events, done.result.unwrap().warnings);
        assert!(said.contains("404") || said.contains("no longer"), "it is said: {said}");
    });
}

/// Somebody else deletes the job.
async fn delete_elsewhere(bench: &Bench) {
    let url = format!("{}/jobs/1", bench.server.base());
    let answer = reqwest::Client::new().delete(url).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

/// What a poll under HTTP 200 says of the job, and whether it goes on.
#[test]
fn f28_the_status_of_the_job_is_told_apart_from_http() {
    let failed = outcome(200, "error", "processing", "out of memory");
    let passing = outcome(200, "error", "transient", "not now");
    for (state, answer, goes_on) in [
        ("500 Internal Server Error", failed.clone(), false),
        ("500", failed, false),
        ("503 Service Unavailable", passing, true),
        ("202 Accepted", Answer::new(200), true),
        ("202", Answer::new(200), true),
    ] {
        block_on(async {
            let answer = answer.header("x-export-status", state);
            let setup =
                Setup::with(two_files()).fault(Route::Status, 2..=2, Fault::Instead(answer));
            let bench = Bench::new(setup).await.set(|s| s.request.separate_status = true);
            if goes_on {
                bench.stores_all().await;
                return;
            }
            let error = bench.run().await.result.unwrap_err();
            assert!(error.to_string().contains("out of memory"), "{state}: {error}");
            assert_eq!(bench.server.count(&Route::Status), 2, "{state}");
        });
    }
}

#[test]
fn f28_expires_need_not_be_a_date() {
    for text in ["2026-03-02 12:00:00.12 +0000 UTC m=+86400.0", "never", "-1", ""] {
        block_on(async {
            let fault = Fault::Header("expires", text.into());
            let bench =
                Bench::new(Setup::with(two_files()).fault(Route::Status, 3..=3, fault)).await;
            bench.stores_all().await;
        });
    }
}

#[test]
fn f29_a_job_that_never_ends_is_given_up_and_taken_up_again() {
    block_on(async {
        let setup = Setup { polls: 1000, ..Setup::with(two_files()) };
        let setup = setup.fault(Route::Status, 1..=300, Fault::Header("retry-after", "300".into()));
        let mut bench = Bench::new(setup).await;
        let failed = bench.fails(ErrorKind::TryLater, &["/fhir/jobs/1"]).await;
        let waited: Duration = failed.waits.iter().sum();
        assert!(seconds(23 * 60 * 60) <= waited && waited <= seconds(25 * 60 * 60), "{waited:?}");
        bench.settings.max_wait = seconds(30 * 24 * 60 * 60);
        let done = bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::KickOff), 1);
        assert!(matches!(done.events[0], Event::Started { resumed: true }), "{:?}", done.events[0]);
    });
}

#[test]
fn f29_a_cancelled_job_is_deleted_and_forgotten() {
    block_on(async {
        let setup = Setup { polls: 8, ..Setup::with(two_files()) };
        let mut bench = Bench::new(setup).await.set(|s| s.max_wait = seconds(35));
        bench.fails(ErrorKind::TryLater, &[]).await;
        let clock = Clock::Simulated(bench.time.clone());
        let observer = std::sync::Arc::new(|_: &Event| {});
        let open = ExportJob::open(bench.settings.clone(), bench.folder.path(), clock, observer);
        open.unwrap().cancel().await.unwrap();
        assert_eq!(bench.server.count(&Route::Delete), 1);
        bench.settings.max_wait = seconds(9999);
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::KickOff), 2);
    });
}

#[test]
fn a_poll_is_never_early() {
    block_on(async {
        let done =
            Bench::new(Setup { polls: 5, ..Setup::with(two_files()) }).await.stores_all().await;
        assert_eq!(done.waits, [seconds(10); 5], "no wait but what the server asked for");
        let complete = done.result.unwrap();
        assert_eq!(
            complete.transaction_time.parse::<jiff::Timestamp>().unwrap(),
            START.parse().unwrap()
        );
    });
}
