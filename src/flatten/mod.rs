//! ViewDefinition (as written) → [`View`] (checked and compiled) → rows of resources → record batches.
//!
//! A view knows its Arrow schema before any data is read. Flattening one resource cannot half-succeed: its rows are
//! complete before the first of them reaches a column.

mod cell_type;
mod column;
mod column_rules;
mod constant;
mod decimal;
mod problem;
mod read;
mod rows;
mod select;
#[cfg(test)]
mod tests;
mod view_definition;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bumpalo::Bump;
use serde_json::Value;
use simd_json::Node;

pub use cell_type::CellType;
pub use column::Column;
pub use problem::{Problem, Severity};
pub use select::ReferencePath;

use crate::fhir::{Type, Unresolvable};
use crate::fhirpath::{
    Compiler, Context, Document, Environment, EvalError, Expr, Item, Static, Trie, Unresolved,
};
use column::ColumnBuilder;
use constant::Constants;
use select::{Builder, PlacedColumn, Select};

/// The column that carries the resource's key in every table of a warehouse.
pub const KEY_COLUMN: &str = "_key";

/// A ViewDefinition, compiled.
#[derive(Debug)]
pub struct View {
    /// Name of the table; empty if the definition has none.
    pub name: String,
    /// What the table is for.
    pub description: Option<String>,
    /// The resource type it flattens.
    pub resource: Type,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Where it asks for the keys of references; [`Counts::unresolved`] is in this order.
    pub references: Vec<ReferencePath>,
    /// Criteria, with their text.
    filters: Vec<(Expr, String)>,
    /// The plain paths of the criteria: most resources that a criterion is asked about do not meet it, and are not
    /// walked for the rest.
    criteria: Trie,
    select: Select,
    /// The plain paths from the resource.
    trie: Trie,
}

impl View {
    /// Compiles a definition. Warnings come with the view; if there is an error, all problems come instead of it.
    pub fn compile(json: &Value) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = Vec::new();
        let definition = read::read(json, &mut problems);
        let known = resource_type(&definition.resource, &mut problems);
        // What does not depend on the type is checked without it too.
        let (Some(resource), focus) = (
            known.or_else(|| Type::named("Resource")),
            known.map_or_else(Static::unknown, Static::one),
        ) else {
            return Err(problems);
        };
        let constants = Constants::read(&definition.constants, &mut problems);
        let mut builder = Builder::new(Compiler::new(resource, &constants), &mut problems);
        let filter = |f| builder.filter(f, &focus).map(|expr| (expr, f.text.clone()));
        let mut filters: Vec<_> = definition.filters.iter().filter_map(filter).collect();
        let mut select = builder.root(&definition.selects, &focus);
        let (columns, references) = (builder.columns, builder.references);
        constants.check_use(&definition.constants, &mut problems);
        check_names(&columns, &mut problems);
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(problems);
        }
        let mut criteria = Trie::new(resource);
        for (filter, _) in &mut filters {
            filter.put_into(&mut criteria);
        }
        let mut trie = Trie::new(resource);
        select.put_into(&mut trie);
        let name = definition.name.unwrap_or_default();
        let columns = columns.into_iter().map(|c| c.column).collect();
        Ok((
            Self {
                name,
                description: definition.description,
                resource,
                columns,
                references,
                filters,
                criteria,
                select,
                trie,
            },
            problems,
        ))
    }

    /// The Arrow schema of its rows; with `key`, [`KEY_COLUMN`] comes first.
    pub fn schema(&self, key: bool) -> SchemaRef {
        let key = key.then(|| {
            let comment =
                ("comment".to_owned(), "key of the resource that the row comes from".to_owned());
            Field::new(KEY_COLUMN, DataType::Utf8, true).with_metadata([comment].into())
        });
        Arc::new(Schema::new(
            key.into_iter().chain(self.columns.iter().map(Column::field)).collect::<Vec<_>>(),
        ))
    }
}

fn resource_type(name: &str, problems: &mut Vec<Problem>) -> Option<Type> {
    let found = Type::named(name).filter(|t| t.is_resource());
    if found.is_none() && !name.is_empty() {
        problems.push(Problem::no_resource_type("resource", name));
    }
    found
}

/// Column names must differ (SQL on FHIR, "Column Ordering" and `ValidateColumns`); SQL does not see their case.
fn check_names(columns: &[PlacedColumn], problems: &mut Vec<Problem>) {
    for (i, PlacedColumn { column, at, .. }) in columns.iter().enumerate() {
        let is_same = |c: &&PlacedColumn| c.column.name.eq_ignore_ascii_case(&column.name);
        let Some(first) = columns[..i].iter().find(is_same) else { continue };
        if column.name.is_empty() {
            continue; // noted already
        }
        let message = format!("there are two columns `{}`", column.name);
        let hint = format!(
            "the first is `{}`; column names must differ within a view, by more than their case",
            first.at
        );
        problems.push(Problem::error(format!("{at}.name"), message).hint(hint));
    }
}

/// A resource as it comes from parsing.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The tape of the whole line.
    pub nodes: &'a [Node<'a>],
    /// Index of the resource's object on it.
    pub root: usize,
    /// The line as it was read.
    pub raw: &'a [u8],
    /// Address of the byte of the parsed copy that corresponds to `raw[0]`.
    pub base: usize,
}

/// What became of the resources given to a [`Flattener`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Resources that gave at least one row.
    pub with_rows: u64,
    /// Resources that gave none, by the view's rule.
    pub without_rows: u64,
    /// Resources on which the view failed; they are rejects.
    pub failed: u64,
    /// Rows.
    pub rows: u64,
    /// Values that the type of their column could not hold, by column; they became null.
    pub cast_failures: Vec<u64>,
    /// Resources with rows but without an id, so that their rows have no key. Not counted without a key column.
    pub without_id: u64,
    /// References that gave no key, by the view's [`View::references`] and by reason (in the order of
    /// [`crate::fhir::Unresolvable::ALL`]).
    pub unresolved: Vec<[u64; Unresolvable::ALL.len()]>,
}

impl Counts {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.with_rows += other.with_rows;
        self.without_rows += other.without_rows;
        self.failed += other.failed;
        self.rows += other.rows;
        self.cast_failures.resize(other.cast_failures.len().max(self.cast_failures.len()), 0);
        for (sum, n) in self.cast_failures.iter_mut().zip(&other.cast_failures) {
            *sum += n;
        }
        self.without_id += other.without_id;
        self.unresolved.resize(other.unresolved.len().max(self.unresolved.len()), [0; _]);
        for (sums, counts) in self.unresolved.iter_mut().zip(&other.unresolved) {
            for (sum, n) in sums.iter_mut().zip(counts) {
                *sum += n;
            }
        }
    }
}

/// Bytes of an arena that are kept from resource to resource.
const MOST_KEPT: usize = 8 << 20;

/// Flattens resources of one view on one thread: resources in, record batches out.
pub struct Flattener<'v> {
    view: &'v View,
    schema: SchemaRef,
    key: Option<StringBuilder>,
    builders: Vec<ColumnBuilder>,
    arena: Bump,
    environment: Environment,
    unresolved: Unresolved,
    rows: usize,
    counts: Counts,
}

impl<'v> Flattener<'v> {
    /// A flattener; with `key` its batches begin with [`KEY_COLUMN`].
    pub fn new(view: &'v View, key: bool, environment: Environment) -> Self {
        Self {
            view,
            schema: view.schema(key),
            key: key.then(StringBuilder::new),
            builders: view.columns.iter().map(ColumnBuilder::new).collect(),
            arena: Bump::new(),
            environment,
            unresolved: Unresolved::of(view.references.len()),
            rows: 0,
            counts: Counts::default(),
        }
    }

    /// Adds the rows of one resource. An error means that this resource gives no row of this view, and why.
    pub fn add(&mut self, source: Source<'_>) -> Result<(), EvalError> {
        // An arena keeps its room; that of an exceptional resource is given back.
        if self.arena.allocated_bytes() > MOST_KEPT {
            self.arena = Bump::new();
        }
        self.arena.reset();
        let Source { nodes, root, raw, base } = source;
        let doc = Document::new(nodes, root as u32, raw, base, &self.arena);
        let cx = Context::new(&doc, self.view.resource, &self.environment, &self.unresolved);
        let added = append(self.view, &cx, &mut self.builders);
        if let (Some(key), Ok(rows @ 1..)) = (&mut self.key, &added) {
            let id = doc.child(doc.root, "id").and_then(|id| doc.text(id));
            let resource = id.map(|id| cx.key(id));
            (0..*rows).for_each(|_| key.append_option(resource));
            self.counts.without_id += u64::from(id.is_none());
        }
        match added {
            Ok(0) => self.counts.without_rows += 1,
            Ok(_) => self.counts.with_rows += 1,
            Err(_) => self.counts.failed += 1,
        }
        self.rows += added.as_ref().copied().unwrap_or(0);
        added.map(|_| ())
    }

    /// The rows so far as a batch, and the counts so far; both begin anew.
    pub fn finish(&mut self) -> (RecordBatch, Counts) {
        let key = self.key.as_mut().map(|k| Arc::new(k.finish()) as ArrayRef);
        let arrays: Vec<_> =
            key.into_iter().chain(self.builders.iter_mut().map(ColumnBuilder::finish)).collect();
        let mut counts = std::mem::take(&mut self.counts);
        counts.rows = self.rows as u64;
        counts.cast_failures =
            self.builders.iter_mut().map(|b| std::mem::take(&mut b.cast_failures)).collect();
        counts.unresolved = self.unresolved.take();
        self.rows = 0;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays);
        (
            batch.expect(
                "each builder makes the type of its field, and all have a cell for each row",
            ),
            counts,
        )
    }
}

/// Evaluates the view on one resource and, if that succeeds, appends its rows.
fn append<'a>(
    view: &'a View,
    cx: &Context<'a>,
    builders: &mut [ColumnBuilder],
) -> Result<usize, EvalError> {
    if !is_wanted(view, cx)? {
        return Ok(0);
    }
    let cx = &cx.on(cx.focus, 0, Some(&view.trie));
    let parts = view.select.parts(cx.focus, cx)?;
    let count = rows::count(&parts, builders.len(), 0)?;
    for n in 0..count {
        let mut builders = builders.iter_mut();
        rows::each_part(&parts, count, n, |cells| {
            for (cell, builder) in cells.iter().zip(&mut builders) {
                builder.append(*cell, cx.doc);
            }
        });
    }
    Ok(count)
}

/// Whether a resource meets all criteria of the view.
fn is_wanted<'a>(view: &'a View, cx: &Context<'a>) -> Result<bool, EvalError> {
    let cx = cx.on(cx.focus, 0, Some(&view.criteria));
    for (filter, text) in &view.filters {
        if !passes(filter, &cx).map_err(|e| e.within(text))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A criterion must give a boolean; nothing counts as false (SQL on FHIR, "where").
fn passes<'a>(filter: &'a Expr, cx: &Context<'a>) -> Result<bool, EvalError> {
    match filter.eval(cx.focus, cx)? {
        [] => Ok(false),
        [one] => match one.system(cx.doc) {
            Some(Item::Boolean(b)) => Ok(b),
            _ => Err(EvalError {
                message: "`where` found a value that is no boolean".into(),
                span: 0..0,
            }),
        },
        _ => Err(EvalError { message: "`where` found several values".into(), span: 0..0 }),
    }
}
