//! `lowBoundary()` and `highBoundary()`: the least and the greatest value that a written one can mean, and
//! `precision()` (FHIRPath, "Utility Functions"; without an argument as SQL on FHIR's fn_boundary.json expects).

use rust_decimal::{Decimal, RoundingStrategy};

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated};
use crate::fhirpath::expr::System;
use crate::fhirpath::operators::value;
use crate::fhirpath::value::{Element, Item, QuantityRef};
use crate::temporal::Temporal;

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "lowBoundary",
        arity: 0..=1,
        scope: Scope::Outer,
        gives: Gives::Edge,
        call: |c| boundary(c, true),
    },
    Function {
        name: "highBoundary",
        arity: 0..=1,
        scope: Scope::Outer,
        gives: Gives::Edge,
        call: |c| boundary(c, false),
    },
    Function {
        name: "precision",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::System(System::Integer),
        call: precision,
    },
];

fn boundary<'a>(call: &Call<'a, '_>, low: bool) -> Evaluated<'a> {
    let Some(item) = call.single_input()? else { return Ok(&[]) };
    let digits = match call.arguments.len() {
        0 => None,
        _ => match call.argument_integer(0)? {
            None => return Ok(&[]),
            digits => digits,
        },
    };
    let edge = if let Some(moment) = period(item, call, low) {
        moment_edge(moment, low, digits)
    } else {
        match value_or_complex(item, call)? {
            Some(Item::Temporal(t)) => moment_edge(t, low, digits),
            Some(Item::Quantity(q)) => {
                number_edge(q.value, places(item, q.value, call), low, digits)
                    .map(|value| Item::Quantity(QuantityRef { value, ..q }))
            }
            Some(Item::Integer(n)) => {
                number_edge(n.into(), places(item, n.into(), call), low, digits).map(Item::Decimal)
            }
            Some(Item::Decimal(d)) => {
                number_edge(d, places(item, d, call), low, digits).map(Item::Decimal)
            }
            _ => None,
        }
    };
    Ok(edge.map_or(&[], |i| call.cx.one(i)))
}

/// Values of other types have no boundary, be they complex; only numbers that are too long are refused.
fn value_or_complex<'a>(item: Item<'a>, call: &Call<'a, '_>) -> Evaluated<'a, Option<Item<'a>>> {
    match item {
        Item::Element(_) if item.written_number(call.cx.doc).is_none() => {
            Ok(item.system(call.cx.doc))
        }
        _ => value(item, call.cx, call.span),
    }
}

fn moment_edge<'a>(moment: Temporal, low: bool, digits: Option<i64>) -> Option<Item<'a>> {
    match digits {
        None => Some(moment.boundary(low)),
        Some(digits) => moment.boundary_of_digits(low, digits),
    }
    .map(Item::Temporal)
}

/// Of a Period: its start or end (SQL on FHIR).
fn period<'a>(item: Item<'a>, call: &Call<'a, '_>, low: bool) -> Option<Temporal> {
    let Item::Element(Element { at, of: Some(of), .. }) = item else { return None };
    if of.name() != "Period" {
        return None;
    }
    let at = call.cx.doc.child(at, if low { "start" } else { "end" })?;
    Temporal::date_time(call.cx.doc.text(at)?)
}

/// Digits after the point, as written: `1.0E-3` has one in its mantissa, so its last place is 10^-4.
fn places<'a>(item: Item<'a>, value: Decimal, call: &Call<'a, '_>) -> Option<u32> {
    let Some((text, _)) = item.written_number(call.cx.doc) else { return Some(value.scale()) };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i64);
    u32::try_from(fraction.checked_sub(exponent)?.max(0)).ok()
}

/// Half a unit of the last place below or above, to so many digits after the point; `None` where it does not fit.
fn number_edge(
    value: Decimal,
    places: Option<u32>,
    low: bool,
    digits: Option<i64>,
) -> Option<Decimal> {
    let half = Decimal::try_new(5, places?.checked_add(1)?).ok()?;
    let edge = if low { value.checked_sub(half) } else { value.checked_add(half) }?;
    let Some(digits) = digits else { return Some(edge) };
    let digits = u32::try_from(digits).ok().filter(|d| *d <= Decimal::MAX_SCALE)?;
    let outward = if low {
        RoundingStrategy::ToNegativeInfinity
    } else {
        RoundingStrategy::ToPositiveInfinity
    };
    let mut cut = edge.round_dp_with_strategy(digits, outward);
    cut.rescale(digits);
    (cut.scale() == digits).then_some(cut)
}

fn precision<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some(item) = call.single_input()? else { return Ok(&[]) };
    let digits = match item.system(call.cx.doc) {
        Some(Item::Temporal(t)) => Some(t.digits()),
        Some(Item::Integer(n)) => places(item, n.into(), call).map(i64::from),
        Some(Item::Decimal(d)) => places(item, d, call).map(i64::from),
        // A number of too many digits to calculate with still has a precision.
        None if !matches!(item, Item::Element(e) if e.of.is_some_and(|t| !t.is_primitive())) => {
            item.written_number(call.cx.doc)
                .and_then(|_| places(item, Decimal::ZERO, call))
                .map(i64::from)
        }
        _ => None,
    };
    Ok(digits.map_or(&[], |n| call.cx.one(Item::Integer(n))))
}
