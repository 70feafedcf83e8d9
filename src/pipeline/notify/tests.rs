//! Notifications as their receivers see them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header::LOCATION};
use serde_json::{Value, json};

use super::*;
use crate::clock::Simulated;
use crate::error::ErrorKind;
use crate::pipeline::model::ModelReport;
use crate::pipeline::report::FileCounts;

fn report(rejects: u64) -> RunReport {
    let total = FileCounts {
        file: String::new(),
        lines: 12,
        blanks: 1,
        rejected_lines: rejects,
        bundles: 0,
        resources_in_bundles: 0,
        rejected_entries: 0,
        entries_without_resource: 0,
        resources: BTreeMap::from([("Patient".to_owned(), 11 - rejects)]),
    };
    RunReport {
        run: "r1".into(),
        pipeline: "p".into(),
        started: "2026-01-01T00:00:00Z".into(),
        kind: "full".into(),
        since: None,
        synchronised_until: None,
        superseded: 0,
        deleted: BTreeMap::new(),
        deletions_not_understood: BTreeMap::new(),
        members: None,
        schema_changes: Vec::new(),
        loads: Vec::new(),
        outcome: "committed".into(),
        seconds: 1.5,
        threads: 1,
        input_bytes: 0,
        text_bytes: 0,
        total,
        files: Vec::new(),
        tables: Vec::new(),
        models: vec![ModelReport { table: "m".into(), rows: 3, version: 0, seconds: 0.1 }],
        rejects: BTreeMap::from([("no JSON".to_owned(), rejects)]),
        export: None,
        stages: Vec::new(),
        warnings: vec!["of Jane Doe".into()],
    }
}

fn checked(toml: &str, folder: &Path) -> Result<Notification, Vec<Mistake>> {
    toml::from_str::<NotifyTable>(toml).unwrap().check(folder)
}

fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_is_no_notification_is_refused_without_its_url() {
    let folder = Path::new("/f");
    for (toml, expected) in [
        ("webhook = { env = 'HOOK' }", Ok("webhook in $HOOK on failure")),
        ("webhook = { file = 'hook' }\non = ['rejects']", Ok("webhook in /f/hook on rejects")),
        ("webhook = 'https://chat.example/s3cret'", Ok("webhook at chat.example on failure")),
        ("webhook = 'http://127.0.0.1:1/s3cret'", Ok("webhook at 127.0.0.1 on failure")),
        (
            "command = ['mail', 's3cret']\non = ['success', 'failure']",
            Ok("command mail on success, failure"),
        ),
        (
            "webhook = 'http://chat.example/s3cret'",
            Err("webhook: plain `http` would show the message to others"),
        ),
        ("webhook = 'ftp://chat.example/s3cret'", Err("webhook: `ftp` is no scheme for a message")),
        ("webhook = 's3cret'", Err("webhook: it is no url: relative URL without a base")),
        ("command = ['']", Err("command[0]: the program has no name")),
        ("on = ['failure']", Err(": a notification has either a `webhook` or a `command`")),
        (
            "command = ['a']\nwebhook = 'https://b'",
            Err(": a notification has either a `webhook` or a `command`"),
        ),
        ("command = ['a']\non = ['sucess']", Err("on[0]: no run ends with `sucess`")),
    ] {
        let found = checked(toml, folder);
        let debug = format!("{found:?}");
        assert!(toml.contains("command") || !debug.contains("s3cret"), "{debug}");
        let said = match &found {
            Ok(notification) => Ok(notification.describe()),
            Err(mistakes) => Err(format!("{}: {}", mistakes[0].path, mistakes[0].message)),
        };
        assert_eq!(said, expected.map(str::to_owned).map_err(str::to_owned), "{toml}");
    }
}

/// A server that gives these statuses in turn, and the bodies that it got.
async fn server(statuses: &'static [u16]) -> (String, Arc<Mutex<Vec<Value>>>) {
    let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
    let got = Arc::clone(&bodies);
    let answer = move |body: axum::body::Bytes| {
        let got = Arc::clone(&got);
        async move {
            let mut got = got.lock().unwrap();
            got.push(serde_json::from_slice(&body).unwrap());
            let status = statuses[(got.len() - 1).min(statuses.len() - 1)];
            (StatusCode::from_u16(status).unwrap(), [(LOCATION, "/elsewhere")])
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/s3cret", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (url, bodies)
}

#[tokio::test]
async fn webhooks_are_tried_three_times_and_never_redirected() {
    for (statuses, times, waits, warning) in [
        (&[200][..], 1, &[][..], None),
        (&[204], 1, &[], None),
        (&[503, 200], 2, &[2], None),
        (&[500, 429, 200], 3, &[2, 4], None),
        (&[500], 3, &[2, 4], Some("it answers 500 Internal Server Error")),
        (&[404], 1, &[], Some("it answers 404 Not Found")),
        (&[302], 1, &[], Some("it redirects (302 Found), which is not followed")),
    ] {
        let (url, bodies) = server(statuses).await;
        let hook = checked(&format!("webhook = '{url}'\non = ['success']"), Path::new("")).unwrap();
        let time = Simulated::starting("2026-01-01T00:00:00Z".parse().unwrap());
        let clock = Clock::Simulated(Arc::clone(&time));
        let report = report(0);
        let said = hook.tell_within(&Limits::default(), &clock, "p", Some(&report), None).await;
        let expected = warning.map(|w| format!("the webhook that is notified of `p` failed: {w}"));
        assert_eq!((said, bodies.lock().unwrap().len()), (expected, times), "{statuses:?}");
        let waits: Vec<_> = waits.iter().map(|s| Duration::from_secs(*s)).collect();
        assert_eq!(time.waits(), waits, "{statuses:?}");
    }
}

#[tokio::test]
async fn a_webhook_that_is_silent_or_away_is_a_warning_without_its_url() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/s3cret", listener.local_addr().unwrap());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("http://{closed}/s3cret");
    let limits =
        Limits { answer: Duration::from_millis(50), pause: Duration::ZERO, ..Limits::default() };
    for (url, expected) in
        [(silent, "there is no answer within 0.05 s"), (away, "it cannot be reached")]
    {
        let hook = checked(&format!("webhook = '{url}'"), Path::new("")).unwrap();
        let failure = Error::new(ErrorKind::Output, "x");
        let said = hook.tell_within(&limits, &Clock::System, "p", None, Some(&failure)).await;
        let said = said.unwrap();
        assert!(said.ends_with(expected) && !said.contains("s3cret"), "{said}");
    }
    let hook = checked("webhook = { env = 'KILN_NO_SUCH_HOOK' }\non = ['success']", Path::new(""));
    let said = hook.unwrap().tell("p", None, None).await.unwrap();
    assert!(said.contains("KILN_NO_SUCH_HOOK"), "{said}");
}

#[tokio::test]
async fn who_is_told_of_what() {
    let failure = Error::new(ErrorKind::Refused, "the server refuses")
        .at("first", "export/Jane-Doe.ndjson:3")
        .hint("ask it");
    let (clean, some) = (report(0), report(2));
    for (on, report, failure, told) in [
        ("success", Some(&clean), None, Some("success")),
        ("success", Some(&some), None, Some("rejects")),
        ("rejects", Some(&clean), None, None),
        ("rejects", Some(&some), None, Some("rejects")),
        ("rejects", Some(&some), Some(&failure), None),
        ("failure", Some(&clean), None, None),
        ("failure", Some(&some), Some(&failure), Some("failure")),
        ("failure", None, Some(&failure), Some("failure")),
    ] {
        let (url, bodies) = server(&[200]).await;
        let hook = checked(&format!("webhook = '{url}'\non = ['{on}']"), Path::new("")).unwrap();
        assert_eq!(hook.tell("p", report, failure).await, None);
        let bodies = bodies.lock().unwrap();
        assert_eq!(bodies.first().map(|b| b["event"].as_str().unwrap()), told, "{on}");
        assert!(!format!("{bodies:?}").contains("Jane"), "{bodies:?}");
    }
}

#[tokio::test]
async fn the_message_that_a_command_reads() {
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "tell.sh", "cat > got.json; test \"$1\" = now");
    let run = |arguments: &str| {
        checked(
            &format!("command = ['./tell.sh'{arguments}]\non = ['success', 'failure']"),
            folder.path(),
        )
    };
    let got = || -> Value {
        serde_json::from_slice(&std::fs::read(folder.path().join("got.json")).unwrap()).unwrap()
    };
    let report = report(2);
    assert_eq!(run(", 'now'").unwrap().tell("p", Some(&report), None).await, None);
    let expected = json!({
        "event": "rejects", "pipeline": "p", "run": "r1", "started": "2026-01-01T00:00:00Z", "seconds": 1.5,
        "counts": { "lines": 12, "resources": 9, "rejects": 2 },
        "tables": [], "models": [{ "table": "m", "rows": 3 }], "warnings": 1, "failure": null,
    });
    assert_eq!(got(), expected);
    let failure = Error::new(ErrorKind::Refused, "the server refuses").hint("ask it");
    let said = run("").unwrap().tell("p", None, Some(&failure)).await.unwrap();
    assert!(said.contains("`./tell.sh` ended with exit status: 1"), "{said}");
    assert_eq!(
        got()["failure"],
        json!({ "code": 10, "message": "the server refuses", "hint": "ask it" })
    );
    assert_eq!(got()["run"], Value::Null);
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_and_one_that_is_not_there_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "hang.sh", "exec sleep 100");
    // More than a pipe holds, for a program that reads nothing.
    script(folder.path(), "deaf.sh", "exit 0");
    let limits = Limits { program: Duration::from_millis(300), ..Limits::default() };
    let long = Error::new(ErrorKind::Output, "x".repeat(1 << 20));
    for (name, expected) in [
        ("./hang.sh", Some("`./hang.sh` was killed after 0.3 s")),
        (
            "./none.sh",
            Some("`./none.sh` cannot be started: No such file or directory (os error 2)"),
        ),
        ("./deaf.sh", None),
    ] {
        let command = checked(&format!("command = ['{name}']"), folder.path()).unwrap();
        let said = command.tell_within(&limits, &Clock::System, "p", None, Some(&long)).await;
        let expected = expected.map(|e| format!("the command that is notified of `p` failed: {e}"));
        assert_eq!(said, expected, "{name}");
    }
}
