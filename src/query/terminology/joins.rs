//! Calls of `in_valueset` and `subsumes` become joins: a semi or anti join for a condition of its own, otherwise a mark
//! join below, whose mark takes the place of the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, NullEquality, Result, TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    ExprSchemable, Filter, Join, JoinConstraint, JoinType, LogicalPlan, LogicalPlanBuilder, cast,
    lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;

use super::Terminology;
use super::functions::{Asked, Call};

/// The name of the column that a mark join adds.
const MARK: &str = "mark";

/// The rule of a session; relations were resolved before.
#[derive(Debug)]
pub(super) struct CallsToJoins {
    pub(super) terminology: Arc<Terminology>,
    /// How many joins were made: each has a name of its own.
    pub(super) made: AtomicUsize,
}

impl AnalyzerRule for CallsToJoins {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !self.terminology.is_asked() {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(|node| self.node(node)).map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "terminology_calls_to_joins"
    }
}

impl CallsToJoins {
    fn node(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        if !calls_in(&plan)? {
            return Ok(Transformed::no(plan));
        }
        let done = match plan {
            LogicalPlan::Filter(filter) => self.filter(filter)?,
            LogicalPlan::Join(join) => self.in_join(join)?,
            LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_) => self.marked(&plan)?,
            _ => return misplaced(),
        };
        Ok(Transformed::yes(done))
    }

    /// A condition that is a call, or its negation, keeps or drops rows by itself; others use marks.
    fn filter(&self, filter: Filter) -> Result<LogicalPlan> {
        let before = filter.input.schema().clone();
        let mut input = Arc::unwrap_or_clone(filter.input);
        let mut rest = Vec::new();
        for condition in split_conjunction_owned(filter.predicate) {
            match alone(&condition)? {
                Some((call, kind)) => input = self.sink(input, &call, kind)?,
                None => rest.push(condition),
            }
        }
        let Some(predicate) = conjunction(rest) else { return Ok(input) };
        let mut marks = Marks::new(self, input);
        let predicate = marks.replace(predicate)?;
        let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(marks.input))?);
        only(plan, &before)
    }

    /// Makes a semi or anti join as deep as its columns allow: below joins that only multiply rows.
    fn sink(&self, plan: LogicalPlan, call: &Call, kind: JoinType) -> Result<LogicalPlan> {
        use JoinType::{
            Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi,
        };
        match plan {
            LogicalPlan::Join(mut join) => {
                let left_rows =
                    matches!(join.join_type, Inner | Left | LeftSemi | LeftAnti | LeftMark);
                let right_rows =
                    matches!(join.join_type, Inner | Right | RightSemi | RightAnti | RightMark);
                if left_rows && call.reads_only(&join.left) {
                    join.left = Arc::new(self.sink(Arc::unwrap_or_clone(join.left), call, kind)?);
                } else if right_rows && call.reads_only(&join.right) {
                    join.right =
                        Arc::new(self.sink(Arc::unwrap_or_clone(join.right), call, kind)?);
                } else {
                    return self.join(LogicalPlan::Join(join), call, kind).map(|(plan, _)| plan);
                }
                Ok(LogicalPlan::Join(join))
            }
            plan => self.join(plan, call, kind).map(|(plan, _)| plan),
        }
    }

    /// The calls of an ON: each is worked out on the side that it reads. Of an inner join, conditions that are a call
    /// keep or drop rows of that side.
    fn in_join(&self, join: Join) -> Result<LogicalPlan> {
        let before = join.schema.clone();
        let inner = join.join_type == JoinType::Inner;
        let mut sides = [Arc::unwrap_or_clone(join.left), Arc::unwrap_or_clone(join.right)];
        let (mut rest, mut above) = (Vec::new(), Vec::new());
        for condition in join.filter.into_iter().flat_map(split_conjunction_owned) {
            let own = alone(&condition)?.filter(|_| inner);
            let side =
                own.as_ref().and_then(|(call, _)| sides.iter().position(|s| call.reads_only(s)));
            match (own, side) {
                (Some((call, kind)), Some(side)) => {
                    let plan = std::mem::replace(&mut sides[side], empty());
                    sides[side] = self.sink(plan, &call, kind)?;
                }
                _ if inner && reads_both(&condition, &sides)? => above.push(condition),
                _ => rest.push(condition),
            }
        }
        let [left, right] = sides;
        let mut marks = [Marks::new(self, left), Marks::new(self, right)];
        let rest =
            rest.into_iter().map(|c| replace_by_side(&mut marks, c)).collect::<Result<Vec<_>>>()?;
        let mut on = Vec::with_capacity(join.on.len());
        for (left, right) in join.on {
            on.push((marks[0].replace(left)?, marks[1].replace(right)?));
        }
        let [left, right] = marks.map(|marks| Arc::new(marks.input));
        let filter = conjunction(rest);
        let joined = Join::try_new(
            left,
            right,
            on,
            filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        let plan = only(LogicalPlan::Join(joined), &before)?;
        match conjunction(above) {
            Some(predicate) => self.filter(Filter::try_new(predicate, Arc::new(plan))?),
            None => Ok(plan),
        }
    }

    /// A node of one input whose expressions hold calls.
    fn marked(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let names = NamePreserver::new_for_projection();
        let sorts = matches!(plan, LogicalPlan::Sort(_));
        let mut marks = Marks::new(self, plan.inputs()[0].clone());
        let mut expressions = Vec::new();
        for expr in plan.expressions() {
            if matches!(expr, Expr::GroupingSet(_)) && Call::within(&expr)? {
                return misplaced();
            }
            let name = names.save(&expr);
            let replaced = marks.replace(expr)?;
            // What is sorted by has no name.
            expressions.push(if sorts { replaced } else { name.restore(replaced) });
        }
        let done = plan.with_new_exprs(expressions, vec![marks.input])?;
        only(done, plan.schema())
    }

    /// Joins a plan with the relation of a call; also gives the name that the relation has there.
    fn join(
        &self,
        left: LogicalPlan,
        call: &Call,
        kind: JoinType,
    ) -> Result<(LogicalPlan, String)> {
        let (name, table) = self.terminology.answer(&call.asked)?;
        let scanned = TableReference::bare(name);
        let mut right = LogicalPlanBuilder::scan(scanned.clone(), provider_as_source(table), None)?;
        let mut columns = Vec::new();
        let mut on = Vec::new();
        let alias = format!("__terminology_{}", self.made.fetch_add(1, Ordering::Relaxed) + 1);
        for (column, argument) in &call.keys {
            if argument.contains_outer() || has_subquery(argument)? {
                return plan_err!(
                    "the arguments of a terminology function are columns of the tables that stand beside it: compute it in a subquery of its own first"
                );
            }
            let of_relation = Expr::Column(Column::new(Some(scanned.clone()), *column));
            let data_type = argument.get_type(left.schema())?;
            let typed = cast(of_relation, data_type);
            if argument.column_refs().is_empty() {
                right = right.filter(typed.eq(argument.clone()))?;
            } else {
                columns.push(typed.alias(*column));
                let of_alias = Column::new(Some(TableReference::bare(alias.as_str())), *column);
                on.push((argument.clone(), Expr::Column(of_alias)));
            }
        }
        if columns.is_empty() {
            columns.push(lit(true).alias("found"));
        }
        let right = right.project(columns)?.alias(alias.as_str())?.build()?;
        let filter = on.is_empty().then(|| lit(true));
        let joined = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            filter,
            kind,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        Ok((LogicalPlan::Join(joined), alias))
    }
}

impl Call {
    /// Whether all columns of the arguments are of this plan.
    fn reads_only(&self, plan: &LogicalPlan) -> bool {
        self.keys
            .iter()
            .flat_map(|(_, argument)| argument.column_refs())
            .all(|c| plan.schema().has_column(c))
    }
}

/// Mark joins on top of an input, and the marks that stand for the calls so far.
struct Marks<'r> {
    rule: &'r CallsToJoins,
    input: LogicalPlan,
    known: Vec<(Expr, Expr)>,
}

impl<'r> Marks<'r> {
    fn new(rule: &'r CallsToJoins, input: LogicalPlan) -> Self {
        Self { rule, input, known: Vec::new() }
    }

    /// The expression with marks in place of calls.
    fn replace(&mut self, expr: Expr) -> Result<Expr> {
        let replaced = expr.transform_up(|expr| match Call::of(&expr)? {
            Some(call) => self.mark(expr, &call).map(Transformed::yes),
            None => Ok(Transformed::no(expr)),
        });
        replaced.map(|done| done.data)
    }

    fn mark(&mut self, expr: Expr, call: &Call) -> Result<Expr> {
        if let Some((_, mark)) = self.known.iter().find(|(known, _)| *known == expr) {
            return Ok(mark.clone());
        }
        let input = std::mem::replace(&mut self.input, empty());
        let (input, alias) = self.rule.join(input, call, JoinType::LeftMark)?;
        self.input = input;
        let mark = Expr::Column(Column::new(Some(TableReference::bare(alias)), MARK));
        self.known.push((expr, mark.clone()));
        Ok(mark)
    }
}

/// Replaces the calls of a condition of a join, each by a mark of the side that it reads.
fn replace_by_side(sides: &mut [Marks<'_>; 2], condition: Expr) -> Result<Expr> {
    let replaced = condition.transform_up(|expr| {
        let Some(call) = Call::of(&expr)? else { return Ok(Transformed::no(expr)) };
        let Some(side) = sides.iter().position(|side| call.reads_only(&side.input)) else {
            return plan_err!(
                "a terminology function in ON reads one side of an outer join: compute it in a subquery of that side"
            );
        };
        sides[side].mark(expr, &call).map(Transformed::yes)
    });
    replaced.map(|done| done.data)
}

/// Whether a call of the condition reads columns of both sides.
fn reads_both(condition: &Expr, sides: &[LogicalPlan; 2]) -> Result<bool> {
    condition.exists(|expr| {
        Ok(Call::of(expr)?.is_some_and(|call| !sides.iter().any(|side| call.reads_only(side))))
    })
}

/// The call that a condition is, alone or under NOT, and the join that it becomes.
fn alone(condition: &Expr) -> Result<Option<(Call, JoinType)>> {
    let (expr, kind) = match condition {
        Expr::Not(negated) => (&**negated, JoinType::LeftAnti),
        expr => (expr, JoinType::LeftSemi),
    };
    let Some(call) = Call::of(expr)? else { return Ok(None) };
    for (_, argument) in &call.keys {
        if Call::within(argument)? {
            return Ok(None);
        }
    }
    Ok(Some((call, kind)))
}

fn calls_in(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found = found || Call::within(expr)?;
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|e| {
        let is_query = matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_));
        Ok(is_query || matches!(e, Expr::SetComparison(_)))
    })
}

/// The plan with no more columns than there were before marks came in.
fn only(plan: LogicalPlan, before: &datafusion::common::DFSchema) -> Result<LogicalPlan> {
    if plan.schema().fields().len() == before.fields().len() {
        return Ok(plan);
    }
    let columns = before.columns().into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

fn empty() -> LogicalPlan {
    LogicalPlanBuilder::empty(false).build().unwrap_or_default()
}

fn misplaced<T>() -> Result<T> {
    plan_err!("a terminology function cannot be used here: compute it in a subquery first")
}

impl Terminology {
    /// The name and the table of what a call asks for.
    fn answer(
        &self,
        asked: &Asked,
    ) -> Result<(String, Arc<dyn datafusion::catalog::TableProvider>)> {
        let Some(table) = self.answered(asked) else {
            return plan_err!("`{asked}` was not looked up before the statement was planned");
        };
        Ok((asked.to_string(), table))
    }
}
