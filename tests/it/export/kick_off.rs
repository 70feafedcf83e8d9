//! Kick-off: F1 to F3, and every parameter as the guide wants it.

use kiln::error::ErrorKind;
use kiln::export::{Event, KickOff, Level, Settings};

use super::bench::{Bench, START, seconds, two_files};
use crate::bulk_server::{Answer, Fault, Guide, Route, Setup, outcome};
use crate::support::block_on;

fn busy() -> Answer {
    let text = "an export of this client is already running: https://example.org/jobs/7";
    outcome(429, "error", "throttled", text)
}

#[test]
fn f01_a_busy_server_is_waited_for() {
    block_on(async {
        let setup = Setup::with(two_files());
        let setup =
            setup.fault(Route::KickOff, 1..=2, Fault::Instead(busy().header("retry-after", "120")));
        let bench = Bench::new(setup).await;
        let done = bench.stores_all().await;
        assert_eq!(done.waits[..2], [seconds(120); 2]);
        assert_eq!((bench.server.count(&Route::KickOff), bench.server.parameters().len()), (3, 1));
        let told = done.events.iter().any(
            |event| matches!(event, Event::Retrying { why, .. } if why.contains("already running")),
        );
        assert!(told, "{:?}", done.events);
    });
}

#[test]
fn f01_a_server_that_stays_busy_is_left_for_later() {
    block_on(async {
        let setup =
            Setup::with(two_files()).fault(Route::KickOff, 1..=9999, Fault::Instead(busy()));
        let bench = Bench::new(setup).await;
        bench.fails(ErrorKind::TryLater, &["already running", "$export"]).await;
    });
}

#[test]
fn f02_without_a_status_url_there_is_no_job() {
    block_on(async {
        let setup = Setup::with(two_files());
        let setup = setup.fault(Route::KickOff, 1..=9, Fault::NoHeader("content-location"));
        let bench = Bench::new(setup).await;
        let failed = bench.run().await;
        let error = failed.result.unwrap_err();
        assert!(error.message().to_lowercase().contains("content-location"), "{error}");
        assert_eq!(bench.server.count(&Route::KickOff), 1, "a job may run: no other is begun");
    });
}

#[test]
fn f02_a_relative_status_url_is_resolved() {
    for location in ["/fhir/jobs/1", "../jobs/1"] {
        block_on(async {
            let fault = Fault::Header("content-location", location.into());
            let bench =
                Bench::new(Setup::with(two_files()).fault(Route::KickOff, 1..=1, fault)).await;
            bench.stores_all().await;
        });
    }
}

#[test]
fn f03_what_the_server_refuses_is_said_and_never_dropped() {
    for (kick_off, status) in [(KickOff::Auto, 400), (KickOff::Get, 400), (KickOff::Auto, 422)] {
        block_on(async {
            let text = "_typeFilter is not supported";
            let refusal = outcome(status, "error", "not-supported", text);
            let setup =
                Setup::with(two_files()).fault(Route::KickOff, 1..=9, Fault::Instead(refusal));
            let bench = Bench::new(setup).await.set(|settings| {
                settings.request.kick_off = kick_off;
                settings.request.types = vec!["Observation".into()];
                settings.request.type_filters = vec!["Observation?status=final".into()];
            });
            bench.fails(ErrorKind::Refused, &[text, "error/not-supported", "$export"]).await;
            let asked = bench.server.of(&Route::KickOff);
            assert!(asked.len() <= 2, "{} kick-offs", asked.len());
            for asked in &asked {
                let sent = format!("{} {}", asked.url, String::from_utf8_lossy(&asked.body));
                assert!(sent.contains("_typeFilter"), "{sent}");
            }
        });
    }
}

/// What is wanted, and the parameters that the server gets (in any order).
#[test]
fn parameters_are_sent_as_the_guide_has_them() {
    type Change = fn(&mut Settings);
    type Sent = &'static [(&'static str, &'static str)];
    let cases: [(&str, Change, Sent); 11] = [
        ("nothing", |_| {}, &[]),
        (
            "types in one list",
            |s| s.request.types = vec!["Patient".into(), "Condition".into()],
            &[("_type", "Patient,Condition")],
        ),
        (
            "a zone",
            |s| s.request.since = Some("2026-01-01T00:00:00+01:00".into()),
            &[("_since", "2025-12-31T23:00:00Z")],
        ),
        (
            "until",
            |s| s.request.until = Some("2026-02-01T00:00:00Z".into()),
            &[("_until", "2026-02-01T00:00:00Z")],
        ),
        (
            "elements",
            |s| s.request.elements = vec!["Patient.id".into(), "gender".into()],
            &[("_elements", "Patient.id,gender")],
        ),
        (
            "associated data",
            |s| s.request.associated_data = vec!["LatestProvenanceResources".into()],
            &[("includeAssociatedData", "LatestProvenanceResources")],
        ),
        (
            "format",
            |s| s.request.output_format = Some("application/fhir+ndjson".into()),
            &[("_outputFormat", "application/fhir+ndjson")],
        ),
        (
            "by POST",
            |s| {
                s.request.kick_off = KickOff::Post;
                s.request.since = Some("2026-01-01T00:00:00Z".into());
                s.request.types = vec!["Patient".into()];
            },
            &[("_since", "2026-01-01T00:00:00Z"), ("_type", "Patient")],
        ),
        (
            "patients are posted",
            |s| s.request.patients = vec!["Patient/1".into(), "Patient/2".into()],
            &[("patient", "Patient/1"), ("patient", "Patient/2")],
        ),
        (
            "partial manifests",
            |s| s.request.partial_manifests = true,
            &[("allowPartialManifests", "true")],
        ),
        (
            "a vendor's own",
            |s| {
                s.request.lenient = true;
                s.request.parameters.insert("_container".into(), "a b&c".into());
            },
            &[("_container", "a b&c")],
        ),
    ];
    for (name, change, expected) in cases {
        block_on(async {
            let bench = Bench::new(Setup::with(two_files())).await.set(change);
            bench.stores_all().await;
            let mut sent = bench.server.parameters().remove(0);
            sent.sort();
            let mut expected: Vec<_> =
                expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            expected.sort();
            // The format may be named although it is the default.
            sent.retain(|p| expected.contains(p) || p.0 != "_outputFormat");
            assert_eq!(sent, expected, "{name}");
            assert_eq!(bench.server.count(&Route::KickOff), 1, "{name}");
        });
    }
}

#[test]
fn a_server_of_4_0_0_gets_a_post() {
    block_on(async {
        let setup = Setup { guide: Guide::Stu4, ..Setup::with(two_files()) };
        let bench = Bench::new(setup).await.set(|s| {
            s.request.types = vec!["Patient".into(), "Condition".into()];
        });
        bench.stores_all().await;
        let mut methods = bench.server.of(&Route::KickOff).into_iter().map(|asked| asked.method);
        assert!(methods.all(|method| method == "GET" || method == "POST"));
        let types: Vec<_> =
            bench.server.parameters().remove(0).into_iter().filter(|p| p.0 == "_type").collect();
        assert_eq!(types.len(), 2, "{types:?}");
    });
}

/// Levels, and the path each is asked at.
#[test]
fn levels_have_their_paths() {
    let group = serde_json::json!({
        "resourceType": "Group", "id": "g-1", "name": "Diabetes registry",
        "identifier": [{ "system": "urn:groups", "value": "dm" }],
    });
    let cases = [
        (Level::System, "/fhir/$export"),
        (Level::Patient, "/fhir/Patient/$export"),
        (Level::Group("g-1".into()), "/fhir/Group/g-1/$export"),
        (Level::GroupNamed("Diabetes registry".into()), "/fhir/Group/g-1/$export"),
        (Level::GroupNamed("urn:groups|dm".into()), "/fhir/Group/g-1/$export"),
    ];
    for (level, path) in cases {
        block_on(async {
            let setup = Setup { groups: vec![group.clone()], ..Setup::with(two_files()) };
            let bench = Bench::new(setup).await.set(|s| s.request.level = level.clone());
            bench.stores_all().await;
            let asked = bench.server.of(&Route::KickOff).remove(0);
            assert_eq!(asked.url.split('?').next(), Some(path), "{level:?}");
        });
    }
    block_on(async {
        let mut other = group.clone();
        other["id"] = "g-2".into();
        let setup = Setup { groups: vec![group, other], ..Setup::with(two_files()) };
        let bench = Bench::new(setup).await;
        let bench = bench.set(|s| s.request.level = Level::GroupNamed("Diabetes registry".into()));
        let twice = bench.run().await.result.unwrap_err();
        assert!(twice.to_string().contains("Diabetes registry"), "{twice}");
        assert_eq!(bench.server.count(&Route::KickOff), 0);
    });
}

#[test]
fn f22_the_kick_off_is_dated_by_the_server() {
    block_on(async {
        let ahead = jiff::SignedDuration::from_hours(1);
        let setup = Setup { clock_ahead: ahead, ..Setup::with(two_files()) };
        let setup = setup.fault(
            Route::Status,
            3..=3,
            Fault::Json(|manifest| {
                manifest["transactionTime"] = "2026-03-01T19:30:00.5+02:00".into();
            }),
        );
        let bench = Bench::new(setup).await;
        let complete = bench.stores_all().await.result.unwrap();
        assert_eq!(complete.transaction_time, "2026-03-01T19:30:00.5+02:00", "as written");
        let kicked_off: jiff::Timestamp = complete.state.kicked_off.unwrap().parse().unwrap();
        assert_eq!(kicked_off, START.parse::<jiff::Timestamp>().unwrap() + ahead);
    });
}

/// What a server says of itself is for the log alone.
#[test]
fn a_server_that_says_nothing_of_itself_is_exported_all_the_same() {
    let said = [
        Fault::Silent,
        Fault::Instead(Answer::new(500)),
        Fault::Instead(Answer::text(200, "text/html", "<html>")),
        Fault::Instead(Answer::text(200, "application/json", "[1]")),
    ];
    for fault in said {
        block_on(async {
            let setup = Setup::with(two_files()).fault(Route::Metadata, 1..=99, fault);
            let bench =
                Bench::new(setup).await.set(|s| s.timeout = std::time::Duration::from_millis(300));
            bench.stores_all().await;
            assert!(bench.server.count(&Route::Metadata) <= 1, "nobody insists");
        });
    }
}
