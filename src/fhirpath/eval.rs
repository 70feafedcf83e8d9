//! Runs an expression over one resource.

use std::ops::Range;

use bumpalo::collections::Vec as ArenaVec;
use simd_json::{Node, StaticNode};

use super::compare::lacks_value;
use super::document::Document;
use super::expr::{Expr, ExprKind, Key, Kind, Step, System};
use super::operators;
use super::references::{self, Unresolved};
use super::temporal::{Temporal, TemporalKind};
use super::value::{Collection, Element, Item};
use crate::fhir::Type;

/// Why an expression has no result on a resource. The resource is at fault, so this is data, not an [`crate::error::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError {
    /// What happened, without any of the resource's content.
    pub message: String,
    /// Where in the expression.
    pub span: Range<usize>,
}

impl EvalError {
    /// Adds the part of the expression's text that failed.
    #[must_use]
    pub fn within(mut self, text: &str) -> Self {
        let part = text.get(self.span.clone()).filter(|part| !part.is_empty()).unwrap_or(text);
        self.message = format!("{}: `{part}`", self.message);
        self
    }
}

/// A result, or why there is none.
pub type Evaluated<'a, T = Collection<'a>> = Result<T, EvalError>;

/// What is the same for every resource of a run.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `now()`, as an instant.
    pub now: Temporal,
    /// Base urls of the export's server, as [`crate::fhir::base`] writes them: absolute references below them are to
    /// its resources.
    pub bases: Vec<String>,
}

/// What an expression can see besides its focus.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The resource.
    pub doc: &'a Document<'a>,
    /// The resource's type.
    pub resource: Type,
    /// `%context`: what the whole expression is evaluated on: the resource, or an item of the view's iteration.
    pub focus: Item<'a>,
    /// `%rowIndex`: place in the innermost iteration of the view.
    pub row_index: i64,
    /// `$index`: place in the innermost iteration of the expression.
    pub index: i64,
    /// `$total`, within `aggregate`.
    pub total: Collection<'a>,
    /// What is the same for the whole run.
    pub environment: &'a Environment,
    /// Where references without a key are counted.
    pub unresolved: &'a Unresolved,
}

impl<'a> Context<'a> {
    /// A context at the top of a resource.
    pub fn new(
        doc: &'a Document<'a>,
        resource: Type,
        environment: &'a Environment,
        unresolved: &'a Unresolved,
    ) -> Self {
        let focus = Item::Element(doc.root_element(Some(resource)));
        Self { doc, resource, focus, row_index: 0, index: 0, total: &[], environment, unresolved }
    }

    /// Puts one item into the arena.
    pub(super) fn one(&self, item: Item<'a>) -> Collection<'a> {
        std::slice::from_ref(self.doc.arena.alloc(item))
    }

    #[allow(clippy::unused_self)] // beside `one` and `list`, where a reader looks for it
    pub(super) fn boolean(&self, value: Option<bool>) -> Collection<'a> {
        // Promoted to statics: the commonest results cost nothing.
        match value {
            Some(true) => &[Item::Boolean(true)],
            Some(false) => &[Item::Boolean(false)],
            None => &[],
        }
    }

    pub(super) fn list(&self) -> ArenaVec<'a, Item<'a>> {
        ArenaVec::new_in(self.doc.arena)
    }

    /// Puts text into the arena.
    pub(super) fn string(&self, text: &str) -> Item<'a> {
        Item::String(self.doc.arena.alloc_str(text))
    }
}

/// A shorter way to say why not.
pub(super) fn fail<T>(span: &Range<usize>, message: impl Into<String>) -> Evaluated<'static, T> {
    Err(EvalError { message: message.into(), span: span.clone() })
}

impl Expr {
    /// The values of this expression on `this`.
    pub fn eval<'a>(&'a self, this: Item<'a>, cx: &Context<'a>) -> Evaluated<'a> {
        match &self.kind {
            ExprKind::Path { input, steps, first } => path(input, steps, *first, this, cx),
            ExprKind::Literal(literal) => Ok(cx.one(literal.item())),
            ExprKind::Empty => Ok(&[]),
            // `iif` without an input has no `$this`.
            ExprKind::This if matches!(this, Item::Element(Element::NONE)) => Ok(&[]),
            ExprKind::This => Ok(cx.one(this)),
            ExprKind::Index => Ok(cx.one(Item::Integer(cx.index))),
            ExprKind::Total => Ok(cx.total),
            ExprKind::RowIndex => Ok(cx.one(Item::Integer(cx.row_index))),
            ExprKind::Context => Ok(cx.one(cx.focus)),
            ExprKind::Resource => Ok(cx.one(Item::Element(cx.doc.root_element(Some(cx.resource))))),
            ExprKind::Call { function, input, arguments } => {
                let input = input.eval(this, cx)?;
                let call = Call { this, input, arguments, cx, span: &self.span };
                (function.call)(&call)
            }
            ExprKind::ReferenceKeys { input, wanted, place } => {
                Ok(references::keys(input.eval(this, cx)?, *wanted, *place, cx))
            }
            ExprKind::OfType { input, wanted, single } => {
                let input = input.eval(this, cx)?;
                if *single && input.len() > 1 {
                    return fail(&self.span, "`as` wants a single value");
                }
                let mut kept = cx.list();
                kept.extend(input.iter().filter(|i| is_of(**i, *wanted, cx.doc)));
                Ok(kept.into_bump_slice())
            }
            ExprKind::Is { input, wanted } => match input.eval(this, cx)? {
                [] => Ok(&[]),
                [item] => Ok(cx.boolean(Some(is_of(*item, *wanted, cx.doc)))),
                _ => fail(&self.span, "`is` wants a single value"),
            },
            ExprKind::Item { input, index } => {
                let input = input.eval(this, cx)?;
                let index = index.integer(this, cx)?.and_then(|i| usize::try_from(i).ok());
                Ok(index.and_then(|i| input.get(i)).map_or(&[], std::slice::from_ref))
            }
            ExprKind::Negate(operand) => operators::negate(operand.eval(this, cx)?, cx, &self.span),
            ExprKind::Binary { operator, left, right } => {
                operators::apply(*operator, left, right, this, cx, &self.span)
            }
        }
    }

    /// Evaluates where `true`, `false` or nothing is wanted. A single value that is no boolean counts as true
    /// (FHIRPath N1, "Singleton Evaluation of Collections").
    pub(super) fn condition<'a>(
        &'a self,
        this: Item<'a>,
        cx: &Context<'a>,
    ) -> Evaluated<'a, Option<bool>> {
        singleton_boolean(self.eval(this, cx)?, cx.doc, &self.span)
    }

    /// Evaluates where a whole number or nothing is wanted.
    pub(super) fn integer<'a>(
        &'a self,
        this: Item<'a>,
        cx: &Context<'a>,
    ) -> Evaluated<'a, Option<i64>> {
        match self.eval(this, cx)? {
            [] => Ok(None),
            [one] => match one.system(cx.doc) {
                Some(Item::Integer(n)) => Ok(Some(n)),
                None if lacks_value(*one, cx.doc) => Ok(None),
                _ => fail(&self.span, "a whole number is wanted here"),
            },
            _ => fail(&self.span, "a single number is wanted here"),
        }
    }

    /// Evaluates where a text or nothing is wanted.
    pub(super) fn text<'a>(
        &'a self,
        this: Item<'a>,
        cx: &Context<'a>,
    ) -> Evaluated<'a, Option<&'a str>> {
        match self.eval(this, cx)? {
            [] => Ok(None),
            [one] => match one.text(cx.doc) {
                Some(text) => Ok(Some(text)),
                None if lacks_value(*one, cx.doc) => Ok(None),
                None => fail(&self.span, "a text is wanted here"),
            },
            _ => fail(&self.span, "a single text is wanted here"),
        }
    }
}

/// The values at the end of a path.
fn path<'a>(
    input: &'a Expr,
    steps: &'a [Step],
    first: bool,
    this: Item<'a>,
    cx: &Context<'a>,
) -> Evaluated<'a> {
    let limit = if first { 1 } else { usize::MAX };
    let mut found = Found { items: cx.list(), limit };
    if let ExprKind::This = input.kind {
        walk(this, steps, &mut found, cx.doc);
    } else {
        for item in input.eval(this, cx)? {
            walk(*item, steps, &mut found, cx.doc);
        }
    }
    Ok(found.items.into_bump_slice())
}

/// What a function is called with.
pub(super) struct Call<'a, 'c> {
    /// The focus that the call stands in; arguments of the outer scope see it.
    pub(super) this: Item<'a>,
    pub(super) input: Collection<'a>,
    /// Not evaluated yet.
    pub(super) arguments: &'a [Expr],
    pub(super) cx: &'c Context<'a>,
    pub(super) span: &'a Range<usize>,
}

pub(super) fn singleton_boolean<'a>(
    values: Collection<'a>,
    doc: &Document<'a>,
    span: &Range<usize>,
) -> Evaluated<'a, Option<bool>> {
    match values {
        [] => Ok(None),
        [Item::Boolean(b)] => Ok(Some(*b)),
        [one] => match one.system(doc) {
            Some(Item::Boolean(b)) => Ok(Some(b)),
            // Only its extensions may say why there is no value: that makes it neither true nor false.
            None if matches!(one, Item::Element(e) if e.of.is_some_and(|t| t.name() == "boolean")) => {
                Ok(None)
            }
            _ => Ok(Some(true)),
        },
        _ => fail(span, "a single boolean is wanted here, there are several values"),
    }
}

struct Found<'a> {
    items: ArenaVec<'a, Item<'a>>,
    limit: usize,
}

/// Follows the names from one item, depth first, so that `first` can stop early.
fn walk<'a>(item: Item<'a>, steps: &'a [Step], found: &mut Found<'a>, doc: &Document<'a>) {
    let Some((step, rest)) = steps.split_first() else {
        found.items.push(item);
        return;
    };
    let Item::Element(element) = item else { return };
    let Some(of) = element.of.map(|of| concrete(of, element.at, doc)) else { return };
    let exact = step.routes.iter().find(|r| r.from == of);
    // An Age is walked as the Quantity that it was foreseen to be.
    if let Some(route) = exact.or_else(|| step.routes.iter().find(|r| of.is_a(r.from))) {
        for key in &route.keys {
            children(element, key, rest, found, doc);
        }
    } else {
        dynamic(element, of, step, rest, found, doc);
    }
}

/// Abstract types (`contained`, entries of Bundles) become what the resource says it is.
fn concrete(of: Type, at: u32, doc: &Document<'_>) -> Type {
    if !matches!(of.name(), "Resource" | "DomainResource") {
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
    found: &mut Found<'a>,
    doc: &Document<'a>,
) {
    let (declared, types) = match (of.element(&step.name), of.choice_key(&step.name)) {
        (Some(declared), _) => (declared, declared.types.as_slice()),
        (None, Some((declared, of))) => {
            let at = declared.types.iter().position(|t| *t == of).unwrap_or_default();
            (declared, &declared.types[at..=at])
        }
        (None, None) => return,
    };
    for of in types {
        let key = Key { name: declared.key(*of).into(), of: *of, primitive: of.is_primitive() };
        children(element, &key, rest, found, doc);
    }
}

/// The values of one JSON key, and of `_key` beside it if they are primitives.
fn children<'a>(
    parent: Element,
    key: &Key,
    rest: &'a [Step],
    found: &mut Found<'a>,
    doc: &Document<'a>,
) {
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
        return with_companions(value, companion, key.of, rest, found, doc);
    }
    if value == Element::ABSENT {
        return;
    }
    for at in doc.elements(value) {
        if found.items.len() >= found.limit {
            return;
        }
        if doc.present(at) {
            let element = Element { at, companion, of: Some(key.of) };
            walk(Item::Element(element), rest, found, doc);
        }
    }
}

/// All elements that an item has, with their types, in the order of the text.
pub(super) fn all_children<'a>(item: Item<'a>, cx: &Context<'a>) -> Collection<'a> {
    let mut found = Found { items: cx.list(), limit: usize::MAX };
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
        let declared = match of.element(plain) {
            Some(element) => element.types.first().copied().filter(|_| !element.choice),
            None => of.choice_key(plain).map(|(_, of)| of),
        };
        let Some(of) = declared else { continue };
        let key = Key { name: plain.into(), of, primitive: of.is_primitive() };
        children(parent, &key, &[], &mut found, cx.doc);
    }
    found.items.into_bump_slice()
}

/// Primitives and their extensions, which stand side by side; one of the two may be null or missing.
fn with_companions<'a>(
    value: u32,
    companion: u32,
    of: Type,
    rest: &'a [Step],
    found: &mut Found<'a>,
    doc: &Document<'a>,
) {
    let (mut values, mut companions) = (doc.elements(value), doc.elements(companion));
    loop {
        let (at, beside) = (values.next(), companions.next());
        if (at.is_none() && beside.is_none()) || found.items.len() >= found.limit {
            return;
        }
        let present = |at: Option<u32>| at.filter(|at| doc.present(*at)).unwrap_or(Element::ABSENT);
        let element = Element { at: present(at), companion: present(beside), of: Some(of) };
        if element.at != Element::ABSENT || element.companion != Element::ABSENT {
            walk(Item::Element(element), rest, found, doc);
        }
    }
}

/// Whether an item is of a type: exactly, or for resources and abstract types by specialisation.
fn is_of<'a>(item: Item<'a>, wanted: Kind, doc: &Document<'a>) -> bool {
    match (item, wanted) {
        (Item::Element(Element { of: Some(of), at, .. }), Kind::Fhir(wanted)) => {
            let of = concrete(of, at, doc);
            of == wanted || (!of.is_primitive() && of.is_a(wanted))
        }
        (Item::Element(Element { of: None, at, .. }), Kind::Fhir(wanted)) => {
            json_is(doc.nodes.get(at as usize), wanted)
        }
        (Item::Element(_), Kind::System(_)) => false,
        (item, Kind::System(wanted)) => system_of(item) == Some(wanted),
        (item, Kind::Fhir(wanted)) => system_of(item).is_some_and(|s| is_same_primitive(s, wanted)),
    }
}

fn json_is(node: Option<&Node<'_>>, wanted: Type) -> bool {
    match node {
        Some(Node::String(_)) => wanted.name() == "string",
        Some(Node::Static(StaticNode::Bool(_))) => wanted.name() == "boolean",
        _ => false,
    }
}

/// A computed value `is` the FHIR primitive of the same name too, as analysts expect of `'a'.is(string)`.
fn is_same_primitive(system: System, wanted: Type) -> bool {
    let name = system.name();
    name == wanted.name() || (wanted.is_primitive() && name.eq_ignore_ascii_case(wanted.name()))
}

fn system_of(item: Item<'_>) -> Option<System> {
    Some(match item {
        Item::Element(_) => return None,
        Item::Boolean(_) => System::Boolean,
        Item::Integer(_) => System::Integer,
        Item::Decimal(_) => System::Decimal,
        Item::String(_) => System::String,
        Item::Quantity(_) => System::Quantity,
        Item::Temporal(t) => match t.kind {
            TemporalKind::Date => System::Date,
            TemporalKind::DateTime => System::DateTime,
            TemporalKind::Time => System::Time,
        },
    })
}

impl<'a> Call<'a, '_> {
    /// The context for the `i`-th item of the input.
    pub(super) fn indexed(&self, i: usize) -> Context<'a> {
        Context { index: i as i64, ..*self.cx }
    }

    /// The values of an argument of the outer scope.
    pub(super) fn argument(&self, i: usize) -> Evaluated<'a> {
        self.arguments[i].eval(self.this, self.cx)
    }

    /// The text of an argument of the outer scope.
    pub(super) fn argument_text(&self, i: usize) -> Evaluated<'a, Option<&'a str>> {
        self.arguments[i].text(self.this, self.cx)
    }

    /// The number in an argument of the outer scope.
    pub(super) fn argument_integer(&self, i: usize) -> Evaluated<'a, Option<i64>> {
        self.arguments[i].integer(self.this, self.cx)
    }

    /// The input where it must be one item or none.
    pub(super) fn single_input(&self) -> Evaluated<'a, Option<Item<'a>>> {
        operators::single(self.input, self.span)
    }

    /// The input where it must be one boolean or none.
    pub(super) fn input_boolean(&self) -> Evaluated<'a, Option<bool>> {
        singleton_boolean(self.input, self.cx.doc, self.span)
    }
}
