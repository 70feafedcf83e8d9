//! Delta tables as delta-rs opens them: their state and their files.

use std::path::PathBuf;

use deltalake::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;

use super::TableSnapshot;
use super::place::Place;
use super::table_file::TableFile;
use crate::error::{Error, ErrorKind, Result};

/// The table at a place, none if it has no log.
pub(super) async fn open(place: &Place) -> Result<Option<DeltaTable>> {
    if !place.is_table().await? {
        return Ok(None);
    }
    let failed = |e: DeltaTableError| {
        Error::new(ErrorKind::Warehouse, format!("cannot read `{place}`: {e}"))
            .caused_by(e)
            .hint("the Delta log is damaged, or made by a program with features unknown to Kiln")
    };
    let mut table = DeltaTable::new(place.log_store()?);
    table.load().await.map_err(failed)?;
    Ok(Some(table))
}

/// Files and schema of an open table.
pub(super) async fn snapshot(table: &DeltaTable, place: &Place) -> Result<TableSnapshot> {
    let state = table.snapshot().map_err(|e| place.read_error(e))?;
    let files = files(table, place).await?.into_iter().map(|file| file.path);
    let files: Vec<PathBuf> = files.collect();
    Ok(TableSnapshot { version: state.version(), schema: state.snapshot().arrow_schema(), files })
}

/// The active files, in the order of their names: those of a run after those of the runs before it.
pub(super) async fn files(table: &DeltaTable, place: &Place) -> Result<Vec<TableFile>> {
    let failed = |e| place.read_error(e);
    let state = table.snapshot().map_err(failed)?;
    let log_store = table.log_store();
    let views = state.snapshot().file_views(log_store.as_ref(), None);
    let files = views.map_ok(|view| TableFile::new(&view, place));
    let mut files: Vec<_> = files.try_collect().await.map_err(failed)?;
    files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
