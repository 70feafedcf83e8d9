//! Downloads: F7, F12, F13, F15, F16, F18.

use std::fmt::Write;

use kiln::error::ErrorKind;
use kiln::export::Event;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::bench::{Bench, conditions, lines_of, patients, resources, seconds, two_files};
use crate::bulk_server::{Answer, Fault, File, Route, Section, Setup, outcome};
use crate::support::block_on;

#[test]
fn f07_a_storm_of_small_files_slows_down_as_one() {
    block_on(async {
        let files = (0..500).map(|i| patients(&format!("f{i}"), 2));
        let setup = Setup { rate: Some((60, seconds(10))), ..Setup::with(files) };
        let bench = Bench::new(setup).await.set(|settings| settings.parallel = 16);
        let done = bench.stores_all().await;
        let asked = bench.server.of(&Route::file("*"));
        let refused = asked.len() - 500;
        // 500 files, 60 in each 10 seconds: at least 8 times all are told to wait.
        assert!(refused >= 8, "{refused} refusals: the server was strict");
        assert!(refused <= 9 * 16, "{refused} refusals: one refusal holds up all");
        assert!(done.waits.len() <= refused * 16, "{} waits", done.waits.len());
        let most = asked.iter().map(|a| a.in_flight).max().unwrap();
        assert!(most <= 16, "{most} at once");
        // Half as many after a refusal, and 60 good answers do not bring all of them back.
        let later = asked[60 + 16..].iter().map(|a| a.in_flight).max().unwrap();
        assert!(later < 16, "{later} at once after the first refusals");
    });
}

/// A transfer that breaks off is loaded again, as a whole; nothing of the first is left.
#[test]
fn f12_broken_transfers_are_loaded_again() {
    let faults = [
        Fault::Cut(60),
        Fault::Cut(0),
        Fault::Unterminated(60),
        Fault::Unterminated(100),
        Fault::TooLong(100),
        Fault::Stalls(60),
        Fault::Instead(Answer::text(502, "text/html", "<html>")),
        Fault::Instead(Answer::new(500)),
        Fault::Instead(outcome(503, "error", "transient", "busy")),
        Fault::Instead(Answer::text(200, "text/html", "<html>Sign in</html>")),
    ];
    for fault in faults {
        block_on(async {
            let name = format!("{fault:?}");
            let setup = Setup::with(two_files()).fault(Route::file("conditions"), 1..=2, fault);
            let bench = Bench::new(setup).await.set(|settings| settings.timeout = seconds(1));
            let done = bench.stores_all().await;
            assert_eq!(bench.server.count(&Route::file("conditions")), 3, "{name}");
            assert_eq!(bench.server.count(&Route::file("patients")), 1, "{name}");
            let told = done.events.iter().filter(|e| matches!(e, Event::Retrying { .. })).count();
            assert_eq!(told, 2, "{name}");
        });
    }
}

#[test]
fn f12_a_file_that_never_comes_whole_leaves_the_others_stored() {
    for fault in [Fault::Cut(60), Fault::Unterminated(60), Fault::TooLong(9)] {
        block_on(async {
            let attempts = 5;
            let files = [patients("a", 30), conditions("b", 30), patients("c", 30)];
            let setup = Setup::with(files).fault(Route::file("b"), 1..=attempts, fault.clone());
            let bench = Bench::new(setup).await;
            let failed = bench.run().await;
            let error = failed.result.as_ref().unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::TryLater | ErrorKind::Incomplete),
                "{fault:?}: {error}"
            );
            assert!(error.to_string().contains("/b"), "{fault:?}: which file: {error}");
            assert_eq!(bench.server.count(&Route::file("b")), attempts, "{fault:?}");
            assert_eq!(bench.server.count(&Route::Delete), 0, "{fault:?}");
            assert_eq!(bench.parts().len(), 2, "{fault:?}: {:?}", bench.parts());
            bench.stores_all().await;
            let counts = ["a", "b", "c"].map(|name| bench.server.count(&Route::file(name)));
            assert_eq!(counts, [1, attempts + 1, 1], "{fault:?}");
            assert_eq!(bench.server.count(&Route::KickOff), 1, "{fault:?}");
        });
    }
}

fn checksum(file: &File) -> serde_json::Value {
    let (mut hex, digest) = ("sha256:".to_owned(), Sha256::digest(&file.body));
    digest.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    json!([
        { "url": "https://dpc.cms.gov/checksum", "valueString": hex },
        { "url": "https://dpc.cms.gov/file_length", "valueDecimal": file.body.len() },
    ])
}

/// A clean end that is not the end: what tells it, and whether anything does.
#[test]
fn f13_cut_files_with_a_clean_end() {
    let whole = || patients("p", 20);
    let (length, line) = (whole().body.len(), whole().body.len() / 20);
    let at_line_end = whole().body[..length / 2].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    let bare = || whole().without("count");
    let with_size = || bare().entry("fileSize", json!(length));
    let with_checksum = || bare().entry("extension", checksum(&whole()));
    let cases = [
        ("mid-line", bare(), at_line_end + line / 2, true),
        ("mid-line, count", whole(), at_line_end + line / 2, true),
        ("line end, count", whole(), at_line_end, true),
        ("line end, size", with_size(), at_line_end, true),
        ("line end, checksum", with_checksum(), at_line_end, true),
        ("line end, nothing", bare(), at_line_end, false),
        ("before any, count", whole(), 0, true),
    ];
    for (name, file, after, told) in cases {
        block_on(async {
            let setup = Setup::with([file]).fault(Route::file("p"), 1..=1, Fault::Ends(after));
            let bench = Bench::new(setup).await;
            let done = bench.run().await;
            bench.complete(&done);
            assert_eq!(bench.server.count(&Route::file("p")), 1 + usize::from(told), "{name}");
            let text = whole().body.slice(..if told { length } else { after });
            assert_eq!(bench.lines(&done, Section::Output), [lines_of(&text)], "{name}");
        });
    }
}

/// Checks that hold for a good file: none is too strict.
#[test]
fn f13_checks_of_whole_files_hold() {
    let whole = || patients("p", 20);
    let length = whole().body.len();
    let files = [
        whole().entry("fileSize", json!(length)),
        whole().entry("extension", checksum(&whole())),
        whole().entry("extension", json!({ "anything": [1, null] })),
        whole().entry("continuesInFile", json!("x")),
        whole().entry("count", serde_json::Value::Null),
    ];
    for file in files {
        for packed in [false, true] {
            block_on(async {
                let mut setup = Setup::with([file.clone()]);
                if packed {
                    let gzip = crate::bulk_server::Packing::Gzip;
                    setup = setup.fault(Route::file("p"), 1..=1, Fault::Packed(gzip));
                }
                let bench = Bench::new(setup).await;
                bench.stores_all().await;
                assert_eq!(bench.server.count(&Route::file("p")), 1);
            });
        }
    }
}

#[test]
fn f15_a_count_that_does_not_fit_is_a_failure_or_a_warning() {
    let wrong = || [patients("a", 3), patients("p", 20).entry("count", json!(21))];
    block_on(async {
        let mut bench = Bench::new(Setup::with(wrong())).await;
        bench.fails(ErrorKind::Incomplete, &["21", "20"]).await;
        bench.settings.count_must_fit = false;
        let done = bench.stores_all().await;
        let warnings = done.result.unwrap().warnings;
        assert!(warnings.iter().any(|w| w.contains("21") && w.contains("20")), "{warnings:?}");
        assert_eq!(bench.server.count(&Route::file("a")), 1);
        assert_eq!(bench.server.count(&Route::KickOff), 1);
    });
}

/// The reference server says how many resources could not be exported.
#[test]
fn f15_counts_of_error_files_are_ignored() {
    block_on(async {
        let line = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"informational"}]}"#;
        let error = File::new(Section::Error, Some("OperationOutcome"), "e", line);
        let files = [patients("p", 3), error.entry("count", json!(639))];
        Bench::new(Setup::with(files)).await.stores_all().await;
    });
}

#[test]
fn f16_no_file_overwrites_another() {
    block_on(async {
        let twice = conditions("same", 7);
        let files = [patients("patients", 4), twice.clone(), twice, patients("more", 4)];
        let bench = Bench::new(Setup::with(files)).await;
        let done = bench.run().await;
        bench.complete(&done);
        let mut parts = bench.parts();
        parts.dedup();
        assert_eq!(parts.len(), done.arrived.iter().map(|f| f.parts.len()).sum::<usize>());
        let lines = bench.lines(&done, Section::Output);
        let (ps, cs) = (resources("Patient", 4), resources("Condition", 7));
        // Listed twice is stored twice or once; never lost.
        assert!(
            lines == [ps.clone(), cs.clone(), cs.clone(), ps.clone()]
                || lines == [ps.clone(), cs, ps]
        );
    });
}

#[test]
fn f16_same_names_of_two_types() {
    block_on(async {
        let files = [patients("patient/1.ndjson", 4), conditions("condition/1.ndjson", 5)];
        let done = Bench::new(Setup::with(files)).await.stores_all().await;
        assert_ne!(done.arrived[0].parts, done.arrived[1].parts);
    });
}

#[test]
fn f18_links_that_expire_are_fetched_anew() {
    for status in [404, 410] {
        block_on(async {
            let files = [patients("a", 5), conditions("b", 5), patients("c", 5)];
            let setup = Setup::with(files).fault(Route::file("b"), 1..=1, Fault::ExpireLinks);
            let setup = setup.fault(Route::file("b"), 1..=1, Fault::Status(status));
            let bench = Bench::new(setup).await.set(|settings| settings.parallel = 1);
            bench.stores_all().await;
            assert_eq!(bench.server.count(&Route::Status), 4, "two polls, and the manifest twice");
            assert_eq!(bench.server.count(&Route::KickOff), 1);
            assert_eq!(bench.server.count(&Route::file("a")), 1, "what is stored stays");
        });
    }
}

#[test]
fn f18_a_file_that_is_gone_for_good() {
    block_on(async {
        let files = [patients("a", 5), conditions("b", 5), patients("c", 5)];
        let gone = Fault::Instead(outcome(410, "error", "deleted", "files are kept for a day"));
        let setup = Setup::with(files).fault(Route::file("b"), 1..=2, gone);
        let mut bench = Bench::new(setup).await;
        let failed = bench.run().await;
        let error = failed.result.unwrap_err();
        assert!(error.to_string().contains("files are kept for a day"), "{error}");
        assert_eq!(bench.server.count(&Route::Status), 4, "the manifest was asked once more");
        assert_eq!(bench.parts().len(), 2, "finished files are kept");
        bench.settings.restart_lost_job = true;
        // What was handed over cannot be taken back: only the next start begins another export.
        let again = bench.run().await.result.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::TryLater, "{again}");
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::KickOff), 2);
    });
}

/// The same export gives the same names, whatever the order of arrival.
#[test]
fn names_of_stored_files_are_deterministic() {
    block_on(async {
        let files = || (0..12).map(|i| patients(&format!("f{i}"), i + 1));
        let slow = |at: usize| Fault::Instead(Answer::new(500 + at as u16 % 4));
        let plain = Bench::new(Setup::with(files())).await;
        plain.stores_all().await;
        let mut setup = Setup::with(files());
        for at in [0, 3, 7] {
            setup = setup.fault(Route::file(&format!("f{at}")), 1..=2, slow(at));
        }
        let bumpy = Bench::new(setup).await.set(|settings| settings.parallel = 7);
        bumpy.stores_all().await;
        assert_eq!(plain.contents(), bumpy.contents());
    });
}

#[test]
fn parts_are_cut_at_line_ends_and_compressed() {
    for compress in [false, true] {
        block_on(async {
            let bench = Bench::new(Setup::with([patients("p", 500)])).await.set(|settings| {
                settings.part_bytes = 4000;
                settings.compress = compress;
            });
            let done = bench.stores_all().await;
            let parts = &done.arrived[0].parts;
            assert!(parts.len() > 4, "{parts:?}");
            let zstd = parts.iter().all(|part| part.extension().is_some_and(|e| e == "zst"));
            assert_eq!(zstd, compress, "{parts:?}");
        });
    }
}
