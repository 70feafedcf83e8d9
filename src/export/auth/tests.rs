//! Tokens: asked for, renewed, refused; against a token endpoint on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::Response;
use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::keygen::keygen;
use super::*;
use crate::clock::Simulated;
use crate::error::ErrorKind;
use crate::export::request::Level;
use crate::export::transport::loopback::{Seen, Server, response, settings};
use crate::export::transport::{Request, Transport};

const SERVER: &str = "/.well-known/smart-configuration";

/// Sign-in with a new key of ours; the JWKS is what a server would know.
fn smart() -> (AuthSettings, JwkSet) {
    let pair = keygen("ES384").unwrap();
    let auth = AuthSettings::Smart {
        client_id: "client".to_owned(),
        key: Secret::Inline(pair.private_jwk),
        key_id: None,
        algorithm: None,
        jwks_url: None,
        token_url: None,
        scopes: Vec::new(),
    };
    (auth, serde_json::from_str(&pair.public_jwks).unwrap())
}

fn json(status: u16, body: &Value) -> Response {
    response(status, &[("content-type", "application/json")], body.to_string())
}

fn configuration(seen: &Seen) -> Response {
    let token = format!("http://{}/token", seen.header("host"));
    json(200, &json!({ "token_endpoint": token }))
}

fn form(seen: &Seen) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect()
}

/// The claims of an assertion that a strict server takes; with the header.
fn claims(seen: &Seen, keys: &JwkSet) -> Value {
    let form = form(seen);
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(form["grant_type"], "client_credentials");
    let assertion = &form["client_assertion"];
    let header = decode_header(assertion).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    decode::<Value>(assertion, &key, &validation).unwrap().claims
}

fn get(server: &Server, path: &str) -> Request {
    let (url, headers) = (server.at(path), HeaderMap::new());
    Request { method: Method::GET, url, headers, body: None, credentials: true }
}

fn simulated() -> (Arc<Simulated>, Clock) {
    let time = Simulated::starting(Timestamp::now());
    (Arc::clone(&time), Clock::Simulated(time))
}

/// A server that answers the token endpoint with each of these in turn (the last again and again) and files if the
/// token is the newest.
async fn server(answers: Vec<(u16, Value)>) -> Server {
    let given = Arc::new(AtomicUsize::new(0));
    Server::answering(move |seen, _| match seen.path.as_str() {
        SERVER => configuration(seen),
        "/token" => {
            let (status, body) =
                &answers[given.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            match body {
                Value::Null => response(*status, &[("retry-after", "7")], "<html>"),
                body => json(*status, body),
            }
        }
        _ => {
            let newest = format!("Bearer t{}", given.load(Ordering::SeqCst));
            response(if seen.header("authorization") == newest { 200 } else { 401 }, &[], "")
        }
    })
    .await
}

fn token(number: usize, more: &Value) -> (u16, Value) {
    let mut body = json!({ "access_token": format!("t{number}"), "token_type": "bearer" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (200, body)
}

fn asked(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.path == "/token").collect()
}

/// Requirements 52 to 57: what the token endpoint is sent, and that every request gets a new `jti`.
#[tokio::test]
async fn assertions_are_what_a_strict_server_takes() {
    let server = server(vec![token(1, &json!({ "expires_in": "300" }))]).await;
    let (auth, keys) = smart();
    let (time, clock) = simulated();
    let mut settings = settings(&server.url);
    settings.auth = auth;
    settings.request.types = vec!["Patient".to_owned(), "Condition".to_owned()];
    settings.request.level = Level::Group("1".to_owned());
    let transport = Transport::new(&settings, clock.clone()).unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        transport.authorizer().authorization().await.unwrap();
        let last = asked(&server).pop().unwrap();
        let claims = claims(&last, &keys);
        assert_eq!(claims["aud"], server.at("/token").as_str());
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("client"), &json!("client")));
        assert_eq!(claims["exp"], time_of(&clock) + 240);
        assert_eq!(
            form(&last)["scope"],
            "system/Patient.read system/Condition.read system/Group.read"
        );
        assert_eq!(last.header("accept"), "application/json");
        assert!(seen.insert(claims["jti"].to_string()));
        clock.wait(Duration::from_secs(271)).await;
    }
    assert_eq!(time.waits().len(), 3, "it waits for nothing itself");
}

fn time_of(clock: &Clock) -> i64 {
    clock.now().as_second()
}

/// Requirement 57, F8: one renewal for requests that fail together, and none before it is due.
#[tokio::test]
async fn parallel_requests_share_one_renewal() {
    let tokens = (1..=9).map(|number| token(number, &json!({ "expires_in": 300 }))).collect();
    let server = server(tokens).await;
    let (auth, keys) = smart();
    let (_, clock) = simulated();
    let mut settings = settings(&server.url);
    settings.auth = auth;
    let transport = Transport::new(&settings, clock.clone()).unwrap();
    let three = async || {
        let request = get(&server, "/file");
        let all = [(); 3].map(|()| transport.send(&request));
        for response in futures::future::join_all(all).await {
            assert_eq!(response.unwrap().status, 200);
        }
        asked(&server).len()
    };
    assert_eq!(three().await, 1, "one token for the first three");
    assert_eq!(three().await, 1, "it is still good");
    clock.wait(Duration::from_secs(269)).await;
    assert_eq!(three().await, 1, "it has more than 30 s left");
    clock.wait(Duration::from_secs(1)).await;
    assert_eq!(three().await, 2, "30 s ahead of its end");
    // Somebody else's sign-in makes the token of this one invalid.
    transport
        .wire()
        .once(&post(&server), crate::export::transport::wire::Along::Nothing)
        .await
        .unwrap();
    assert_eq!(three().await, 4, "three 401, one renewal");
    let jtis: BTreeSet<_> = asked(&server)
        .iter()
        .filter(|seen| !seen.body.is_empty())
        .map(|seen| claims(seen, &keys)["jti"].to_string())
        .collect();
    assert_eq!(jtis.len(), 3);
}

fn post(server: &Server) -> Request {
    Request { method: Method::POST, credentials: false, ..get(server, "/token") }
}

#[tokio::test]
async fn a_401_that_a_new_token_does_not_help_is_a_response() {
    let tokens = vec![token(7, &json!({}))];
    let server = server(tokens).await;
    let mut settings = settings(&server.url);
    settings.auth = smart().0;
    let transport = Transport::new(&settings, Clock::System).unwrap();
    assert_eq!(transport.send(&get(&server, "/file")).await.unwrap().status, 401);
    assert_eq!(asked(&server).len(), 2);
    settings.auth = AuthSettings::Bearer { token: Secret::Inline("t7".into()) };
    let transport = Transport::new(&settings, Clock::System).unwrap();
    let before = server.seen().len();
    assert_eq!(transport.send(&get(&server, "/file")).await.unwrap().status, 401);
    assert_eq!(server.seen().len() - before, 1, "the same token is not sent twice");
}

/// F9 and requirement 54: what is asked for again, with which waits, always with a new assertion.
#[tokio::test]
async fn endpoints_that_fail_for_the_moment_are_asked_again() {
    let good = || token(2, &json!({}));
    let gateway = || (503, Value::Null);
    let oauth = |error: &str| (400, json!({ "error": error }));
    for (name, signed_in_before, answers, requests, waits, kind) in [
        ("gateway", false, vec![gateway(), gateway(), good()], 3, vec![7, 7], None),
        ("busy", false, vec![(429, Value::Null), good()], 2, vec![7], None),
        ("always", false, vec![gateway()], 5, vec![7; 4], Some(ErrorKind::TryLater)),
        (
            "unknown client",
            false,
            vec![oauth("invalid_client")],
            1,
            vec![],
            Some(ErrorKind::Refused),
        ),
        ("bare 400 at first", false, vec![(400, Value::Null)], 1, vec![], Some(ErrorKind::Refused)),
        (
            "bare 400 after a token",
            true,
            vec![good(), (400, Value::Null), good()],
            3,
            vec![7],
            None,
        ),
        ("no token in it", false, vec![(200, json!({}))], 1, vec![], Some(ErrorKind::Refused)),
        ("redirect", false, vec![(302, json!({}))], 1, vec![], Some(ErrorKind::Refused)),
    ] {
        let server = server(answers).await;
        let (auth, keys) = smart();
        let (time, clock) = simulated();
        let mut settings = settings(&server.url);
        settings.auth = auth;
        let transport = Transport::new(&settings, clock).unwrap();
        let authorizer = transport.authorizer();
        if signed_in_before {
            let used = authorizer.authorization().await.unwrap().unwrap();
            authorizer.rejected(&used);
        }
        let failed = authorizer.authorization().await.err();
        assert_eq!(failed.map(|failure| failure.error().kind()), kind, "{name}");
        let expected: Vec<_> = waits.into_iter().map(Duration::from_secs).collect();
        assert_eq!(time.waits(), expected, "{name}");
        let jtis: BTreeSet<_> =
            asked(&server).iter().map(|seen| claims(seen, &keys)["jti"].to_string()).collect();
        assert_eq!((asked(&server).len(), jtis.len()), (requests, requests), "{name}");
    }
}

/// F9: the clock is off by more than a server allows; then the server's counts.
#[tokio::test]
async fn a_wrong_clock_is_corrected_by_the_servers() {
    for (off, requests) in [(120, 2), (-300, 2), (30, 1), (0, 1)] {
        let (auth, keys) = smart();
        let known = keys.clone();
        let server = Server::answering(move |seen, _| {
            if seen.path == SERVER {
                return configuration(seen);
            }
            let exp = claims(seen, &known)["exp"].as_i64().unwrap();
            if (1..=300).contains(&(exp - Timestamp::now().as_second())) {
                json(200, &token(1, &json!({})).1)
            } else {
                json(400, &json!({ "error": "invalid_client" }))
            }
        })
        .await;
        let mut settings = settings(&server.url);
        settings.auth = auth;
        let ours = Timestamp::now() + jiff::SignedDuration::from_secs(off);
        let clock = Clock::Simulated(Simulated::starting(ours));
        let transport = Transport::new(&settings, clock).unwrap();
        transport.authorizer().authorization().await.unwrap();
        assert_eq!(asked(&server).len(), requests, "{off}");
        assert_eq!(transport.authorizer().warnings().len(), requests - 1, "{off}");
    }
}

/// Requirement 59: as BCDA is asked.
#[tokio::test]
async fn a_client_with_a_secret() {
    let server = server(vec![token(1, &json!({ "expires_in": "1200" }))]).await;
    let mut settings = settings(&server.url);
    settings.auth = AuthSettings::Basic {
        client_id: "id".to_owned(),
        client_secret: Secret::Inline("s3cret".into()),
        token_url: None,
        scopes: Vec::new(),
    };
    let transport = Transport::new(&settings, Clock::System).unwrap();
    assert_eq!(transport.send(&get(&server, "/file")).await.unwrap().status, 200);
    let sent = asked(&server).remove(0);
    assert_eq!(sent.header("authorization"), "Basic aWQ6czNjcmV0");
    assert_eq!(sent.header("accept"), "application/json");
    assert_eq!(sent.body, "grant_type=client_credentials");
}

/// The vendor's headers go to the token endpoint only if it is the server's own (Epic wants its there).
#[tokio::test]
async fn the_token_endpoint_of_others_sees_no_headers() {
    let own = server(vec![token(1, &json!({}))]).await;
    let other = server(vec![token(1, &json!({}))]).await;
    for (endpoint, expected) in [(&own, "abc"), (&other, "")] {
        let mut settings = settings(&own.url);
        let (mut auth, _) = smart();
        if let AuthSettings::Smart { token_url, .. } = &mut auth {
            *token_url = Some(endpoint.at("/token").to_string());
        }
        settings.auth = auth;
        settings.headers.insert("Epic-Client-ID".to_owned(), Secret::Inline("abc".into()));
        let transport = Transport::new(&settings, Clock::System).unwrap();
        transport.authorizer().authorization().await.unwrap();
        assert_eq!(asked(endpoint).pop().unwrap().header("epic-client-id"), expected);
    }
}

#[tokio::test]
async fn scopes_fit_what_is_asked_and_what_is_offered() {
    let types = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let both = json!(["permission-v1", "permission-v2"]);
    let v2 = json!(["permission-v2"]);
    for (names, capabilities, granted, sent, warnings) in [
        (types(&[]), &both, None, "system/*.read", 0),
        (types(&[]), &v2, None, "system/*.rs", 0),
        (types(&["Patient"]), &json!(null), None, "system/Patient.read", 0),
        (types(&["Patient", "Patient"]), &v2, Some("system/*.rs"), "system/Patient.rs", 0),
        (
            types(&["Patient", "Group"]),
            &both,
            Some("system/Group.rs"),
            "system/Patient.read system/Group.read",
            1,
        ),
    ] {
        let capabilities = capabilities.clone();
        let server = Server::answering(move |seen, _| match seen.path.as_str() {
            SERVER => {
                let token = format!("http://{}/token", seen.header("host"));
                json(200, &json!({ "token_endpoint": token, "capabilities": capabilities }))
            }
            _ => json(200, &token(1, &json!({ "scope": granted })).1),
        })
        .await;
        let mut settings = settings(&server.url);
        settings.auth = smart().0;
        settings.request.types = names;
        let transport = Transport::new(&settings, Clock::System).unwrap();
        transport.authorizer().authorization().await.unwrap();
        assert_eq!(form(&asked(&server)[0])["scope"], sent);
        assert_eq!(transport.authorizer().warnings().len(), warnings, "{sent}");
    }
}

/// A token that somebody else renews in its file.
#[tokio::test]
async fn a_bearer_token_is_read_again_when_it_is_rejected() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "t1\n").unwrap();
    let path = file.path().to_owned();
    let server = Server::answering(move |seen, _| {
        std::fs::write(&path, "t2\n").unwrap();
        response(if seen.header("authorization") == "Bearer t2" { 200 } else { 401 }, &[], "")
    })
    .await;
    let mut settings = settings(&server.url);
    settings.auth = AuthSettings::Bearer { token: Secret::File { file: file.path().to_owned() } };
    let transport = Transport::new(&settings, Clock::System).unwrap();
    assert_eq!(transport.send(&get(&server, "/file")).await.unwrap().status, 200);
    assert_eq!(server.seen().len(), 2);
}

/// Requirement 52: the CapabilityStatement names the endpoint where nothing else does.
#[tokio::test]
async fn the_token_endpoint_of_old_servers_is_found() {
    for status in [404, 500, 401] {
        let server = Server::answering(move |seen, _| match seen.path.as_str() {
            "/token" => json(200, &token(1, &json!({})).1),
            "/metadata" => {
                let uri = format!("http://{}/token", seen.header("host"));
                let extension = json!([{ "url":
                    "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                    "extension": [{ "url": "token", "valueUri": uri }] }]);
                json(200, &json!({ "rest": [{ "security": { "extension": extension } }] }))
            }
            _ => response(status, &[], ""),
        })
        .await;
        let mut settings = settings(&server.url);
        settings.auth = smart().0;
        let transport = Transport::new(&settings, Clock::System).unwrap();
        transport.authorizer().authorization().await.unwrap();
        assert_eq!(form(&asked(&server)[0])["scope"], "system/*.read", "{status}");
    }
}

/// What fails before a token is asked for says what to change.
#[tokio::test]
async fn token_endpoints_that_are_not_found_or_not_safe() {
    let nothing = Server::answering(|_, _| response(404, &[], "")).await;
    let http = json!({ "token_endpoint": "http://a.example/token" });
    let unsafe_endpoint = Server::answering(move |_, _| json(200, &http)).await;
    let no_url = Server::answering(|_, _| json(200, &json!({ "token_endpoint": "token" }))).await;
    let page = Server::answering(|_, _| response(200, &[], "<html>")).await;
    for (server, said, hint) in [
        (&nothing, "404 Not Found", "token_url"),
        (&unsafe_endpoint, "plain `http`", "https"),
        (&no_url, "no url", "token_url"),
        (&page, "no JSON", "token_url"),
    ] {
        let mut settings = settings(&server.url);
        settings.auth = smart().0;
        let transport = Transport::new(&settings, Clock::System).unwrap();
        let error = transport.send(&get(server, "/file")).await.err().unwrap().error();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.message().contains(said), "{error}");
        assert!(error.remedy().unwrap().contains(hint), "{:?}", error.remedy());
        assert!(!server.seen().iter().any(|seen| seen.path == "/file"));
    }
}

/// F30: neither errors nor Debug show what is sent to the token endpoint.
#[tokio::test]
async fn nothing_secret_is_shown_when_a_token_is_refused() {
    let server = Server::answering(|seen, _| match seen.path.as_str() {
        SERVER => configuration(seen),
        // A server that repeats what it was sent.
        _ => json(
            400,
            &json!({ "error": "invalid_client",
            "error_description": format!("bad {}", form(seen)["client_assertion"]) }),
        ),
    })
    .await;
    let mut settings = settings(&server.url);
    settings.auth = smart().0;
    let transport = Transport::new(&settings, Clock::System).unwrap();
    let failure = transport.authorizer().authorization().await.err().unwrap();
    let assertion = form(&asked(&server)[0])["client_assertion"].clone();
    let shown = format!("{failure:?}");
    assert!(shown.contains("invalid_client: bad …"), "{shown}");
    assert!(!shown.contains(&assertion[..20]), "{shown}");
    assert!(failure.error().remedy().unwrap().contains("registered"));
}
