//! The report, against servers on loopback.

use serde_json::json;

use super::*;
use crate::export::auth::keygen::keygen;
use crate::export::transport::loopback::{Seen, Server, response, settings};
use crate::settings::Secret;

fn smart_settings(server: &Server) -> Settings {
    let mut settings = settings(&server.at("/fhir"));
    settings.auth = AuthSettings::Smart {
        client_id: "client".to_owned(),
        key: Secret::Inline(keygen("ES384").unwrap().private_jwk),
        key_id: None,
        algorithm: None,
        jwks_url: None,
        token_url: None,
        scopes: Vec::new(),
    };
    settings.headers.insert("Epic-Client-ID".to_owned(), Secret::Inline("s3cret".into()));
    settings.request.types = vec!["Patient".to_owned(), "Device".to_owned()];
    settings.request.type_filters = vec!["Patient?gender=female&phone=1".to_owned()];
    settings
}

/// A server that says a good deal, or (`bare`) as little as it may.
fn says(seen: &Seen, bare: bool) -> axum::response::Response {
    let token = format!("http://{}/token", seen.header("host"));
    let export = json!([{ "name": "export" }]);
    let body = match (seen.path.as_str(), bare) {
        ("/fhir/metadata", true) => json!({ "resourceType": "CapabilityStatement" }),
        ("/fhir/metadata", false) => json!({
            "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
            "software": { "name": "Test", "version": "2" },
            "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
            "rest": [{ "operation": export, "resource":
                [{ "type": "Patient", "searchParam": [{ "name": "gender" }] }] }] }),
        ("/fhir/.well-known/smart-configuration", true) => json!({ "token_endpoint": token }),
        ("/fhir/.well-known/smart-configuration", false) => json!({
            "token_endpoint": token, "capabilities": ["permission-v2"],
            "scopes_supported": ["system/Patient.rs"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384"] }),
        _ => return response(404, &[], ""),
    };
    response(200, &[], body.to_string())
}

#[tokio::test]
async fn what_the_server_says_and_what_would_be_sent() {
    let server = Server::answering(|seen, _| says(seen, false)).await;
    let report = conformance(smart_settings(&server), Clock::System).await.unwrap();
    assert!(report.reachable && report.declares_bulk_data);
    assert_eq!(report.operations, ["system"]);
    assert_eq!(
        report.warnings,
        [
            "the type `Device` is not offered",
            "`_typeFilter` uses `phone`, which `Patient` does not offer",
            "`private_key_jwt` is not among the auth methods",
            "`ES384` is not among the algorithms for assertions",
            "not among the scopes: `system/Device.rs`",
        ]
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["tokenRequest"]["scope"], "system/Patient.rs system/Device.rs");
    assert_eq!(json["tokenRequest"]["assertion"][1]["aud"], server.at("/token").as_str());
    assert_eq!(json["kickOff"]["method"], "GET");
    assert!(json["kickOff"]["url"].as_str().unwrap().contains("/fhir/$export?"));
    let page = report.to_string();
    for line in [
        "bulk data       declared",
        "  Patient  gender",
        "  authorization: Bearer (signed in as `client`)",
        "  epic-client-id: (of the settings)",
        "  scope: system/Patient.rs system/Device.rs",
        "  the type `Device` is not offered",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(!format!("{page}{json}").contains("s3cret"));
    let asked: Vec<_> = server.seen().into_iter().map(|seen| (seen.method, seen.path)).collect();
    assert!(asked.iter().all(|(method, path)| method == "GET" && !path.contains("export")));
    assert!(!server.seen().iter().any(|seen| seen.headers.contains_key("authorization")));
}

#[tokio::test]
async fn a_server_that_says_little_is_reported_and_not_refused() {
    let server = Server::answering(|seen, _| says(seen, true)).await;
    let mut settings = settings(&server.at("/fhir"));
    settings.request.level = Level::Group("1".to_owned());
    settings.request.patients = vec!["Patient/s3cret".to_owned(), "Patient/2".to_owned()];
    let report = conformance(settings, Clock::System).await.unwrap();
    assert_eq!(
        report.warnings,
        [
            "`instantiates` does not declare bulk data",
            "the CapabilityStatement names no export at the level `group`",
        ]
    );
    assert_eq!((report.kick_off.method.as_str(), report.kick_off.patients), ("POST", 2));
    assert!(report.token_request.is_none());
    let page = report.to_string();
    assert!(page.contains("/fhir/Group/1/$export") && page.contains("2 patients, not shown"));
    assert!(!format!("{page}{}", serde_json::to_string(&report).unwrap()).contains("s3cret"));
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses() {
    let refuses = Server::answering(|_, _| response(403, &[], "")).await;
    for (server, reachable, warnings) in
        [(refuses.url.clone(), true, 2), ("http://127.0.0.1:1/".parse().unwrap(), false, 2)]
    {
        let report = conformance(settings(&server), Clock::System).await.unwrap();
        assert_eq!((report.reachable, report.warnings.len()), (reachable, warnings), "{report}");
        assert!(report.to_string().contains("\nkick-off\n"));
    }
    let plain = conformance(settings(&"http://a.example".parse().unwrap()), Clock::System).await;
    assert!(plain.err().unwrap().message().contains("plain `http`"));
}
