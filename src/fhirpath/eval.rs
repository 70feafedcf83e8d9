//! Runs an expression over one resource.

use std::ops::Range;
use std::sync::Arc;

use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use simd_json::{Node, StaticNode};

use super::compare::lacks_value;
use super::document::Document;
use super::expr::{Expr, ExprKind, Kind, System};
use super::operators;
use super::references::{self, Unresolved};
use super::shortcuts;
use super::trie::{self, Captured, Trie};
use super::value::{Collection, Element, Item};
use super::walk::{self, concrete};
use crate::fhir::Type;
use crate::temporal::{Temporal, TemporalKind};

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
    /// The name of the source, if it has one: keys begin with it, so that those of two sources never mix.
    pub key_prefix: Option<Arc<str>>,
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
    /// What the plain paths from `focus` lead to.
    pub captured: Option<Captured<'a>>,
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
        Self {
            doc,
            resource,
            focus,
            captured: None,
            row_index: 0,
            index: 0,
            total: &[],
            environment,
            unresolved,
        }
    }

    /// The context of one item of an iteration, whose expressions have their plain paths in `trie`.
    #[must_use]
    pub fn on(&self, focus: Item<'a>, row_index: usize, trie: Option<&'a Trie>) -> Self {
        let captured = trie.and_then(|trie| trie.walk(focus, self.doc));
        Self { focus, captured, row_index: row_index as i64, ..*self }
    }

    /// The key of the resource with this id.
    pub fn key(&self, id: &'a str) -> &'a str {
        let Some(prefix) = self.environment.key_prefix.as_deref() else { return id };
        let room = prefix.len() + 1 + id.len();
        let mut key = ArenaString::with_capacity_in(room, self.doc.arena);
        for part in [prefix, "/", id] {
            key.push_str(part);
        }
        key.into_bump_str()
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
            ExprKind::Path { input, steps, first } => walk::path(input, steps, *first, this, cx),
            ExprKind::Captured { slot, path } => trie::values(*slot, path, this, cx),
            ExprKind::CapturedKey { call, .. } => call.eval(this, cx),
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
            ExprKind::Exists { input, steps, criterion } => {
                shortcuts::any(input, steps, criterion, this, cx, &self.span)
            }
            ExprKind::FirstWhere { input, criterion } => {
                shortcuts::find(input.eval(this, cx)?, criterion, cx, &self.span)
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
