//! The pipeline of these tests in a folder of its own, run by the program.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::compare::VIEWS;
use crate::command::{kiln, write};

/// A pipeline with its warehouse.
pub(super) struct Pipeline {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// None: it was killed.
    pub(super) code: Option<i32>,
    pub(super) said: String,
}

/// In memory where that is possible: the program syncs tens of thousands of files in a year, and it is the program that
/// is killed here, not the machine.
fn folder() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

impl Pipeline {
    /// Writes one that exports from `server` with these further settings of `[source.export]`.
    pub(super) fn new(server: &str, settings: &str) -> Self {
        let folder = folder();
        for (name, view) in VIEWS {
            write(folder.path(), &format!("{name}.json"), view.as_bytes());
        }
        let pipeline = Self { folder };
        pipeline.set(server, settings);
        pipeline
    }

    /// Writes other settings.
    pub(super) fn set(&self, server: &str, settings: &str) {
        let schemas: Vec<_> = VIEWS.iter().map(|(name, _)| format!("\"./{name}.json\"")).collect();
        let text = format!(
            r#"
schemas = [{}]
[source.export]
server = "{server}"
poll_min = "1ms"
poll_max = "5ms"
{settings}
[warehouse]
path = "warehouse"
"#,
            schemas.join(", ")
        );
        write(self.folder.path(), "nightly.toml", text.as_bytes());
    }

    pub(super) fn warehouse(&self) -> PathBuf {
        self.folder.path().join("warehouse")
    }

    /// Runs it with these arguments, killed before a durable step if one is named.
    pub(super) async fn run(&self, arguments: &[&str], crash_at: Option<usize>) -> Ended {
        let mut all = vec!["run", "nightly.toml", "--report", "report.json"];
        all.extend_from_slice(arguments);
        let mut command = kiln(self.folder.path(), &all);
        command.env_remove("KILN_CRASH_AT");
        if let Some(step) = crash_at {
            command.env("KILN_CRASH_AT", step.to_string());
        }
        let ended = tokio::process::Command::from(command).output().await.unwrap();
        Ended {
            code: ended.status.code(),
            said: String::from_utf8_lossy(&ended.stderr).into_owned(),
        }
    }

    /// The report of the last run that wrote one.
    pub(super) fn report(&self) -> Value {
        let report = std::fs::read(self.folder.path().join("report.json")).unwrap();
        serde_json::from_slice(&report).unwrap()
    }

    /// The answer of `kiln query`, as CSV.
    pub(super) async fn query(&self, arguments: &[&str]) -> String {
        let mut all = vec!["query", "--warehouse", "warehouse", "--format", "csv"];
        all.extend_from_slice(arguments);
        let command = kiln(self.folder.path(), &all);
        let done = tokio::process::Command::from(command).output().await.unwrap();
        assert!(done.status.success(), "{all:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}
