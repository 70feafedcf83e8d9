//! What is made of the answers of servers that refuse.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

use super::*;

fn outcome(issues: &Value) -> Vec<u8> {
    json!({ "resourceType": "OperationOutcome", "issue": issues }).to_string().into()
}

fn refused(status: u16, kind: &'static str, body: &[u8]) -> Error {
    let request = Request {
        method: Method::GET,
        url: "https://u:p@a.example/fhir/$export?_type=Patient&sig=s3cret".parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        credentials: true,
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    refusal(&request, StatusCode::from_u16(status).unwrap(), &headers, body)
}

#[test]
fn errors_say_what_the_server_says_and_what_to_change() {
    let unsupported = outcome(&json!([{ "severity": "error", "code": "not-supported",
        "details": { "text": "no _typeFilter here" }, "diagnostics": "see\nthe manual" }]));
    let busy = outcome(&json!([{ "severity": "error", "code": "throttled" }]));
    let oauth = br#"{"error":"invalid_client","error_description":"unknown key"}"#;
    for (status, body, kind, message, hint) in [
        (
            400,
            &unsupported[..],
            ErrorKind::Refused,
            "the server answers `400 Bad Request`: error/not-supported: no _typeFilter here: see the manual",
            "parameter",
        ),
        (
            400,
            &busy,
            ErrorKind::TryLater,
            "the server answers `400 Bad Request`: error/throttled",
            "later",
        ),
        (
            401,
            oauth,
            ErrorKind::Refused,
            "the server answers `401 Unauthorized`: invalid_client: unknown key",
            "sign-in",
        ),
        (
            403,
            b"",
            ErrorKind::Refused,
            "the server answers `403 Forbidden` without a reason",
            "scopes",
        ),
        (
            404,
            b"",
            ErrorKind::Refused,
            "the server answers `404 Not Found` without a reason",
            "base url",
        ),
        (
            405,
            b"",
            ErrorKind::Refused,
            "the server answers `405 Method Not Allowed` without a reason",
            "kickoff",
        ),
        (
            429,
            b"",
            ErrorKind::TryLater,
            "the server answers `429 Too Many Requests` without a reason",
            "later",
        ),
        (
            501,
            b"",
            ErrorKind::Refused,
            "the server answers `501 Not Implemented` without a reason",
            "parameter",
        ),
        (
            502,
            b"<html>PHI</html>",
            ErrorKind::TryLater,
            "the server answers `502 Bad Gateway` with `text/html` instead of a reason",
            "later",
        ),
        (
            418,
            b"{\"message\":\"PHI\"}",
            ErrorKind::Refused,
            "the server answers `418 I'm a teapot` with `text/html` instead of a reason",
            "operator",
        ),
    ] {
        let error = refused(status, "text/html; charset=utf-8", body);
        assert_eq!((error.kind(), error.message()), (kind, message));
        assert!(error.remedy().unwrap().contains(hint), "{status}: {:?}", error.remedy());
        let request = "GET https://a.example/fhir/$export?_type=…&sig=…";
        assert_eq!(error.places(), [("request", request.to_owned())]);
    }
}

/// Requirement 28.
#[test]
fn only_errors_of_the_transient_family_leave_the_job_alive() {
    let issue = |severity: &str, code: &str| json!({ "severity": severity, "code": code });
    for (issues, transient) in [
        (json!([issue("error", "transient")]), true),
        (json!([issue("fatal", "exception")]), true),
        (json!([issue("error", "timeout"), issue("error", "lock-error")]), true),
        (json!([issue("error", "processing")]), false),
        (json!([issue("error", "transient"), issue("error", "processing")]), false),
        (json!([issue("error", "throttled"), issue("warning", "processing")]), true),
        (json!([issue("information", "no-store")]), true),
        (json!([issue("information", "informational")]), false),
        (json!([{ "code": "incomplete" }]), true),
        (json!([{ "severity": "error" }]), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        let outcome = Outcome::parse(&outcome(&issues)).unwrap();
        assert_eq!(outcome.is_transient(), transient, "{issues}");
    }
}

#[test]
fn bodies_are_read_tolerantly() {
    let issue = Issue { code: Some("x".to_owned()), ..Issue::default() };
    let marked = [b"\xEF\xBB\xBF", &outcome(&json!([{ "code": "x", "severity": 5 }]))[..]].concat();
    for (body, expected) in [
        (&marked[..], Said::Outcome(Outcome { issues: vec![issue] })),
        (
            br#"{"error":"invalid_scope"}"#,
            Said::OAuth { error: "invalid_scope".to_owned(), description: None },
        ),
        (br#"{"error":{"code":5}}"#, Said::Nothing),
        (br#"{"resourceType":"Bundle"}"#, Said::Nothing),
        (b"\"error\"", Said::Nothing),
        (b"", Said::Nothing),
        (b"\xff\xfe", Said::Nothing),
    ] {
        assert_eq!(Said::of(body), expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn texts_are_cut_and_made_harmless() {
    let long = "a".repeat(600);
    let cut = format!("{}…", "a".repeat(500));
    for (text, expected) in [
        ("plain text", "plain text"),
        ("two\r\nlines\u{1b}[31m\u{0}red", "two lines [31m red"),
        ("right\u{202E}left", "rightleft"),
        (&long, &cut),
        ("bad token eyJhbGciOiJSUzM4NCJ9.e30.c2ln given", "bad token … given"),
        ("'eyJhbGciOiJSUzM4NCJ9.e30'", "'…"),
        (
            "cannot load https://b.example/f?X-Amz-Signature=s3cret now",
            "cannot load https://b.example/f?… now",
        ),
        ("really?", "really?"),
    ] {
        assert_eq!(shown(text), expected);
    }
    let details = outcome(&json!([{ "severity": "error", "code": "x", "details":
        { "coding": [{ "display": "Display" }] }, "diagnostics": "Display" }]));
    assert_eq!(Outcome::parse(&details).unwrap().to_string(), "error/x: Display");
}
