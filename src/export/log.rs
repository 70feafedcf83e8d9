//! `log.ndjson`, version 2, beside the data: what happened, for people and for the tools that read such logs.
//!
//! Events and their fields are those of the "Bulk-Data-Export-Log-Items" of the SMART bulk data client, which other
//! tools read. Never in it: patients, tokens, what stands in the query of a url.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::digest::hex;
use super::transport::redacted;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// `logVersion` of the `kickoff` event.
pub(super) const LOG_VERSION: &str = "2";

/// Headers of responses that are worth keeping, and carry no secrets.
const HEADERS: [&str; 14] = [
    "content-type",
    "content-length",
    "content-encoding",
    "content-location",
    "date",
    "expires",
    "etag",
    "preference-applied",
    "retry-after",
    "server",
    "x-correlation-id",
    "x-export-status",
    "x-progress",
    "x-request-id",
];

/// The log of one export, appended to by every start.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: Mutex<File>,
    /// `exportId`: the status url, so that it is the same after a restart.
    export_id: Mutex<String>,
    clock: Clock,
}

impl Log {
    /// Opens the log of a folder, to append to it.
    pub(super) fn open(folder: &Path, clock: Clock) -> Result<Self> {
        let path = folder.join("log.ndjson");
        let failed = |e| Error::io(ErrorKind::Output, "open", &path, e);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        end_last_line(&mut file).map_err(failed)?;
        Ok(Self {
            file: Mutex::new(file),
            export_id: Mutex::new(String::new()),
            clock,
            path: path.clone(),
        })
    }

    /// Says which export the following events are of: by its status url, or before that by the url of the kick-off.
    pub(super) fn identify(&self, url: &Url) {
        *self.export_id.lock().expect("nothing panics while it is held") = export_id(url);
    }

    /// Appends an event: `{exportId, timestamp, eventId, eventDetail}`. Urls in `detail` are redacted by the caller.
    #[allow(clippy::needless_pass_by_value)] // every caller has just made it
    pub(super) fn event(&self, event: &str, detail: Value) -> Result<()> {
        let export_id = self.export_id.lock().expect("nothing panics while it is held").clone();
        let line = json!({
            "exportId": export_id,
            "timestamp": self.clock.now().to_string(),
            "eventId": event,
            "eventDetail": detail,
            "_client": "kiln",
            "_clientVersion": env!("CARGO_PKG_VERSION"),
        });
        // One write, so that lines of parallel tasks, and of a process that is killed, do not mix.
        let mut file = self.file.lock().expect("nothing panics while it is held");
        file.write_all(format!("{line}\n").as_bytes())
            .map_err(|e| Error::io(ErrorKind::Output, "write", &self.path, e))
    }
}

/// Headers of a response for the log.
pub(super) fn response_headers(headers: &HeaderMap) -> Value {
    let mut kept = Map::new();
    for name in HEADERS {
        let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) else { continue };
        let value = match Url::parse(value) {
            Ok(url) if name == "content-location" => redacted(&url),
            _ if name == "content-location" => {
                value.split(['?', '#']).next().unwrap_or_default().to_owned()
            }
            _ => value.to_owned(),
        };
        kept.insert(name.to_owned(), Value::String(value));
    }
    Value::Object(kept)
}

/// The url without its query; where the query tells jobs apart (HAPI), a hash of the url stands for it.
fn export_id(url: &Url) -> String {
    let shown = redacted(url);
    if url.query().is_none() {
        return shown;
    }
    let hash = Sha256::digest(url.as_str());
    format!("{shown}#{}", hex(&hash[..4]))
}

/// A process that was killed may have left half a line.
fn end_last_line(file: &mut File) -> std::io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::export::Simulated;

    fn lines(folder: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join("log.ndjson")).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[test]
    fn every_start_appends_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::Simulated(Simulated::starting("2026-11-23T12:00:00Z".parse().unwrap()));
        let status = Url::parse("https://ehr.example/status/7").unwrap();
        for start in 0..3 {
            let log = Log::open(folder.path(), clock.clone()).unwrap();
            log.identify(&status);
            log.event("client_error", json!({"error": start})).unwrap();
            drop(log);
            let path = folder.path().join("log.ndjson");
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"{\"exportId\": \"cut").unwrap();
        }
        let found = lines(folder.path());
        assert_eq!(found.len(), 3);
        for (start, line) in found.iter().enumerate() {
            assert_eq!(line["exportId"], "https://ehr.example/status/7");
            assert_eq!(line["timestamp"], "2026-11-23T12:00:00Z");
            assert_eq!(
                (&line["eventId"], &line["eventDetail"]),
                (&json!("client_error"), &json!({"error": start}))
            );
        }
    }

    #[test]
    fn headers_with_secrets_stay_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "session=secret"),
            ("authorization", "Bearer secret"),
            ("content-location", "/status/7?token=secret"),
            ("retry-after", "5"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let kept = response_headers(&headers);
        assert_eq!(kept, json!({"content-location": "/status/7", "retry-after": "5"}));
    }

    #[test]
    fn exports_that_differ_by_query_have_ids_of_their_own() {
        let id = |job: &str| {
            export_id(
                &Url::parse(&format!("https://h.example/$export-poll-status?_jobId={job}"))
                    .unwrap(),
            )
        };
        assert_ne!(id("secret-1"), id("secret-2"));
        assert_eq!(id("secret-1"), id("secret-1"));
        assert!(!id("secret-1").contains("secret"));
    }
}
