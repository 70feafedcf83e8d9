//! Manifests of all versions, and of servers that do not quite keep to one.

use serde_json::{Value, json};
use url::Url;

use super::*;

fn at() -> Url {
    Url::parse("https://ehr.example/fhir/status/7?page=1").unwrap()
}

fn read(value: &Value) -> Page {
    Page::read(value, &at()).unwrap_or_else(|e| panic!("{value}: {e}"))
}

/// F21: forms that differ from version to version, or that servers get wrong.
#[test]
fn every_form_is_understood() {
    let file = |url: &str| json!({"type": "Patient", "url": url});
    for (page, outputs, deleted, errors) in [
        (json!({"transactionTime": "x", "output": []}), 0, 0, 0),
        (json!({"transactionTime": "x", "output": null, "error": null, "deleted": null}), 0, 0, 0),
        (json!({"output": [file("a")], "JobID": 7, "extension": {"a": 1}}), 1, 0, 0),
        (json!({"output": [file("a")], "error": [file("e")], "deleted": [file("d")]}), 1, 1, 1),
        (json!({"output": [], "outcome": [file("e"), file("f")], "extension": []}), 0, 0, 2),
        (json!({"output": [file("a"), null]}), 1, 0, 0),
    ] {
        let found = read(&page);
        let counts = (found.output.len(), found.deleted.len(), found.error.len());
        assert_eq!(counts, (outputs, deleted, errors), "{page}");
    }
    for page in [
        json!({}),
        json!([]),
        json!("done"),
        json!({"resourceType": "OperationOutcome", "output": []}),
        json!({"output": {}}),
        json!({"output": [{"type": "Patient"}]}),
        json!({"output": [{"url": "s3://bucket/a"}]}),
        json!({"output": [{"url": "file:///etc/passwd"}]}),
    ] {
        let error = Page::read(&page, &at()).expect_err(&page.to_string());
        assert_eq!(error.kind(), ErrorKind::Incomplete);
    }
}

#[test]
fn urls_are_resolved_against_the_page() {
    for (url, expected) in [
        ("https://files.example/a?sig=x", "https://files.example/a?sig=x"),
        ("Patient.ndjson", "https://ehr.example/fhir/status/Patient.ndjson"),
        ("/files/1", "https://ehr.example/files/1"),
        ("//cdn.example/1", "https://cdn.example/1"),
    ] {
        let page =
            read(&json!({"output": [{"url": url}], "link": [{"relation": "next", "url": url}]}));
        assert_eq!(page.output[0].url.as_str(), expected);
        assert_eq!(page.next.unwrap().as_str(), expected);
    }
    for link in [
        json!(null),
        json!([]),
        json!([{"relation": "self", "url": "a"}]),
        json!([{"relation": "next", "url": "#pending"}]),
    ] {
        assert_eq!(read(&json!({"output": [], "link": link})).next, None, "{link}");
    }
}

#[test]
fn counts_sizes_and_checksums_in_all_spellings() {
    let dpc = json!([
        {"url": "https://dpc.cms.gov/checksum", "valueString": "sha256:8b"},
        {"url": "https://dpc.cms.gov/file_length", "valueDecimal": 2468},
    ]);
    for (entry, count, size, checksum) in [
        (json!({"url": "a"}), None, None, None),
        (json!({"url": "a", "count": 7, "fileSize": 9}), Some(7), Some(9), None),
        (json!({"url": "a", "count": "7"}), Some(7), None, None),
        (json!({"url": "a", "count": 7.0}), Some(7), None, None),
        (json!({"url": "a", "count": -1}), None, None, None),
        (json!({"url": "a", "count": null}), None, None, None),
        (json!({"url": "a", "extension": dpc}), None, Some(2468), Some("sha256:8b")),
        (
            json!({"url": "a", "extension": {"checksum": "sha256:8b", "file_length": 3}}),
            None,
            Some(3),
            Some("sha256:8b"),
        ),
    ] {
        let page = read(&json!({"output": [entry]}));
        let found = &page.output[0];
        assert_eq!(
            (found.count, found.size, found.checksum.as_deref()),
            (count, size, checksum),
            "{entry}"
        );
    }
}

/// F10: the token goes where the manifest says; where it says nothing, to the server's own origin.
#[test]
fn the_token_goes_only_where_the_manifest_says() {
    let server = Url::parse("https://ehr.example/fhir").unwrap();
    for (requires, url, credentials) in [
        (json!(true), "https://ehr.example/f", true),
        (json!(true), "https://files.example/f", true),
        (json!("true"), "https://ehr.example/f", true),
        (json!(false), "https://ehr.example/f", false),
        (json!(null), "https://ehr.example/f", true),
        (json!(null), "https://ehr.example:8443/f", false),
        (json!(null), "https://files.example/f", false),
        (json!(true), "http://ehr.example/f", false),
    ] {
        let page = read(&json!({"output": [{"url": url}], "requiresAccessToken": requires}));
        let wanted = page.wanted(Section::Output, 0, 3, &server);
        assert_eq!((wanted.credentials, wanted.index), (credentials, 3), "{requires} {url}");
    }
}

#[test]
fn organised_files_are_known() {
    for (by, organized) in [(json!("Patient"), true), (json!(""), false), (json!(null), false)] {
        let page =
            json!({"output": [{"url": "a"}], "error": [{"url": "e"}], "outputOrganizedBy": by});
        let (page, server) = (read(&page), at());
        assert_eq!(page.wanted(Section::Output, 0, 0, &server).organized, organized, "{by}");
        assert!(!page.wanted(Section::Error, 0, 0, &server).organized);
    }
}

/// What real servers sent; also the reference server's partial page.
#[test]
fn the_samples_are_read() {
    let page = json!({"transactionTime": "2026-11-23T04:38:28+00:00", "request": "http://127.0.0.1:9443/x/fhir/Patient/$export?allowPartialManifests=true",
        "requiresAccessToken": false, "outputOrganizedBy": "", "deleted": [], "error": [],
        "output": [{"url": "http://127.0.0.1:9443/x/fhir/bulkfiles/8.Claim.ndjson", "count": 500, "type": "Claim", "continuesInFile": "9.Claim.ndjson"}],
        "link": [{"relation": "next", "url": "http://127.0.0.1:9443/fhir/bulkstatus/c7?page=2"}]});
    let found = read(&page);
    assert_eq!(found.transaction_time.as_deref(), Some("2026-11-23T04:38:28+00:00"));
    assert_eq!(
        (found.requires_token, found.organized, found.output[0].count),
        (Some(false), false, Some(500))
    );
    assert_eq!(found.next.unwrap().query(), Some("page=2"));
}
