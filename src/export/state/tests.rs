//! The state on disk: what survives, what is refused.

use std::fs;

use serde_json::json;
use url::Url;

use super::*;
use crate::error::ErrorKind;
use crate::export::request::{ExportRequest, Level};

fn request() -> ExportRequest {
    ExportRequest::new(Url::parse("https://ehr.example/fhir").unwrap(), Level::Patient)
}

fn file(index: usize) -> StoredFile {
    StoredFile {
        section: "output".to_owned(),
        index,
        resource_type: Some("Patient".to_owned()),
        url: format!("https://ehr.example/f/{index}"),
        parts: vec![PathBuf::from(format!("Patient.{index:05}.ndjson"))],
        lines: 1,
        bytes: 2,
        sha256: String::new(),
        attachments: 0,
        warnings: Vec::new(),
    }
}

#[test]
fn what_was_stored_is_there_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let mut store = Store::open(&path, &request()).unwrap();
    store.state.job = 1;
    store.state.status_url = Some("https://ehr.example/status/1".to_owned());
    store.save().unwrap();
    for index in [2, 0] {
        store.stored(file(index)).unwrap();
    }
    drop(store);
    // Killed in the middle of a line; and a line of a job that is long lost.
    let journal = path.join("export.journal");
    let mut text = fs::read_to_string(&journal).unwrap();
    let cut = text.lines().next().unwrap()[..20].to_owned();
    text.push_str(&json!({"job": 7, "file": file(9)}).to_string());
    fs::write(&journal, format!("{text}\n{cut}")).unwrap();

    for start in ["second", "third"] {
        let store = Store::open(&path, &request()).unwrap();
        assert_eq!(
            store.state.status_url.as_deref(),
            Some("https://ehr.example/status/1"),
            "{start}"
        );
        assert_eq!(store.state.stored, [file(2), file(0)], "{start}");
        assert!(!journal.exists(), "{start}: folded");
    }
}

#[test]
fn a_folder_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path(), &request()).unwrap();
    let error = Store::open(folder.path(), &request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    drop(first);
    Store::open(folder.path(), &request()).unwrap();
}

#[test]
fn another_request_is_refused_and_says_how_it_differs() {
    type Change = fn(&mut ExportRequest);
    let folder = tempfile::tempdir().unwrap();
    let mut first = request();
    first.patients = vec!["Patient/secret-1".to_owned()];
    Store::open(folder.path(), &first).unwrap().save().unwrap();
    Store::open(folder.path(), &first).unwrap();
    let cases: [(Change, Option<&str>); 5] = [
        (|r| r.types = vec!["Patient".to_owned()], Some("`types` was [], is [\"Patient\"]")),
        (|r| r.since = Some("2026-01-01T00:00:00Z".to_owned()), Some("`since` was null")),
        (
            |r| r.patients = vec!["Patient/secret-2".to_owned()],
            Some("`patients` was \"1 patients, sha256"),
        ),
        (
            |r| r.level = Level::Group("7".to_owned()),
            Some("`level` was \"patient\", is \"Group/7\""),
        ),
        (|r| r.kick_off = crate::export::KickOff::Post, None),
    ];
    for (change, expected) in cases {
        let mut request = first.clone();
        change(&mut request);
        match (Store::open(folder.path(), &request), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => {
                assert_eq!(error.kind(), ErrorKind::Usage);
                assert!(error.to_string().contains(expected), "{error}");
                assert!(!error.to_string().contains("secret"), "{error}");
            }
            (other, _) => panic!("{other:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_state_that_cannot_be_read_is_not_overwritten() {
    for text in ["", "{", "{\"version\": 1}", "[]"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.json");
        fs::write(&path, text).unwrap();
        let error = Store::open(folder.path(), &request()).unwrap_err();
        assert!(error.to_string().contains("cannot be understood"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut state = ExportState::new(json!({}));
    state.version = 2;
    fs::write(folder.path().join("export.json"), serde_json::to_string(&state).unwrap()).unwrap();
    let error = Store::open(folder.path(), &request()).unwrap_err();
    assert!(error.to_string().contains("form 2"), "{error}");
}

#[test]
fn a_lost_job_leaves_its_files_until_others_are_there() {
    let mut state = ExportState::new(json!({"a": 1}));
    state.job = 1;
    state.status_url = Some("x".to_owned());
    state.stored = vec![file(0)];
    state.forget_job();
    assert_eq!((state.job, state.status_url.as_ref(), state.stored.len()), (1, None, 0));
    assert_eq!(state.superseded, file(0).parts);
    assert_eq!(state.request, json!({"a": 1}));
}
