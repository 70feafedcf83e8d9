//! Values of the oracle and their equality (FHIRPath N1, "Equals"), over JSON trees.

use kiln::fhir::Type;

use super::decimals::Decimal;
use super::json::Json;

/// What an expression yields one of.
#[derive(Debug, Clone)]
pub(super) enum Value<'r> {
    Element(Element<'r>),
    Boolean(bool),
    /// Integer or Decimal, as written.
    Number(String),
    Text(String),
}

/// A node of the resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'r> {
    /// Its JSON; nothing for a primitive that has only extensions.
    pub(super) json: Option<&'r Json>,
    /// Of a primitive, what stands beside it under `_name`.
    pub(super) beside: Option<&'r Json>,
    pub(super) of: Type,
}

/// A value of a type of FHIRPath itself.
#[derive(Debug, PartialEq)]
enum System {
    Boolean(bool),
    Number(Decimal),
    Text(String),
    /// Year, month, day as far as they are given.
    Date(Vec<String>),
    Time(String),
    Quantity(Decimal, String),
}

impl<'r> Element<'r> {
    /// The type it has: of resources the one they name.
    pub(super) fn concrete(&self) -> Type {
        let named = self.json.and_then(|j| j.get_text("resourceType")).and_then(Type::named);
        match (self.of.name(), named) {
            ("Resource" | "DomainResource", Some(named)) => named,
            _ => self.of,
        }
    }

    /// The object that has its children.
    pub(super) fn holder(&self) -> Option<&'r Json> {
        if self.of.is_primitive() { self.beside } else { self.json }
    }

    /// The children of that name, whichever keys they stand under.
    pub(super) fn children(&self, name: &str) -> Vec<Self> {
        let (of, mut found) = (self.concrete(), Vec::new());
        let keys: Vec<_> = match (of.element(name), of.choice_key(name)) {
            (Some(element), _) => element.types.iter().map(|t| (element.key(*t), *t)).collect(),
            (None, Some((_, of))) => vec![(name.to_owned(), of)],
            (None, None) => Vec::new(),
        };
        for (key, of) in keys {
            let list = |key: &str| {
                self.holder().and_then(|h| h.get(key)).map(Json::elements).unwrap_or_default()
            };
            let values = list(&key);
            let beside = if of.is_primitive() { list(&format!("_{key}")) } else { Vec::new() };
            for i in 0..values.len().max(beside.len()) {
                let present =
                    |l: &[&'r Json]| l.get(i).copied().filter(|json| **json != Json::Null);
                let child = Self { json: present(&values), beside: present(&beside), of };
                found.extend((child.json.is_some() || child.beside.is_some()).then_some(child));
            }
        }
        found
    }
}

impl Value<'_> {
    /// Whether it is a boolean, and which.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.system() {
            Some(System::Boolean(b)) => Some(b),
            _ => None,
        }
    }

    /// The exact number that it is.
    pub(super) fn number(&self) -> Option<Decimal> {
        match self.system() {
            Some(System::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(super) fn is_complex(&self) -> bool {
        let json = if let Value::Element(element) = self { element.json } else { None };
        matches!(json, Some(Json::List(_) | Json::Object(_)))
    }

    /// The value as written: numbers with all their digits, complex values as JSON.
    pub(super) fn written(&self) -> Option<String> {
        Some(match self {
            Value::Boolean(b) => b.to_string(),
            Value::Number(text) | Value::Text(text) => text.clone(),
            Value::Element(element) => match element.json? {
                Json::Text(text) => text.clone(),
                json => json.compact(),
            },
        })
    }

    fn system(&self) -> Option<System> {
        let element = match self {
            Value::Boolean(b) => return Some(System::Boolean(*b)),
            Value::Number(text) => return Some(System::Number(Decimal::of(text))),
            Value::Text(text) => return Some(System::Text(text.clone())),
            Value::Element(element) => element,
        };
        Some(match element.json? {
            Json::Boolean(b) => System::Boolean(*b),
            Json::Number(text) => System::Number(Decimal::of(text)),
            Json::Text(text) => text_of_type(text, element.of.name()),
            quantity @ Json::Object(_) if element.of.is_a(Type::named("Quantity").unwrap()) => {
                let Some(Json::Number(value)) = quantity.get("value") else { return None };
                // `<5` is no number.
                if quantity.get("comparator").is_some() {
                    return None;
                }
                let unit = quantity.get_text("code").or_else(|| quantity.get_text("unit"));
                System::Quantity(Decimal::of(value), unit.unwrap_or("1").to_owned())
            }
            _ => return None,
        })
    }

    /// `None` is empty: partial dates, quantities of different units.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        match (self.system(), other.system()) {
            (Some(System::Date(a)), Some(System::Date(b))) => {
                let differ = a.iter().zip(&b).any(|(x, y)| x != y);
                if differ || a.len() == b.len() { Some(!differ) } else { None }
            }
            (Some(System::Quantity(a, x)), Some(System::Quantity(b, y))) => {
                (x == y).then_some(a == b)
            }
            // A number is a quantity of the unit `1`.
            (Some(System::Quantity(a, x)), Some(System::Number(b)))
            | (Some(System::Number(b)), Some(System::Quantity(a, x))) => {
                (x == "1").then_some(a == b)
            }
            (Some(a), Some(b)) => Some(a == b),
            _ => match (self, other) {
                (Value::Element(a), Value::Element(b)) if a.json.is_some() == b.json.is_some() => {
                    Some(
                        same_if_there(a.json, b.json)
                            && (a.json.is_some() || same_if_there(a.beside, b.beside)),
                    )
                }
                _ if self.lacks_value() || other.lacks_value() => None,
                _ => Some(false),
            },
        }
    }

    /// Whether it has only extensions, or is a Quantity without a number.
    fn lacks_value(&self) -> bool {
        let Value::Element(element) = self else { return false };
        let quantity = element.of.is_a(Type::named("Quantity").unwrap());
        element.json.is_none() || (quantity && self.system().is_none())
    }
}

fn text_of_type(text: &str, of: &str) -> System {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    match of {
        // The generated instants have years of their own: their dates decide.
        "date" | "dateTime" | "instant" if digits && !(of == "date" && text.contains('T')) => {
            if text.contains(':') && !text.contains('T') {
                return System::Text(text.to_owned());
            }
            System::Date(text.split('T').next().unwrap().split('-').map(str::to_owned).collect())
        }
        "time" if digits && text.contains(':') && !text.contains('T') => {
            System::Time(text.to_owned())
        }
        _ => System::Text(text.to_owned()),
    }
}

fn same_if_there(a: Option<&Json>, b: Option<&Json>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Objects with the same keys and equal values, in any order; lists element by element; numbers as numbers.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(x), Json::Object(y)) => {
            let within = |keys: &[(String, Json)], other: &Json| {
                keys.iter().all(|(key, _)| other.get(key).is_some())
            };
            within(x, b)
                && within(y, a)
                && x.iter().all(|(key, _)| same_if_there(a.get(key), b.get(key)))
        }
        (Json::List(x), Json::List(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Json::Number(x), Json::Number(y)) => Decimal::of(x) == Decimal::of(y),
        (a, b) => a == b,
    }
}
