//! Calls that need not see all of their input: `exists(criterion)` of a path, and the `first()` of `where(criterion)`.

use std::ops::Range;

use super::eval::{Context, Evaluated};
use super::expr::{Expr, ExprKind, Operator, Static, Step};
use super::functions::Function;
use super::operators::holds;
use super::steps::first_of;
use super::value::{Collection, Item};
use super::walk;

/// `exists(criterion)`.
pub(super) fn exists(
    input: Expr,
    criterion: Expr,
    function: &'static Function,
    span: Range<usize>,
    gives: Static,
) -> Expr {
    let kind = match input.kind {
        ExprKind::Path { input, steps, first: false } => {
            ExprKind::Exists { input, steps, criterion: Box::new(criterion) }
        }
        _ => ExprKind::Call { function, input: Box::new(input), arguments: vec![criterion] },
    };
    Expr { kind, span, gives }
}

/// `first()` of `input`, if that is a path or a `where()` that can stop at the first item; else `input` again.
pub(super) fn first(mut input: Expr, span: Range<usize>) -> Result<Expr, Expr> {
    let gives = input.gives.clone().single();
    match input.kind {
        ExprKind::Path { first: false, .. } => Ok(first_of(input, span)),
        ExprKind::Call { function, input, mut arguments }
            if function.name == "where" && arguments.iter().all(Expr::cannot_fail) =>
        {
            let criterion = Box::new(arguments.remove(0));
            Ok(Expr { kind: ExprKind::FirstWhere { input, criterion }, span, gives })
        }
        kind => {
            input.kind = kind;
            Err(input)
        }
    }
}

impl Expr {
    /// Whether no resource makes it fail: only then may items be left unseen on which it would.
    fn cannot_fail(&self) -> bool {
        use Operator as O;
        match &self.kind {
            ExprKind::Exists { input, criterion, .. } => input.is_this() && criterion.cannot_fail(),
            ExprKind::Binary { operator: O::Equal | O::NotEqual, left, right } => {
                let is_path = matches!(&left.kind, ExprKind::Path { input, .. } if input.is_this());
                is_path && matches!(right.kind, ExprKind::Literal(_))
            }
            ExprKind::Binary { operator: O::And | O::Or, left, right } => {
                left.cannot_fail() && right.cannot_fail()
            }
            _ => false,
        }
    }

    fn is_this(&self) -> bool {
        matches!(self.kind, ExprKind::This)
    }
}

/// Whether a value at the end of a path meets a criterion.
pub(super) fn any<'a>(
    input: &'a Expr,
    steps: &'a [Step],
    criterion: &'a Expr,
    this: Item<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    cx.room(0, span)?;
    let (mut index, mut held) = (0, Ok(false));
    walk::visit(input, steps, this, cx, &mut |item| {
        held = holds(criterion, item, &Context { index, ..*cx });
        index += 1;
        held == Ok(false)
    })?;
    held.map(|held| cx.boolean(Some(held)))
}

/// The first item that meets a criterion.
pub(super) fn find<'a>(
    items: Collection<'a>,
    criterion: &'a Expr,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    cx.room(0, span)?;
    for (index, item) in items.iter().enumerate() {
        if holds(criterion, *item, &Context { index: index as i64, ..*cx })? {
            return Ok(std::slice::from_ref(item));
        }
    }
    Ok(&[])
}
