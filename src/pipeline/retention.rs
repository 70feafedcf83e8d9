//! What is kept, and how long: old versions of tables, the history, rejects.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::rejects::REJECTS_TABLE;
use crate::error::Result;
use crate::history::History;
use crate::settings::{Mistake, Mistakes, Span};
use crate::warehouse::{ParquetOptions, Warehouse};

/// `[retention]` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetentionTable {
    /// Files that no version younger than this needs are removed after each run; nothing is removed by default.
    versions: Option<Span>,
    /// Runs older than this leave the history.
    runs: Option<Span>,
    /// Rejects of runs older than this leave `_rejects`.
    rejects: Option<Span>,
    /// Small files are merged when a table has more than so many.
    small_files: Option<usize>,
}

/// What is kept, and how long.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// Versions of tables.
    pub versions: Option<Duration>,
    /// Runs in the history.
    pub runs: Option<Duration>,
    /// Rejects.
    pub rejects: Option<Duration>,
    /// Compacts tables with more small files.
    pub small_files: Option<usize>,
}

impl Retention {
    /// Removes what need not be kept after a run. What fails is a warning: the run's work is done.
    pub(super) async fn apply(&self, warehouse: &Warehouse, history: &History) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut note = |done: Result<()>| warnings.extend(done.err().map(|e| e.to_string()));
        if let Some(age) = self.rejects {
            note(drop_rejects(warehouse, age).await);
        }
        if let Some(most) = self.small_files {
            note(compact(warehouse, most).await);
        }
        if let Some(age) = self.versions {
            note(warehouse.vacuum(&[], age, false).await.map(drop));
        }
        if let Some(age) = self.runs {
            note(history.prune(&before(age).to_string()).map(drop));
        }
        warnings
    }
}

fn before(age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN)
}

/// Files of rejects have those of one run, and runs are named by their time.
async fn drop_rejects(warehouse: &Warehouse, age: Duration) -> Result<()> {
    let oldest = before(age).strftime("%Y%m%dT%H%M%SZ").to_string();
    let staging = warehouse.begin("retention")?;
    staging.drop_files(REJECTS_TABLE, &oldest).await.map(drop)
}

/// A file of less is small.
const SMALL_BYTES: u64 = 16 << 20;

async fn compact(warehouse: &Warehouse, most: usize) -> Result<()> {
    let mut scattered = Vec::new();
    for table in warehouse.table_names().await? {
        let files = warehouse.snapshot(&table).await?.files;
        let small = |file: &&PathBuf| file.metadata().is_ok_and(|file| file.len() < SMALL_BYTES);
        if table != REJECTS_TABLE && files.iter().filter(small).count() > most {
            scattered.push(table);
        }
    }
    if scattered.is_empty() {
        return Ok(());
    }
    warehouse.optimize(&scattered, &[], &ParquetOptions::default()).await.map(drop)
}

impl RetentionTable {
    /// Checks it. Paths of mistakes are below `retention`.
    pub(super) fn check(&self) -> Result<Retention, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let mut span = |path: &str, written: &Option<Span>| {
            let written = written.as_ref()?;
            let duration = written.duration();
            if duration.is_none() {
                let message = format!("`{}` is no span of time", written.0);
                mistakes.hinted(path, message, "write `30d`, `12h` or seconds");
            }
            duration
        };
        let retention = Retention {
            versions: span("versions", &self.versions),
            runs: span("runs", &self.runs),
            rejects: span("rejects", &self.rejects),
            small_files: self.small_files,
        };
        if mistakes.0.is_empty() { Ok(retention) } else { Err(mistakes.0) }
    }
}
