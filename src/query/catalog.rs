//! What a session can be asked about: its tables and their columns.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;

/// A table, or a view made in the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// As the folder in the warehouse, or as created.
    pub name: String,
    /// In the order of the schema.
    pub columns: Vec<Column>,
    /// The number of rows, where the Delta log says it.
    pub rows: Option<u64>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// As in the schema; [`quoted`] makes it safe in SQL.
    pub name: String,
    /// The type in SQL's words: `string`, `bigint`, `decimal(10,2)`, `array<string>`.
    pub sql_type: String,
    /// What the `ViewDefinition` said about the column.
    pub comment: Option<String>,
    /// Whether the column may be null.
    pub nullable: bool,
}

/// Every table of the session's schema, by name.
pub(super) async fn tables(context: &SessionContext, rows: &BTreeMap<String, u64>) -> Vec<Table> {
    let mut tables = Vec::new();
    for name in table_names(context) {
        let Ok(provider) = context.table_provider(TableReference::bare(name.as_str())).await else {
            continue;
        };
        let columns = provider.schema().fields().iter().map(|field| column(field)).collect();
        tables.push(Table { rows: rows.get(&name).copied(), name, columns });
    }
    tables
}

/// The names of the tables and views of the session, sorted.
pub(super) fn table_names(context: &SessionContext) -> Vec<String> {
    let state = context.state();
    let defaults = &state.config_options().catalog;
    let mut names = context
        .catalog(&defaults.default_catalog)
        .and_then(|catalog| catalog.schema(&defaults.default_schema))
        .map_or_else(Vec::new, |schema| schema.table_names());
    names.sort_unstable();
    names
}

/// `name` as SQL must write it: in double quotes unless it is plain lower case.
pub(crate) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn column(field: &Field) -> Column {
    Column {
        name: field.name().clone(),
        sql_type: sql_type(field.data_type()),
        comment: field.metadata().get("comment").cloned(),
        nullable: field.is_nullable(),
    }
}

fn sql_type(arrow: &DataType) -> String {
    let plain = match arrow {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(_, Some(_)) => "timestamp",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Dictionary(_, value) => return sql_type(value),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            return format!("decimal({precision},{scale})");
        }
        DataType::List(item) | DataType::LargeList(item) => {
            return format!("array<{}>", sql_type(item.data_type()));
        }
        DataType::Struct(fields) => return struct_type(fields),
        other => return other.to_string().to_lowercase(),
    };
    plain.to_owned()
}

fn struct_type(fields: &Fields) -> String {
    let fields: Vec<_> =
        fields.iter().map(|f| format!("{}: {}", f.name(), sql_type(f.data_type()))).collect();
    format!("struct<{}>", fields.join(", "))
}
