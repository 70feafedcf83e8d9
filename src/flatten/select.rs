//! ViewDefinition to plan: expressions compiled, columns placed, every rule of the standard checked.

use super::cell_type::{CellType, family, only_kind};
use super::column::Column;
use super::column_rules;
use super::problem::Problem;
use super::view_definition::{ColumnDefinition, Expression, IterationDefinition, SelectDefinition};
use crate::fhir::Type;
use crate::fhirpath::{Compiler, Expr, Kind, Static, SyntaxError, Trie};

/// A select, compiled. Its rows fill the columns from `start` to `end`, in this order: its own, those of the nested
/// selects, those of the union (SQL on FHIR, "Column Ordering").
#[derive(Debug)]
pub(super) struct Select {
    pub(super) iteration: Iteration,
    /// The plain paths from each item of the iteration; those of [`Iteration::Once`] are with whoever has its focus.
    pub(super) trie: Option<Trie>,
    pub(super) columns: Vec<ColumnExpr>,
    pub(super) nested: Vec<Select>,
    pub(super) unions: Vec<Select>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Select {
    /// Moves the plain paths of all expressions into the tries of their focuses; `outer` is that of the one around.
    pub(super) fn put_into(&mut self, outer: &mut Trie) {
        let mut inner = match &mut self.iteration {
            Iteration::Once => None,
            Iteration::ForEach { path, .. } => {
                path.put_into(outer);
                only_type(&path.gives).map(Trie::new)
            }
            Iteration::Repeat(paths, _) => match paths.as_slice() {
                [path] => only_type(&path.gives).map(Trie::new),
                _ => None,
            },
        };
        let once = matches!(self.iteration, Iteration::Once);
        let Some(trie) = (if once { Some(outer) } else { inner.as_mut() }) else { return };
        for column in &mut self.columns {
            column.expr.put_into(trie);
        }
        for select in self.nested.iter_mut().chain(&mut self.unions) {
            select.put_into(trie);
        }
        self.trie = inner;
    }
}

fn only_type(gives: &Static) -> Option<Type> {
    match gives.kinds.as_slice() {
        [Kind::Fhir(of)] => Some(*of),
        _ => None,
    }
}

/// A place where a view asks for the keys of references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencePath {
    /// The column, unless it is in a criterion or an iteration.
    pub column: Option<String>,
    /// The part of the expression, such as `subject.getReferenceKey(Patient)`.
    pub path: String,
}

/// What a column holds.
#[derive(Debug)]
pub(super) struct ColumnExpr {
    pub(super) expr: Expr,
    pub(super) text: String,
    pub(super) name: String,
    pub(super) collection: bool,
    /// The earlier column of the select with the same expression, whose cell is this one's too: a date is often wanted as
    /// text, as a day and as an instant.
    pub(super) same_as: Option<usize>,
}

/// What a select goes through.
#[derive(Debug)]
pub(super) enum Iteration {
    Once,
    ForEach {
        path: Expr,
        text: String,
        or_null: bool,
    },
    /// The paths, and their text together.
    Repeat(Vec<Expr>, String),
}

/// A column of the table, and where it was defined.
#[derive(Debug, Clone)]
pub(super) struct PlacedColumn {
    pub(super) column: Column,
    /// JSON path within the view.
    pub(super) at: String,
    /// Whether its path compiled: if not, its type says nothing.
    is_sound: bool,
}

/// Compiles selects; columns are collected in the order of the table.
pub(super) struct Builder<'b> {
    compiler: Compiler<'b>,
    problems: &'b mut Vec<Problem>,
    /// The columns so far.
    pub(super) columns: Vec<PlacedColumn>,
    /// Where they ask for the keys of references.
    pub(super) references: Vec<ReferencePath>,
    /// How many unions the select at hand is in.
    unions: usize,
}

impl<'b> Builder<'b> {
    pub(super) fn new(compiler: Compiler<'b>, problems: &'b mut Vec<Problem>) -> Self {
        Self { compiler, problems, columns: Vec::new(), references: Vec::new(), unions: 0 }
    }
}

impl Builder<'_> {
    /// The top of a view: its selects side by side.
    pub(super) fn root(&mut self, selects: &[SelectDefinition], focus: &Static) -> Select {
        let nested = selects.iter().map(|s| self.select(s, focus)).collect();
        let end = self.columns.len();
        Select {
            iteration: Iteration::Once,
            trie: None,
            columns: Vec::new(),
            nested,
            unions: Vec::new(),
            start: 0,
            end,
        }
    }

    fn select(&mut self, definition: &SelectDefinition, focus: &Static) -> Select {
        let start = self.columns.len();
        let (iteration, focus) = self.iteration(definition.iteration.as_ref(), focus);
        let mut columns = Vec::with_capacity(definition.columns.len());
        for column in &definition.columns {
            columns.extend(self.column(column, &focus, &columns));
        }
        let nested = definition.selects.iter().map(|s| self.select(s, &focus)).collect();
        let unions = self.unions(definition, &focus);
        Select { iteration, trie: None, columns, nested, unions, start, end: self.columns.len() }
    }

    fn iteration(
        &mut self,
        definition: Option<&IterationDefinition>,
        focus: &Static,
    ) -> (Iteration, Static) {
        match definition {
            None => (Iteration::Once, focus.clone()),
            Some(IterationDefinition::ForEach(path)) => self.for_each(path, false, focus),
            Some(IterationDefinition::ForEachOrNull(path)) => self.for_each(path, true, focus),
            Some(IterationDefinition::Repeat(paths)) => self.repeat(paths, focus),
        }
    }

    fn for_each(
        &mut self,
        expression: &Expression,
        or_null: bool,
        focus: &Static,
    ) -> (Iteration, Static) {
        match self.expression(expression, focus) {
            Some(path) => {
                let inner = Static { many: false, ..path.gives.clone() };
                (Iteration::ForEach { path, text: expression.text.clone(), or_null }, inner)
            }
            None => (Iteration::Once, Static::unknown()),
        }
    }

    fn repeat(&mut self, paths: &[Expression], focus: &Static) -> (Iteration, Static) {
        let texts: Vec<_> = paths.iter().map(|p| p.text.as_str()).collect();
        let compiled = self.compiler.compile_descent(&texts, focus);
        self.note_doubts(paths);
        paths.first().into_iter().for_each(|first| self.note_references(first));
        match compiled {
            Ok(paths) => {
                let mut kinds: Vec<_> = paths.iter().flat_map(|p| p.gives.kinds.clone()).collect();
                if paths.iter().any(|p| p.gives.kinds.is_empty()) {
                    kinds.clear();
                }
                (Iteration::Repeat(paths, texts.join("`, `")), Static { kinds, many: false })
            }
            Err((i, error)) => {
                self.refuse(&paths[i], error);
                (Iteration::Once, Static::unknown())
            }
        }
    }

    /// Compiles one expression, or notes why it cannot be; of an empty one that is noted already.
    pub(super) fn expression(&mut self, expression: &Expression, focus: &Static) -> Option<Expr> {
        if expression.text.trim().is_empty() {
            return None;
        }
        let compiled = self.compiler.compile(&expression.text, focus);
        self.note_doubts(std::slice::from_ref(expression));
        self.note_references(expression);
        match compiled {
            Ok(expr) => Some(expr),
            Err(error) => {
                self.refuse(expression, error);
                None
            }
        }
    }

    /// A criterion must be able to give a boolean (SQL on FHIR, "where").
    pub(super) fn filter(&mut self, criterion: &Expression, focus: &Static) -> Option<Expr> {
        let expr = self.expression(criterion, focus)?;
        let given: Vec<_> = expr.gives.kinds.iter().map(|k| k.name()).collect();
        if given.is_empty() || given.iter().any(|g| g.eq_ignore_ascii_case("boolean")) {
            return Some(expr);
        }
        let message =
            format!("`where` must be true or false, but this gives `{}`", given.join("` or `"));
        let problem =
            Problem::error(&criterion.at, message).within(&criterion.text, 0..criterion.text.len());
        self.problems.push(problem.hint("compare it with something, or ask whether it `exists()`"));
        None
    }

    /// Notes what the compiler doubts in one of some expressions: in that which has the name it speaks of there.
    fn note_doubts(&mut self, expressions: &[Expression]) {
        for doubt in self.compiler.take_doubts() {
            let is_in = |e: &&Expression| {
                let name = e.text.get(doubt.span.clone());
                name.is_some_and(|name| doubt.message.contains(&format!("`{name}`")))
            };
            let Some(of) = expressions.iter().find(is_in).or(expressions.first()) else { return };
            let problem = Problem::warning(&of.at, doubt.message).within(&of.text, doubt.span);
            self.problems.push(Problem { hint: doubt.hint, ..problem });
        }
    }

    /// Names the places, among those of the whole view, where this expression asks for keys.
    fn note_references(&mut self, expression: &Expression) {
        for span in &self.compiler.reference_keys()[self.references.len()..] {
            let path = expression.text.get(span.clone()).unwrap_or(&expression.text).to_owned();
            self.references.push(ReferencePath { column: None, path });
        }
    }

    fn refuse(&mut self, expression: &Expression, error: SyntaxError) {
        let problem =
            Problem::error(&expression.at, error.message).within(&expression.text, error.span);
        self.problems.push(Problem { hint: error.hint, ..problem });
    }

    fn column(
        &mut self,
        definition: &ColumnDefinition,
        focus: &Static,
        before: &[ColumnExpr],
    ) -> Option<ColumnExpr> {
        let references = self.references.len();
        let compiled = self.expression(&definition.path, focus);
        for place in &mut self.references[references..] {
            place.column = Some(definition.name.clone());
        }
        let kinds = compiled.as_ref().map(|e| e.gives.kinds.clone()).unwrap_or_default();
        let declared = column_rules::declared(definition, self.problems);
        if let Some(expr) = &compiled {
            column_rules::check(definition, declared.as_deref(), &expr.gives, self.problems);
            // Branches of a union must be lists alike.
            if self.unions == 0 {
                column_rules::check_collection(definition, &expr.gives, self.problems);
            }
        }
        let column = Column {
            name: definition.name.clone(),
            description: definition.description.clone(),
            cell: self.cell(definition, declared.as_deref(), &kinds),
            fhir_type: declared.or_else(|| only_kind(&kinds)),
            collection: definition.collection,
        };
        let is_sound = compiled.is_some();
        self.columns.push(PlacedColumn { column, at: definition.at.clone(), is_sound });
        let (name, collection) = (definition.name.clone(), definition.collection);
        let text = definition.path.text.clone();
        // References without a key are counted for each place that asks.
        let asks = self.references.len() > references;
        let is_same = |c: &ColumnExpr| !asks && c.text == text && c.collection == collection;
        let same_as = before.iter().position(is_same);
        compiled.map(|expr| ColumnExpr { expr, text, name, collection, same_as })
    }

    fn cell(
        &mut self,
        definition: &ColumnDefinition,
        declared: Option<&str>,
        kinds: &[Kind],
    ) -> CellType {
        if let Some((tag, at)) = &definition.ansi_type {
            if let Some(cell) = CellType::of_ansi(tag) {
                return cell;
            }
            let problem = Problem::error(at, format!("`{tag}` is no type that Kiln knows"));
            self.problems.push(problem.hint("BOOLEAN, INTEGER, BIGINT, DOUBLE PRECISION, DECIMAL(p,s), DATE, TIMESTAMP, TIMESTAMP WITH TIME ZONE or CHARACTER VARYING"));
        }
        declared.map_or_else(|| CellType::of_kinds(kinds), CellType::of_fhir)
    }

    /// The branches of a union fill the same columns.
    fn unions(&mut self, definition: &SelectDefinition, focus: &Static) -> Vec<Select> {
        let start = self.columns.len();
        let mut first: Vec<PlacedColumn> = Vec::new();
        let mut branches = Vec::new();
        self.unions += 1;
        for (i, branch) in definition.unions.iter().enumerate() {
            self.columns.truncate(start);
            branches.push(self.select(branch, focus));
            let columns = self.columns.split_off(start);
            if i == 0 {
                first = columns;
            } else {
                self.check_branch(&first, &columns, &branch.at);
            }
        }
        self.unions -= 1;
        self.columns.append(&mut first);
        branches
    }

    fn check_branch(&mut self, first: &[PlacedColumn], other: &[PlacedColumn], at: &str) {
        let names = |columns: &[PlacedColumn]| {
            columns.iter().map(|c| c.column.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        if names(first) != names(other) {
            let message = format!(
                "the columns of this branch ({}) are not those of the first ({})",
                names(other),
                names(first)
            );
            let hint = "all branches of `unionAll` need the same columns in the same order";
            self.problems.push(Problem::error(at, message).hint(hint));
            return;
        }
        for (a, b) in first.iter().zip(other).filter(|(a, b)| a.is_sound && b.is_sound) {
            if !are_alike(&a.column, &b.column) {
                let message = format!(
                    "column `{}` is {} here and {} in the first branch",
                    a.column.name,
                    kind(&b.column),
                    kind(&a.column)
                );
                let hint = "all branches of `unionAll` need columns of the same types";
                self.problems.push(Problem::error(&b.at, message).hint(hint));
            }
        }
    }
}

/// Whether two columns can be one: texts of several kinds can, a text and a date or JSON cannot.
fn are_alike(a: &Column, b: &Column) -> bool {
    let same_types = match (&a.fhir_type, &b.fhir_type) {
        _ if a.cell != CellType::Text => true,
        (Some(a), Some(b)) => family(a) == family(b) && column_rules::share_json(a, b),
        _ => true,
    };
    (a.cell, a.collection) == (b.cell, b.collection) && same_types
}

fn kind(column: &Column) -> String {
    let of = column.fhir_type.clone().unwrap_or_else(|| format!("{:?}", column.cell));
    if column.collection { format!("a list of `{of}`") } else { format!("`{of}`") }
}
