//! What the JSON value of a primitive may be (FHIR R4, "Primitive Types", and "JSON Representation").

use crate::fhir::Type;
use crate::fhirpath::{Json, Precision, Temporal};

/// The value set of a primitive type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Primitive {
    /// `true` or `false`
    Boolean,
    /// Any number.
    Decimal,
    /// Whole numbers from one to another.
    Whole(i64, i64),
    /// Texts for which this is true; empty ones are not asked.
    Text(fn(&str) -> bool),
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// JSON has another type there.
    JsonType,
    /// The empty text, which no primitive is.
    Empty,
    /// Of the right JSON type, but not a value of the type.
    Value,
}

impl Primitive {
    /// That of a primitive type.
    pub(super) fn of(of: Type) -> Self {
        const MAX: i64 = i32::MAX as i64;
        match of.name() {
            "boolean" => Self::Boolean,
            "decimal" => Self::Decimal,
            "integer" => Self::Whole(i64::from(i32::MIN), MAX),
            "unsignedInt" => Self::Whole(0, MAX),
            "positiveInt" => Self::Whole(1, MAX),
            "date" => Self::Text(|text| Temporal::date(text).is_some()),
            "dateTime" => Self::Text(is_date_time),
            "instant" => Self::Text(is_instant),
            "time" => Self::Text(is_time),
            "code" => Self::Text(is_code),
            "id" => Self::Text(is_id),
            "uri" | "url" | "canonical" => Self::Text(|text| !text.contains(char::is_whitespace)),
            "oid" => Self::Text(is_oid),
            "uuid" => Self::Text(is_uuid),
            "base64Binary" => Self::Text(is_base64),
            // `integer64` is of R5, where JSON has it as text.
            "integer64" => Self::Text(|text| text.parse::<i64>().is_ok()),
            _ => Self::Text(|_| true),
        }
    }

    /// What is wrong with a value, if anything is.
    pub(super) fn fault(self, value: Json<'_>) -> Option<Fault> {
        let right = match (self, value) {
            (Self::Text(_), Json::Text("")) => return Some(Fault::Empty),
            (Self::Text(is_valid), Json::Text(text)) => is_valid(text),
            (Self::Whole(least, greatest), Json::Integer(n)) => (least..=greatest).contains(&n),
            (Self::Whole(..), Json::Number) => false,
            (Self::Boolean, Json::Boolean) | (Self::Decimal, Json::Integer(_) | Json::Number) => {
                true
            }
            _ => return Some(Fault::JsonType),
        };
        (!right).then_some(Fault::Value)
    }
}

/// A time of day comes with seconds and a zone, or not at all.
fn is_date_time(text: &str) -> bool {
    let whole = |t: Temporal| t.precision == Precision::Second && t.offset.is_some();
    Temporal::date_time(text).is_some_and(|t| t.precision <= Precision::Day || whole(t))
}

fn is_instant(text: &str) -> bool {
    Temporal::date_time(text)
        .is_some_and(|t| t.precision == Precision::Second && t.offset.is_some())
}

fn is_time(text: &str) -> bool {
    Temporal::time(text).is_some_and(|t| t.precision == Precision::Second)
}

/// No white space at the ends, and single spaces within.
fn is_code(text: &str) -> bool {
    text.split(char::is_whitespace).all(|word| !word.is_empty())
}

fn is_id(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn is_oid(text: &str) -> bool {
    let arc = |arc: &str| {
        !arc.is_empty()
            && arc.bytes().all(|b| b.is_ascii_digit())
            && (arc == "0" || !arc.starts_with('0'))
    };
    let arcs = text.strip_prefix("urn:oid:").unwrap_or_default();
    arcs.starts_with(['0', '1', '2']) && arcs.contains('.') && arcs.split('.').all(arc)
}

fn is_uuid(text: &str) -> bool {
    let uuid = text.strip_prefix("urn:uuid:").unwrap_or_default();
    uuid.len() == 36 && uuid::Uuid::try_parse(uuid).is_ok()
}

fn is_base64(text: &str) -> bool {
    let written = || text.bytes().filter(|b| !b.is_ascii_whitespace());
    let data = written().take_while(|b| *b != b'=').count();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let padding = written().count() - data;
    written().take(data).all(plain)
        && written().skip(data).all(|b| b == b'=')
        && padding <= 2
        && (data + padding).is_multiple_of(4)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_of_each_type() {
        use Fault::{Empty, JsonType, Value};
        use Json::{Boolean, Integer, Number, Text};
        let check = |of: &str, value, expected: Option<Fault>| {
            let found = Primitive::of(Type::named(of).unwrap()).fault(value);
            assert_eq!(found, expected, "{of}: {value:?}");
        };
        check("boolean", Boolean, None);
        check("boolean", Text("true"), Some(JsonType));
        check("decimal", Number, None);
        check("decimal", Integer(1), None);
        check("decimal", Text("1.50"), Some(JsonType));
        check("integer", Integer(-2_147_483_648), None);
        check("integer", Integer(2_147_483_648), Some(Value));
        check("integer", Number, Some(Value));
        check("integer", Text("1"), Some(JsonType));
        check("unsignedInt", Integer(0), None);
        check("unsignedInt", Integer(-1), Some(Value));
        check("positiveInt", Integer(0), Some(Value));
        check("string", Integer(1), Some(JsonType));
        check("string", Text(""), Some(Empty));
        check("string", Json::Object, Some(JsonType));
        check("markdown", Text(" "), None);
        for (of, valid, invalid) in [
            ("date", "2020", "2020-2"),
            ("date", "2020-02-29", "2021-02-29"),
            ("date", "2020-05", "2020-05-17T10:00:00Z"),
            ("dateTime", "2020", "2020-13"),
            ("dateTime", "2020-05-17T10:00:00Z", "2020-05-17T10:00:00"),
            ("dateTime", "2020-05-17T10:00:00.123-05:00", "2020-05-17T10:00Z"),
            ("dateTime", "2020-05-17T23:59:60Z", "2020-05-17T24:00:00Z"),
            ("instant", "2020-05-17T10:00:00Z", "2020-05-17"),
            ("time", "10:00:00.5", "10:00"),
            ("code", "a b", "a  b"),
            ("code", "a", " a"),
            ("id", "a-1.B", "a_1"),
            ("uri", "urn:x", "a b"),
            ("oid", "urn:oid:1.2.0", "1.2.3"),
            ("oid", "urn:oid:2.16.840", "urn:oid:1.02"),
            (
                "uuid",
                "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
                "c757873d-ec9a-4326-a141-556f43239520",
            ),
            ("base64Binary", "YWI=", "YWI"),
            ("base64Binary", "YWJj\nYWJj", "YW=j"),
            ("integer64", "9223372036854775807", "9223372036854775808"),
        ] {
            check(of, Text(valid), None);
            check(of, Text(invalid), Some(Value));
        }
    }
}
