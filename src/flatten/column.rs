//! Columns: which Arrow type a FHIR value gets, and the builders that take the values.
//!
//! The only bridge from FHIR values to Arrow. What a typed column cannot hold exactly becomes null and is counted.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, ListArray, NullBufferBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};

use crate::fhir::Type;
use crate::fhirpath::{Document, Item, Kind, System};

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

/// A column of a view.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in SQL.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// FHIR type, as declared or inferred; `None` where neither is known.
    pub fhir_type: Option<String>,
    /// What its cells hold.
    pub cell: CellType,
    /// Whether each cell is a list.
    pub collection: bool,
}

impl CellType {
    /// What values of a FHIR type become without a tag (SQL on FHIR, "Type Hinting": all but booleans and whole
    /// numbers stay text, exactly as written).
    pub fn of_fhir(name: &str) -> Self {
        match name {
            "boolean" | "Boolean" => Self::Boolean,
            "integer" | "positiveInt" | "unsignedInt" | "Integer" => Self::Int32,
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

impl Column {
    /// The Arrow field, with the description as its `comment`.
    pub fn field(&self) -> Field {
        let data_type =
            if self.collection { DataType::List(item_field(self.cell)) } else { self.cell.arrow() };
        let field = Field::new(&self.name, data_type, true);
        match &self.description {
            Some(text) => field.with_metadata([("comment".to_owned(), text.clone())].into()),
            None => field,
        }
    }
}

fn item_field(cell: CellType) -> FieldRef {
    Arc::new(Field::new("item", cell.arrow(), true))
}

/// The value of a cell: `None` in the null row of `forEachOrNull`, else the values of the column's path.
pub(super) type Cell<'a> = Option<&'a [Item<'a>]>;

/// Takes the cells of one column.
pub(super) struct ColumnBuilder {
    values: ValueBuilder,
    lists: Option<Lists>,
    /// Values that the column's type could not hold; they became null.
    pub(super) cast_failures: u64,
}

struct Lists {
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
    field: FieldRef,
}

enum ValueBuilder {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Date(Date32Builder),
    Instant(TimestampMicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    pub(super) fn new(column: &Column) -> Self {
        let lists = column.collection.then(|| Lists {
            offsets: vec![0],
            valid: NullBufferBuilder::new(0),
            field: item_field(column.cell),
        });
        Self { values: ValueBuilder::new(column.cell), lists, cast_failures: 0 }
    }

    /// Adds one cell. A single-valued column takes the only value; that there is no second was checked before.
    pub(super) fn append(&mut self, cell: Cell<'_>, doc: &Document<'_>) {
        if let Some(lists) = &mut self.lists {
            let items = cell.unwrap_or_default();
            for item in items {
                self.cast_failures += u64::from(!self.values.append(Some(*item), doc));
            }
            lists.offsets.push(lists.offsets.last().copied().unwrap_or(0) + items.len() as i32);
            lists.valid.append(cell.is_some());
        } else {
            let item = cell.and_then(|items| items.first().copied());
            self.cast_failures += u64::from(!self.values.append(item, doc));
        }
    }

    /// The cells so far, as an array; begins anew.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let values = self.values.finish();
        match &mut self.lists {
            None => values,
            Some(lists) => {
                let offsets =
                    OffsetBuffer::new(std::mem::replace(&mut lists.offsets, vec![0]).into());
                Arc::new(ListArray::new(lists.field.clone(), offsets, values, lists.valid.finish()))
            }
        }
    }
}

impl ValueBuilder {
    fn new(cell: CellType) -> Self {
        match cell {
            CellType::Text => Self::Text(StringBuilder::new()),
            CellType::Boolean => Self::Boolean(BooleanBuilder::new()),
            CellType::Int32 => Self::Int32(Int32Builder::new()),
            CellType::Int64 => Self::Int64(Int64Builder::new()),
            CellType::Double => Self::Double(Float64Builder::new()),
            CellType::Decimal(precision, scale) => Self::Decimal(
                Decimal128Builder::new().with_data_type(cell.arrow()),
                precision,
                scale,
            ),
            CellType::Date => Self::Date(Date32Builder::new()),
            CellType::Instant => Self::Instant(
                TimestampMicrosecondBuilder::new().with_data_type(CellType::Instant.arrow()),
            ),
            CellType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
        }
    }

    /// Adds a value or null; `false` if the value could not be held and null stands in its place.
    fn append<'a>(&mut self, item: Option<Item<'a>>, doc: &Document<'a>) -> bool {
        if let Self::Text(builder) = self {
            return append_text(builder, item, doc);
        }
        let value = item.and_then(|i| i.system(doc));
        let had = value.is_some() || item.is_some_and(|i| is_complex(i, doc));
        let held = match self {
            Self::Text(_) => return true, // handled above
            Self::Boolean(b) => {
                let value =
                    value.and_then(|v| if let Item::Boolean(x) = v { Some(x) } else { None });
                b.append_option(value);
                value.is_some()
            }
            Self::Int32(b) => {
                let value = value.and_then(whole).and_then(|n| i32::try_from(n).ok());
                b.append_option(value);
                value.is_some()
            }
            Self::Int64(b) => {
                let value = value.and_then(whole);
                b.append_option(value);
                value.is_some()
            }
            Self::Double(b) => {
                let value = item
                    .filter(|_| had)
                    .and_then(|i| number_text(i, doc))
                    .and_then(|t| t.parse().ok());
                b.append_option(value);
                value.is_some()
            }
            Self::Decimal(b, precision, scale) => {
                let text = item.filter(|_| had).and_then(|i| number_text(i, doc));
                let value = text.and_then(|t| fixed_point(&t, *precision, *scale));
                b.append_option(value);
                value.is_some()
            }
            Self::Date(b) => {
                let value = value.and_then(|v| date(v));
                b.append_option(value);
                value.is_some()
            }
            Self::Instant(b) => {
                let value = value.and_then(|v| {
                    if let Item::Temporal(t) = v { t.instant_micros() } else { None }
                });
                b.append_option(value);
                value.is_some()
            }
            Self::Timestamp(b) => {
                let value = value
                    .and_then(|v| if let Item::Temporal(t) = v { t.wall_micros() } else { None });
                b.append_option(value);
                value.is_some()
            }
        };
        held || !had
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => Arc::new(b.finish()),
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Double(b) => Arc::new(b.finish()),
            Self::Decimal(b, ..) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Instant(b) | Self::Timestamp(b) => Arc::new(b.finish()),
        }
    }
}

fn is_complex(item: Item<'_>, doc: &Document<'_>) -> bool {
    matches!(item, Item::Element(e) if doc.present(e.at))
}

/// Text columns hold values as they were written.
fn append_text<'a>(
    builder: &mut StringBuilder,
    item: Option<Item<'a>>,
    doc: &Document<'a>,
) -> bool {
    match item {
        None => builder.append_null(),
        Some(Item::String(text)) => builder.append_value(text),
        Some(Item::Element(e)) => {
            if let Some(text) = doc.text(e.at) {
                builder.append_value(text);
            } else if !doc.present(e.at) {
                builder.append_null();
            } else if let Some(number) = doc.number_text(e.at) {
                builder.append_value(number);
            } else {
                let mut json = String::new();
                doc.json(e.at, &mut json);
                builder.append_value(json);
            }
        }
        Some(computed) => {
            // Writing into a builder's buffer cannot fail.
            let _ = match computed {
                Item::Boolean(b) => write!(builder, "{b}"),
                Item::Integer(n) => write!(builder, "{n}"),
                Item::Decimal(d) => write!(builder, "{d}"),
                Item::Temporal(t) => write!(builder, "{t}"),
                Item::Quantity(q) => write!(builder, "{} '{}'", q.value, q.unit),
                Item::String(_) | Item::Element(_) => Ok(()),
            };
            builder.append_value("");
        }
    }
    true
}

fn whole(item: Item<'_>) -> Option<i64> {
    match item {
        Item::Integer(n) => Some(n),
        // `5.0` is a whole number too, however it was written.
        Item::Decimal(d) if d.fract().is_zero() => {
            i64::try_from(d.mantissa() / 10i128.pow(d.scale())).ok()
        }
        _ => None,
    }
}

fn number_text<'a>(item: Item<'a>, doc: &Document<'a>) -> Option<std::borrow::Cow<'a, str>> {
    match item {
        Item::Element(e) => doc.number_text(e.at).or_else(|| doc.text(e.at)).map(Into::into),
        Item::Integer(n) => Some(n.to_string().into()),
        Item::Decimal(d) => Some(d.to_string().into()),
        Item::String(text) => Some(text.into()),
        _ => None,
    }
}

fn date(item: Item<'_>) -> Option<i32> {
    let Item::Temporal(t) = item else { return None };
    let has_day = t.kind != crate::fhirpath::TemporalKind::Time
        && t.precision >= crate::fhirpath::Precision::Day;
    has_day.then(|| t.days_since_epoch())
}

/// The digits of a decimal at a fixed scale: exact, or `None` if digits would be lost or it is too large.
fn fixed_point(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let mut value: i128 = 0;
    let mut places: i32 = 0;
    let mut after_point = false;
    for b in digits.bytes() {
        match b {
            b'.' if !after_point => after_point = true,
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i128::from(b - b'0'))?;
                places += i32::from(after_point);
            }
            _ => return None,
        }
    }
    if digits.is_empty() || digits == "." {
        return None;
    }
    let shift = i32::from(scale).checked_sub(places)?.checked_add(exponent)?;
    let value = shifted(value, shift)?;
    let fits = value.checked_abs()? < 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    fits.then_some(if negative { -value } else { value })
}

/// Times a power of ten; `None` if digits other than zero would fall off.
fn shifted(value: i128, places: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let factor = 10i128.checked_pow(places.unsigned_abs())?;
    if places >= 0 {
        value.checked_mul(factor)
    } else {
        (value % factor == 0).then(|| value / factor)
    }
}

/// The name of the system or FHIR type, where it is the only one possible.
pub(super) fn only_kind(kinds: &[Kind]) -> Option<String> {
    match kinds {
        [Kind::Fhir(of)] => Some(of.name().to_owned()),
        [Kind::System(system)] => Some(fhir_name(*system).to_owned()),
        _ => None,
    }
}

fn fhir_name(system: System) -> &'static str {
    match system {
        System::Boolean => "boolean",
        System::Integer => "integer",
        System::Decimal => "decimal",
        System::String => "string",
        System::Date => "date",
        System::DateTime => "dateTime",
        System::Time => "time",
        System::Quantity => "Quantity",
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
    match name {
        "boolean" | "Boolean" => Family::Boolean,
        "integer" | "positiveInt" | "unsignedInt" | "integer64" | "decimal" | "Integer"
        | "Decimal" => Family::Number,
        "date" | "dateTime" | "instant" | "time" | "Date" | "DateTime" | "Time" => Family::Temporal,
        "String" => Family::Text,
        _ if Type::named(name).is_some_and(Type::is_primitive) => Family::Text,
        _ => Family::Complex,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_nothing() {
        for (text, expected) in [
            ("1.50", Some(1500)),
            ("-0.001", Some(-1)),
            ("0.0006", None),
            ("1.0E-3", Some(1)),
            ("12e2", Some(1_200_000)),
            ("1.5000000000000000000", Some(1500)),
            ("9999999.999", Some(9_999_999_999)),
            ("10000000", None),
            ("0e99", Some(0)),
            ("1e400", None),
            ("", None),
            ("1.2.3", None),
        ] {
            assert_eq!(fixed_point(text, 10, 3), expected, "{text}");
        }
    }

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
