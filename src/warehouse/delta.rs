//! Delta tables as delta-rs opens them: their state, their files, their log.

use std::path::{Path, PathBuf};

use deltalake::logstore::LogStoreRef;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, ensure_table_uri};
use futures::TryStreamExt;

use super::table_file::TableFile;
use super::{TableSnapshot, is_table};
use crate::error::{Error, ErrorKind, Result};

/// The table in a folder, none if it has no log.
pub(super) async fn open(folder: &Path) -> Result<Option<DeltaTable>> {
    if !is_table(folder) {
        return Ok(None);
    }
    let failed = |e: DeltaTableError| {
        Error::new(ErrorKind::Warehouse, format!("cannot read `{}`: {e}", folder.display()))
            .caused_by(e)
            .hint("the Delta log is damaged, or made by a program with features unknown to Kiln")
    };
    builder(folder)?.load().await.map(Some).map_err(failed)
}

/// Files and schema of an open table.
pub(super) async fn snapshot(table: &DeltaTable, folder: &Path) -> Result<TableSnapshot> {
    let failed = |e| read_error(folder, e);
    let state = table.snapshot().map_err(failed)?;
    let files = files(table, folder).await?.into_iter().map(|file| file.path);
    let files: Vec<PathBuf> = files.collect();
    Ok(TableSnapshot { version: state.version(), schema: state.snapshot().arrow_schema(), files })
}

/// The active files, in the order of their names: those of a run after those of the runs before it.
pub(super) async fn files(table: &DeltaTable, folder: &Path) -> Result<Vec<TableFile>> {
    let failed = |e| read_error(folder, e);
    let state = table.snapshot().map_err(failed)?;
    let log_store = table.log_store();
    let views = state.snapshot().file_views(log_store.as_ref(), None);
    let files = views.map_ok(|view| TableFile::new(&view, folder));
    let mut files: Vec<_> = files.try_collect().await.map_err(failed)?;
    files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Where the log of a table is written, which need not exist.
pub(super) fn log_store(folder: &Path) -> Result<LogStoreRef> {
    let builder = builder(folder)?;
    builder.build_storage().map_err(|e| read_error(folder, e))
}

fn builder(folder: &Path) -> Result<DeltaTableBuilder> {
    let text = folder.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Warehouse, format!("`{}` is not valid UTF-8", folder.display()))
            .hint("Delta logs need a path of valid Unicode")
    })?;
    ensure_table_uri(text).and_then(DeltaTableBuilder::from_url).map_err(|e| read_error(folder, e))
}

/// A failure to read a table or its log.
pub(super) fn read_error(folder: &Path, error: DeltaTableError) -> Error {
    let message = format!("cannot read `{}`: {error}", folder.display());
    Error::new(ErrorKind::Warehouse, message).caused_by(error)
}
