//! What the oracle found, each case in a line: the resource, a path on it, and the values of the path.

use kiln::flatten::View;
use serde_json::{Value, json};

use super::cells;
use super::views::Shown;
use crate::support::flattened;

/// The select's own keys, the resource without its type, the path, and its values.
const FOUND: &[(&str, &str, &str, &[&str])] = &[
    // Only numbers have the text of a number; all else had that of the next number of the line.
    ("{}", r#""subject":{},"valueInteger":1"#, "subject as Reference", &["{}"]),
    ("{}", r#""valueQuantity":{"value":1.50}"#, "value as Quantity", &[r#"{"value":1.50}"#]),
    ("{}", r#""status":true,"valueInteger":1"#, "status", &["true"]),
    ("{}", r#""valueQuantity":{"value":"a"},"component":[1]"#, "value = 1", &[]),
    // Complex values are equal by the last of doubled keys, and by numbers however written.
    ("{}", r#""focus":[{"type":"x","type":"a"},{"type":"a"}]"#, "(focus | focus).count()", &["1"]),
    ("{}", r#""note":[{"x":1},{"x":1.0},{"x":10E-1}]"#, "(note | note).count()", &["1"]),
    // Elements without values are equal where their extensions are.
    (
        "{}",
        r#""status":null,"_status":{"id":"a"},"_language":{"id":"b"}"#,
        "(status | language).count()",
        &["2"],
    ),
    // An Age is a Quantity.
    (
        "{}",
        r#""extension":[{"valueAge":{"value":3}}]"#,
        "extension.value.ofType(Quantity).value",
        &["3"],
    ),
    // Types that were not foreseen are bound like those that were.
    (
        "{}",
        r#""contained":[{"resourceType":"Observation","valueString":"a"}]"#,
        "contained.valueString",
        &["a"],
    ),
    (
        r#"{"repeat":["code","coding"]}"#,
        r#""code":{"extension":[{"valueCode":"a"}]}"#,
        "extension.valueCode",
        &["a"],
    ),
    // The value of an Age is no Age, though `value` of an extension may be one.
    (
        r#"{"forEach":"extension | extension.value.ofType(Age)"}"#,
        r#""extension":[{"valueAge":{"value":3}}]"#,
        "value.ofType(Age).value",
        &["3"],
    ),
    // A number is a quantity of the unit `1`, so `repeat` takes only the first of both.
    ("{}", r#""valueQuantity":{"value":1}"#, "repeat(value).count()", &["1"]),
    ("{}", r#""valueQuantity":{"value":1,"unit":"a"}"#, "repeat(value).count()", &["2"]),
    // An element without a value adds no entry.
    ("{}", r#""status":[null,"b"],"_status":[{"id":"x"}]"#, "status", &["b"]),
];

#[test]
fn what_the_oracle_found_stays_mended() {
    for (select, resource, path, expected) in FOUND {
        let mut select: Value = serde_json::from_str(select).unwrap();
        let mut column = json!({ "name": "v", "path": path, "collection": true });
        if let Some((_, of)) = path.split_once(" as ") {
            column["type"] = json!(of);
        }
        select["column"] = json!([column]);
        let definition = json!({ "resource": "Observation", "select": [select] });
        let (view, _) = View::compile(&definition).expect(path);
        let line = format!("{{\"resourceType\":\"Observation\",{resource}}}");
        let rows = cells(&flattened(&view, [line]).unwrap());
        let expected = expected.iter().map(|text| Some((*text).to_owned())).collect();
        assert_eq!(rows[0], [Shown::List(expected)], "{path} on {resource}");
    }
}
