//! FHIRPath N1, section "Filtering and Projection".

use super::{Function, Gives, Scope};
use crate::fhirpath::compare::equal;
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::operators::holds;
use crate::fhirpath::value::Item;

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "where", arity: 1..=1, scope: Scope::Each, gives: Gives::Input, call: filter },
    Function { name: "select", arity: 1..=1, scope: Scope::Each, gives: Gives::Each, call: select },
    Function {
        name: "repeat",
        arity: 1..=1,
        scope: Scope::Descent,
        gives: Gives::Descent,
        call: |c| repeat(c, false),
    },
    Function {
        name: "repeatAll",
        arity: 1..=1,
        scope: Scope::Descent,
        gives: Gives::Descent,
        call: |c| repeat(c, true),
    },
];

fn filter<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    call.cx.room(0, call.span)?;
    let mut kept = call.cx.list();
    for (i, item) in call.input.iter().enumerate() {
        if holds(&call.arguments[0], *item, &call.indexed(i))? {
            kept.push(*item);
        }
    }
    Ok(kept.into_bump_slice())
}

fn select<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    call.cx.room(0, call.span)?;
    let mut found = call.cx.list();
    for (i, item) in call.input.iter().enumerate() {
        found.extend_from_slice(call.arguments[0].eval(*item, &call.indexed(i))?);
    }
    Ok(found.into_bump_slice())
}

/// Depth first. Of items that are equal only the first is taken (`repeat`), or all are (`repeatAll`).
fn repeat<'a>(call: &Call<'a, '_>, all: bool) -> Evaluated<'a> {
    let path = &call.arguments[0];
    let most = call.cx.doc.nodes.len().max(FEWEST);
    let mut found = call.cx.list();
    let mut waiting = Vec::new();
    // What stands at the end is taken first.
    for item in call.input.iter().rev() {
        waiting.extend(path.eval(*item, call.cx)?.iter().rev().copied().map(|i| (i, 1)));
    }
    while let Some((item, depth)) = waiting.pop() {
        if !all && found.iter().any(|f| is_found(*f, item, call)) {
            continue;
        }
        if depth > DEEPEST || found.len() >= most {
            return fail(call.span, "`repeat` finds new values without end");
        }
        call.cx.room(0, call.span)?;
        found.push(item);
        let next = path.eval(item, call.cx)?;
        waiting.extend(next.iter().rev().copied().map(|i| (i, depth + 1)));
    }
    Ok(found.into_bump_slice())
}

/// An element is itself, though without all of its values it cannot be said to equal anything.
fn is_found<'a>(found: Item<'a>, item: Item<'a>, call: &Call<'a, '_>) -> bool {
    if let (Item::Element(a), Item::Element(b)) = (found, item)
        && a == b
    {
        return true;
    }
    equal(found, item, call.cx.doc) == Some(true)
}

/// Resources are not nested as deeply; what goes deeper calculates new values for ever.
const DEEPEST: u32 = 1000;

/// No more items are found than the resource has parts, or so many in a small one: they are compared with each other.
const FEWEST: usize = 256;
