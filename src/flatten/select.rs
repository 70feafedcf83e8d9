//! ViewDefinition to plan: expressions compiled, columns placed, every rule of the standard checked.

use serde_json::Value;

use super::cell_type::{CellType, Family, family, only_kind};
use super::column::Column;
use super::problem::Problem;
use super::view_definition::{
    ColumnDefinition, Constant, Expression, IterationDefinition, SelectDefinition,
};
use crate::fhirpath::{Compiler, Expr, Literal, Names, Static, SyntaxError, Temporal, decimal};

/// A select, compiled. Its rows fill the columns from `start` to `end`, in this order: its own, those of the nested
/// selects, those of the union (SQL on FHIR, "Column Ordering").
#[derive(Debug)]
pub(super) struct Select {
    pub(super) iteration: Iteration,
    pub(super) columns: Vec<ColumnExpr>,
    pub(super) nested: Vec<Select>,
    pub(super) unions: Vec<Select>,
    pub(super) start: usize,
    pub(super) end: usize,
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

/// The constants of a view, by name.
#[derive(Default)]
pub(super) struct Constants(Vec<(String, Literal)>);

impl Names for Constants {
    fn constant(&self, name: &str) -> Option<Literal> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    fn constants(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }
}

impl Constants {
    pub(super) fn read(definitions: &[Constant], problems: &mut Vec<Problem>) -> Self {
        let mut found = Self::default();
        for constant in definitions {
            if let Some(value) = literal(&constant.of, &constant.value) {
                found.0.push((constant.name.clone(), value));
            } else {
                let message =
                    format!("constant `{}` has no valid `{}`", constant.name, constant.of);
                problems.push(Problem::error(&constant.at, message));
            }
        }
        found
    }
}

/// The value of a constant: of the type that its key names, so that dates compare as dates.
fn literal(of: &str, value: &Value) -> Option<Literal> {
    let text = || {
        value.as_str().map(str::to_owned).or_else(|| value.is_number().then(|| value.to_string()))
    };
    Some(match of {
        "boolean" => Literal::Boolean(value.as_bool()?),
        "integer" | "positiveInt" | "unsignedInt" | "integer64" => {
            Literal::Integer(text()?.parse().ok()?)
        }
        "decimal" => Literal::Decimal(decimal(&text()?)?),
        "date" => Literal::Temporal(Temporal::date(value.as_str()?)?),
        "dateTime" | "instant" => Literal::Temporal(Temporal::date_time(value.as_str()?)?),
        "time" => Literal::Temporal(Temporal::time(value.as_str()?)?),
        "base64Binary" | "canonical" | "code" | "id" | "oid" | "string" | "uri" | "url"
        | "uuid" | "markdown" => Literal::String(value.as_str()?.into()),
        _ => return None,
    })
}

/// Compiles selects; columns are collected in the order of the table.
pub(super) struct Builder<'b> {
    pub(super) compiler: Compiler<'b>,
    pub(super) problems: &'b mut Vec<Problem>,
    pub(super) columns: Vec<Column>,
    pub(super) references: Vec<ReferencePath>,
}

impl Builder<'_> {
    /// The top of a view: its selects side by side.
    pub(super) fn root(&mut self, selects: &[SelectDefinition], focus: &Static) -> Select {
        let nested = selects.iter().map(|s| self.select(s, focus)).collect();
        let end = self.columns.len();
        Select {
            iteration: Iteration::Once,
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
        let columns = definition.columns.iter().filter_map(|c| self.column(c, &focus)).collect();
        let nested = definition.selects.iter().map(|s| self.select(s, &focus)).collect();
        let unions = self.unions(definition, &focus);
        Select { iteration, columns, nested, unions, start, end: self.columns.len() }
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
        if let Some(first) = paths.first() {
            self.note_doubts(first);
            self.note_references(first);
        }
        match compiled {
            Ok(paths) => {
                let kinds = paths.iter().flat_map(|p| p.gives.kinds.clone()).collect();
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
        self.note_doubts(expression);
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

    fn note_doubts(&mut self, expression: &Expression) {
        for doubt in self.compiler.take_doubts() {
            let problem = Problem::warning(&expression.at, doubt.message)
                .within(&expression.text, doubt.span);
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

    fn column(&mut self, definition: &ColumnDefinition, focus: &Static) -> Option<ColumnExpr> {
        let references = self.references.len();
        let compiled = self.expression(&definition.path, focus);
        for place in &mut self.references[references..] {
            place.column = Some(definition.name.clone());
        }
        let kinds = compiled.as_ref().map(|e| e.gives.kinds.clone()).unwrap_or_default();
        let column = Column {
            name: definition.name.clone(),
            description: definition.description.clone(),
            fhir_type: definition.of.clone().or_else(|| only_kind(&kinds)),
            cell: self.cell(definition, &kinds),
            collection: definition.collection,
        };
        if let Some(expr) = &compiled {
            self.check_type(definition, expr);
        }
        self.columns.push(column);
        let name = definition.name.clone();
        let text = definition.path.text.clone();
        compiled.map(|expr| ColumnExpr { expr, text, name, collection: definition.collection })
    }

    fn cell(&mut self, definition: &ColumnDefinition, kinds: &[crate::fhirpath::Kind]) -> CellType {
        if let Some(tag) = &definition.ansi_type {
            if let Some(cell) = CellType::of_ansi(tag) {
                return cell;
            }
            let problem = Problem::error(
                format!("{}.tag", definition.at),
                format!("`{tag}` is no type that Kiln knows"),
            );
            self.problems.push(problem.hint("BOOLEAN, INTEGER, BIGINT, DOUBLE PRECISION, DECIMAL(p,s), DATE, TIMESTAMP, TIMESTAMP WITH TIME ZONE or CHARACTER VARYING"));
        }
        definition.of.as_deref().map_or_else(|| CellType::of_kinds(kinds), CellType::of_fhir)
    }

    /// The declared type must be one that the path can give.
    fn check_type(&mut self, definition: &ColumnDefinition, expr: &Expr) {
        let Some(declared) = &definition.of else {
            return self.check_untyped(definition, expr);
        };
        if expr.gives.kinds.is_empty() {
            return;
        }
        let wanted = family(declared);
        let given: Vec<_> = expr.gives.kinds.iter().map(|k| k.name()).collect();
        if given.iter().any(|g| family(g) == wanted) {
            return;
        }
        let message = format!(
            "column `{}` is declared `{declared}`, but its path gives `{}`",
            definition.name,
            given.join("` or `")
        );
        // A text column can hold any primitive, as it is written.
        let severity =
            if wanted == Family::Text && given.iter().all(|g| family(g) != Family::Complex) {
                Problem::warning
            } else {
                Problem::error
            };
        self.problems.push(severity(format!("{}.type", definition.at), message));
    }

    /// "type … MUST be set if the value is not primitive": without it we cannot know that JSON is wanted.
    fn check_untyped(&mut self, definition: &ColumnDefinition, expr: &Expr) {
        if let [kind] = expr.gives.kinds.as_slice()
            && family(kind.name()) == Family::Complex
        {
            let message = format!(
                "column `{}` gives a `{}`, which is no single value",
                definition.name,
                kind.name()
            );
            let hint =
                "name one of its elements in the path, or declare the `type` to get its JSON";
            self.problems.push(Problem::warning(&definition.path.at, message).hint(hint));
        }
    }

    /// The branches of a union fill the same columns.
    fn unions(&mut self, definition: &SelectDefinition, focus: &Static) -> Vec<Select> {
        let start = self.columns.len();
        let mut first: Vec<Column> = Vec::new();
        let mut branches = Vec::new();
        for (i, branch) in definition.unions.iter().enumerate() {
            self.columns.truncate(start);
            branches.push(self.select(branch, focus));
            let columns = self.columns[start..].to_vec();
            if i == 0 {
                first = columns;
            } else {
                self.check_branch(&first, &columns, &branch.at);
            }
        }
        self.columns.truncate(start);
        self.columns.append(&mut first);
        branches
    }

    fn check_branch(&mut self, first: &[Column], other: &[Column], at: &str) {
        let names = |columns: &[Column]| {
            columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
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
        for (a, b) in first.iter().zip(other) {
            if (a.cell, a.collection) != (b.cell, b.collection) {
                let kind =
                    |c: &Column| c.fhir_type.clone().unwrap_or_else(|| format!("{:?}", c.cell));
                let message = format!(
                    "column `{}` is `{}` here and `{}` in the first branch",
                    a.name,
                    kind(b),
                    kind(a)
                );
                self.problems.push(Problem::error(at, message));
            }
        }
    }
}
