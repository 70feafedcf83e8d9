//! Token rule, redirects and bodies, against servers on loopback.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::loopback::{Server, raw, response, settings};
use super::*;
use crate::export::settings::AuthSettings;
use crate::settings::Secret;

fn get(url: Url, credentials: bool) -> Request {
    Request { method: Method::GET, url, headers: HeaderMap::new(), body: None, credentials }
}

/// A transport with a token and a header of the vendor's.
fn signed_in(server: &Url) -> Transport {
    let mut settings = settings(server);
    settings.auth = AuthSettings::Bearer { token: Secret::Inline("s3cret".into()) };
    settings.headers.insert("Epic-Client-ID".to_owned(), Secret::Inline("abc".into()));
    Transport::new(&settings, Clock::System).unwrap()
}

fn message(failure: Failure) -> String {
    failure.error().message().to_owned()
}

/// Requirements 34, 44 and 49; F10 and F11: who sees the token and the vendor's headers.
#[tokio::test]
async fn credentials_reach_only_the_origin_they_are_for() {
    let other = Server::answering(|seen, _| match seen.path.as_str() {
        "/back" => response(307, &[("location", seen.header("x-back"))], ""),
        _ => response(200, &[], "other"),
    })
    .await;
    let away = other.url.to_string();
    let back = other.at("/back").to_string();
    let first = Server::answering(move |seen, _| match seen.path.as_str() {
        "/stay" => response(302, &[("location", "file")], ""),
        "/away" => response(307, &[("location", &away)], ""),
        "/away-and-back" => response(308, &[("location", &back)], ""),
        _ => response(200, &[], "first"),
    })
    .await;
    let transport = signed_in(&first.url);
    for (path, credentials, body, at_first, at_other) in [
        ("/file", true, "first", "yes", ""),
        ("/file", false, "first", "no", ""),
        ("/stay", true, "first", "yes yes", ""),
        ("/stay", false, "first", "no no", ""),
        ("/away", true, "other", "yes", "no"),
        ("/away", false, "other", "no", "no"),
        ("/away-and-back", true, "first", "yes no", "no"),
    ] {
        let before = (first.seen().len(), other.seen().len());
        let mut request = get(first.at(path), credentials);
        request.headers.insert("x-back", first.at("/file").as_str().parse().unwrap());
        let response = transport.send(&request).await.unwrap();
        assert_eq!(response.body(100).await.unwrap(), body, "{path}");
        let told = |server: &Server, from: usize| {
            let seen = server.seen();
            let told: Vec<_> = seen[from..]
                .iter()
                .map(|seen| match (seen.header("authorization"), seen.header("epic-client-id")) {
                    ("Bearer s3cret", "abc") => "yes",
                    ("", "") => "no",
                    half => panic!("{path}: {half:?}"),
                })
                .collect();
            told.join(" ")
        };
        assert_eq!(told(&first, before.0), at_first, "{path} {credentials}");
        assert_eq!(told(&other, before.1), at_other, "{path} {credentials}");
    }
}

#[tokio::test]
async fn redirects_that_lead_nowhere_good_are_refused() {
    let other = Server::answering(|_, _| response(200, &[], "")).await;
    let away = other.url.to_string();
    let server = Server::answering(move |seen, count| {
        let target = match seen.path.as_str() {
            "/circle" => "/circle".to_owned(),
            "/endless" | "/next" => format!("/next?{count}"),
            path if path.starts_with("/next") => format!("/next?{count}"),
            "/http" => "http://a.example/file?sig=s3cret".to_owned(),
            "/ftp" => "ftp://a.example/".to_owned(),
            _ => away.clone(),
        };
        response(307, &[("location", &target)], "")
    })
    .await;
    let transport = signed_in(&server.url);
    for (path, body, expected) in [
        ("/circle", None, "the server redirects in a circle"),
        ("/endless", None, "the server redirects more than 5 times"),
        ("/http", None, "plain `http` would show token and data to everybody on the way"),
        ("/ftp", None, "only `https` urls can be requested"),
        ("/post", Some("{}"), "the server redirects a request with a body to another server"),
    ] {
        let request = Request { body: body.map(Bytes::from), ..get(server.at(path), true) };
        match transport.send(&request).await {
            Err(failure @ Failure::Lasting(_)) => {
                assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
                assert_eq!(message(failure), expected, "{path}");
            }
            _ => panic!("{path}"),
        }
    }
    assert_eq!(other.seen().len(), 0);
    // Five redirects are followed, and no more.
    let endless = server
        .seen()
        .iter()
        .filter(|seen| seen.path.contains("ne") || seen.path == "/endless")
        .count();
    assert_eq!(endless, 6);
}

/// `https` cannot be served here; what follows from it is told by the urls alone.
#[test]
fn never_from_https_to_http() {
    let request = get("https://a.example/file".parse().unwrap(), true);
    for (target, allowed) in [
        ("http://a.example/file", false),
        ("http://127.0.0.1/file", false),
        ("https://a.example/other", true),
        ("https://b.example/file", true),
    ] {
        let hop = wire::redirect_for_tests(&request, &target.parse().unwrap());
        assert_eq!(hop.is_ok(), allowed, "{target}");
    }
}

#[tokio::test]
async fn redirects_keep_the_request_but_for_303() {
    let server = Server::answering(|seen, _| match seen.path.as_str() {
        "/done" => response(200, &[], ""),
        path => response(path[1..].parse().unwrap(), &[("location", "/done")], ""),
    })
    .await;
    let transport = signed_in(&server.url);
    for (status, method, expected) in [
        (301, Method::POST, "POST body"),
        (302, Method::POST, "POST body"),
        (303, Method::POST, "GET "),
        (307, Method::POST, "POST body"),
        (308, Method::POST, "POST body"),
        (302, Method::DELETE, "DELETE body"),
    ] {
        let body = Some(Bytes::from("body"));
        let request = Request { method, body, ..get(server.at(&format!("/{status}")), true) };
        let response = transport.send(&request).await.unwrap();
        let last = server.seen().pop().unwrap();
        assert_eq!(format!("{} {}", last.method, last.body), expected, "{status}");
        assert_eq!(response.url.path(), "/done");
    }
    // 300 and 304, and what names no target, are responses.
    for status in [300, 304] {
        let response = transport.send(&get(server.at(&format!("/{status}")), true)).await.unwrap();
        assert_eq!(response.status.as_u16(), status);
    }
}

/// Requirement 1.
#[tokio::test]
async fn plain_http_only_to_loopback_or_with_the_switch() {
    for (url, allowed, with_switch) in [
        ("https://a.example/", true, true),
        ("http://localhost:80/", true, true),
        ("http://x.localhost/", true, true),
        ("http://127.1.2.3/", true, true),
        ("http://[::1]/", true, true),
        ("http://a.example/", false, true),
        ("http://127.0.0.1.a.example/", false, true),
        ("http://10.0.0.1/", false, true),
        ("file:///etc/passwd", false, false),
    ] {
        let url: Url = url.parse().unwrap();
        let mut settings = settings(&url);
        for (switch, expected) in [(false, allowed), (true, with_switch)] {
            settings.allow_http = switch;
            let wire = Wire::new(&settings).unwrap();
            assert_eq!(wire.allowed(&url).is_ok(), expected, "{url} {switch}");
        }
    }
}

#[tokio::test]
async fn gzip_bodies_are_decoded_member_by_member() {
    let member = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let two = [member("one\n"), member("two\n")].concat();
    let cut = two[..two.len() - 3].to_vec();
    let junk = [&two[..], b"junk"].concat();
    let large = member(&"x".repeat(2000));
    for (name, encoding, body, expected) in [
        ("two members", "gzip", two.clone(), Ok("one\ntwo\n")),
        ("an empty member", "gzip", [two.clone(), member("")].concat(), Ok("one\ntwo\n")),
        ("no header", "", two, Ok("one\ntwo\n")),
        ("decoded on the way", "gzip", b"plain".to_vec(), Ok("plain")),
        ("plain", "identity", b"plain".to_vec(), Ok("plain")),
        ("empty", "gzip", Vec::new(), Ok("")),
        ("cut", "gzip", cut, Err("passing")),
        ("junk behind", "gzip", junk, Err("passing")),
        ("larger than the limit", "gzip", large, Err("lasting")),
        ("larger, plain", "", b"x".repeat(2000), Err("lasting")),
        ("another encoding", "br", b"plain".to_vec(), Err("lasting")),
    ] {
        let server = Server::answering(move |_, _| {
            response(200, &[("content-encoding", encoding)], body.clone())
        })
        .await;
        let response = signed_in(&server.url).send(&get(server.url.clone(), false)).await.unwrap();
        let found = response.body(1000).await;
        let found = found.as_ref().map(|body| std::str::from_utf8(body).unwrap()).map_err(kind);
        assert_eq!(found, expected, "{name}");
        assert_eq!(server.seen()[0].header("accept-encoding"), "gzip");
        assert_eq!(
            server.seen()[0].header("user-agent"),
            format!("kiln/{}", env!("CARGO_PKG_VERSION"))
        );
    }
}

fn kind(failure: &Failure) -> &'static str {
    match failure {
        Failure::Passing(error) => {
            assert_eq!(error.kind(), ErrorKind::TryLater);
            "passing"
        }
        Failure::Lasting(_) => "lasting",
    }
}

/// F12: what the network does is worth another try, and is told from what stays as it is.
#[tokio::test]
async fn network_failures_are_passing() {
    let gone = Server::answering(|_, _| response(200, &[], "")).await.at("http://127.0.0.1:1/");
    let short = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_vec()).await;
    let chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_vec();
    let unfinished = raw(chunk).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}/?sig=s3cret", silent.local_addr().unwrap());
    for (url, said) in [
        (gone, "the server cannot be reached: "),
        (short, "the connection broke off: "),
        (unfinished, "the connection broke off: "),
        (raw(Vec::new()).await, "the connection broke off: "),
        (silent_url.parse().unwrap(), "the server was silent for too long"),
    ] {
        let mut settings = settings(&url);
        settings.timeout = std::time::Duration::from_millis(300);
        let transport = Transport::new(&settings, Clock::System).unwrap();
        let failure = match transport.send(&get(url.clone(), false)).await {
            Ok(response) => response.body(1000).await.err().unwrap(),
            Err(failure) => failure,
        };
        assert_eq!(kind(&failure), "passing", "{url}");
        let error = failure.error();
        assert!(error.message().starts_with(said), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(error.places()[0].0, "request");
    }
}

#[test]
fn urls_are_shown_without_what_may_be_a_credential() {
    for (url, expected) in [
        ("https://a.example/f/1.ndjson", "https://a.example/f/1.ndjson"),
        ("https://u:p@a.example/f#t", "https://a.example/f"),
        ("https://a.example/f?a=1&X-Sig=s3cret", "https://a.example/f?a=…&X-Sig=…"),
        ("https://a.example/f?s3cret", "https://a.example/f?…"),
        ("https://a.example/f?", "https://a.example/f?…"),
        (
            "https://a.example/f?s3crets3crets3crets3crets3crets3crets3crets3cret=1",
            "https://a.example/f?…",
        ),
    ] {
        assert_eq!(redacted(&url.parse().unwrap()), expected);
    }
}

#[test]
fn requests_are_shown_without_their_bodies() {
    let body = Some(Bytes::from("client_assertion=s3cret"));
    let url = "https://a.example/token?t=s3cret".parse().unwrap();
    let shown = format!("{:?}", Request { body, ..get(url, false) });
    assert!(!shown.contains("s3cret") && shown.contains("a.example/token"), "{shown}");
}

#[test]
fn headers_of_the_settings_that_cannot_be_sent_are_named() {
    let secret = |text: &str| Secret::Inline(text.into());
    let missing = Secret::Env { env: "KILN_NO_SUCH_VARIABLE".to_owned() };
    for (name, value, said) in [
        ("X Y", secret("v"), "the name of a header has characters that it cannot have; header X Y"),
        (
            "X",
            secret("s3cret\n"),
            "the value of a header has characters that it cannot have; header X",
        ),
        ("X", missing, "header X"),
    ] {
        let mut settings = settings(&"https://a.example".parse().unwrap());
        settings.headers.insert(name.to_owned(), value);
        let error = Transport::new(&settings, Clock::System).err().unwrap();
        assert!(error.to_string().contains(said), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}
