//! Generated expressions: mostly of names that the resource at hand has, so that most of them give values.

use kiln::fhir::Type;

use super::choices::Choices;
use super::evaluate::{Scope, evaluate};
use super::json::Json;
use super::paths::Path;
use super::resources::URLS;
use super::values::{Element, Value};

/// What a path can stand on: values of the resource at hand, and the types where there are none.
#[derive(Debug, Clone)]
pub(super) struct Focus<'r> {
    pub(super) values: Vec<Value<'r>>,
    pub(super) types: Vec<Type>,
}

/// Words of the language that are also names of elements.
const WORDS: [&str; 5] = ["contains", "is", "as", "in", "value"];

pub(super) struct Expressions<'c, 't, 'r> {
    pub(super) choices: &'c mut Choices<'t>,
    pub(super) resource: Element<'r>,
}

impl<'r> Expressions<'_, '_, 'r> {
    pub(super) fn start(&self) -> Focus<'r> {
        Focus { values: vec![Value::Element(self.resource)], types: vec![self.resource.of] }
    }

    /// The focus that a path leads to.
    fn behind(&self, path: &Path, focus: &Focus<'r>, types: Vec<Type>) -> Focus<'r> {
        let on = |this: &Value<'r>| {
            let scope = Scope { this: this.clone(), resource: self.resource, row_index: 0 };
            evaluate(path, &scope).unwrap_or_default()
        };
        let values: Vec<_> = focus.values.iter().flat_map(on).collect();
        let found: Vec<_> = values.iter().filter_map(type_of).collect();
        Focus { values, types: if found.is_empty() { types } else { found } }
    }

    fn is_resource(&self, focus: &Focus<'r>) -> bool {
        let json = self.resource.json;
        let same = |v: &Value<'r>| matches!(v, Value::Element(e) if e.json.zip(json).is_some_and(|(a, b)| std::ptr::eq(a, b)));
        focus.values.iter().all(same)
    }

    /// A path to complex elements, such as an iteration goes through.
    pub(super) fn iterated(&mut self, focus: &Focus<'r>) -> (Path, Focus<'r>) {
        let (path, behind) = self.step(Path::This, focus, focus);
        if self.choices.rarely(3) { self.step(path, focus, &behind) } else { (path, behind) }
    }

    /// A path of one name.
    pub(super) fn child(&mut self, focus: &Focus<'r>) -> (Path, Focus<'r>) {
        let (path, of) = self.named(Path::This, focus);
        let behind = self.behind(&path, focus, of.into_iter().collect());
        (path, behind)
    }

    /// A path to primitives, unless it is too long before it gets there.
    pub(super) fn path(&mut self, focus: &Focus<'r>) -> (Path, Focus<'r>) {
        let start = match self.choices.below(12) {
            11 => Path::Resource,
            // A type's name is bound before any resource is seen: that of a contained one is not known.
            10 if self.is_resource(focus) => Path::TypeName(self.resource.of.name().to_owned()),
            _ => Path::This,
        };
        let mut behind = self.behind(&start, focus, vec![self.resource.of]);
        let mut path = start;
        for _ in 0..5 {
            let extended = behind.values.iter().any(is_extended);
            let at_end = behind.types.iter().all(|t| t.is_primitive());
            if at_end && !self.choices.rarely(if extended { 2 } else { 8 }) {
                break;
            }
            (path, behind) = self.step(path, focus, &behind);
        }
        (path, behind)
    }

    /// A name, or now and then something else that yields elements.
    fn step(&mut self, path: Path, focus: &Focus<'r>, at: &Focus<'r>) -> (Path, Focus<'r>) {
        let path = match self.choices.below(24) {
            // A criterion sees each of the values.
            14 | 15 => {
                let criterion = self.criterion(at, 1);
                path.call("where", vec![criterion])
            }
            16 => path.call("first", vec![]),
            17 => path.call("last", vec![]),
            18 => Path::Item(Box::new(path), self.choices.below(2)),
            19 => {
                let url = Path::Text(self.choices.one(&URLS).to_owned());
                path.call("extension", vec![url])
            }
            20 => {
                let (inner, _) = self.named(Path::This, at);
                path.call("select", vec![inner])
            }
            21 => {
                let (inner, _) = self.named(Path::This, at);
                path.call("repeat", vec![inner])
            }
            22 => {
                let (left, _) = self.named(path.clone(), at);
                let (right, _) = self.named(path, at);
                left.binary("|", right)
            }
            23 => match at.types.first() {
                Some(of) => Path::OfType(Box::new(path), *of),
                None => path,
            },
            _ => self.named(path, at).0,
        };
        let types = at.types.clone();
        let behind = self.behind(&path, focus, types);
        (path, behind)
    }

    /// A name of what is there, or sometimes of what could be; of choices sometimes with the type that is there.
    fn named(&mut self, path: Path, at: &Focus<'r>) -> (Path, Option<Type>) {
        let mut there: Vec<_> = at.values.iter().flat_map(children).collect();
        if there.is_empty() || self.choices.rarely(12) {
            let all = at.types.iter().filter(|t| !t.is_primitive()).flat_map(|t| t.elements());
            there = all.map(|e| (e.name.to_owned(), e.types.first().copied())).collect();
        }
        there.retain(|(name, _)| !WORDS.contains(&name.as_str()) || name == "value");
        if there.is_empty() {
            return (path, None);
        }
        let (name, of) = self.choices.one(&there);
        let narrowed = self.choices.below(4);
        let choice = at.values.iter().filter_map(type_of).find_map(|t| {
            t.element(&name).filter(|e| e.choice && of.is_some_and(|of| e.types.contains(&of)))
        });
        match (choice, of, narrowed) {
            (Some(_), Some(of), 0 | 1) => (Path::OfType(Box::new(path.name(&name)), of), Some(of)),
            (Some(element), Some(of), 2) => (path.name(&element.key(of)), Some(of)),
            _ => (path.name(&name), of),
        }
    }

    /// An expression that gives a boolean or nothing.
    pub(super) fn criterion(&mut self, focus: &Focus<'r>, depth: usize) -> Path {
        let kind = self.choices.below(if depth < 3 { 12 } else { 8 });
        let (path, behind) = if kind < 10 { self.path(focus) } else { (Path::This, focus.clone()) };
        match kind {
            0 | 1 => path.call("exists", vec![]),
            2..=4 => path.binary("=", self.literal(&behind)),
            5 => path.binary("!=", self.literal(&behind)),
            6 => path.call("empty", vec![]),
            7 => path.call("count", vec![]).binary("=", self.count(&behind)),
            8 => {
                let criterion = self.criterion(&behind, depth + 1);
                path.call("exists", vec![criterion])
            }
            9 => {
                let literal = self.literal(&behind);
                path.clone().call("first", vec![]).binary("=", literal)
            }
            10 => {
                let operator = self.choices.one(&["and", "or"]);
                let left = self.criterion(focus, depth + 1);
                left.binary(operator, self.criterion(focus, depth + 1))
            }
            _ => self.criterion(focus, depth + 1).call("not", vec![]),
        }
    }

    fn count(&mut self, at: &Focus<'r>) -> Path {
        let right = at.values.len() + usize::from(self.choices.rarely(3));
        Path::Number(right.to_string())
    }

    /// Mostly one of the values, so that comparison has a chance.
    fn literal(&mut self, at: &Focus<'r>) -> Path {
        let found: Vec<_> = at.values.iter().filter_map(literal_of).collect();
        if found.is_empty() || self.choices.rarely(4) {
            let any = [
                Path::Text("a".into()),
                Path::Number("1".into()),
                Path::Number("1.50".into()),
                Path::Boolean(true),
                Path::Text("2020-05".into()),
            ];
            return self.choices.one(&any);
        }
        self.choices.one(&found)
    }

    /// What a column holds, and whether it may be several values.
    pub(super) fn column(&mut self, focus: &Focus<'r>) -> (Path, bool) {
        let (path, behind) = self.path(focus);
        let many = behind.values.len() > 1;
        let text = behind.values.iter().all(|v| matches!(literal_of(v), Some(Path::Text(_))));
        match self.choices.below(20) {
            12 => (path.call("count", vec![]), false),
            13 => (self.criterion(focus, 1), false),
            14 if text => (path.call("join", vec![Path::Text(", ".into())]), false),
            15 | 16 => (path.call("first", vec![]), false),
            17 => (path.call("last", vec![]), self.choices.rarely(2)),
            18 => (Path::RowIndex, false),
            // Now and then a mistake.
            19 => (path, false),
            n => (path, many || n > 8),
        }
    }
}

fn type_of(value: &Value<'_>) -> Option<Type> {
    match value {
        Value::Element(element) => Some(element.concrete()),
        _ => None,
    }
}

/// Whether it is a primitive with something beside it.
fn is_extended(value: &Value<'_>) -> bool {
    matches!(value, Value::Element(e) if e.beside.is_some())
}

/// Names of the children that are there, with their types.
fn children(value: &Value<'_>) -> Vec<(String, Option<Type>)> {
    let Value::Element(element) = value else { return Vec::new() };
    let all = element.concrete().elements();
    let found = all.flat_map(|e| element.children(e.name).into_iter().map(move |c| (e.name, c.of)));
    found.map(|(name, of)| (name.to_owned(), Some(of))).collect()
}

/// The literal that the value equals.
fn literal_of(value: &Value<'_>) -> Option<Path> {
    let Value::Element(Element { json: Some(json), .. }) = value else { return None };
    match json {
        Json::Text(text) if !text.contains('\u{1}') => Some(Path::Text(text.clone())),
        Json::Boolean(b) => Some(Path::Boolean(*b)),
        Json::Number(n) if n.len() < 18 && !n.contains(['e', 'E', '-']) => {
            Some(Path::Number(n.clone()))
        }
        _ => None,
    }
}
