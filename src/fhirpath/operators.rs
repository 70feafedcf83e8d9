//! FHIRPath's operators (N1, "Operations").

use std::cmp::Ordering;
use std::ops::Range;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::compare::{as_quantity, compare, equal, equivalent, every, lacks_value, matched};
use super::eval::{Context, Evaluated, fail, singleton_boolean};
use super::expr::{Expr, ExprKind, Operator};
use super::value::{Collection, Item, QuantityRef, as_decimal};
use super::walk;
use crate::temporal::Temporal;
use crate::ucum;

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
        O::Equal if let Some(equal) = with_literal(left, right, this, cx)? => Ok(equal),
        _ => {
            let (left, right) = (left.eval(this, cx)?, right.eval(this, cx)?);
            match operator {
                O::Equal => Ok(cx.boolean(equal_lists(left, right, cx))),
                O::NotEqual => Ok(cx.boolean(equal_lists(left, right, cx).map(|e| !e))),
                O::Equivalent => Ok(cx.boolean(equivalent_lists(left, right, cx))),
                O::NotEquivalent => Ok(cx.boolean(equivalent_lists(left, right, cx).map(|e| !e))),
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

/// `path = 'text'`: the values of the path are compared without being collected. `None` for other operands.
fn with_literal<'a>(
    left: &'a Expr,
    right: &'a Expr,
    this: Item<'a>,
    cx: &Context<'a>,
) -> Evaluated<'a, Option<Collection<'a>>> {
    let (ExprKind::Path { input, steps, first }, ExprKind::Literal(literal)) =
        (&left.kind, &right.kind)
    else {
        return Ok(None);
    };
    let (mut found, mut equals) = (0, None);
    walk::visit(input, steps, this, cx, &mut |item| {
        found += 1;
        // Two values are not equal to one.
        equals = if found == 1 { equal(item, literal.item(), cx.doc) } else { Some(false) };
        found == 1 && !first
    })?;
    Ok(Some(cx.boolean(equals)))
}

/// `=`: empty if a side is empty; else same length and all items equal in order.
fn equal_lists<'a>(left: Collection<'a>, right: Collection<'a>, cx: &Context<'a>) -> Option<bool> {
    if left.is_empty() || right.is_empty() {
        return None;
    }
    if left.len() != right.len() {
        return Some(false);
    }
    every(left.iter().zip(right).map(|(a, b)| equal(*a, *b, cx.doc)))
}

/// `~`: empty is equivalent to empty, and order does not matter.
fn equivalent_lists<'a>(
    left: Collection<'a>,
    right: Collection<'a>,
    cx: &Context<'a>,
) -> Option<bool> {
    if let ([a], [b]) = (left, right) {
        return equivalent(*a, *b, cx.doc);
    }
    let same = |a, b| equivalent(a, b, cx.doc) == Some(true);
    Some(left.len() == right.len() && matched(left, right, same))
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
                None if value(item, cx, span)?.is_none() => Ok(""),
                None => fail(span, "`&` joins texts; `toString()` makes one"),
            },
        }
    };
    let (left, right) = (text(left)?, text(right)?);
    cx.room(left.len() + right.len(), span)?;
    let joined = [left, right].concat();
    Ok(cx.one(cx.string(&joined)))
}

/// What an operator or function calculates with: the value behind an item, empty for a primitive that has none.
/// Numbers of more digits than a Decimal holds are refused: no digit may be lost unseen.
pub(super) fn value<'a>(
    item: Item<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a, Option<Item<'a>>> {
    if let Some(value) = item.system(cx.doc) {
        return Ok(Some(value));
    }
    if item.written_number(cx.doc).is_some() {
        return fail(span, "the number has more digits than can be calculated with (28)");
    }
    if lacks_value(item, cx.doc) {
        return Ok(None);
    }
    fail(span, "a simple value is wanted here, not one with elements")
}

/// `-x`
pub(super) fn negate<'a>(
    operand: Collection<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a> {
    let Some(item) = single(operand, span)? else { return Ok(&[]) };
    let negative = match value(item, cx, span)? {
        None => None,
        Some(Item::Integer(n)) => n.checked_neg().map(Item::Integer),
        Some(Item::Decimal(d)) => Some(Item::Decimal(-d)),
        Some(Item::Quantity(q)) => Some(Item::Quantity(QuantityRef { value: -q.value, ..q })),
        Some(_) => return fail(span, "only numbers have a negative"),
    };
    Ok(negative.map_or(&[], |item| cx.one(item)))
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
    Ok(combine(operator, a, b, cx, span)?.map_or(&[], |item| cx.one(item)))
}

/// Arithmetic on two items; empty where a value is missing, or the result does not fit.
pub(super) fn combine<'a>(
    operator: Operator,
    first: Item<'a>,
    second: Item<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a, Option<Item<'a>>> {
    let (Some(left), Some(right)) = (value(first, cx, span)?, value(second, cx, span)?) else {
        return Ok(None);
    };
    match (left, right) {
        (Item::String(head), Item::String(tail)) if operator == Operator::Plus => {
            cx.room(head.len() + tail.len(), span)?;
            Ok(Some(cx.string(&[head, tail].concat())))
        }
        (Item::Temporal(t), Item::Quantity(q)) => moved(operator, t, time_span(second, q), span),
        (Item::Integer(x), Item::Integer(y)) => Ok(integers(operator, x, y)),
        _ => match (as_decimal(left), as_decimal(right)) {
            (Some(x), Some(y)) => Ok(decimals(operator, x, y)),
            _ => match (as_quantity(left), as_quantity(right)) {
                (Some(x), Some(y)) => quantities(operator, x, y, cx, span),
                _ => fail(span, NOT_COMBINED),
            },
        },
    }
}

const NOT_COMBINED: &str = "these types cannot be combined by this operator";

/// FHIR writes calendar units in UCUM's codes (FHIR, "FHIRPath: Use of FHIR Quantity"): an element's `a` is a year.
fn time_span<'a>(from: Item<'a>, q: QuantityRef<'a>) -> QuantityRef<'a> {
    let word = if matches!(from, Item::Element(_)) { ucum::calendar_of(q.unit) } else { None };
    QuantityRef { unit: word.unwrap_or(q.unit), ..q }
}

fn moved<'a>(
    operator: Operator,
    t: Temporal,
    q: QuantityRef<'_>,
    span: &Range<usize>,
) -> Evaluated<'a, Option<Item<'a>>> {
    let amount = match operator {
        Operator::Plus => q.value,
        Operator::Minus => -q.value,
        _ => return fail(span, NOT_COMBINED),
    };
    match t.plus(amount, q.unit) {
        Ok(moved) => Ok(Some(Item::Temporal(moved))),
        Err(why) => fail(span, why),
    }
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

/// Sums take the unit of the left side; a plain number takes that of the other.
fn quantities<'a>(
    operator: Operator,
    a: QuantityRef<'a>,
    b: QuantityRef<'a>,
    cx: &Context<'a>,
    span: &Range<usize>,
) -> Evaluated<'a, Option<Item<'a>>> {
    let result = match operator {
        Operator::Plus => sum(a, b),
        Operator::Minus => sum(a, QuantityRef { value: -b.value, ..b }),
        Operator::Times => product(a, b, a.value.checked_mul(b.value), 1, cx),
        Operator::Divide => {
            product(a, b, a.value.checked_div(b.value).map(|d| d.normalize()), -1, cx)
        }
        _ => return fail(span, NOT_COMBINED),
    };
    Ok(result.map(Item::Quantity))
}

fn sum<'a>(a: QuantityRef<'a>, b: QuantityRef<'a>) -> Option<QuantityRef<'a>> {
    let unit = if a.unit == "1" { b.unit } else { a.unit };
    let right = if b.unit == unit || b.unit == "1" {
        b.value
    } else if ucum::is_uneven(unit) || ucum::is_uneven(b.unit) {
        return None;
    } else {
        ucum::converted(b, unit)?
    };
    Some(QuantityRef { value: a.value.checked_add(right)?, unit })
}

fn product<'a>(
    a: QuantityRef<'a>,
    b: QuantityRef<'a>,
    value: Option<Decimal>,
    sign: i32,
    cx: &Context<'a>,
) -> Option<QuantityRef<'a>> {
    let unit = if b.unit == "1" {
        a.unit
    } else if sign > 0 && a.unit == "1" {
        b.unit
    } else {
        cx.doc.arena.alloc_str(&ucum::product(a.unit, b.unit, sign)?)
    };
    Some(QuantityRef { value: value?, unit })
}

/// Whether a criterion holds: exactly one value, and that true.
pub(super) fn holds<'a>(
    criterion: &'a Expr,
    item: Item<'a>,
    cx: &Context<'a>,
) -> Evaluated<'a, bool> {
    Ok(singleton_boolean(criterion.eval(item, cx)?, cx.doc, &criterion.span)? == Some(true))
}
