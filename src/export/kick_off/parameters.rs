//! The parameters of a kick-off, in the url or as a Parameters resource (Bulk Data Access, "Query Parameters").

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

use crate::export::request::{ExportRequest, Level, instant};
use crate::export::transport::Request;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A value, by its FHIR type in Parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// One text.
    Text(String),
    /// An instant.
    Instant(String),
    /// True.
    Yes,
    /// Several: in a url one comma list, since servers take the first of repeats only (requirement 14); in Parameters
    /// repeats, since 4.0 knows no lists.
    List(Vec<String>),
    /// Several that are repeated everywhere: they may hold commas.
    Repeated(Vec<String>),
    /// References, which no url may hold.
    References(Vec<String>),
}

/// The kick-off. `group` is the id for both group levels; `post` whether the parameters go as a resource.
pub(in crate::export) fn kick_off_request(
    request: &ExportRequest,
    group: Option<&str>,
    post: bool,
) -> Request {
    let path = match (&request.level, group) {
        (Level::System, _) => "$export".to_owned(),
        (Level::Patient, _) => "Patient/$export".to_owned(),
        (Level::Group(id), None) => format!("Group/{id}/$export"),
        (Level::Group(_) | Level::GroupNamed(_), id) => {
            format!("Group/{}/$export", id.unwrap_or_default())
        }
    };
    let mut url = request.below(&path);
    let mut headers = HeaderMap::from_iter([(ACCEPT, FHIR_JSON), (PREFER, preference(request))]);
    let parameters = of(request);
    if post {
        headers.insert(CONTENT_TYPE, FHIR_JSON);
        let body = Bytes::from(resource(&parameters).to_string());
        return Request { method: Method::POST, url, headers, body: Some(body), credentials: true };
    }
    let query = query(&parameters);
    url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    Request { method: Method::GET, url, headers, body: None, credentials: true }
}

/// `Prefer`: one header, for servers that compare it as a text.
fn preference(request: &ExportRequest) -> HeaderValue {
    HeaderValue::from_static(match (request.lenient, request.separate_status) {
        (false, false) => "respond-async",
        (true, false) => "respond-async, handling=lenient",
        (false, true) => "respond-async, separate-export-status",
        (true, true) => "respond-async, handling=lenient, separate-export-status",
    })
}

/// What is sent, in the order of the guide.
pub(super) fn of(request: &ExportRequest) -> Vec<(String, Given)> {
    let list = |list: &[String]| (!list.is_empty()).then(|| Given::List(list.to_vec()));
    let text = |text: &Option<String>| text.clone().map(Given::Text);
    let time = |text: &Option<String>| text.as_deref().map(utc).map(Given::Instant);
    // A comma would end the filter where servers split lists; they decode it after that (requirement 18).
    let filters: Vec<_> = request.type_filters.iter().map(|f| f.replace(',', "%2C")).collect();
    let known = [
        ("_outputFormat", text(&request.output_format)),
        ("_since", time(&request.since)),
        ("_until", time(&request.until)),
        ("_type", list(&request.types)),
        ("_elements", list(&request.elements)),
        ("patient", some(&request.patients).map(Given::References)),
        ("includeAssociatedData", list(&request.associated_data)),
        ("_typeFilter", some(&filters).map(Given::Repeated)),
        ("organizeOutputBy", text(&request.organize_by)),
        ("allowPartialManifests", request.partial_manifests.then_some(Given::Yes)),
    ];
    let known = known.into_iter().filter_map(|(name, given)| Some((name.to_owned(), given?)));
    let own =
        request.parameters.iter().map(|(name, value)| (name.clone(), Given::Text(value.clone())));
    known.chain(own).collect()
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// An instant in UTC, by `Z`: a `+` is a space to servers that do not decode carefully (requirement 13).
fn utc(text: &str) -> String {
    match instant(text) {
        Some(time) if !text.ends_with('Z') => time.to_string(),
        _ => text.to_owned(),
    }
}

/// The query of a url.
fn query(parameters: &[(String, Given)]) -> String {
    let pair = |name: &str, value: &str| format!("{}={}", encoded(name), encoded(value));
    let pairs = parameters.iter().flat_map(|(name, given)| match given {
        Given::Text(value) | Given::Instant(value) => vec![pair(name, value)],
        Given::Yes => vec![pair(name, "true")],
        // The commas of a list stay: a server that splits before it decodes sees them too.
        Given::List(list) => {
            let list: Vec<_> = list.iter().map(|value| encoded(value)).collect();
            vec![format!("{}={}", encoded(name), list.join(","))]
        }
        Given::Repeated(list) => list.iter().map(|value| pair(name, value)).collect(),
        Given::References(list) => vec![pair(name, &list.join(","))],
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encoded, a space too: `+` means one in forms only.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The Parameters resource.
fn resource(parameters: &[(String, Given)]) -> Value {
    let mut list = Vec::new();
    for (name, given) in parameters {
        let mut add = |key: &str, value: Value| list.push(json!({ "name": name, key: value }));
        match given {
            Given::Text(value) => add("valueString", json!(value)),
            Given::Instant(value) => add("valueInstant", json!(value)),
            Given::Yes => add("valueBoolean", json!(true)),
            Given::List(values) | Given::Repeated(values) => {
                for value in values {
                    add("valueString", json!(value));
                }
            }
            Given::References(values) => {
                for value in values {
                    add("valueReference", json!({ "reference": value }));
                }
            }
        }
    }
    if list.is_empty() {
        // An empty list is not allowed in FHIR.
        return json!({ "resourceType": "Parameters" });
    }
    json!({ "resourceType": "Parameters", "parameter": list })
}

/// The parameters for the log: never `patient`, and of the server's own, which may be secrets, the names alone.
pub(super) fn loggable(request: &ExportRequest) -> Value {
    let mut shown = Map::new();
    for (name, given) in of(request) {
        let value = match given {
            Given::References(_) => continue,
            _ if request.parameters.contains_key(&name) => "…".to_owned(),
            Given::Text(value) | Given::Instant(value) => value,
            Given::Yes => "true".to_owned(),
            Given::List(list) | Given::Repeated(list) => list.join(","),
        };
        shown.insert(name, Value::String(value));
    }
    Value::Object(shown)
}

/// The setting that a parameter comes from.
pub(super) fn setting_of(parameter: &str) -> String {
    match parameter {
        "_outputFormat" => "output_format",
        "_since" => "since",
        "_until" => "until",
        "_type" => "types",
        "_elements" => "elements",
        "patient" => "patients",
        "includeAssociatedData" => "include_associated_data",
        "_typeFilter" => "type_filters",
        "organizeOutputBy" => "organize_output_by",
        "allowPartialManifests" => "allow_partial_manifests",
        own => return format!("parameters.{own}"),
    }
    .to_owned()
}
