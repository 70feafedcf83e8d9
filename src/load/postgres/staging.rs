//! A table's new content in a table of its own, until it is swapped in.
//!
//! The staging table is logged from the beginning: an unlogged one is written to the log as a whole when it becomes
//! logged, which costs as much. As it is made and filled in one transaction, its rows are frozen by `COPY … FREEZE`: no
//! vacuum has to touch them again, and where `wal_level` is `minimal` they are not logged at all.

use std::fmt::Write as _;
use std::io::Write;
use std::pin::pin;

use arrow::datatypes::SchemaRef;
use futures::SinkExt;
use tokio_postgres::{Client, Transaction};

use super::Postgres;
use super::connect::failed;
use super::encode::{CopyEncoder, Impossible};
use super::ledger::{self, Entry, State};
use super::names::Names;
use super::types::PgType;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::load::rows::{self, FileRows};
use crate::load::stream::{Stream, stream};
use crate::load::{TableVersion, broken, literal, quoted};

/// Bytes that are sent at a time.
const CHUNK: usize = 1 << 20;

/// Makes the staging table of a version, whole, and notes it in the ledger; one transaction.
pub(super) async fn stage(
    client: &mut Client,
    postgres: &Postgres,
    table: &TableVersion,
    run: &str,
) -> Result<Entry> {
    let names = postgres.names();
    let staging = Names::staging(&table.name);
    let schema = rows::plain(&table.schema);
    let doing = |e| failed("fill the staging table", &e);
    let transaction = client.transaction().await.map_err(doing)?;
    let create = create(&names, &staging, &schema)?;
    transaction.batch_execute(&create).await.map_err(doing)?;
    let (encoding, into) = (encode(postgres, table)?, names.table(&staging));
    let (rows, impossible) = copy(&transaction, &into, true, &schema, encoding).await?;
    let entry = Entry::of(table, rows, impossible);
    let finish = format!(
        "{}{}ANALYZE {}",
        indexes(postgres, table),
        comments(&names, &staging, table, run),
        names.table(&staging)
    );
    transaction.batch_execute(&finish).await.map_err(doing)?;
    ledger::note(&transaction, &names, &table.name, State::Staged, &entry, run).await?;
    durable::step();
    transaction.commit().await.map_err(doing)?;
    Ok(entry)
}

/// The columns that get an index.
pub(super) fn indexed<'t>(
    postgres: &'t Postgres,
    table: &'t TableVersion,
) -> impl Iterator<Item = &'t str> {
    let schema = table.schema.fields().iter();
    let wanted = schema.filter(|field| {
        let name = field.name();
        let nested = matches!(field.data_type(), arrow::datatypes::DataType::Struct(_))
            || matches!(field.data_type(), arrow::datatypes::DataType::List(_));
        !nested && (name == "_key" || name.ends_with("_id") || postgres.indexes.contains(name))
    });
    wanted.map(|field| field.name().as_str())
}

/// Comments on a table and its columns.
pub(super) fn comments(names: &Names, of: &str, table: &TableVersion, run: &str) -> String {
    let name = names.table(of);
    let about = format!("`{}`, Delta version {}, loaded by run {run}", table.name, table.version);
    let about = match table.schema.metadata().get("comment") {
        Some(comment) => format!("{comment} ({about})"),
        None => about,
    };
    let mut sql = format!("COMMENT ON TABLE {name} IS {};\n", literal(&about));
    for field in table.schema.fields() {
        if let Some(comment) = field.metadata().get("comment") {
            let column = quoted(field.name());
            let _ = writeln!(sql, "COMMENT ON COLUMN {name}.{column} IS {};", literal(comment));
        }
    }
    sql
}

fn create(names: &Names, staging: &str, schema: &SchemaRef) -> Result<String> {
    let types = PgType::of_columns(schema)?;
    let columns = schema.fields().iter().zip(types);
    let columns = columns.map(|(f, kind)| format!("{} {}", quoted(f.name()), kind.sql()));
    let name = names.table(staging);
    let columns = columns.collect::<Vec<_>>().join(", ");
    Ok(format!("DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({columns})"))
}

fn indexes(postgres: &Postgres, table: &TableVersion) -> String {
    let staging = postgres.names().table(&Names::staging(&table.name));
    let index = |column: &str| {
        let index = quoted(&Names::staging_index(&table.name, column));
        format!("CREATE INDEX {index} ON {staging} ({});\n", quoted(column))
    };
    indexed(postgres, table).map(index).collect()
}

/// What a copy gives in the end: values that PostgreSQL cannot hold, by column.
pub(super) type Found = std::collections::BTreeMap<String, u64>;

/// Encodes all rows of a version on a thread.
fn encode(postgres: &Postgres, table: &TableVersion) -> Result<Stream<Found>> {
    let schema = rows::plain(&table.schema);
    let mut encoder = CopyEncoder::new(&schema, postgres.impossible)?;
    let (table, policy) = (table.clone(), postgres.impossible);
    Ok(stream(CHUNK, move |mut to| {
        let written = |e| broken("send rows to PostgreSQL", e);
        CopyEncoder::begin(&mut to).map_err(written)?;
        for file in &table.files {
            for batch in FileRows::open(file, &schema)? {
                encoder.batch(&batch?, &mut to).map_err(written)?;
            }
        }
        conclude(encoder, &schema, policy, &table.name, &mut to)
    }))
}

/// Ends a copy, unless it has values that are refused.
#[allow(clippy::needless_pass_by_value)] // it ends here
pub(super) fn conclude(
    encoder: CopyEncoder,
    schema: &SchemaRef,
    policy: Impossible,
    table: &str,
    to: &mut impl Write,
) -> Result<Found> {
    let found = encoder.impossible(schema);
    if policy == Impossible::Refuse && !found.is_empty() {
        let columns = found.iter().map(|(column, count)| format!("`{column}` ({count})"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let total: u64 = found.values().sum();
        let (values, these) = if total == 1 { ("value", "it") } else { ("values", "them") };
        let message = format!(
            "`{table}` has {total} {values} that PostgreSQL cannot hold: NUL characters, or times before 4714 BC"
        );
        return Err(Error::new(ErrorKind::Refused, message).at("columns", columns).hint(format!(
            "`impossible = \"remove\"` loads {these} without the NUL characters, `\"null\"` as null; both are counted"
        )));
    }
    CopyEncoder::end(to).map_err(|e| broken("send rows to PostgreSQL", e))?;
    Ok(found)
}

/// Sends what a thread encodes into a table; how many rows that were, and what the thread found.
pub(super) async fn copy(
    transaction: &Transaction<'_>,
    table: &str,
    freeze: bool,
    schema: &SchemaRef,
    mut encoded: Stream<Found>,
) -> Result<(u64, Found)> {
    let columns: Vec<_> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    let freeze = if freeze { ", FREEZE" } else { "" };
    let statement =
        format!("COPY {table} ({}) FROM STDIN (FORMAT binary{freeze})", columns.join(", "));
    let doing = |e| failed("copy rows", &e);
    let sink = transaction.copy_in::<_, bytes::Bytes>(&statement).await.map_err(doing)?;
    let mut sink = pin!(sink);
    while let Some(chunk) = encoded.next().await {
        sink.send(chunk).await.map_err(doing)?;
    }
    // Dropped without an end, the copy is undone.
    let found = encoded.end().await?;
    Ok((sink.finish().await.map_err(doing)?, found))
}
