//! Finds the token endpoint and what the server says of signing in (SMART App Launch 2.2, "Conformance").

use serde_json::Value;
use url::Url;

use crate::error::{Error, ErrorKind};
use crate::export::request::ExportRequest;
use crate::export::transport::wire::{Along, Wire};
use crate::export::transport::{Failure, json_of, json_request};

/// What a server says of itself in `.well-known/smart-configuration`; nothing of it is required, since few servers say
/// all of it rightly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::export) struct SmartConfiguration {
    /// `token_endpoint`, as written: assertions name it in `aud`.
    pub(in crate::export) token_endpoint: Option<String>,
    /// `token_endpoint_auth_methods_supported`
    pub(in crate::export) auth_methods: Vec<String>,
    /// `token_endpoint_auth_signing_alg_values_supported`
    pub(in crate::export) algorithms: Vec<String>,
    /// `scopes_supported`
    pub(in crate::export) scopes: Vec<String>,
    /// `capabilities`
    pub(in crate::export) capabilities: Vec<String>,
}

impl SmartConfiguration {
    /// Of the JSON that the server gives.
    pub(in crate::export) fn of(json: &Value) -> Self {
        Self {
            token_endpoint: json["token_endpoint"].as_str().map(str::to_owned),
            auth_methods: texts(&json["token_endpoint_auth_methods_supported"]),
            algorithms: texts(&json["token_endpoint_auth_signing_alg_values_supported"]),
            scopes: texts(&json["scopes_supported"]),
            capabilities: texts(&json["capabilities"]),
        }
    }
}

/// The texts of an array; one text alone is an array of it.
fn texts(json: &Value) -> Vec<String> {
    match json {
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(one) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// Reads `.well-known/smart-configuration`. If there is none, the extension `oauth-uris` of the CapabilityStatement may
/// name the token endpoint, as it did in SMART 1.0.
pub(in crate::export) async fn discover(
    wire: &Wire,
    request: &ExportRequest,
) -> Result<SmartConfiguration, Failure> {
    let asked = read(wire, request.below(".well-known/smart-configuration"), JSON).await;
    let asked = asked.map(|json| SmartConfiguration::of(&json));
    if matches!(&asked, Ok(found) if found.token_endpoint.is_some()) {
        return asked;
    }
    // Whatever went wrong: servers answer with 500, too, at paths that they do not know.
    let statement = read(wire, request.below("metadata"), FHIR_JSON).await;
    let statement = statement.map(|statement| oauth_token_uri(&statement));
    let error = match (asked, statement) {
        (_, Ok(Some(endpoint))) => {
            let token_endpoint = Some(endpoint);
            return Ok(SmartConfiguration { token_endpoint, ..SmartConfiguration::default() });
        }
        (Err(Failure::Passing(error)), _) | (_, Err(Failure::Passing(error))) => {
            return Err(Failure::Passing(error));
        }
        (Err(Failure::Lasting(error)), _) => error,
        (Ok(_), _) => {
            let message = "the server does not say where tokens are given";
            Error::new(ErrorKind::Refused, message).at("server", &request.server)
        }
    };
    Err(Failure::Lasting(error.hint("correct the server's base url, or set `token_url`")))
}

const JSON: &str = "application/json";
const FHIR_JSON: &str = "application/fhir+json";

/// A JSON document of the server's, asked for with the settings' headers and without a token.
pub(in crate::export) async fn read(
    wire: &Wire,
    url: Url,
    accept: &'static str,
) -> Result<Value, Failure> {
    let request = json_request(url, accept);
    let response = wire.follow(&request, Along::Headers).await?.response;
    json_of(&request, response).await
}

const OAUTH_URIS: &str = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";

/// `rest.security.extension(oauth-uris).extension(token).valueUri`
fn oauth_token_uri(statement: &Value) -> Option<String> {
    let all = |json: &Value, name: &str| json[name].as_array().cloned().unwrap_or_default();
    let uris = all(statement, "rest")
        .into_iter()
        .flat_map(|rest| all(&rest["security"], "extension"))
        .filter(|extension| extension["url"] == OAUTH_URIS)
        .flat_map(|extension| all(&extension, "extension"));
    uris.filter(|uri| uri["url"] == "token")
        .find_map(|uri| uri["valueUri"].as_str().map(str::to_owned))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_are_read_tolerantly() {
        let url = "https://a.example/token";
        let found = SmartConfiguration {
            token_endpoint: Some(url.to_owned()),
            ..SmartConfiguration::default()
        };
        let v2 = vec!["permission-v2".to_owned()];
        for (json, expected) in [
            (json!({}), SmartConfiguration::default()),
            (json!([]), SmartConfiguration::default()),
            (json!({ "token_endpoint": url, "capabilities": null }), found.clone()),
            (
                json!({ "token_endpoint": url, "capabilities": ["permission-v2", 5], "x": {} }),
                SmartConfiguration { capabilities: v2.clone(), ..found.clone() },
            ),
            (
                json!({ "token_endpoint": url, "capabilities": "permission-v2" }),
                SmartConfiguration { capabilities: v2, ..found },
            ),
        ] {
            assert_eq!(SmartConfiguration::of(&json), expected, "{json}");
        }
    }

    #[test]
    fn the_capability_statement_may_name_the_token_endpoint() {
        let token = json!({ "url": "token", "valueUri": "https://a.example/token" });
        let statement = |url: &str, uri: &Value| {
            let authorize = json!({ "url": "authorize", "valueUri": "https://a.example/auth" });
            let extension = json!([{ "url": url, "extension": [authorize, uri] }]);
            json!({ "rest": [{}, { "security": { "extension": extension } }] })
        };
        for (json, expected) in [
            (statement(OAUTH_URIS, &token), Some("https://a.example/token")),
            (statement("http://other", &token), None),
            (statement(OAUTH_URIS, &json!({ "url": "token" })), None),
            (json!({ "rest": null }), None),
            (json!([]), None),
        ] {
            assert_eq!(oauth_token_uri(&json).as_deref(), expected, "{json}");
        }
    }
}
