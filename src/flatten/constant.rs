//! Constants of a view: each a value of the FHIR type that its key names, or refused.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::problem::{Problem, Severity};
use super::view_definition::Constant;
use crate::fhirpath::{Literal, Names, Precision, System, Temporal, decimal};
use crate::suggest;

/// The constants of a view, by name.
#[derive(Default)]
pub(super) struct Constants {
    values: Vec<(String, Literal, Option<System>)>,
    /// Names that an expression used.
    used: RefCell<BTreeSet<String>>,
}

/// Variables that every expression has; a constant of such a name could never be used.
const BUILT_IN: [&str; 7] =
    ["resource", "rootResource", "context", "rowIndex", "ucum", "sct", "loinc"];

/// The types a constant can have, and how their values are written.
const TYPES: [(&str, &str); 19] = [
    ("base64Binary", "write base64: `\"aGVsbG8=\"`"),
    ("boolean", "write `true` or `false`, without quotes"),
    ("canonical", "write a URL: `\"http://example.org/x|1.0\"`"),
    ("code", "write a code without blanks around it: `\"final\"`"),
    ("date", "write `\"2020\"`, `\"2020-12\"` or `\"2020-12-31\"`"),
    ("dateTime", "write `\"2020-12-31\"` or `\"2020-12-31T10:30:00Z\"`"),
    ("decimal", "write a number, without quotes: `1.50`"),
    ("id", "write up to 64 letters, digits, `-` and `.`"),
    ("instant", "write it to the second, with a zone: `\"2020-12-31T10:30:00Z\"`"),
    ("integer", "write a whole number of 32 bits, without quotes: `5`"),
    ("integer64", "write a whole number of 64 bits: `\"9007199254740993\"`"),
    ("oid", "write `\"urn:oid:1.2.3\"`"),
    ("string", "write a text that is not empty"),
    ("positiveInt", "write a whole number from 1, without quotes: `5`"),
    ("time", "write `\"10:30:00\"`"),
    ("unsignedInt", "write a whole number from 0, without quotes: `5`"),
    ("uri", "write a URI without blanks"),
    ("url", "write a URL without blanks"),
    ("uuid", "write `\"urn:uuid:c757873d-ec9a-4326-a141-556f43239520\"`"),
];

impl Names for Constants {
    fn constant(&self, name: &str) -> Option<(Literal, Option<System>)> {
        let (_, value, of) = self.values.iter().find(|(n, ..)| n == name)?;
        self.used.borrow_mut().insert(name.to_owned());
        Some((value.clone(), *of))
    }

    fn constants(&self) -> Vec<String> {
        self.values.iter().map(|(name, ..)| name.clone()).collect()
    }
}

impl Constants {
    /// Those of a view. One whose value is refused still counts as defined, so that its uses are not refused too.
    pub(super) fn read(definitions: &[Constant], problems: &mut Vec<Problem>) -> Self {
        let mut found = Self::default();
        for constant in definitions {
            if BUILT_IN.contains(&constant.name.as_str()) {
                let message =
                    format!("`%{}` is built in and cannot be defined anew", constant.name);
                let problem = Problem::error(&constant.name_at, message);
                problems.push(problem.hint("give the constant another name"));
                continue;
            }
            let value = constant.value.as_ref().and_then(|v| checked(constant, v, problems));
            let value = value.unwrap_or_else(|| stand_in(&constant.of));
            let long = (constant.of == "integer64").then_some(System::Long);
            found.values.push((constant.name.clone(), value, long));
        }
        found
    }

    /// Notes the constants that no expression uses. One in an expression that is refused may be meant.
    pub(super) fn check_use(&self, definitions: &[Constant], problems: &mut Vec<Problem>) {
        let used = self.used.borrow();
        for constant in definitions.iter().filter(|c| !BUILT_IN.contains(&c.name.as_str())) {
            let refused = problems.iter().filter_map(|p| p.expression.as_ref());
            let mut refused = refused.map(|(text, _)| text);
            if !used.contains(&constant.name) && !refused.any(|t| t.contains(&constant.name)) {
                let message = format!("no expression uses constant `{}`", constant.name);
                let hint = format!("write `%{}`, or leave it out", constant.name);
                problems.push(Problem::warning(&constant.name_at, message).hint(hint));
            }
        }
    }
}

/// The value, or why there is none. A text of another form than its type's can still be compared with: servers write
/// uuids without their prefix, too.
fn checked(constant: &Constant, value: &Value, problems: &mut Vec<Problem>) -> Option<Literal> {
    let found = literal(&constant.of, value);
    if found.as_ref().is_none_or(|found| is_odd(&constant.of, found)) {
        let severity = if found.is_some() { Severity::Warning } else { Severity::Error };
        problems.push(Problem { severity, ..refused(constant, value) });
    }
    found
}

fn is_odd(of: &str, value: &Literal) -> bool {
    matches!(value, Literal::String(text) if !is_of(of, text))
}

fn refused(constant: &Constant, value: &Value) -> Problem {
    let Constant { name, of, at, .. } = constant;
    if let Some((of, hint)) = TYPES.iter().find(|(t, _)| t == of) {
        let message = format!("constant `{name}`: `{value}` is no `{of}`");
        return Problem::error(at, message).hint(*hint);
    }
    let key = at.rsplit('.').next().unwrap_or(at);
    let names: Vec<_> = TYPES.iter().map(|(of, _)| value_key(of)).collect();
    let problem = Problem::error(at, format!("constant `{name}`: `{key}` is no type of value"));
    problem.hint(match suggest::nearest(key, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of: {}", names.join(", ")),
    })
}

/// `valueDate` for `date`.
fn value_key(of: &str) -> String {
    format!("value{}{}", of[..1].to_uppercase(), &of[1..])
}

/// The value of a constant: of the type that its key names, so that dates compare as dates (FHIR R4, "Primitive
/// Types").
fn literal(of: &str, value: &Value) -> Option<Literal> {
    let integer = || value.as_i64().filter(|n| i32::try_from(*n).is_ok());
    let text = || value.as_str();
    Some(match of {
        "boolean" => Literal::Boolean(value.as_bool()?),
        "integer" => Literal::Integer(integer()?),
        "positiveInt" => Literal::Integer(integer().filter(|n| *n > 0)?),
        "unsignedInt" => Literal::Integer(integer().filter(|n| *n >= 0)?),
        // FHIR writes it as a text, as JavaScript cannot hold it as a number.
        "integer64" => Literal::Integer(value.as_i64().or_else(|| text()?.parse().ok())?),
        // The loader hands decimals over as their text, as serde_json rounds them.
        "decimal" if value.is_number() => Literal::Decimal(decimal(&value.to_string())?),
        "decimal" => Literal::Decimal(decimal(text()?)?),
        "date" => Literal::Temporal(Temporal::date(text()?)?),
        "dateTime" => Literal::Temporal(Temporal::date_time(text()?)?),
        "instant" => Literal::Temporal(
            Temporal::date_time(text()?).filter(|t| t.instant_micros().is_some())?,
        ),
        "time" => {
            Literal::Temporal(Temporal::time(text()?).filter(|t| t.precision >= Precision::Second)?)
        }
        _ if !TYPES.iter().any(|(t, _)| *t == of) => return None,
        _ => Literal::String(text().filter(|text| !text.trim().is_empty())?.into()),
    })
}

/// Any value of a type, so that uses of a refused constant are checked too.
fn stand_in(of: &str) -> Literal {
    let samples = [json!(true), json!(1), json!("2020"), json!("10:30:00")];
    let found = samples.iter().find_map(|sample| literal(of, sample));
    found.unwrap_or(Literal::String("".into()))
}

/// Whether a text can be a value of a FHIR type; `false` for types that are no texts.
fn is_of(of: &str, text: &str) -> bool {
    let blank = |c: char| c.is_whitespace();
    match of {
        "string" => !text.trim().is_empty(),
        "uri" | "url" | "canonical" => !text.is_empty() && !text.contains(blank),
        "code" => !text.is_empty() && text.split(' ').all(|w| !w.is_empty() && !w.contains(blank)),
        "id" => {
            (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        }
        "oid" => text.strip_prefix("urn:oid:").is_some_and(is_oid),
        "uuid" => text.strip_prefix("urn:uuid:").is_some_and(is_uuid),
        "base64Binary" => is_base64(text),
        _ => false,
    }
}

fn is_oid(text: &str) -> bool {
    let arcs: Vec<_> = text.split('.').collect();
    let is_number = |arc: &&str| {
        let plain = *arc == "0" || !arc.starts_with('0');
        plain && !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit())
    };
    arcs.len() > 1 && matches!(arcs[0], "0" | "1" | "2") && arcs.iter().all(is_number)
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn is_base64(text: &str) -> bool {
    let plain: Vec<_> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let padding = plain.iter().rev().take_while(|b| **b == b'=').count();
    let digits = &plain[..plain.len() - padding];
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    !digits.is_empty() && plain.len() % 4 == 0 && padding <= 2 && digits.iter().all(is_digit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_type_takes_its_values_and_no_others() {
        let uuid = "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7";
        for (of, valid, invalid) in [
            (
                "base64Binary",
                vec![json!("aGVsbG8K"), json!("aGU=")],
                vec![json!("a"), json!("=a==")],
            ),
            ("boolean", vec![json!(true)], vec![json!("true"), json!(1)]),
            ("canonical", vec![json!("http://x.org/v|1")], vec![json!("a b"), json!("")]),
            (
                "code",
                vec![json!("final"), json!("a b")],
                vec![json!(" a"), json!("a  b"), json!(1)],
            ),
            (
                "date",
                vec![json!("2020"), json!("2020-02-29")],
                vec![
                    json!("2020-13"),
                    json!("2021-02-29"),
                    json!("2020-01-01T10:00:00Z"),
                    json!(2020),
                ],
            ),
            (
                "dateTime",
                vec![json!("2020"), json!("2020-01-01T10:00:00Z")],
                vec![json!("2020-01-01T25:00:00Z"), json!("T10")],
            ),
            ("decimal", vec![json!(1.5), json!(5), json!("1.50")], vec![json!("x"), json!(true)]),
            ("id", vec![json!("a-1.b")], vec![json!("a_b"), json!("a".repeat(65)), json!("")]),
            (
                "instant",
                vec![json!("2015-02-07T13:28:17.239+02:00")],
                vec![json!("2015-02-07"), json!("2015-02-07T13:28:17")],
            ),
            (
                "integer",
                vec![json!(-5), json!(2_147_483_647)],
                vec![json!(1.5), json!(2_147_483_648_i64), json!("5")],
            ),
            (
                "integer64",
                vec![json!("9007199254740993"), json!(9_007_199_254_740_993_i64), json!(i64::MIN)],
                vec![json!("9223372036854775808"), json!(1.5), json!(u64::MAX)],
            ),
            (
                "oid",
                vec![json!("urn:oid:1.2.840"), json!("urn:oid:1.0")],
                vec![json!("1.2.840"), json!("urn:oid:3.1"), json!("urn:oid:1.02")],
            ),
            ("string", vec![json!("a b")], vec![json!(""), json!(5)]),
            ("positiveInt", vec![json!(1)], vec![json!(0), json!(-1)]),
            (
                "time",
                vec![json!("10:30:00"), json!("10:30:00.5")],
                vec![json!("10:30"), json!("24:00:00"), json!("10:30:00Z")],
            ),
            ("unsignedInt", vec![json!(0)], vec![json!(-1)]),
            ("uri", vec![json!("urn:x")], vec![json!("a b")]),
            ("url", vec![json!("https://x.org/a")], vec![json!("")]),
            ("uuid", vec![json!(uuid)], vec![json!(uuid[9..]), json!("urn:uuid:1")]),
            ("quantity", vec![], vec![json!({}), json!("1")]),
        ] {
            let fits = |value: &Value| literal(of, value).is_some_and(|found| !is_odd(of, &found));
            for value in valid {
                assert!(fits(&value), "{of}: {value}");
            }
            for value in invalid {
                assert!(!fits(&value), "{of}: {value}");
            }
        }
    }

    #[test]
    fn whole_numbers_are_exact() {
        for value in [json!("9007199254740993"), json!(9_007_199_254_740_993_i64)] {
            let found = literal("integer64", &value).unwrap();
            assert!(matches!(found, Literal::Integer(9_007_199_254_740_993)), "{value}");
        }
    }
}
