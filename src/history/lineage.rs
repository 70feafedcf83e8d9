//! Lineage: from a version of a table to the run that made it, and to what that run read.

use rusqlite::Row;
use serde::Serialize;

use super::{History, json};
use crate::error::Result;

/// A version of a table that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The Delta version.
    pub version: u64,
    /// The run.
    pub run: String,
    /// Its pipeline.
    pub pipeline: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// Rows that it brought.
    pub rows: Option<u64>,
    /// Where the export lies that it read, if it read one and that is kept.
    pub export: Option<String>,
    /// The instant up to which that export is complete, as the server wrote it.
    pub transaction_time: Option<String>,
    /// The files that it read.
    pub files: Vec<String>,
}

impl History {
    /// The versions of a table that runs made, newest first.
    pub fn made(&self, table: &str, limit: usize) -> Result<Vec<Made>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT version, run, run_tables.pipeline, run_tables.started, rows,
                        report ->> '$.export.folder', report ->> '$.export.transaction_time',
                        (SELECT json_group_array(of.value ->> 'file')
                         FROM json_each(report, '$.files') AS of)
                 FROM run_tables JOIN runs USING (run)
                 WHERE table_name = ? AND version IS NOT NULL ORDER BY version DESC LIMIT ?",
            )?;
            statement.query_map(rusqlite::params![table, limit], made_of)?.collect()
        })
    }
}

fn made_of(row: &Row<'_>) -> rusqlite::Result<Made> {
    Ok(Made {
        version: row.get::<_, i64>(0)? as u64,
        run: row.get(1)?,
        pipeline: row.get(2)?,
        started: row.get(3)?,
        rows: row.get::<_, Option<i64>>(4)?.map(|rows| rows as u64),
        export: row.get(5)?,
        transaction_time: row.get(6)?,
        files: json(row, 7)?.unwrap_or_default(),
    })
}
