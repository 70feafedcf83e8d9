//! The server does what it says, and its faults are what their names say.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Answer, BulkServer, CLIENT, CLIENT_SECRET, Fault, File, Guide, Packing, Route, Setup, SignIn,
    TestKey, outcome,
};
use crate::support::block_on;

const LINES: usize = 400;

fn patients() -> File {
    let line = |i| json!({ "resourceType": "Patient", "id": format!("p{i}") }).to_string();
    File::output("Patient", "patients", &(0..LINES).map(line).collect::<Vec<_>>())
}

fn client() -> Client {
    let client = Client::builder().redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(2)).build().unwrap()
}

fn kick_off(server: &BulkServer, query: &str) -> RequestBuilder {
    let url = format!("{}/Patient/$export?{query}", server.base());
    client().get(url).header("accept", "application/fhir+json").header("prefer", "respond-async")
}

/// Polls until there is a manifest.
async fn manifest(server: &BulkServer) -> Value {
    let accepted = kick_off(server, "").send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let location = accepted.headers()["content-location"].to_str().unwrap().to_owned();
    loop {
        let poll =
            client().get(&location).header("accept", "application/json").send().await.unwrap();
        if poll.status() == 200 {
            return serde_json::from_slice(&poll.bytes().await.unwrap()).unwrap();
        }
        assert_eq!(
            (poll.status().as_u16(), &poll.headers()["retry-after"]),
            (202, &"10".parse().unwrap())
        );
    }
}

async fn file(server: &BulkServer) -> Response {
    let manifest = manifest(server).await;
    let url = manifest["output"][0]["url"].as_str().unwrap();
    client().get(url).send().await.unwrap()
}

#[test]
fn an_export_as_the_guide_has_it() {
    block_on(async {
        let server = BulkServer::start(Setup::with([patients()])).await;
        let body = file(&server).await.bytes().await.unwrap();
        assert_eq!(body, patients().body);
        let job = format!("{}/jobs/1", server.base());
        for expected in [202, 404] {
            assert_eq!(client().delete(&job).send().await.unwrap().status(), expected);
        }
        let kinds: Vec<_> = server.asked().into_iter().map(|asked| asked.route).collect();
        let file = Route::file("patients");
        let (status, delete) = (Route::Status, Route::Delete);
        let expected =
            [Route::KickOff, status.clone(), status.clone(), status, file, delete.clone(), delete];
        assert_eq!((kinds.as_slice(), server.breaches()), (expected.as_slice(), vec![]));
    });
}

/// Each fault, and what a plain client sees of the file: how many bytes arrive, and whether without an error.
#[test]
fn faults_are_what_they_say() {
    let whole = patients().body.len();
    let cases = [
        (Fault::Chunked, whole, true),
        (Fault::Cut(60), whole * 60 / 100, false),
        (Fault::Unterminated(60), whole * 60 / 100, false),
        (Fault::TooLong(100), whole, false),
        (Fault::Ends(1000), 1000, true),
        (Fault::Stalls(10), whole * 10 / 100, false),
        (Fault::Body(b"x".to_vec()), 1, true),
        (Fault::RedirectElsewhere, 0, true),
    ];
    for (fault, bytes, good) in cases {
        block_on(async {
            let setup = Setup::with([patients()]).fault(Route::file("*"), 1..=1, fault.clone());
            let mut response = file(&BulkServer::start(setup).await).await;
            let (mut arrived, mut ended) = (0, false);
            while let Ok(chunk) = response.chunk().await {
                let Some(chunk) = chunk else {
                    ended = true;
                    break;
                };
                arrived += chunk.len();
            }
            assert_eq!((arrived, ended), (bytes, good), "{fault:?}");
        });
    }
}

#[test]
fn packed_bodies_are_what_they_say() {
    use std::io::Read;
    let cases = [
        (Packing::Gzip, true, true),
        (Packing::Undeclared, false, true),
        (Packing::TwoMembers, true, true),
        (Packing::EmptyMember, true, true),
        (Packing::Truncated, true, false),
        (Packing::Garbage, true, false),
    ];
    for (packing, declared, whole) in cases {
        block_on(async {
            let setup = Setup::with([patients()]);
            let setup = setup.fault(Route::file("*"), 1..=9, Fault::Packed(packing));
            let response = file(&BulkServer::start(setup).await).await;
            assert_eq!(
                response.headers().contains_key("content-encoding"),
                declared,
                "{packing:?}"
            );
            let body = response.bytes().await.unwrap();
            let mut text = Vec::new();
            let read = flate2::read::MultiGzDecoder::new(&*body).read_to_end(&mut text);
            assert_eq!(read.is_ok() && text == patients().body, whole, "{packing:?}");
        });
    }
}

#[test]
fn kick_offs_are_read_strictly() {
    let cases = [
        ("_type=Patient,Condition", 202),
        ("_type=Patient&_type=Condition", 400),
        ("_type=Patience", 400),
        ("_since=2026-01-01T00:00:00Z", 202),
        ("_since=2026-01-01T00:00:00+01:00", 400),
        ("_since=2026-01-01T00:00:00%2B01:00", 202),
        ("_since=2099-01-01T00:00:00Z", 400),
        ("patient=Patient/1", 400),
        ("_outputFormat=application/fhir%2Bndjson", 202),
        ("_unknown=1", 400),
    ];
    block_on(async {
        let server = BulkServer::start(Setup::default()).await;
        for (query, expected) in cases {
            let status = kick_off(&server, query).send().await.unwrap().status();
            assert_eq!(status, expected, "{query}");
        }
        let url = format!("{}/$export", server.base());
        assert_eq!(client().get(url).send().await.unwrap().status(), 400, "no headers");
        assert_eq!(server.breaches().len(), 1);
        let server = BulkServer::start(Setup { guide: Guide::Stu4, ..Setup::default() }).await;
        assert_eq!(kick_off(&server, "").send().await.unwrap().status(), 405);
    });
}

fn assertion(key: &TestKey, claims: &Value) -> String {
    let mut header = jsonwebtoken::Header::new(key.algorithm);
    header.kid = Some(key.kid.to_owned());
    let private = match key.algorithm {
        jsonwebtoken::Algorithm::RS384 => {
            jsonwebtoken::EncodingKey::from_rsa_pem(key.private.as_bytes()).unwrap()
        }
        _ => return String::new(),
    };
    jsonwebtoken::encode(&header, claims, &private).unwrap()
}

async fn token(server: &BulkServer, assertion: &str, scope: &str) -> Response {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("scope", scope)
        .append_pair(
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        )
        .append_pair("client_assertion", assertion)
        .finish();
    let url = server.base().join("/auth/token").unwrap();
    let request = client().post(url).header("content-type", "application/x-www-form-urlencoded");
    request.body(form).send().await.unwrap()
}

/// Changes to a good assertion, with the status they get.
#[test]
fn assertions_are_verified() {
    type Change = fn(&mut Value);
    let key = TestKey::rsa();
    let cases: [(Change, u16); 8] = [
        (|_| {}, 200),
        (|c| c["exp"] = json!(c["exp"].as_i64().unwrap() + 400), 401),
        (|c| c["exp"] = json!(c["exp"].as_i64().unwrap() - 400), 401),
        (|c| c["aud"] = json!("http://127.0.0.1/auth/token"), 401),
        (|c| c["sub"] = json!("somebody"), 401),
        (|c| c["iss"] = json!("somebody"), 401),
        (|c| c["jti"] = json!(""), 401),
        (|c| c["jti"] = json!("first"), 401),
    ];
    block_on(async {
        let setup = Setup::default().sign_in(SignIn::Smart(vec![key.clone()]));
        let server = BulkServer::start(setup).await;
        for (nth, (change, expected)) in cases.into_iter().enumerate() {
            let jti = if nth == 0 { "first".to_owned() } else { format!("{nth}") };
            let mut claims = json!({
                "iss": CLIENT, "sub": CLIENT, "aud": server.base().join("/auth/token").unwrap(),
                "exp": jiff::Timestamp::now().as_second() + 200, "jti": jti,
            });
            change(&mut claims);
            let status =
                token(&server, &assertion(&key, &claims), "system/Patient.read").await.status();
            assert_eq!(status, expected, "{claims}");
        }
        let status = token(&server, "x.y.z", "system/Patient.read").await.status();
        assert_eq!(status, 401);
    });
}

#[test]
fn tokens_open_what_they_are_for_and_only_that() {
    block_on(async {
        let setup = Setup::with([patients()]).sign_in(SignIn::Basic);
        let server = BulkServer::start(setup).await;
        assert_eq!(kick_off(&server, "").send().await.unwrap().status(), 401);
        let url = server.base().join("/auth/token").unwrap();
        let request = client().post(url).basic_auth(CLIENT, Some(CLIENT_SECRET));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body("grant_type=client_credentials").send().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let accepted = kick_off(&server, "").bearer_auth(token).send().await.unwrap();
        assert_eq!((accepted.status(), server.breaches()), (StatusCode::ACCEPTED, vec![]));

        let server = BulkServer::start(Setup::with([patients().elsewhere()])).await;
        let listed = manifest(&server).await;
        let url = listed["output"][0]["url"].as_str().unwrap();
        assert_eq!(client().get(url).bearer_auth("t").send().await.unwrap().status(), 400);
        assert_eq!(client().get(url).send().await.unwrap().status(), 200);
        assert_eq!(server.breaches().len(), 1);
    });
}

#[test]
fn scripts_hit_the_requests_they_name() {
    block_on(async {
        let setup = Setup { polls: 0, ..Setup::default() }
            .fault(
                Route::KickOff,
                2..=3,
                Fault::Instead(outcome(429, "error", "throttled", "busy")),
            )
            .fault(Route::KickOff, 3..=3, Fault::Header("retry-after", "7".into()))
            .fault(Route::Status, 1..=1, Fault::Instead(Answer::text(502, "text/html", "<html>")));
        let server = BulkServer::start(setup).await;
        for (status, wait) in [(202, None), (429, None), (429, Some("7")), (202, None)] {
            let answer = kick_off(&server, "").send().await.unwrap();
            let said = answer.headers().get("retry-after").map(|v| v.to_str().unwrap());
            assert_eq!((answer.status().as_u16(), said), (status, wait));
        }
        let poll =
            client().get(format!("{}/jobs/1", server.base())).header("accept", "application/json");
        assert_eq!(poll.send().await.unwrap().status(), 502);
        assert_eq!(server.parameters().len(), 2);
    });
}
