//! Small files made large, and rows put in order, without a change of what a table holds.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;

use super::commit::{self, Draft, Operation};
use super::part::PartFile;
use super::table_file::TableFile;
use super::writer::ParquetOptions;
use super::{Staging, Warehouse, delta, merge, sort};
use crate::error::{Error, ErrorKind, Result};

/// What optimizing made of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optimized {
    /// Its name.
    pub table: String,
    /// How many files it had.
    pub files_before: usize,
    /// Their bytes.
    pub bytes_before: u64,
    /// How many it has.
    pub files_after: usize,
    /// Their bytes.
    pub bytes_after: u64,
    /// The version that this made, if there was something to do.
    pub version: Option<u64>,
}

impl Warehouse {
    /// Merges small files of these tables, of all but Kiln's own if none is named, source by source; with columns to
    /// sort by, writes all files again with the rows in their order, nulls last.
    ///
    /// A table that lacks one of the columns is sorted by the others. An error of kind `Usage` if no table has it. The
    /// warehouse is locked meanwhile; old files stay until [`Warehouse::vacuum`].
    pub async fn optimize(
        &self,
        tables: &[String],
        by: &[String],
        options: &ParquetOptions,
    ) -> Result<Vec<Optimized>> {
        let tables = self.chosen(tables).await?;
        self.check_columns(&tables, by).await?;
        let staging = self.begin(&name())?;
        let mut done = Vec::with_capacity(tables.len());
        for table in &tables {
            done.push(staging.optimize(table, by, options).await?);
        }
        Ok(done)
    }

    /// The tables that are named, or all but Kiln's own. An error of kind `Input` for one that does not exist.
    async fn chosen(&self, named: &[String]) -> Result<Vec<String>> {
        let mut all = self.table_names().await?;
        if let Some(missing) = named.iter().find(|name| !all.contains(name)) {
            let message = format!("there is no table `{missing}` in `{self}`");
            let hint = format!("the tables are: {}", all.join(", "));
            return Err(Error::new(ErrorKind::Input, message).hint(hint));
        }
        all.retain(|table| {
            // Files of `_rejects` leave run by run: they stay apart.
            if named.is_empty() { !table.starts_with('_') } else { named.contains(table) }
        });
        Ok(all)
    }

    async fn check_columns(&self, tables: &[String], by: &[String]) -> Result<()> {
        let mut missing: BTreeSet<_> = by.iter().collect();
        for table in tables {
            let schema = self.snapshot(table).await?.schema;
            missing.retain(|column| schema.index_of(column).is_err());
        }
        let Some(column) = missing.first() else { return Ok(()) };
        let message = format!("no table has a column `{column}`");
        Err(Error::new(ErrorKind::Usage, message)
            .hint("`kiln query 'DESCRIBE patient'` lists columns"))
    }
}

impl Staging {
    async fn optimize(
        &self,
        table: &str,
        by: &[String],
        options: &ParquetOptions,
    ) -> Result<Optimized> {
        let place = self.warehouse.place(table)?;
        let existing = self.warehouse.open_table(table).await?;
        let state = existing.snapshot().map_err(|e| place.read_error(e))?;
        commit::check_writable(table, &place, state)?;
        let active = delta::files(&existing, &place).await?;
        let columns = merge::stored(&state.snapshot().arrow_schema());
        let by: Vec<_> = by.iter().filter(|name| columns.index_of(name).is_ok()).cloned().collect();
        let (mut leaving, mut coming) = (Vec::new(), Vec::new());
        for (number, files) in by_source(&active)?.into_values().enumerate() {
            let files = worth_writing(files, &by, options);
            if files.is_empty() {
                continue;
            }
            let stem = format!("part-{}-{number}", self.run);
            coming.extend(self.write_again(table, &stem, &columns, &files, &by, options).await?);
            leaving.extend(files);
        }
        let mut done = Optimized::of(table, &active);
        if leaving.is_empty() {
            return Ok(done);
        }
        let draft = Draft {
            table,
            place: &place,
            operation: Operation::Optimize,
            schema: None,
            run: &self.run,
            info: None,
            leaving: &leaving,
            coming: &coming,
        };
        let committed = self.publish(&draft, Some(&existing), &active).await?;
        let bytes = |files: &[TableFile]| files.iter().map(|file| file.bytes).sum::<u64>();
        done.files_after = active.len() - leaving.len() + coming.len();
        done.bytes_after =
            done.bytes_before - bytes(&leaving) + coming.iter().map(|part| part.bytes).sum::<u64>();
        done.version = Some(committed.version);
        Ok(done)
    }

    async fn write_again(
        &self,
        table: &str,
        stem: &str,
        columns: &SchemaRef,
        files: &[TableFile],
        by: &[String],
        options: &ParquetOptions,
    ) -> Result<Vec<PartFile>> {
        let writer = self.open_writer(table, stem, columns.clone(), options)?;
        let files = &self.fetch(table, files.to_vec()).await?;
        let parts = if by.is_empty() {
            merge::rewrite(files, &[], columns, writer)?.parts
        } else {
            let folder = self.folder();
            sort::sorted(files, by, columns, (sort::MEMORY_BYTES, &folder), writer).await?
        };
        check_rows(table, files, &parts)?;
        Ok(parts)
    }
}

impl Optimized {
    /// Nothing done.
    fn of(table: &str, files: &[TableFile]) -> Self {
        let bytes = files.iter().map(|file| file.bytes).sum();
        Self {
            table: table.to_owned(),
            files_before: files.len(),
            bytes_before: bytes,
            files_after: files.len(),
            bytes_after: bytes,
            version: None,
        }
    }
}

/// A name for the staging area and for files, which sort after those of the runs before.
fn name() -> String {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-optimize-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), &unique[..8])
}

fn by_source(files: &[TableFile]) -> Result<BTreeMap<Option<String>, Vec<TableFile>>> {
    let mut sources = BTreeMap::<_, Vec<_>>::new();
    for file in files {
        let source = file.source()?.map(str::to_owned);
        sources.entry(source).or_default().push(file.clone());
    }
    Ok(sources)
}

/// To sort, all files; otherwise those that are less than half of what a file should be, if there are several.
fn worth_writing(
    mut files: Vec<TableFile>,
    by: &[String],
    options: &ParquetOptions,
) -> Vec<TableFile> {
    if by.is_empty() {
        files.retain(|file| file.bytes < options.file_bytes / 2);
        files.truncate(if files.len() < 2 { 0 } else { files.len() });
    }
    files
}

/// What was read and written has as many rows as the log says: no file is taken out of a table on less.
fn check_rows(table: &str, files: &[TableFile], parts: &[PartFile]) -> Result<()> {
    let before: Option<u64> = files.iter().map(TableFile::rows).sum();
    let after: u64 = parts.iter().map(|part| part.rows).sum();
    if before.is_none_or(|before| before == after) {
        return Ok(());
    }
    let message = format!("files of `{table}` hold other rows than its log says");
    Err(Error::new(ErrorKind::Warehouse, message).hint("nothing was changed; rebuild the table"))
}
