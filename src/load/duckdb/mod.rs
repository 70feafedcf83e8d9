//! Loads into a DuckDB file: written beside its place by DuckDB itself, and renamed when whole.
//!
//! DuckDB is asked through its shared library (ADBC) or through its program, whichever is there. Either runs the same
//! statements, which read the Parquet files of the tables.

use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Schema};

use super::{LoadedTable, TableVersion, broken, literal, quoted, rows};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

mod driver;

use driver::Driver;

/// A DuckDB file.
#[derive(Debug, Clone)]
pub(super) struct DuckDb {
    pub(super) path: PathBuf,
    /// The library or the program.
    pub(super) driver: Option<PathBuf>,
}

/// The table that says what a file holds.
const LEDGER: &str = "kiln_loads";

impl DuckDb {
    /// Writes a file with these versions and puts it in place, unless the file there has them.
    pub(super) async fn load(
        &self,
        tables: &[TableVersion],
        run: &str,
    ) -> Result<Vec<LoadedTable>> {
        if let Some(table) = tables.iter().find(|table| table.name == LEDGER) {
            let message = format!("`{}` is a name that Kiln needs in the target", table.name);
            return Err(Error::new(ErrorKind::Definition, message));
        }
        let (this, tables, run) = (self.clone(), tables.to_vec(), run.to_owned());
        let work = tokio::task::spawn_blocking(move || this.write(&tables, &run));
        work.await.map_err(|e| broken("write the DuckDB file", e))?
    }

    fn write(&self, tables: &[TableVersion], run: &str) -> Result<Vec<LoadedTable>> {
        let driver = Driver::find(self.driver.as_deref())?;
        let whole = contents(tables);
        if self.path.is_file() && driver.value(&self.path, HELD).is_ok_and(|held| held == whole) {
            return Ok(tables.iter().map(LoadedTable::present).collect());
        }
        let folder = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        durable::create_folder(folder)?;
        let partial = beside(&self.path, "partial");
        remove(&partial)?;
        let mut statements = Vec::new();
        let mut counts = Vec::new();
        for table in tables {
            counts.push(rows::count(table)?);
            statements.extend(make(table)?);
        }
        statements.extend(ledger(tables, &counts, run));
        durable::step();
        driver.run(&partial, &statements)?;
        durable::sync_file(&partial)?;
        durable::rename(&partial, &self.path)?;
        durable::sync_folder(folder)?;
        let loaded = tables.iter().zip(counts);
        Ok(loaded.map(|(table, rows)| LoadedTable::written(table, rows)).collect())
    }
}

/// A name for a file that is not whole, always the same: what a killed process left is written over by the next.
fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}"))
}

/// Removes what a killed process left, with DuckDB's log of it.
fn remove(partial: &Path) -> Result<()> {
    let log = partial.with_file_name(format!(
        "{}.wal",
        partial.file_name().unwrap_or_default().to_string_lossy()
    ));
    for path in [partial, &log] {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(durable::output_error("remove", path, e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a file holds, as [`contents`] has it.
const HELD: &str = "SELECT string_agg(table_name || '=' || version || '=' || content, ';' ORDER BY table_name) FROM kiln_loads";

fn contents(tables: &[TableVersion]) -> String {
    let mut all: Vec<_> = tables
        .iter()
        .map(|table| (&table.name, format!("{}={}={}", table.name, table.version, content(table))))
        .collect();
    all.sort();
    all.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(";")
}

fn content(table: &TableVersion) -> String {
    let columns = rows::schema_fingerprint(&rows::plain(&table.schema));
    rows::fingerprint([columns, rows::files_fingerprint(table)])
}

/// The statements that make and fill a table.
fn make(table: &TableVersion) -> Result<Vec<String>> {
    let schema = rows::plain(&table.schema);
    let name = quoted(&table.name);
    let columns = schema.fields().iter().map(|field| {
        sql_type(field.data_type()).map(|sql| format!("{} {sql}", quoted(field.name()))).ok_or_else(
            || {
                let (column, kind) = (field.name(), field.data_type());
                let message = format!(
                    "the column `{column}` has the type {kind}, which no load to DuckDB knows"
                );
                Error::new(ErrorKind::Definition, message).at("table", &table.name)
            },
        )
    });
    let columns = columns.collect::<Result<Vec<_>>>()?.join(", ");
    let mut sql = vec![format!("CREATE TABLE {name} ({columns})")];
    sql.extend(insert(table, &schema)?);
    if let Some(comment) = table.schema.metadata().get("comment") {
        sql.push(format!("COMMENT ON TABLE {name} IS {}", literal(comment)));
    }
    for field in table.schema.fields() {
        if let Some(comment) = field.metadata().get("comment") {
            let column = quoted(field.name());
            sql.push(format!("COMMENT ON COLUMN {name}.{column} IS {}", literal(comment)));
        }
    }
    Ok(sql)
}

/// The statement that reads the files. A column that none of them has stays null.
fn insert(table: &TableVersion, schema: &Schema) -> Result<Option<String>> {
    if table.files.is_empty() {
        return Ok(None);
    }
    let (mut files, mut found) = (Vec::new(), std::collections::BTreeSet::new());
    for file in &table.files {
        found.extend(rows::columns_of(file)?);
        // DuckDB takes these characters in a name for a pattern.
        let text = file.to_string_lossy();
        if text.contains(['*', '?', '[']) {
            let message = format!("`{text}` has a name that DuckDB cannot read");
            return Err(Error::new(ErrorKind::Output, message)
                .hint("move the warehouse to a folder without `*`, `?` and `[` in its name"));
        }
        files.push(literal(&text));
    }
    let columns = schema.fields().iter().map(|field| field.name()).filter(|n| found.contains(*n));
    let columns = columns.map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    Ok(Some(format!(
        "INSERT INTO {} ({columns}) SELECT {columns} FROM read_parquet([{}], union_by_name = true, hive_partitioning = false)",
        quoted(&table.name),
        files.join(", ")
    )))
}

fn ledger(tables: &[TableVersion], counts: &[u64], run: &str) -> Vec<String> {
    let mut sql = vec![format!(
        "CREATE TABLE {LEDGER} (table_name VARCHAR PRIMARY KEY, version BIGINT, run VARCHAR, \"rows\" BIGINT, loaded_at TIMESTAMP, content VARCHAR)"
    )];
    for (table, rows) in tables.iter().zip(counts) {
        sql.push(format!(
            "INSERT INTO {LEDGER} VALUES ({}, {}, {}, {rows}, CAST(epoch_ms({}) AS TIMESTAMP), {})",
            literal(&table.name),
            table.version,
            literal(run),
            crate::clock::Clock::System.now().as_millisecond(),
            literal(&content(table)),
        ));
    }
    sql.push("CHECKPOINT".to_owned());
    sql
}

/// The type of DuckDB for values of a (plain) Arrow type.
fn sql_type(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Binary => "BLOB".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        DataType::List(item) => format!("{}[]", sql_type(item.data_type())?),
        DataType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|f| Some(format!("{} {}", quoted(f.name()), sql_type(f.data_type())?)));
            format!("STRUCT({})", fields.collect::<Option<Vec<_>>>()?.join(", "))
        }
        _ => return None,
    })
}

/// The text of the first cell of a batch.
fn first_text(batch: &arrow::array::RecordBatch) -> Option<String> {
    let column = batch.columns().first()?;
    let column = arrow::compute::cast(column, &DataType::Utf8).ok()?;
    let texts = column.as_string::<i32>();
    (!arrow::array::Array::is_empty(texts)).then(|| texts.value(0).to_owned())
}
