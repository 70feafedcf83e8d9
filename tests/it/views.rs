//! Views where engines differ: null rows, unions, lists, and resources that are not quite valid.

use serde_json::{Value, json};

use crate::sql_on_fhir::rows;

/// Checks the rows of a `select` on a Patient.
fn check(select: &Value, patient: &Value, expected: &Value) {
    let mut resource = patient.clone();
    resource["resourceType"] = json!("Patient");
    let view = json!({ "resource": "Patient", "select": [select] });
    let (_, found) = rows(&view, &[resource]).unwrap_or_else(|why| panic!("{select}: {why}"));
    assert_eq!(&json!(found), expected, "{select} on {patient}");
}

fn column(name: &str, path: &str) -> Value {
    json!({ "name": name, "path": path })
}

fn list(name: &str, path: &str) -> Value {
    json!({ "name": name, "path": path, "collection": true })
}

#[test]
fn for_each_or_null_gives_one_row_of_nulls() {
    let empty = json!({ "id": "a" });
    let given = json!({ "forEach": "given", "column": [column("given", "$this")] });
    let two = json!([{ "column": [column("u", "use")] }, { "column": [column("u", "family")] }]);
    for (select, expected) in [
        (
            json!({ "forEachOrNull": "name", "column": [column("f", "family"), column("c", "'const'"), column("e", "family.exists()"), column("i", "%rowIndex"), list("g", "given")] }),
            json!([{ "f": null, "c": null, "e": null, "i": 0, "g": null }]),
        ),
        (
            json!({ "forEachOrNull": "name", "column": [column("f", "family")], "select": [given] }),
            json!([{ "f": null, "given": null }]),
        ),
        (
            json!({ "forEachOrNull": "name", "column": [column("f", "family")], "unionAll": two }),
            json!([{ "f": null, "u": null }]),
        ),
        (json!({ "forEach": "name", "column": [column("f", "family")] }), json!([])),
        (
            json!({ "column": [column("id", "id")], "select": [{ "forEachOrNull": "name", "column": [column("f", "family")] }] }),
            json!([{ "id": "a", "f": null }]),
        ),
        (
            json!({ "column": [column("id", "id")], "select": [{ "forEach": "name", "column": [column("f", "family")] }] }),
            json!([]),
        ),
    ] {
        check(&select, &empty, &expected);
    }
}

#[test]
fn parts_are_multiplied_and_branches_follow_each_other() {
    let patient = json!({ "id": "a",
        "name": [{ "family": "x", "given": ["1", "2"] }, { "family": "y", "given": ["3"] }],
        "telecom": [{ "value": "t" }, { "value": "u" }] });
    let names =
        json!({ "forEach": "name", "column": [column("f", "family"), column("i", "%rowIndex")] });
    let telecom =
        json!({ "forEach": "telecom", "column": [column("t", "value"), column("j", "%rowIndex")] });
    check(
        &json!({ "select": [names, telecom] }),
        &patient,
        &json!([
            { "f": "x", "i": 0, "t": "t", "j": 0 },
            { "f": "x", "i": 0, "t": "u", "j": 1 },
            { "f": "y", "i": 1, "t": "t", "j": 0 },
            { "f": "y", "i": 1, "t": "u", "j": 1 },
        ]),
    );
    let union = json!([
        { "forEach": "name", "column": [column("v", "family"), column("n", "%rowIndex")] },
        { "column": [column("v", "id"), column("n", "%rowIndex")] },
        { "forEach": "telecom", "column": [column("v", "value"), column("n", "%rowIndex")] },
    ]);
    check(
        &json!({ "unionAll": union }),
        &patient,
        &json!([
            { "v": "x", "n": 0 },
            { "v": "y", "n": 1 },
            { "v": "a", "n": 0 },
            { "v": "t", "n": 0 },
            { "v": "u", "n": 1 },
        ]),
    );
    check(
        &json!({ "column": [list("g", "name.given"), list("none", "photo.title")] }),
        &patient,
        &json!([{ "g": ["1", "2", "3"], "none": [] }]),
    );
}

#[test]
fn resources_that_are_not_quite_valid() {
    let exists = column("e", "name.exists()");
    let family = column("f", "name.family");
    for (patient, columns, expected) in [
        (json!({ "name": [] }), json!([exists, family]), json!([{ "e": false, "f": null }])),
        (json!({ "name": [null] }), json!([exists, family]), json!([{ "e": false, "f": null }])),
        (json!({ "name": null }), json!([exists, family]), json!([{ "e": false, "f": null }])),
        (
            json!({ "name": { "family": "x" } }),
            json!([exists, family]),
            json!([{ "e": true, "f": "x" }]),
        ),
        (json!({ "name": "text" }), json!([family]), json!([{ "f": null }])),
        (
            json!({ "birthDate": "not a date" }),
            json!([column("b", "birthDate")]),
            json!([{ "b": "not a date" }]),
        ),
        (
            json!({ "gender": "a\u{0}b" }),
            json!([column("g", "gender")]),
            json!([{ "g": "a\u{0}b" }]),
        ),
        (json!({ "active": "true" }), json!([column("a", "active")]), json!([{ "a": null }])),
        (
            json!({ "multipleBirthInteger": 9_007_199_254_740_993_i64 }),
            json!([column("m", "multipleBirth.ofType(integer)")]),
            json!([{ "m": null }]),
        ),
        (
            json!({ "unknown": { "element": 1 } }),
            json!([column("i", "id")]),
            json!([{ "i": null }]),
        ),
        (
            json!({ "deceasedBoolean": false, "deceasedDateTime": "2020" }),
            json!([list("d", "deceased")]),
            json!([{ "d": ["false", "2020"] }]),
        ),
    ] {
        check(&json!({ "column": columns }), &patient, &expected);
    }
}

#[test]
fn a_resource_that_a_view_fails_on_gives_no_row() {
    let patient = json!({ "resourceType": "Patient", "birthDate": "not a date", "name": [{ "given": ["a", "b"] }] });
    for (column, why) in [
        (
            column("g", "name.given"),
            "column `g` takes one value and found 2; use `first()`, a `forEach`, or `collection`",
        ),
        (
            column("g", "name.given.single()"),
            "`single()` found several values: `name.given.single()`",
        ),
        (
            column("b", "birthDate < @2020-01-01"),
            "a text, or a malformed date, cannot be compared with a date or time: `birthDate < @2020-01-01`",
        ),
    ] {
        let view = json!({ "resource": "Patient", "select": [{ "column": [column] }] });
        assert_eq!(rows(&view, std::slice::from_ref(&patient)).unwrap_err(), why);
    }
}

/// Checks that a view is refused, and with what.
fn refused(view: &Value, problems: &[&str]) {
    let found = kiln::flatten::View::compile(view).expect_err("the view is refused");
    let errors = found.iter().filter(|p| p.severity == kiln::flatten::Severity::Error);
    let found: Vec<_> = errors.map(ToString::to_string).collect();
    assert_eq!(found, problems, "{view}");
}

#[test]
fn views_that_contradict_themselves_are_refused() {
    let of = |select: Value| json!({ "resource": "Patient", "select": [select] });
    let (id, active) = (column("a", "id"), column("a", "active"));
    for (view, problems) in [
        (
            json!({}),
            &["resource: `resource` is missing", "select: a view needs at least one `select`"][..],
        ),
        (json!({ "resource": "Patient" }), &["select: a view needs at least one `select`"]),
        (of(json!({ "column": [id, id] })), &["select: there are two columns `a`"]),
        (
            of(json!({ "column": [id], "select": [{ "column": [active] }] })),
            &["select: there are two columns `a`"],
        ),
        (
            of(json!({ "column": [column("1a-b", "id")] })),
            &["select[0].column[0].name: `1a-b` is no name for SQL"],
        ),
        (
            of(json!({ "forEach": 1, "column": [id] })),
            &["select[0].forEach: `forEach` must be a text"],
        ),
        (
            of(json!({ "unionAll": [{ "column": [id] }, { "column": [active] }] })),
            &["select[0].unionAll[1]: column `a` is `boolean` here and `id` in the first branch"],
        ),
        (
            of(json!({ "column": [{ "name": "a", "path": "name", "type": "string" }] })),
            &[
                "select[0].column[0].type: column `a` is declared `string`, but its path gives `HumanName`",
            ],
        ),
        (
            of(json!({ "column": [{ "name": "a", "path": "id", "collection": "yes" }] })),
            &["select[0].column[0].collection: `collection` must be true or false"],
        ),
        (
            of(json!({ "column": [{ "name": "a" }, column("b", " ")] })),
            &[
                "select[0].column[0]: column `a` needs a `path`",
                "select[0].column[1].path: the expression is empty",
            ],
        ),
        (
            json!({ "resource": "Patient", "constant": [{ "name": "c" }], "select": [{ "column": [id] }] }),
            &["constant[0]: constant `c` has no value"],
        ),
    ] {
        refused(&view, problems);
    }
}

#[test]
fn a_product_that_would_fill_the_memory_is_an_error_of_the_resource() {
    let names: Vec<_> = (0..7000).map(|i| json!({ "family": i.to_string() })).collect();
    let each = |name| json!({ "forEach": "name", "column": [column(name, "family")] });
    let view = json!({ "resource": "Patient", "select": [each("a"), each("b")] });
    let patient = |names: &[Value]| json!({ "resourceType": "Patient", "name": names });
    let (_, found) = rows(&view, &[patient(&names[..100])]).unwrap();
    assert_eq!(found.len(), 10_000);
    let refused = rows(&view, &[patient(&names)]).unwrap_err();
    assert_eq!(refused, "the selects multiply to more rows than one resource may make");
}
