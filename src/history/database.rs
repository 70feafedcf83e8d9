//! The SQLite file: how it is opened, brought to the version of its schema, and changed.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// Its name within its folder.
pub(super) const FILE: &str = "history.sqlite";

/// What leads from each version of the schema to the next. What was released never changes.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql")];

/// Marks the file as Kiln's (`PRAGMA application_id`): `KILN`.
const APPLICATION: i64 = 0x4B49_4C4E;

/// How long a process waits for another's transaction.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connection. Transactions are short, so threads wait for each other.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the file in a folder, which is made if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        durable::create_folder(folder)?;
        let path = folder.join(FILE);
        // As other files are made: what SQLite makes, the group may not write, even if it may write the tables.
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => durable::sync_folder(folder)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(durable::output_error("create", &path, e)),
        }
        Self::connect(path)
    }

    /// Opens the file in a folder, if there is one.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        path.exists().then(|| Self::connect(path)).transpose()
    }

    fn connect(path: PathBuf) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(|e| fault(&path, e))?;
        let database = Self { path, connection: Mutex::new(connection) };
        database.prepare()?;
        Ok(database)
    }

    /// Readies the connection. A rollback journal, because a write-ahead log needs shared memory, which network file
    /// systems do not have; `EXTRA`, because the end of a transaction is the removal of the journal.
    fn prepare(&self) -> Result<()> {
        let settle = |connection: &Connection| {
            connection.busy_timeout(PATIENCE)?;
            connection.execute_batch("PRAGMA synchronous = EXTRA")?;
            connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        };
        settle(&self.lock()).map_err(|e| fault(&self.path, e))?;
        if self.read(version)? < MIGRATIONS.len() {
            self.check_ours()?;
            self.write(migrate)?;
        }
        let found = self.read(version)?;
        if found > MIGRATIONS.len() {
            return Err(self.newer(found));
        }
        self.check_ours()
    }

    fn newer(&self, found: usize) -> Error {
        let message = format!(
            "the history is of version {found}; this program knows versions up to {}",
            MIGRATIONS.len()
        );
        let error = Error::new(ErrorKind::Warehouse, message).at("file", self.path.display());
        error.hint("a newer Kiln has written it: use that one, or a warehouse of its own")
    }

    /// Whether the file is empty or a history.
    fn check_ours(&self) -> Result<()> {
        let ours = self.read(|connection| {
            let application = pragma(connection, "application_id")?;
            let objects: i64 =
                connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
            Ok(application == APPLICATION || objects == 0)
        })?;
        if ours {
            return Ok(());
        }
        let message = "there is another program's database where the history should be";
        let error = Error::new(ErrorKind::Warehouse, message).at("file", self.path.display());
        Err(error.hint("move it away"))
    }

    /// What queries give, all of one state.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut connection = self.lock();
        let found = connection.transaction().and_then(|transaction| query(&transaction));
        found.map_err(|e| fault(&self.path, e))
    }

    /// Changes everything that `change` does, or nothing.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        commit(&mut self.lock(), change).map_err(|e| fault(&self.path, e))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A thread that panicked has rolled its transaction back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For errors.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn commit<T>(
    connection: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // Immediate: one that begins by reading could not wait for another that writes.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changed = change(&transaction)?;
    durable::step();
    transaction.commit()?;
    Ok(changed)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    Ok(pragma(connection, "user_version")? as usize)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// Does what is missing. Another process may have done it in the meantime.
fn migrate(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let from = version(transaction)?;
    for migration in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    if from < MIGRATIONS.len() {
        let marks = format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {}",
            MIGRATIONS.len()
        );
        transaction.execute_batch(&marks)?;
    }
    Ok(())
}

/// An error of SQLite, with what the user can do about it.
fn fault(path: &Path, error: rusqlite::Error) -> Error {
    let (kind, message, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Output,
            "another process has the history for too long".to_owned(),
            "see which programs have the file open, and run again",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            ErrorKind::Output,
            format!("cannot open or write the history: {error}"),
            "this user needs to read and write the file and its folder",
        ),
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => (
            ErrorKind::Output,
            format!("cannot read or write the history: {error}"),
            "check the disk: whether it has room, and whether it works",
        ),
        _ => (
            ErrorKind::Warehouse,
            format!("the history is damaged: {error}"),
            "move the file away (or repair it by `.recover` of the program `sqlite3`): without it, tables stay as they \
             are, and the next run of each pipeline asks for everything",
        ),
    };
    Error::new(kind, message).at("file", path.display()).hint(hint).caused_by(error)
}
