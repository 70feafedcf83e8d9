//! FHIRPath N1, section "Existence".

use super::{Function, Gives, Scope};
use crate::fhirpath::compare::equal;
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::expr::System;
use crate::fhirpath::operators::{distinct, holds};
use crate::fhirpath::value::Item;

const BOOLEAN: Gives = Gives::System(System::Boolean);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "exists", arity: 0..=1, scope: Scope::Each, gives: BOOLEAN, call: exists },
    Function { name: "empty", arity: 0..=0, scope: Scope::Outer, gives: BOOLEAN, call: empty },
    Function { name: "not", arity: 0..=0, scope: Scope::Outer, gives: BOOLEAN, call: not },
    Function { name: "all", arity: 1..=1, scope: Scope::Each, gives: BOOLEAN, call: all },
    Function { name: "allTrue", arity: 0..=0, scope: Scope::Outer, gives: BOOLEAN, call: all_true },
    Function { name: "anyTrue", arity: 0..=0, scope: Scope::Outer, gives: BOOLEAN, call: any_true },
    Function {
        name: "allFalse",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: all_false,
    },
    Function {
        name: "anyFalse",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: any_false,
    },
    Function {
        name: "subsetOf",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: subset_of,
    },
    Function {
        name: "supersetOf",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: superset_of,
    },
    Function {
        name: "count",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::System(System::Integer),
        call: count,
    },
    Function {
        name: "distinct",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::Input,
        call: distinct_items,
    },
    Function {
        name: "isDistinct",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: is_distinct,
    },
];

fn exists<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some(criterion) = call.arguments.first() else {
        return Ok(call.cx.boolean(Some(!call.input.is_empty())));
    };
    call.cx.room(0, call.span)?;
    for (i, item) in call.input.iter().enumerate() {
        if holds(criterion, *item, &call.indexed(i))? {
            return Ok(call.cx.boolean(Some(true)));
        }
    }
    Ok(call.cx.boolean(Some(false)))
}

fn empty<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(Some(call.input.is_empty())))
}

fn not<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(call.input_boolean()?.map(|b| !b)))
}

fn all<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    call.cx.room(0, call.span)?;
    for (i, item) in call.input.iter().enumerate() {
        if !holds(&call.arguments[0], *item, &call.indexed(i))? {
            return Ok(call.cx.boolean(Some(false)));
        }
    }
    Ok(call.cx.boolean(Some(true)))
}

fn booleans<'a>(call: &Call<'a, '_>) -> Evaluated<'a, Vec<bool>> {
    let value = |item: &Item<'a>| match item.system(call.cx.doc) {
        Some(Item::Boolean(b)) => Ok(b),
        _ => fail(call.span, "only booleans can be asked for truth"),
    };
    call.input.iter().map(value).collect()
}

fn all_true<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(Some(booleans(call)?.into_iter().all(|b| b))))
}

fn any_true<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(Some(booleans(call)?.into_iter().any(|b| b))))
}

fn all_false<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(Some(booleans(call)?.into_iter().all(|b| !b))))
}

fn any_false<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(Some(booleans(call)?.into_iter().any(|b| !b))))
}

fn is_within<'a>(part: &[Item<'a>], whole: &[Item<'a>], call: &Call<'a, '_>) -> bool {
    part.iter().all(|p| whole.iter().any(|w| equal(*p, *w, call.cx.doc) == Some(true)))
}

fn subset_of<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(Some(is_within(call.input, call.argument(0)?, call))))
}

fn superset_of<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.boolean(Some(is_within(call.argument(0)?, call.input, call))))
}

fn count<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.cx.one(Item::Integer(call.input.len() as i64)))
}

fn distinct_items<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(distinct(call.input.iter(), call.cx))
}

fn is_distinct<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let kept = distinct(call.input.iter(), call.cx).len();
    Ok(call.cx.boolean(Some(kept == call.input.len())))
}
