//! A server, a folder and settings; and what an export against them gave.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use kiln::error::{Error, ErrorKind, Result};
use kiln::export::{
    AuthSettings, Clock, Complete, Event, ExportJob, ExportRequest, Level, Secret, Settings,
    Simulated, StoredFile,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::bulk_server::{BulkServer, CLIENT, CLIENT_SECRET, File, Route, Section, Setup, SignIn};

/// When simulated time begins: not near any real one.
pub(super) const START: &str = "2026-03-01T12:00:00Z";

/// An export to be run, as often as a test likes.
pub(super) struct Bench {
    pub(super) server: BulkServer,
    pub(super) time: Arc<Simulated>,
    pub(super) folder: TempDir,
    pub(super) settings: Settings,
    pub(super) sign_in: SignIn,
    files: Vec<File>,
}

/// What a run gave.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) result: Result<Complete>,
    /// What was handed over, in order.
    pub(super) arrived: Vec<StoredFile>,
    pub(super) events: Vec<Event>,
    /// What this run waited for.
    pub(super) waits: Vec<Duration>,
    /// What `finish` warned of.
    pub(super) warning: Option<String>,
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` resources.
pub(super) fn resources(kind: &str, n: usize) -> Vec<String> {
    let line = |i| json!({ "resourceType": kind, "id": format!("{}-{i}", kind.to_lowercase()) });
    (0..n).map(|i| line(i).to_string()).collect()
}

/// A file of `n` patients.
pub(super) fn patients(name: &str, n: usize) -> File {
    File::output("Patient", name, &resources("Patient", n))
}

/// A file of `n` conditions.
pub(super) fn conditions(name: &str, n: usize) -> File {
    File::output("Condition", name, &resources("Condition", n))
}

/// A patients' file and a conditions' file.
pub(super) fn two_files() -> [File; 2] {
    [patients("patients", 40), conditions("conditions", 60)]
}

/// Settings for a server; what tests count on is written out.
pub(super) fn settings(server: &Url, sign_in: &SignIn) -> Settings {
    let request = ExportRequest::new(server.clone(), Level::Patient);
    Settings {
        auth: auth(sign_in),
        poll: (seconds(1), seconds(300)),
        attempts: 5,
        timeout: seconds(2),
        parallel: 4,
        compress: false,
        max_wait: seconds(24 * 60 * 60),
        ..Settings::new(request)
    }
}

pub(super) fn secret(text: &str) -> Secret {
    Secret::Inline(text.to_owned().into())
}

fn auth(sign_in: &SignIn) -> AuthSettings {
    match sign_in {
        SignIn::Nobody => AuthSettings::None,
        SignIn::Smart(keys) => AuthSettings::Smart {
            client_id: CLIENT.into(),
            key: secret(&keys[0].private),
            key_id: Some(keys[0].kid.into()),
            algorithm: None,
            jwks_url: None,
            token_url: None,
            scopes: Vec::new(),
        },
        SignIn::Basic => AuthSettings::Basic {
            client_id: CLIENT.into(),
            client_secret: secret(CLIENT_SECRET),
            token_url: None,
            scopes: Vec::new(),
        },
        SignIn::Bearer(token) => AuthSettings::Bearer { token: secret(token) },
    }
}

impl Bench {
    /// Starts the server in simulated time.
    pub(super) async fn new(setup: Setup) -> Self {
        let time = Simulated::starting(START.parse().unwrap());
        let setup = Setup { clock: Clock::Simulated(time.clone()), ..setup };
        let (files, sign_in) = (setup.files.clone(), setup.sign_in.clone());
        let server = BulkServer::start(setup).await;
        let mut settings = settings(&server.base(), &sign_in);
        if let SignIn::Smart(_) = sign_in {
            settings.request.types = vec!["Patient".into(), "Condition".into()];
        }
        Self { settings, server, time, folder: tempfile::tempdir().unwrap(), sign_in, files }
    }

    pub(super) fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Opens the job, runs it, and deletes it on the server if all is well.
    pub(super) async fn run(&self) -> Outcome {
        let events = Arc::new(Mutex::new(Vec::new()));
        let said = events.clone();
        let observer = Arc::new(move |event: &Event| said.lock().unwrap().push(event.clone()));
        let clock = Clock::Simulated(self.time.clone());
        let before = self.time.waits().len();
        let (mut arrived, mut warning) = (Vec::new(), None);
        let work = async {
            let mut job =
                ExportJob::open(self.settings.clone(), self.folder.path(), clock, observer)?;
            let complete = job.run(|file| arrived.push(file.clone())).await?;
            warning = job.finish().await?;
            Ok(complete)
        };
        let result = tokio::time::timeout(seconds(300), work).await.expect("exports end");
        let events = events.lock().unwrap().clone();
        let waits = self.time.waits()[before..].to_vec();
        Outcome { result, arrived, events, waits, warning }
    }

    /// A run that must store every file of the server, line by line, tell nobody but the server once, and break no rule.
    pub(super) async fn stores_all(&self) -> Outcome {
        let outcome = self.run().await;
        self.stored_all(&outcome);
        outcome
    }

    pub(super) fn stored_all(&self, outcome: &Outcome) {
        self.complete(outcome);
        for section in [Section::Output, Section::Deleted, Section::Error] {
            let expected: Vec<_> = self
                .files
                .iter()
                .filter(|f| f.section == section)
                .map(|f| lines_of(&f.body))
                .collect();
            assert_eq!(self.lines(outcome, section), expected, "{section:?}");
        }
    }

    /// A good end; whether the lines are right is asked elsewhere.
    pub(super) fn complete(&self, outcome: &Outcome) {
        let complete = match &outcome.result {
            Ok(complete) => complete,
            Err(error) => panic!("{}", told(error)),
        };
        assert_eq!(self.server.breaches(), Vec::<String>::new());
        assert!(complete.state.complete && complete.state.pages_complete);
        assert_eq!(outcome.warning, None);
        assert_eq!(self.server.asked().last().unwrap().route, Route::Delete, "the last of all");
        assert_eq!(self.parts(), parts_of(&outcome.arrived), "nothing else is left in the folder");
    }

    /// A run that must fail like this; the message, places and hint have these texts. The job stays on the server.
    pub(super) async fn fails(&self, kind: ErrorKind, texts: &[&str]) -> Outcome {
        let outcome = self.run().await;
        let error = outcome.result.as_ref().expect_err("the export must fail");
        let told = told(error);
        assert_eq!(error.kind(), kind, "{told}");
        for text in texts {
            assert!(told.contains(text), "no `{text}` in:\n{told}");
        }
        assert_eq!(self.server.breaches(), Vec::<String>::new());
        assert_eq!(self.server.count(&Route::Delete), 0);
        let (parts, handed) = (self.parts(), parts_of(&outcome.arrived));
        assert!(handed.iter().all(|part| parts.contains(part)), "{handed:?} of {parts:?}");
        outcome
    }

    /// The lines of a section's files, in the order in which they were handed over.
    pub(super) fn lines(&self, outcome: &Outcome, section: Section) -> Vec<Vec<String>> {
        let name = match section {
            Section::Output => "output",
            Section::Deleted => "deleted",
            Section::Error => "error",
            Section::Attachment => "attachment",
        };
        let files = outcome.arrived.iter().filter(|file| file.section == name);
        files.map(|file| self.lines_of(file)).collect()
    }

    /// The lines of a stored file, blank ones left out.
    pub(super) fn lines_of(&self, file: &StoredFile) -> Vec<String> {
        let text: Vec<u8> = file.parts.iter().flat_map(|part| self.read(part)).collect();
        let lines = lines_of(&text);
        assert_eq!(lines.len() as u64, file.lines, "{file:?}");
        lines
    }

    fn read(&self, part: &Path) -> Vec<u8> {
        let bytes = std::fs::read(self.folder.path().join(part)).unwrap();
        match part.extension() {
            Some(zst) if zst == "zst" => zstd::decode_all(&*bytes).unwrap(),
            _ => bytes,
        }
    }

    /// Names of all files in the folder but the state, the log and the lock.
    pub(super) fn parts(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_file() && !OWN_FILES.contains(&&*name) {
                found.push(name);
            }
        }
        found.sort();
        found
    }

    /// All files below the folder, with their bytes.
    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.parts().into_iter();
        names
            .map(|name| (name.clone(), std::fs::read(self.folder.path().join(&name)).unwrap()))
            .collect()
    }

    pub(super) fn state(&self) -> Value {
        let text = std::fs::read(self.folder.path().join("export.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Places in `output` of the files that are known to be whole.
    pub(super) fn stored(&self) -> Vec<u64> {
        let journal = std::fs::read_to_string(self.folder.path().join("export.journal"));
        let notes: Vec<Value> =
            journal.unwrap_or_default().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let state = self.state();
        let folded = state["stored"].as_array().unwrap().iter();
        folded
            .chain(notes.iter().map(|note| &note["file"]))
            .map(|file| file["index"].as_u64().unwrap())
            .collect()
    }

    /// The events of the log: id and detail.
    pub(super) fn log(&self) -> Vec<(String, Value)> {
        let text = std::fs::read_to_string(self.folder.path().join("log.ndjson")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|event| {
                (event["eventId"].as_str().unwrap().to_owned(), event["eventDetail"].clone())
            })
            .collect()
    }
}

/// What an export keeps beside the data.
const OWN_FILES: [&str; 5] =
    ["export.json", "export.journal", "export.lock", "log.ndjson", "manifest.json"];

fn parts_of(files: &[StoredFile]) -> Vec<String> {
    let parts = files.iter().flat_map(|file| &file.parts);
    let mut names: Vec<_> = parts.map(|part| part.to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Lines that are not blank, without their ends.
pub(super) fn lines_of(text: &[u8]) -> Vec<String> {
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// All that an error says.
pub(super) fn told(error: &Error) -> String {
    format!("{error}\nhint: {}", error.remedy().unwrap_or_default())
}

/// A body as a file.
pub(super) fn raw(kind: &'static str, name: &str, body: impl Into<Bytes>) -> File {
    File::new(Section::Output, Some(kind), name, body)
}
