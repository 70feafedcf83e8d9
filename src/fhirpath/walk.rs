//! The way from an element to those that the names of a path lead to, on the tape.

use super::document::Document;
use super::eval::{Context, Evaluated};
use super::expr::{Expr, ExprKind, Key, Step};
use super::value::{Collection, Element, Item};
use crate::fhir::Type;

/// Takes a value; tells whether more are wanted.
pub(super) type Take<'t, 'a> = &'t mut dyn FnMut(Item<'a>) -> bool;

/// The values at the end of a path.
pub(super) fn path<'a>(
    input: &'a Expr,
    steps: &'a [Step],
    first: bool,
    this: Item<'a>,
    cx: &Context<'a>,
) -> Evaluated<'a> {
    let mut items = cx.list();
    visit(input, steps, this, cx, &mut |item| {
        items.push(item);
        !first
    })?;
    Ok(items.into_bump_slice())
}

/// Hands out the values at the end of a path one by one.
pub(super) fn visit<'a>(
    input: &'a Expr,
    steps: &'a [Step],
    this: Item<'a>,
    cx: &Context<'a>,
    take: Take<'_, 'a>,
) -> Evaluated<'a, ()> {
    if let ExprKind::This = input.kind {
        walk(this, steps, cx.doc, take);
    } else {
        input.eval(this, cx)?.iter().all(|item| walk(*item, steps, cx.doc, take));
    }
    Ok(())
}

/// Follows the names from one item, depth first; tells whether more values are wanted.
fn walk<'a>(item: Item<'a>, steps: &'a [Step], doc: &Document<'a>, take: Take<'_, 'a>) -> bool {
    let Some((step, rest)) = steps.split_first() else { return take(item) };
    let Item::Element(element) = item else { return true };
    let Some(of) = element.of.map(|of| concrete(of, element.at, doc)) else { return true };
    match step.route(of) {
        Some(route) => route.keys.iter().all(|key| children(element, key, rest, doc, take)),
        None => dynamic(element, of, step, rest, doc, take),
    }
}

/// Whether only the resource tells the type.
pub(super) fn is_abstract(of: Type) -> bool {
    matches!(of.name(), "Resource" | "DomainResource")
}

/// Abstract types (`contained`, entries of Bundles) become what the resource says it is.
pub(super) fn concrete(of: Type, at: u32, doc: &Document<'_>) -> Type {
    if !is_abstract(of) {
        return of;
    }
    let named = doc.child(at, "resourceType").and_then(|t| doc.text(t)).and_then(Type::named);
    named.unwrap_or(of)
}

/// A type that the resolver did not foresee: bound here, as the resolver would.
fn dynamic<'a>(
    element: Element,
    of: Type,
    step: &Step,
    rest: &'a [Step],
    doc: &Document<'a>,
    take: Take<'_, 'a>,
) -> bool {
    let (declared, types) = match (of.element(&step.name), of.choice_key(&step.name)) {
        (Some(declared), _) => (declared, declared.types.as_slice()),
        (None, Some((declared, of))) => {
            let at = declared.types.iter().position(|t| *t == of).unwrap_or_default();
            (declared, &declared.types[at..=at])
        }
        (None, None) => return true,
    };
    types.iter().all(|of| {
        let key = Key { name: declared.key(*of).into(), of: *of, primitive: of.is_primitive() };
        children(element, &key, rest, doc, take)
    })
}

/// The values of one JSON key, and of `_key` beside it if they are primitives.
fn children<'a>(
    parent: Element,
    key: &Key,
    rest: &'a [Step],
    doc: &Document<'a>,
    take: Take<'_, 'a>,
) -> bool {
    let holder =
        if parent.of.is_some_and(Type::is_primitive) { parent.companion } else { parent.at };
    let (mut value, mut companion) = (Element::ABSENT, Element::ABSENT);
    for (name, at) in doc.entries(holder) {
        if name == &*key.name {
            value = at;
        } else if key.primitive && name.strip_prefix('_') == Some(&key.name) {
            companion = at;
        }
    }
    if companion != Element::ABSENT {
        return with_companions(value, companion, key.of, rest, doc, take);
    }
    doc.elements(value).filter(|at| doc.present(*at)).all(|at| {
        let element = Element { at, companion, of: Some(key.of) };
        walk(Item::Element(element), rest, doc, take)
    })
}

/// All elements that an item has, with their types, in the order of the text.
pub(super) fn all_children<'a>(item: Item<'a>, cx: &Context<'a>) -> Collection<'a> {
    let mut found = cx.list();
    let Item::Element(parent) = item else { return &[] };
    let Some(of) = parent.of.map(|of| concrete(of, parent.at, cx.doc)) else { return &[] };
    let holder = if of.is_primitive() { parent.companion } else { parent.at };
    for (name, at) in cx.doc.entries(holder) {
        // Of duplicate keys the last counts.
        if cx.doc.child(holder, name) != Some(at) {
            continue;
        }
        let plain = name.strip_prefix('_').unwrap_or(name);
        // `_name` beside `name` is no child of its own.
        if plain.len() < name.len() && cx.doc.child(holder, plain).is_some() {
            continue;
        }
        let Some((_, of)) = of.at_key(plain) else { continue };
        let key = Key { name: plain.into(), of, primitive: of.is_primitive() };
        children(parent, &key, &[], cx.doc, &mut |item| {
            found.push(item);
            true
        });
    }
    found.into_bump_slice()
}

/// Primitives and their extensions, which stand side by side; one of the two may be null or missing.
fn with_companions<'a>(
    value: u32,
    companion: u32,
    of: Type,
    rest: &'a [Step],
    doc: &Document<'a>,
    take: Take<'_, 'a>,
) -> bool {
    let (mut values, mut companions) = (doc.elements(value), doc.elements(companion));
    loop {
        let (at, beside) = (values.next(), companions.next());
        if at.is_none() && beside.is_none() {
            return true;
        }
        let present = |at: Option<u32>| at.filter(|at| doc.present(*at)).unwrap_or(Element::ABSENT);
        let element = Element { at: present(at), companion: present(beside), of: Some(of) };
        let is_there = element.at != Element::ABSENT || element.companion != Element::ABSENT;
        if is_there && !walk(Item::Element(element), rest, doc, take) {
            return false;
        }
    }
}
