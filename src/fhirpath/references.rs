//! `getReferenceKey()`: references become keys, and those that cannot are counted (SQL on FHIR, "Joins with Resource
//! and Reference Keys").

use std::cell::Cell;

use super::eval::Context;
use super::value::{Collection, Element, Item};
use crate::fhir::{Target, Type, Unresolvable, relative_id};

/// Counts of references that gave no key: for each place where an expression asks for keys, by reason.
///
/// A reference to another type than the one asked for is not among them: to leave it out is what was asked.
#[derive(Debug, Default)]
pub struct Unresolved(Vec<[Cell<u64>; Unresolvable::ALL.len()]>);

impl Unresolved {
    /// Counters for so many places, all at zero.
    pub fn of(places: usize) -> Self {
        Self(std::iter::repeat_with(Default::default).take(places).collect())
    }

    /// The counts by place and reason (in the order of [`Unresolvable::ALL`]); they begin anew.
    pub fn take(&self) -> Vec<[u64; Unresolvable::ALL.len()]> {
        self.0.iter().map(|place| place.each_ref().map(Cell::take)).collect()
    }

    fn add(&self, place: usize, reason: Unresolvable) {
        if let Some(place) = self.0.get(place) {
            let count = &place[reason as usize];
            count.set(count.get() + 1);
        }
    }
}

/// The key of each Reference's target, as `getResourceKey()` gives it there.
pub(super) fn keys<'a>(
    references: Collection<'a>,
    wanted: Option<Type>,
    place: usize,
    cx: &Context<'a>,
) -> Collection<'a> {
    let mut keys = cx.list();
    for item in references {
        let Item::Element(element) = *item else { continue };
        keys.extend(key_of(element, wanted, place, cx).map(Item::String));
    }
    keys.into_bump_slice()
}

/// The key of one Reference's target; why there is none, is counted.
pub(super) fn key_of<'a>(
    reference: Element,
    wanted: Option<Type>,
    place: usize,
    cx: &Context<'a>,
) -> Option<&'a str> {
    let literal = cx.doc.child(reference.at, "reference").and_then(|r| cx.doc.text(r));
    match literal.map_or(Err(Unresolvable::NotLiteral), |r| id_of(r, wanted, cx)) {
        Ok(id) => id.map(|id| cx.key(id)),
        Err(reason) => {
            cx.unresolved.add(place, reason);
            None
        }
    }
}

/// The id that a literal reference names; nothing if it is of another type than wanted.
fn id_of<'a>(
    reference: &'a str,
    wanted: Option<Type>,
    cx: &Context<'a>,
) -> Result<Option<&'a str>, Unresolvable> {
    // The commonest case needs no look at the table of types.
    if let Some(id) = wanted.and_then(|of| relative_id(reference, of.name())) {
        return Ok(Some(id));
    }
    let (of, id) = match Target::of(reference, &cx.environment.bases) {
        Target::Resource { of, id } => (of, id),
        Target::Unresolvable(reason) => return Err(reason),
    };
    let of = Type::named(of).filter(|of| of.is_resource()).ok_or(Unresolvable::Malformed)?;
    Ok(wanted.is_none_or(|w| of.is_a(w)).then_some(id))
}
