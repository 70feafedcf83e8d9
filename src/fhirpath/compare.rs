//! `=`, `~` and `<` on single values (FHIRPath, "Equality" and "Comparison").

use std::borrow::Cow;
use std::cmp::Ordering;

use rust_decimal::{Decimal, RoundingStrategy};
use simd_json::{Node, StaticNode};

use super::document::Document;
use super::value::{Element, Item, QuantityRef, as_decimal, is_quantity, is_temporal};
use crate::temporal::TemporalKind;
use crate::ucum;

/// FHIRPath `=` of two items: `None` is empty, where precision, time zone or unit does not allow an answer.
pub(super) fn equal<'a>(a: Item<'a>, b: Item<'a>, doc: &Document<'a>) -> Option<bool> {
    // The commonest case: a code or url of the resource against a literal.
    if let (Item::Element(Element { of: Some(of), at, .. }), Item::String(expected)) = (a, b)
        && !is_temporal(of)
        && let Some(text) = doc.text(at)
    {
        return Some(text == expected);
    }
    match (a.system(doc), b.system(doc)) {
        (Some(x), Some(y)) => equal_values(as_calendar(a, x, y), as_calendar(b, y, x)),
        _ => without_values(a, b, doc, equal),
    }
}

/// FHIRPath `~` of two items; empty only for quantities that cannot be converted into each other.
pub(super) fn equivalent<'a>(a: Item<'a>, b: Item<'a>, doc: &Document<'a>) -> Option<bool> {
    match (a.system(doc), b.system(doc)) {
        (Some(x), Some(y)) => equivalent_values(x, y),
        _ => Some(without_values(a, b, doc, equivalent) == Some(true)),
    }
}

/// FHIRPath `<` and its kin: `Err` for values of types that cannot be compared, `Ok(None)` for empty.
pub(super) fn compare<'a>(
    a: Item<'a>,
    b: Item<'a>,
    doc: &Document<'a>,
) -> Result<Option<Ordering>, &'static str> {
    let (Some(x), Some(y)) = (a.system(doc), b.system(doc)) else {
        return compare_without_values(a, b, doc);
    };
    match (as_calendar(a, x, y), as_calendar(b, y, x)) {
        (Item::String(x), Item::String(y)) => Ok(Some(x.cmp(y))),
        (Item::Temporal(x), Item::Temporal(y)) => {
            if (x.kind == TemporalKind::Time) == (y.kind == TemporalKind::Time) {
                Ok(x.compare(&y))
            } else {
                Err(NO_ORDER)
            }
        }
        (Item::String(_), Item::Temporal(_)) | (Item::Temporal(_), Item::String(_)) => {
            Err("a text, or a malformed date, cannot be compared with a date or time")
        }
        (x, y) => numbers(x, y).unwrap_or(Err(NO_ORDER)),
    }
}

const NO_ORDER: &str = "values of different types have no order";

fn equal_values(a: Item<'_>, b: Item<'_>) -> Option<bool> {
    match (a, b) {
        (Item::Temporal(x), Item::Temporal(y)) => {
            if (x.kind == TemporalKind::Time) == (y.kind == TemporalKind::Time) {
                x.compare(&y).map(|o| o == Ordering::Equal)
            } else {
                Some(false)
            }
        }
        (Item::Boolean(x), Item::Boolean(y)) => Some(x == y),
        (Item::String(x), Item::String(y)) => Some(x == y),
        _ => match numbers(a, b) {
            Some(order) => order.ok().flatten().map(|o| o == Ordering::Equal),
            None => Some(false),
        },
    }
}

/// The order of two numbers or quantities; `None` where one is neither. Empty for units that cannot be converted.
fn numbers(a: Item<'_>, b: Item<'_>) -> Option<Result<Option<Ordering>, &'static str>> {
    if let (Some(x), Some(y)) = (as_decimal(a), as_decimal(b)) {
        return Some(Ok(Some(x.cmp(&y))));
    }
    let (x, y) = (as_quantity(a)?, as_quantity(b)?);
    Some(Ok(if x.unit == y.unit { Some(x.value.cmp(&y.value)) } else { ucum::compare(x, y) }))
}

/// A quantity, or a number as a quantity of unit 1.
pub(super) fn as_quantity(item: Item<'_>) -> Option<QuantityRef<'_>> {
    match item {
        Item::Quantity(q) => Some(q),
        number => as_decimal(number).map(|value| QuantityRef { value, unit: "1" }),
    }
}

/// FHIR writes calendar years and months in UCUM's codes (FHIR, "FHIRPath: Use of FHIR Quantity"): beside a year, the
/// `a` of an element is a year.
fn as_calendar<'a>(from: Item<'a>, value: Item<'a>, other: Item<'a>) -> Item<'a> {
    if let (Item::Element(_), Item::Quantity(q), Item::Quantity(o)) = (from, value, other)
        && q.unit != o.unit
        && ucum::is_uneven(o.unit)
        && let Some(unit) = ucum::calendar_of(q.unit)
    {
        return Item::Quantity(QuantityRef { unit, ..q });
    }
    value
}

fn equivalent_values(a: Item<'_>, b: Item<'_>) -> Option<bool> {
    match (a, b) {
        (Item::String(x), Item::String(y)) => Some(folded(x).eq(folded(y))),
        (Item::Integer(x), Item::Integer(y)) => Some(x == y),
        _ => match (as_quantity(a), as_quantity(b)) {
            (Some(x), Some(y)) => equivalent_quantities(x, y),
            _ => Some(equal_values(a, b) == Some(true)),
        },
    }
}

/// In the larger of the two units, so that the conversion adds no precision.
fn equivalent_quantities(a: QuantityRef<'_>, b: QuantityRef<'_>) -> Option<bool> {
    if a.unit == b.unit {
        return Some(equivalent_decimals(a.value, b.value));
    }
    if ucum::is_larger(a.unit, b.unit)? {
        Some(equivalent_decimals(a.value, ucum::converted_roughly(b, a.unit)?))
    } else {
        Some(equivalent_decimals(ucum::converted_roughly(a, b.unit)?, b.value))
    }
}

/// Rounded to the digits of the one that has fewer; zeros at the end are none.
fn equivalent_decimals(a: Decimal, b: Decimal) -> bool {
    let (a, b) = (a.normalize(), b.normalize());
    let digits = a.scale().min(b.scale());
    let round =
        |d: Decimal| d.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    round(a) == round(b)
}

/// Without letter case, every white space as a blank.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).flat_map(char::to_lowercase)
}

type Same = for<'a> fn(Item<'a>, Item<'a>, &Document<'a>) -> Option<bool>;

/// Where one has no system value: complex elements, primitives with extensions only, numbers of many digits.
fn without_values<'a>(a: Item<'a>, b: Item<'a>, doc: &Document<'a>, same: Same) -> Option<bool> {
    if let (Some(x), Some(y)) = (Written::of(a, doc), Written::of(b, doc)) {
        return (x.unit == y.unit).then(|| x.compare(&y) == Ordering::Equal);
    }
    match (a, b) {
        (Item::Element(x), Item::Element(y)) if has_value(x, doc) == has_value(y, doc) => {
            same_trees(x, y, doc, same)
        }
        // What a missing value is equal to is not known.
        _ if lacks_value(a, doc) || lacks_value(b, doc) => None,
        _ => Some(false),
    }
}

fn compare_without_values<'a>(
    a: Item<'a>,
    b: Item<'a>,
    doc: &Document<'a>,
) -> Result<Option<Ordering>, &'static str> {
    if let (Some(x), Some(y)) = (Written::of(a, doc), Written::of(b, doc)) {
        return Ok((x.unit == y.unit).then(|| x.compare(&y)));
    }
    if lacks_value(a, doc) || lacks_value(b, doc) {
        return Ok(None);
    }
    Err("only strings, numbers, quantities, dates and times have an order")
}

fn has_value(element: Element, doc: &Document<'_>) -> bool {
    doc.present(element.at)
}

/// A primitive that has only extensions, or a Quantity without a plain value.
pub(super) fn lacks_value(item: Item<'_>, doc: &Document<'_>) -> bool {
    let Item::Element(element) = item else { return false };
    !has_value(element, doc)
        || (element.of.is_some_and(is_quantity) && item.written_number(doc).is_none())
}

/// Complex elements are the same where all their children are, whatever the order of keys.
fn same_trees<'a>(a: Element, b: Element, doc: &Document<'a>, same: Same) -> Option<bool> {
    let node = |e: Element| if has_value(e, doc) { e.at } else { e.companion };
    let (left, right) = (node(a), node(b));
    let lists = |left, right, of| {
        let items = |at| -> Vec<Item<'a>> {
            let element = |at| Element { at, companion: Element::ABSENT, of };
            doc.elements(at).map(|at| Item::Element(element(at))).collect()
        };
        same_lists(&items(left), &items(right), doc, same)
    };
    match (doc.nodes.get(left as usize), doc.nodes.get(right as usize)) {
        _ if left == right => Some(true),
        (Some(Node::Object { .. }), Some(Node::Object { .. })) => {
            if doc.entries(right).any(|(key, _)| doc.child(left, key).is_none()) {
                return Some(false);
            }
            // Either may have keys twice, of which the last counts. Each is compared once: twice would be twice as
            // often at every level.
            let last = doc.entries(left).filter(|(key, at)| doc.child(left, key) == Some(*at));
            every(last.map(|(key, at)| match doc.child(right, key) {
                Some(other) => lists(at, other, a.of.and_then(|of| Some(of.at_key(key)?.1))),
                None => Some(false),
            }))
        }
        // Lists in lists are no FHIR, but equal to themselves.
        (Some(Node::Array { .. }), Some(Node::Array { .. })) => lists(left, right, a.of),
        (
            Some(Node::Static(StaticNode::Null)) | None,
            Some(Node::Static(StaticNode::Null)) | None,
        ) => Some(true),
        _ => Some(false),
    }
}

/// Item by item and in order; for `~` (several items only) in any order.
fn same_lists<'a>(a: &[Item<'a>], b: &[Item<'a>], doc: &Document<'a>, same: Same) -> Option<bool> {
    if a.len() != b.len() {
        return Some(false);
    }
    if a.len() > 1 && std::ptr::fn_addr_eq(same, equivalent as Same) {
        return Some(matched(a, b, |x, y| equivalent(x, y, doc) == Some(true)));
    }
    every(a.iter().zip(b).map(|(x, y)| same(*x, *y, doc)))
}

/// Whether every item of one list has its own partner in the other, of the same length.
pub(super) fn matched<'a>(
    a: &[Item<'a>],
    b: &[Item<'a>],
    same: impl Fn(Item<'a>, Item<'a>) -> bool,
) -> bool {
    let mut unmatched: Vec<_> = b.iter().collect();
    a.iter().all(|x| {
        let found = unmatched.iter().position(|y| same(*x, **y));
        found.map(|i| unmatched.swap_remove(i)).is_some()
    })
}

/// Three-valued "and": false beats unknown, unknown beats true.
pub(super) fn every(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for answer in answers {
        match answer {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = None,
        }
    }
    known
}

/// A number by its digits, of any length: `0.d1d2d3… * 10^magnitude`.
struct Written<'a> {
    negative: bool,
    /// Without zeros at either end; none at all for zero.
    digits: String,
    magnitude: i64,
    unit: &'a str,
}

impl<'a> Written<'a> {
    fn of(item: Item<'a>, doc: &Document<'a>) -> Option<Self> {
        let (text, unit) = match item {
            Item::Element(_) => {
                let (text, unit) = item.written_number(doc)?;
                (Cow::Borrowed(text), unit)
            }
            _ => as_quantity(item).map(|q| (Cow::Owned(q.value.to_string()), q.unit))?,
        };
        Self::parse(&text, unit)
    }

    fn parse(text: &str, unit: &'a str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let whole = mantissa.trim_start_matches('-');
        let (integer, fraction) = whole.split_once('.').unwrap_or((whole, ""));
        let digits = [integer, fraction].concat();
        let leading = digits.len() - digits.trim_start_matches('0').len();
        let magnitude = exponent.checked_add(integer.len() as i64 - leading as i64)?;
        let digits = digits.trim_matches('0').to_owned();
        Some(Self { negative: mantissa.starts_with('-'), digits, magnitude, unit })
    }

    fn sign(&self) -> i8 {
        if self.digits.is_empty() {
            0
        } else if self.negative {
            -1
        } else {
            1
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let size = || self.magnitude.cmp(&other.magnitude).then(self.digits.cmp(&other.digits));
        self.sign().cmp(&other.sign()).then_with(|| match self.sign() {
            0 => Ordering::Equal,
            1 => size(),
            _ => size().reverse(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn written_numbers_are_compared_by_all_their_digits() {
        use Ordering::{Equal, Greater, Less};
        for (a, b, expected) in [
            ("1.50", "1.5", Equal),
            ("0", "-0.000", Equal),
            ("1.0E-3", "0.001", Equal),
            ("1E400", "1e400", Equal),
            ("1E400", "9E399", Greater),
            ("-1E400", "1", Less),
            ("-2", "-3", Greater),
            (
                "1234567890123456789012345678901234567890",
                "1234567890123456789012345678901234567891",
                Less,
            ),
            ("0.10", "0.09999999999999999999999999999999999", Greater),
            ("12", "123", Less),
            ("100E-2", "1", Equal),
        ] {
            let parse = |text| Written::parse(text, "1").unwrap();
            assert_eq!(parse(a).compare(&parse(b)), expected, "{a} {b}");
            assert_eq!(parse(b).compare(&parse(a)), expected.reverse(), "{b} {a}");
        }
    }
}
