//! What a measure cannot do without: columns that an export may lack, so that nobody would be counted and nothing said.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use crate::error::{Error, ErrorKind, Result};
use crate::query::{Dependency, Engine, Library, LibraryType, Shelf};

/// `@needs: label.column why`: what becomes of the measure where the column is never filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    table: Dependency,
    column: String,
    why: String,
}

impl Need {
    /// The needs of a measure. Fails with [`ErrorKind::Definition`] for one that is not written so, or whose label the
    /// file does not have.
    pub(super) fn of(library: &Library) -> Result<Vec<Self>> {
        let said = library.about.get("needs").into_iter().flatten();
        said.map(|text| Self::parse(text, &library.dependencies)).collect()
    }

    fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self> {
        let parts = || {
            let (place, why) = text.split_once(char::is_whitespace)?;
            let (label, column) = place.split_once('.')?;
            let table = dependencies.iter().find(|d| d.label == label)?.clone();
            Some(Self { table, column: column.to_owned(), why: why.trim().to_owned() })
        };
        parts().ok_or_else(|| {
            let message = format!("`@needs: {text}` is not understood");
            Error::new(ErrorKind::Definition, message)
                .hint("write `@needs: label.column what happens without it`; the label is one of `@relatedDependency`")
        })
    }

    /// A warning, if the table has no row or no row has a value.
    pub(super) async fn unmet(&self, engine: &Engine, views: &Shelf) -> Result<Option<String>> {
        let Self { table, column, why } = self;
        let label = &table.label;
        let tally = Library {
            name: "need".to_owned(),
            url: String::new(),
            kind: LibraryType::Query,
            version: None,
            parameters: Vec::new(),
            dependencies: vec![table.clone()],
            about: BTreeMap::new(),
            sql: format!("SELECT count(*), count(\"{column}\") FROM {label}"),
        };
        let mut counts = [0; 2];
        let mut results = engine.prepare(views, &tally, &BTreeMap::new()).await?;
        while let Some(mut rows) = results.next().await? {
            while let Some(batch) = rows.next().await? {
                counts = [0, 1].map(|i| batch.column(i).as_primitive::<Int64Type>().value(0));
            }
        }
        Ok(match counts {
            [0, _] => Some(format!("`{label}` has no rows: {why}")),
            [_, 0] => Some(format!("no row of `{label}` has a `{column}`: {why}")),
            _ => None,
        })
    }
}
