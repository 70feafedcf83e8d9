//! Reads the tables of the terminology pack as text.

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;

use crate::error::{Error, ErrorKind, Result};

/// Columns that tables made by earlier versions of the pack do not have.
const OPTIONAL: [&str; 2] = ["source_version", "target_version"];

/// The session whose tables hold value sets, code systems and concept maps.
pub(super) struct Tables {
    context: SessionContext,
}

impl Tables {
    pub(super) fn new(context: SessionContext) -> Self {
        Self { context }
    }

    /// Whether there is such a table.
    pub(super) fn has(&self, table: &str) -> bool {
        self.context.table_exist(table).unwrap_or(false)
    }

    /// The columns of all rows of `table` whose columns `where_equal` are these texts; booleans are `true` and `false`.
    ///
    /// Fails with [`ErrorKind::Definition`] if the table or a column is not there.
    pub(super) async fn rows<const N: usize>(
        &self,
        table: &str,
        columns: [&str; N],
        where_equal: &[(&str, &str)],
    ) -> Result<Vec<[Option<String>; N]>> {
        if !self.has(table) {
            return Err(missing(table));
        }
        let known =
            self.context.table_provider(table).await.map_err(|e| unreadable(table, &e))?.schema();
        let text = |column: &str| {
            let absent = OPTIONAL.contains(&column) && known.column_with_name(column).is_none();
            if absent { "NULL".to_owned() } else { format!("CAST({column} AS VARCHAR)") }
        };
        // Two texts of one statement may not have the same name.
        let texts =
            columns.iter().enumerate().map(|(i, column)| format!("{} AS c{i}", text(column)));
        let texts = texts.collect::<Vec<_>>().join(", ");
        let equal =
            |(column, text): &(&str, &str)| format!("{column} = '{}'", text.replace('\'', "''"));
        let conditions: Vec<_> = where_equal.iter().map(equal).collect();
        let mut sql = format!("SELECT {texts} FROM {table}");
        if !conditions.is_empty() {
            sql = format!("{sql} WHERE {}", conditions.join(" AND "));
        }
        self.collect(&sql).await.map_err(|e| unreadable(table, &e))
    }

    /// How many rows of `table` have this text in a column. Errors as [`Tables::rows`].
    pub(super) async fn count(&self, table: &str, column: &str, text: &str) -> Result<usize> {
        if !self.has(table) {
            return Err(missing(table));
        }
        let text = text.replace('\'', "''");
        let sql =
            format!("SELECT CAST(count(*) AS VARCHAR) FROM {table} WHERE {column} = '{text}'");
        let counted: Vec<[_; 1]> = self.collect(&sql).await.map_err(|e| unreadable(table, &e))?;
        Ok(counted
            .into_iter()
            .flatten()
            .flatten()
            .find_map(|count| count.parse().ok())
            .unwrap_or(0))
    }

    async fn collect<const N: usize>(
        &self,
        sql: &str,
    ) -> Result<Vec<[Option<String>; N]>, DataFusionError> {
        let mut rows = Vec::new();
        for batch in self.context.sql(sql).await?.collect().await? {
            let texts = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            let texts: Vec<&StringArray> = texts.iter().map(AsArray::as_string).collect();
            rows.extend((0..batch.num_rows()).map(|row| {
                std::array::from_fn(|i| {
                    texts[i].is_valid(row).then(|| texts[i].value(row).to_owned())
                })
            }));
        }
        Ok(rows)
    }
}

fn missing(table: &str) -> Error {
    let message = format!("no terminology is loaded: there is no table `{table}`");
    Error::new(ErrorKind::Definition, message)
        .hint("load value sets, code systems and concept maps by a pipeline with `schemas = [\"terminology\"]`, or name the warehouse that holds them with `--terminology`")
}

fn unreadable(table: &str, e: &DataFusionError) -> Error {
    let message = e.find_root().message().lines().next().unwrap_or_default().to_owned();
    Error::new(
        ErrorKind::Definition,
        format!("cannot read the terminology table `{table}`: {message}"),
    )
    .hint("its columns have to be those of the pack `terminology`")
}
