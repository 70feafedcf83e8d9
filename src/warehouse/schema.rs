//! Arrow columns as Delta columns (Delta protocol, "Schema Serialization Format").

use std::collections::HashSet;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use deltalake::kernel::{ArrayType, DataType as DeltaType, DecimalType, PrimitiveType};
use deltalake::kernel::{StructField, StructType};

use crate::error::{Error, ErrorKind, Result};

/// The key of an Arrow field's metadata, and of a Delta column's, that describes the column; in the metadata of an Arrow
/// schema, it describes the table.
pub(super) const COMMENT: &str = "comment";

/// The Delta schema of these columns, with their comments. Fails for a type that Delta does not
/// have (a time of day: make it text) and for names that Delta readers refuse.
pub(super) fn to_delta(schema: &Schema) -> Result<StructType> {
    let mut names = HashSet::new();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        check_name(field.name())?;
        if !names.insert(field.name().to_lowercase()) {
            return Err(refuse(field.name(), "stands twice (letter case does not distinguish)"));
        }
        columns.push(column(field)?);
    }
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Definition, "a table needs at least one column"));
    }
    StructType::try_new(columns).map_err(|e| {
        Error::new(ErrorKind::Definition, format!("the columns make no Delta table: {e}"))
    })
}

/// Fails if a table cannot have these columns.
pub fn check_columns(schema: &Schema) -> Result<()> {
    to_delta(schema).map(drop)
}

/// Whether a schema needs the table feature `timestampNtz`.
pub(super) fn has_timestamp_without_zone(schema: &Schema) -> bool {
    fn within(data_type: &DataType) -> bool {
        match data_type {
            DataType::Timestamp(_, None) => true,
            DataType::List(item) => within(item.data_type()),
            DataType::Struct(fields) => fields.iter().any(|f| within(f.data_type())),
            _ => false,
        }
    }
    schema.fields().iter().any(|field| within(field.data_type()))
}

/// The type that is stored: a dictionary is a way of holding values in memory, not a type.
pub(super) fn stored_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn column(field: &Field) -> Result<StructField> {
    let data_type = delta_type(field.name(), field.data_type())?;
    let column = StructField::new(field.name(), data_type, field.is_nullable());
    let comment = field.metadata().get(COMMENT);
    Ok(column.with_metadata(comment.map(|text| (COMMENT, text.as_str()))))
}

fn delta_type(column_name: &str, data_type: &DataType) -> Result<DeltaType> {
    let primitive = match stored_type(data_type) {
        DataType::Utf8 | DataType::LargeUtf8 => PrimitiveType::String,
        DataType::Binary | DataType::LargeBinary => PrimitiveType::Binary,
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int8 => PrimitiveType::Byte,
        DataType::Int16 => PrimitiveType::Short,
        DataType::Int32 => PrimitiveType::Integer,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Date32 => PrimitiveType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => PrimitiveType::TimestampNtz,
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone))
            if matches!(zone.as_ref(), "UTC" | "+00:00") =>
        {
            PrimitiveType::Timestamp
        }
        DataType::Decimal128(precision, scale) => {
            let decimal =
                u8::try_from(*scale).ok().and_then(|s| DecimalType::try_new(*precision, s).ok());
            PrimitiveType::Decimal(decimal.ok_or_else(|| no_type(column_name, data_type))?)
        }
        DataType::List(item) => {
            let element = delta_type(column_name, item.data_type())?;
            return Ok(ArrayType::new(element, item.is_nullable()).into());
        }
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| column(f)).collect::<Result<Vec<_>>>()?;
            return DeltaType::try_struct_type(fields).map_err(|_| no_type(column_name, data_type));
        }
        _ => return Err(no_type(column_name, data_type)),
    };
    Ok(DeltaType::Primitive(primitive))
}

fn no_type(column: &str, data_type: &DataType) -> Error {
    refuse(column, &format!("has the type {data_type}, which a Delta table cannot hold"))
        .hint("store the column as text")
}

/// Delta tables without column mapping refuse these characters, as Parquet readers in Spark do.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']) {
        return Err(refuse(name, "has a name that a Delta table cannot have")
            .hint("use letters, digits and `_`; in SQL, `AS name` gives a name"));
    }
    Ok(())
}

fn refuse(column: &str, why: &str) -> Error {
    Error::new(ErrorKind::Definition, format!("the column `{column}` {why}"))
}
