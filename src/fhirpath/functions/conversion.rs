//! FHIRPath N1, section "Conversion".

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Function, Gives, Scope};
use crate::fhirpath::compare::as_quantity;
use crate::fhirpath::eval::{Call, Evaluated};
use crate::fhirpath::expr::System;
use crate::fhirpath::operators::{single, value};
use crate::fhirpath::value::{Item, QuantityRef, as_decimal, decimal};
use crate::temporal::{Temporal, TemporalKind};
use crate::ucum;

/// A row: the function, and its `convertsTo…` twin.
macro_rules! conversion {
    ($name:literal, $asks:literal, $gives:expr, $convert:ident) => {
        [
            Function {
                name: $name,
                arity: 0..=0,
                scope: Scope::Outer,
                gives: $gives,
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
    conversion!("toString", "convertsToString", Gives::System(System::String), to_string),
    conversion!("toInteger", "convertsToInteger", Gives::System(System::Integer), to_integer),
    conversion!("toLong", "convertsToLong", Gives::System(System::Long), to_integer),
    conversion!("toDecimal", "convertsToDecimal", Gives::System(System::Decimal), to_decimal),
    conversion!("toBoolean", "convertsToBoolean", Gives::System(System::Boolean), to_boolean),
    conversion!("toDate", "convertsToDate", Gives::System(System::Date), to_date),
    conversion!("toDateTime", "convertsToDateTime", Gives::System(System::DateTime), to_date_time),
    conversion!("toTime", "convertsToTime", Gives::System(System::Time), to_time),
];

pub(super) static FUNCTIONS: &[Function] = PAIRS.as_flattened();

pub(super) static TO_QUANTITY: &[Function] = &[
    Function {
        name: "toQuantity",
        arity: 0..=1,
        scope: Scope::Outer,
        gives: Gives::System(System::Quantity),
        call: |call| {
            let Some(item) = call.convertible()? else { return Ok(&[]) };
            Ok(quantity(item, call)?.map_or(&[], |q| call.cx.one(Item::Quantity(q))))
        },
    },
    Function {
        name: "convertsToQuantity",
        arity: 0..=1,
        scope: Scope::Outer,
        gives: Gives::System(System::Boolean),
        call: |call| {
            let Some(item) = call.convertible()? else { return Ok(&[]) };
            Ok(call.cx.boolean(Some(quantity(item, call)?.is_some())))
        },
    },
    Function {
        name: "comparable",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: Gives::System(System::Boolean),
        call: comparable,
    },
];

type Convert = for<'a, 'c> fn(Item<'a>, &Call<'a, 'c>) -> Option<Item<'a>>;

impl<'a> Call<'a, '_> {
    fn converted(&self, convert: Convert) -> Evaluated<'a> {
        let found = self.convertible()?;
        let item = found.and_then(|i| convert(i, self));
        if let (Some(i), None) = (found, item)
            && i.written_number(self.cx.doc).is_some()
        {
            // Empty for a number that does not convert; an error for one that is too long to tell.
            value(i, self.cx, self.span)?;
        }
        Ok(item.map_or(&[], |i| self.cx.one(i)))
    }

    fn converts(&self, convert: Convert) -> Evaluated<'a> {
        let item = self.convertible()?;
        Ok(self.cx.boolean(item.map(|i| convert(i, self).is_some())))
    }

    /// The only item, if it has a value: of a primitive with nothing but extensions there is nothing to convert.
    fn convertible(&self) -> Evaluated<'a, Option<Item<'a>>> {
        let absent = |i: &Item<'_>| matches!(i, Item::Element(e) if !self.cx.doc.present(e.at));
        Ok(self.single_input()?.filter(|i| !absent(i)))
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
        Item::Quantity(q) => q.to_string(),
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
        Item::String(text) => number(text).map(Item::Decimal),
        number => as_decimal(number).map(Item::Decimal),
    }
}

/// A number as conversions take it: `(\\+|-)?\\d+(\\.\\d+)?`, without exponent.
fn number(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(whole) && digits(fraction) { decimal(text.trim_start_matches('+')) } else { None }
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
        Item::Temporal(t) if t.kind == TemporalKind::DateTime => Some(t.date_part()),
        Item::String(text) => Temporal::date(text),
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
        Item::String(text) => Temporal::time(text),
        _ => None,
    };
    time.map(Item::Temporal)
}

/// Whether the units of both sides can be converted into each other; empty if a side is no quantity.
fn comparable<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let quantity = |item: Item<'a>| item.system(call.cx.doc).and_then(as_quantity);
    let (Some(a), Some(b)) = (call.single_input()?, single(call.argument(0)?, call.span)?) else {
        return Ok(&[]);
    };
    let both = quantity(a).zip(quantity(b));
    Ok(call.cx.boolean(both.map(|(a, b)| ucum::comparable(a.unit, b.unit))))
}

/// In the unit of the argument, if there is one; a plain number just takes it.
fn quantity<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Evaluated<'a, Option<QuantityRef<'a>>> {
    let unit = if call.arguments.is_empty() { None } else { call.argument_text(0)? };
    let Some(q) = to_quantity(item, call) else {
        if item.written_number(call.cx.doc).is_some() {
            value(item, call.cx, call.span)?;
        }
        return Ok(None);
    };
    Ok(match unit {
        None => Some(q),
        Some(unit) if q.unit == "1" || q.unit == unit => Some(QuantityRef { unit, ..q }),
        Some(unit) => ucum::converted_roughly(q, unit).map(|value| QuantityRef { value, unit }),
    })
}

fn to_quantity<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Option<QuantityRef<'a>> {
    match item.system(call.cx.doc)? {
        Item::Quantity(q) => Some(q),
        Item::String(text) => written_quantity(text),
        Item::Boolean(b) => {
            Some(QuantityRef { value: Decimal::new(i64::from(b) * 10, 1), unit: "1" })
        }
        number => Some(QuantityRef { value: as_decimal(number)?, unit: "1" }),
    }
}

/// A number, and perhaps a unit in quotes or a calendar word.
fn written_quantity(text: &str) -> Option<QuantityRef<'_>> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let quoted = rest.strip_prefix('\'').and_then(|r| r.strip_suffix('\''));
    let unit = match quoted {
        Some(unit) => Some(unit).filter(|u| !u.is_empty() && !u.contains('\'')),
        None if rest.is_empty() => Some("1"),
        None => ucum::calendar(rest),
    };
    Some(QuantityRef { value: number(digits)?, unit: unit? })
}
