//! Which type of PostgreSQL holds the values of an Arrow type.

use arrow::datatypes::{DataType, Schema, TimeUnit};

use crate::error::{Error, ErrorKind, Result};

/// A type of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PgType {
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    Real,
    Double,
    /// Precision and scale.
    Numeric(u8, i8),
    Text,
    Bytea,
    Date,
    Timestamp,
    TimestampTz,
    /// Of values that are no arrays themselves.
    Array(Box<PgType>),
    /// All that is nested otherwise.
    Jsonb,
}

impl PgType {
    /// The type for values of a (plain) Arrow type, if there is one.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int16 => Self::SmallInt,
            DataType::Int32 => Self::Integer,
            DataType::Int64 => Self::BigInt,
            DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale @ 0..) => Self::Numeric(*precision, *scale),
            DataType::Utf8 => Self::Text,
            DataType::Binary => Self::Bytea,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::TimestampTz,
            DataType::Struct(_) => Self::Jsonb,
            DataType::List(item) => match Self::of(item.data_type())? {
                Self::Array(_) | Self::Jsonb => Self::Jsonb,
                element => Self::Array(Box::new(element)),
            },
            _ => return None,
        })
    }

    /// The types of all columns.
    pub(super) fn of_columns(schema: &Schema) -> Result<Vec<Self>> {
        let of = |field: &arrow::datatypes::Field| {
            Self::of(field.data_type()).ok_or_else(|| {
                let (name, data_type) = (field.name(), field.data_type());
                let message =
                    format!("the column `{name}` has the type {data_type}, which no load to PostgreSQL knows");
                Error::new(ErrorKind::Definition, message).hint("store the column as text")
            })
        };
        schema.fields().iter().map(|field| of(field)).collect()
    }

    /// The type as SQL has it.
    pub(super) fn sql(&self) -> String {
        match self {
            Self::Boolean => "boolean".to_owned(),
            Self::SmallInt => "smallint".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::BigInt => "bigint".to_owned(),
            Self::Real => "real".to_owned(),
            Self::Double => "double precision".to_owned(),
            Self::Numeric(precision, scale) => format!("numeric({precision},{scale})"),
            Self::Text => "text".to_owned(),
            Self::Bytea => "bytea".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::TimestampTz => "timestamptz".to_owned(),
            Self::Array(element) => format!("{}[]", element.sql()),
            Self::Jsonb => "jsonb".to_owned(),
        }
    }

    /// Its number in PostgreSQL's `pg_type`, which binary arrays name for their elements; those of built-in types never
    /// change.
    pub(super) fn oid(&self) -> u32 {
        match self {
            Self::Boolean => 16,
            Self::Bytea => 17,
            Self::BigInt => 20,
            Self::SmallInt => 21,
            Self::Integer => 23,
            Self::Text => 25,
            Self::Real => 700,
            Self::Double => 701,
            Self::Date => 1082,
            Self::Timestamp => 1114,
            Self::TimestampTz => 1184,
            Self::Numeric(..) => 1700,
            // Never elements.
            Self::Array(_) | Self::Jsonb => 3802,
        }
    }
}
