//! The folders of a pipeline's exports: the one under way, and those whose data the tables have.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::source::{ExportSource, Source};
use crate::durable::{self, Readers};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{Clock, ExportJob, ExportState, Observer};

/// Beside the data of an export that a run is done with.
const LOADED: &str = "loaded.json";

/// Beside the data of an export that a run is about to commit.
const ATTEMPT: &str = "attempt.json";

/// One folder for each export, named by when it was begun.
pub(super) struct Exports<'e> {
    /// Where they lie.
    folder: &'e Path,
    /// How many are kept once the tables have their data.
    keep: usize,
}

/// What [`LOADED`] says.
#[derive(Serialize)]
struct Loaded<'l> {
    run: &'l str,
    at: String,
}

impl ExportSource {
    pub(super) fn exports(&self) -> Exports<'_> {
        Exports { folder: &self.folder, keep: self.keep }
    }
}

/// What a run was about to commit of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The run.
    pub(super) run: String,
    /// Its transaction.
    pub(super) transaction: i64,
    /// Tells its views, and what it did with them, from others.
    pub(super) work: String,
}

impl Attempt {
    /// The attempt that a run made of an export and did not live to complete, if it was at the same work; else this one,
    /// from now on. Whoever completes an attempt has its transaction, so that no table changes twice by it.
    pub(super) fn take_up(self, export: &Path) -> Result<Self> {
        let path = export.join(ATTEMPT);
        let earlier = fs::read(&path).ok();
        let earlier = earlier.and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        if let Some(earlier) = earlier.filter(|earlier| earlier.work == self.work) {
            return Ok(earlier);
        }
        let text = serde_json::to_vec_pretty(&self).expect("plain data");
        durable::write_whole(&path, &text, Readers::Usual)?;
        Ok(self)
    }
}

impl Exports<'_> {
    /// The exports whose data the tables have, oldest first.
    pub(super) fn kept(&self) -> Result<Vec<PathBuf>> {
        Ok(self.begun()?.into_iter().filter(|export| export.join(LOADED).exists()).collect())
    }

    /// The export to go on with: the latest that no run is done with; else a new one's folder.
    pub(super) fn current(&self, now: Timestamp) -> Result<PathBuf> {
        let mut begun = self.begun()?.into_iter();
        let latest = begun.rfind(|export| !export.join(LOADED).exists());
        Ok(latest.unwrap_or_else(|| self.unused(now)))
    }

    /// A folder that is not there, and whose name sorts behind those that are.
    pub(super) fn unused(&self, now: Timestamp) -> PathBuf {
        let name = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        // Within one second, or if the clock went back, the latest name goes on: with a number behind it.
        let latest = self.begun().ok().and_then(|mut begun| begun.pop());
        let latest = latest.and_then(|latest| Some(latest.file_name()?.to_str()?.to_owned()));
        let base = latest.as_deref().and_then(|latest| latest.get(..name.len()));
        let name = base.filter(|base| *base > name.as_str()).unwrap_or(&name);
        let again = (2..).map(|time| format!("{name}-{time:03}"));
        let mut names = std::iter::once(name.to_owned()).chain(again);
        let free = |name: &String| {
            latest.as_ref().is_none_or(|latest| name > latest) && !self.folder.join(name).exists()
        };
        self.folder.join(names.find(free).expect("the names do not end"))
    }

    /// Notes that a run is done with an export, and removes older ones beyond those that are kept.
    pub(super) fn loaded(&self, export: &Path, run: &str, now: Timestamp) -> Result<()> {
        let loaded = Loaded { run, at: now.to_string() };
        let text = serde_json::to_vec_pretty(&loaded).expect("two texts are JSON");
        durable::write_whole(&export.join(LOADED), &text, Readers::Usual)?;
        let mut loaded = self.kept()?;
        loaded.truncate(loaded.len().saturating_sub(self.keep));
        loaded.iter().try_for_each(|old| durable::remove_folder(old))
    }

    /// The folders that an export was begun in, oldest first.
    fn begun(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(ErrorKind::Input, "list", self.folder, e)),
        };
        let mut begun = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(ErrorKind::Input, "list", self.folder, e))?;
            // The roster of a group is asked for first.
            let path = entry.path();
            if ExportState::is_in(&path) || ExportState::is_in(&path.join("roster")) {
                begun.push(entry.path());
            }
        }
        begun.sort();
        Ok(begun)
    }
}

/// Gives up an export that was begun and is of no use: the server may forget its job.
pub(super) async fn abandon(source: &Source, folder: &Path) -> Result<()> {
    if let (Source::Export(source), Some(state)) = (source, ExportState::read(folder)?) {
        let mut settings = source.settings.clone();
        settings.request.since = state.since().map(str::to_owned);
        let nobody: Observer = Arc::new(|_| {});
        let mut job = ExportJob::open(settings, folder, Clock::System, nobody)?;
        // A server that cannot now forgets it by itself some day.
        let _ = job.cancel().await;
    }
    durable::remove_folder(folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use jiff::Timestamp;

    use super::Exports;

    #[test]
    fn an_export_is_gone_on_with_until_its_data_is_committed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("exports");
        let exports = Exports { folder: &folder, keep: 1 };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut kept = Vec::new();
        for day in 1..=3 {
            let now = at(&format!("2026-01-0{day}T01:02:03Z"));
            let current = exports.current(now).unwrap();
            assert_eq!(current, folder.join(format!("2026010{day}T010203Z")));
            // Nothing was begun: the folder is free.
            fs::create_dir_all(&current).unwrap();
            fs::write(current.join("export.json"), "{}").unwrap();
            assert_eq!(exports.current(at("2026-02-01T00:00:00Z")).unwrap(), current);
            exports.loaded(&current, "run", now).unwrap();
            kept = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
            assert_eq!(kept, [current], "the one before is gone");
            let soon = exports.current(now).unwrap();
            assert!(soon.ends_with(format!("2026010{day}T010203Z-002")), "within the same second");
        }
        assert!(kept[0].join("loaded.json").exists());
        for (now, expected) in [
            // The one without a number is gone, and would be taken for an older one.
            ("2026-01-03T01:02:03Z", "20260103T010203Z-002"),
            ("2026-01-03T01:02:03Z", "20260103T010203Z-003"),
            ("2026-01-02T00:00:00Z", "20260103T010203Z-004"),
            ("2026-01-03T01:02:04Z", "20260103T010204Z"),
        ] {
            let current = exports.current(at(now)).unwrap();
            assert_eq!(current, folder.join(expected), "at {now}");
            fs::create_dir_all(&current).unwrap();
            fs::write(current.join("export.json"), "{}").unwrap();
            assert_eq!(
                exports.current(at("2026-01-01T00:00:00Z")).unwrap(),
                current,
                "gone on with"
            );
            exports.loaded(&current, "run", at(now)).unwrap();
            kept = vec![current];
        }
        let other = folder.join("notes");
        fs::create_dir(&other).unwrap();
        exports.loaded(&kept[0], "run", at("2026-01-04T00:00:00Z")).unwrap();
        assert!(other.exists(), "what is no export stays");
    }
}
