//! Columns: which Arrow type a FHIR value gets, and the builders that take the values.
//!
//! The only bridge from FHIR values to Arrow. What a typed column cannot hold exactly becomes null and is counted.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
    Int32Builder, Int64Builder, ListArray, NullBufferBuilder, StringArray, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};
use simd_json::{Node, StaticNode};

use super::cell_type::{CellType, Family, family};
use super::decimal::fixed_point;
use crate::fhirpath::{Document, Item, Ready};

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

    /// Whether complex values are wanted: they become their JSON text.
    fn takes_json(&self) -> bool {
        self.fhir_type.as_deref().is_some_and(|of| family(of) == Family::Complex)
    }
}

fn item_field(cell: CellType) -> FieldRef {
    Arc::new(Field::new("item", cell.arrow(), true))
}

/// What goes into one cell.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    /// That of the null row of `forEachOrNull`.
    Null,
    /// The values of the column's expression.
    Values(&'a [Item<'a>]),
    /// Its one value or none, found by the walk over the focus.
    Ready(Ready<'a>),
}

impl<'a> Cell<'a> {
    /// The text, if it is one and was found by the walk.
    fn plain_text(self, doc: &Document<'a>) -> Option<&'a str> {
        match self {
            Self::Ready(Ready::Text(text)) => Some(text),
            Self::Ready(Ready::Element(element)) => doc.text(element.at),
            _ => None,
        }
    }

    /// The first value, which is the only one.
    fn single(self) -> Option<Item<'a>> {
        match self {
            Self::Null | Self::Ready(Ready::Nothing) => None,
            Self::Values(items) => items.first().copied(),
            Self::Ready(Ready::Element(element)) => Some(Item::Element(element)),
            Self::Ready(Ready::Text(text)) => Some(Item::String(text)),
        }
    }
}

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

/// Whether a text column holds complex values too, as JSON.
type WithJson = bool;

enum ValueBuilder {
    Text(StringBuilder, WithJson),
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
        Self { values: ValueBuilder::new(column), lists, cast_failures: 0 }
    }

    /// Adds one cell. A single-valued column takes the only value; that there is no second was checked before. A list
    /// has no entry for an element that has extensions only.
    pub(super) fn append(&mut self, cell: Cell<'_>, doc: &Document<'_>) {
        // The commonest case: a text where a text is wanted.
        if let (ValueBuilder::Text(builder, _), None, Some(text)) =
            (&mut self.values, &self.lists, cell.plain_text(doc))
        {
            self.cast_failures += u64::from(!push_text(builder, text));
        } else if let Some(lists) = &mut self.lists {
            let mut end = lists.offsets.last().copied().unwrap_or(0);
            let one = cell.single();
            let items = if let Cell::Values(items) = cell { items } else { one.as_slice() };
            for item in items.iter().filter(|i| is_present(**i, doc)) {
                self.cast_failures += u64::from(!self.values.append(Some(*item), doc));
                end += 1;
            }
            lists.offsets.push(end);
            lists.valid.append(!matches!(cell, Cell::Null));
        } else {
            self.cast_failures += u64::from(!self.values.append(cell.single(), doc));
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
    fn new(column: &Column) -> Self {
        let cell = column.cell;
        match cell {
            CellType::Text => Self::Text(StringBuilder::new(), column.takes_json()),
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
        if let Self::Text(builder, with_json) = self {
            return append_text(builder, *with_json, item, doc);
        }
        let value = || item.and_then(|i| i.system(doc));
        let had = item.is_some_and(|i| is_present(i, doc));
        let held = match self {
            Self::Text(..) => return true, // handled above
            Self::Boolean(b) => {
                let value =
                    value().and_then(|v| if let Item::Boolean(x) = v { Some(x) } else { None });
                b.append_option(value);
                value.is_some()
            }
            Self::Int32(b) => {
                let value = value().and_then(whole).and_then(|n| i32::try_from(n).ok());
                b.append_option(value);
                value.is_some()
            }
            Self::Int64(b) => {
                let value = value().and_then(whole);
                b.append_option(value);
                value.is_some()
            }
            Self::Double(b) => {
                let value = item.filter(|_| had).and_then(|i| double(i, doc));
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
                let value = value().and_then(|v| date(v));
                b.append_option(value);
                value.is_some()
            }
            Self::Instant(b) => {
                let value = value().and_then(|v| {
                    if let Item::Temporal(t) = v { t.instant_micros() } else { None }
                });
                b.append_option(value);
                value.is_some()
            }
            Self::Timestamp(b) => {
                let value = value()
                    .and_then(|v| if let Item::Temporal(t) = v { t.wall_micros() } else { None });
                b.append_option(value);
                value.is_some()
            }
        };
        held || !had
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b, _) => {
                let array = b.finish();
                *b = with_room_for(&array);
                Arc::new(array)
            }
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

/// A builder for a batch like the last, and an eighth more: growing copies all there is, and leaves room unused.
fn with_room_for(last: &StringArray) -> StringBuilder {
    let more = |n: usize| n + n / 8;
    StringBuilder::with_capacity(more(last.len()), more(last.value_data().len()))
}

/// Whether there is a value, and not extensions only.
fn is_present(item: Item<'_>, doc: &Document<'_>) -> bool {
    !matches!(item, Item::Element(e) if !doc.present(e.at))
}

/// Text columns hold values as they were written; complex values only where the column's type is complex.
fn append_text<'a>(
    builder: &mut StringBuilder,
    with_json: WithJson,
    item: Option<Item<'a>>,
    doc: &Document<'a>,
) -> bool {
    match item {
        None => builder.append_null(),
        Some(Item::String(text)) => return push_text(builder, text),
        Some(Item::Element(e)) => return append_element(builder, with_json, e.at, doc),
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

fn append_element(
    builder: &mut StringBuilder,
    with_json: WithJson,
    at: u32,
    doc: &Document<'_>,
) -> bool {
    match doc.nodes.get(at as usize) {
        Some(Node::String(text)) => return push_text(builder, text),
        Some(Node::Static(StaticNode::Bool(b))) => {
            return push_text(builder, if *b { "true" } else { "false" });
        }
        None | Some(Node::Static(StaticNode::Null)) => builder.append_null(),
        Some(Node::Static(_)) => {
            return push_text(builder, doc.number_text(at).unwrap_or_default());
        }
        Some(Node::Object { .. } | Node::Array { .. }) if with_json => {
            let mut json = String::new();
            doc.json(at, &mut json);
            return push_text(builder, &json);
        }
        Some(Node::Object { .. } | Node::Array { .. }) => {
            builder.append_null();
            return false;
        }
    }
    true
}

/// Adds a text, or null where the batch would outgrow Arrow's 32-bit offsets: a long text in very many rows.
fn push_text(builder: &mut StringBuilder, text: &str) -> bool {
    let fits = i32::try_from(builder.values_slice().len() + text.len()).is_ok();
    builder.append_option(fits.then_some(text));
    fits
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

/// The nearest double. That of a JSON number is on the tape already.
fn double<'a>(item: Item<'a>, doc: &Document<'a>) -> Option<f64> {
    if let Item::Element(e) = item
        && let Some(Node::Static(node)) = doc.nodes.get(e.at as usize)
    {
        match *node {
            StaticNode::F64(value) => return Some(value),
            StaticNode::I64(value) => return Some(value as f64),
            _ => {}
        }
    }
    number_text(item, doc)?.parse().ok()
}

fn number_text<'a>(item: Item<'a>, doc: &Document<'a>) -> Option<std::borrow::Cow<'a, str>> {
    match item {
        Item::Element(e) => match doc.nodes.get(e.at as usize)? {
            Node::String(text) => Some((*text).into()),
            Node::Static(StaticNode::Bool(_)) | Node::Object { .. } | Node::Array { .. } => None,
            Node::Static(_) => doc.number_text(e.at).map(Into::into),
        },
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
