//! FHIRPath N1, section "Filtering and Projection".

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Context, Evaluated};
use crate::fhirpath::expr::Expr;
use crate::fhirpath::operators::holds;
use crate::fhirpath::value::{Item, equal};

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "where", arity: 1..=1, scope: Scope::Each, gives: Gives::Input, call: filter },
    Function { name: "select", arity: 1..=1, scope: Scope::Each, gives: Gives::Each, call: select },
    Function {
        name: "repeat",
        arity: 1..=1,
        scope: Scope::Descent,
        gives: Gives::Each,
        call: repeat,
    },
];

fn filter<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let mut kept = call.cx.list();
    for (i, item) in call.input.iter().enumerate() {
        if holds(&call.arguments[0], *item, &call.indexed(i))? {
            kept.push(*item);
        }
    }
    Ok(kept.into_bump_slice())
}

fn select<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let mut found = call.cx.list();
    for (i, item) in call.input.iter().enumerate() {
        found.extend_from_slice(call.arguments[0].eval(*item, &call.indexed(i))?);
    }
    Ok(found.into_bump_slice())
}

/// Every item is taken once, though it be found again.
fn repeat<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let mut found = call.cx.list();
    for item in call.input {
        descend(&call.arguments[0], *item, call.cx, &mut found)?;
    }
    Ok(found.into_bump_slice())
}

fn descend<'a>(
    path: &'a Expr,
    item: Item<'a>,
    cx: &Context<'a>,
    found: &mut bumpalo::collections::Vec<'a, Item<'a>>,
) -> Evaluated<'a, ()> {
    for next in path.eval(item, cx)? {
        if !found.iter().any(|f| equal(*f, *next, cx.doc) == Some(true)) {
            found.push(*next);
            descend(path, *next, cx, found)?;
        }
    }
    Ok(())
}
