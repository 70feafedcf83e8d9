//! Loads into PostgreSQL: binary COPY into staging tables and one swap of all, or a merge by key.
//!
//! Nothing that readers see changes before the last transaction, which changes all tables of the load at once. Staging
//! tables that are whole are kept (`kiln_loads` has a row for each), so that a load that broke off copies only what is
//! missing.

mod connect;
mod encode;
mod ledger;
mod merge;
mod names;
mod numeric;
mod staging;
mod swap;
mod types;

use std::collections::BTreeSet;

use tokio_postgres::Client;

use self::connect::failed;
pub(super) use self::encode::Impossible;
use self::ledger::{Entry, State};
use self::names::Names;
use self::swap::Ready;
use super::{LoadedTable, TableVersion};
use crate::durable;
use crate::error::Result;
use crate::settings::Secret;

/// How tables come into the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Whole.
    Swap,
    /// By key, where the target has an earlier version with the same columns.
    Merge,
}

/// A schema of a PostgreSQL database.
#[derive(Debug, Clone)]
pub(super) struct Postgres {
    /// The connection url.
    pub(super) url: Secret,
    pub(super) schema: String,
    pub(super) mode: Mode,
    pub(super) impossible: Impossible,
    /// Columns that get an index, besides keys.
    pub(super) indexes: Vec<String>,
}

impl Postgres {
    /// Brings the schema's tables to these versions.
    pub(super) async fn load(
        &self,
        tables: &[TableVersion],
        run: &str,
    ) -> Result<Vec<LoadedTable>> {
        tables.iter().try_for_each(names::check)?;
        let mut client = connect::connect(&self.url).await?;
        let names = self.names();
        ledger::open(&client, &names).await?;
        for table in tables {
            swap::check_owned(&client, &names, &table.name).await?;
        }
        let mut swapped_instead = BTreeSet::new();
        loop {
            match self.attempt(&mut client, tables, run, &swapped_instead).await? {
                Attempt::Done(loaded) => return Ok(loaded),
                Attempt::CannotMerge(table) => swapped_instead.insert(table),
            };
        }
    }

    fn names(&self) -> Names {
        Names { schema: self.schema.clone() }
    }

    /// Stages what has to be swapped, then changes all in one transaction.
    async fn attempt(
        &self,
        client: &mut Client,
        tables: &[TableVersion],
        run: &str,
        swapped_instead: &BTreeSet<String>,
    ) -> Result<Attempt> {
        let (mut loaded, mut ready, mut merges) = (Vec::new(), Vec::new(), Vec::new());
        for table in tables {
            let swap = self.mode == Mode::Swap || swapped_instead.contains(&table.name);
            match self.plan(client, table, swap).await? {
                Plan::Present => loaded.push(LoadedTable::present(table)),
                Plan::Merge(before) => merges.push((table, before)),
                Plan::Swap(Some(entry)) => ready.push(Ready { table, entry }),
                Plan::Swap(None) => {
                    let staged = staging::stage(client, self, table, run).await;
                    let entry = staged.map_err(|e| e.within("table", &table.name))?;
                    ready.push(Ready { table, entry });
                }
            }
        }
        if ready.is_empty() && merges.is_empty() {
            return Ok(Attempt::Done(in_order(tables, loaded)));
        }
        let doing = |e| failed("change the tables", &e);
        let transaction = client.transaction().await.map_err(doing)?;
        for (table, before) in merges {
            let outcome = merge::merge(&transaction, self, table, &before, run).await;
            let Some((rows, impossible)) = outcome.map_err(|e| e.within("table", &table.name))?
            else {
                transaction.rollback().await.map_err(doing)?;
                return Ok(Attempt::CannotMerge(table.name.clone()));
            };
            loaded.push(LoadedTable { impossible, ..LoadedTable::written(table, rows) });
        }
        swap::swap(&transaction, self, &ready, run).await?;
        durable::step();
        transaction.commit().await.map_err(doing)?;
        loaded.extend(ready.into_iter().map(|Ready { table, entry }| LoadedTable {
            impossible: entry.impossible,
            ..LoadedTable::written(table, entry.rows as u64)
        }));
        Ok(Attempt::Done(in_order(tables, loaded)))
    }

    /// What is to be done for a table.
    async fn plan(&self, client: &Client, table: &TableVersion, swap: bool) -> Result<Plan> {
        let names = self.names();
        let exists = swap::oid(client, &names.table(&table.name)).await?.is_some();
        let before = ledger::entry(client, &names, &table.name, State::Loaded).await?;
        match before.filter(|_| exists) {
            Some(entry) if entry.is_of(table) => return Ok(Plan::Present),
            Some(entry) if !swap && entry.has_columns_of(table) && merge::is_mergeable(table) => {
                return Ok(Plan::Merge(entry));
            }
            _ => {}
        }
        let staged = ledger::entry(client, &names, &table.name, State::Staged).await?;
        let staging = names.table(&Names::staging(&table.name));
        let whole = staged.filter(|entry| entry.is_of(table));
        let exists = swap::oid(client, &staging).await?.is_some();
        Ok(Plan::Swap(whole.filter(|_| exists)))
    }
}

/// What is to be done for a table.
enum Plan {
    /// Nothing: the target has the version.
    Present,
    /// Rows come and go; the target has this.
    Merge(Entry),
    /// A staging table takes its place, which may be there already.
    Swap(Option<Entry>),
}

/// How an attempt ended.
enum Attempt {
    Done(Vec<LoadedTable>),
    /// This table has to be swapped; nothing was changed.
    CannotMerge(String),
}

/// In the order of the tables.
fn in_order(tables: &[TableVersion], mut loaded: Vec<LoadedTable>) -> Vec<LoadedTable> {
    let place = |loaded: &LoadedTable| tables.iter().position(|t| t.name == loaded.table);
    loaded.sort_by_key(place);
    loaded
}
