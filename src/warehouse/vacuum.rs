//! Files that no version needs that is young enough, found by the log and removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use object_store::path::Path as ObjectPath;

use super::log::{self, Entry};
use super::place::Place;
use super::table_file::TableFile;
use super::{Warehouse, delta};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The table that they were of; none for what dead runs left in the staging area.
    pub table: Option<String>,
    /// The files, by their names in the table's folder, or below the staging area.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

impl Warehouse {
    /// Removes Parquet files of these tables, of all if none is named, that are needed by no version that was current
    /// within the last `keep`, and what dead runs left; `dry_run` only tells. The log stays: the older versions are
    /// known, and cannot be read.
    ///
    /// The warehouse is locked meanwhile, so that no file is removed that a run is about to commit.
    pub async fn vacuum(
        &self,
        tables: &[String],
        keep: Duration,
        dry_run: bool,
    ) -> Result<Vec<Removed>> {
        let _lock = self.lock()?;
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        let cutoff = Timestamp::now().checked_sub(keep).unwrap_or(Timestamp::MIN);
        let mut removed = Vec::new();
        for table in self.with_logs(tables).await? {
            let place = self.place(&table)?;
            let needed = needed(&place, cutoff.as_millisecond()).await?;
            let mut files = place.parquet_files().await?;
            files.retain(|(name, _)| !needed.contains(name));
            for (name, _) in files.iter().filter(|_| !dry_run) {
                place.remove(name).await?;
            }
            removed.push(Removed::new(Some(table), files));
        }
        if tables.is_empty() {
            removed.push(Removed::new(None, self.staged()?));
            if !dry_run {
                durable::remove_folder(&self.staging_folder())?;
            }
        }
        removed.retain(|removed| !removed.files.is_empty());
        Ok(removed)
    }

    /// The tables, also those that a run was killed before making: they have a log without an entry.
    async fn with_logs(&self, named: &[String]) -> Result<Vec<String>> {
        let mut found = self.folders().await?;
        if let Some(missing) = named.iter().find(|name| !found.contains(name)) {
            let message = format!("there is no table `{missing}` in `{self}`");
            let hint = format!("the tables are: {}", self.table_names().await?.join(", "));
            return Err(Error::new(ErrorKind::Input, message).hint(hint));
        }
        found.retain(|name| named.is_empty() || named.contains(name));
        Ok(found)
    }

    /// What lies in the staging area.
    fn staged(&self) -> Result<Vec<(String, u64)>> {
        let area = self.staging_folder();
        let named = |path: PathBuf| {
            let bytes = fs::metadata(&path).map_err(|e| input_error(&path, e))?.len();
            let name = path.strip_prefix(&area).unwrap_or(&path).display().to_string();
            Ok((name, bytes))
        };
        files_below(&area)?.into_iter().map(named).collect()
    }
}

impl Removed {
    fn new(table: Option<String>, files: Vec<(String, u64)>) -> Self {
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        Self { table, files: files.into_iter().map(|(name, _)| name).collect(), bytes }
    }
}

/// The names of the files of every version that was current at the cutoff or later.
async fn needed(place: &Place, cutoff: i64) -> Result<BTreeSet<String>> {
    let Some(mut open) = delta::open(place).await? else { return Ok(BTreeSet::new()) };
    let mut needed: BTreeSet<_> = names(&delta::files(&open, place).await?);
    let entries = log::entries(&open, place).await?;
    let Some(first) = current_at(&entries, cutoff) else { return Ok(needed) };
    needed.extend(entries.iter().filter(|e| e.version.version > first).flat_map(added));
    open.load_version(first).await.map_err(|e| place.read_error(e))?;
    needed.extend(names(&delta::files(&open, place).await?));
    Ok(needed)
}

/// The version that was current at a time, or the oldest that is known. Where the clock went back, the earlier one.
fn current_at(entries: &[Entry], time: i64) -> Option<u64> {
    let later = entries.iter().position(|entry| entry.version.committed > time);
    let at = later.unwrap_or(entries.len()).saturating_sub(1);
    entries.get(at).map(|entry| entry.version.version)
}

fn names(files: &[TableFile]) -> BTreeSet<String> {
    files.iter().map(|file| file.name.clone()).collect()
}

/// The names of the files that an entry adds, as they are stored: in the log they are parts of urls.
fn added(entry: &Entry) -> impl Iterator<Item = String> {
    entry.files.iter().map(|name| {
        ObjectPath::from_url_path(name).map_or_else(|_| name.clone(), |path| path.to_string())
    })
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder).map_err(|e| input_error(folder, e))? {
            let path = entry.map_err(|e| input_error(folder, e))?.path();
            if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn input_error(path: &Path, error: std::io::Error) -> Error {
    Error::io(ErrorKind::Input, "read", path, error)
}
