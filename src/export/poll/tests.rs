//! What answers to polls mean.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::*;
use crate::export::session::Reply;

const MANIFEST: &str = r#"{"transactionTime": "2026-01-01T00:00:00Z", "output": []}"#;

fn outcome(severity: &str, code: &str) -> String {
    json!({"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]})
        .to_string()
}

/// The answer's name, and what is asked to wait.
fn meaning(status: u16, headers: &[(&'static str, &str)], body: &str) -> String {
    let url = Url::parse("https://ehr.example/status/7").unwrap();
    let request = status_request(&url, &url, Method::GET);
    let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
    let reply = Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.collect::<HeaderMap>(),
        url,
        body: Bytes::from(body.to_owned()),
    };
    match Answer::of(&reply, &request, "2026-11-23T12:00:00Z".parse().unwrap()) {
        Answer::Running { progress, asked } => format!(
            "running {}{}",
            progress.unwrap_or_default(),
            asked.map_or(String::new(), |asked| format!(" {}s", asked.as_secs()))
        ),
        Answer::Page { done, .. } => format!("page, {}", if done { "done" } else { "more" }),
        Answer::TooMany { .. } => "slower".to_owned(),
        Answer::Passing { alive, .. } => {
            format!("passing, {}", if alive { "alive" } else { "unknown" })
        }
        Answer::Lost(error) => format!("lost {:?}", error.kind()),
        Answer::Failed(error) => format!("failed {:?}", error.kind()),
        Answer::Stopped(error) => format!("stopped {:?}", error.kind()),
    }
}

/// Status, headers and body, and what they mean.
type Case<'a> = (u16, &'a [(&'static str, &'a str)], String, &'a str);

/// Requirements 26 to 31 and 42; F4, F28.
#[test]
fn answers_mean_what_the_guide_says() {
    let html = "<html>Bad gateway</html>";
    let cases: &[Case] = &[
        (202, &[], String::new(), "running "),
        (
            202,
            &[("x-progress", "50% complete"), ("retry-after", "7")],
            String::new(),
            "running 50% complete 7s",
        ),
        (202, &[("x-progress", " In\tProgress ")], String::new(), "running InProgress"),
        (202, &[], outcome("information", "informational"), "running "),
        (202, &[], MANIFEST.to_owned(), "page, more"),
        (200, &[], MANIFEST.to_owned(), "page, done"),
        (200, &[], format!("\u{feff}{MANIFEST}"), "page, done"),
        (200, &[("x-export-status", "202")], String::new(), "running "),
        (200, &[("x-export-status", "202 Accepted")], MANIFEST.to_owned(), "page, more"),
        (200, &[("x-export-status", "200 OK")], MANIFEST.to_owned(), "page, done"),
        (
            200,
            &[("x-export-status", "500, failed")],
            outcome("error", "processing"),
            "failed Incomplete",
        ),
        (200, &[("x-export-status", "500")], outcome("error", "transient"), "passing, alive"),
        (200, &[("x-export-status", "garbage")], MANIFEST.to_owned(), "page, done"),
        (500, &[("x-export-status", "200")], String::new(), "passing, unknown"),
        (200, &[], html.to_owned(), "stopped Incomplete"),
        (200, &[], outcome("error", "processing"), "failed Incomplete"),
        (204, &[], String::new(), "stopped Incomplete"),
        (429, &[("retry-after", "5")], String::new(), "slower"),
        (429, &[], outcome("error", "processing"), "slower"),
        (500, &[], outcome("error", "transient"), "passing, alive"),
        (503, &[], outcome("error", "throttled"), "passing, alive"),
        (400, &[], outcome("error", "timeout"), "passing, alive"),
        (500, &[], outcome("error", "processing"), "failed Incomplete"),
        (500, &[], outcome("fatal", "security"), "failed Incomplete"),
        (500, &[], html.to_owned(), "passing, unknown"),
        (504, &[], String::new(), "passing, unknown"),
        (408, &[], String::new(), "passing, unknown"),
        (404, &[], String::new(), "lost Refused"),
        (404, &[], outcome("error", "not-found"), "lost Refused"),
        (410, &[], html.to_owned(), "lost Refused"),
        (401, &[], outcome("error", "login"), "stopped Refused"),
        (403, &[], String::new(), "stopped Refused"),
        (400, &[], outcome("error", "invalid"), "failed Incomplete"),
        (400, &[], String::new(), "stopped Refused"),
    ];
    for (status, headers, body, expected) in cases {
        assert_eq!(&meaning(*status, headers, body), expected, "{status} {headers:?} {body}");
    }
}

#[test]
fn per_cent_in_free_text() {
    for (text, expected) in [
        ("50% complete", Some(50)),
        ("In Progress (24%)", Some(24)),
        ("24 %", Some(24)),
        ("24.7%", Some(24)),
        ("100%", Some(100)),
        ("250%", None),
        ("%", None),
        ("half", None),
        ("file 3 of 12", None),
        ("«7%»", Some(7)),
        ("", None),
    ] {
        assert_eq!(percent(text), expected, "{text}");
    }
}

/// The token goes to where the server says its status is, but not unencrypted to somebody else.
#[test]
fn the_token_goes_along_to_the_status() {
    let server = Url::parse("https://ehr.example/fhir").unwrap();
    for (url, expected) in [
        ("https://ehr.example/status/1", true),
        ("https://status.example/1", true),
        ("http://ehr.example/status/1", false),
    ] {
        let request = status_request(&Url::parse(url).unwrap(), &server, Method::GET);
        assert_eq!(request.credentials, expected, "{url}");
    }
    let local = Url::parse("http://127.0.0.1:8000/fhir").unwrap();
    assert!(status_request(&local.join("/status").unwrap(), &local, Method::GET).credentials);
}
