//! Attachments from a server on loopback, and the lines they leave.

use super::super::download::tests::{Server, reply};
use super::super::settings::{AuthSettings, Settings};
use super::super::testing::{log, settings};
use super::*;
use crate::clock::Simulated;
use crate::settings::Secret;

/// A stored line, what the server has, and the line afterwards.
struct Case {
    name: &'static str,
    line: &'static str,
    settings: AttachmentSettings,
    replies: Vec<(&'static str, Vec<u8>)>,
    expected: String,
    files: Vec<&'static str>,
    loaded: u64,
    failures: usize,
}

async fn check(case: Case, compress: bool) {
    let replies =
        case.replies.iter().map(|(path, reply)| ((*path).to_owned(), vec![reply.clone()]));
    let server = Server::start(replies.collect()).await;
    let base = server.base.as_str();
    let data = tempfile::tempdir().unwrap();
    let name = if compress { "X.00000.ndjson.zst" } else { "X.00000.ndjson" };
    let other = "{\"resourceType\":\"Patient\", \"multipleBirthDecimal\": 1.50}\n";
    let text = format!("{other}{}\n\n", case.line.replace("BASE/", base));
    let bytes =
        if compress { zstd::encode_all(text.as_bytes(), 1).unwrap() } else { text.into_bytes() };
    std::fs::write(data.path().join(name), &bytes).unwrap();
    let mut settings = settings(&server.base);
    (settings.attachments, settings.attempts) = (Some(case.settings), 2);
    let file = StoredFile { parts: vec![name.into()], ..stored(&server) };
    let attached = attachments(&data, settings).load(file, true).await.unwrap();
    let now = std::fs::read(data.path().join(name)).unwrap();
    let title = case.name;
    if case.loaded == 0 {
        assert_eq!(now, bytes, "{title}: not touched");
    }
    let now = if compress { zstd::decode_all(&now[..]).unwrap() } else { now };
    let expected = format!("{other}{}\n\n", case.expected.replace("BASE/", base));
    assert_eq!(String::from_utf8(now).unwrap(), expected, "{title}");
    assert_eq!(attached.attachments, case.loaded, "{title}");
    assert_eq!(attached.warnings.len(), case.failures, "{title}: {:?}", attached.warnings);
    if case.loaded > 0 {
        assert_eq!(attached.bytes, expected.len() as u64, "{title}");
    }
    let files = std::fs::read_dir(data.path().join(FOLDER)).unwrap();
    let mut files: Vec<_> =
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    files.sort();
    assert_eq!(files, case.files, "{title}");
}

/// Attachments of what is in `data`, with these settings.
fn attachments(data: &tempfile::TempDir, settings: Settings) -> Attachments {
    let clock = Clock::Simulated(Simulated::starting(jiff::Timestamp::UNIX_EPOCH));
    let downloads = Downloads {
        transport: Arc::new(Transport::new(&settings, clock.clone()).unwrap()),
        settings: Arc::new(settings),
        folder: data.path().to_owned(),
        clock,
        log: Arc::new(log(data.path())),
        observer: Arc::new(|_| {}),
    };
    downloads.begin().unwrap().attachments.unwrap()
}

/// With a token that is sent wherever it may go.
fn signed_in(data: &tempfile::TempDir, server: &Server) -> Attachments {
    let mut settings = settings(&server.base);
    settings.attachments = Some(inline(9));
    settings.auth = AuthSettings::Bearer { token: Secret::Inline("s3cret".to_owned().into()) };
    attachments(data, settings)
}

/// The part that cases write.
fn stored(server: &Server) -> StoredFile {
    StoredFile {
        section: "output".to_owned(),
        index: 0,
        resource_type: Some("X".to_owned()),
        url: server.base.join("file").unwrap().into(),
        parts: vec!["X.00000.ndjson".into()],
        lines: 2,
        bytes: 0,
        sha256: String::new(),
        attachments: 0,
        warnings: Vec::new(),
    }
}

fn inline(inline_bytes: u64) -> AttachmentSettings {
    AttachmentSettings { types: Vec::new(), inline_bytes }
}

const NOTE: &str = r#"{"resourceType":"DocumentReference", "n": 1.50,"content":[{"attachment":{"contentType":"text/plain; charset=utf-8","url":"BASE/Binary/1","size":9,"title":"t"}}]}"#;
const NOTE_INLINE: &str = r#"{"resourceType":"DocumentReference", "n": 1.50,"content":[{"attachment":{"contentType":"text/plain; charset=utf-8","data":"aGVsbG8=","size":5,"title":"t"}}]}"#;
/// Named by the SHA-256 of `hello`.
const NOTE_FILE: &str = r#"{"resourceType":"DocumentReference", "n": 1.50,"content":[{"attachment":{"contentType":"text/plain; charset=utf-8","url":"attachments/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824.txt","size":5,"title":"t"}}]}"#;
const HELLO_JSON: &str =
    r#"{"resourceType":"Binary","contentType":"text/plain","data":"aGVs\nbG8="}"#;

fn hello() -> Vec<u8> {
    reply(200, "Content-Type: text/plain", "hello")
}

#[tokio::test]
async fn loaded_into_the_resource_or_beside_it() {
    let case = |name, line, settings, replies, expected: &str, files: &[&'static str]| Case {
        name,
        line,
        settings,
        replies,
        expected: expected.to_owned(),
        files: files.to_vec(),
        loaded: 1,
        failures: 0,
    };
    let json = |text| reply(200, "Content-Type: application/fhir+json", text);
    for case in [
        case("inline", NOTE, inline(5), vec![("/Binary/1", hello())], NOTE_INLINE, &[]),
        case("a file", NOTE, inline(4), vec![("/Binary/1", hello())], NOTE_FILE, &["hello"]),
        case("wrapped", NOTE, inline(5), vec![("/Binary/1", json(HELLO_JSON))], NOTE_INLINE, &[]),
        case(
            "relative, with a hash that fits",
            r#"{"presentedForm":[{"url":"Binary/1","contentType":"a/b","hash":"qvTGHdzF6KLavt4PO0gs2a6pQ00="}]}"#,
            inline(5),
            vec![("/Binary/1", hello())],
            r#"{"presentedForm":[{"data":"aGVsbG8=","contentType":"a/b","hash":"qvTGHdzF6KLavt4PO0gs2a6pQ00="}]}"#,
            &[],
        ),
        case(
            "of a type that is wanted",
            NOTE,
            AttachmentSettings { types: vec!["text/*".to_owned()], inline_bytes: 9 },
            vec![("/Binary/1", hello())],
            NOTE_INLINE,
            &[],
        ),
        case(
            "JSON that is meant",
            r#"{"photo":[{"url":"Binary/1","contentType":"application/json"}]}"#,
            inline(9),
            vec![("/Binary/1", json("{}"))],
            r#"{"photo":[{"data":"e30=","contentType":"application/json"}]}"#,
            &[],
        ),
        Case {
            loaded: 2,
            ..case(
                "two of one line",
                r#"{"photo":[{"url":"Binary/1"},{"url":"Binary/2"}]}"#,
                inline(5),
                vec![("/Binary/1", hello()), ("/Binary/2", hello())],
                r#"{"photo":[{"data":"aGVsbG8="},{"data":"aGVsbG8="}]}"#,
                &[],
            )
        },
    ] {
        check(case, false).await;
    }
    check(case("zstd", NOTE, inline(5), vec![("/Binary/1", hello())], NOTE_INLINE, &[]), true)
        .await;
}

#[tokio::test]
async fn what_cannot_be_loaded_stays_as_it_is() {
    let wrong_hash = r#"{"photo":[{"url":"Binary/1","hash":"AAAA"}]}"#;
    let outcome = r#"{"resourceType":"OperationOutcome"}"#;
    for (name, line, types, reply, failures) in [
        ("gone", NOTE, "", reply(404, "", ""), 1),
        ("forbidden", NOTE, "", reply(403, "", ""), 1),
        ("always failing", NOTE, "", reply(500, "", ""), 1),
        ("another hash", wrong_hash, "", hello(), 1),
        ("page", NOTE, "", reply(200, "Content-Type: text/html", "<html>"), 1),
        ("outcome", NOTE, "", reply(200, "Content-Type: application/fhir+json", outcome), 1),
        ("of another type", NOTE, "image/png", hello(), 0),
        ("here already", NOTE_FILE, "", hello(), 0),
        ("within the resource", r##"{"photo":[{"url":"#x"}]}"##, "", hello(), 0),
        ("no attachment", r#"{"extension":[{"url":"Binary/1"}]}"#, "", hello(), 0),
    ] {
        let types = Some(types.to_owned()).filter(|types| !types.is_empty());
        let settings = AttachmentSettings { types: types.into_iter().collect(), inline_bytes: 9 };
        let replies = vec![("/Binary/1", reply)];
        let expected = line.to_owned();
        let case =
            Case { name, line, settings, replies, expected, files: vec![], loaded: 0, failures };
        check(case, false).await;
    }
}

/// Requirement 48: the token goes to the server's own attachments only, and only if its files need it (F10). A server
/// that no longer lets us in ends it.
#[tokio::test]
async fn the_token_stays_at_home() {
    for (credentials, at_home) in [(true, 1), (false, 0)] {
        let home = Server::start([("/Binary/1".to_owned(), vec![hello()])].into()).await;
        let abroad = Server::start([("/a".to_owned(), vec![hello()])].into()).await;
        let data = tempfile::tempdir().unwrap();
        let line = format!(r#"{{"photo":[{{"url":"Binary/1"}},{{"url":"{}a"}}]}}"#, abroad.base);
        std::fs::write(data.path().join("X.00000.ndjson"), line).unwrap();
        let attachments = signed_in(&data, &home);
        let attached = attachments.load(stored(&home), credentials).await.unwrap();
        assert_eq!(attached.attachments, 2);
        let with_token = |server: &Server| {
            let asked = server.asked.lock().unwrap();
            asked.iter().filter(|head| head.contains("Bearer s3cret")).count()
        };
        assert_eq!((with_token(&home), with_token(&abroad)), (at_home, 0), "{credentials}");
    }
}

#[tokio::test]
async fn a_lost_sign_in_ends_it() {
    let home = Server::start([("/Binary/1".to_owned(), vec![reply(401, "", "")])].into()).await;
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("X.00000.ndjson"), r#"{"photo":[{"url":"Binary/1"}]}"#)
        .unwrap();
    let error = signed_in(&data, &home).load(stored(&home), true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn documents_keep_their_attachments_with_a_warning() {
    let server = Server::start(std::iter::empty().collect()).await;
    let data = tempfile::tempdir().unwrap();
    let text =
        r#"{"resourceType":"Binary","content":{"attachment":{"url":"https://a.example/x"}}}"#;
    std::fs::write(data.path().join("X.00000.json"), text).unwrap();
    let mut settings = settings(&server.base);
    settings.attachments = Some(inline(9));
    let file = StoredFile { parts: vec!["X.00000.json".into()], ..stored(&server) };
    let attached = attachments(&data, settings).load(file, true).await.unwrap();
    assert_eq!((attached.attachments, attached.warnings.len()), (0, 1), "{:?}", attached.warnings);
    assert_eq!(std::fs::read_to_string(data.path().join("X.00000.json")).unwrap(), text);
}
