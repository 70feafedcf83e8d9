//! Types before any resource is seen: what results have, and what names in an expression mean.

use std::ops::Range;

use super::SyntaxError;
use super::expr::{Expr, Kind, Operator, Static, System};
use super::functions::Gives;
use super::parse::{Syntax, SyntaxKind};
use super::resolve::Resolved;
use super::value::Literal;
use crate::fhir::{self, Type};
use crate::suggest;

pub(super) fn type_specifier(argument: &Syntax) -> Resolved<String> {
    match &argument.kind {
        SyntaxKind::Member(None, name) => Ok(name.clone()),
        SyntaxKind::Member(Some(prefix), name) => match &prefix.kind {
            SyntaxKind::Member(None, prefix) => Ok(format!("{prefix}.{name}")),
            _ => Err(SyntaxError::new("expected the name of a type", argument.span.clone())),
        },
        SyntaxKind::Literal(Literal::String(name)) => Ok(name.to_string()),
        _ => Err(SyntaxError::new("expected the name of a type", argument.span.clone())),
    }
}

/// An argument that is the name of a resource type.
pub(super) fn resource_type(argument: &Syntax) -> Resolved<Type> {
    let name = type_specifier(argument)?;
    let name = name.trim_start_matches("FHIR.");
    Type::named(name).filter(|t| t.is_resource()).ok_or_else(|| unknown_type(name, &argument.span))
}

/// Keys are of resources and of References (SQL on FHIR, "Required Additional Functions"): on anything else they would
/// be silently wrong, such as the `id` of an element within an iteration.
pub(super) fn check_key_input(function: &str, input: &Static, span: &Range<usize>) -> Resolved<()> {
    let (wanted, fits, hint): (_, fn(Kind) -> bool, _) = match function {
        "getResourceKey" => (
            "a resource",
            |kind| matches!(kind, Kind::Fhir(of) if of.is_resource()),
            "the key of the row's resource is `%resource.getResourceKey()`",
        ),
        "getReferenceKey" => (
            "a Reference",
            |kind| kind.name() == "Reference",
            "apply it to the Reference itself, as in `subject.getReferenceKey(Patient)`",
        ),
        _ => return Ok(()),
    };
    if input.kinds.is_empty() || input.kinds.iter().any(|kind| fits(*kind)) {
        return Ok(());
    }
    let found: Vec<_> = input.kinds.iter().map(|kind| kind.name()).collect();
    let message = format!("`{function}()` is of {wanted}, not of `{}`", found.join("` or `"));
    Err(SyntaxError::new(message, span.clone()).hint(hint))
}

pub(super) fn type_named(name: &str, span: &Range<usize>) -> Resolved<Kind> {
    let found = match name.split_once('.') {
        Some(("System", name)) => System::named(name).map(Kind::System),
        Some(("FHIR", name)) => Type::named(name).map(Kind::Fhir),
        _ => Type::named(name).map(Kind::Fhir).or_else(|| System::named(name).map(Kind::System)),
    };
    found.ok_or_else(|| unknown_type(name, span))
}

fn unknown_type(name: &str, span: &Range<usize>) -> SyntaxError {
    const COMMON: [&str; 24] = [
        "string",
        "boolean",
        "integer",
        "decimal",
        "date",
        "dateTime",
        "instant",
        "time",
        "code",
        "uri",
        "Quantity",
        "CodeableConcept",
        "Coding",
        "Period",
        "Range",
        "Ratio",
        "Reference",
        "Identifier",
        "Age",
        "Attachment",
        "Timing",
        "Money",
        "HumanName",
        "Address",
    ];
    let known = COMMON.into_iter().chain(fhir::resource_types().map(Type::name));
    let error = SyntaxError::new(format!("there is no type `{name}`"), span.clone());
    match suggest::nearest(name, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The doubt about `valueQuantity`: it works, though it is the name of a JSON key and not of an element.
pub(super) fn json_key(element: &fhir::Element, key: &str, span: Range<usize>) -> SyntaxError {
    let of = element.types.iter().find(|of| element.key(**of) == key).map_or("", |of| of.name());
    SyntaxError::new(format!("`{key}` is a key of JSON and no element"), span)
        .hint(format!("write `{}.ofType({of})`", element.name))
}

pub(super) fn result(gives: Gives, input: &Static, arguments: &[Expr]) -> Static {
    match gives {
        Gives::System(system) => Static::system(system),
        Gives::Strings => Static { kinds: vec![Kind::System(System::String)], many: true },
        Gives::Input => input.clone(),
        Gives::One => input.clone().single(),
        Gives::Edge => {
            let kinds = input.kinds.iter().map(|k| edge_kind(*k)).collect();
            Static { kinds, many: false }
        }
        Gives::Rounded(system) => {
            let quantity = input.kinds.iter().any(|k| is_quantity(*k));
            Static::system(if quantity { System::Quantity } else { system })
        }
        Gives::Descent => {
            let of = arguments.first().map_or_else(Static::unknown, |a| a.gives.clone());
            Static { many: true, ..of }
        }
        Gives::Any => arguments
            .iter()
            .map(|a| a.gives.clone())
            .reduce(|a, b| a.or(&b))
            .unwrap_or_else(Static::unknown),
        Gives::Each => {
            let of = arguments.first().map_or_else(Static::unknown, |a| a.gives.clone());
            Static { many: of.many || input.many, ..of }
        }
        Gives::Branches => arguments[1..]
            .iter()
            .map(|a| a.gives.clone())
            .reduce(|a, b| a.or(&b))
            .unwrap_or_else(Static::unknown),
        Gives::Both => {
            let mut both = arguments.iter().fold(input.clone(), |both, a| both.or(&a.gives));
            both.many = true;
            both
        }
        Gives::Extensions => {
            let kinds = Type::named("Extension").map(Kind::Fhir).into_iter().collect();
            Static { kinds, many: true }
        }
        Gives::Unknown => Static::unknown(),
    }
}

/// The edges and the mean of whole numbers are no whole numbers; those of a Period are dateTimes.
fn edge_kind(kind: Kind) -> Kind {
    match kind.name() {
        "Period" => Kind::System(System::DateTime),
        _ if is_whole(kind) => Kind::System(System::Decimal),
        _ => kind,
    }
}

fn is_quantity(kind: Kind) -> bool {
    match kind {
        Kind::Fhir(of) => super::value::is_quantity(of),
        Kind::System(system) => system == System::Quantity,
    }
}

pub(super) fn binary_type(operator: Operator, left: &Expr, right: &Expr) -> Static {
    match operator {
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Mod => {
            arithmetic_type(left, right)
        }
        Operator::Divide => quotient_type(left, right),
        Operator::Div => Static::system(System::Integer),
        Operator::Concatenate => Static::system(System::String),
        Operator::Union => {
            let mut both = left.gives.clone().or(&right.gives);
            both.many = true;
            both
        }
        _ => Static::system(System::Boolean),
    }
}

/// Of `/`: a number, or a quantity where one side is.
fn quotient_type(left: &Expr, right: &Expr) -> Static {
    let mut kinds = left.gives.kinds.iter().chain(&right.gives.kinds);
    let quantity = kinds.any(|k| is_quantity(*k));
    Static::system(if quantity { System::Quantity } else { System::Decimal })
}

fn arithmetic_type(left: &Expr, right: &Expr) -> Static {
    match (left.gives.kinds.as_slice(), right.gives.kinds.as_slice()) {
        ([a], [b]) if is_quantity(*a) && is_quantity(*b) => Static::system(System::Quantity),
        ([a], [b]) if a == b => left.gives.clone().single(),
        ([Kind::System(t @ (System::Date | System::DateTime | System::Time))], _) => {
            Static::system(*t)
        }
        ([a], [b]) if is_moment(*a) && is_quantity(*b) => Static { kinds: vec![*a], many: false },
        ([a], [b]) if (is_quantity(*a) || is_quantity(*b)) && (is_number(*a) || is_number(*b)) => {
            Static::system(System::Quantity)
        }
        ([a], [b]) if is_whole(*a) && is_whole(*b) => {
            let long = is_long(*a) || is_long(*b);
            Static::system(if long { System::Long } else { System::Integer })
        }
        ([a], [b]) if is_number(*a) && is_number(*b) => Static::system(System::Decimal),
        _ => Static::unknown().single(),
    }
}

fn is_moment(kind: Kind) -> bool {
    matches!(kind.name(), "date" | "dateTime" | "instant" | "time" | "Date" | "DateTime" | "Time")
}

fn is_number(kind: Kind) -> bool {
    is_whole(kind) || matches!(kind.name(), "Decimal" | "decimal")
}

fn is_whole(kind: Kind) -> bool {
    is_long(kind) || matches!(kind.name(), "Integer" | "integer" | "positiveInt" | "unsignedInt")
}

fn is_long(kind: Kind) -> bool {
    matches!(kind.name(), "Long" | "integer64")
}

pub(super) fn literal_type(literal: &Literal) -> Static {
    use crate::temporal::TemporalKind;
    Static::system(match literal {
        Literal::Boolean(_) => System::Boolean,
        Literal::Integer(n) if i32::try_from(*n).is_err() => System::Long,
        Literal::Integer(_) => System::Integer,
        Literal::Decimal(_) => System::Decimal,
        Literal::String(_) => System::String,
        Literal::Quantity(_) => System::Quantity,
        Literal::Temporal(t) => match t.kind {
            TemporalKind::Date => System::Date,
            TemporalKind::DateTime => System::DateTime,
            TemporalKind::Time => System::Time,
        },
    })
}
