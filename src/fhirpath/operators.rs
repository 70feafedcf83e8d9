//! FHIRPath's operators (N1, "Operations").

use std::cmp::Ordering;
use std::ops::Range;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::eval::{Context, Evaluated, fail, singleton_boolean};
use super::expr::{Expr, Operator};
use super::value::{Collection, Item, QuantityRef, as_decimal, compare, equal};

/// Evaluates both sides as the operator needs them, and applies it.
pub(super) fn apply<'a>(
    operator: Operator,
    left: &'a Expr,
    right: &'a Expr,
    this: Item<'a>,
    cx: &Context<'a>,
    span: &'a Range<usize>,
) -> Evaluated<'a> {
    use Operator as O;
    match operator {
        O::And | O::Or | O::Xor | O::Implies => logic(operator, left, right, this, cx),
        _ => {
            let (left, right) = (left.eval(this, cx)?, right.eval(this, cx)?);
            match operator {
                O::Equal => Ok(cx.boolean(equal_lists(left, right, cx))),
                O::NotEqual => Ok(cx.boolean(equal_lists(left, right, cx).map(|e| !e))),
                O::Equivalent => Ok(cx.boolean(Some(equivalent(left, right, cx)))),
                O::NotEquivalent => Ok(cx.boolean(Some(!equivalent(left, right, cx)))),
                O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
                    order(operator, left, right, cx, span)
                }
                O::Union => Ok(distinct(left.iter().chain(right), cx)),
                O::In => membership(left, right, cx, span),
                O::Contains => membership(right, left, cx, span),
                O::Concatenate => concatenate(left, right, cx, span),
                _ => arithmetic(operator, left, right, cx, span),
            }
        }
    }
}

/// Three-valued logic; the right side is not looked at where the left decides.
fn logic<'a>(
    operator: Operator,
    left: &'a Expr,
    right: &'a Expr,
    this: Item<'a>,
    cx: &Context<'a>,
) -> Evaluated<'a> {
    let a = left.condition(this, cx)?;
    match (operator, a) {
        (Operator::And, Some(false)) => return Ok(cx.boolean(Some(false))),
        (Operator::Or, Some(true)) | (Operator::Implies, Some(false)) => {
            return Ok(cx.boolean(Some(true)));
        }
        _ => {}
    }
    let b = right.condition(this, cx)?;
    Ok(cx.boolean(match (operator, a, b) {
        (Operator::And, _, Some(false)) => Some(false),
        (Operator::Or | Operator::Implies, _, Some(true)) => Some(true),
        (Operator::And | Operator::Implies, Some(true), b) | (Operator::Or, Some(false), b) => b,
        (Operator::Xor, Some(a), Some(b)) => Some(a != b),
        _ => None,
    }))
}

/// `=`: empty if a side is empty; else same length and all items equal in order.
fn equal_lists<'a>(left: Collection<'a>, right: Collection<'a>, cx: &Context<'a>) -> Option<bool> {
    if left.is_empty() || right.is_empty() {
        return None;
    }
    if left.len() != right.len() {
        return Some(false);
    }
    let mut known = Some(true);
    for (a, b) in left.iter().zip(right) {
        match equal(*a, *b, cx.doc) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = None,
        }
    }
    known
}

/// `~`: empty equals empty, order and letter case do not matter, decimals are compared at the lesser precision.
fn equivalent<'a>(left: Collection<'a>, right: Collection<'a>, cx: &Context<'a>) -> bool {
    let mut unmatched: Vec<_> = right.iter().collect();
    left.len() == right.len()
        && left.iter().all(|a| {
            let found = unmatched.iter().position(|b| equivalent_items(*a, **b, cx));
            found.map(|i| unmatched.swap_remove(i)).is_some()
        })
}

fn equivalent_items<'a>(a: Item<'a>, b: Item<'a>, cx: &Context<'a>) -> bool {
    match (a.system(cx.doc), b.system(cx.doc)) {
        (Some(Item::String(x)), Some(Item::String(y))) => fold(x) == fold(y),
        (Some(Item::Decimal(x)), Some(Item::Decimal(y))) => {
            let scale = x.scale().min(y.scale());
            x.round_dp(scale) == y.round_dp(scale)
        }
        (Some(Item::Temporal(x)), Some(Item::Temporal(y))) => {
            x.compare(&y) == Some(Ordering::Equal)
        }
        _ => equal(a, b, cx.doc) == Some(true),
    }
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn order<'a>(
    operator: Operator,
    left: Collection<'a>,
    right: Collection<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    let (Some(a), Some(b)) = (single(left, span)?, single(right, span)?) else { return Ok(&[]) };
    let order = match compare(a, b, cx.doc) {
        Ok(order) => order,
        Err(message) => return fail(span, message),
    };
    Ok(cx.boolean(order.map(|o| match operator {
        Operator::Less => o == Ordering::Less,
        Operator::LessOrEqual => o != Ordering::Greater,
        Operator::Greater => o == Ordering::Greater,
        _ => o != Ordering::Less,
    })))
}

/// The only item, if there is one; several are an error.
pub(super) fn single<'a>(
    values: Collection<'a>,
    span: &Range<usize>,
) -> Evaluated<'a, Option<Item<'a>>> {
    match values {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => fail(span, "a single value is wanted here, there are several"),
    }
}

/// Items without those that are equal to an earlier one.
pub(super) fn distinct<'a, 'i>(
    items: impl Iterator<Item = &'i Item<'a>>,
    cx: &Context<'a>,
) -> Collection<'a>
where
    'a: 'i,
{
    let mut kept = cx.list();
    for item in items {
        if !kept.iter().any(|k| equal(*k, *item, cx.doc) == Some(true)) {
            kept.push(*item);
        }
    }
    kept.into_bump_slice()
}

/// `item in list`: empty without an item.
fn membership<'a>(
    item: Collection<'a>,
    list: Collection<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    let Some(item) = single(item, span)? else { return Ok(&[]) };
    Ok(cx.boolean(Some(list.iter().any(|l| equal(item, *l, cx.doc) == Some(true)))))
}

/// `&`: nothing counts as the empty text.
fn concatenate<'a>(
    left: Collection<'a>,
    right: Collection<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    let text = |side| -> Evaluated<'a, &'a str> {
        match single(side, span)? {
            None => Ok(""),
            Some(item) => match item.text(cx.doc) {
                Some(text) => Ok(text),
                None if item.system(cx.doc).is_none() => Ok(""),
                None => fail(span, "`&` joins texts; `toString()` makes one"),
            },
        }
    };
    let joined = [text(left)?, text(right)?].concat();
    Ok(cx.one(cx.string(&joined)))
}

/// `-x`
pub(super) fn negate<'a>(
    operand: Collection<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    let Some(value) = single(operand, span)?.and_then(|i| i.system(cx.doc)) else { return Ok(&[]) };
    match value {
        Item::Integer(n) => Ok(cx.one(Item::Integer(-n))),
        Item::Decimal(d) => Ok(cx.one(Item::Decimal(-d))),
        Item::Quantity(q) => Ok(cx.one(Item::Quantity(QuantityRef { value: -q.value, ..q }))),
        _ => fail(span, "only numbers have a negative"),
    }
}

/// `+ - * / div mod`; a result that does not fit is empty (N1, "Math").
fn arithmetic<'a>(
    operator: Operator,
    left: Collection<'a>,
    right: Collection<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    let (Some(a), Some(b)) = (single(left, span)?, single(right, span)?) else { return Ok(&[]) };
    let (Some(a), Some(b)) = (a.system(cx.doc), b.system(cx.doc)) else { return Ok(&[]) };
    let result = match (a, b) {
        (Item::String(x), Item::String(y)) if operator == Operator::Plus => {
            Some(cx.string(&[x, y].concat()))
        }
        (Item::Temporal(t), Item::Quantity(q)) => moved(operator, t, q),
        (Item::Integer(x), Item::Integer(y)) => integers(operator, x, y),
        (Item::Quantity(x), Item::Quantity(y)) => quantities(operator, x, y),
        _ => match (as_decimal(a), as_decimal(b)) {
            (Some(x), Some(y)) => decimals(operator, x, y),
            _ => return fail(span, "these types cannot be combined by this operator"),
        },
    };
    Ok(result.map_or(&[], |item| cx.one(item)))
}

fn moved<'a>(
    operator: Operator,
    t: super::temporal::Temporal,
    q: QuantityRef<'_>,
) -> Option<Item<'a>> {
    let amount = q.value.trunc().to_i64()?;
    let amount = match operator {
        Operator::Plus => amount,
        Operator::Minus => -amount,
        _ => return None,
    };
    t.plus(amount, q.unit).map(Item::Temporal)
}

fn integers<'a>(operator: Operator, a: i64, b: i64) -> Option<Item<'a>> {
    let whole = match operator {
        Operator::Plus => a.checked_add(b),
        Operator::Minus => a.checked_sub(b),
        Operator::Times => a.checked_mul(b),
        Operator::Div => a.checked_div(b),
        Operator::Mod => a.checked_rem(b),
        _ => return decimals(operator, a.into(), b.into()),
    };
    whole.map(Item::Integer)
}

fn decimals<'a>(operator: Operator, a: Decimal, b: Decimal) -> Option<Item<'a>> {
    let number = match operator {
        Operator::Plus => a.checked_add(b),
        Operator::Minus => a.checked_sub(b),
        Operator::Times => a.checked_mul(b),
        Operator::Divide => a.checked_div(b).map(|d| d.normalize()),
        Operator::Div => return a.checked_div(b)?.trunc().to_i64().map(Item::Integer),
        _ => a.checked_rem(b),
    };
    number.map(Item::Decimal)
}

fn quantities<'a>(operator: Operator, a: QuantityRef<'a>, b: QuantityRef<'a>) -> Option<Item<'a>> {
    let value = match operator {
        Operator::Plus if a.unit == b.unit => a.value.checked_add(b.value),
        Operator::Minus if a.unit == b.unit => a.value.checked_sub(b.value),
        Operator::Divide if a.unit == b.unit => {
            return Some(Item::Quantity(QuantityRef {
                value: a.value.checked_div(b.value)?,
                unit: "1",
            }));
        }
        _ => None,
    };
    value.map(|value| Item::Quantity(QuantityRef { value, ..a }))
}

/// Whether a criterion holds: exactly one value, and that true.
pub(super) fn holds<'a>(
    criterion: &'a Expr,
    item: Item<'a>,
    cx: &Context<'a>,
) -> Evaluated<'a, bool> {
    Ok(singleton_boolean(criterion.eval(item, cx)?, cx.doc, &criterion.span)? == Some(true))
}
