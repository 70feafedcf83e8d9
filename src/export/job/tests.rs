//! Whole exports against a server on loopback that answers by script.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::Mutex;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::clock::Simulated;
use crate::export::request::{ExportRequest, KickOff, Level};

/// An answer: status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, String);

/// Gives the answer to the nth request of a kind (`GET /path?query`), n from 0.
type Script = Box<dyn Fn(&str, usize) -> Answer + Send + Sync>;

/// A server, and what it was asked.
struct Server {
    url: Url,
    seen: Arc<Mutex<Vec<(String, HeaderMap, String)>>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/fhir", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<(String, HeaderMap, String)>>> = Arc::default();
        let (counts, noted) =
            (Arc::new(Mutex::new(HashMap::<String, usize>::new())), Arc::clone(&seen));
        let script = Arc::new(script);
        let answer = move |request: Request<Body>| {
            let (counts, noted, script) =
                (Arc::clone(&counts), Arc::clone(&noted), Arc::clone(&script));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let asked = format!("{} {}", parts.method, parts.uri);
                let count = {
                    let mut counts = counts.lock().unwrap();
                    let count = counts.entry(asked.clone()).or_default();
                    *count += 1;
                    *count - 1
                };
                let body = String::from_utf8(body.to_vec()).unwrap();
                noted.lock().unwrap().push((asked.clone(), parts.headers, body));
                let (status, headers, text) = script(&asked, count);
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(text)).unwrap()
            }
        };
        tokio::spawn(
            async move { axum::serve(listener, axum::Router::new().fallback(answer)).await },
        );
        Self { url: Url::parse(&url).unwrap(), seen }
    }

    /// How often it was asked for what begins like this.
    fn asked(&self, start: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|(asked, ..)| asked.starts_with(start)).count()
    }
}

/// What became of a run.
struct Outcome {
    result: Result<Complete>,
    arrived: Vec<String>,
    waits: Vec<Duration>,
    retries: Vec<String>,
}

const KICK_OFF: &str = "GET /fhir/Patient/$export";

/// Runs the export in `folder` once.
async fn run(server: &Server, folder: &Path, change: impl FnOnce(&mut Settings)) -> Outcome {
    let mut settings = Settings::new(ExportRequest::new(server.url.clone(), Level::Patient));
    settings.attempts = 3;
    settings.delete_job = true;
    change(&mut settings);
    let time = Simulated::starting("2026-11-23T12:00:00Z".parse().unwrap());
    let retries: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&retries);
    let observer: Observer = Arc::new(move |event| {
        if let Event::Retrying { why, .. } = event {
            told.lock().unwrap().push(why.clone());
        }
    });
    let clock = Clock::Simulated(Arc::clone(&time));
    let mut arrived = Vec::new();
    let result = match ExportJob::open(settings, folder, clock, observer) {
        Ok(mut job) => {
            let result =
                job.run(|file| arrived.push(format!("{} {}", file.section, file.index))).await;
            if result.is_ok() {
                assert_eq!(job.finish().await.unwrap(), None);
            }
            result
        }
        Err(error) => Err(error),
    };
    let retries = retries.lock().unwrap().clone();
    Outcome { result, arrived, waits: time.waits(), retries }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn text(status: u16, body: &str) -> Answer {
    (status, Vec::new(), body.to_owned())
}

fn accepted() -> Answer {
    (202, vec![("content-location", "/status/1".to_owned())], String::new())
}

fn said(status: u16, severity: &str, code: &str, diagnostics: &str) -> Answer {
    let issue = json!({"severity": severity, "code": code, "diagnostics": diagnostics});
    (status, Vec::new(), json!({"resourceType": "OperationOutcome", "issue": [issue]}).to_string())
}

fn patient(id: &str) -> String {
    format!("{}\n", json!({"resourceType": "Patient", "id": id}))
}

fn manifest(output: &[&str]) -> Value {
    let files: Vec<_> = output.iter().map(|url| json!({"type": "Patient", "url": url})).collect();
    json!({"transactionTime": "2026-11-23T11:00:00Z", "requiresAccessToken": false, "output": files})
}

/// A server whose job is done at once, with these files.
fn ready(output: &'static [&'static str]) -> impl Fn(&str, usize) -> Answer + Send + Sync {
    move |asked, _| match asked {
        KICK_OFF => accepted(),
        "GET /status/1" => text(200, &manifest(output).to_string()),
        _ if asked.starts_with("GET /files/") => text(200, &patient(&asked[11..])),
        _ if asked.starts_with("DELETE") => text(202, ""),
        _ => text(404, ""),
    }
}

fn events(folder: &Path) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(folder.join("log.ndjson")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|l| (l["eventId"].as_str().unwrap().to_owned(), l["eventDetail"].clone())).collect()
}

/// F1, F2, F4, F6, F16, F25 in one export; then the same command again.
#[test]
fn an_export_survives_what_servers_do() {
    block_on(async {
        let server = Server::start(Box::new(|asked, n| match (asked, n) {
            (KICK_OFF, 0) => (429, vec![("retry-after", "20".to_owned())], String::new()),
            (KICK_OFF, _) => accepted(),
            ("GET /status/1", 0) => (202, vec![("x-progress", "10%".to_owned())], String::new()),
            ("GET /status/1", 1) => {
                (202, vec![("retry-after", "1795409189266".to_owned())], String::new())
            }
            ("GET /status/1", 2..5) => said(500, "error", "transient", "later"),
            ("GET /status/1", 5..7) => text(502, "<html>"),
            ("GET /status/1", 7) => (429, Vec::new(), String::new()),
            ("GET /status/1", _) => {
                let mut page = manifest(&[
                    "/files/a?sig=secret",
                    "/files/b",
                    "/files/a?sig=secret",
                    "files/c",
                ]);
                page["deleted"] = json!([{"type": "Bundle", "url": "/files/d"}]);
                page["outcome"] = json!([{"url": "/files/e"}]);
                page["JobID"] = json!(7);
                text(200, &page.to_string())
            }
            ("GET /files/e", _) => {
                let (_, _, outcome) = said(200, "information", "informational", "by the way");
                text(200, &outcome)
            }
            ("GET /files/d", _) => text(200, "{\"resourceType\":\"Bundle\"}\n"),
            (file, _) if file.contains("/files/") => text(200, &patient(file)),
            ("DELETE /status/1", _) => text(404, ""),
            _ => text(500, ""),
        }))
        .await;
        let folder = tempfile::tempdir().unwrap();
        let first = run(&server, folder.path(), |_| {}).await;
        let complete = first.result.unwrap();
        assert_eq!(complete.transaction_time, "2026-11-23T11:00:00Z");
        assert!(
            complete.warnings.iter().any(|w| w.contains("1 information")),
            "{:?}",
            complete.warnings
        );
        let in_order = ["output 0", "output 1", "output 3", "deleted 0", "error 0"];
        assert_eq!(first.arrived, in_order);
        assert!(
            first.retries[0].contains("one of this client is probably still running"),
            "{:?}",
            first.retries
        );
        assert_eq!(first.waits[0], Duration::from_secs(20));
        assert!(first.waits.iter().all(|w| *w <= Duration::from_mins(5)), "{:?}", first.waits);
        assert!(first.waits.contains(&Duration::from_mins(5)), "clamped: {:?}", first.waits);
        assert_eq!(
            (server.asked(KICK_OFF), server.asked("GET /status/1"), server.asked("GET /files/a")),
            (2, 9, 1)
        );
        assert_eq!(server.asked("DELETE /status/1"), 1);

        let again = run(&server, folder.path(), |_| {}).await;
        assert_eq!(
            (again.result.unwrap().transaction_time, again.arrived),
            (complete.transaction_time, first.arrived)
        );
        assert_eq!(
            (server.asked(KICK_OFF), server.asked("GET /status/1"), server.asked("GET /files")),
            (2, 9, 4)
        );

        let local: Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("manifest.json")).unwrap())
                .unwrap();
        assert_eq!((&local["JobID"], &local["requiresAccessToken"]), (&json!(7), &json!(false)));
        assert!(local["request"].as_str().unwrap().ends_with("/fhir/Patient/$export"), "{local}");
        for (section, count) in [("output", 3), ("deleted", 1), ("error", 1)] {
            let entries = local[section].as_array().unwrap();
            assert_eq!(entries.len(), count, "{section}");
            for entry in entries {
                assert!(folder.path().join(entry["url"].as_str().unwrap()).is_file(), "{entry}");
                assert_eq!(entry["count"], 1);
            }
        }
        check_log(folder.path());
    });
}

fn check_log(folder: &Path) {
    let events = events(folder);
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    for expected in [
        "kickoff",
        "status_progress",
        "status_error",
        "status_complete",
        "status_page_complete",
        "manifest_complete",
        "download_request",
        "download_complete",
        "export_complete",
    ] {
        assert!(names.contains(&expected), "{expected} in {names:?}");
    }
    let complete: Vec<_> = events.iter().filter(|(name, _)| name == "export_complete").collect();
    assert_eq!(complete.len(), 1, "not again by the second start");
    assert_eq!((&complete[0].1["files"], &complete[0].1["resources"]), (&json!(5), &json!(3)));
    let log = std::fs::read_to_string(folder.join("log.ndjson")).unwrap();
    assert!(!log.contains("secret"), "{log}");
}

/// What a failing export says, how many kick-offs it sent, and what the same command does then.
#[test]
fn failures_say_what_to_do() {
    type Change = fn(&mut Settings);
    let plain: Change = |_| {};
    let filter: Change = |s| s.request.type_filters = vec!["Patient?active=true".to_owned()];
    let polled = |answer: fn(usize) -> Answer| -> Script {
        Box::new(move |asked, n| match asked {
            KICK_OFF => accepted(),
            _ => answer(n),
        })
    };
    let cases: Vec<(&str, Script, Change, ErrorKind, &str, usize)> = vec![
        (
            "F3",
            Box::new(|_, _| {
                said(400, "error", "not-supported", "Unsupported parameter _typeFilter")
            }),
            filter,
            ErrorKind::Refused,
            "Unsupported parameter _typeFilter",
            1,
        ),
        (
            "F2",
            Box::new(|_, _| text(202, "")),
            plain,
            ErrorKind::Refused,
            "does not say where its status is",
            1,
        ),
        ("401", Box::new(|_, _| text(401, "")), plain, ErrorKind::Refused, "401", 1),
        ("kick-off fails", Box::new(|_, _| text(503, "")), plain, ErrorKind::TryLater, "503", 3),
        (
            "always 429",
            Box::new(|_, _| text(429, "")),
            |s| s.max_wait = Duration::from_hours(1),
            ErrorKind::TryLater,
            "still running",
            0,
        ),
        ("F4: gateway", polled(|_| text(502, "<html>")), plain, ErrorKind::TryLater, "502", 1),
        (
            "F4: processing",
            polled(|_| said(500, "error", "processing", "no disk")),
            plain,
            ErrorKind::Incomplete,
            "no disk",
            1,
        ),
        (
            "F20",
            polled(|_| text(404, "")),
            plain,
            ErrorKind::Refused,
            "does not know the export any more",
            1,
        ),
        ("F29", polled(|_| text(202, "")), plain, ErrorKind::TryLater, "not done in the time", 1),
        (
            "no manifest",
            polled(|_| text(200, "<html>")),
            plain,
            ErrorKind::Incomplete,
            "sends no manifest",
            1,
        ),
    ];
    for (name, script, change, kind, message, kick_offs) in cases {
        block_on(async {
            let server = Server::start(script).await;
            let folder = tempfile::tempdir().unwrap();
            let outcome = run(&server, folder.path(), change).await;
            let error = outcome.result.expect_err(name);
            assert!(error.to_string().contains(message), "{name}: {error}");
            assert_eq!(error.kind(), kind, "{name}: {error}");
            assert!(error.remedy().is_some(), "{name}: {error} has a hint");
            if kick_offs > 0 {
                assert_eq!(server.asked(KICK_OFF), kick_offs, "{name}");
                assert_eq!(server.asked("POST"), 0, "{name}");
            }
            let (last, _) = events(folder.path()).pop().unwrap();
            assert_eq!(last, "client_error", "{name}");
        });
    }
}

/// Requirement 4: a server that refuses GET is asked by POST, once; what it says then counts, unless it knows no POST.
#[test]
fn get_gives_way_to_post() {
    for (get, post, expected) in [
        (405, 202, "ok"),
        (400, 202, "ok"),
        (403, 202, "403"),
        (400, 405, "400"),
        (405, 422, "422"),
    ] {
        block_on(async {
            let export = "/fhir/Patient/$export";
            let server = Server::start(Box::new(move |asked, _| match asked {
                _ if asked == format!("GET {export}") => text(get, ""),
                _ if asked == format!("POST {export}") && post == 202 => accepted(),
                _ if asked == format!("POST {export}") => text(post, ""),
                _ => ready(&["/files/a"])(asked, 0),
            }))
            .await;
            let folder = tempfile::tempdir().unwrap();
            let found = match run(&server, folder.path(), |_| {}).await.result {
                Ok(_) => "ok".to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expected), "{get} {post}: {found}");
        });
    }
}

/// F19: what an earlier start did is not done again.
#[test]
fn the_next_start_goes_on() {
    block_on(async {
        let server = Server::start(Box::new(|asked, n| match (asked, n) {
            ("GET /status/1", 0..3) => text(503, ""),
            ("GET /files/b", 0..3) => text(500, ""),
            _ => ready(&["/files/a", "/files/b"])(asked, n),
        }))
        .await;
        let folder = tempfile::tempdir().unwrap();
        for (start, expected) in [
            ("polling", Some(ErrorKind::TryLater)),
            ("loading", Some(ErrorKind::TryLater)),
            ("last", None),
        ] {
            let outcome = run(&server, folder.path(), |_| {}).await;
            assert_eq!(
                outcome.result.as_ref().err().map(Error::kind),
                expected,
                "{start}: {:?}",
                outcome.result
            );
            if start == "last" {
                assert_eq!(outcome.arrived, ["output 0", "output 1"]);
            }
        }
        assert_eq!(
            (server.asked(KICK_OFF), server.asked("GET /files/a"), server.asked("GET /status/1")),
            (1, 1, 4)
        );
    });
}

/// F20: another job only if that is wanted.
#[test]
fn a_lost_job_is_begun_anew_if_wanted() {
    block_on(async {
        let server = Server::start(Box::new(|asked, n| match (asked, n) {
            (KICK_OFF, 1) => {
                (202, vec![("content-location", "/status/2".to_owned())], String::new())
            }
            ("GET /status/1", _) => text(404, ""),
            ("GET /status/2", _) => text(200, &manifest(&["/files/a"]).to_string()),
            _ => ready(&[])(asked, n),
        }))
        .await;
        let folder = tempfile::tempdir().unwrap();
        let outcome = run(&server, folder.path(), |s| s.restart_lost_job = true).await;
        assert_eq!(outcome.result.unwrap().state.job, 2);
        assert!(
            outcome.retries.iter().any(|why| why.contains("another export is begun")),
            "{:?}",
            outcome.retries
        );
        assert_eq!(server.asked(KICK_OFF), 2);
    });
}

/// F18: urls are renewed by the manifest; where they are not, the job is lost, and what is stored stays.
#[test]
fn gone_files_are_looked_for_in_the_manifest_again() {
    for (renewed, polls) in [(true, 2), (false, 2)] {
        block_on(async {
            let server = Server::start(Box::new(move |asked, n| match (asked, n) {
                ("GET /status/1", 0) => {
                    text(200, &manifest(&["/files/a", "/files/b?old"]).to_string())
                }
                ("GET /status/1", _) => {
                    let second = if renewed { "/files/b?new" } else { "/files/b?old" };
                    text(200, &manifest(&["/files/a", second]).to_string())
                }
                ("GET /files/b?old", _) => text(410, ""),
                _ => ready(&[])(asked, n),
            }))
            .await;
            let folder = tempfile::tempdir().unwrap();
            let outcome = run(&server, folder.path(), |_| {}).await;
            assert_eq!(outcome.result.is_ok(), renewed, "{:?}", outcome.result);
            assert_eq!((server.asked("GET /status/1"), server.asked("GET /files/a")), (polls, 1));
            assert_eq!(outcome.arrived.len(), 1 + usize::from(renewed));
            assert_eq!(folder.path().join("manifest.json").exists(), renewed);
            if let Err(error) = outcome.result {
                assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
                assert!(error.remedy().unwrap().contains("restart_lost_job"));
            }
        });
    }
}

fn paged(next: &str, output: &[&str]) -> Value {
    let mut page = manifest(output);
    page["link"] = json!([{"relation": "next", "url": next}]);
    page
}

/// F26: partial manifests.
#[test]
fn pages_come_while_the_job_runs() {
    let outcome = |script: Script| {
        block_on(async {
            let server = Server::start(script).await;
            let folder = tempfile::tempdir().unwrap();
            let first = run(&server, folder.path(), |s| s.request.partial_manifests = true).await;
            let published = folder.path().join("manifest.json").exists();
            assert_eq!(first.result.is_ok(), published, "{:?}", first.result);
            first
        })
    };
    let pages = |last: fn(usize) -> Answer| -> Script {
        Box::new(move |asked, n| match (asked, n) {
            ("GET /fhir/Patient/$export?allowPartialManifests=true", _) => accepted(),
            ("GET /status/1", 0) => text(202, ""),
            ("GET /status/1", _) => {
                text(202, &paged("/status/1?page=2", &["/files/a"]).to_string())
            }
            ("GET /status/1?page=2", 0) => said(500, "error", "transient", "wait"),
            // The page is there before it is known that another follows.
            ("GET /status/1?page=2", 1..3) => text(202, &manifest(&["/files/b"]).to_string()),
            ("GET /status/1?page=2", _) => {
                text(200, &paged("/status/1?page=3", &["/files/b"]).to_string())
            }
            ("GET /status/1?page=3", n) => last(n),
            _ => ready(&[])(asked, n),
        })
    };
    let whole = outcome(pages(|_| text(200, &manifest(&["/files/c", "/files/a"]).to_string())));
    assert_eq!(whole.arrived, ["output 0", "output 1", "output 2"]);
    let complete = whole.result.unwrap();
    assert_eq!((complete.state.pages.len(), complete.state.stored.len()), (3, 3));

    let circle = outcome(pages(|_| text(200, &paged("/status/1?page=2", &[]).to_string())));
    assert!(circle.result.unwrap_err().message().contains("circle"));
    let failed = outcome(pages(|_| said(500, "error", "processing", "out of memory")));
    let error = failed.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    assert!(error.to_string().contains("out of memory"), "{error}");
}

/// F25: the data are there, but the export is not whole.
#[test]
fn errors_of_the_server_fail_unless_accepted() {
    block_on(async {
        let server = Server::start(Box::new(|asked, n| match asked {
            "GET /status/1" => {
                let mut page = manifest(&["/files/a"]);
                page["error"] =
                    json!([{"type": "OperationOutcome", "url": "/files/e", "count": 4}]);
                text(200, &page.to_string())
            }
            "GET /files/e" => {
                said(200, "error", "processing", "Failed to export 2.Condition.ndjson")
            }
            _ => ready(&[])(asked, n),
        }))
        .await;
        let folder = tempfile::tempdir().unwrap();
        let outcome = run(&server, folder.path(), |_| {}).await;
        let error = outcome.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete);
        assert!(error.to_string().contains("Failed to export 2.Condition"), "{error}");
        assert_eq!(outcome.arrived, ["output 0", "error 0"]);
        assert_eq!(server.asked("DELETE"), 0, "the job stays while anything failed");
        let accepted = run(&server, folder.path(), |s| s.accept_errors = true).await;
        assert!(accepted.result.unwrap().warnings.iter().any(|w| w.contains("2.Condition")));
        assert_eq!((server.asked(KICK_OFF), server.asked("DELETE")), (1, 1));
    });
}

/// Groups by name: looked up, compared by us, never guessed.
#[test]
fn a_named_group_is_looked_up() {
    let group = |id: &str, name: &str| json!({"resource": {"resourceType": "Group", "id": id, "name": name}});
    for (groups, expected) in [
        (vec![group("g1", "All"), group("g2", "Others")], "ok"),
        (vec![group("g1", "All"), group("g2", "All")], "2 groups are named `All`"),
        (vec![group("g2", "Secret disease")], "no group is named `All`"),
        (vec![], "no group is named `All`"),
    ] {
        block_on(async {
            let bundle = json!({"resourceType": "Bundle", "entry": groups}).to_string();
            let server = Server::start(Box::new(move |asked, n| match asked {
                // R4 has no search of groups by name.
                "GET /fhir/Group?name=All" => text(400, ""),
                "GET /fhir/Group?identifier=All" => text(200, r#"{"resourceType":"Bundle"}"#),
                "GET /fhir/Group?_count=200" => text(200, &bundle),
                "GET /fhir/Group/g1/$export" => accepted(),
                "GET /status/1" => text(200, &manifest(&["/files/a"]).to_string()),
                _ => ready(&[])(asked, n),
            }))
            .await;
            let folder = tempfile::tempdir().unwrap();
            let level = Level::GroupNamed("All".to_owned());
            let found = match run(&server, folder.path(), |s| s.request.level = level).await.result
            {
                Ok(_) => "ok".to_owned(),
                Err(error) => format!("{error} {}", error.remedy().unwrap_or_default()),
            };
            assert!(found.contains(expected), "{found}");
            assert!(!found.contains("Secret"), "{found}");
        });
    }
}

/// Cancelling deletes the job, and the next start begins another.
#[test]
fn cancelling_forgets_the_job() {
    block_on(async {
        let server = Server::start(Box::new(|asked, n| match (asked, n) {
            ("GET /status/1", 0..3) => text(503, ""),
            _ => ready(&["/files/a"])(asked, n),
        }))
        .await;
        let folder = tempfile::tempdir().unwrap();
        assert!(run(&server, folder.path(), |_| {}).await.result.is_err());
        let settings = Settings::new(ExportRequest::new(server.url.clone(), Level::Patient));
        let mut job =
            ExportJob::open(settings, folder.path(), Clock::System, Arc::new(|_| {})).unwrap();
        job.cancel().await.unwrap();
        drop(job);
        assert_eq!(server.asked("DELETE /status/1"), 1);
        let outcome = run(&server, folder.path(), |s| s.request.kick_off = KickOff::Get).await;
        assert_eq!(outcome.result.unwrap().state.job, 2);
        assert_eq!(server.asked(KICK_OFF), 2);
    });
}
