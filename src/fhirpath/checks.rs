//! What is refused or doubted of an expression besides its names: comparisons of types that never compare, functions
//! of other engines, wrong numbers of arguments, patterns that are none.

use std::ops::{Range, RangeInclusive};

use super::SyntaxError;
use super::expr::{Expr, ExprKind, Kind, Operator, Static};
use super::functions::{self, Function, NOT_A_PATTERN};
use super::resolve::Resolved;
use super::value::{Literal, decimal, is_quantity};
use crate::suggest;
use crate::temporal::Temporal;

/// A comparison that cannot be meant: as an error where it has no result, as a doubt where it is always the same.
pub(super) enum Verdict {
    Fine,
    Doubtful(SyntaxError),
    Refused(SyntaxError),
}

/// Judges `=`, `<` and their kin by the types of both sides, where these are known.
pub(super) fn comparison(
    operator: Operator,
    left: &Expr,
    right: &Expr,
    span: &Range<usize>,
) -> Verdict {
    use Operator as O;
    let ordering = match operator {
        O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => true,
        O::Equal | O::NotEqual | O::Equivalent | O::NotEquivalent => false,
        _ => return Verdict::Fine,
    };
    if comparable(&left.gives, &right.gives, ordering) {
        return Verdict::Fine;
    }
    let (a, b) = (names(&left.gives), names(&right.gives));
    let what = if ordering { "have no order" } else { "are never equal" };
    let error = SyntaxError::new(format!("`{a}` and `{b}` {what}"), span.clone())
        .hint(rewrite(left, right).or_else(|| rewrite(right, left)).unwrap_or_else(other_way));
    if ordering { Verdict::Refused(error) } else { Verdict::Doubtful(error) }
}

/// Types whose values can be compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Moment,
    Time,
    Boolean,
    Complex,
}

fn comparable(left: &Static, right: &Static, ordering: bool) -> bool {
    let unordered = |f| matches!(f, Family::Boolean | Family::Complex);
    let fits = |a: &Kind, b: &Kind| match (family(*a), family(*b)) {
        (Some(a), Some(b)) => a == b && !(ordering && unordered(a)),
        (one, None) | (None, one) => !(ordering && one.is_some_and(unordered)),
    };
    left.kinds.is_empty()
        || right.kinds.is_empty()
        || left.kinds.iter().any(|a| right.kinds.iter().any(|b| fits(a, b)))
}

/// `None` for types that a value's own type specialises.
fn family(kind: Kind) -> Option<Family> {
    Some(match kind.name() {
        "Resource" | "DomainResource" | "Element" | "BackboneElement" => return None,
        "boolean" | "Boolean" => Family::Boolean,
        "integer" | "positiveInt" | "unsignedInt" | "integer64" | "decimal" | "Integer"
        | "Long" | "Decimal" => Family::Number,
        "date" | "dateTime" | "instant" | "Date" | "DateTime" => Family::Moment,
        "time" | "Time" => Family::Time,
        "String" => Family::Text,
        _ => match kind {
            Kind::System(_) => Family::Number,
            Kind::Fhir(of) if is_quantity(of) => Family::Number,
            Kind::Fhir(of) if of.is_primitive() => Family::Text,
            Kind::Fhir(_) => Family::Complex,
        },
    })
}

fn names(of: &Static) -> String {
    of.kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join("` or `")
}

/// How a text should have been written to compare with the other side.
fn rewrite(text: &Expr, other: &Expr) -> Option<String> {
    let ExprKind::Literal(Literal::String(text)) = &text.kind else { return None };
    let wanted =
        |family_wanted| other.gives.kinds.iter().any(|k| family(*k) == Some(family_wanted));
    let literal = if wanted(Family::Moment) && Temporal::literal(text).is_some() {
        format!("@{text}")
    } else if wanted(Family::Time) && Temporal::time(text).is_some() {
        format!("@T{text}")
    } else if (wanted(Family::Number) && decimal(text).is_some())
        || (wanted(Family::Boolean) && matches!(&**text, "true" | "false"))
    {
        text.to_string()
    } else {
        return None;
    };
    Some(format!("write `{literal}`, without quotes"))
}

fn other_way() -> String {
    "name the element that is meant, or convert one side (`toString()`, `toDate()`, `toDecimal()`)"
        .to_owned()
}

/// What to do instead of a function that other engines have.
pub(super) fn instead_of(function: &str) -> Option<&'static str> {
    Some(match function {
        "memberOf" | "subsumes" | "subsumedBy" | "validateVS" => {
            "select the code, and join it in SQL with a table of the value set's codes"
        }
        "translate" => "select the code, and join it in SQL with a table of the concept map",
        "conformsTo" => "compare `meta.profile`, or say `profile` in the view",
        "htmlChecks" | "checkModifiers" | "elementDefinition" | "slice" => {
            "it validates resources; views only read them"
        }
        "type" => "ask with `is`, or keep what is wanted with `ofType()`",
        "sort" => "order the rows in SQL",
        "duration" | "difference" => "select both dates, and take their distance in SQL",
        "defineVariable" => {
            "write the expression where it is used, or iterate over it with `forEach`"
        }
        "pathname" => "`%rowIndex` tells the place of an item in its iteration",
        _ => return None,
    })
}

pub(super) fn unknown_function(name: &str, span: Range<usize>) -> SyntaxError {
    let known = functions::all().map(|f| f.name).chain(["ofType", "getReferenceKey"]);
    let near = |n| format!("did you mean `{n}()`?");
    let hint = instead_of(name)
        .map(str::to_owned)
        .or_else(|| suggest::nearest(name, known).map(near))
        .unwrap_or_else(|| "the README lists the functions that Kiln knows".to_owned());
    SyntaxError::new(format!("there is no function `{name}()`"), span).hint(hint)
}

pub(super) fn wrong_arity(
    name: &str,
    arity: &RangeInclusive<usize>,
    given: usize,
    span: Range<usize>,
) -> SyntaxError {
    let (least, most) = (arity.start(), arity.end());
    let wanted = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    let noun = if wanted == "1" { "argument" } else { "arguments" };
    SyntaxError::new(format!("`{name}()` takes {wanted} {noun}, not {given}"), span)
}

/// A pattern that is written down is known to be wrong before any text is matched with it.
pub(super) fn check_pattern(function: &Function, arguments: &[Expr]) -> Resolved<()> {
    let Some(Expr { kind: ExprKind::Literal(Literal::String(pattern)), span, .. }) = arguments
        .first()
        .filter(|_| matches!(function.name, "matches" | "matchesFull" | "replaceMatches"))
    else {
        return Ok(());
    };
    functions::pattern(pattern).map(|_| ()).map_err(|_| {
        SyntaxError::new(NOT_A_PATTERN, span.clone()).hint(
            "look-around and back-references are not supported; a backslash is written `\\\\`",
        )
    })
}
