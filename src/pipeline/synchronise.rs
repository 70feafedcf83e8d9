//! What a run asks its source for: everything, or what has changed since the last run.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::definition::{Mode, Pipeline};
use super::source::{ExportSource, Increments, Source};
use super::synchronise::Kind::{Full, Increment, Merge};
use crate::error::Result;
use crate::export::{ExportState, Settings, identity};
use crate::history::{History, Synchronised};
use crate::objects;
use crate::warehouse::Warehouse;

/// What a run does to the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The source's rows become what came.
    Full,
    /// What came replaces its earlier versions; it is what has changed since the last run.
    Increment,
    /// What came replaces its earlier versions; what it is, is not known.
    Merge,
}

impl Kind {
    /// For the history.
    pub(super) fn name(self) -> &'static str {
        match self {
            Full => "full",
            Increment => "increment",
            Merge => "merge",
        }
    }
}

/// What a run does, decided before anything is asked.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// `_since`
    pub(super) since: Option<String>,
    /// The folder of the export, if the source is one.
    pub(super) export: Option<PathBuf>,
    /// An export that was begun and is of no use now.
    pub(super) abandoned: Option<PathBuf>,
    /// Why everything is asked for where changes could be expected.
    pub(super) why: Option<String>,
    /// Up to when the tables have the changes of the source.
    pub(super) known: Option<Synchronised>,
}

impl Plan {
    /// Does this, and asks nobody.
    pub(super) fn to(kind: Kind) -> Self {
        Self { kind, since: None, export: None, abandoned: None, why: None, known: None }
    }

    /// Decides. An export that was begun is gone on with, unless everything has to be asked for and it is only of changes.
    pub(super) async fn of(
        pipeline: &Pipeline,
        warehouse: &Warehouse,
        history: &History,
        full: bool,
    ) -> Result<Self> {
        let plan = Self::to(if pipeline.mode == Mode::Merge { Merge } else { Full });
        let Source::Export(source) = &pipeline.source else { return Ok(plan) };
        let plan = match &source.increments {
            Some(increments) if !full => {
                plan.since_last(pipeline, source, increments, warehouse, history).await?
            }
            _ => Self { since: source.settings.request.since.clone(), ..plan },
        };
        plan.in_folder(source)
    }

    /// Asks for what has changed, if that is enough.
    async fn since_last(
        self,
        pipeline: &Pipeline,
        source: &ExportSource,
        increments: &Increments,
        warehouse: &Warehouse,
        history: &History,
    ) -> Result<Self> {
        let Some(known) = history.synchronised(&pipeline.name)? else { return Ok(self) };
        let why = if known.request == identity(&source.settings.request) {
            incomplete(pipeline, &known, warehouse).await?
        } else {
            Some("the request is another than that of the last run".to_owned())
        };
        if why.is_some() {
            return Ok(Self { why, ..self });
        }
        let since = Some(earlier(&known.since, increments.overlap));
        Ok(Self { kind: Increment, since, known: Some(known), ..self })
    }

    /// Finds the export to go on with, or a folder for a new one.
    fn in_folder(mut self, source: &ExportSource) -> Result<Self> {
        let exports = source.exports();
        let folder = exports.current(Timestamp::now())?;
        let begun = ExportState::read(&folder)?;
        let begun_since = begun.as_ref().map(|state| state.since().map(str::to_owned));
        match begun_since {
            // Nothing was begun; or a fixed request, which is compared when it is gone on with.
            None => {}
            Some(_) if source.increments.is_none() => {}
            Some(None) => (self.kind, self.since) = (self.kind_of_full(), None),
            // What was known when it was begun is known still: its changes begin early enough.
            Some(since) if self.kind == Increment => self.since = since,
            Some(_) => {
                self.abandoned = Some(folder);
                self.export = Some(exports.unused(Timestamp::now()));
                return Ok(self);
            }
        }
        self.export = Some(folder);
        Ok(self)
    }

    fn kind_of_full(&self) -> Kind {
        if self.kind == Merge { Merge } else { Full }
    }
}

/// What the next run of a pipeline would ask of its server, and the folder it would do so in; none if its source is no
/// export.
pub async fn next_export(pipeline: &Pipeline) -> Result<Option<(Settings, PathBuf)>> {
    let Source::Export(source) = &pipeline.source else { return Ok(None) };
    let mut settings = source.settings.clone();
    // Whoever only asks makes no warehouse.
    if !objects::is_url(&pipeline.warehouse.to_string_lossy()) && !pipeline.warehouse.is_dir() {
        let folder = source.exports().current(Timestamp::now())?;
        return Ok(Some((settings, folder)));
    }
    let warehouse = pipeline.warehouse()?;
    let history = History::open(&warehouse.state_folder())?;
    let plan = Plan::of(pipeline, &warehouse, &history, false).await?;
    settings.request.since = plan.since;
    Ok(plan.export.map(|folder| (settings, folder)))
}

/// Why changes are not enough: a table that does not have what they are changes of.
async fn incomplete(
    pipeline: &Pipeline,
    known: &Synchronised,
    warehouse: &Warehouse,
) -> Result<Option<String>> {
    let tables = warehouse.table_names().await?;
    for view in &pipeline.views {
        let name = &view.name;
        if !known.tables.contains(name) {
            return Ok(Some(format!("`{name}` is a new table")));
        }
        let has = tables.contains(name)
            && warehouse.has_transaction(name, &pipeline.name, known.transaction).await?;
        if !has {
            return Ok(Some(format!("`{name}` does not hold what the last runs wrote")));
        }
    }
    Ok(None)
}

/// An instant so much earlier; as it is written where nothing is taken off, or where it cannot be read.
fn earlier(instant: &str, by: Duration) -> String {
    let subtracted = instant
        .parse::<Timestamp>()
        .ok()
        .and_then(|at| at.checked_sub(SignedDuration::try_from(by).ok()?).ok());
    match subtracted {
        Some(earlier) if !by.is_zero() => earlier.to_string(),
        _ => instant.to_owned(),
    }
}

/// Up to when an export is complete: servers may write the end of their job, later than changes that it does not have
/// (F22), so not later than when it was asked for by the server's clock.
pub(super) fn complete_until(state: &ExportState, transaction_time: &str) -> String {
    let read = |text: &str| text.trim().parse::<Timestamp>().ok();
    match (read(transaction_time), state.kicked_off.as_deref().and_then(read)) {
        (Some(written), Some(asked)) if asked < written => asked.to_string(),
        (None, Some(asked)) => asked.to_string(),
        _ => transaction_time.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_asked_for_from_when_all_was_there() {
        for (transaction, asked, overlap, since) in [
            ("2026-01-02T03:04:05.123Z", None, 0, "2026-01-02T03:04:05.123Z"),
            ("2026-01-02T03:04:05.123+01:00", None, 0, "2026-01-02T03:04:05.123+01:00"),
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:06Z"), 0, "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05Z", Some("2026-01-02T02:00:00Z"), 0, "2026-01-02T02:00:00Z"),
            ("2026-01-02T03:04:05Z", Some("2026-01-02T02:00:00Z"), 3600, "2026-01-02T01:00:00Z"),
            ("yesterday", Some("2026-01-02T02:00:00Z"), 60, "2026-01-02T01:59:00Z"),
            ("yesterday", None, 60, "yesterday"),
        ] {
            let state = ExportState { kicked_off: asked.map(str::to_owned), ..Default::default() };
            let until = complete_until(&state, transaction);
            assert_eq!(earlier(&until, Duration::from_secs(overlap)), since, "{transaction}");
        }
    }
}
