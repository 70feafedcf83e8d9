//! Which type a column's cells have: from the FHIR type, or from a tag.

use arrow::datatypes::{DataType, TimeUnit};

use crate::fhir::Type;
use crate::fhirpath::Kind;

/// What a cell of a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    /// The value as written; of complex values their JSON.
    Text,
    /// `BOOLEAN`
    Boolean,
    /// `INTEGER`
    Int32,
    /// `BIGINT`
    Int64,
    /// `DOUBLE PRECISION`
    Double,
    /// `DECIMAL(precision, scale)`: exact, or null and counted.
    Decimal(u8, i8),
    /// `DATE`
    Date,
    /// `TIMESTAMP WITH TIME ZONE`: microseconds in UTC.
    Instant,
    /// `TIMESTAMP`: microseconds of the wall time as written.
    Timestamp,
}

impl CellType {
    /// What values of a FHIR type become without a tag (SQL on FHIR, "Type Hinting": all but booleans and whole
    /// numbers stay text, exactly as written).
    pub fn of_fhir(name: &str) -> Self {
        match fhir_type_name(name) {
            "boolean" => Self::Boolean,
            "integer" | "positiveInt" | "unsignedInt" => Self::Int32,
            "integer64" => Self::Int64,
            _ => Self::Text,
        }
    }

    /// What a set of possible types becomes: their common cell, or text.
    pub fn of_kinds(kinds: &[Kind]) -> Self {
        let mut cells = kinds.iter().map(|k| Self::of_fhir(k.name()));
        let first = cells.next().unwrap_or(Self::Text);
        if cells.all(|c| c == first) { first } else { Self::Text }
    }

    /// The cell that an `ansi/type` tag asks for; `None` if Kiln does not know the type.
    pub fn of_ansi(tag: &str) -> Option<Self> {
        let upper = tag.trim().to_uppercase();
        let (name, arguments) = match upper.split_once('(') {
            Some((name, rest)) => {
                (name.trim_end(), rest.split_once(')').map_or(rest, |(inside, _)| inside))
            }
            None => (upper.as_str(), ""),
        };
        Some(match name {
            "BOOLEAN" | "BOOL" => Self::Boolean,
            "SMALLINT" | "INTEGER" | "INT" => Self::Int32,
            "BIGINT" => Self::Int64,
            "REAL" | "FLOAT" | "DOUBLE" | "DOUBLE PRECISION" => Self::Double,
            "DECIMAL" | "NUMERIC" | "DEC" => Self::decimal(arguments)?,
            "DATE" => Self::Date,
            "TIMESTAMP WITH TIME ZONE" | "TIMESTAMPTZ" => Self::Instant,
            "TIMESTAMP" if upper.ends_with("WITH TIME ZONE") => Self::Instant,
            "TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE" => Self::Timestamp,
            "CHARACTER VARYING"
            | "VARCHAR"
            | "CHARACTER"
            | "CHAR"
            | "TEXT"
            | "CHARACTER LARGE OBJECT"
            | "TIME" => Self::Text,
            _ => return None,
        })
    }

    fn decimal(arguments: &str) -> Option<Self> {
        let mut numbers = arguments.split(',').map(|n| n.trim().parse::<u8>());
        let precision = if arguments.is_empty() { 38 } else { numbers.next()?.ok()? };
        let scale = numbers.next().map_or(Some(0), Result::ok)?;
        let scale = if arguments.is_empty() { 9 } else { scale };
        (precision <= 38 && scale <= precision && precision > 0)
            .then(|| Self::Decimal(precision, i8::try_from(scale).unwrap_or(0)))
    }

    /// Whether a value of a type, by its name, may fit; text takes anything.
    pub(super) fn can_hold(self, name: &str) -> bool {
        let family = family(name);
        match self {
            Self::Text => true,
            Self::Boolean => family == Family::Boolean,
            Self::Int32 | Self::Int64 => family == Family::Number,
            Self::Double | Self::Decimal(..) => matches!(family, Family::Number | Family::Text),
            Self::Date => matches!(fhir_type_name(name), "date" | "dateTime" | "instant"),
            // A date has neither the seconds nor the zone that a point in time needs.
            Self::Instant | Self::Timestamp => {
                matches!(fhir_type_name(name), "dateTime" | "instant")
            }
        }
    }

    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }
}

/// The name of the system or FHIR type, where it is the only one possible.
pub(super) fn only_kind(kinds: &[Kind]) -> Option<String> {
    match kinds {
        [kind] => Some(fhir_type_name(kind.name()).to_owned()),
        _ => None,
    }
}

/// The name of the FHIR type that a type of FHIRPath stands for; other names are themselves.
pub(super) fn fhir_type_name(name: &str) -> &str {
    match name {
        "Boolean" => "boolean",
        "Integer" => "integer",
        "Long" => "integer64",
        "Decimal" => "decimal",
        "String" => "string",
        "Date" => "date",
        "DateTime" => "dateTime",
        "Time" => "time",
        other => other,
    }
}

/// Types whose values can stand for one another in a column: texts, numbers, dates and times, booleans.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Family {
    Text,
    Number,
    Temporal,
    Boolean,
    Complex,
}

/// The family of a type, by its FHIR name.
pub(super) fn family(name: &str) -> Family {
    match fhir_type_name(name) {
        "boolean" => Family::Boolean,
        "integer" | "positiveInt" | "unsignedInt" | "integer64" | "decimal" => Family::Number,
        "date" | "dateTime" | "instant" | "time" => Family::Temporal,
        name if Type::named(name).is_some_and(Type::is_primitive) => Family::Text,
        _ => Family::Complex,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansi_types() {
        for (tag, expected) in [
            ("decimal(18, 6)", Some(CellType::Decimal(18, 6))),
            ("NUMERIC(5)", Some(CellType::Decimal(5, 0))),
            ("TIMESTAMP", Some(CellType::Timestamp)),
            ("timestamp(6) with time zone", Some(CellType::Instant)),
            ("CHARACTER VARYING(20)", Some(CellType::Text)),
            ("DECIMAL(50,2)", None),
            ("GEOMETRY", None),
        ] {
            assert_eq!(CellType::of_ansi(tag), expected, "{tag}");
        }
    }
}
