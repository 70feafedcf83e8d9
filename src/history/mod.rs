//! What happened: runs, their reports, what they have synchronised, and which slots of schedules were taken; in one SQLite
//! file, `history.sqlite`, which any tool reads.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;

/// The history of a warehouse. Several processes may have it open; each call is one transaction.
#[derive(Debug)]
pub struct History {}

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

impl History {
    /// Opens the history in a folder, and makes it if it is not there.
    pub fn open(_folder: &Path) -> Result<Self> {
        todo!()
    }

    /// Opens the history in a folder, if there is one.
    pub fn find(_folder: &Path) -> Result<Option<Self>> {
        todo!()
    }

    /// Notes that a run begins. Runs of the same pipeline that have no end are broken off: there is one at a time.
    pub fn begin(&self, _run: &RunBegun) -> Result<()> {
        todo!()
    }

    /// Notes that a run has ended, and with it, in the same transaction, what is synchronised now.
    pub fn end(&self, _run: &RunEnded) -> Result<()> {
        todo!()
    }

    /// Up to when a pipeline has the changes of its source.
    pub fn synchronised(&self, _pipeline: &str) -> Result<Option<Synchronised>> {
        todo!()
    }

    /// Forgets that: the next run asks for everything.
    pub fn forget(&self, _pipeline: &str) -> Result<()> {
        todo!()
    }

    /// The members of a pipeline's group, as of the last run.
    pub fn members(&self, _pipeline: &str) -> Result<Option<Vec<String>>> {
        todo!()
    }

    /// The runs, newest first; of one pipeline if it is named.
    pub fn runs(&self, _pipeline: Option<&str>, _limit: usize) -> Result<Vec<RunLine>> {
        todo!()
    }

    /// A run by its name or the beginning of it, with its report. An error of kind `Usage` if there is none, or several.
    pub fn run(&self, _run: &str) -> Result<(RunLine, Option<Value>)> {
        todo!()
    }

    /// Takes a slot of a schedule, unless it was taken: `true` for the one that may run.
    pub fn take_slot(&self, _pipeline: &str, _slot: &str) -> Result<bool> {
        todo!()
    }

    /// The latest slot taken.
    pub fn last_slot(&self, _pipeline: &str) -> Result<Option<String>> {
        todo!()
    }

    /// Removes runs (and slots) that began before an instant, RFC 3339; gives how many.
    pub fn prune(&self, _before: &str) -> Result<usize> {
        todo!()
    }
}
