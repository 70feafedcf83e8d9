//! What happened: runs, their reports, what they have synchronised, and which slots of schedules were taken; in one SQLite
//! file, `history.sqlite`, which any tool reads.

mod database;
mod lineage;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use database::Database;
pub use lineage::Made;

/// The history of a warehouse. Several processes may have it open; each call is one transaction.
#[derive(Debug)]
pub struct History {
    database: Database,
}

/// A run that begins.
#[derive(Debug, Clone)]
pub struct RunBegun {
    /// Its name, which sorts by time.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// When, RFC 3339.
    pub started: String,
    /// `full` or `increment`.
    pub kind: String,
    /// The slot of the schedule that it was started for, RFC 3339.
    pub slot: Option<String>,
}

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct RunEnded {
    /// Its name.
    pub run: String,
    /// When, RFC 3339.
    pub ended: String,
    /// `committed`, `unchanged`, `rejected`, `failed`.
    pub outcome: String,
    /// Why it failed, without PHI or secrets.
    pub message: Option<String>,
    /// The `RunReport`, if it came so far.
    pub report: Option<Value>,
    /// What the pipeline has synchronised now, if that changed.
    pub synchronised: Option<Synchronised>,
    /// The members of the group now (`Patient` ids), if they are followed.
    pub members: Option<Vec<String>>,
}

/// Up to when a pipeline has the changes of its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synchronised {
    /// Tells what was asked (server, group, types, filters, …): another request begins anew.
    pub request: String,
    /// `_since` of the next export, before overlap: an instant as the server wrote it.
    pub since: String,
    /// The transaction of the run that brought it there: every table of the pipeline has it.
    pub transaction: i64,
    /// The tables that are current.
    pub tables: Vec<String>,
    /// The run.
    pub run: String,
}

/// One line of `kiln runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunLine {
    /// Its name.
    pub run: String,
    /// The pipeline's.
    pub pipeline: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended; none while it runs, or if it was killed.
    pub ended: Option<String>,
    /// `full` or `increment`.
    pub kind: String,
    /// `running`, `broken off`, or how it ended.
    pub outcome: String,
    /// Why it failed.
    pub message: Option<String>,
}

/// Columns of a [`RunLine`].
const LINE: &str = "run, pipeline, started, ended, kind, outcome, message";

impl History {
    /// Opens the history in a folder, and makes it if it is not there.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { database: Database::open(folder)? })
    }

    /// Opens the history in a folder, if there is one.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        Ok(Database::find(folder)?.map(|database| Self { database }))
    }

    /// Notes that a run begins. Runs of the same pipeline that have no end are broken off: there is one at a time.
    pub fn begin(&self, run: &RunBegun) -> Result<()> {
        self.database.write(|transaction| {
            transaction.execute(
                "UPDATE runs SET outcome = 'broken off' WHERE pipeline = ? AND outcome = 'running'",
                [&run.pipeline],
            )?;
            // A run that goes on under the name that it had is the same run.
            transaction.execute(
                "INSERT INTO runs (run, pipeline, started, kind, slot, outcome)
                 VALUES (?, ?, ?, ?, ?, 'running')
                 ON CONFLICT (run) DO UPDATE SET outcome = 'running', ended = NULL, message = NULL",
                params![run.run, run.pipeline, run.started, run.kind, run.slot],
            )?;
            Ok(())
        })
    }

    /// Notes that a run has ended, and with it, in the same transaction, what is synchronised now.
    ///
    /// # Errors
    /// Of kind `Warehouse` if the run was never begun: then nothing is noted.
    pub fn end(&self, run: &RunEnded) -> Result<()> {
        let noted = self.database.write(|transaction| {
            let Some(pipeline) = end_run(transaction, run)? else { return Ok(false) };
            if let Some(now) = &run.synchronised {
                synchronise(transaction, &pipeline, now)?;
            }
            if let Some(members) = &run.members {
                follow(transaction, &pipeline, &run.run, members)?;
            }
            Ok(true)
        })?;
        if noted {
            return Ok(());
        }
        let message = format!("the history does not know run `{}`, which ends now", run.run);
        let error = Error::new(ErrorKind::Warehouse, message);
        let hint = "the file was moved or replaced during the run: run the pipeline again";
        Err(error.at("file", self.database.path().display()).hint(hint))
    }

    /// Up to when a pipeline has the changes of its source.
    pub fn synchronised(&self, pipeline: &str) -> Result<Option<Synchronised>> {
        self.database.read(|connection| {
            let query = "SELECT request, since, transaction_number, tables, run
                         FROM synchronised WHERE pipeline = ?";
            connection.query_row(query, [pipeline], synchronised_of).optional()
        })
    }

    /// Forgets that: the next run asks for everything.
    pub fn forget(&self, pipeline: &str) -> Result<()> {
        self.database.write(|transaction| {
            transaction.execute("DELETE FROM synchronised WHERE pipeline = ?", [pipeline])?;
            Ok(())
        })
    }

    /// The members of a pipeline's group, as of the last run that followed them.
    pub fn members(&self, pipeline: &str) -> Result<Option<Vec<String>>> {
        self.database.read(|connection| {
            let query = "SELECT member FROM rosters LEFT JOIN members USING (pipeline)
                         WHERE pipeline = ? ORDER BY member";
            let mut statement = connection.prepare(query)?;
            let rows = statement.query_map([pipeline], |row| row.get::<_, Option<String>>(0))?;
            let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((!found.is_empty()).then(|| found.into_iter().flatten().collect()))
        })
    }

    /// The runs, newest first; of one pipeline if it is named.
    pub fn runs(&self, pipeline: Option<&str>, limit: usize) -> Result<Vec<RunLine>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|connection| {
            let query = format!(
                "SELECT {LINE} FROM runs WHERE pipeline = ?1 OR ?1 IS NULL
                 ORDER BY julianday(started) DESC, rowid DESC LIMIT ?2"
            );
            let mut statement = connection.prepare(&query)?;
            statement.query_map(params![pipeline, limit], line_of)?.collect()
        })
    }

    /// A run by its name or the beginning of it, with its report. An error of kind `Usage` if there is none, or several.
    pub fn run(&self, run: &str) -> Result<(RunLine, Option<Value>)> {
        let mut found = self.database.read(|connection| named(connection, run))?;
        // Its whole name is also the beginning of longer ones.
        if let Some(i) = found.iter().position(|(line, _)| line.run == run) {
            found.swap(0, i);
            found.truncate(1);
        }
        match found.pop() {
            Some(only) if found.is_empty() => Ok(only),
            Some(_) => {
                let error =
                    Error::new(ErrorKind::Usage, format!("several runs begin with `{run}`"));
                Err(error.hint("write more of the name; `kiln runs` lists them"))
            }
            None => {
                let error = Error::new(ErrorKind::Usage, format!("there is no run `{run}`"));
                Err(error.hint("`kiln runs` lists them"))
            }
        }
    }

    /// Takes a slot of a schedule, unless it was taken: `true` for the one that may run.
    pub fn take_slot(&self, pipeline: &str, slot: &str) -> Result<bool> {
        self.database.write(|transaction| {
            let take = "INSERT INTO slots (pipeline, slot) VALUES (?, ?) ON CONFLICT DO NOTHING";
            Ok(transaction.execute(take, [pipeline, slot])? == 1)
        })
    }

    /// The latest slot taken.
    pub fn last_slot(&self, pipeline: &str) -> Result<Option<String>> {
        self.database.read(|connection| {
            let query = "SELECT slot FROM slots WHERE pipeline = ?
                         ORDER BY julianday(slot) DESC LIMIT 1";
            connection.query_row(query, [pipeline], |row| row.get(0)).optional()
        })
    }

    /// Removes runs (and slots) that began before an instant, RFC 3339; gives how many runs. Runs that go on stay, and so
    /// does what the next run needs: the run up to which a pipeline is synchronised, and its latest slot.
    pub fn prune(&self, before: &str) -> Result<usize> {
        if before.parse::<jiff::Timestamp>().is_err() {
            let message = format!("`{before}` is no instant");
            return Err(Error::new(ErrorKind::Usage, message).hint("write `2026-01-31T00:00:00Z`"));
        }
        self.database.write(|transaction| {
            transaction.execute(
                "DELETE FROM slots WHERE julianday(slot) < julianday(?) AND EXISTS (
                     SELECT 1 FROM slots AS later WHERE later.pipeline = slots.pipeline
                     AND julianday(later.slot) > julianday(slots.slot))",
                [before],
            )?;
            transaction.execute(
                "DELETE FROM runs WHERE julianday(started) < julianday(?) AND outcome <> 'running'
                 AND run NOT IN (SELECT run FROM synchronised)",
                [before],
            )
        })
    }
}

/// Notes the end; gives the run's pipeline if there is such a run.
fn end_run(transaction: &Transaction<'_>, run: &RunEnded) -> rusqlite::Result<Option<String>> {
    let report = run.report.as_ref().map(Value::to_string);
    let update = "UPDATE runs SET ended = ?, outcome = ?, message = ?, report = ? WHERE run = ?
                  RETURNING pipeline";
    let values = params![run.ended, run.outcome, run.message, report, run.run];
    transaction.query_row(update, values, |row| row.get(0)).optional()
}

fn synchronise(
    transaction: &Transaction<'_>,
    pipeline: &str,
    now: &Synchronised,
) -> rusqlite::Result<()> {
    let tables = Value::from(now.tables.clone()).to_string();
    transaction.execute(
        "INSERT OR REPLACE INTO synchronised
         (pipeline, request, since, transaction_number, tables, run) VALUES (?, ?, ?, ?, ?, ?)",
        params![pipeline, now.request, now.since, now.transaction, tables, now.run],
    )?;
    Ok(())
}

/// Notes who is a member now.
fn follow(
    transaction: &Transaction<'_>,
    pipeline: &str,
    run: &str,
    members: &[String],
) -> rusqlite::Result<()> {
    transaction
        .execute("INSERT OR REPLACE INTO rosters (pipeline, run) VALUES (?, ?)", [pipeline, run])?;
    transaction.execute("DELETE FROM members WHERE pipeline = ?", [pipeline])?;
    let mut insert =
        transaction.prepare("INSERT OR IGNORE INTO members (pipeline, member) VALUES (?, ?)")?;
    for member in members {
        insert.execute([pipeline, member.as_str()])?;
    }
    Ok(())
}

/// Runs whose names begin so: a few, since more than one is too many.
fn named(
    connection: &Connection,
    beginning: &str,
) -> rusqlite::Result<Vec<(RunLine, Option<Value>)>> {
    let query = format!(
        "SELECT {LINE}, report FROM runs WHERE substr(run, 1, length(?1)) = ?1 AND ?1 <> ''
         ORDER BY run LIMIT 2"
    );
    let mut statement = connection.prepare(&query)?;
    let rows = statement.query_map([beginning], |row| Ok((line_of(row)?, json(row, 7)?)))?;
    rows.collect()
}

fn line_of(row: &Row<'_>) -> rusqlite::Result<RunLine> {
    Ok(RunLine {
        run: row.get(0)?,
        pipeline: row.get(1)?,
        started: row.get(2)?,
        ended: row.get(3)?,
        kind: row.get(4)?,
        outcome: row.get(5)?,
        message: row.get(6)?,
    })
}

fn synchronised_of(row: &Row<'_>) -> rusqlite::Result<Synchronised> {
    Ok(Synchronised {
        request: row.get(0)?,
        since: row.get(1)?,
        transaction: row.get(2)?,
        tables: json(row, 3)?.unwrap_or_default(),
        run: row.get(4)?,
    })
}

/// JSON in a column; damaged JSON is an error.
fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, i: usize) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(i)? else { return Ok(None) };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(i, rusqlite::types::Type::Text, Box::new(e))
    })
}
