//! FHIRPath N1, section "Utility Functions", `aggregate`, `coalesce`, and `iif` of "Conversion".

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Context, Evaluated};
use crate::fhirpath::expr::System;
use crate::fhirpath::value::{Element, Item};

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "iif", arity: 2..=3, scope: Scope::Each, gives: Gives::Branches, call: iif },
    Function {
        name: "now",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::System(System::DateTime),
        call: now,
    },
    Function {
        name: "today",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::System(System::Date),
        call: today,
    },
    Function {
        name: "timeOfDay",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::System(System::Time),
        call: time_of_day,
    },
    Function {
        name: "coalesce",
        arity: 1..=64,
        scope: Scope::Outer,
        gives: Gives::Any,
        call: coalesce,
    },
    // Logs would carry what resources say, so nothing is written.
    Function {
        name: "trace",
        arity: 1..=2,
        scope: Scope::Each,
        gives: Gives::Input,
        call: |c| Ok(c.input),
    },
    Function {
        name: "aggregate",
        arity: 1..=2,
        scope: Scope::Total,
        gives: Gives::Unknown,
        call: aggregate,
    },
];

/// Only the branch that is chosen is evaluated.
fn iif<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    // In `x.iif(…)` the branches see `x`, or nothing; in a bare `iif(…)` the input is the focus itself.
    let focus = call.single_input()?.unwrap_or(Item::Element(Element::NONE));
    let chosen = if call.arguments[0].condition(focus, call.cx)? == Some(true) { 1 } else { 2 };
    call.arguments.get(chosen).map_or(Ok(&[]), |branch| branch.eval(focus, call.cx))
}

fn now<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.one(Item::Temporal(call.cx.environment.now)))
}

fn today<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.one(Item::Temporal(call.cx.environment.now.date_part())))
}

fn time_of_day<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.environment.now.time_part().map_or(&[], |t| call.cx.one(Item::Temporal(t))))
}

/// The first argument that gives anything; those behind it are not evaluated.
fn coalesce<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    for i in 0..call.arguments.len() {
        let found = call.argument(i)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(&[])
}

fn aggregate<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let mut total = if call.arguments.len() > 1 { call.argument(1)? } else { &[] };
    for (i, item) in call.input.iter().enumerate() {
        call.cx.room(0, call.span)?;
        let cx = Context { total, ..call.indexed(i) };
        total = call.arguments[0].eval(*item, &cx)?;
    }
    Ok(total)
}
