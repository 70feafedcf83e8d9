//! `lowBoundary()` and `highBoundary()`: the least and the greatest value that a written one can mean
//! (FHIRPath 3.0 ballot, "Utility Functions"; expectations of SQL on FHIR's fn_boundary.json).

use rust_decimal::Decimal;

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated};
use crate::fhirpath::temporal::Temporal;
use crate::fhirpath::value::{Element, Item, QuantityRef, decimal};

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "lowBoundary",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::Edge,
        call: |c| boundary(c, true),
    },
    Function {
        name: "highBoundary",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::Edge,
        call: |c| boundary(c, false),
    },
];

fn boundary<'a>(call: &Call<'a, '_>, low: bool) -> Evaluated<'a> {
    let Some(item) = call.single_input()? else { return Ok(&[]) };
    let edge = match (item, item.system(call.cx.doc)) {
        (Item::Element(e), None) => return Ok(period(e, call, low).map_or(&[], |i| call.cx.one(i))),
        (Item::Element(e), Some(Item::Decimal(_) | Item::Integer(_))) => {
            // The written precision counts, exponent and all.
            call.cx.doc.number_text(e.at).and_then(|t| written(t, low)).map(Item::Decimal)
        }
        (_, Some(Item::Decimal(d))) => around(d, d.scale(), low).map(Item::Decimal),
        (_, Some(Item::Integer(n))) => around(n.into(), 0, low).map(Item::Decimal),
        (_, Some(Item::Temporal(t))) => Some(Item::Temporal(t.boundary(low))),
        (_, Some(Item::Quantity(q))) => around(q.value, q.value.scale(), low)
            .map(|value| Item::Quantity(QuantityRef { value, ..q })),
        _ => None,
    };
    Ok(edge.map_or(&[], |i| call.cx.one(i)))
}

/// Of a Period: the boundary of its start or end (SQL on FHIR).
fn period<'a>(element: Element, call: &Call<'a, '_>, low: bool) -> Option<Item<'a>> {
    if element.of?.name() != "Period" {
        return None;
    }
    let at = call.cx.doc.child(element.at, if low { "start" } else { "end" })?;
    let moment = Temporal::date_time(call.cx.doc.text(at)?)?;
    Some(Item::Temporal(moment.boundary(low)))
}

/// `1.0E-3` has one digit after the point of its mantissa, so its last place is 10^-4.
fn written(text: &str, low: bool) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let places =
        mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i64) - exponent;
    around(decimal(text)?, u32::try_from(places.max(0)).ok()?, low)
}

/// Half a unit of the last place below or above.
fn around(value: Decimal, places: u32, low: bool) -> Option<Decimal> {
    let half = Decimal::try_new(5, places + 1).ok()?;
    if low { value.checked_sub(half) } else { value.checked_add(half) }
}
