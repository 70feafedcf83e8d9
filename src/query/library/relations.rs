//! Which relations a statement names: labels become the tables that they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, Value, Visit,
    VisitMut, Visitor, VisitorMut,
};

use super::Dependency;
use super::annotation::wrong;
use crate::error::Result;
use crate::query::statement::{Parsed, sql, sql_mut};

/// Refuses a `WITH` that takes the name of a label: which of them a table means would depend on where it stands.
pub(super) fn check_labels(statement: &Parsed, dependencies: &[Dependency]) -> Result<()> {
    let names = seen(statement).tables_made;
    match dependencies.iter().find(|d| names.contains(&d.label.to_lowercase())) {
        Some(twice) => Err(wrong(format!("`{}` is a label and also a table of WITH", twice.label))
            .hint("name one of them otherwise")),
        None => Ok(()),
    }
}

/// The parameters that a statement uses, without their colons.
pub(super) fn placeholders(statement: &Parsed) -> BTreeSet<String> {
    seen(statement).placeholders
}

#[derive(Default)]
struct Seen {
    tables_made: BTreeSet<String>,
    placeholders: BTreeSet<String>,
}

fn seen(statement: &Parsed) -> Seen {
    let mut seen = Seen::default();
    if let Some(sql) = sql(statement) {
        let _ = sql.visit(&mut seen);
    }
    seen
}

impl Visitor for Seen {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let made = query.with.iter().flat_map(|with| &with.cte_tables);
        self.tables_made.extend(made.map(|table| table.alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            self.placeholders.insert(name[1..].to_owned());
        }
        ControlFlow::Continue(())
    }
}

/// Puts the table in the place of each label. The label stays as its alias, so that `label.column` is right.
pub(super) fn rewrite(statement: &mut Parsed, targets: &BTreeMap<String, String>) {
    if let Some(sql) = sql_mut(statement) {
        let _ = sql.visit(&mut Rewrite(targets));
    }
}

struct Rewrite<'t>(&'t BTreeMap<String, String>);

impl VisitorMut for Rewrite<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor
            && let [ObjectNamePart::Identifier(label)] = &name.0[..]
            && let Some((_, target)) =
                self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(&label.value))
        {
            let label = label.clone();
            *name = ObjectName::from(vec![Ident::with_quote('"', target)]);
            alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: label,
                columns: Vec::new(),
                at: None,
            });
        }
        ControlFlow::Continue(())
    }
}
