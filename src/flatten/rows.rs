//! Runs a compiled select over one resource (SQL on FHIR, "Processing Algorithm").

use bumpalo::collections::Vec as ArenaVec;

use super::column::Cell;
use super::select::{ColumnExpr, Iteration, Select};
use crate::fhirpath::{Context, EvalError, Expr, Item};

/// Rows of a select: cells row by row.
pub(super) struct Rows<'a> {
    cells: ArenaVec<'a, Cell<'a>>,
    width: usize,
    pub(super) count: usize,
}

/// `%rowIndex` where `forEachOrNull` found nothing.
static ZERO: [Item<'static>; 1] = [Item::Integer(0)];

impl<'a> Rows<'a> {
    /// No rows of so many columns.
    fn new(width: usize, cx: &Context<'a>) -> Self {
        Self { cells: ArenaVec::with_capacity_in(width, cx.doc.arena), width, count: 0 }
    }

    fn row(&self, index: usize) -> &[Cell<'a>] {
        &self.cells[index * self.width..(index + 1) * self.width]
    }
}

impl Select {
    /// The rows that this select makes of one focus.
    pub(super) fn rows<'a>(
        &'a self,
        focus: Item<'a>,
        cx: &Context<'a>,
    ) -> Result<Rows<'a>, EvalError> {
        let mut rows = Rows::new(self.end - self.start, cx);
        match &self.iteration {
            Iteration::Once => self.add(focus, cx, &mut rows)?,
            Iteration::ForEach { path, text, or_null } => {
                let items = path.eval(focus, cx).map_err(|e| e.within(text))?;
                self.add_items(items, cx, &mut rows)?;
                if items.is_empty() && *or_null {
                    self.add_null_row(&mut rows);
                }
            }
            Iteration::Repeat(paths, texts) => {
                let mut found = ArenaVec::new_in(cx.doc.arena);
                let descended = descend(paths, focus, cx, 0, &mut found);
                descended.map_err(|e| e.within(texts))?;
                self.add_items(&found, cx, &mut rows)?;
            }
        }
        Ok(rows)
    }

    /// Adds the rows of each item of an iteration.
    fn add_items<'a>(
        &'a self,
        items: &[Item<'a>],
        cx: &Context<'a>,
        rows: &mut Rows<'a>,
    ) -> Result<(), EvalError> {
        for (i, item) in items.iter().enumerate() {
            self.add(*item, &cx.on(*item, i, self.trie.as_ref()), rows)?;
        }
        Ok(())
    }

    /// Adds the rows of one focus: its own cells, times the rows of each nested select, times those of the union.
    fn add<'a>(
        &'a self,
        focus: Item<'a>,
        cx: &Context<'a>,
        rows: &mut Rows<'a>,
    ) -> Result<(), EvalError> {
        if self.nested.is_empty() && self.unions.is_empty() {
            rows.count += 1;
            return self.cells(focus, cx, &mut rows.cells);
        }
        let parts = self.parts(focus, cx)?;
        let mut own = Rows::new(self.columns.len(), cx);
        self.cells(focus, cx, &mut own.cells)?;
        let total = count(&parts, self.end - self.start, rows.count)?;
        for n in 0..total {
            rows.cells.extend_from_slice(&own.cells);
            each_part(&parts, total, n, |part| rows.cells.extend_from_slice(part));
        }
        rows.count += total;
        Ok(())
    }

    /// The rows of each nested select, and those of the union: what is multiplied.
    pub(super) fn parts<'a>(
        &'a self,
        focus: Item<'a>,
        cx: &Context<'a>,
    ) -> Result<ArenaVec<'a, Rows<'a>>, EvalError> {
        let mut parts = ArenaVec::with_capacity_in(self.nested.len() + 1, cx.doc.arena);
        for nested in &self.nested {
            parts.push(nested.rows(focus, cx)?);
        }
        if let Some(first) = self.unions.first() {
            let mut union = Rows::new(first.end - first.start, cx);
            for branch in &self.unions {
                let found = branch.rows(focus, cx)?;
                union.cells.extend_from_slice(&found.cells);
                union.count += found.count;
                if union.cells.len().max(union.count) > MOST_CELLS {
                    return Err(too_many_rows());
                }
            }
            parts.push(union);
        }
        Ok(parts)
    }

    fn cells<'a>(
        &'a self,
        focus: Item<'a>,
        cx: &Context<'a>,
        cells: &mut ArenaVec<'a, Cell<'a>>,
    ) -> Result<(), EvalError> {
        let start = cells.len();
        for column in &self.columns {
            let cell = match column.same_as {
                Some(earlier) => cells[start + earlier],
                None => match column.expr.ready(cx) {
                    Some(ready) => Cell::Ready(ready),
                    None => Cell::Values(column.values(focus, cx)?),
                },
            };
            cells.push(cell);
        }
        Ok(())
    }

    /// One row of nulls, whatever is nested; only `%rowIndex` is 0 in it.
    fn add_null_row(&self, rows: &mut Rows<'_>) {
        let start = rows.cells.len();
        rows.cells.resize(start + self.end - self.start, Cell::Null);
        self.zero_row_indexes(self.start, &mut rows.cells[start..]);
        rows.count += 1;
    }

    fn zero_row_indexes(&self, origin: usize, row: &mut [Cell<'_>]) {
        for (i, column) in self.columns.iter().enumerate() {
            if column.expr.is_row_index() {
                row[self.start - origin + i] = Cell::Values(&ZERO);
            }
        }
        for inner in self.nested.iter().chain(self.unions.first()) {
            inner.zero_row_indexes(origin, row);
        }
    }
}

impl ColumnExpr {
    fn values<'a>(
        &'a self,
        focus: Item<'a>,
        cx: &Context<'a>,
    ) -> Result<&'a [Item<'a>], EvalError> {
        let values = self.expr.eval(focus, cx).map_err(|e| e.within(&self.text))?;
        if values.len() > 1 && !self.collection {
            return Err(several(self, values.len()));
        }
        Ok(values)
    }
}

fn several(column: &ColumnExpr, found: usize) -> EvalError {
    let message = format!(
        "column `{}` takes one value and found {found}; use `first()`, a `forEach`, or `collection`",
        column.name
    );
    EvalError { message, span: 0..0 }
}

/// Cells that one resource may make: half a gigabyte of them. Beyond it selects were multiplied that should have been
/// joined, and the rows would fill the memory.
const MOST_CELLS: usize = 32 << 20;

fn too_many_rows() -> EvalError {
    let message = "the selects multiply to more rows than one resource may make".to_owned();
    EvalError { message, span: 0..0 }
}

/// How many rows the Cartesian product of some parts has, where it makes `width` cells a row beside `before` rows.
pub(super) fn count(parts: &[Rows<'_>], width: usize, before: usize) -> Result<usize, EvalError> {
    let total = parts.iter().try_fold(1, |total: usize, part| total.checked_mul(part.count));
    let most = MOST_CELLS / width.max(1);
    let fits = |total: &usize| before.saturating_add(*total) <= most;
    total.filter(fits).ok_or_else(too_many_rows)
}

/// The cells that each part gives to the `n`-th of all rows of the product; the last part varies fastest.
pub(super) fn each_part<'a>(
    parts: &[Rows<'a>],
    total: usize,
    n: usize,
    mut each: impl FnMut(&[Cell<'a>]),
) {
    let mut repeats = total;
    for part in parts {
        // Most have one row, and a division takes long.
        if part.count == 1 {
            each(part.row(0));
        } else {
            repeats /= part.count;
            each(part.row(n / repeats % part.count));
        }
    }
}

/// No resource is nested deeper (the parser's own limit): whoever gets here goes in circles.
const DEEPEST: usize = 1024;

/// Nor does one have so many elements: paths that find the same element double it at every level.
const MOST_FOUND: usize = 1 << 20;

/// Pre-order: each found item before those found from it.
fn descend<'a>(
    paths: &'a [Expr],
    focus: Item<'a>,
    cx: &Context<'a>,
    depth: usize,
    found: &mut ArenaVec<'a, Item<'a>>,
) -> Result<(), EvalError> {
    for path in paths {
        for item in path.eval(focus, &Context { focus, ..*cx })? {
            if depth >= DEEPEST || found.len() >= MOST_FOUND {
                let message = "`repeat` finds the same element again and again".to_owned();
                return Err(EvalError { message, span: 0..0 });
            }
            found.push(*item);
            descend(paths, *item, cx, depth + 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Flattener, Source, View};
    use crate::fhirpath::{Environment, Temporal};

    /// The rows of a view on a resource, or why there are none.
    fn rows(view: &Value, resource: &Value) -> Result<usize, String> {
        let compiled = View::compile(view);
        let (view, _) = compiled.map_err(|problems| problems[0].message.clone())?;
        let now = Temporal::date_time("2026-01-01T00:00:00Z").unwrap();
        let mut flattener =
            Flattener::new(&view, false, Environment { now, bases: Vec::new(), key_prefix: None });
        let text = resource.to_string();
        let mut scratch = text.clone().into_bytes();
        let base = scratch.as_ptr().addr();
        let tape = simd_json::to_tape(&mut scratch).unwrap();
        let source = Source { nodes: &tape.0, root: 0, raw: text.as_bytes(), base };
        flattener.add(source).map_err(|e| e.message)?;
        Ok(flattener.finish().0.num_rows())
    }

    /// A questionnaire's item with others within it, one within the other: as deep as lines may be.
    fn deep_item() -> Value {
        (0..500).fold(json!({ "linkId": "x" }), |item, _| json!({ "linkId": "x", "item": [item] }))
    }

    #[test]
    fn deep_twins_are_compared_level_by_level() {
        let twins =
            json!({ "resourceType": "QuestionnaireResponse", "item": [deep_item(), deep_item()] });
        let select = json!([{ "forEach": "item.distinct()", "column": [{ "name": "l", "path": "linkId" }] }]);
        let view = json!({ "resource": "QuestionnaireResponse", "select": select });
        assert_eq!(rows(&view, &twins), Ok(1));
    }

    #[test]
    fn hostile_views_are_stopped() {
        let id = json!({ "column": [{ "name": "id", "path": "id" }] });
        let name = |n| json!({ "forEach": "name", "column": [{ "name": format!("n{n}"), "path": "text" }] });
        let names: Vec<_> = (0..60).map(name).collect();
        let item = json!({ "resourceType": "QuestionnaireResponse", "item": [deep_item()] });
        let twice =
            json!([{ "repeat": ["item", "item"], "column": [{ "name": "l", "path": "linkId" }] }]);
        let patient = json!({ "resourceType": "Patient", "name": [{}, {}] });
        for (view, resource, expected) in [
            (
                json!({ "resource": "Patient", "select": [{ "forEach": "name" }] }),
                &patient,
                "this select gives no column",
            ),
            (
                json!({ "resource": "Patient", "select": [id, { "select": names }] }),
                &patient,
                "the selects multiply to more rows than one resource may make",
            ),
            (
                json!({ "resource": "QuestionnaireResponse", "select": twice }),
                &item,
                "`repeat` finds the same element again and again: `item`, `item`",
            ),
            (
                json!({ "resource": "Patient", "constant": [{ "name": "c", "valueé": 1 }], "select": [id] }),
                &patient,
                "constant `c`: `valueé` is no type of value",
            ),
        ] {
            assert_eq!(rows(&view, resource), Err(expected.to_owned()), "{view}");
        }
    }
}
