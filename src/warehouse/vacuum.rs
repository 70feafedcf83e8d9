//! Files that no version needs that is young enough, found by the log and removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use object_store::path::Path as ObjectPath;

use super::log::Entry;
use super::{Warehouse, check_name, delta, is_table};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The table that they were of; none for what dead runs left in the staging area.
    pub table: Option<String>,
    /// The files.
    pub files: Vec<PathBuf>,
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
        for table in self.folders(tables)? {
            let folder = self.table_folder(&table)?;
            let needed = self.needed(&table, cutoff.as_millisecond()).await?;
            let files = parquet_files(&folder)?;
            let unneeded = files.into_iter().filter(|(name, _)| !needed.contains(name));
            let files = unneeded.map(|(_, path)| path).collect();
            removed.push(Removed::new(Some(table), files)?);
        }
        if tables.is_empty() {
            removed.push(Removed::new(None, files_below(&self.staging_folder())?)?);
        }
        removed.retain(|removed| !removed.files.is_empty());
        if !dry_run {
            for path in removed.iter().flat_map(|removed| &removed.files) {
                durable::step();
                fs::remove_file(path).map_err(|e| durable::output_error("remove", path, e))?;
            }
        }
        Ok(removed)
    }

    /// The folders of tables, also of those that a run was killed before making: they have a log without an entry.
    fn folders(&self, named: &[String]) -> Result<Vec<String>> {
        let failed = |e| Error::io(ErrorKind::Input, "read", self.root(), e);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_name = check_name("table", &name, |c| c.is_ascii_alphanumeric() || c == '_');
            if is_name.is_ok() && entry.path().join("_delta_log").is_dir() {
                names.push(name);
            }
        }
        names.sort_unstable();
        if let Some(missing) = named.iter().find(|name| !names.contains(name)) {
            let message = format!("there is no table `{missing}` in `{}`", self.root().display());
            let hint = format!("the tables are: {}", self.tables()?.join(", "));
            return Err(Error::new(ErrorKind::Input, message).hint(hint));
        }
        names.retain(|name| named.is_empty() || named.contains(name));
        Ok(names)
    }

    /// The names of the files of every version that was current at the cutoff or later.
    async fn needed(&self, table: &str, cutoff: i64) -> Result<BTreeSet<String>> {
        let folder = self.table_folder(table)?;
        if !is_table(&folder) {
            return Ok(BTreeSet::new());
        }
        let mut open = self.open_table(table).await?;
        let mut needed: BTreeSet<_> = names(&delta::files(&open, &folder).await?);
        let entries = self.entries(table).await?;
        let Some(first) = current_at(&entries, cutoff) else { return Ok(needed) };
        needed.extend(entries.iter().filter(|e| e.version.version > first).flat_map(added));
        open.load_version(first).await.map_err(|e| delta::read_error(&folder, e))?;
        needed.extend(names(&delta::files(&open, &folder).await?));
        Ok(needed)
    }
}

impl Removed {
    fn new(table: Option<String>, files: Vec<PathBuf>) -> Result<Self> {
        let size = |path: &PathBuf| fs::metadata(path).map_err(|e| input_error(path, e));
        let bytes = files.iter().map(|path| Ok(size(path)?.len())).sum::<Result<u64>>()?;
        Ok(Self { table, files, bytes })
    }
}

/// The version that was current at a time, or the oldest that is known. Where the clock went back, the earlier one.
fn current_at(entries: &[Entry], time: i64) -> Option<u64> {
    let later = entries.iter().position(|entry| entry.version.committed > time);
    let at = later.unwrap_or(entries.len()).saturating_sub(1);
    entries.get(at).map(|entry| entry.version.version)
}

fn names(files: &[super::table_file::TableFile]) -> BTreeSet<String> {
    files.iter().map(|file| file.name.clone()).collect()
}

/// The names of the files that an entry adds, as they are on disk: in the log they are parts of urls.
fn added(entry: &Entry) -> impl Iterator<Item = String> {
    entry.files.iter().map(|name| {
        ObjectPath::from_url_path(name).map_or_else(|_| name.clone(), |path| path.to_string())
    })
}

/// The Parquet files of a table: their names and paths.
fn parquet_files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| input_error(folder, e))? {
        let path = entry.map_err(|e| input_error(folder, e))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        if let (Some(name), true) = (name, path.is_file())
            && path.extension().is_some_and(|e| e == "parquet")
        {
            files.push((name, path));
        }
    }
    files.sort_unstable();
    Ok(files)
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
