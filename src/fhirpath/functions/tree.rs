//! FHIRPath, section "Tree navigation".

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated};
use crate::fhirpath::value::Item;
use crate::fhirpath::walk;

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "children",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::Unknown,
        call: children,
    },
    Function {
        name: "descendants",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::Unknown,
        call: descendants,
    },
];

fn children<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let mut found = call.cx.list();
    for item in call.input {
        found.extend(walk::all_children(*item, call.cx));
    }
    Ok(found.into_bump_slice())
}

/// In the order of the text: a child, what is in it, the next child.
fn descendants<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let mut found = call.cx.list();
    let mut waiting: Vec<Item<'a>> = Vec::new();
    for item in call.input {
        waiting.extend(walk::all_children(*item, call.cx).iter().rev());
        while let Some(next) = waiting.pop() {
            found.push(next);
            waiting.extend(walk::all_children(next, call.cx).iter().rev());
        }
    }
    Ok(found.into_bump_slice())
}
