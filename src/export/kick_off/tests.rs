//! What is sent, and how answers and groups are understood.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use super::super::request::Level;
use super::group::is_named;
use super::*;

fn request(level: Level, change: impl FnOnce(&mut ExportRequest)) -> ExportRequest {
    let mut request = ExportRequest::new(Url::parse("https://ehr.example/fhir").unwrap(), level);
    change(&mut request);
    request
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

#[test]
fn parameters_in_the_url() {
    type Change = fn(&mut ExportRequest);
    let cases: &[(Change, &str)] = &[
        (|_| {}, ""),
        (|r| r.types = strings(&["Patient", "Observation"]), "?_type=Patient,Observation"),
        // 13: `+` would be a space; the same instant by `Z`.
        (
            |r| r.since = Some("2026-01-01T00:00:00+01:00".into()),
            "?_since=2025-12-31T23%3A00%3A00Z",
        ),
        (
            |r| r.since = Some("2026-01-01T00:00:00.120Z".into()),
            "?_since=2026-01-01T00%3A00%3A00.120Z",
        ),
        // 18: one filter each, a comma inside encoded twice.
        (
            |r| {
                r.type_filters =
                    strings(&["Observation?code=a,b&date=gt2026", "Condition?x=y z+w"]);
            },
            "?_typeFilter=Observation%3Fcode%3Da%252Cb%26date%3Dgt2026&_typeFilter=Condition%3Fx%3Dy%20z%2Bw",
        ),
        (|r| r.elements = strings(&["id", "Patient.name"]), "?_elements=id,Patient.name"),
        (|r| r.partial_manifests = true, "?allowPartialManifests=true"),
        (
            |r| r.output_format = Some("application/fhir+ndjson".into()),
            "?_outputFormat=application%2Ffhir%2Bndjson",
        ),
        (|r| drop(r.parameters.insert("_container".into(), "a b".into())), "?_container=a%20b"),
        (
            |r| {
                r.until = Some("2026-01-01T00:00:00Z".into());
                r.organize_by = Some("Patient".into());
                r.associated_data = strings(&["LatestProvenanceResources", "_x"]);
            },
            "?_until=2026-01-01T00%3A00%3A00Z&includeAssociatedData=LatestProvenanceResources,_x&organizeOutputBy=Patient",
        ),
    ];
    for (change, query) in cases {
        let request = request(Level::System, change);
        let sent = kick_off_request(&request, None, false);
        assert_eq!(sent.url.as_str(), format!("https://ehr.example/fhir/$export{query}"));
        assert_eq!((sent.method.as_str(), sent.body, sent.credentials), ("GET", None, true));
    }
}

#[test]
fn levels_and_preferences() {
    for (level, group, path) in [
        (Level::System, None, "/fhir/$export"),
        (Level::Patient, None, "/fhir/Patient/$export"),
        (Level::Group("a-1.c-5".into()), Some("a-1.c-5"), "/fhir/Group/a-1.c-5/$export"),
        (Level::GroupNamed("All".into()), Some("7"), "/fhir/Group/7/$export"),
    ] {
        let sent = kick_off_request(&request(level, |_| {}), group, false);
        assert_eq!(sent.url.path(), path);
    }
    for (lenient, separate, prefer) in [
        (false, false, "respond-async"),
        (true, false, "respond-async, handling=lenient"),
        (false, true, "respond-async, separate-export-status"),
        (true, true, "respond-async, handling=lenient, separate-export-status"),
    ] {
        let request =
            request(Level::System, |r| (r.lenient, r.separate_status) = (lenient, separate));
        let sent = kick_off_request(&request, None, false);
        assert_eq!(
            (&sent.headers["prefer"], &sent.headers["accept"]),
            (&prefer.parse().unwrap(), &"application/fhir+json".parse().unwrap())
        );
    }
}

#[test]
fn parameters_as_a_resource() {
    let full = request(Level::Patient, |r| {
        r.types = strings(&["Patient", "Group"]);
        r.type_filters = strings(&["Patient?active=true"]);
        r.since = Some("2026-01-01T00:00:00Z".into());
        r.patients = strings(&["Patient/1", "Patient/2"]);
        r.partial_manifests = true;
    });
    let sent = kick_off_request(&full, None, true);
    assert_eq!((sent.method.as_str(), sent.url.query()), ("POST", None));
    assert_eq!(sent.headers["content-type"], "application/fhir+json");
    let body: Value = serde_json::from_slice(&sent.body.unwrap()).unwrap();
    let expected = json!({"resourceType": "Parameters", "parameter": [
        {"name": "_since", "valueInstant": "2026-01-01T00:00:00Z"},
        {"name": "_type", "valueString": "Patient"},
        {"name": "_type", "valueString": "Group"},
        {"name": "patient", "valueReference": {"reference": "Patient/1"}},
        {"name": "patient", "valueReference": {"reference": "Patient/2"}},
        {"name": "_typeFilter", "valueString": "Patient?active=true"},
        {"name": "allowPartialManifests", "valueBoolean": true},
    ]});
    assert_eq!(body, expected);
    let logged = loggable(&full).to_string();
    assert!(!logged.contains("Patient/1"), "{logged}");
    let empty = kick_off_request(&request(Level::System, |_| {}), None, true);
    assert_eq!(empty.body.unwrap(), r#"{"resourceType":"Parameters"}"#);
}

/// F2: relative urls are resolved; without one, or without 202, there is no job.
#[test]
fn the_status_url_comes_with_the_answer() {
    let asked = kick_off_request(&request(Level::Patient, |_| {}), None, false);
    let read = |status: u16, location: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert("date", "Mon, 23 Nov 2026 04:59:12 GMT".parse().unwrap());
        if let Some(location) = location {
            headers.insert("content-location", location.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Reply { status, headers, url: asked.url.clone(), body: Bytes::new() };
        Accepted::of(&reply, &asked, jiff::Timestamp::UNIX_EPOCH)
    };
    for (location, expected) in [
        ("https://ehr.example/s/1?page=2", "https://ehr.example/s/1?page=2"),
        ("/s/1", "https://ehr.example/s/1"),
        (
            "$export-poll-status?_jobId=x",
            "https://ehr.example/fhir/Patient/$export-poll-status?_jobId=x",
        ),
    ] {
        let accepted = read(202, Some(location)).unwrap();
        assert_eq!(accepted.status_url.as_str(), expected);
        assert_eq!(accepted.at.to_string(), "2026-11-23T04:59:12Z");
    }
    for (status, location, message) in [
        (202, None, "does not say where its status is"),
        (202, Some(" "), "does not say where its status is"),
        (202, Some("https://"), "is no url"),
        (200, Some("/s/1"), "does not answer the kick-off with 202"),
    ] {
        let error = read(status, location).unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
}

#[test]
fn groups_are_compared_by_us() {
    let group = json!({"resourceType": "Group", "id": "1", "name": "All patients",
        "identifier": [{"system": "urn:x", "value": "all"}, {"value": "bare"}]});
    for (name, expected) in [
        ("All patients", true),
        ("all patients", false),
        ("urn:x|all", true),
        ("urn:y|all", false),
        ("all", true),
        ("|bare", true),
        ("1", false),
    ] {
        assert_eq!(is_named(&group, name), expected, "{name}");
    }
}
