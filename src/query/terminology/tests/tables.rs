//! Tables of the terminology pack from small texts.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::super::Terminology;
use crate::query::Engine;
use crate::query::new_session;

/// A table: its name, and its columns, all of text.
pub(super) type Table = (String, RecordBatch);

/// A table from lines of words: `-` is null, `_` in a word is a space.
pub(super) fn table(name: &str, columns: &str, lines: &str) -> Table {
    let rows: Vec<Vec<_>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
    let cell = |word: &str| (word != "-").then(|| word.replace('_', " "));
    let column = |(i, name): (usize, &'_ str)| {
        let texts: StringArray = rows.iter().map(|row: &Vec<&str>| cell(row[i])).collect();
        (name.to_owned(), Arc::new(texts) as ArrayRef)
    };
    let columns = columns.split_whitespace().enumerate().map(column);
    (name.to_owned(), RecordBatch::try_from_iter(columns).unwrap())
}

/// A session over such tables.
pub(super) fn engine(tables: &[Table]) -> Engine {
    let context = new_session(Terminology::default());
    for (name, batch) in tables {
        context.register_batch(name, batch.clone()).unwrap();
    }
    Engine { context, rows: std::collections::BTreeMap::new() }
}
