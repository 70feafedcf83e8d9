//! A file of a table, and what the Delta log says about it.

use std::path::PathBuf;

use deltalake::kernel::{LogicalFileView, Remove};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::place::Place;
use crate::error::{Error, ErrorKind, Result};

/// The column that names the source of a row.
const SOURCE_COLUMN: &str = "_source";

/// An active file.
#[derive(Debug, Clone)]
pub(super) struct TableFile {
    /// As the log names it: below the table's folder.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Another program marked rows as removed without writing the file anew.
    pub(super) has_deletion_vector: bool,
    /// The log entry that takes it out of the table.
    pub(super) remove: Remove,
    stats: Stats,
}

/// Delta protocol, "Per-file Statistics".
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: Option<u64>,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

impl TableFile {
    pub(super) fn new(view: &LogicalFileView, place: &Place) -> Self {
        let name = view.path().into_owned();
        let stats = view.stats().and_then(|json| serde_json::from_str(&json).ok());
        Self {
            path: place.file(&name),
            name,
            bytes: u64::try_from(view.size()).unwrap_or_default(),
            has_deletion_vector: view.deletion_vector_descriptor().is_some(),
            remove: view.remove_action(true),
            stats: stats.unwrap_or_default(),
        }
    }

    /// How many rows it has, where the log says it.
    pub(super) fn rows(&self) -> Option<u64> {
        self.stats.num_records
    }

    /// The name of the source of its rows; none for rows without one, and where the log does not tell.
    pub(super) fn source(&self) -> Result<Option<&str>> {
        let (Some(min), Some(max)) = (self.min(SOURCE_COLUMN), self.max(SOURCE_COLUMN)) else {
            return Ok(None);
        };
        let nulls = self.stats.null_count.get(SOURCE_COLUMN).and_then(Value::as_u64);
        if min == max && nulls.is_none_or(|nulls| nulls == 0) {
            return Ok(Some(min));
        }
        let message = format!("`{}` has rows of several sources", self.path.display());
        Err(Error::new(ErrorKind::Warehouse, message)
            .hint("Kiln writes no such file: rebuild the table, or write it one file a source"))
    }

    /// The largest value of a text column, or something larger.
    pub(super) fn max(&self, column: &str) -> Option<&str> {
        self.stats.max_values.get(column).and_then(Value::as_str)
    }

    fn min(&self, column: &str) -> Option<&str> {
        self.stats.min_values.get(column).and_then(Value::as_str)
    }
}

/// Parts the files of a source from the others.
pub(super) fn of_source(
    files: Vec<TableFile>,
    source: Option<&str>,
) -> Result<(Vec<TableFile>, Vec<TableFile>)> {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for file in files {
        if file.source()? == source { ours.push(file) } else { others.push(file) }
    }
    Ok((ours, others))
}

/// The source that the rows of these columns can name.
pub(super) fn named<'s>(
    source: Option<&'s str>,
    schema: &arrow::datatypes::Schema,
) -> Option<&'s str> {
    source.filter(|_| schema.index_of(SOURCE_COLUMN).is_ok())
}
