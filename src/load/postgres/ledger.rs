//! `kiln_loads`: what the target has, and what stands ready to be swapped in.

use std::collections::BTreeMap;

use tokio_postgres::{Client, GenericClient};

use super::connect::failed;
use super::names::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::load::TableVersion;
use crate::load::rows;

/// The table's name.
pub(super) const LEDGER: &str = "kiln_loads";

/// What a row says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The Delta version.
    pub(super) version: i64,
    /// How many rows it has.
    pub(super) rows: i64,
    /// Its columns.
    pub(super) schema: String,
    /// Its files.
    pub(super) files: String,
    /// Values that were changed, by column.
    pub(super) impossible: BTreeMap<String, u64>,
}

/// Which of a table's two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Of the table that readers see.
    Loaded,
    /// Of the staging table, which is whole.
    Staged,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Staged => "staged",
        }
    }
}

impl Entry {
    /// What the row for a version says.
    pub(super) fn of(table: &TableVersion, rows: u64, impossible: BTreeMap<String, u64>) -> Self {
        Self {
            version: table.version as i64,
            rows: rows as i64,
            schema: rows::schema_fingerprint(&rows::plain(&table.schema)),
            files: rows::files_fingerprint(table),
            impossible,
        }
    }

    /// Whether it is of this version.
    pub(super) fn is_of(&self, table: &TableVersion) -> bool {
        let other = Self::of(table, 0, BTreeMap::new());
        (self.version, &self.schema, &self.files) == (other.version, &other.schema, &other.files)
    }

    /// Whether its table has the columns of this version.
    pub(super) fn has_columns_of(&self, table: &TableVersion) -> bool {
        self.schema == rows::schema_fingerprint(&rows::plain(&table.schema))
    }
}

/// Makes schema and ledger if they are not there, and keeps other loads out until the connection ends.
pub(super) async fn open(client: &Client, names: &Names) -> Result<()> {
    let failed = |e| failed("prepare the schema", &e);
    let known = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    if client.query_opt(known, &[&names.schema]).await.map_err(failed)?.is_none() {
        let create = format!("CREATE SCHEMA IF NOT EXISTS {}", names.quoted_schema());
        client.batch_execute(&create).await.map_err(failed)?;
    }
    let lock = "SELECT pg_try_advisory_lock(hashtext('kiln_loads'), hashtext($1))";
    let locked = client.query_one(lock, &[&names.schema]).await.map_err(failed)?;
    if !locked.get::<_, bool>(0) {
        let message = format!("another load is writing to the schema `{}`", names.schema);
        return Err(Error::new(ErrorKind::TryLater, message).hint("wait until it has ended"));
    }
    let ledger = names.table(LEDGER);
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {ledger} (table_name text, state text, version bigint NOT NULL, run text NOT NULL, \
         rows bigint NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now(), schema_fingerprint text NOT NULL, \
         files_fingerprint text NOT NULL, impossible text NOT NULL, PRIMARY KEY (table_name, state));
         COMMENT ON TABLE {ledger} IS 'what Kiln loaded: the Delta version of each table, and the run that loaded it'"
    );
    client.batch_execute(&create).await.map_err(failed)
}

/// What the ledger says of a table.
pub(super) async fn entry(
    client: &impl GenericClient,
    names: &Names,
    table: &str,
    state: State,
) -> Result<Option<Entry>> {
    let select = format!(
        "SELECT version, rows, schema_fingerprint, files_fingerprint, impossible FROM {} \
         WHERE table_name = $1 AND state = $2",
        names.table(LEDGER)
    );
    let row = client.query_opt(&select, &[&table, &state.name()]).await;
    let row = row.map_err(|e| failed("read what is loaded", &e))?;
    Ok(row.map(|row| Entry {
        version: row.get(0),
        rows: row.get(1),
        schema: row.get(2),
        files: row.get(3),
        impossible: serde_json::from_str(row.get(4)).unwrap_or_default(),
    }))
}

/// Notes what a table has.
pub(super) async fn note(
    client: &impl GenericClient,
    names: &Names,
    table: &str,
    state: State,
    entry: &Entry,
    run: &str,
) -> Result<()> {
    let ledger = names.table(LEDGER);
    let insert = format!(
        "INSERT INTO {ledger} AS l (table_name, state, version, run, rows, schema_fingerprint, files_fingerprint, impossible) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (table_name, state) DO UPDATE SET version = excluded.version, \
         run = excluded.run, rows = excluded.rows, loaded_at = now(), schema_fingerprint = excluded.schema_fingerprint, \
         files_fingerprint = excluded.files_fingerprint, impossible = excluded.impossible"
    );
    let impossible = serde_json::to_string(&entry.impossible).expect("counts are plain data");
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] = [
        &table,
        &state.name(),
        &entry.version,
        &run,
        &entry.rows,
        &entry.schema,
        &entry.files,
        &impossible,
    ];
    let noted = client.execute(&insert, &values).await;
    noted.map(|_| ()).map_err(|e| failed("note what is loaded", &e))
}

/// Forgets a staging table.
pub(super) async fn forget_staged(
    client: &impl GenericClient,
    names: &Names,
    table: &str,
) -> Result<()> {
    let ledger = names.table(LEDGER);
    let delete = format!("DELETE FROM {ledger} WHERE table_name = $1 AND state = 'staged'");
    let done = client.execute(&delete, &[&table]).await;
    done.map(|_| ()).map_err(|e| failed("note what is loaded", &e))
}
