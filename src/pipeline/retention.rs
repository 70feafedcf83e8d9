//! What is kept, and how long: old versions of tables, the history, rejects.

use serde::Deserialize;

use crate::settings::{Mistake, Mistakes, Span};

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
    pub versions: Option<std::time::Duration>,
    /// Runs in the history.
    pub runs: Option<std::time::Duration>,
    /// Rejects.
    pub rejects: Option<std::time::Duration>,
    /// Compacts tables with more small files.
    pub small_files: Option<usize>,
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
