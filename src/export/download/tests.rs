//! A server on loopback that sends exactly the bytes a case wants, and what then is in the folder.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flate2::{Compression, write::GzEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::digest::hex;
use super::super::settings::AttachmentSettings;
use super::super::testing::{log, settings};
use super::*;
use crate::clock::Simulated;

/// What a server sends for the requests of a path: one after the other, the last again and again.
type Replies = HashMap<String, Vec<Vec<u8>>>;

/// A server, until it is dropped.
pub(in super::super) struct Server {
    pub(in super::super) base: Url,
    /// Heads of requests.
    pub(in super::super) asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(in super::super) async fn start(replies: Replies) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let requests = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let replies = Arc::new(replies);
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, replies) = (Arc::clone(&requests), Arc::clone(&replies));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap();
                    let reply = {
                        let path = head.split(' ').nth(1).unwrap().to_owned();
                        let begins = format!("GET {path} ");
                        let mut requests = requests.lock().unwrap();
                        let before =
                            requests.iter().filter(|head| head.starts_with(&begins)).count();
                        requests.push(head);
                        let replies = &replies[&path];
                        replies[before.min(replies.len() - 1)].clone()
                    };
                    let _ = stream.write_all(&reply).await;
                    let _ = stream.shutdown().await;
                    // Unread input at the close would reset the connection.
                    let _ = stream.read(&mut [0; 64]).await;
                });
            }
        });
        Self { base, asked, task }
    }
}

/// A response with these headers, as it goes over the wire.
pub(in super::super) fn reply(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = if headers.to_lowercase().contains("content-length") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let mut all = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{length}").into_bytes();
    all.extend(headers.lines().flat_map(|line| format!("{line}\r\n").into_bytes()));
    all.extend(b"\r\n");
    all.extend(body);
    all
}

fn ndjson(body: impl AsRef<[u8]>) -> Vec<u8> {
    reply(200, "Content-Type: application/fhir+ndjson", body)
}

/// Chunked, with or without the chunk that ends it.
fn chunked(body: &str, ended: bool) -> Vec<u8> {
    let end = if ended { "0\r\n\r\n" } else { "" };
    let body = format!("{:x}\r\n{body}\r\n{end}", body.len());
    let mut all = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    all.extend(body.into_bytes());
    all
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn wanted(url: Url) -> Wanted {
    Wanted {
        section: Section::Output,
        index: 3,
        resource_type: Some("Patient".to_owned()),
        url,
        credentials: false,
        count: None,
        size: None,
        checksum: None,
        organized: false,
    }
}

/// Loads files; returns what became of each.
async fn load(
    folder: &Path,
    files: Vec<Wanted>,
    settings: Settings,
    clock: Clock,
) -> Result<Vec<Loaded>> {
    let downloads = Downloads {
        transport: Arc::new(Transport::new(&settings, clock.clone()).unwrap()),
        settings: Arc::new(settings),
        folder: folder.to_owned(),
        clock,
        log: Arc::new(log(folder)),
        observer: Arc::new(|_| {}),
    };
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    for file in files {
        sender.send(file).unwrap();
    }
    drop(sender);
    let mut all = Vec::new();
    let collect = |loaded| {
        all.push(loaded);
        Ok(())
    };
    downloads.run(receiver, collect).await.map(|()| all)
}

/// What is in the folder besides the log, as text.
fn stored(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    named
        .filter(|(name, _)| name != "log.ndjson")
        .map(|(name, path)| {
            let bytes = std::fs::read(path).unwrap();
            let zstd = Path::new(&name).extension().is_some_and(|end| end == "zst");
            let bytes = if zstd { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
            (name, String::from_utf8(bytes).unwrap())
        })
        .collect()
}

fn time() -> (Arc<Simulated>, Clock) {
    let time = Simulated::starting("2026-01-01T00:00:00Z".parse().unwrap());
    (Arc::clone(&time), Clock::Simulated(time))
}

/// A file as it is announced and sent, and what comes of it.
struct Case {
    name: &'static str,
    announced: fn(&mut Wanted),
    settings: fn(&mut Settings),
    replies: Vec<Vec<u8>>,
    /// Files, or what the failure says.
    expected: Result<Vec<(&'static str, String)>, &'static str>,
    requests: usize,
    warnings: usize,
}

impl Case {
    fn new(name: &'static str, replies: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            name,
            announced: |_| {},
            settings: |_| {},
            replies: replies.into_iter().collect(),
            expected: Ok(vec![("Patient.00003.ndjson", TWO.to_owned())]),
            requests: 1,
            warnings: 0,
        }
    }

    fn announced(self, announced: fn(&mut Wanted)) -> Self {
        Self { announced, ..self }
    }

    fn settings(self, settings: fn(&mut Settings)) -> Self {
        Self { settings, ..self }
    }

    fn fails(self, says: &'static str) -> Self {
        Self { expected: Err(says), ..self }
    }

    fn gives(self, files: &[(&'static str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        Self { expected: Ok(files), ..self }
    }

    fn after(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    fn warns(self) -> Self {
        Self { warnings: 1, ..self }
    }
}

async fn check(case: Case) {
    let server = Server::start([("/file".to_owned(), case.replies)].into()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut file = wanted(server.base.join("file").unwrap());
    (case.announced)(&mut file);
    let mut settings = settings(&server.base);
    settings.attempts = 3;
    (case.settings)(&mut settings);
    let loaded = load(folder.path(), vec![file], settings, time().1).await.unwrap();
    let found = stored(folder.path());
    let name = case.name;
    match (case.expected, &loaded[..]) {
        (Ok(files), [Loaded::Stored(stored)]) => {
            let names: Vec<_> = stored.parts.iter().map(|part| part.to_str().unwrap()).collect();
            assert_eq!(names, files.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{name}");
            let files = files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
            assert_eq!(found, files, "{name}");
            assert_eq!(stored.warnings.len(), case.warnings, "{name}: {:?}", stored.warnings);
            assert_eq!(
                stored.bytes,
                found.values().map(|text| text.len() as u64).sum::<u64>(),
                "{name}"
            );
        }
        (Err(says), [Loaded::Failed(_, error) | Loaded::Gone(_, error)]) => {
            assert!(error.to_string().contains(says), "{name}: {error}");
            assert!(found.is_empty(), "{name}: {found:?}");
        }
        (expected, loaded) => panic!("{name}: {expected:?}, {loaded:?}"),
    }
    assert_eq!(server.asked.lock().unwrap().len(), case.requests, "{name}");
}

const ONE: &str = "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n";
const TWO: &str =
    "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n{\"resourceType\":\"Patient\",\"id\":\"2\"}\n";
/// Of [`TWO`].
const SHA256: &str = "sha256:";

#[tokio::test]
async fn whole_files_are_stored_as_they_are() {
    let crlf = TWO.replace('\n', "\r\n");
    let both = [gzip(ONE), gzip(&TWO[ONE.len()..])].concat();
    let blank = format!("\n{TWO}  \n\n");
    let long = format!("{{\"data\":\"{}\"}}", "\\\"x".repeat(1 << 20));
    let strange = "{\"a\":\"\u{2028}\\\"}{\",\"b\":1.50}\n\r{\"c\":[\"\\\\\"]}\n";
    for case in [
        Case::new("as it is", [ndjson(TWO)]),
        Case::new("empty", [ndjson("")]).gives(&[]),
        Case::new("chunked", [chunked(TWO, true)]),
        Case::new("byte order mark, CRLF", [ndjson(format!("\u{feff}{crlf}"))]),
        Case::new("no newline at the end", [ndjson(TWO.trim_end())]),
        Case::new("blank lines stay, and count nothing", [ndjson(&blank)])
            .announced(|file| file.count = Some(2))
            .gives(&[("Patient.00003.ndjson", &blank)]),
        Case::new("everything else stays", [ndjson(strange)])
            .gives(&[("Patient.00003.ndjson", strange)]),
        Case::new("gzip", [reply(200, "Content-Encoding: gzip", gzip(TWO))]),
        Case::new("gzip that nobody mentions", [ndjson(gzip(TWO))]),
        Case::new("gzip that a proxy has undone", [reply(200, "Content-Encoding: gzip", TWO)]),
        Case::new("members of gzip", [reply(200, "Content-Encoding: gzip", &both)]),
        Case::new("an empty second member", [ndjson([gzip(TWO), gzip("")].concat())]),
        Case::new("a line much longer than any buffer", [ndjson(gzip(&long))])
            .gives(&[("Patient.00003.ndjson", &format!("{long}\n"))]),
        Case::new("of the deleted section", [ndjson(TWO)])
            .announced(|file| file.section = Section::Deleted)
            .gives(&[("deleted.00003.ndjson", TWO)]),
        Case::new("of no type", [ndjson(TWO)])
            .announced(|file| file.resource_type = None)
            .gives(&[("Resource.00003.ndjson", TWO)]),
        Case::new("of a strange type", [ndjson(TWO)])
            .announced(|file| file.resource_type = Some("../Pa.tient/".to_owned()))
            .gives(&[("Patient.00003.ndjson", TWO)]),
        Case::new("compressed", [ndjson(TWO)])
            .settings(|settings| settings.compress = true)
            .gives(&[("Patient.00003.ndjson.zst", TWO)]),
        Case::new("in parts", [ndjson(TWO)]).settings(|settings| settings.part_bytes = 10).gives(
            &[("Patient.00003-001.ndjson", ONE), ("Patient.00003-002.ndjson", &TWO[ONE.len()..])],
        ),
        Case::new("a document", [ndjson("{\n  \"resourceType\": \"Bundle\"\n}\n")])
            .announced(|file| file.count = Some(7))
            .settings(|settings| settings.part_bytes = 1)
            .gives(&[("Patient.00003.json", "{\n  \"resourceType\": \"Bundle\"\n}\n")]),
    ] {
        check(case).await;
    }
}

#[tokio::test]
async fn what_is_not_whole_is_loaded_again() {
    let cut = &TWO[..TWO.len() - 4];
    let zipped = gzip(TWO);
    for (name, bad, says) in [
        ("reset", chunked(TWO, false), "connection"),
        ("too short", reply(200, "Content-Length: 500", TWO), "connection"),
        ("no response", Vec::new(), "connection"),
        ("ends mid-line", chunked(cut, true), "ends in the middle of a JSON value"),
        ("first line cut", chunked(&ONE[..9], true), "ends in the middle of a JSON value"),
        ("document cut", chunked("{\n  \"a\": [\n", true), "ends in the middle of a JSON value"),
        ("gzip cut", ndjson(&zipped[..zipped.len() - 9]), "gzip data end too early"),
        ("gzip garbage", ndjson([&zipped[..], b"and something else"].concat()), "followed by"),
        ("a little gzip garbage", ndjson([&zipped[..], b"\0"].concat()), "gzip data"),
        ("page", reply(200, "Content-Type: text/html", "<html>Sign in"), "HTML page"),
        ("XML", ndjson("<Bundle/>"), "XML"),
        (
            "outcome",
            reply(200, "Content-Type: application/fhir+json", outcome_text()),
            "error/transient: come back",
        ),
        (
            "wrapped",
            reply(200, "Content-Type: application/json", "{\"resourceType\": \"Binary\"}"),
            "a Binary resource around the file",
        ),
        ("500", reply(500, "", outcome_text()), "error/transient: come back"),
    ] {
        check(Case::new(name, [bad.clone(), bad.clone(), ndjson(TWO)]).after(3)).await;
        check(Case::new(name, [bad]).after(3).fails(says)).await;
    }
}

fn outcome_text() -> String {
    serde_json::json!({
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "transient", "diagnostics": "come back"}],
    })
    .to_string()
}

#[tokio::test]
async fn what_is_announced_must_come() {
    fn checksum(file: &mut Wanted) {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(TWO);
        file.checksum = Some(format!("{SHA256}{}", hex(&digest)));
    }
    for case in [
        Case::new("count", [ndjson(TWO)]).announced(|file| file.count = Some(2)),
        Case::new("another count", [ndjson(TWO)])
            .announced(|file| file.count = Some(3))
            .after(3)
            .fails("the manifest says 3 resources, the file has 2"),
        Case::new("cut at a line end", [chunked(ONE, true), ndjson(TWO)])
            .announced(|file| file.count = Some(2))
            .after(2),
        Case::new("another count, if allowed", [ndjson(TWO)])
            .announced(|file| file.count = Some(3))
            .settings(|settings| settings.count_must_fit = false)
            .warns(),
        Case::new("another count of errors", [ndjson(TWO)])
            .announced(|file| (file.count, file.section) = (Some(3), Section::Error))
            .gives(&[("error.00003.ndjson", TWO)]),
        Case::new("size", [ndjson(TWO)]).announced(|file| file.size = Some(TWO.len() as u64)),
        Case::new("size of the text", [ndjson(gzip(TWO))])
            .announced(|file| file.size = Some(TWO.len() as u64)),
        Case::new("another size", [ndjson(TWO)])
            .announced(|file| file.size = Some(1))
            .after(3)
            .fails("the manifest says 1 bytes, 72 came"),
        Case::new("checksum", [ndjson(TWO)]).announced(checksum),
        Case::new("checksum of the text", [ndjson(gzip(TWO))]).announced(checksum),
        Case::new("another checksum", [ndjson(ONE)])
            .announced(checksum)
            .after(3)
            .fails("does not have the checksum"),
        Case::new("an unknown checksum", [ndjson(TWO)])
            .announced(|file| file.checksum = Some("md5:00".to_owned()))
            .warns(),
        Case::new("gone", [reply(404, "", "")]).fails("no longer has the file (404"),
        Case::new("expired", [reply(403, "", "")]).fails("no longer gives the file (403"),
        Case::new("not acceptable", [reply(406, "", "")]).fails("406"),
        Case::new("brotli", [reply(200, "Content-Encoding: br", "x")]).fails("`br`"),
        Case::new("busy", [reply(503, "", ""), reply(429, "Retry-After: 9", ""), ndjson(TWO)])
            .settings(|settings| settings.attempts = 1)
            .after(3),
        Case::new("always busy", [reply(429, "", "")])
            .settings(|settings| settings.attempts = 2)
            .after(22)
            .fails("has too much to do (429"),
    ] {
        check(case).await;
    }
}

/// Requirement 43: headers are left out, types go to files of their own, what several blocks share is there once.
#[tokio::test]
async fn organised_files_are_taken_apart() {
    let header = r#"{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/1"}}]}"#;
    let parameters = r#"{"resourceType":"Parameters","parameter":[{"name":"other"}]}"#;
    let patient = r#"{"resourceType":"Patient","id":"1"}"#;
    let visit = r#"{"id":"v","resourceType":"Encounter"}"#;
    let text = [header, patient, visit, header, visit, parameters, "{broken", ""].join("\r\n");
    let one = |line: &str| format!("{line}\n");
    for (count, requests) in [(4, 1), (5, 1), (6, 1), (7, 1), (3, 3), (8, 3)] {
        let settings = |settings: &mut Settings| settings.attempts = 3;
        let mut case = Case::new("organised", [ndjson(&text)]).settings(settings).after(requests);
        case = match requests {
            1 => case.gives(&[
                ("Patient.00003.ndjson", &one(patient)),
                ("Encounter.00003.ndjson", &one(visit)),
                ("Parameters.00003.ndjson", &one(parameters)),
                ("Resource.00003.ndjson", &one("{broken")),
            ]),
            _ => case.fails("resources"),
        };
        case.announced = match count {
            3 => |file| (file.organized, file.resource_type, file.count) = (true, None, Some(3)),
            4 => |file| (file.organized, file.resource_type, file.count) = (true, None, Some(4)),
            5 => |file| (file.organized, file.resource_type, file.count) = (true, None, Some(5)),
            6 => |file| (file.organized, file.resource_type, file.count) = (true, None, Some(6)),
            7 => |file| (file.organized, file.resource_type, file.count) = (true, None, Some(7)),
            _ => |file| (file.organized, file.resource_type, file.count) = (true, None, Some(8)),
        };
        check(case).await;
    }
}

/// F7: each file is refused twice, and the server asks for absurd waits.
#[tokio::test]
async fn a_storm_of_429_loses_no_file() {
    let storm = [reply(429, "Retry-After: 1795409189266", ""), reply(429, "", ""), ndjson(ONE)];
    let replies = (0..300).map(|n| (format!("/{n}"), storm.to_vec())).collect();
    let server = Server::start(replies).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |index| Wanted { index, ..wanted(server.base.join(&index.to_string()).unwrap()) };
    let mut settings = settings(&server.base);
    (settings.parallel, settings.attempts) = (8, 1);
    let longest = settings.poll.1;
    let (time, clock) = time();
    let loaded = load(folder.path(), (0..300).map(file).collect(), settings, clock).await.unwrap();
    assert!(loaded.iter().all(|loaded| matches!(loaded, Loaded::Stored(_))));
    assert_eq!((loaded.len(), stored(folder.path()).len()), (300, 300));
    assert_eq!(server.asked.lock().unwrap().len(), 900);
    assert!(time.waits().iter().all(|wait| *wait <= longest), "{:?}", time.waits());
}

/// What a killed process left is cleared away, and what it stored without noting it is replaced.
#[tokio::test]
async fn leftovers_go() {
    let server = Server::start([("/file".to_owned(), vec![ndjson(TWO)])].into()).await;
    let folder = tempfile::tempdir().unwrap();
    let stale =
        [".Patient.00009-0.part", "Patient.00003-001.ndjson.zst", "Patient.00003-002.ndjson"];
    let others = ["Patient.00004.ndjson", "deleted.00003.ndjson", "export.json"];
    for name in stale.iter().chain(&others) {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let files = vec![wanted(server.base.join("file").unwrap())];
    load(folder.path(), files, settings(&server.base), time().1).await.unwrap();
    let mut left: Vec<_> = stored(folder.path()).into_keys().collect();
    left.retain(|name| !others.contains(&name.as_str()));
    assert_eq!(left, ["Patient.00003.ndjson"]);
}

/// F29: what cannot be written ends the run.
#[tokio::test]
async fn a_folder_that_cannot_be_written_ends_it() {
    let server = Server::start([("/file".to_owned(), vec![ndjson(TWO)])].into()).await;
    let folder = tempfile::tempdir().unwrap();
    // In the way of the part, also for a root that may write anywhere.
    std::fs::create_dir(folder.path().join("Patient.00003.ndjson")).unwrap();
    let files = vec![wanted(server.base.join("file").unwrap())];
    let error = load(folder.path(), files, settings(&server.base), time().1).await.unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Output, "{error}");
}

/// F30, and the fields that readers of logs know.
#[tokio::test]
async fn the_log_tells_it_without_secrets() {
    let replies =
        vec![reply(500, "Set-Cookie: hush\nServer: s", outcome_text()), ndjson(gzip(TWO))];
    let server = Server::start([("/file?sig=hush".to_owned(), replies)].into()).await;
    let folder = tempfile::tempdir().unwrap();
    let files = vec![wanted(server.base.join("file?sig=hush").unwrap())];
    let loaded = load(folder.path(), files, settings(&server.base), time().1).await.unwrap();
    assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    let text = std::fs::read_to_string(folder.path().join("log.ndjson")).unwrap();
    assert!(!text.contains("hush"), "{text}");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = events.iter().map(|event| event["eventId"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["download_request", "download_error", "download_request", "download_complete"]
    );
    let [request, error, _, complete] = [0, 1, 2, 3].map(|n| &events[n]["eventDetail"]);
    assert_eq!(
        (&request["itemType"], &request["resourceType"]),
        (&"output".into(), &"Patient".into())
    );
    assert_eq!((&error["code"], &error["responseHeaders"]["server"]), (&500.into(), &"s".into()));
    assert_eq!(error["body"], "error/transient: come back");
    assert_eq!((&complete["resourceCount"], &complete["fileSize"]), (&2.into(), &TWO.len().into()));
}

/// Attachments come with their file, and count.
#[tokio::test]
async fn attachments_are_loaded_with_their_file() {
    let line = r#"{"resourceType":"Patient","photo":[{"url":"Binary/1"}]}"#;
    let replies = [
        ("/file".to_owned(), vec![ndjson(line)]),
        ("/Binary/1".to_owned(), vec![reply(503, "", ""), reply(200, "", "hello")]),
    ];
    let server = Server::start(replies.into()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&server.base);
    settings.attachments = Some(AttachmentSettings { types: Vec::new(), inline_bytes: 5 });
    let files = vec![wanted(server.base.join("file").unwrap())];
    let loaded = load(folder.path(), files, settings, time().1).await.unwrap();
    let [Loaded::Stored(file)] = &loaded[..] else { panic!("{loaded:?}") };
    assert_eq!((file.attachments, file.warnings.len()), (1, 0));
    let text = std::fs::read_to_string(folder.path().join(&file.parts[0])).unwrap();
    assert_eq!(text, "{\"resourceType\":\"Patient\",\"photo\":[{\"data\":\"aGVsbG8=\"}]}\n");
}
