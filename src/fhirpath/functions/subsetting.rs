//! FHIRPath N1, section "Subsetting".

use super::{Function, Gives, Scope};
use crate::fhirpath::compare::equal;
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::value::Collection;

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "first", arity: 0..=0, scope: Scope::Outer, gives: Gives::One, call: first },
    Function { name: "last", arity: 0..=0, scope: Scope::Outer, gives: Gives::One, call: last },
    Function { name: "single", arity: 0..=0, scope: Scope::Outer, gives: Gives::One, call: single },
    Function { name: "tail", arity: 0..=0, scope: Scope::Outer, gives: Gives::Input, call: tail },
    Function { name: "skip", arity: 1..=1, scope: Scope::Outer, gives: Gives::Input, call: skip },
    Function { name: "take", arity: 1..=1, scope: Scope::Outer, gives: Gives::Input, call: take },
    Function {
        name: "intersect",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: Gives::Input,
        call: intersect,
    },
    Function {
        name: "exclude",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: Gives::Input,
        call: exclude,
    },
];

fn first<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(&call.input[..call.input.len().min(1)])
}

fn last<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(&call.input[call.input.len().saturating_sub(1)..])
}

fn single<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    if call.input.len() > 1 {
        fail(call.span, "`single()` found several values")
    } else {
        Ok(call.input)
    }
}

fn tail<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.input.get(1..).unwrap_or_default())
}

/// A number of items; less than none is none. Empty without a number.
fn length<'a>(call: &Call<'a, '_>) -> Evaluated<'a, Option<usize>> {
    let number = call.argument_integer(0)?;
    Ok(number.map(|n| n.clamp(0, call.input.len() as i64) as usize))
}

fn skip<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(length(call)?.map_or(&[], |n| &call.input[n..]))
}

fn take<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(length(call)?.map_or(&[], |n| &call.input[..n]))
}

fn kept<'a>(call: &Call<'a, '_>, list: Collection<'a>, wanted: bool) -> Collection<'a> {
    let mut kept = call.cx.list();
    let within = |item| list.iter().any(|l| equal(item, *l, call.cx.doc) == Some(true));
    kept.extend(call.input.iter().copied().filter(|i| within(*i) == wanted));
    kept.into_bump_slice()
}

fn intersect<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let both = kept(call, call.argument(0)?, true);
    Ok(crate::fhirpath::operators::distinct(both.iter(), call.cx))
}

fn exclude<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(kept(call, call.argument(0)?, false))
}
