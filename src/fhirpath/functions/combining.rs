//! FHIRPath N1, section "Combining".

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated};
use crate::fhirpath::operators::distinct;

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "union", arity: 1..=1, scope: Scope::Outer, gives: Gives::Both, call: union },
    Function {
        name: "combine",
        arity: 1..=2,
        scope: Scope::Outer,
        gives: Gives::Both,
        call: combine,
    },
];

fn union<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let other = call.argument(0)?;
    Ok(distinct(call.input.iter().chain(other), call.cx))
}

/// Order is kept, whether the second argument asks for it or not.
fn combine<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    call.cx.room(0, call.span)?;
    let mut both = call.cx.list();
    both.extend_from_slice(call.input);
    both.extend_from_slice(call.argument(0)?);
    Ok(both.into_bump_slice())
}
