//! The fast path: all plain paths that expressions take from one focus, found in a single walk over it.
//!
//! ```text
//! code.coding.first().code    ┐          code ─ coding ─(first)─┬─ code     → slot 0
//! code.coding.first().system  ├─ Trie ─┐                       └─ system   → slot 1
//! subject.reference           ┘        └ subject ─ reference               → slot 2
//! ```
//!
//! [`Expr::put_into`] moves the paths of an expression into a trie and leaves the numbers of their slots in their place.
//! [`Trie::walk`] goes over the keys of each object once, however many paths lead through it, and fills the slots.
//!
//! What is not plain is left to [`super::walk`], so that both always agree: a choice whose type is left open and types
//! that only the resource tells are never in a trie, and a walk that meets an element's extensions beside its value
//! (`_name`) or a key written twice gives up ([`Trie::walk`] is `None`), for its focus alone.

use bumpalo::collections::Vec as ArenaVec;
use simd_json::{Node, StaticNode};

use super::document::{Document, width};
use super::eval::Context;
use super::expr::{Expr, ExprKind, Step};
use super::value::{Collection, Element, Item};
use super::walk::is_abstract;
use crate::fhir::Type;

/// Slots of a trie, branches of an object and `first()`s: as many as a bit set holds.
const MOST: usize = 64;

/// The paths from a focus of one type.
#[derive(Debug)]
pub struct Trie {
    of: Type,
    top: Object,
    /// The types of the elements in the slots.
    slots: Vec<Type>,
    /// How many `first()`s there are.
    firsts: usize,
}

/// What is wanted of an object.
#[derive(Debug)]
struct Object {
    branches: Vec<Branch>,
    /// The first branch of each [`bucket`], as its index, or [`NONE`].
    buckets: [u8; BUCKETS],
}

/// What is wanted under one JSON key.
#[derive(Debug)]
struct Branch {
    key: Box<str>,
    of: Type,
    primitive: bool,
    /// Wanted of every value.
    every: Wanted,
    /// Wanted of the first value in the whole focus, and the number of this `first()`.
    first: Option<(u8, Wanted)>,
    /// The next branch of the same bucket.
    next: u8,
}

/// What is wanted of a value: itself, and what is in it.
#[derive(Debug, Default)]
struct Wanted {
    slot: Option<u8>,
    within: Option<Object>,
}

/// As many as the upper 6 bits of a hash tell apart.
const BUCKETS: usize = 64;
const NONE: u8 = u8::MAX;

/// Length and outer letters tell the keys of an object apart, nearly always.
fn bucket(key: &str) -> usize {
    const SPREAD: u32 = 0x9e37_79b1; // 2^32 by the golden ratio
    let [first, .., last] = key.as_bytes() else { return 0 };
    let mixed = (key.len() as u32) << 16 | u32::from(*first) << 8 | u32::from(*last);
    (mixed.wrapping_mul(SPREAD) >> 26) as usize
}

impl Object {
    const fn new() -> Self {
        Self { branches: Vec::new(), buckets: [NONE; BUCKETS] }
    }

    fn find(&self, key: &str) -> Option<usize> {
        let mut index = self.buckets[bucket(key)];
        while let Some(branch) = self.branches.get(usize::from(index)) {
            if *branch.key == *key {
                return Some(usize::from(index));
            }
            index = branch.next;
        }
        None
    }

    fn add(&mut self, place: &Place) -> Option<&mut Branch> {
        let index = self.find(&place.key).or_else(|| {
            let index = Some(self.branches.len()).filter(|i| *i < MOST)?;
            let next = std::mem::replace(&mut self.buckets[bucket(&place.key)], index as u8);
            let (key, of, primitive) = (place.key.clone(), place.of, place.of.is_primitive());
            let every = Wanted::default();
            self.branches.push(Branch { key, of, primitive, every, first: None, next });
            Some(index)
        })?;
        self.branches.get_mut(index).filter(|branch| branch.of == place.of)
    }
}

/// One step of a plain path.
struct Place {
    key: Box<str>,
    of: Type,
    /// Whether only the first value found is followed.
    first: bool,
}

impl Trie {
    /// No paths yet, for a focus of this type.
    pub fn new(of: Type) -> Self {
        Self { of, top: Object::new(), slots: Vec::new(), firsts: 0 }
    }

    /// The slot of a path; `None` if it is not a plain one, or there is no room for it.
    fn add(&mut self, path: &[Place]) -> Option<u8> {
        let Self { top, slots, firsts, .. } = self;
        let (last, outer) = path.split_last()?;
        if slots.len() >= MOST || *firsts + path.len() > MOST {
            return None;
        }
        let mut object = top;
        for place in outer {
            let wanted = object.add(place)?.wanted(place.first, firsts);
            object = wanted.within.get_or_insert_with(Object::new);
        }
        let wanted = object.add(last)?.wanted(last.first, firsts);
        Some(*wanted.slot.get_or_insert_with(|| {
            slots.push(last.of);
            slots.len() as u8 - 1
        }))
    }

    /// Finds what the paths lead to from a focus; `None` if the paths have to be gone one by one.
    pub fn walk<'a>(&'a self, focus: Item<'a>, doc: &Document<'a>) -> Option<Captured<'a>> {
        let Item::Element(element) = focus else { return None };
        if element.of != Some(self.of) || self.slots.is_empty() {
            return None;
        }
        let mut walk = Walk {
            nodes: doc.nodes,
            found: doc.arena.alloc_slice_fill_copy(self.slots.len(), Found::Nothing),
            several: ArenaVec::new_in(doc.arena),
            firsts: 0,
            gave_up: false,
        };
        walk.object(&self.top, element.at as usize);
        let Walk { found, several, gave_up, .. } = walk;
        (!gave_up).then(|| Captured { trie: self, found, several: several.into_bump_slice() })
    }
}

impl Branch {
    fn wanted(&mut self, first: bool, firsts: &mut usize) -> &mut Wanted {
        if !first {
            return &mut self.every;
        }
        let number = || {
            *firsts += 1;
            (*firsts as u8 - 1, Wanted::default())
        };
        &mut self.first.get_or_insert_with(number).1
    }
}

/// What a path led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// No value.
    Nothing,
    /// The value at this index of the tape.
    One(u32),
    /// More than one.
    Several,
}

/// What the paths of a trie led to from one focus.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    trie: &'a Trie,
    found: &'a [Found],
    /// The values of slots with several, in their order.
    several: &'a [(u8, u32)],
}

impl<'a> Captured<'a> {
    /// The element in a slot, unless there are several.
    fn single(&self, slot: u8) -> Result<Option<Element>, Several> {
        match self.found[usize::from(slot)] {
            Found::Nothing => Ok(None),
            Found::One(at) => Ok(Some(self.element(slot, at))),
            Found::Several => Err(Several),
        }
    }

    /// The values of a slot.
    fn items(&self, slot: u8, cx: &Context<'a>) -> Collection<'a> {
        match self.single(slot) {
            Ok(None) => &[],
            Ok(Some(element)) => cx.one(Item::Element(element)),
            Err(Several) => {
                let mut items = cx.list();
                let of_slot = self.several.iter().filter(|(of, _)| *of == slot);
                items.extend(of_slot.map(|(_, at)| Item::Element(self.element(slot, *at))));
                items.into_bump_slice()
            }
        }
    }

    fn element(&self, slot: u8, at: u32) -> Element {
        let of = Some(self.trie.slots[usize::from(slot)]);
        Element { at, companion: Element::ABSENT, of }
    }
}

/// A slot has several values.
struct Several;

/// One walk over a focus.
struct Walk<'a> {
    nodes: &'a [Node<'a>],
    /// By slot.
    found: &'a mut [Found],
    several: ArenaVec<'a, (u8, u32)>,
    /// The `first()`s that have had their value, as a bit set.
    firsts: u64,
    gave_up: bool,
}

impl Walk<'_> {
    fn object(&mut self, wanted: &Object, at: usize) {
        let Node::Object { len, .. } = self.nodes[at] else { return };
        let mut seen = 0_u64;
        let mut key = at + 1;
        for _ in 0..len {
            let Node::String(name) = self.nodes[key] else { return };
            if let Some(index) = wanted.find(name) {
                self.gave_up |= seen >> index & 1 == 1;
                seen |= 1 << index;
                self.values(&wanted.branches[index], key + 1);
            } else if let Some(beside) = name.strip_prefix('_') {
                let index = wanted.find(beside);
                self.gave_up |= index.is_some_and(|i| wanted.branches[i].primitive);
            }
            key += 1 + width(&self.nodes[key + 1]);
        }
    }

    fn values(&mut self, branch: &Branch, at: usize) {
        let Node::Array { len, .. } = self.nodes[at] else { return self.value(branch, at) };
        let mut at = at + 1;
        for _ in 0..len {
            self.value(branch, at);
            at += width(&self.nodes[at]);
        }
    }

    fn value(&mut self, branch: &Branch, at: usize) {
        if let Node::Static(StaticNode::Null) = self.nodes[at] {
            return;
        }
        self.take(&branch.every, at);
        if let Some((number, wanted)) = &branch.first
            && self.firsts >> number & 1 == 0
        {
            self.firsts |= 1 << number;
            self.take(wanted, at);
        }
    }

    fn take(&mut self, wanted: &Wanted, at: usize) {
        if let Some(slot) = wanted.slot {
            let found = &mut self.found[usize::from(slot)];
            match *found {
                Found::Nothing => *found = Found::One(at as u32),
                Found::One(first) => {
                    *found = Found::Several;
                    self.several.extend([(slot, first), (slot, at as u32)]);
                }
                Found::Several => self.several.push((slot, at as u32)),
            }
        }
        if let Some(object) = &wanted.within {
            self.object(object, at);
        }
    }
}

/// A value that is known without evaluating anything.
#[derive(Debug, Clone, Copy)]
pub enum Ready<'a> {
    /// There is none.
    Nothing,
    /// An element.
    Element(Element),
    /// A key.
    Text(&'a str),
}

impl Expr {
    /// Moves the plain paths that begin at the focus into the trie of the focus.
    pub fn put_into(&mut self, trie: &mut Trie) {
        if trie.of.is_primitive() || is_abstract(trie.of) {
            return;
        }
        let slot = plain_path(self, trie.of).and_then(|path| trie.add(&path));
        if let Some(slot) = slot {
            return self.replace(|path| ExprKind::Captured { slot, path });
        }
        match &mut self.kind {
            ExprKind::Call { function, input, .. }
                if function.name == "getResourceKey" && matches!(input.kind, ExprKind::This) =>
            {
                let id = Type::named("id").map(|of| Place { key: "id".into(), of, first: false });
                if let Some(slot) = id.and_then(|id| trie.add(&[id])) {
                    self.replace(|call| ExprKind::CapturedKey { slot, call });
                }
            }
            // Arguments may see another focus.
            ExprKind::Call { input, .. }
            | ExprKind::ReferenceKeys { input, .. }
            | ExprKind::OfType { input, .. }
            | ExprKind::Is { input, .. }
            | ExprKind::Path { input, .. }
            | ExprKind::FirstWhere { input, .. }
            | ExprKind::Exists { input, .. }
            | ExprKind::Item { input, .. } => input.put_into(trie),
            ExprKind::Negate(operand) => operand.put_into(trie),
            ExprKind::Binary { left, right, .. } => {
                left.put_into(trie);
                right.put_into(trie);
            }
            _ => {}
        }
    }

    fn replace(&mut self, by: impl FnOnce(Box<Self>) -> ExprKind) {
        let (span, gives) = (self.span.clone(), self.gives.clone());
        let kind = std::mem::replace(&mut self.kind, ExprKind::Empty);
        self.kind = by(Box::new(Self { kind, span: span.clone(), gives: gives.clone() }));
    }
}

/// The steps of a path from a focus of this type, if it is plain: one key for each name.
fn plain_path(expr: &Expr, of: Type) -> Option<Vec<Place>> {
    let ExprKind::Path { input, steps, first } = &expr.kind else { return None };
    let mut path =
        if matches!(input.kind, ExprKind::This) { Vec::new() } else { plain_path(input, of)? };
    for step in steps {
        let from = path.last().map_or(of, |place: &Place| place.of);
        path.push(plain_step(step, from)?);
    }
    if let Some(last) = path.last_mut() {
        last.first |= *first;
    }
    Some(path)
}

fn plain_step(step: &Step, from: Type) -> Option<Place> {
    if from.is_primitive() || is_abstract(from) {
        return None;
    }
    match step.route(from)?.keys.as_slice() {
        [key] => Some(Place { key: key.name.clone(), of: key.of, first: false }),
        _ => None,
    }
}

impl Expr {
    /// The value, if it is known from the walk over the focus; `None` if the expression must be evaluated.
    pub fn ready<'a>(&self, cx: &Context<'a>) -> Option<Ready<'a>> {
        match &self.kind {
            ExprKind::Captured { slot, .. } => {
                let element = cx.captured.as_ref()?.single(*slot).ok()?;
                Some(element.map_or(Ready::Nothing, Ready::Element))
            }
            ExprKind::CapturedKey { slot, .. } => {
                let id = cx.captured.as_ref()?.single(*slot).ok()?;
                // The only value of an array, which no id is, does not follow its key.
                let id =
                    id.filter(|id| matches!(cx.doc.nodes[id.at as usize - 1], Node::String(_)));
                let key = id.and_then(|id| cx.doc.text(id.at)).map(|id| cx.key(id));
                Some(key.map_or(Ready::Nothing, Ready::Text))
            }
            ExprKind::ReferenceKeys { input, wanted, place } => match input.ready(cx)? {
                Ready::Nothing => Some(Ready::Nothing),
                Ready::Element(element) => {
                    let key = super::references::key_of(element, *wanted, *place, cx);
                    Some(key.map_or(Ready::Nothing, Ready::Text))
                }
                Ready::Text(_) => None,
            },
            _ => None,
        }
    }
}

/// The values of a captured path, or of the path itself where nothing was captured.
pub(super) fn values<'a>(
    slot: u8,
    path: &'a Expr,
    this: Item<'a>,
    cx: &Context<'a>,
) -> super::eval::Evaluated<'a> {
    match &cx.captured {
        Some(captured) => Ok(captured.items(slot, cx)),
        None => path.eval(this, cx),
    }
}
