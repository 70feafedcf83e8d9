//! FHIRPath N1, section "Conversion".

use rust_decimal::prelude::ToPrimitive;

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated};
use crate::fhirpath::expr::System;
use crate::fhirpath::temporal::{Temporal, TemporalKind};
use crate::fhirpath::value::{Item, QuantityRef, as_decimal, decimal};

/// A row: the function, and its `convertsTo…` twin.
macro_rules! conversion {
    ($name:literal, $asks:literal, $system:ident, $convert:ident) => {
        [
            Function {
                name: $name,
                arity: 0..=0,
                scope: Scope::Outer,
                gives: Gives::System(System::$system),
                call: |call| call.converted($convert),
            },
            Function {
                name: $asks,
                arity: 0..=0,
                scope: Scope::Outer,
                gives: Gives::System(System::Boolean),
                call: |call| call.converts($convert),
            },
        ]
    };
}

static PAIRS: [[Function; 2]; 8] = [
    conversion!("toString", "convertsToString", String, to_string),
    conversion!("toInteger", "convertsToInteger", Integer, to_integer),
    conversion!("toDecimal", "convertsToDecimal", Decimal, to_decimal),
    conversion!("toBoolean", "convertsToBoolean", Boolean, to_boolean),
    conversion!("toDate", "convertsToDate", Date, to_date),
    conversion!("toDateTime", "convertsToDateTime", DateTime, to_date_time),
    conversion!("toTime", "convertsToTime", Time, to_time),
    conversion!("toQuantity", "convertsToQuantity", Quantity, to_quantity),
];

pub(super) static FUNCTIONS: &[Function] = PAIRS.as_flattened();

type Convert = for<'a, 'c> fn(Item<'a>, &Call<'a, 'c>) -> Option<Item<'a>>;

impl<'a> Call<'a, '_> {
    fn converted(&self, convert: Convert) -> Evaluated<'a> {
        let item = self.single_input()?.and_then(|i| convert(i, self));
        Ok(item.map_or(&[], |i| self.cx.one(i)))
    }

    fn converts(&self, convert: Convert) -> Evaluated<'a> {
        let item = self.single_input()?;
        Ok(self.cx.boolean(item.map(|i| convert(i, self).is_some())))
    }
}

fn to_string<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    let doc = call.cx.doc;
    if let Item::Element(e) = item {
        // As written: no digit or zone is lost on the way.
        if let Some(text) = doc.text(e.at).or_else(|| doc.number_text(e.at)) {
            return Some(Item::String(text));
        }
    }
    let text = match item.system(doc)? {
        Item::String(text) => return Some(Item::String(text)),
        Item::Boolean(b) => b.to_string(),
        Item::Integer(n) => n.to_string(),
        Item::Decimal(d) => d.to_string(),
        Item::Temporal(t) => t.to_string(),
        Item::Quantity(q) => format!("{} '{}'", q.value, q.unit),
        Item::Element(_) => return None,
    };
    Some(call.cx.string(&text))
}

fn to_integer<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    match item.system(call.cx.doc)? {
        Item::Integer(n) => Some(Item::Integer(n)),
        Item::Boolean(b) => Some(Item::Integer(i64::from(b))),
        Item::String(text) => text.parse().ok().map(Item::Integer),
        _ => None,
    }
}

fn to_decimal<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    match item.system(call.cx.doc)? {
        Item::Boolean(b) => Some(Item::Decimal(u8::from(b).into())),
        Item::String(text) => decimal(text).map(Item::Decimal),
        number => as_decimal(number).map(Item::Decimal),
    }
}

fn to_boolean<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    let value = match item.system(call.cx.doc)? {
        Item::Boolean(b) => Some(b),
        Item::Integer(n @ (0 | 1)) => Some(n == 1),
        Item::Decimal(d) => {
            d.to_i64().filter(|n| d.fract().is_zero() && matches!(n, 0 | 1)).map(|n| n == 1)
        }
        Item::String(text) => match text.to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    value.map(Item::Boolean)
}

fn to_date<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    let date = match item.system(call.cx.doc)? {
        Item::Temporal(t) if t.kind == TemporalKind::Date => Some(t),
        Item::Temporal(t) if t.kind == TemporalKind::DateTime => {
            Temporal::date(t.to_string().split('T').next()?)
        }
        Item::String(text) => Temporal::date(text.split('T').next()?),
        _ => None,
    };
    date.map(Item::Temporal)
}

fn to_date_time<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    let moment = match item.system(call.cx.doc)? {
        Item::Temporal(t) if t.kind != TemporalKind::Time => {
            Some(Temporal { kind: TemporalKind::DateTime, ..t })
        }
        Item::String(text) => Temporal::date_time(text),
        _ => None,
    };
    moment.map(Item::Temporal)
}

fn to_time<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    let time = match item.system(call.cx.doc)? {
        Item::Temporal(t) if t.kind == TemporalKind::Time => Some(t),
        Item::String(text) => Temporal::time(text.trim_start_matches('T')),
        _ => None,
    };
    time.map(Item::Temporal)
}

fn to_quantity<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<Item<'a>> {
    let quantity = match item.system(call.cx.doc)? {
        Item::Quantity(q) => q,
        Item::String(text) => {
            let (number, unit) = text.split_once(' ').unwrap_or((text, "1"));
            QuantityRef { value: decimal(number)?, unit: unit.trim_matches('\'') }
        }
        number => QuantityRef { value: as_decimal(number)?, unit: "1" },
    };
    Some(Item::Quantity(quantity))
}
