//! FHIRPath, section "Aggregates": `sum min max avg`.

use std::cmp::Ordering;
use std::mem::discriminant;

use rust_decimal::Decimal;

use super::{Function, Gives, Scope};
use crate::fhirpath::compare::compare;
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::expr::Operator;
use crate::fhirpath::operators::{combine, value};
use crate::fhirpath::value::Item;

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "sum", arity: 0..=0, scope: Scope::Outer, gives: Gives::One, call: sum },
    Function {
        name: "min",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::One,
        call: |c| extreme(c, Ordering::Less),
    },
    Function {
        name: "max",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::One,
        call: |c| extreme(c, Ordering::Greater),
    },
    Function { name: "avg", arity: 0..=0, scope: Scope::Outer, gives: Gives::Edge, call: avg },
];

/// The sum of numbers or quantities of one type; empty where there are none, or it does not fit.
fn total<'a>(call: &Call<'a, '_>) -> Evaluated<'a, Option<Item<'a>>> {
    let Some((first, rest)) = call.input.split_first() else { return Ok(None) };
    let Some(mut total) = value(*first, call.cx, call.span)? else { return Ok(None) };
    if !matches!(total, Item::Integer(_) | Item::Decimal(_) | Item::Quantity(_)) {
        return fail(call.span, "only numbers and quantities have a sum");
    }
    for item in rest {
        let Some(next) = value(*item, call.cx, call.span)? else { return Ok(None) };
        if discriminant(&next) != discriminant(&total) {
            return fail(call.span, "the values must all be of one type");
        }
        match combine(Operator::Plus, total, next, call.cx, call.span)? {
            Some(sum) => total = sum,
            None => return Ok(None),
        }
    }
    Ok(Some(total))
}

fn sum<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(total(call)?.map_or(&[], |sum| call.cx.one(sum)))
}

fn avg<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some(sum) = total(call)? else { return Ok(&[]) };
    let count = Item::Decimal(Decimal::from(call.input.len()));
    let mean = combine(Operator::Divide, sum, count, call.cx, call.span)?;
    Ok(mean.map_or(&[], |mean| call.cx.one(mean)))
}

/// The least or greatest item, as it is; empty where two cannot be compared.
fn extreme<'a>(call: &Call<'a, '_>, wanted: Ordering) -> Evaluated<'a> {
    let Some((first, rest)) = call.input.split_first() else { return Ok(&[]) };
    let mut best = first;
    for item in rest {
        match compare(*item, *best, call.cx.doc) {
            Ok(Some(order)) if order == wanted => best = item,
            Ok(Some(_)) => {}
            Ok(None) => return Ok(&[]),
            Err(why) => return fail(call.span, why),
        }
    }
    Ok(std::slice::from_ref(best))
}
