//! How the columns of a table may change while it keeps rows.

use arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::kernel::{DataType, PrimitiveType, StructField, StructType};
use std::sync::Arc;

use super::{ColumnChange, schema};
use crate::error::{Error, ErrorKind, Result};

/// What is different in the columns of rows to come.
pub(super) fn compare(table: &StructType, rows: &Schema) -> Result<Vec<ColumnChange>> {
    let rows = schema::to_delta(rows)?;
    let added = rows.fields().filter_map(|field| {
        let column = field.name().clone();
        let Some(old) = table.field(&column) else {
            return Some(ColumnChange::Added { column });
        };
        let (from, to) = (old.data_type(), field.data_type());
        (from != to).then(|| ColumnChange::Retyped {
            column,
            from: sql_type(from),
            to: sql_type(to),
        })
    });
    let dropped = table.fields().filter(|field| rows.field(field.name()).is_none());
    let dropped = dropped.map(|field| ColumnChange::Dropped { column: field.name().clone() });
    Ok(added.chain(dropped).collect())
}

/// The columns of a table that keeps rows and gets others: those of the rows to come, where the rows that it has fit in.
/// A column that they do not have is null in them.
pub(super) fn merged(name: &str, table: &StructType, rows: &SchemaRef) -> Result<SchemaRef> {
    for change in compare(table, rows)? {
        refuse(name, &change, rows)?;
    }
    let fields = rows.fields().iter().map(|field| {
        let nullable = table.field(field.name()).is_none_or(StructField::is_nullable);
        Field::clone(field).with_nullable(nullable || field.is_nullable())
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn refuse(table: &str, change: &ColumnChange, rows: &Schema) -> Result<()> {
    let message = match change {
        ColumnChange::Added { column } => {
            if rows.field_with_name(column).is_ok_and(Field::is_nullable) {
                return Ok(());
            }
            format!("the column `{column}` is new and never null, which old rows of `{table}` are")
        }
        ColumnChange::Dropped { column } => {
            format!("the table `{table}` has a column `{column}`, the new rows do not")
        }
        ColumnChange::Retyped { column, from, to } => {
            format!("the column `{column}` of the table `{table}` is {from}, of the new rows {to}")
        }
    };
    Err(Error::new(ErrorKind::Definition, message)
        .hint(format!("`kiln rebuild PIPELINE {table}` fills the table anew with other columns")))
}

/// A type as SQL writes it.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Primitive(PrimitiveType::Byte) => "tinyint".to_owned(),
        DataType::Primitive(PrimitiveType::Short) => "smallint".to_owned(),
        DataType::Primitive(PrimitiveType::Integer) => "int".to_owned(),
        DataType::Primitive(PrimitiveType::Long) => "bigint".to_owned(),
        DataType::Primitive(PrimitiveType::TimestampNtz) => {
            "timestamp without time zone".to_owned()
        }
        DataType::Array(array) => format!("array<{}>", sql_type(array.element_type())),
        DataType::Struct(columns) => {
            let columns =
                columns.fields().map(|f| format!("{}: {}", f.name(), sql_type(f.data_type())));
            format!("struct<{}>", columns.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
