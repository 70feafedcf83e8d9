//! FHIRPath N1, sections "Utility Functions" and "Aggregates", and `iif` of "Conversion".

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Context, Evaluated};
use crate::fhirpath::expr::System;
use crate::fhirpath::temporal::{Precision, Temporal, TemporalKind};
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
        name: "aggregate",
        arity: 1..=2,
        scope: Scope::Each,
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
    let now = call.cx.environment.now;
    let day = Temporal {
        kind: TemporalKind::Date,
        precision: Precision::Day,
        fields: [now.fields[0], now.fields[1], now.fields[2], 0, 0, 0],
        nanos: 0,
        fraction_digits: 0,
        offset: None,
    };
    Ok(call.cx.one(Item::Temporal(day)))
}

fn aggregate<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let mut total = if call.arguments.len() > 1 { call.argument(1)? } else { &[] };
    for (i, item) in call.input.iter().enumerate() {
        let cx = Context { total, ..call.indexed(i) };
        total = call.arguments[0].eval(*item, &cx)?;
    }
    Ok(total)
}
