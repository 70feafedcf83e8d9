//! Generated views: selects of all kinds within each other, on paths that lead somewhere.

use super::choices::Choices;
use super::expressions::{Expressions, Focus};
use super::json::Json;
use super::paths::Path;
use super::values::Element;
use super::views::{Column, Each, Select, View};

use kiln::fhir::Type;

const DEEPEST: usize = 3;

/// A view for resources like the given one.
pub(super) fn view(of: Type, resource: &Json, choices: &mut Choices<'_>) -> View {
    let resource = Element { json: Some(resource), beside: None, of };
    let mut generator = Generator { expressions: Expressions { choices, resource }, columns: 0 };
    let focus = generator.expressions.start();
    let selects =
        (0..=generator.expressions.choices.below(2)).map(|_| generator.select(&focus, 0)).collect();
    let filters = if generator.expressions.choices.rarely(4) {
        vec![generator.expressions.criterion(&focus, 0)]
    } else {
        Vec::new()
    };
    View { resource: of, filters, selects }
}

struct Generator<'c, 't, 'r> {
    expressions: Expressions<'c, 't, 'r>,
    columns: usize,
}

/// Name, and whether it is a collection.
type Shape = (String, bool);

impl<'r> Generator<'_, '_, 'r> {
    fn below(&mut self, n: usize) -> usize {
        self.expressions.choices.below(n)
    }

    fn name(&mut self) -> String {
        self.columns += 1;
        format!("c{}", self.columns)
    }

    fn select(&mut self, focus: &Focus<'r>, depth: usize) -> Select {
        let (each, focus) = self.each(focus);
        let own = 1 + self.below(3);
        let columns = (0..own).map(|_| self.column(&focus)).collect();
        let within = if depth < DEEPEST { [0, 0, 1, 2][self.below(4)] } else { 0 };
        let nested = (0..within).map(|_| self.select(&focus, depth + 1)).collect();
        let unions = if depth < DEEPEST && self.below(4) == 3 {
            let shapes: Vec<_> =
                (0..=self.below(2)).map(|_| (self.name(), self.below(2) == 1)).collect();
            (0..2 + self.below(2)).map(|_| self.branch(&focus, &shapes, depth + 1)).collect()
        } else {
            Vec::new()
        };
        Select { each, columns, nested, unions }
    }

    /// A branch of a union: its columns are given.
    fn branch(&mut self, focus: &Focus<'r>, shapes: &[Shape], depth: usize) -> Select {
        let (each, focus) = self.each(focus);
        let mut select = Select { each, columns: vec![], nested: vec![], unions: vec![] };
        match self.below(if depth < DEEPEST { 4 } else { 2 }) {
            2 => select.nested.push(self.branch(&focus, shapes, depth + 1)),
            3 => {
                select.unions = (0..2).map(|_| self.branch(&focus, shapes, depth + 1)).collect();
            }
            _ => {
                let columns = shapes.iter().map(|shape| self.shaped(&focus, shape));
                select.columns = columns.collect();
            }
        }
        select
    }

    fn shaped(&mut self, focus: &Focus<'r>, (name, collection): &Shape) -> Column {
        let (path, several) = self.expressions.column(focus);
        let path = if several && !collection { path.call("first", vec![]) } else { path };
        Column { name: name.clone(), path, collection: *collection, as_text: true }
    }

    fn column(&mut self, focus: &Focus<'r>) -> Column {
        let (path, collection) = self.expressions.column(focus);
        let as_text = self.below(6) == 5;
        Column { name: self.name(), path, collection, as_text }
    }

    fn each(&mut self, focus: &Focus<'r>) -> (Each, Focus<'r>) {
        match self.below(8) {
            0..=2 => (Each::Once, focus.clone()),
            3 | 4 => {
                let (path, inner) = self.expressions.iterated(focus);
                (Each::Value(path), inner)
            }
            5 | 6 => {
                let (path, inner) = self.expressions.iterated(focus);
                (Each::ValueOrNull(path), inner)
            }
            _ => self.repeat(focus),
        }
    }

    /// Each path must lead down, or there is no end.
    fn repeat(&mut self, focus: &Focus<'r>) -> (Each, Focus<'r>) {
        let (path, inner) = self.expressions.child(focus);
        if matches!(path, Path::This) {
            return (Each::Once, focus.clone());
        }
        if self.below(2) == 0 {
            return (Each::Repeat(vec![path]), inner);
        }
        let (second, _) = self.expressions.child(&inner);
        let down = !matches!(second, Path::This);
        (Each::Repeat(std::iter::once(path).chain(down.then_some(second)).collect()), inner)
    }
}
