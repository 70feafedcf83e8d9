//! JSON as the sample writes it: keys in the order given, decimals with the digits given.
//!
//! `serde_json::Value` sorts keys or not depending on a feature another crate may switch on, and
//! turns `7.10` into `7.1`; the sample promises the same bytes everywhere.

use std::borrow::Cow;
use std::fmt;

/// A JSON value. An absent member of an object is not written.
#[derive(Debug, Clone)]
pub(super) enum Json {
    Absent,
    Bool(bool),
    Integer(i64),
    Decimal(Decimal),
    Text(Cow<'static, str>),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

/// An exact decimal: `Decimal(710, 2)` is written `7.10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal(pub(super) i64, pub(super) u32);

/// Builds a [`Json::Object`]: `object! { "status": "final", "issued": issued }`.
macro_rules! object {
    ($($key:literal : $value:expr),* $(,)?) => {
        $crate::sample::json::Json::Object(vec![$(($key, $crate::sample::json::Json::from($value))),*])
    };
}
pub(super) use object;

impl Json {
    /// Appends the value as compact JSON (RFC 8259).
    pub(super) fn render(&self, out: &mut String) {
        match self {
            Self::Absent => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Integer(value) => out.push_str(&value.to_string()),
            Self::Decimal(value) => out.push_str(&value.to_string()),
            Self::Text(value) => render_text(value, out),
            Self::List(items) => render_list(items, out),
            Self::Object(members) => render_object(members, out),
        }
    }
}

fn render_list(items: &[Json], out: &mut String) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        item.render(out);
    }
    out.push(']');
}

fn render_object(members: &[(&'static str, Json)], out: &mut String) {
    out.push('{');
    let mut first = true;
    for (key, value) in members {
        if matches!(value, Json::Absent) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        render_text(key, out);
        out.push(':');
        value.render(out);
    }
    out.push('}');
}

fn render_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                out.push_str("\\u00");
                out.extend([4, 0].map(|shift| hex_digit(u32::from(control) >> shift)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The last four bits of `value` as a digit.
fn hex_digit(value: u32) -> char {
    char::from_digit(value & 15, 16).unwrap_or('0')
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(digits, scale) = *self;
        let sign = if digits < 0 { "-" } else { "" };
        let (whole, part) =
            (digits.unsigned_abs() / 10_u64.pow(scale), digits.unsigned_abs() % 10_u64.pow(scale));
        match scale {
            0 => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{part:0width$}", width = scale as usize),
        }
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Decimal> for Json {
    fn from(value: Decimal) -> Self {
        Self::Decimal(value)
    }
}

impl From<&'static str> for Json {
    fn from(value: &'static str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// FHIR forbids empty arrays: an empty list is absent.
impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        if items.is_empty() {
            return Self::Absent;
        }
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>, const N: usize> From<[T; N]> for Json {
    fn from(items: [T; N]) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: impl Into<Json>, expected: &str) {
        let mut text = String::new();
        value.into().render(&mut text);
        assert_eq!(text, expected);
    }

    #[test]
    fn decimals_keep_their_digits() {
        check(Decimal(710, 2), "7.10");
        check(Decimal(12000, 2), "120.00");
        check(Decimal(5, 2), "0.05");
        check(Decimal(-5, 1), "-0.5");
        check(Decimal(42, 0), "42");
    }

    #[test]
    fn objects_keep_key_order_and_drop_what_is_absent() {
        check(object! { "z": 1_i64, "a": None::<bool>, "l": Vec::<bool>::new() }, r#"{"z":1}"#);
        check(["a\"b", "c\\\n\u{1}é"], r#"["a\"b","c\\\n\u0001é"]"#);
    }
}
