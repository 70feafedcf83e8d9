//! Names in a path: bound to the JSON keys that stand for them, on every type that the path can have reached.

use std::ops::Range;

use super::SyntaxError;
use super::expr::{Expr, ExprKind, Key, Kind, Route, Static, Step};
use super::resolve::{Resolved, Resolver};
use super::typing::json_key;
use crate::fhir::{self, Type};
use crate::suggest;

impl Resolver<'_> {
    /// Appends a name to a path, or begins one.
    pub(super) fn step_onto(&self, input: Expr, name: &str, span: Range<usize>) -> Resolved {
        let (step, gives) = self.step(&input.gives, name, &name_span(&input, name, &span))?;
        if let ExprKind::Path { input, mut steps, first: false } = input.kind {
            steps.push(step);
            return Ok(Expr { kind: ExprKind::Path { input, steps, first: false }, span, gives });
        }
        let steps = vec![step];
        Ok(Expr {
            kind: ExprKind::Path { input: Box::new(input), steps, first: false },
            span,
            gives,
        })
    }

    /// Binds a name on all the types that the input can have.
    fn step(&self, input: &Static, name: &str, span: &Range<usize>) -> Resolved<(Step, Static)> {
        let mut routes = Vec::new();
        let mut gives = Static { kinds: Vec::new(), many: input.many };
        for from in input.kinds.iter().filter_map(|k| fhir_type(*k)) {
            let Some((element, keys)) = route(from, name) else { continue };
            if element.name != name {
                self.note(json_key(element, name, span.clone()));
            }
            gives.many |= element.many;
            gives.kinds.extend(keys.iter().map(|k| Kind::Fhir(k.of)));
            routes.push(Route { from, keys });
        }
        gives.kinds.dedup();
        if routes.is_empty() {
            gives.many = true;
            if !may_be_anything(input) {
                self.doubt(name, unknown_element(input, name, span.clone()))?;
            }
        }
        Ok((Step { name: name.into(), routes, open: may_be_anything(input) }, gives))
    }

    /// A name that is nearly another is a slip of the pen. One that is like nothing here may come from another
    /// version of FHIR: it gives nothing, as the official suite expects ("empty expression"), and is noted.
    fn doubt(&self, name: &str, error: SyntaxError) -> Resolved<()> {
        if error.hint.is_some() {
            return Err(error);
        }
        // Within an iteration or a criterion, names are those of the item, not of the resource.
        let hint = if self.resource.element(name).is_some() {
            format!("it gives nothing; that of the resource is `%resource.{name}`")
        } else {
            "R4 does not have it, so it gives nothing".to_owned()
        };
        self.note(error.hint(hint));
        Ok(())
    }

    /// Notes what works, though hardly as meant; each thing once.
    pub(super) fn note(&self, doubt: SyntaxError) {
        let mut doubts = self.doubts.borrow_mut();
        if !doubts.contains(&doubt) {
            doubts.push(doubt);
        }
    }
}

/// Resources of any type (`contained`) can have elements that their declared type has not.
fn may_be_anything(input: &Static) -> bool {
    input.kinds.is_empty()
        || input.kinds.iter().any(|k| {
            matches!(k.name(), "Resource" | "DomainResource" | "Element" | "BackboneElement")
        })
}

/// System types navigate as the FHIR types they came from; only Quantity has elements.
fn fhir_type(kind: Kind) -> Option<Type> {
    match kind {
        Kind::Fhir(of) => Some(of),
        Kind::System(_) => None,
    }
}

fn route(from: Type, name: &str) -> Option<(&'static fhir::Element, Vec<Key>)> {
    let key = |element: &fhir::Element, of: Type| Key {
        name: element.key(of).into(),
        of,
        primitive: of.is_primitive(),
    };
    if let Some(element) = from.element(name) {
        return Some((element, element.types.iter().map(|of| key(element, *of)).collect()));
    }
    // `valueQuantity` is no FHIRPath, yet every engine takes it: so do we.
    let (element, of) = from.choice_key(name)?;
    Some((element, vec![key(element, of)]))
}

/// Keeps of a path's last name the keys whose type is wanted: `value.ofType(Quantity)` is `valueQuantity`, and where
/// there is a `valueAge`, that too.
pub(super) fn narrow(input: Expr, of: Type, span: Range<usize>, gives: Static) -> Resolved {
    let Expr { kind: ExprKind::Path { input: base, mut steps, first }, span: inner, gives: had } =
        input
    else {
        return Ok(input);
    };
    let choice = steps.last().is_some_and(|s| s.routes.iter().any(|r| r.keys.len() > 1));
    let last = steps.last_mut().filter(|s| choice && !first && !s.open);
    let Some(last) = last else {
        let path =
            Expr { kind: ExprKind::Path { input: base, steps, first }, span: inner, gives: had };
        let wanted = Kind::Fhir(of);
        return Ok(Expr {
            kind: ExprKind::OfType { input: Box::new(path), wanted, single: false },
            span,
            gives,
        });
    };
    for route in &mut last.routes {
        route.keys.retain(|k| k.of == of || (!k.primitive && k.of.is_a(of)));
    }
    // A route without keys stays: it says that this type gives nothing.
    if last.routes.iter().all(|r| r.keys.is_empty()) {
        let types: Vec<_> = had.kinds.iter().map(|k| k.name()).collect();
        let message = format!("`{}` is never a `{}` here", last.name, of.name());
        return Err(
            SyntaxError::new(message, span).hint(format!("it can be: {}", types.join(", ")))
        );
    }
    Ok(Expr { kind: ExprKind::Path { input: base, steps, first }, span, gives })
}

fn unknown_element(input: &Static, name: &str, span: Range<usize>) -> SyntaxError {
    let types: Vec<_> = input.kinds.iter().map(|k| k.name()).collect();
    let known =
        input.kinds.iter().filter_map(|k| fhir_type(*k)).flat_map(|t| t.elements().map(|e| e.name));
    let hint = suggest::nearest(name, known).map(|n| format!("did you mean `{n}`?"));
    let error =
        SyntaxError::new(format!("`{}` has no element `{name}`", types.join("` or `")), span);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// A path that stops at its first value.
pub(super) fn first_of(mut path: Expr, span: Range<usize>) -> Expr {
    if let ExprKind::Path { first, .. } = &mut path.kind {
        *first = true;
    }
    Expr { span, gives: path.gives.clone().single(), kind: path.kind }
}

/// The span of a name within the span of its whole expression: behind the input.
pub(super) fn name_span(input: &Expr, name: &str, whole: &Range<usize>) -> Range<usize> {
    let start =
        if input.span.is_empty() { whole.start } else { (input.span.end + 1).min(whole.end) };
    start..(start + name.len()).min(whole.end)
}
