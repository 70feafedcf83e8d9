//! Tables on disk: the only module that knows paths; encodes Parquet and commits to Delta logs.
//!
//! ```text
//! <root>/
//!   <table>/                        a Delta table: any Delta or Parquet reader reads it
//!     _delta_log/00000000000000000000.json …
//!     part-<run>-00000.parquet …    files that no log entry names are harmless leftovers
//!   _rejects/                       a table like the others: the lines that could not be used
//!   _kiln/
//!     lock                          held by the run that writes
//!     staging/<run>/<table>/…       part files before their commit; removed by the next run
//!     runs/<run>.json               the report of a run
//! ```
//!
//! A table changes by one commit: [`Staging::writer`] writes part files where nobody looks,
//! [`Staging::commit`] renames them into the table's folder, where still nobody looks, and
//! then adds one entry to the Delta log, which is the file that readers go by. Killed at any
//! instant, a run leaves the last version as it was; the next [`Warehouse::begin`] sweeps up.
//!
//! Parquet encoding is synchronous and runs on rayon; what touches a Delta log is `async` and
//! needs a tokio runtime, because delta-rs does.

mod change;
mod commit;
mod cut;
mod delta;
mod evolve;
mod key_set;
mod location;
mod log;
mod merge;
mod optimize;
mod part;
mod past;
mod place;
mod reader;
mod remote;
mod row_group;
mod schema;
mod sort;
mod staging;
mod stats;
mod table_file;
mod vacuum;
mod writer;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;

use crate::durable::{self, Readers};
use crate::error::{Error, ErrorKind, Result};
use crate::objects::{self, StoreSettings};
pub use change::{Change, Gone};
pub use commit::{CommitInfo, Committed};
pub use key_set::{KeySet, key_hash};
pub use optimize::Optimized;
pub use part::PartFile;
use place::Objects;
pub use schema::check_columns;
pub use staging::Staging;
pub use vacuum::Removed;
pub use writer::{ParquetOptions, TableWriter};

/// What Kiln keeps beside the tables.
const OWN_FOLDER: &str = "_kiln";

/// A folder of Delta tables, or a prefix of them in an object store.
#[derive(Debug, Clone)]
pub struct Warehouse {
    /// Absolute: where the tables lie. If they lie in an object store, where the state is kept; empty if nothing is.
    root: PathBuf,
    objects: Option<Objects>,
}

/// What a table holds at its newest version.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// The Delta version.
    pub version: u64,
    /// The columns, with Delta's types.
    pub schema: SchemaRef,
    /// The active Parquet files.
    pub files: Vec<PathBuf>,
}

/// The right to write to a warehouse, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    /// Its lock ends with the process at the latest, also when that is killed.
    file: File,
}

impl Drop for Lock {
    /// Closing the file would not do: a child process just being started holds a copy of it until its program is
    /// loaded, and the lock with it.
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked when the file is closed.
        let _ = self.file.unlock();
    }
}

impl Warehouse {
    /// The warehouse in this folder, which is made if it is not there.
    pub fn create_or_open(root: &Path) -> Result<Self> {
        let warehouse = Self::at(root, ErrorKind::Output)?;
        durable::create_folder(&warehouse.state_folder())?;
        Ok(warehouse)
    }

    /// The warehouse in this folder, or at this url of an object store, to be read. An error of kind `Input` if there is
    /// none.
    pub fn open(root: &Path) -> Result<Self> {
        let none = |why: &str| {
            Error::new(ErrorKind::Input, format!("`{}` {why}", root.display()))
                .hint("`kiln run` makes a warehouse; name another one with `--warehouse DIR`")
        };
        if let Some(url) = root.to_str().filter(|text| objects::is_url(text)) {
            return Self::open_location(url, Path::new(""), &StoreSettings::default());
        }
        if !root.is_dir() {
            return Err(none("is no folder"));
        }
        let warehouse = Self::at(root, ErrorKind::Input)?;
        // A copy of the tables alone is a warehouse too.
        if warehouse.state_folder().is_dir() || !warehouse.tables()?.is_empty() {
            Ok(warehouse)
        } else {
            Err(none("holds no tables"))
        }
    }

    /// The folder, absolute; of a warehouse in an object store the one of its state.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the right to write. An error of kind `Output` if another process has it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.make_own_folder()?.join("lock");
        let file = durable::create_file(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { file }),
            Err(TryLockError::Error(e)) => Err(durable::output_error("lock", &path, e)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Output, format!("another run is writing to `{self}`"))
                    .hint("wait until it has ended, or write to another warehouse"))
            }
        }
    }

    /// Takes the lock, removes what dead runs left in the staging area, and opens it for `run`.
    pub fn begin(&self, run: &str) -> Result<Staging> {
        check_name("run", run, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_')?;
        let lock = self.lock()?;
        // Who holds the lock is the only run alive.
        durable::remove_folder(&self.staging_folder())?;
        durable::create_folder(&self.staging_folder().join(run))?;
        Ok(Staging::new(self.clone(), run.to_owned(), lock))
    }

    /// The table at its newest version, for the query engine. An error of kind `Input` if it does
    /// not exist, `Warehouse` if its log cannot be read.
    pub async fn open_table(&self, table: &str) -> Result<DeltaTable> {
        if let Some(open) = delta::open(&self.place(table)?).await? {
            return Ok(open);
        }
        let message = format!("there is no table `{table}` in `{self}`");
        let hint = format!("the tables are: {}", self.table_names().await?.join(", "));
        Err(Error::new(ErrorKind::Input, message).hint(hint))
    }

    /// What the table holds at its newest version. Errors as [`Warehouse::open_table`].
    pub async fn snapshot(&self, table: &str) -> Result<TableSnapshot> {
        delta::snapshot(&self.open_table(table).await?, &self.place(table)?).await
    }

    /// Keeps the report of a run, whole or not at all.
    pub fn write_report(&self, run: &str, json: &[u8]) -> Result<PathBuf> {
        check_name("run", run, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_')?;
        let folder = self.state_folder().join("runs");
        durable::create_folder(&folder)?;
        let path = folder.join(format!("{run}.json"));
        durable::write_whole(&path, json, Readers::Usual)?;
        Ok(path)
    }

    fn at(root: &Path, kind: ErrorKind) -> Result<Self> {
        let absolute = std::path::absolute(root).map_err(|e| Error::io(kind, "find", root, e))?;
        // delta-kernel decodes `%20` in a folder's name and then does not find its own files.
        match absolute.to_str() {
            Some(text) if !text.contains('%') => Ok(Self { root: absolute, objects: None }),
            _ => {
                let message = format!("`{}` cannot hold Delta tables", absolute.display());
                Err(Error::new(kind, message)
                    .hint("choose a folder whose path has no `%` and is valid Unicode"))
            }
        }
    }

    fn staging_folder(&self) -> PathBuf {
        self.state_folder().join("staging")
    }
}

/// Whether a folder has a Delta log with an entry.
fn is_table(folder: &Path) -> bool {
    let is_entry = |name: &Path| name.extension().is_some_and(|e| e == "json" || e == "parquet");
    fs::read_dir(folder.join("_delta_log"))
        .is_ok_and(|entries| entries.flatten().any(|entry| is_entry(&entry.path())))
}

fn check_name(what: &str, name: &str, allowed: impl Fn(char) -> bool) -> Result<()> {
    if !name.is_empty() && name.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("`{name}` cannot be the name of a {what}");
    Err(Error::new(ErrorKind::Definition, message).hint("use letters, digits and `_`"))
}

/// Which state of the tables is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// As a run left them.
    Run(String),
    /// As they were at this time, in milliseconds since 1970.
    Time(i64),
}

/// A version of a table, and who made it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableVersion {
    /// The Delta version.
    pub version: u64,
    /// When it was committed, in milliseconds since 1970.
    pub committed: i64,
    /// What made it: `replace`, `merge`, `append`, `optimize`, or another program's name for it.
    pub operation: String,
    /// The run that made it, if it was one.
    pub run: Option<String>,
    /// Its pipeline.
    pub pipeline: Option<String>,
}

/// How a column of a table and of the rows to come differ.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase", tag = "change")]
pub enum ColumnChange {
    /// The rows to come have it, the table not.
    Added {
        /// Its name.
        column: String,
    },
    /// The table has it, the rows to come not.
    Dropped {
        /// Its name.
        column: String,
    },
    /// Both have it, with different types.
    Retyped {
        /// Its name.
        column: String,
        /// The table's type, as SQL has it.
        from: String,
        /// The type of the rows to come.
        to: String,
    },
}

#[cfg(test)]
mod tests;
