//! What is refused of a view before any data is read, and what is taken with a warning: each rule with its words.

use kiln::flatten::{Problem, Severity, View};
use serde_json::{Value, json};

/// The errors of a view, or its warnings; a view with errors is refused.
fn problems(view: &Value, severity: Severity) -> Vec<Problem> {
    let (refused, found) = match View::compile(view) {
        Ok((_, problems)) => (false, problems),
        Err(problems) => (true, problems),
    };
    assert_eq!(refused, found.iter().any(|p| p.severity == Severity::Error), "{view}: {found:#?}");
    found.into_iter().filter(|p| p.severity == severity).collect()
}

/// Checks all errors of a view: `place: message`.
fn refused(view: &Value, expected: &[&str]) {
    let found: Vec<_> = problems(view, Severity::Error).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{view}");
}

/// Checks that a view is not refused, and all its warnings.
fn warned(view: &Value, expected: &[&str]) {
    refused(view, &[]);
    let found: Vec<_> = problems(view, Severity::Warning).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{view}");
}

/// Checks the hint of the only error, or else of the only warning.
fn hinted(view: &Value, expected: &str) {
    let (errors, warnings) = (problems(view, Severity::Error), problems(view, Severity::Warning));
    let found = if errors.is_empty() { warnings } else { errors };
    let [problem] = found.as_slice() else { panic!("{view}: {found:#?}") };
    assert_eq!(problem.hint.as_deref(), Some(expected), "{view}");
}

fn column(name: &str, path: &str) -> Value {
    json!({ "name": name, "path": path })
}

/// A column with a type.
fn typed(path: &str, of: &str) -> Value {
    json!({ "name": "a", "path": path, "type": of })
}

/// A column with a tag `ansi/type`.
fn tagged(path: &str, ansi: &str) -> Value {
    json!({ "name": "a", "path": path, "tag": [{ "name": "ansi/type", "value": ansi }] })
}

/// A view of Patients with one select.
fn patients(select: &Value) -> Value {
    json!({ "resource": "Patient", "select": [select] })
}

/// A view of one column.
fn one(resource: &str, column: &Value) -> Value {
    json!({ "resource": resource, "select": [{ "column": [column] }] })
}

/// A view with constants, all of them used.
fn constants(constants: &Value) -> Value {
    let names = constants.as_array().unwrap().iter().filter_map(|c| c["name"].as_str());
    let used: Vec<_> = names.map(|name| json!({ "path": format!("%{name}.exists()") })).collect();
    json!({ "resource": "Patient", "constant": constants, "where": used, "select": [{ "column": [column("a", "id")] }] })
}

#[test]
fn what_a_view_must_have() {
    let id = column("a", "id");
    for (view, expected) in [
        (
            json!({}),
            &["resource: `resource` is missing", "select: a view needs at least one `select`"][..],
        ),
        (json!([]), &[": a ViewDefinition must be a JSON object"]),
        (
            json!({ "resource": "Patient", "select": [] }),
            &["select: a view needs at least one `select`"],
        ),
        (
            json!({ "resource": "", "select": [{ "column": [id] }] }),
            &["resource: `resource` is missing"],
        ),
        (
            json!({ "resource": 1, "select": [{ "column": [id] }] }),
            &["resource: `resource` must be a text"],
        ),
        (json!({ "resource": "Patient", "select": [1] }), &["select[0]: expected an object here"]),
        // What does not depend on the type is checked all the same.
        (
            json!({ "resource": "Pateint", "select": [{ "column": [column("a", "id.frist()")] }] }),
            &[
                "resource: `Pateint` is no resource type of FHIR R4",
                "select[0].column[0].path: there is no function `frist()`",
            ],
        ),
        (
            json!({ "resourceType": "Patient", "resource": "Patient", "select": [{ "column": [id] }] }),
            &["resourceType: this is a `Patient`, not a ViewDefinition"],
        ),
        (patients(&json!({})), &["select[0]: this select gives no column"]),
        (
            patients(&json!({ "column": [id], "select": [{ "forEach": "name" }] })),
            &["select[0].select[0]: this select gives no column"],
        ),
        (
            patients(&json!({ "column": [id], "unionAll": [] })),
            &["select[0].unionAll: a `unionAll` needs at least one branch"],
        ),
        (patients(&json!({ "column": [] })), &["select[0]: this select gives no column"]),
        (
            patients(&json!({ "column": [{ "path": "id" }] })),
            &["select[0].column[0]: a column needs a `name`"],
        ),
        (
            patients(&json!({ "column": [{ "name": "a" }, column("b", " ")] })),
            &[
                "select[0].column[0]: column `a` needs a `path`",
                "select[0].column[1].path: the expression is empty",
            ],
        ),
        (
            patients(&json!({ "forEach": 1, "column": [id] })),
            &["select[0].forEach: `forEach` must be a text"],
        ),
        (
            patients(&json!({ "repeat": [" "], "column": [id] })),
            &["select[0].repeat[0]: the expression is empty"],
        ),
        (
            patients(&json!({ "column": [{ "name": "a", "path": "id", "collection": "yes" }] })),
            &["select[0].column[0].collection: `collection` must be true or false"],
        ),
        (
            patients(&json!({ "column": [{ "name": "a", "path": "id", "tag": [{}] }] })),
            &[
                "select[0].column[0].tag[0]: a tag needs a `name`",
                "select[0].column[0].tag[0]: a tag needs a `value`",
            ],
        ),
        (
            json!({ "resource": "Patient", "where": [{}, { "path": "id" }], "select": [{ "column": [id] }] }),
            &[
                "where[0]: `where` needs a `path`",
                "where[1].path: `where` must be true or false, but this gives `id`",
            ],
        ),
    ] {
        refused(&view, expected);
    }
}

#[test]
fn a_single_object_for_a_list_is_refused_and_read() {
    let wrong = column("a", "idd");
    for (view, expected, hint) in [
        (
            json!({ "resource": "Patient", "select": { "column": [wrong] } }),
            &[
                "select: `select` must be a list",
                "select.column[0].path: `Patient` has no element `idd`",
            ][..],
            "write `\"select\": [{\"column\": …}]`",
        ),
        (
            patients(&json!({ "column": wrong })),
            &[
                "select[0].column: `column` must be a list",
                "select[0].column.path: `Patient` has no element `idd`",
            ],
            "write `\"column\": [{\"name\": …, \"path\": …}]`",
        ),
        (
            json!({ "resource": "Patient", "where": { "path": "x" }, "select": [{ "column": [column("a", "id")] }] }),
            &["where: `where` must be a list"],
            "write `\"where\": [{\"path\": …}]`",
        ),
        (
            json!({ "resource": "Patient", "where": ["active"], "select": [{ "column": [column("a", "id")] }] }),
            &["where[0]: expected an object here"],
            "write `{\"path\": …}`",
        ),
        (
            patients(&json!({ "unionAll": { "column": [column("a", "id")] } })),
            &["select[0].unionAll: `unionAll` must be a list"],
            "write `\"unionAll\": [{\"column\": …}]`",
        ),
        (
            patients(&json!({ "repeat": "contact", "column": [column("a", "id")] })),
            &["select[0].repeat: `repeat` must be a list of paths"],
            "write `\"repeat\": [\"item\"]`",
        ),
    ] {
        refused(&view, expected);
        assert_eq!(problems(&view, Severity::Error)[0].hint.as_deref(), Some(hint), "{view}");
    }
}

#[test]
fn names_are_names_for_sql_and_differ() {
    let (a, b) = (column("a", "id"), column("b", "gender"));
    for (view, expected) in [
        (
            json!({ "name": "my-view", "resource": "Patient", "select": [{ "column": [a] }] }),
            &["name: `my-view` is no name for SQL"][..],
        ),
        (
            patients(
                &json!({ "column": [column("1a-b", "id"), column("", "id"), column("_x", "id"), column("ä", "id")] }),
            ),
            &[
                "select[0].column[0].name: `1a-b` is no name for SQL",
                "select[0].column[1].name: `` is no name for SQL",
                "select[0].column[2].name: `_x` is no name for SQL",
                "select[0].column[3].name: `ä` is no name for SQL",
            ],
        ),
        (
            json!({ "resource": "Patient", "constant": [{ "name": "a-b", "valueString": "x" }], "select": [{ "column": [a] }] }),
            &["constant[0].name: `a-b` is no name for SQL"],
        ),
        (
            patients(&json!({ "column": [a, b, a] })),
            &["select[0].column[2].name: there are two columns `a`"],
        ),
        (
            patients(
                &json!({ "column": [a], "select": [{ "select": [{ "column": [column("A", "active")] }] }] }),
            ),
            &["select[0].select[0].select[0].column[0].name: there are two columns `A`"],
        ),
        (
            json!({ "resource": "Patient", "select": [{ "column": [a] }, { "column": [b] }, { "forEach": "name", "column": [column("b", "family")] }] }),
            &["select[2].column[0].name: there are two columns `b`"],
        ),
        (
            patients(
                &json!({ "column": [a], "unionAll": [{ "column": [b, a] }, { "column": [b, a] }] }),
            ),
            &["select[0].unionAll[0].column[1].name: there are two columns `a`"],
        ),
        (
            json!({ "resource": "Patient", "select": [{ "unionAll": [{ "column": [a] }] }, { "column": [a] }] }),
            &["select[1].column[0].name: there are two columns `a`"],
        ),
    ] {
        refused(&view, expected);
    }
    hinted(
        &patients(&json!({ "column": [a, b], "select": [{ "column": [b] }] })),
        "the first is `select[0].column[1]`; column names must differ within a view, by more than their case",
    );
}

#[test]
fn a_select_goes_through_one_thing() {
    let f = column("a", "id");
    let one_of = |at: &str, which: &str| format!("{at}: a select may have only one of {which}");
    for (select, expected) in [
        (
            json!({ "forEach": "name", "forEachOrNull": "contact", "column": [f] }),
            one_of("select[0].forEachOrNull", "`forEach`, `forEachOrNull`"),
        ),
        (
            json!({ "forEach": "name", "forEachOrNull": "name", "column": [f] }),
            one_of("select[0].forEachOrNull", "`forEach`, `forEachOrNull`"),
        ),
        (
            json!({ "unionAll": [{ "repeat": ["contact"], "forEach": "name", "column": [f] }] }),
            one_of("select[0].unionAll[0].repeat", "`forEach`, `repeat`"),
        ),
        (
            json!({ "select": [{ "select": [{ "forEachOrNull": "name", "repeat": ["contact"], "column": [f] }] }] }),
            one_of("select[0].select[0].select[0].repeat", "`forEachOrNull`, `repeat`"),
        ),
    ] {
        refused(&patients(&select), &[&expected]);
    }
}

#[test]
fn branches_of_a_union_fill_the_same_columns() {
    let (a, b) = (column("a", "id"), column("b", "gender"));
    let columns = |columns: &[&Value]| json!({ "column": columns });
    let differ = |at: &str, here: &str, first: &str| {
        vec![format!(
            "{at}: the columns of this branch ({here}) are not those of the first ({first})"
        )]
    };
    let is = |at: &str, here: &str, first: &str| {
        vec![format!("{at}: column `a` is {here} here and {first} in the first branch")]
    };
    let second = "select[0].unionAll[1]";
    let own = "select[0].unionAll[1].column[0]";
    let list = json!({ "name": "a", "path": "name.given", "collection": true });
    let date = typed("birthDate", "date");
    for (branches, expected) in [
        (json!([columns(&[&a, &b]), columns(&[&a])]), differ(second, "a", "a, b")),
        (json!([columns(&[&a]), columns(&[&a, &b])]), differ(second, "a, b", "a")),
        (json!([columns(&[&a]), columns(&[&b])]), differ(second, "b", "a")),
        (json!([columns(&[&a, &b]), columns(&[&b, &a])]), differ(second, "b, a", "a, b")),
        (json!([columns(&[&a]), columns(&[&column("a", "active")])]), is(own, "`boolean`", "`id`")),
        (json!([columns(&[&a]), columns(&[&list])]), is(own, "a list of `string`", "`id`")),
        (json!([columns(&[&a]), columns(&[&date])]), is(own, "`date`", "`id`")),
        (
            json!([columns(&[&a]), columns(&[&typed("maritalStatus", "CodeableConcept")])]),
            is(own, "`CodeableConcept`", "`id`"),
        ),
        (
            json!([
                columns(&[&typed("managingOrganization", "Reference")]),
                columns(&[&typed("maritalStatus", "CodeableConcept")])
            ]),
            is(own, "`CodeableConcept`", "`Reference`"),
        ),
        (
            json!([
                columns(&[&tagged("birthDate", "DATE")]),
                columns(&[&column("a", "birthDate")])
            ]),
            is(own, "`date`", "`date`"),
        ),
        // The parts of a branch count in the order of their columns.
        (
            json!([columns(&[&a, &b]), { "column": [b], "select": [columns(&[&a])] }]),
            differ(second, "b, a", "a, b"),
        ),
        (
            json!([columns(&[&a]), { "unionAll": [columns(&[&b]), columns(&[&b])] }]),
            differ(second, "b", "a"),
        ),
        (
            json!([columns(&[&a]), { "unionAll": [columns(&[&a]), columns(&[&b])] }]),
            differ("select[0].unionAll[1].unionAll[1]", "b", "a"),
        ),
        // Alike: in one column of text.
        (json!([columns(&[&a]), columns(&[&column("a", "gender")])]), vec![]),
        (
            json!([columns(&[&date]), columns(&[&typed("deceased.ofType(dateTime)", "dateTime")])]),
            vec![],
        ),
        (json!([{ "column": [a], "select": [columns(&[&b])] }, columns(&[&a, &b])]), vec![]),
        (json!([columns(&[&a]), { "unionAll": [columns(&[&a]), columns(&[&a])] }]), vec![]),
    ] {
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        refused(&patients(&json!({ "unionAll": branches })), &expected);
    }
}

#[test]
fn names_that_nothing_has_are_doubted() {
    hinted(&one("Patient", &column("a", "zodiac")), "R4 does not have it, so it gives nothing");
    let within = json!({ "forEach": "name", "column": [column("b", "birthDate")] });
    hinted(
        &json!({ "resource": "Patient", "select": [within] }),
        "it gives nothing; that of the resource is `%resource.birthDate`",
    );
}

#[test]
fn the_declared_type_is_one_that_the_path_gives() {
    let is = |of: &str, given: &str| {
        vec![format!(
            "select[0].column[0].type: column `a` is declared `{of}`, but its path gives {given}"
        )]
    };
    let none = Vec::new;
    let base = "http://hl7.org/fhir/StructureDefinition/";
    for (resource, path, of, errors) in [
        ("Patient", "name", "string", is("string", "`HumanName`")),
        ("Patient", "name.first()", "Address", is("Address", "`HumanName`")),
        ("Patient", "name.first()", "HumanName", none()),
        ("Patient", "name.first()", &format!("{base}HumanName"), none()),
        ("Patient", "id", "HumanName", is("HumanName", "`id`")),
        ("Patient", "contact.first()", "Patient.contact", none()),
        ("Patient", "contact.first()", "BackboneElement", none()),
        ("Patient", "contact.first()", "Patient.link", is("Patient.link", "`Patient.contact`")),
        ("Observation", "referenceRange.first()", "Observation.referenceRange", none()),
        (
            "Observation",
            "referenceRange.first()",
            &format!("{base}Observation#Observation.referenceRange"),
            none(),
        ),
        (
            "Observation",
            "component.first().referenceRange.first()",
            "Observation.component.referenceRange",
            none(),
        ),
        (
            "Observation",
            "component.first()",
            "Observation.referenceRange",
            is("Observation.referenceRange", "`Observation.component`"),
        ),
        ("Observation", "value.ofType(Quantity)", "Quantity", none()),
        (
            "Observation",
            "value.ofType(Quantity)",
            "SimpleQuantity",
            vec![
                "select[0].column[0].type: there is no type `SimpleQuantity` in FHIR R4".to_owned(),
            ],
        ),
        ("Observation", "referenceRange.first().age.low", "Age", none()),
        ("Observation", "1 'mg'", "Quantity", none()),
        ("Patient", "contained.first()", "Organization", none()),
        (
            "Patient",
            "id",
            "strng",
            vec!["select[0].column[0].type: there is no type `strng` in FHIR R4".to_owned()],
        ),
        (
            "Patient",
            "id",
            "System.Strng",
            vec!["select[0].column[0].type: there is no type `System.Strng` in FHIR R4".to_owned()],
        ),
        ("Patient", "id", "System.String", none()),
        ("Patient", "active", "http://hl7.org/fhirpath/System.Boolean", none()),
        ("Patient", "active", "http://hl7.org/fhirpath/Boolean", none()),
        ("Patient", "id", "http://hl7.org/fhirpath/System.Integer", is("integer", "`id`")),
        ("Patient", "gender", "boolean", is("boolean", "`code`")),
        ("Patient", "active", "integer", is("integer", "`boolean`")),
        ("Patient", "birthDate", "integer", is("integer", "`date`")),
        ("Patient", "name.given.count()", "integer", none()),
        ("Patient", "getResourceKey()", "id", none()),
        ("Patient", "gender", "string", none()),
        ("Patient", "birthDate", "dateTime", none()),
        ("Patient", "birthDate.lowBoundary()", "dateTime", none()),
        ("Patient", "multipleBirth.ofType(integer)", "decimal", none()),
        ("Patient", "multipleBirth.ofType(integer)", "integer64", none()),
        ("Patient", "extension('x').value.ofType(code)", "uri", none()),
    ] {
        let errors: Vec<_> = errors.iter().map(String::as_str).collect();
        refused(&one(resource, &typed(path, of)), &errors);
    }
    for (resource, path, of, given) in [
        ("Patient", "birthDate", "string", "`date`"),
        ("Patient", "active", "string", "`boolean`"),
        ("Patient", "gender", "date", "`code`"),
        ("Patient", "meta.lastUpdated", "date", "`instant`"),
        ("Observation", "value.ofType(Quantity).value", "integer", "`decimal`"),
        ("Observation", "value.ofType(Quantity).value", "string", "`decimal`"),
    ] {
        let expected = is(of, given);
        warned(&one(resource, &typed(path, of)), &[&expected[0]]);
    }
    hinted(&one("Patient", &typed("id", "strng")), "did you mean `string`?");
    hinted(&one("Patient", &typed("id", "humanname")), "did you mean `HumanName`?");
    warned(
        &one("Patient", &typed("id", "String")),
        &["select[0].column[0].type: `String` is a type of FHIRPath; that of FHIR is `string`"],
    );
}

#[test]
fn complex_values_need_a_declared_type() {
    let gives = |of: &str| {
        format!("select[0].column[0].path: column `a` gives {of}, which is no single value")
    };
    for (resource, path, of) in [
        ("Patient", "maritalStatus", "`CodeableConcept`"),
        ("Patient", "contact.first()", "`Patient.contact`"),
        ("Patient", "$this", "`Patient`"),
        ("MedicationRequest", "medication", "`CodeableConcept` or `Reference`"),
    ] {
        refused(&one(resource, &column("a", path)), &[&gives(of)]);
    }
    let list = json!({ "name": "a", "path": "name", "collection": true });
    refused(&one("Patient", &list), &[&gives("`HumanName`")]);
    hinted(
        &one("Patient", &list),
        "name one of its elements in the path, or declare the `type` to get its JSON",
    );
    warned(
        &one(
            "Patient",
            &json!({ "name": "a", "path": "name", "collection": true, "type": "HumanName" }),
        ),
        &[],
    );
}

#[test]
fn a_tag_names_a_type_that_can_hold_the_values() {
    let never = |tag: &str, given: &str| {
        vec![format!(
            "select[0].column[0].tag[0].value: column `a` is tagged `{tag}`, which cannot hold the {given} of its path"
        )]
    };
    let none = Vec::new;
    for (path, tag, expected) in [
        ("active", "DATE", never("DATE", "`boolean`")),
        ("birthDate", "DATE", none()),
        ("birthDate", "TIMESTAMP", never("TIMESTAMP", "`date`")),
        ("birthDate", "integer", never("integer", "`date`")),
        ("gender", "BOOLEAN", never("BOOLEAN", "`code`")),
        ("gender", "DATE", never("DATE", "`code`")),
        ("gender", "DECIMAL(10,2)", none()),
        ("active", "DECIMAL(10,2)", never("DECIMAL(10,2)", "`boolean`")),
        ("active", "VARCHAR(10)", none()),
        ("deceased.ofType(dateTime)", "DATE", none()),
        ("deceased.ofType(dateTime)", "TIMESTAMP WITH TIME ZONE", none()),
        ("multipleBirth.ofType(integer)", "BIGINT", none()),
        (
            "id",
            "GEOMETRY",
            vec![
                "select[0].column[0].tag[0].value: `GEOMETRY` is no type that Kiln knows"
                    .to_owned(),
            ],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        refused(&one("Patient", &tagged(path, tag)), &expected);
    }
    let tags = json!([{ "name": "duckdb/type", "value": "HUGEINT" }, { "name": "ansi/nullable", "value": "no" }, { "name": "my tag!", "value": "" }]);
    warned(&one("Patient", &json!({ "name": "a", "path": "id", "tag": tags })), &[]);
    let twice =
        json!([{ "name": "ansi/type", "value": "DATE" }, { "name": "ansi/type", "value": "DATE" }]);
    refused(
        &one("Patient", &json!({ "name": "a", "path": "birthDate", "tag": twice })),
        &["select[0].column[0].tag[1]: a column can have only one tag `ansi/type`"],
    );
}

#[test]
fn constants_have_one_value_of_their_type() {
    let c = |key: &str, value: Value| json!([{ "name": "c", key: value }]);
    for (of, expected) in [
        (json!([{ "name": "c" }]), "constant[0]: constant `c` has no value"),
        (json!([{ "valueString": "x" }]), "constant[0]: a constant needs a `name`"),
        (
            json!([{ "name": "c", "valueCode": "a", "valueString": "x" }]),
            "constant[0].valueString: constant `c` has several values",
        ),
        (
            json!([{ "name": "c", "valueString": "x" }, { "name": "d", "valueString": "x" }, { "name": "c", "valueString": "y" }]),
            "constant[2].name: there are two constants `c`",
        ),
        (
            c("valueDate", json!("2020-13")),
            "constant[0].valueDate: constant `c`: `\"2020-13\"` is no `date`",
        ),
        (
            c("valueInteger", json!(1.5)),
            "constant[0].valueInteger: constant `c`: `1.5` is no `integer`",
        ),
        (
            c("valuePositiveInt", json!(0)),
            "constant[0].valuePositiveInt: constant `c`: `0` is no `positiveInt`",
        ),
        (
            c("valueTime", json!("25:00:00")),
            "constant[0].valueTime: constant `c`: `\"25:00:00\"` is no `time`",
        ),
        (
            c("valueStrin", json!("x")),
            "constant[0].valueStrin: constant `c`: `valueStrin` is no type of value",
        ),
        (
            c("valueQuantity", json!({})),
            "constant[0].valueQuantity: constant `c`: `valueQuantity` is no type of value",
        ),
        (c("value", json!("x")), "constant[0].value: constant `c`: `value` is no type of value"),
        (c("valueÄ", json!("x")), "constant[0].valueÄ: constant `c`: `valueÄ` is no type of value"),
        (
            json!([{ "name": "rowIndex", "valueInteger": 1 }]),
            "constant[0].name: `%rowIndex` is built in and cannot be defined anew",
        ),
        (
            json!([{ "name": "resource", "valueString": "x" }]),
            "constant[0].name: `%resource` is built in and cannot be defined anew",
        ),
    ] {
        let found = problems(&constants(&of), Severity::Error);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected], "{of}");
    }
    // A text of another form can still be compared with.
    warned(
        &constants(&c("valueUuid", json!("x"))),
        &["constant[0].valueUuid: constant `c`: `\"x\"` is no `uuid`"],
    );
    hinted(&constants(&c("valueStrin", json!("x"))), "did you mean `valueString`?");
    hinted(
        &constants(&c("valueInteger", json!("5"))),
        "write a whole number of 32 bits, without quotes: `5`",
    );
    refused(
        &one("Patient", &column("a", "id = %c")),
        &["select[0].column[0].path: `%c` is not defined"],
    );
}

#[test]
fn what_has_no_effect_is_said() {
    let id = column("a", "id");
    let with = |key: &str, value: Value| {
        let mut view = one("Patient", &id);
        view[key] = value;
        view
    };
    for (view, expected) in [
        (with("selct", json!([])), &["selct: `selct` is not part of a view and has no effect"][..]),
        (
            patients(&json!({ "forEachNull": "name", "column": [id] })),
            &["select[0].forEachNull: `forEachNull` is not part of a view here and has no effect"],
        ),
        (
            patients(&json!({ "unionAll": [{ "columns": [], "column": [id] }] })),
            &[
                "select[0].unionAll[0].columns: `columns` is not part of a view here and has no effect",
            ],
        ),
        (
            one("Patient", &json!({ "name": "a", "path": "id", "typ": "id" })),
            &["select[0].column[0].typ: `typ` is not part of a view here and has no effect"],
        ),
        (
            one(
                "Patient",
                &json!({ "name": "a", "path": "id", "tags": [{ "name": "ansi/type", "value": "DATE" }] }),
            ),
            &["select[0].column[0].tags: `tags` has no effect"],
        ),
        (
            one(
                "Patient",
                &json!({ "name": "a", "path": "id", "tag": [{ "name": "x", "value": "y", "vlaue": "z" }] }),
            ),
            &[
                "select[0].column[0].tag[0].vlaue: `vlaue` is not part of a view here and has no effect",
            ],
        ),
        (
            with("where", json!([{ "path": "active", "descripton": "x" }])),
            &["where[0].descripton: `descripton` is not part of a view here and has no effect"],
        ),
        (
            with("constant", json!([{ "name": "c", "valueString": "x" }])),
            &["constant[0].name: no expression uses constant `c`"],
        ),
        (
            json!({ "resource": "Patient", "constant": [{ "name": "c", "nmae": "d", "valueString": "x" }], "where": [{ "path": "id = %c" }], "select": [{ "column": [id] }] }),
            &["constant[0].nmae: `nmae` is not part of a view here and has no effect"],
        ),
        (with("where", json!([])), &["where: an empty `where` has no effect"]),
        (
            patients(&json!({ "column": [id], "select": [] })),
            &["select[0].select: an empty `select` has no effect"],
        ),
        (
            with("fhirVersion", json!(["5.0.0", "4.3.0"])),
            &["fhirVersion: the view is for FHIR 5.0.0, 4.3.0, and Kiln reads it as R4"],
        ),
        (with("fhirVersion", json!(["5.0.0", "4.0.1"])), &[]),
    ] {
        warned(&view, expected);
    }
    hinted(
        &patients(&json!({ "forEachNull": "name", "column": [id] })),
        "did you mean `forEachOrNull`?",
    );
}

#[test]
fn metadata_is_taken_without_a_word() {
    let columns = json!([{ "id": "x", "extension": [], "name": "i", "path": "%rowIndex" }]);
    for kind in ["ViewDefinition", "https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition"]
    {
        let view = json!({
            "resourceType": kind, "id": "x", "meta": { "profile": ["p"] }, "url": "u", "name": "v",
            "identifier": [{ "value": "1" }], "version": "1", "title": "t", "status": "draft",
            "experimental": true, "date": "2026", "publisher": "p", "contact": [], "useContext": [],
            "jurisdiction": [], "copyright": "c", "fhirVersion": ["4.0.1"], "profile": ["p"],
            "description": "d", "_status": {}, "lastReviewDate": "2026", "resource": "Patient",
            "select": [{ "column": columns }],
        });
        warned(&view, &[]);
    }
    let mut view = one("Patient", &column("a", "id"));
    view["identifier"] = json!({ "value": "1" });
    warned(&view, &[]);
}

#[test]
fn what_is_hardly_meant_is_said() {
    let list = |path: &str| json!({ "name": "a", "path": path, "collection": true });
    let several =
        "select[0].column[0].path: column `a` takes one value, and its path can give several";
    let never = "select[0].column[0].collection: column `a` is a list, but its path never gives more than one value";
    for (resource, column, expected) in [
        ("Patient", column("a", "name.family"), &[several][..]),
        ("Patient", column("a", "Patient.name.family"), &[several]),
        ("Patient", column("a", "$this.name.family"), &[several]),
        ("Patient", column("a", "name.first().family"), &[]),
        ("Patient", column("a", "name[0].family"), &[]),
        ("Patient", column("a", "name.where(use = 'official').family"), &[]),
        ("Patient", column("a", "birthDate"), &[]),
        ("Patient", list("birthDate"), &[never]),
        ("Patient", list("name.given.first()"), &[never]),
        ("Patient", list("name.given"), &[]),
        ("Patient", list("repeat(link).other.reference"), &[]),
        (
            "Patient",
            column("a", "deceased"),
            &["select[0].column[0].path: column `a` can be `boolean` or `dateTime`"],
        ),
        ("Patient", column("a", "gender | id"), &[]),
        (
            "Patient",
            list("gender | birthDate"),
            &["select[0].column[0].path: column `a` can be `code` or `date`"],
        ),
        ("Patient", column("a", "deceased.ofType(boolean)"), &[]),
        (
            "Patient",
            column("a", "iif(active, 'x', 1)"),
            &["select[0].column[0].path: column `a` can be `String` or `Integer`"],
        ),
        (
            "Condition",
            column("a", "onset"),
            &[
                "select[0].column[0].path: column `a` can be `dateTime` or `Age` or `Period` or `Range` or `string`",
            ],
        ),
        (
            "Observation",
            column("a", "valueQuantity.value"),
            &["select[0].column[0].path: `valueQuantity` is a key of JSON and no element"],
        ),
        ("Observation", column("a", "value.ofType(Quantity).value"), &[]),
    ] {
        warned(&one(resource, &column), expected);
    }
    hinted(
        &one("Observation", &column("a", "valueQuantity.value")),
        "write `value.ofType(Quantity)`",
    );
    hinted(&one("Observation", &typed("value", "Quantity")), "choose one: `ofType(Quantity)`");
    hinted(
        &one("Patient", &column("a", "extension('x').first().value")),
        "choose one: `ofType(Quantity)`",
    );
    hinted(
        &one("Patient", &column("a", "iif(active, 'x', 1)")),
        "let all parts give one type, for example by `toString()`",
    );
    let items =
        json!({ "repeat": ["item", "answer.item"], "column": [typed("$this", "BackboneElement")] });
    warned(&json!({ "resource": "QuestionnaireResponse", "select": [items] }), &[]);
    let paths = json!({ "repeat": ["item", "answer.zzz"], "column": [column("a", "linkId")] });
    warned(
        &json!({ "resource": "QuestionnaireResponse", "select": [paths] }),
        &["select[0].repeat[1]: `QuestionnaireResponse.item.answer` has no element `zzz`"],
    );
    // In a union the branches must be lists alike.
    let branches = json!([{ "column": [list("name.given")] }, { "column": [list("gender")] }]);
    warned(&patients(&json!({ "unionAll": branches })), &[]);
    // Within an iteration there is one at a time.
    warned(&patients(&json!({ "forEach": "name", "column": [column("a", "family")] })), &[]);
}
