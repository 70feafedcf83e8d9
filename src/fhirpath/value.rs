//! What an expression yields: elements of the resource, as they lie on the tape, and computed system values.

use rust_decimal::Decimal;
use simd_json::{Node, StaticNode};

use super::document::Document;
use crate::fhir::Type;
use crate::temporal::Temporal;
pub use crate::ucum::QuantityRef;

/// Zero or more values in order: FHIRPath's only kind of value. Lives in the arena of the resource's evaluation.
pub type Collection<'a> = &'a [Item<'a>];

/// One value.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A node of the resource, with its FHIR type.
    Element(Element),
    /// System.Boolean
    Boolean(bool),
    /// System.Integer, and Long
    Integer(i64),
    /// System.Decimal, with its scale
    Decimal(Decimal),
    /// System.String
    String(&'a str),
    /// System.Date, DateTime and Time
    Temporal(Temporal),
    /// System.Quantity
    Quantity(QuantityRef<'a>),
}

/// A node of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// Index of the value's node on the tape; [`Element::ABSENT`] for a primitive that has only extensions.
    pub at: u32,
    /// Index of the object that holds the primitive's `id` and extensions (the value of `_name`), if it was looked up.
    pub companion: u32,
    /// Its FHIR type; `None` where the definitions do not say.
    pub of: Option<Type>,
}

impl Element {
    /// No node.
    pub const ABSENT: u32 = u32::MAX;
    /// An element that has nothing.
    pub const NONE: Self = Self { at: Self::ABSENT, companion: Self::ABSENT, of: None };
}

/// A quantity in an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    /// The number.
    pub value: Decimal,
    /// A UCUM code, or a calendar word such as `day`.
    pub unit: Box<str>,
}

/// A value written in an expression, or given by a constant of the view.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `true`
    Boolean(bool),
    /// `1`
    Integer(i64),
    /// `1.0`
    Decimal(Decimal),
    /// `'text'`
    String(Box<str>),
    /// `@2020-05-17`
    Temporal(Temporal),
    /// `4 days`
    Quantity(Quantity),
}

impl Literal {
    /// The same value within an evaluation.
    pub fn item(&self) -> Item<'_> {
        match self {
            Self::Boolean(b) => Item::Boolean(*b),
            Self::Integer(n) => Item::Integer(*n),
            Self::Decimal(d) => Item::Decimal(*d),
            Self::String(s) => Item::String(s),
            Self::Temporal(t) => Item::Temporal(*t),
            Self::Quantity(q) => Item::Quantity(QuantityRef { value: q.value, unit: &q.unit }),
        }
    }
}

/// A decimal with its scale, exact to 28 digits; `None` beyond.
pub fn decimal(text: &str) -> Option<Decimal> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return Decimal::from_str_exact(text).ok();
    };
    let (mantissa, exponent) = (Decimal::from_str_exact(mantissa).ok()?, exponent.parse::<i64>());
    let digits = i64::from(mantissa.scale()).checked_sub(exponent.ok()?)?;
    let raised = 10i128.checked_pow(u32::try_from(-digits.min(0)).ok()?)?;
    let scale = u32::try_from(digits.max(0)).ok()?;
    Decimal::try_from_i128_with_scale(mantissa.mantissa().checked_mul(raised)?, scale).ok()
}

impl<'a> Item<'a> {
    /// The system value behind a primitive element or a Quantity; other items are themselves. `None` for complex
    /// elements and for primitives without a (valid) value.
    pub fn system(self, doc: &Document<'a>) -> Option<Self> {
        let Self::Element(element) = self else { return Some(self) };
        match *doc.nodes.get(element.at as usize)? {
            Node::String(text) => Some(typed_text(text, element.of)),
            Node::Static(StaticNode::Bool(b)) => Some(Self::Boolean(b)),
            Node::Static(StaticNode::I64(n)) if !is_decimal(element.of) => Some(Self::Integer(n)),
            Node::Static(StaticNode::Null) => None,
            Node::Static(_) => doc.number_text(element.at).and_then(|t| number(t, element.of)),
            Node::Object { .. } if element.of.is_some_and(is_quantity) => {
                doc.quantity(element.at).map(Self::Quantity)
            }
            Node::Object { .. } | Node::Array { .. } => None,
        }
    }

    /// The number of an element as written, and its unit (1 for plain numbers): also of numbers with more digits than
    /// a system value can hold. Not of Quantities with a comparator: `<5` is no number.
    pub(super) fn written_number(self, doc: &Document<'a>) -> Option<(&'a str, &'a str)> {
        let Self::Element(element) = self else { return None };
        match *doc.nodes.get(element.at as usize)? {
            Node::Object { .. } if element.of.is_some_and(is_quantity) => {
                doc.written_quantity(element.at)
            }
            Node::Static(StaticNode::Null | StaticNode::Bool(_)) => None,
            Node::Static(_) => doc.number_text(element.at).map(|text| (text, "1")),
            _ => None,
        }
    }

    /// The text of a string-like value; not of numbers, booleans or dates.
    pub fn text(self, doc: &Document<'a>) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            Self::Element(e) => doc.text(e.at),
            _ => None,
        }
    }
}

fn is_decimal(of: Option<Type>) -> bool {
    of.is_some_and(|t| t.name() == "decimal")
}

/// Quantity and its specialisations (Age, Count, Distance, Duration).
pub(super) fn is_quantity(of: Type) -> bool {
    of.name() == "Quantity" || of.parent().is_some_and(is_quantity)
}

fn typed_text(text: &str, of: Option<Type>) -> Item<'_> {
    let temporal = match of.map(Type::name) {
        Some("date") => Temporal::date(text),
        Some("dateTime" | "instant") => Temporal::date_time(text),
        Some("time") => Temporal::time(text),
        // R5 writes integer64 as a JSON string.
        Some("integer64") => return text.parse().map_or(Item::String(text), Item::Integer),
        _ => None,
    };
    temporal.map_or(Item::String(text), Item::Temporal)
}

fn number<'a>(text: &str, of: Option<Type>) -> Option<Item<'a>> {
    let whole = if is_decimal(of) { None } else { text.parse().ok() };
    whole.map(Item::Integer).or_else(|| decimal(text).map(Item::Decimal))
}

pub(super) fn is_temporal(of: Type) -> bool {
    matches!(of.name(), "date" | "dateTime" | "instant" | "time")
}

/// The number in an Integer or Decimal.
pub(super) fn as_decimal(item: Item<'_>) -> Option<Decimal> {
    match item {
        Item::Integer(n) => Some(n.into()),
        Item::Decimal(d) => Some(d),
        _ => None,
    }
}
