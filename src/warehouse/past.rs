//! The past of tables: who wrote which version, and which versions belong together.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::log::{self, Entry};
use super::{AsOf, ColumnChange, TableVersion, Warehouse, commit, delta, evolve};
use crate::error::{Error, ErrorKind, Result};

impl AsOf {
    /// Reads `2026-11-23` (the end of that day, UTC), `2026-11-23T02:00:00Z`, or takes the text for the name of a run.
    /// An error of kind `Usage` for a time that does not exist.
    pub fn parse(text: &str) -> Result<Self> {
        let looks_like_day = text.len() >= 10 && text.as_bytes()[4] == b'-';
        if !looks_like_day {
            return Ok(Self::Run(text.to_owned()));
        }
        let time = if text.len() == 10 { end_of_day(text) } else { text.parse::<Timestamp>().ok() };
        time.map(|time| Self::Time(time.as_millisecond())).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("`{text}` is no time")).hint(
                "write a day, `2026-11-23`, or an instant with its zone, `2026-11-23T02:00:00Z`",
            )
        })
    }
}

/// The last instant of a day.
fn end_of_day(text: &str) -> Option<Timestamp> {
    let next = text.parse::<Date>().ok()?.tomorrow().ok()?;
    let midnight = next.to_zoned(TimeZone::UTC).ok()?.timestamp();
    midnight.checked_sub(SignedDuration::from_millis(1)).ok()
}

impl Warehouse {
    /// The versions of a table, oldest first. Errors as [`Warehouse::open_table`].
    pub async fn versions(&self, table: &str) -> Result<Vec<TableVersion>> {
        let entries = self.entries(table).await?;
        Ok(entries.into_iter().map(|entry| entry.version).collect())
    }

    /// The names of the pipelines that ever wrote to a table; none if it does not exist.
    pub async fn pipelines(&self, table: &str) -> Result<Vec<String>> {
        let place = self.place(table)?;
        let Some(open) = delta::open(&place).await? else { return Ok(Vec::new()) };
        let entries = log::entries(&open, &place).await?;
        let mut names: Vec<_> = entries.into_iter().flat_map(|entry| entry.pipelines).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Whether a table has this transaction of a pipeline, or a later one.
    pub async fn has_transaction(
        &self,
        table: &str,
        pipeline: &str,
        transaction: i64,
    ) -> Result<bool> {
        let place = self.place(table)?;
        let Some(open) = delta::open(&place).await? else { return Ok(false) };
        let version = commit::has_transaction(&open, &place, pipeline, transaction).await?;
        Ok(version.is_some())
    }

    /// How the columns of rows to come differ from those of a table; not at all if it does not exist.
    pub async fn compare(&self, table: &str, rows: &SchemaRef) -> Result<Vec<ColumnChange>> {
        let place = self.place(table)?;
        let Some(open) = delta::open(&place).await? else { return Ok(Vec::new()) };
        let state = open.snapshot().map_err(|e| place.read_error(e))?;
        evolve::compare(state.schema().as_ref(), rows)
    }

    /// The version of each table that was current then; tables that did not exist yet are left out. A run counts as of
    /// its last commit to any table, and may be named by the beginning of its name. An error of kind `Usage` if no
    /// table has a version of such a run, or several runs are called so.
    pub async fn versions_as_of(&self, as_of: &AsOf) -> Result<BTreeMap<String, u64>> {
        let mut versions = BTreeMap::new();
        for table in self.table_names().await? {
            let of_table = self.versions(&table).await?;
            versions.insert(table, of_table);
        }
        let (time, run) = match as_of {
            AsOf::Time(time) => (*time, None),
            AsOf::Run(name) => last_commit(versions.values().flatten(), name)?,
        };
        let current = versions.into_iter().filter_map(|(table, versions)| {
            // Clocks may go back: what the run itself wrote is there in any case.
            let then = |v: &&TableVersion| v.committed <= time || (run.is_some() && v.run == run);
            let version = versions.iter().filter(then).map(|v| v.version).max()?;
            Some((table, version))
        });
        let current: BTreeMap<_, _> = current.collect();
        if current.is_empty() {
            let message = format!("`{self}` held no tables then");
            return Err(Error::new(ErrorKind::Input, message).hint("name a later time"));
        }
        Ok(current)
    }

    pub(super) async fn entries(&self, table: &str) -> Result<Vec<Entry>> {
        log::entries(&self.open_table(table).await?, &self.place(table)?).await
    }
}

/// When the run of this name, or beginning of a name, committed last; and its whole name.
fn last_commit<'v>(
    versions: impl Iterator<Item = &'v TableVersion> + Clone,
    name: &str,
) -> Result<(i64, Option<String>)> {
    let mut runs: Vec<_> = versions.clone().filter_map(|v| v.run.as_deref()).collect();
    runs.sort_unstable();
    runs.dedup();
    if runs.binary_search(&name).is_ok() {
        runs.retain(|run| *run == name);
    } else {
        runs.retain(|run| run.starts_with(name));
    }
    let [run] = runs[..] else {
        let which = if runs.is_empty() { "no run" } else { "more than one run" };
        let message = format!("{which} that wrote to the tables is called `{name}`");
        let hint =
            "`kiln runs` lists them; a time is written `2026-11-23` or `2026-11-23T02:00:00Z`";
        return Err(Error::new(ErrorKind::Usage, message).hint(hint));
    };
    let of_run = versions.filter(|v| v.run.as_deref() == Some(run));
    Ok((of_run.map(|v| v.committed).max().unwrap_or_default(), Some(run.to_owned())))
}
