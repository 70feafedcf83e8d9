//! Counts from SQL: many expressions in one pass, or counts by group.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use super::{Check, Measure};
use crate::error::{Error, ErrorKind, Result};
use crate::query::Engine;

/// A count that is asked for: two SQL aggregates.
pub(super) struct Ask {
    pub(super) check: Check,
    pub(super) column: String,
    pub(super) detail: String,
    pub(super) numerator: String,
    pub(super) denominator: String,
}

/// Counts all that is asked, in one pass over `from` (a table or a subquery).
pub(super) async fn ask(
    engine: &Engine,
    table: &str,
    from: &str,
    asked: Vec<Ask>,
) -> Result<Vec<Measure>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let counts = asked.iter().flat_map(|ask| [&ask.numerator, &ask.denominator]);
    let counts: Vec<_> = counts
        .enumerate()
        .map(|(i, count)| format!("CAST(coalesce({count}, 0) AS BIGINT) AS c{i}"))
        .collect();
    let sql = format!("SELECT {} FROM {from}", counts.join(", "));
    let counts = batches(engine, &sql).await?.first().map(first_row).unwrap_or_default();
    let measure = |(ask, counts): (Ask, &[u64])| Measure {
        table: table.to_owned(),
        column: ask.column,
        check: ask.check,
        detail: ask.detail,
        numerator: counts[0],
        denominator: counts[1],
    };
    Ok(asked.into_iter().zip(counts.chunks_exact(2)).map(measure).collect())
}

/// The rows of a query whose last column is a count: texts (null is empty), and the count.
pub(super) async fn groups(engine: &Engine, sql: &str) -> Result<Vec<(Vec<String>, u64)>> {
    let mut groups = Vec::new();
    for batch in batches(engine, sql).await? {
        let (count, keys) = batch.columns().split_last().ok_or_else(unexpected)?;
        let keys = keys.iter().map(|key| cast(key, &DataType::Utf8));
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|_| unexpected())?;
        let count = cast(count, &DataType::Int64).map_err(|_| unexpected())?;
        for row in 0..batch.num_rows() {
            let text = |key: &arrow::array::ArrayRef| {
                let texts = key.as_string::<i32>();
                if texts.is_null(row) { String::new() } else { texts.value(row).to_owned() }
            };
            let count = count.as_primitive::<Int64Type>().value(row);
            groups.push((keys.iter().map(text).collect(), count.max(0) as u64));
        }
    }
    Ok(groups)
}

async fn batches(engine: &Engine, sql: &str) -> Result<Vec<RecordBatch>> {
    let mut rows = engine.select(sql).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await? {
        batches.extend(Some(batch).filter(|batch| batch.num_rows() > 0));
    }
    Ok(batches)
}

fn first_row(batch: &RecordBatch) -> Vec<u64> {
    let count = |column: &arrow::array::ArrayRef| {
        column.as_primitive_opt::<Int64Type>().map_or(0, |counts| counts.value(0).max(0) as u64)
    };
    batch.columns().iter().map(count).collect()
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Query, "a count of the data came back in another form")
}
