//! Attachments: left alone by default, put into resources, or stored beside them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiln::export::AttachmentSettings;
use serde_json::{Value, json};

use super::bench::{Bench, raw};
use crate::bulk_server::{Fault, File, Route, Section, Setup};
use crate::support::block_on;

const NOTE: &str = "Seen for a cough.";

fn document(id: &str, kind: &str, url: &str) -> Value {
    json!({
        "resourceType": "DocumentReference", "id": id,
        "content": [{ "attachment": { "contentType": kind, "url": url } }],
    })
}

fn attachment(name: &str, content_type: &'static str, body: &'static str) -> File {
    File { content_type, ..File::new(Section::Attachment, None, name, body) }
}

fn setup() -> Setup {
    let documents = [
        document("1", "text/plain", "__OWN__fhir/Binary/note"),
        document("2", "application/pdf", "Binary/scan"),
        document("3", "text/html", "__OWN__fhir/Binary/page"),
    ];
    let lines: Vec<_> = documents.iter().map(Value::to_string).collect();
    Setup::with([
        raw("DocumentReference", "d", lines.join("\n") + "\n"),
        attachment("note", "text/plain", NOTE),
        attachment("scan", "application/pdf", "%PDF-1.4 scan"),
        attachment("page", "text/html", "<p>long page of a visit</p>"),
    ])
}

fn some(types: &[&str], inline_bytes: u64) -> AttachmentSettings {
    AttachmentSettings { types: types.iter().map(|t| (*t).to_owned()).collect(), inline_bytes }
}

/// The attachments of the stored resources.
async fn stored(settings: Option<AttachmentSettings>) -> (Bench, Vec<Value>) {
    let bench = Bench::new(setup()).await.set(|s| s.attachments = settings);
    let done = bench.run().await;
    assert!(done.result.is_ok(), "{:?}", done.result);
    let lines = bench.lines(&done, Section::Output).concat();
    let parsed = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let attachments = parsed.map(|document| document["content"][0]["attachment"].clone()).collect();
    (bench, attachments)
}

#[test]
fn attachments_are_left_alone_by_default() {
    block_on(async {
        let (bench, attachments) = stored(None).await;
        assert_eq!(bench.server.count(&Route::file("*")), 1);
        assert!(attachments.iter().all(|a| a["data"].is_null() && a["url"].is_string()));
    });
}

#[test]
fn small_ones_of_a_type_are_put_into_resources() {
    block_on(async {
        let (bench, attachments) = stored(Some(some(&["text/*"], 20))).await;
        assert_eq!(attachments[0]["data"], STANDARD.encode(NOTE));
        assert!(attachments[1]["data"].is_null() && attachments[2]["data"].is_null());
        assert_eq!(bench.server.count(&Route::file("scan")), 0, "another type");
        assert_eq!(bench.server.count(&Route::file("page")), 1);
        let text: Vec<u8> = all_files(bench.folder.path());
        assert!(String::from_utf8_lossy(&text).contains("long page of a visit"), "stored beside");
    });
}

fn all_files(folder: &std::path::Path) -> Vec<u8> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.extend(if path.is_dir() { all_files(&path) } else { std::fs::read(path).unwrap() });
    }
    found
}

/// A Binary that comes as a resource is the bytes in it.
#[test]
fn wrapped_binaries_are_unwrapped() {
    block_on(async {
        let wrapped = json!({ "resourceType": "Binary", "contentType": "text/plain", "data": STANDARD.encode(NOTE) });
        let setup = setup()
            .fault(Route::file("note"), 1..=1, Fault::Body(wrapped.to_string().into()))
            .fault(
                Route::file("note"),
                1..=1,
                Fault::Header("content-type", "application/fhir+json".into()),
            );
        let bench =
            Bench::new(setup).await.set(|s| s.attachments = Some(some(&["text/plain"], 100)));
        let done = bench.run().await;
        assert!(done.result.is_ok(), "{:?}", done.result);
        let first: Value =
            serde_json::from_str(&bench.lines(&done, Section::Output)[0][0]).unwrap();
        assert_eq!(first["content"][0]["attachment"]["data"], STANDARD.encode(NOTE));
    });
}

/// An attachment that cannot be had costs no resource.
#[test]
fn a_lost_attachment_is_a_warning() {
    block_on(async {
        let gone = crate::bulk_server::outcome(404, "error", "not-found", "gone");
        let setup = setup().fault(Route::file("note"), 1..=99, Fault::Instead(gone));
        let bench = Bench::new(setup).await.set(|s| s.attachments = Some(some(&[], 100)));
        let done = bench.run().await;
        let lines = bench.lines(&done, Section::Output).concat();
        assert_eq!(lines.len(), 3);
        let warnings = done.result.unwrap().warnings;
        assert!(warnings.iter().any(|w| w.contains("attachment")), "{warnings:?}");
    });
}
