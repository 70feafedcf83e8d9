//! Changes a table of the target row by row: versions of rows that the table of the warehouse has no more go, those that
//! the target lacks come.
//!
//! A version of a resource's rows is named by its key and the run that wrote it (`_key`, `_run`): a run writes all rows
//! of a resource, so that rows with the same pair are the same rows.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tokio_postgres::Transaction;

use super::connect::failed;
use super::encode::{CopyEncoder, Impossible};
use super::ledger::{self, Entry, State};
use super::staging::{Found, comments, conclude, copy};
use super::{Postgres, names::Names};
use crate::error::Result;
use crate::load::rows::{self, FileRows};
use crate::load::stream::{Stream, stream};
use crate::load::{TableVersion, broken};

/// Bytes that are sent at a time.
const CHUNK: usize = 1 << 20;

/// Keys by run.
type Pairs = HashMap<String, HashSet<String>>;

/// Whether rows of a table can be told apart by key and run.
pub(super) fn is_mergeable(table: &TableVersion) -> bool {
    let plain = rows::plain(&table.schema);
    pair_columns().iter().all(|name| {
        plain.field_with_name(name).is_ok_and(|field| *field.data_type() == DataType::Utf8)
    })
}

fn pair_columns() -> [&'static str; 2] {
    ["_key", "_run"]
}

/// Merges a version into the table of the target, and notes it. None if that cannot come out right, because the target
/// was changed by others, or rows have no key: then the caller undoes it, and swaps.
pub(super) async fn merge(
    transaction: &Transaction<'_>,
    postgres: &Postgres,
    table: &TableVersion,
    before: &Entry,
    run: &str,
) -> Result<Option<(u64, Found)>> {
    let names = postgres.names();
    let target = names.table(&table.name);
    let pairs = format!("pg_temp.\"{}\"", Names::staging(&table.name));
    let Some(()) = copy_pairs(transaction, &pairs, table).await? else { return Ok(None) };
    let doing = |e| failed("merge the rows", &e);
    let delete = format!(
        "DELETE FROM {target} t WHERE NOT EXISTS (SELECT FROM {pairs} p WHERE p.\"_key\" = t.\"_key\" AND p.\"_run\" = t.\"_run\")"
    );
    let lock = format!("LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE");
    transaction.batch_execute(&lock).await.map_err(doing)?;
    let gone = transaction.execute(&delete, &[]).await.map_err(doing)?;
    let missing = Arc::new(missing(transaction, &target, &pairs).await?);
    let schema = rows::plain(&table.schema);
    let encoded = encode(postgres, table, missing)?;
    let (rows, found) = copy(transaction, &target, false, &schema, encoded).await?;
    let total = rows::count(table)?;
    if before.rows as u64 + rows != gone + total || !holds(transaction, &target, total).await? {
        return Ok(None);
    }
    let mut impossible = before.impossible.clone();
    for (column, count) in &found {
        *impossible.entry(column.clone()).or_default() += count;
    }
    let entry = Entry::of(table, total, impossible);
    let about = comments(&names, &table.name, table, run);
    transaction.batch_execute(&format!("{about}ANALYZE {target}")).await.map_err(doing)?;
    ledger::note(transaction, &names, &table.name, State::Loaded, &entry, run).await?;
    Ok(Some((rows, found)))
}

/// Whether the target has so many rows.
async fn holds(transaction: &Transaction<'_>, target: &str, rows: u64) -> Result<bool> {
    let count = transaction.query_one(&format!("SELECT count(*) FROM {target}"), &[]).await;
    let count = count.map_err(|e| failed("count the rows", &e))?;
    Ok(count.get::<_, i64>(0) as u64 == rows)
}

/// The pairs of a table in a table of the session; none if a row has no pair, or one that is no text of PostgreSQL.
async fn copy_pairs(
    transaction: &Transaction<'_>,
    pairs: &str,
    table: &TableVersion,
) -> Result<Option<()>> {
    let create = format!(
        "CREATE TEMPORARY TABLE {pairs} (\"_key\" text NOT NULL, \"_run\" text NOT NULL) ON COMMIT DROP"
    );
    let doing = |e| failed("compare the rows", &e);
    transaction.batch_execute(&create.replace("pg_temp.", "")).await.map_err(doing)?;
    let (schema, files) = (pair_schema(), table.files.clone());
    let encoded = stream(CHUNK, move |mut to| {
        let written = |e| broken("send keys to PostgreSQL", e);
        let mut encoder = CopyEncoder::new(&pair_schema(), Impossible::Null)?;
        let mut nulls = 0;
        CopyEncoder::begin(&mut to).map_err(written)?;
        for file in &files {
            for batch in FileRows::open(file, &pair_schema())? {
                let batch = without_repetition(&batch?);
                let of_batch: usize = batch.columns().iter().map(Array::null_count).sum();
                nulls += of_batch as u64;
                if nulls == 0 {
                    encoder.batch(&batch, &mut to).map_err(written)?;
                }
            }
        }
        let mut found = encoder.impossible(&pair_schema());
        found.extend((nulls > 0).then(|| (String::new(), nulls)));
        if found.is_empty() {
            CopyEncoder::end(&mut to).map_err(written)?;
        } else {
            to.flush().map_err(written)?;
        }
        Ok(found)
    });
    sent(transaction, pairs, &schema, encoded).await
}

/// Sends the pairs, if all are ones. What cannot be sent is refused by the server, and undone by the caller.
async fn sent(
    transaction: &Transaction<'_>,
    pairs: &str,
    schema: &SchemaRef,
    encoded: Stream<Found>,
) -> Result<Option<()>> {
    match copy(transaction, pairs, false, schema, encoded).await {
        Ok((_, found)) if found.is_empty() => {}
        _ => return Ok(None),
    }
    let analyze = transaction.batch_execute(&format!("ANALYZE {pairs}")).await;
    analyze.map_err(|e| failed("compare the rows", &e))?;
    Ok(Some(()))
}

fn pair_schema() -> SchemaRef {
    let field = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(pair_columns().map(field).to_vec()))
}

/// Without rows that have the pair of the row before.
fn without_repetition(batch: &RecordBatch) -> RecordBatch {
    let [keys, runs] = [0, 1].map(|i| batch.column(i).as_string::<i32>());
    let new = |row: usize| {
        row == 0
            || keys.is_null(row)
            || runs.is_null(row)
            || keys.value(row) != keys.value(row - 1)
            || runs.value(row) != runs.value(row - 1)
    };
    let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some(new(row))).collect();
    filter_record_batch(batch, &kept).expect("as many flags as rows")
}

/// The pairs that the target lacks.
async fn missing(transaction: &Transaction<'_>, target: &str, pairs: &str) -> Result<Pairs> {
    let query = format!(
        "SELECT \"_key\", \"_run\" FROM {pairs} EXCEPT SELECT \"_key\", \"_run\" FROM {target}"
    );
    let rows = transaction.query(&query, &[]).await;
    let mut missing = Pairs::new();
    for row in rows.map_err(|e| failed("compare the rows", &e))? {
        missing.entry(row.get(1)).or_default().insert(row.get(0));
    }
    Ok(missing)
}

/// Encodes the rows with these pairs on a thread.
fn encode(postgres: &Postgres, table: &TableVersion, wanted: Arc<Pairs>) -> Result<Stream<Found>> {
    let schema = rows::plain(&table.schema);
    let mut encoder = CopyEncoder::new(&schema, postgres.impossible)?;
    let (table, policy) = (table.clone(), postgres.impossible);
    Ok(stream(CHUNK, move |mut to| {
        let written = |e| broken("send rows to PostgreSQL", e);
        CopyEncoder::begin(&mut to).map_err(written)?;
        for file in &table.files {
            if !has_any(file, &wanted)? {
                continue;
            }
            for batch in FileRows::open(file, &schema)? {
                let batch = batch?;
                let kept = filter_record_batch(&batch, &are_in(&batch, &wanted));
                let kept = kept.expect("as many flags as rows");
                encoder.batch(&kept, &mut to).map_err(written)?;
            }
        }
        conclude(encoder, &schema, policy, &table.name, &mut to)
    }))
}

/// Whether a file has a row with one of the pairs: most files of a large table do not, and two columns are read fast.
fn has_any(file: &Path, wanted: &Pairs) -> Result<bool> {
    if wanted.is_empty() {
        return Ok(false);
    }
    for batch in FileRows::open(file, &pair_schema())? {
        if are_in(&batch?, wanted).true_count() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which rows have one of the pairs.
fn are_in(batch: &RecordBatch, wanted: &Pairs) -> BooleanArray {
    let column = |name| batch.column_by_name(name).expect("a mergeable table has it");
    let [keys, runs] = pair_columns().map(|name| column(name).as_string::<i32>().clone());
    let is = |row| wanted.get(runs.value(row)).is_some_and(|of| of.contains(keys.value(row)));
    (0..batch.num_rows()).map(|row| Some(is(row))).collect()
}
