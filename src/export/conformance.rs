//! What a server says of itself, and what Kiln would send (`kiln export --dry-run`).

mod capability;
mod page;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use self::capability::Capability;
pub use self::capability::OfferedType;
use super::auth::TokenRequest;
use super::auth::discovery::{SmartConfiguration, read};
use super::kick_off::kick_off_request;
use super::request::{KickOff, Level};
use super::settings::{AuthSettings, Settings};
use super::transport::{Failure, Request, Transport};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The report. Nothing in it keeps an export from being tried: servers often say less than they can do, or more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conformance {
    /// The base url that was asked.
    pub server: String,
    /// Whether it answered at all.
    pub reachable: bool,
    /// `fhirVersion` of the CapabilityStatement.
    pub fhir_version: Option<String>,
    /// `software.name` and `software.version`.
    pub software: Option<String>,
    /// Whether `instantiates` names the CapabilityStatement of Bulk Data Access.
    pub declares_bulk_data: bool,
    /// The levels it says it exports: `system`, `patient`, `group`.
    pub operations: Vec<&'static str>,
    /// Where it gives tokens.
    pub token_endpoint: Option<String>,
    /// `token_endpoint_auth_methods_supported`
    pub auth_methods: Vec<String>,
    /// `token_endpoint_auth_signing_alg_values_supported`
    pub algorithms: Vec<String>,
    /// `scopes_supported`
    pub scopes: Vec<String>,
    /// `capabilities`
    pub capabilities: Vec<String>,
    /// The types it offers, and by what `_typeFilter` may choose.
    pub types: Vec<OfferedType>,
    /// What is missing or does not fit the settings.
    pub warnings: Vec<String>,
    /// The request for a token, if one is sent; it is sent at once and again whenever the token ends.
    pub token_request: Option<TokenRequestShown>,
    /// The request for the export.
    pub kick_off: KickOffShown,
}

/// A request for a token, without what proves who sends it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct TokenRequestShown(TokenRequest);

/// A kick-off request, without its secrets and patients.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KickOffShown {
    /// GET or POST.
    pub method: String,
    /// With its parameters.
    pub url: String,
    /// Those of the settings and the token only in words.
    pub headers: BTreeMap<String, String>,
    /// `Parameters`, without `patient`.
    pub body: Option<Value>,
    /// How many patients it names.
    pub patients: usize,
}

/// Reads CapabilityStatement and `.well-known/smart-configuration`; sends no kick-off.
///
/// # Errors
/// Settings that no server can be asked with: keys, secrets, urls. What the server does wrong is in the report.
pub async fn conformance(settings: Settings, clock: Clock) -> Result<Conformance> {
    let transport = Transport::new(&settings, clock)?;
    let server = &settings.request.server;
    transport.wire().allowed(server).map_err(Failure::error)?;
    let mut warnings = Vec::new();

    let statement = statement(&transport, &settings).await;
    let smart =
        read(transport.wire(), settings.request.below(SMART_CONFIGURATION), "application/json")
            .await;
    let reachable = answered(&statement) || answered(&smart);
    let capability = noted(statement, "no CapabilityStatement", &mut warnings);
    let capability = capability.as_ref().map(Capability::of).unwrap_or_default();
    let smart = noted(smart, "no `.well-known/smart-configuration`", &mut warnings);
    let smart = smart.as_ref().map(SmartConfiguration::of).unwrap_or_default();

    let asked = if reachable { transport.authorizer().token_request().await } else { None };
    let token_request = asked.and_then(|asked| noted(asked, "no token", &mut warnings));
    warnings.extend(doubts(&settings, &capability, &smart, token_request.as_ref()));
    warnings.extend(transport.authorizer().warnings());
    Ok(Conformance {
        server: server.to_string(),
        reachable,
        fhir_version: capability.fhir_version,
        software: capability.software,
        declares_bulk_data: capability.declares_bulk_data,
        operations: capability.operations,
        token_endpoint: smart.token_endpoint,
        auth_methods: smart.auth_methods,
        algorithms: smart.algorithms,
        scopes: smart.scopes,
        capabilities: smart.capabilities,
        types: capability.types,
        warnings,
        token_request: token_request.map(TokenRequestShown),
        kick_off: kick_off(&settings, &transport),
    })
}

const SMART_CONFIGURATION: &str = ".well-known/smart-configuration";

/// The CapabilityStatement: mostly open to all, else with the sign-in.
async fn statement(transport: &Transport, settings: &Settings) -> Result<Value, Failure> {
    let url = settings.request.below("metadata");
    match read(transport.wire(), url.clone(), FHIR_JSON).await {
        Err(Failure::Lasting(_)) if !matches!(settings.auth, AuthSettings::None) => {
            transport.read(url, FHIR_JSON).await
        }
        answer => answer,
    }
}

const FHIR_JSON: &str = "application/fhir+json";

/// Whether anything answered, if only to refuse.
fn answered(answer: &Result<Value, Failure>) -> bool {
    !matches!(answer, Err(Failure::Passing(_)))
}

fn noted<T>(answer: Result<T, Failure>, what: &str, warnings: &mut Vec<String>) -> Option<T> {
    answer.map_err(|failure| warnings.push(format!("{what}: {}", Error::from(failure)))).ok()
}

/// What the server's word does not cover of what it will be asked.
fn doubts(
    settings: &Settings,
    capability: &Capability,
    smart: &SmartConfiguration,
    token_request: Option<&TokenRequest>,
) -> Vec<String> {
    let mut doubts = Vec::new();
    if capability.known && !capability.declares_bulk_data {
        doubts.push("`instantiates` does not declare bulk data".to_owned());
    }
    let level = level(&settings.request.level);
    if capability.known && !capability.operations.contains(&level) {
        doubts.push(format!("the CapabilityStatement names no export at the level `{level}`"));
    }
    doubts.extend(capability.unoffered(&settings.request));
    if let Some(TokenRequest { assertion: Some((header, _)), scope, .. }) = token_request {
        let lacks =
            |list: &[String], name: &str| !list.is_empty() && !list.iter().any(|n| n == name);
        if lacks(&smart.auth_methods, "private_key_jwt") {
            doubts.push("`private_key_jwt` is not among the auth methods".to_owned());
        }
        if lacks(&smart.algorithms, header.algorithm()) {
            let algorithm = header.algorithm();
            doubts.push(format!("`{algorithm}` is not among the algorithms for assertions"));
        }
        let missing = super::auth::scopes_not_in(scope, &smart.scopes);
        if !smart.scopes.is_empty() && !missing.is_empty() {
            doubts.push(format!("not among the scopes: `{}`", missing.join(" ")));
        }
    }
    doubts
}

fn level(level: &Level) -> &'static str {
    match level {
        Level::System => "system",
        Level::Patient => "patient",
        Level::Group(_) | Level::GroupNamed(_) => "group",
    }
}

fn kick_off(settings: &Settings, transport: &Transport) -> KickOffShown {
    let asked = &settings.request;
    let group = match &asked.level {
        Level::Group(id) => Some(id.as_str()),
        Level::GroupNamed(_) => Some("id-found-by-name"),
        Level::System | Level::Patient => None,
    };
    let post = match asked.kick_off {
        KickOff::Post => true,
        KickOff::Auto => !asked.patients.is_empty(),
        KickOff::Get => false,
    };
    let request = kick_off_request(asked, group, post);
    let mut headers: BTreeMap<_, _> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let own = settings.headers.keys().map(|name| name.to_ascii_lowercase());
    headers.extend(own.map(|name| (name, "(of the settings)".to_owned())));
    let authorization = transport.authorizer().in_words();
    headers.extend(authorization.map(|words| ("authorization".to_owned(), words)));
    let (body, patients) = body(&request);
    let method = request.method.to_string();
    KickOffShown { method, url: request.url.to_string(), headers, body, patients }
}

/// The `Parameters` of a request, and how many patients were in it.
fn body(request: &Request) -> (Option<Value>, usize) {
    let body = request.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let Some(mut body) = body else { return (None, 0) };
    let Some(parameters) = body["parameter"].as_array_mut() else { return (Some(body), 0) };
    let all = parameters.len();
    parameters.retain(|parameter| parameter["name"] != "patient");
    let patients = all - parameters.len();
    (Some(body), patients)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
