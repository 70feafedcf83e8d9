//! Manifests in every form they come in, F21, and the errors that servers report in them, F25.

use kiln::error::ErrorKind;
use serde_json::{Value, json};

use super::bench::{Bench, conditions, patients, two_files};
use crate::bulk_server::{Fault, File, Guide, Route, Section, Setup};
use crate::support::block_on;

fn errors(name: &str, severities: &[&str]) -> File {
    let line = |severity: &&str| {
        let issue = json!({ "severity": severity, "code": "processing", "diagnostics": format!("some {severity}") });
        json!({ "resourceType": "OperationOutcome", "issue": [issue] }).to_string()
    };
    let lines: Vec<_> = severities.iter().map(line).collect();
    File::new(Section::Error, Some("OperationOutcome"), name, lines.join("\n") + "\n")
}

/// Changes to a manifest that must change nothing.
#[test]
fn f21_manifests_of_all_forms() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 12] = [
        ("as it should be", |_| {}),
        ("relative urls", |m| {
            for file in m["output"].as_array_mut().unwrap() {
                let url: url::Url = file["url"].as_str().unwrap().parse().unwrap();
                file["url"] = url.path().into();
            }
        }),
        ("no error", |m| drop(m.as_object_mut().unwrap().remove("error"))),
        ("no request", |m| drop(m.as_object_mut().unwrap().remove("request"))),
        ("outcome", |m| {
            let error = m.as_object_mut().unwrap().remove("error").unwrap();
            m["outcome"] = error;
        }),
        ("null lists", |m| {
            m["error"] = Value::Null;
            m["deleted"] = Value::Null;
            m["link"] = Value::Null;
        }),
        ("an extension", |m| m["extension"] = json!({ "http://example.org/x": { "a": [1] } })),
        ("extensions", |m| {
            m["extension"] = json!([{ "url": "http://example.org/x", "valueString": "y" }]);
        }),
        ("unknown keys", |m| {
            m["JobID"] = json!(7);
            m["output"][0]["somethingNew"] = json!({ "a": null });
        }),
        ("keys of 4.0.0", |m| {
            m["manifestType"] = json!("bulk-export");
            m["outputFormat"] = json!("application/fhir+ndjson");
            m["output"][0]["fileSize"] = Value::Null;
        }),
        ("an empty organisation", |m| m["outputOrganizedBy"] = json!("")),
        ("a transaction time to nanoseconds", |m| {
            m["transactionTime"] = json!("2026-03-01T12:00:00.123456789+00:00");
        }),
    ];
    for (name, change) in cases {
        block_on(async {
            let setup = Setup::with(two_files()).fault(Route::Status, 3..=3, Fault::Json(change));
            println!("{name}");
            Bench::new(setup).await.stores_all().await;
        });
    }
}

#[test]
fn f21_nothing_to_export_is_a_success() {
    for guide in [Guide::Stu2, Guide::Stu3, Guide::Stu4] {
        block_on(async {
            let done = Bench::new(Setup { guide, ..Setup::default() }).await.stores_all().await;
            assert_eq!(done.arrived.len(), 0);
        });
    }
    block_on(async {
        let nulls: fn(&mut Value) = |m| m["output"] = Value::Null;
        let setup = Setup::default().fault(Route::Status, 3..=3, Fault::Json(nulls));
        Bench::new(setup).await.stores_all().await;
    });
}

#[test]
fn f21_every_version_and_section() {
    for guide in [Guide::Stu2, Guide::Stu3, Guide::Stu4] {
        block_on(async {
            let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[]}"#;
            let files = [
                patients("p", 5),
                errors("e", &["information"]),
                File::new(
                    Section::Deleted,
                    (guide != Guide::Stu4).then_some("Bundle"),
                    "d",
                    bundle,
                ),
                conditions("c", 5),
            ];
            Bench::new(Setup { guide, ..Setup::with(files) }).await.stores_all().await;
        });
    }
}

#[test]
fn f21_twenty_thousand_files() {
    block_on(async {
        let files = (0..20_000).map(|i| patients(&format!("f{i}"), 1));
        let setup = Setup { polls: 0, ..Setup::with(files) };
        let mut bench = Bench::new(setup).await.set(|settings| settings.parallel = 16);
        // In memory where there is such a folder: to clear 20,000 files away takes a disk a minute.
        if let Ok(folder) = tempfile::tempdir_in("/dev/shm") {
            bench.folder = folder;
        }
        let started = std::time::Instant::now();
        let done = bench.run().await;
        assert_eq!(done.result.unwrap().state.stored.len(), 20_000);
        println!("20,000 files in {:?}", started.elapsed());
        let order: Vec<_> = done.arrived.iter().map(|file| file.index).collect();
        assert!(order.is_sorted(), "in the order of the manifest");
    });
}

/// What is no manifest is said, with what is missing; the job is not begun anew.
#[test]
fn what_is_no_manifest_is_said() {
    let bodies: [(&[u8], &str); 4] = [
        (b"", ""),
        (b"<html>done</html>", ""),
        (b"{\"output\":[{\"type\":\"Patient\"}]}", ""),
        (
            b"{\"transactionTime\":\"2026-03-01T12:00:00Z\",\"output\":[{\"type\":\"Patient\"}]}",
            "url",
        ),
    ];
    for (body, text) in bodies {
        block_on(async {
            let setup =
                Setup::with(two_files()).fault(Route::Status, 3..=99, Fault::Body(body.to_vec()));
            let bench = Bench::new(setup).await;
            let error = bench.run().await.result.unwrap_err();
            assert!(error.to_string().contains("manifest"), "{error}");
            assert!(error.to_string().contains(text), "{error}");
            assert_eq!(bench.server.count(&Route::KickOff), 1);
            assert_eq!(bench.server.count(&Route::Delete), 0);
        });
    }
}

#[test]
fn f25_notes_are_a_success() {
    block_on(async {
        let files = [patients("p", 5), errors("e", &["information", "warning"])];
        let done = Bench::new(Setup::with(files)).await.stores_all().await;
        let warnings = done.result.unwrap().warnings;
        assert!(warnings.iter().any(|w| w.contains("warning")), "{warnings:?}");
    });
}

#[test]
fn f25_errors_fail_but_lose_nothing() {
    block_on(async {
        let files = [patients("p", 5), errors("e", &["information", "error"]), conditions("c", 5)];
        let mut bench = Bench::new(Setup::with(files)).await;
        let failed = bench.fails(ErrorKind::Incomplete, &["some error"]).await;
        assert_eq!(failed.arrived.len(), 3, "the data is stored");
        bench.settings.accept_errors = true;
        let done = bench.stores_all().await;
        let warnings = done.result.unwrap().warnings;
        assert!(warnings.iter().any(|w| w.contains("some error")), "{warnings:?}");
        assert_eq!(bench.server.count(&Route::file("*")), 3, "nothing is loaded twice");
        assert_eq!(bench.server.count(&Route::KickOff), 1);
    });
}
