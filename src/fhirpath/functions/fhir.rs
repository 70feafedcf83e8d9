//! What FHIR and SQL on FHIR add to FHIRPath: extensions, keys, references within the resource.

use super::{Function, Gives, Scope};
use crate::fhir::Type;
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::expr::System;
use crate::fhirpath::value::{Element, Item};

const KEY: Gives = Gives::System(System::String);

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "extension",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: Gives::Extensions,
        call: extension,
    },
    Function {
        name: "hasValue",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::System(System::Boolean),
        call: has_value,
    },
    Function {
        name: "getValue",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::One,
        call: get_value,
    },
    Function {
        name: "getResourceKey",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: KEY,
        call: resource_key,
    },
    Function {
        name: "resolve",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::Unknown,
        call: resolve,
    },
];

/// The extensions with that url; of a primitive, those beside it under `_name`.
fn extension<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some(url) = call.argument_text(0)? else { return Ok(&[]) };
    let doc = call.cx.doc;
    let mut found = call.cx.list();
    for item in call.input {
        let Item::Element(element) = item else { continue };
        let holder =
            if element.of.is_some_and(Type::is_primitive) { element.companion } else { element.at };
        let Some(list) = doc.child(holder, "extension") else { continue };
        for at in doc.elements(list) {
            if doc.child(at, "url").and_then(|u| doc.text(u)) == Some(url) {
                let of = Type::named("Extension");
                found.push(Item::Element(Element { at, companion: Element::ABSENT, of }));
            }
        }
    }
    Ok(found.into_bump_slice())
}

fn has_value<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let doc = call.cx.doc;
    let item = call.single_input()?;
    let has = item.is_some_and(|i| i.system(doc).is_some() || i.written_number(doc).is_some());
    Ok(call.cx.boolean(Some(has)))
}

fn get_value<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let doc = call.cx.doc;
    let found = call.single_input()?;
    // A number of more digits than a system value holds stays what it is.
    let value = found.and_then(|i| i.system(doc).or_else(|| i.written_number(doc).map(|_| i)));
    Ok(value.map_or(&[], |v| call.cx.one(v)))
}

/// The key of a resource is its id, behind the name of its source if that has one (SQL on FHIR, "getResourceKey()": opaque, but equal on both sides of a join).
fn resource_key<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let doc = call.cx.doc;
    match call.single_input()? {
        Some(Item::Element(e)) => {
            let id = doc.child(e.at, "id").and_then(|id| doc.text(id));
            Ok(id.map_or(&[], |id| call.cx.one(Item::String(call.cx.key(id)))))
        }
        None => Ok(&[]),
        Some(_) => fail(call.span, "only resources have a key"),
    }
}

/// The contained resource that a fragment (`#id`) refers to; `#` alone is the resource itself (FHIR R4, "Contained
/// Resources"). References out of the resource give nothing: joins
/// are made in SQL.
fn resolve<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let doc = call.cx.doc;
    let mut found = call.cx.list();
    for item in call.input {
        let reference = match item {
            Item::Element(e) => doc.text(e.at).or_else(|| doc.text(doc.child(e.at, "reference")?)),
            other => other.text(doc),
        };
        let Some(id) = reference.and_then(|r| r.strip_prefix('#')) else { continue };
        if id.is_empty() {
            found.push(Item::Element(doc.root_element(Some(call.cx.resource))));
        }
        let Some(contained) = doc.child(doc.root, "contained") else { continue };
        let matching = doc
            .elements(contained)
            .filter(|at| doc.child(*at, "id").and_then(|i| doc.text(i)) == Some(id));
        found.extend(matching.map(|at| {
            let of = doc.child(at, "resourceType").and_then(|t| doc.text(t)).and_then(Type::named);
            Item::Element(Element { at, companion: Element::ABSENT, of })
        }));
    }
    Ok(found.into_bump_slice())
}
