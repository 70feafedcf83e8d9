//! Requests: what is refused, and what urls of requests mean.

use jiff::Timestamp;
use url::Url;

use super::{ExportRequest, KickOff, Level};
use crate::settings::Mistakes;

fn request(change: impl FnOnce(&mut ExportRequest)) -> ExportRequest {
    let mut request =
        ExportRequest::new(Url::parse("https://ehr.example/fhir").unwrap(), Level::Patient);
    change(&mut request);
    request
}

fn mistakes(request: &ExportRequest) -> Vec<String> {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let mut found = Mistakes::default();
    request.check(false, now, &mut found);
    found
        .0
        .iter()
        .map(|m| format!("{}: {}|{}", m.path, m.message, m.hint.as_deref().unwrap_or("")))
        .collect()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

#[test]
fn what_no_server_understands_is_refused() {
    type Change = fn(&mut ExportRequest);
    let cases: &[(Change, &[&str])] = &[
        (|_| {}, &[]),
        (|r| r.server = Url::parse("http://ehr.example/fhir").unwrap(), &["server: plain `http`"]),
        (|r| r.server = Url::parse("http://127.0.0.1:99/fhir").unwrap(), &[]),
        (|r| r.server = Url::parse("http://localhost/fhir").unwrap(), &[]),
        (|r| r.server = Url::parse("http://[::1]/fhir").unwrap(), &[]),
        (|r| r.server = Url::parse("ftp://ehr.example/").unwrap(), &["server: `ftp` is not"]),
        (
            |r| r.server = Url::parse("https://a:b@ehr.example/").unwrap(),
            &["server: the url carries"],
        ),
        (
            |r| r.server = Url::parse("https://ehr.example/fhir?x=y").unwrap(),
            &["server: the server's url has a query"],
        ),
        (
            |r| r.server = Url::parse("https://ehr.example/fhir/$export").unwrap(),
            &["server: this is the url of an export"],
        ),
        (|r| r.level = Level::Group("Group/7".into()), &["group: `Group/7` is no id"]),
        (|r| r.level = Level::Group("a-1.c-123".into()), &[]),
        (|r| r.since = Some("2026-01-01T00:00:00Z".into()), &[]),
        (|r| r.since = Some("2026-01-01T00:00:00.123+02:00".into()), &[]),
        (|r| r.since = Some("2026-01-01".into()), &["since: `2026-01-01` is no instant"]),
        (
            |r| r.since = Some("2026-01-01T00:00:00".into()),
            &["since: `2026-01-01T00:00:00` is no instant"],
        ),
        (
            |r| r.since = Some("2026-01-01 00:00:00Z".into()),
            &["since: `2026-01-01 00:00:00Z` is no instant"],
        ),
        (
            |r| r.since = Some("2026-11-24T00:00:00Z".into()),
            &["since: `2026-11-24T00:00:00Z` is in the future"],
        ),
        (
            |r| {
                r.since = Some("2026-02-01T00:00:00Z".into());
                r.until = Some("2026-01-01T00:00:00Z".into());
            },
            &["until: `until` is not after `since`"],
        ),
        (
            |r| r.associated_data = vec!["LatestProvenanceResource".into()],
            &[
                "include_associated_data[0]: `LatestProvenanceResource` is no associated data|did you mean `LatestProvenanceResources`?",
            ],
        ),
        (|r| r.associated_data = vec!["_custom".into(), "RelevantProvenanceResources".into()], &[]),
        (
            |r| r.organize_by = Some("patient".into()),
            &["organize_output_by: `patient` is no resource type|did you mean `Patient`?"],
        ),
        (|r| r.patients = vec!["Patient/1".into()], &[]),
        (
            |r| {
                r.patients = vec!["Patient/1".into(), "Jane Doe".into()];
                r.level = Level::System;
                r.kick_off = KickOff::Get;
            },
            &[
                "patients: a system export",
                "kickoff: `patients`",
                "patients[1]: this is no reference",
            ],
        ),
        (
            |r| drop(r.parameters.insert("_since".into(), "x".into())),
            &["parameters._since: `_since` has a setting of its own|write `since`"],
        ),
        (|r| drop(r.parameters.insert("_container".into(), "x".into())), &[]),
    ];
    for (change, expected) in cases {
        let found = mistakes(&request(change));
        assert_eq!(found.len(), expected.len(), "{found:?} instead of {expected:?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{found} instead of {expected}");
        }
    }
}

#[test]
fn filters_are_searches_of_exported_types() {
    let filters: &[(&[&str], &[&str], usize)] = &[
        (&["Observation"], &["Observation?code=a,b"], 0),
        (&[], &["Observation?code=1"], 0),
        (&["Patient"], &["Observation?code=1"], 1),
        (&[], &["Observation"], 1),
        (&[], &["Observation?"], 1),
        (&[], &["observation?code=1"], 1),
        (&[], &["Observation?_include=Observation:subject&_sort=date&code=1"], 2),
        (&[], &["Observation?_include:iterate=x&_elements=id"], 2),
    ];
    for (types, type_filters, count) in filters {
        let found = mistakes(&request(|r| {
            r.types = strings(types);
            r.type_filters = strings(type_filters);
        }));
        assert_eq!(found.len(), *count, "{type_filters:?}: {found:?}");
    }
}

#[test]
fn types_and_elements_have_a_form() {
    for (name, suggestion) in [
        ("patient", "Patient"),
        ("Observation ", "Observation"),
        ("Médication", "Medication"),
        ("", ""),
    ] {
        let found = mistakes(&request(|r| r.types = strings(&[name])));
        let hint = if suggestion.is_empty() {
            String::new()
        } else {
            format!("did you mean `{suggestion}`?")
        };
        assert_eq!(found, [format!("types[0]: `{name}` is no resource type|{hint}")]);
    }
    for (element, count) in [
        ("id", 0),
        ("Patient.name", 0),
        ("Observation.value[x]", 0),
        ("Patient.name.family", 1),
        ("Name", 1),
    ] {
        let found = mistakes(&request(|r| r.elements = strings(&[element])));
        assert_eq!(found.len(), count, "{element}: {found:?}");
    }
}

#[test]
fn texts_of_patients_are_not_repeated() {
    let found = mistakes(&request(|r| r.patients = vec!["Jane Doe".into()]));
    assert!(found.iter().all(|m| !m.contains("Jane")), "{found:?}");
}

#[test]
fn urls_of_requests_are_understood() {
    let base = "https://ehr.example/fhir";
    for (url, level) in [
        ("https://ehr.example/fhir", Level::Patient),
        ("https://ehr.example/fhir/", Level::Patient),
        ("https://ehr.example/fhir/$export", Level::System),
        ("https://ehr.example/fhir/%24export", Level::System),
        ("https://ehr.example/fhir/Patient/$export", Level::Patient),
        ("https://ehr.example/fhir/Group/all/$export", Level::Group("all".into())),
        ("https://ehr.example/fhir/Group/all", Level::Group("all".into())),
        ("https://ehr.example/fhir/Patient", Level::Patient),
    ] {
        let found = ExportRequest::from_url(url).unwrap();
        assert_eq!((found.server.as_str(), found.level), (base, level), "{url}");
    }
    let root = ExportRequest::from_url("https://ehr.example/Group/g.1/$export").unwrap();
    assert_eq!(root.below("Patient/$export").as_str(), "https://ehr.example/Patient/$export");
    for text in ["", "ehr.example/fhir", "mailto:a@b.c"] {
        assert!(ExportRequest::from_url(text).is_err(), "{text}");
    }
}

#[test]
fn the_query_of_a_url_is_taken_over() {
    let url = "https://ehr.example/fhir/$export?_type=Patient,Observation&_type=Condition\
        &_typeFilter=Observation%3Fcode%3Da%2Cb,Condition%3Fcode%3Dc%252Cd&_since=2026-01-01T00:00:00%2B01:00\
        &_elements=id,Patient.name&includeAssociatedData=LatestProvenanceResources&patient=7,Patient/8\
        &allowPartialManifests=true&_container=box";
    let found = ExportRequest::from_url(url).unwrap();
    assert_eq!(found.types, ["Patient", "Observation", "Condition"]);
    assert_eq!(found.type_filters, ["Observation?code=a,b", "Condition?code=c,d"]);
    assert_eq!(found.since.as_deref(), Some("2026-01-01T00:00:00+01:00"));
    assert_eq!(found.elements, ["id", "Patient.name"]);
    assert_eq!(found.patients, ["Patient/7", "Patient/8"]);
    assert!(found.partial_manifests);
    assert_eq!(found.parameters["_container"], "box");
}
