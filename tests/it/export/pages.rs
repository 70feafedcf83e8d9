//! Partial manifests, F26, and files organised by blocks.

use kiln::error::ErrorKind;
use serde_json::{Value, json};

use super::bench::{Bench, conditions, patients, resources, seconds};
use crate::bulk_server::{Answer, Fault, File, Route, Section, Setup, outcome};
use crate::support::block_on;

fn three_pages() -> Setup {
    Setup::with([
        patients("a", 5),
        conditions("b", 6).page(1),
        patients("c", 7).page(2),
        conditions("d", 8).page(2),
    ])
}

async fn partial(setup: Setup) -> Bench {
    Bench::new(setup).await.set(|settings| settings.request.partial_manifests = true)
}

#[test]
fn f26_pages_are_followed_to_the_last() {
    for separate in [false, true] {
        block_on(async {
            let bench = partial(three_pages()).await.set(|s| s.request.separate_status = separate);
            let done = bench.stores_all().await;
            assert_eq!(done.arrived.iter().map(|f| f.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
            assert_eq!(bench.server.count(&Route::Page(1)), 1);
            assert_eq!(done.result.unwrap().state.pages.len(), 3);
        });
    }
}

#[test]
fn f26_a_failed_page_is_asked_again() {
    let failures = [
        outcome(500, "error", "transient", "again"),
        Answer::text(502, "text/html", "<html>"),
        Answer::new(202).header("retry-after", "5"),
    ];
    for failure in failures {
        block_on(async {
            let setup = three_pages().fault(Route::Page(1), 1..=2, Fault::Instead(failure));
            let bench = partial(setup).await;
            bench.stores_all().await;
            assert_eq!(bench.server.count(&Route::Page(1)), 3);
            assert_eq!(
                bench.server.count(&Route::Status),
                3,
                "pages that came are not asked again"
            );
        });
    }
}

/// A page under 202 without `next` is not the last: it gets one later.
#[test]
fn f26_a_page_without_next_may_get_one() {
    block_on(async {
        let no_link: fn(&mut Value) = |page| drop(page.as_object_mut().unwrap().remove("link"));
        let setup = three_pages().fault(Route::Page(1), 1..=2, Fault::Json(no_link));
        let bench = partial(setup).await;
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::file("b")), 1);
    });
}

#[test]
fn f26_pages_that_lead_in_a_circle_are_refused() {
    block_on(async {
        let circle: fn(&mut Value) = |page| {
            let next = page["link"][0]["url"].as_str().unwrap().replace("pages/2", "pages/1");
            page["link"][0]["url"] = next.into();
        };
        let setup = three_pages().fault(Route::Page(1), 1..=99, Fault::Json(circle));
        let bench = partial(setup).await;
        let error = bench.run().await.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        assert!(bench.server.count(&Route::Page(1)) <= 3, "{error}");
        assert!(!bench.state()["complete"].as_bool().unwrap());
    });
}

#[test]
fn f26_a_job_that_fails_after_pages_gives_nothing_complete() {
    block_on(async {
        let failure = outcome(500, "fatal", "processing", "out of disk");
        let setup = three_pages().fault(Route::Page(2), 1..=2, Fault::Instead(failure));
        let mut bench = partial(setup).await;
        let failed = bench.run().await;
        let error = failed.result.unwrap_err();
        assert!(error.to_string().contains("out of disk"), "{error}");
        assert_eq!(bench.server.count(&Route::Delete), 0);
        let state = bench.state();
        assert!(!state["complete"].as_bool().unwrap_or_default(), "{state}");
        // Only another export can bring it; nothing of the failed one is in it.
        bench.settings.restart_lost_job = true;
        assert!(bench.run().await.result.is_err(), "what was handed over cannot be taken back");
        let done = bench.run().await;
        bench.stored_all(&done);
        assert_eq!(bench.server.count(&Route::KickOff), 2);
    });
}

#[test]
fn f26_given_up_between_pages_it_goes_on_with_the_next() {
    block_on(async {
        let setup = three_pages().fault(Route::Page(1), 1..=5, Fault::Instead(Answer::new(202)));
        let setup = setup.fault(Route::Page(1), 1..=5, Fault::Header("retry-after", "300".into()));
        let mut bench = partial(setup).await.set(|s| s.max_wait = seconds(700));
        bench.fails(ErrorKind::TryLater, &[]).await;
        bench.settings.max_wait = seconds(9999);
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::KickOff), 1);
        assert_eq!(bench.server.count(&Route::file("a")), 1);
    });
}

fn block(patient: usize, conditions: &[&str]) -> Vec<String> {
    let header = json!({ "name": "header", "valueReference": { "reference": format!("Patient/patient-{patient}") } });
    let mut lines = vec![
        json!({ "resourceType": "Parameters", "parameter": [header] }).to_string(),
        resources("Patient", patient + 1).remove(patient),
    ];
    let condition = |id: &&str| json!({ "resourceType": "Condition", "id": id, "subject": { "reference": format!("Patient/patient-{patient}") } });
    lines.extend(conditions.iter().map(|id| condition(id).to_string()));
    lines
}

/// Headers are left out, and each type goes to files of its own.
#[test]
fn organised_files_are_taken_apart() {
    block_on(async {
        let lines: Vec<_> = [block(0, &["x", "y"]), block(1, &[]), block(2, &["z"])].concat();
        let body = lines.join("\n") + "\n";
        let file = File::new(Section::Output, None, "blocks", body).entry("count", json!(6));
        let bench = Bench::new(Setup::with([file])).await;
        let bench = bench.set(|s| s.request.organize_by = Some("Patient".into()));
        let done = bench.run().await;
        bench.complete(&done);
        let mut stored: Vec<_> =
            bench.contents().into_iter().map(|(n, b)| (n, super::bench::lines_of(&b))).collect();
        stored.sort();
        let of = |kind: &str| {
            let mark = format!("\"resourceType\":\"{kind}\"");
            lines.iter().filter(|line| line.contains(&mark)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(
            stored.iter().map(|(_, l)| l.clone()).collect::<Vec<_>>(),
            [of("Condition"), of("Patient")]
        );
        assert!(stored[0].0.starts_with("Condition") && stored[1].0.starts_with("Patient"));
    });
}
