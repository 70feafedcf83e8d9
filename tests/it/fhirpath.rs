//! FHIRPath as the views use it: values by section of the specification, and what is refused before a resource is read.
//!
//! Decimals, dates and complex values come as they are written; a text stands for them here.

use arrow::array::{Array, AsArray};
use arrow::util::display::array_value_to_string;
use kiln::flatten::{Flattener, Problem, Source, View};
use serde_json::{Value, json};

use crate::sql_on_fhir::rows;
use crate::support::environment;

/// A view of one column, which takes any number of values.
fn view(resource: &str, expression: &str) -> Result<View, Vec<Problem>> {
    let column = json!({ "name": "v", "path": expression, "collection": true });
    View::compile(&json!({ "resource": resource, "select": [{ "column": [column] }] }))
        .map(|(view, _)| view)
}

/// The values of an expression on a resource, as text; `Err` is why the resource is rejected.
fn values(resource: &str, expression: &str) -> Result<Vec<String>, String> {
    let of: Value = serde_json::from_str(resource).unwrap();
    let view = view(of["resourceType"].as_str().unwrap(), expression)
        .unwrap_or_else(|problems| panic!("{expression}: {problems:#?}"));
    let mut flattener = Flattener::new(&view, false, environment(&["http://x.org/fhir"]));
    let mut scratch = resource.as_bytes().to_vec();
    let base = scratch.as_ptr().addr();
    let tape = simd_json::to_tape(&mut scratch).unwrap();
    let source = Source { nodes: &tape.0, root: 0, raw: resource.as_bytes(), base };
    flattener.add(source).map_err(|e| e.message)?;
    let (batch, _) = flattener.finish();
    let list = batch.column(0).as_list::<i32>().value(0);
    Ok((0..list.len()).map(|i| array_value_to_string(&list, i).unwrap()).collect())
}

/// `expected` is a list; numbers and booleans in it stand for their text.
fn check(resource: &str, expression: &str, expected: &Value) {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let expected: Vec<_> = expected.as_array().unwrap().iter().map(text).collect();
    assert_eq!(values(resource, expression), Ok(expected), "{expression}");
}

fn check_all(resource: &str, cases: &[(&str, Value)]) {
    for (expression, expected) in cases {
        check(resource, expression, expected);
    }
}

fn patient() -> String {
    let resource = json!({
        "resourceType": "Patient",
        "id": "p1",
        "active": true,
        "gender": "female",
        "birthDate": "1974-12",
        "_birthDate": { "extension": [
            { "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
              "valueDateTime": "1974-12-25T14:35:45-05:00" }
        ] },
        "multipleBirthInteger": 2,
        "name": [
            { "use": "official", "family": "Chalmers", "given": ["Peter", "James"] },
            { "use": "usual", "given": ["Jim"] },
            { "use": "maiden", "family": "Windsor", "given": ["Peter", "James"] }
        ],
        "telecom": [
            { "system": "phone", "value": "555", "rank": 1 },
            { "system": "email", "value": "a@b.org", "rank": 2 }
        ],
        "extension": [{
            "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
            "extension": [{ "url": "text", "valueString": "Asian" }]
        }],
        "contact": [{ "name": { "family": "du Marché" } }],
        "contained": [
            { "resourceType": "Organization", "id": "o1", "name": "Clinic" },
            { "resourceType": "Practitioner", "id": "d1", "gender": "male" }
        ],
        "managingOrganization": { "reference": "#o1" },
        "generalPractitioner": [{ "reference": "#d1" }, { "reference": "Practitioner/pr9" }]
    });
    resource.to_string()
}

fn observation() -> String {
    let resource = json!({
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": { "coding": [
            { "system": "http://loinc.org", "code": "8480-6" },
            { "system": "http://snomed.info/sct", "code": "271649006" }
        ] },
        "effectiveDateTime": "2020-05-17T10:00:00+02:00",
        "issued": "2020-05-17T08:00:00.000Z",
        "valueQuantity": { "value": 1.5, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg" },
        "component": [
            { "code": { "text": "a" }, "valueString": "x" },
            { "code": { "text": "b" }, "valueInteger": 7 },
            { "code": { "text": "c" }, "valueQuantity": { "value": 2, "code": "mg" } }
        ]
    });
    // `serde_json` keeps no zero at the end.
    resource.to_string().replace("1.5", "1.50")
}

#[test]
fn literals_and_paths() {
    check_all(
        &patient(),
        &[
            ("'a\\'b\\u0041\\n'", json!(["a'bA\n"])),
            ("1", json!([1])),
            ("1.50", json!(["1.50"])),
            ("true", json!([true])),
            ("{}", json!([])),
            ("@2020-05", json!(["2020-05"])),
            ("@2020-05-17T10:30:00.5Z", json!(["2020-05-17T10:30:00.5Z"])),
            ("@T10:30", json!(["10:30"])),
            ("-5", json!([-5])),
            ("/* a */ 1 // b", json!([1])),
            ("Patient.gender", json!(["female"])),
            ("name.given", json!(["Peter", "James", "Jim", "Peter", "James"])),
            ("name.family", json!(["Chalmers", "Windsor"])),
            ("`name`.`family`", json!(["Chalmers", "Windsor"])),
            ("name[1].given[0]", json!(["Jim"])),
            ("name[7].given", json!([])),
            ("name[0].period.start", json!([])),
            ("contact.name.family", json!(["du Marché"])),
            ("photo.title", json!([])),
            ("(name | contact.name).family", json!(["Chalmers", "Windsor", "du Marché"])),
        ],
    );
}

#[test]
fn choice_types_and_type_tests() {
    check_all(
        &observation(),
        &[
            ("value.ofType(Quantity).value", json!(["1.50"])),
            ("(value as Quantity).code", json!(["mg"])),
            ("value.as(Quantity).code", json!(["mg"])),
            ("value.code", json!(["mg"])),
            ("value is Quantity", json!([true])),
            ("value is string", json!([false])),
            ("value.is(FHIR.Quantity)", json!([true])),
            ("value.ofType(string)", json!([])),
            ("component.value.ofType(string)", json!(["x"])),
            ("component.value.ofType(integer)", json!([7])),
            ("component.value.ofType(Quantity).value", json!([2])),
            ("component.where(value is string).code.text", json!(["a"])),
            ("effective.ofType(dateTime)", json!(["2020-05-17T10:00:00+02:00"])),
            ("effective.ofType(Period).start", json!([])),
            ("$this is Observation", json!([true])),
            ("$this is DomainResource", json!([true])),
            ("$this is Patient", json!([false])),
            ("1 is Integer", json!([true])),
            ("1.0 is System.Decimal", json!([true])),
            ("'a' is String", json!([true])),
            ("subject is Reference", json!([])),
        ],
    );
}

#[test]
fn existence_and_filtering() {
    check_all(
        &patient(),
        &[
            ("name.exists()", json!([true])),
            ("photo.exists()", json!([false])),
            ("name.exists(use = 'usual')", json!([true])),
            ("name.exists(use = 'nickname')", json!([false])),
            ("photo.empty()", json!([true])),
            ("name.all(given.exists())", json!([true])),
            ("name.all(family.exists())", json!([false])),
            ("photo.all(title = 'x')", json!([true])),
            ("name.family.exists().not()", json!([false])),
            ("(true | false).allTrue()", json!([false])),
            ("(true | false).anyTrue()", json!([true])),
            ("name.given.count()", json!([5])),
            ("name.given.distinct()", json!(["Peter", "James", "Jim"])),
            ("name.given.isDistinct()", json!([false])),
            ("name.where(use = 'official').given", json!(["Peter", "James"])),
            ("name.where(family.empty()).given", json!(["Jim"])),
            ("name.where($index > 0).use", json!(["usual", "maiden"])),
            ("name.given.where($this.startsWith('J'))", json!(["James", "Jim", "James"])),
            ("telecom.where(rank > 1).value", json!(["a@b.org"])),
            ("name.select(given.first())", json!(["Peter", "Jim", "Peter"])),
            (
                "name.select(use & ':' & family)",
                json!(["official:Chalmers", "usual:", "maiden:Windsor"]),
            ),
            ("('Jim' | 'Peter').subsetOf(%resource.name.given)", json!([true])),
            ("name.given.supersetOf('Zoe')", json!([false])),
            ("extension.repeat(extension).value", json!(["Asian"])),
            ("active.not()", json!([false])),
            ("active and gender = 'female'", json!([true])),
            ("active and {}", json!([])),
            ("{} and false", json!([false])),
            ("{} or true", json!([true])),
            ("{} implies true", json!([true])),
            ("false implies {}", json!([true])),
            ("true xor true", json!([false])),
        ],
    );
}

#[test]
fn subsetting_and_combining() {
    check_all(
        &patient(),
        &[
            ("name.given.first()", json!(["Peter"])),
            ("name.given.last()", json!(["James"])),
            ("name.where(use = 'usual').given.single()", json!(["Jim"])),
            ("name.use.tail()", json!(["usual", "maiden"])),
            ("name.use.skip(2)", json!(["maiden"])),
            ("name.use.skip(9)", json!([])),
            ("name.use.take(2)", json!(["official", "usual"])),
            ("name.use.take(-1)", json!([])),
            ("name.use.intersect('usual' | 'x')", json!(["usual"])),
            ("name[0].given.intersect(%resource.name[2].given)", json!(["Peter", "James"])),
            ("name.use.exclude('usual')", json!(["official", "maiden"])),
            ("name.given | 'Zoe'", json!(["Peter", "James", "Jim", "Zoe"])),
            ("name[0].given.combine(name[0].given)", json!(["Peter", "James", "Peter", "James"])),
            ("name[0].given.union('Peter')", json!(["Peter", "James"])),
            ("'Jim' in name.given", json!([true])),
            ("name.given contains 'Zoe'", json!([false])),
            ("{} in name.given", json!([])),
            ("'a' in {}", json!([false])),
            ("iif(active, 'yes', 'no')", json!(["yes"])),
            ("iif({}, 'yes', 'no')", json!(["no"])),
            ("iif(false, 'yes')", json!([])),
            ("name.first().iif(use = 'official', family, 'other')", json!(["Chalmers"])),
            ("photo.first().iif(title.exists(), title, 'none')", json!(["none"])),
        ],
    );
    let several = values(&patient(), "name.iif(true, 1, 2)").unwrap_err();
    assert_eq!(several, "a single value is wanted here, there are several: `name.iif(true, 1, 2)`");
}

#[test]
fn strings_and_regular_expressions() {
    check_all(
        &patient(),
        &[
            ("'abc'.substring(1)", json!(["bc"])),
            ("'abc'.substring(1, 1)", json!(["b"])),
            ("'abc'.substring(3)", json!([])),
            ("'abc'.substring(-1)", json!([])),
            ("'äbc'.length()", json!([3])),
            ("'äbc'.indexOf('c')", json!([2])),
            ("'abc'.indexOf('z')", json!([-1])),
            ("'abcb'.lastIndexOf('b')", json!([3])),
            ("'abc'.startsWith('')", json!([true])),
            ("'abc'.endsWith('bc')", json!([true])),
            ("'abc'.contains('b')", json!([true])),
            ("name[0].family.upper()", json!(["CHALMERS"])),
            ("' a '.trim()", json!(["a"])),
            ("'a,b,,c'.split(',')", json!(["a", "b", "", "c"])),
            ("name[0].given.join(' ')", json!(["Peter James"])),
            ("photo.title.join(',')", json!([])),
            ("'abc'.replace('b', 'X')", json!(["aXc"])),
            ("'abc'.replace('', 'x')", json!(["xaxbxcx"])),
            ("'abc'.toChars()", json!(["a", "b", "c"])),
            ("'a' + 'b'", json!(["ab"])),
            ("'a' + {}", json!([])),
            ("'a' & {}", json!(["a"])),
            ("'2020-05'.matches('^\\\\d{4}-\\\\d{2}$')", json!([true])),
            ("'a\\nb'.matches('a.b')", json!([true])),
            ("'abc'.matches('B')", json!([false])),
            (
                "'11/30/1972'.replaceMatches('(\\\\d+)/(\\\\d+)/(\\\\d+)', '$3-$1-$2')",
                json!(["1972-11-30"]),
            ),
        ],
    );
}

#[test]
fn math_is_exact() {
    check_all(
        &observation(),
        &[
            ("0.1 + 0.2", json!(["0.3"])),
            ("0.1 + 0.2 = 0.3", json!([true])),
            ("1 + 2 * 3", json!([7])),
            ("(1 + 2) * 3", json!([9])),
            ("7 / 2", json!(["3.5"])),
            ("7 div 2", json!([3])),
            ("7 mod 2", json!([1])),
            ("-7 div 2", json!([-3])),
            ("1 / 0", json!([])),
            ("1.5 * 2", json!(["3.0"])),
            ("(-5).abs()", json!([5])),
            ("(1.5).ceiling()", json!([2])),
            ("(-1.5).floor()", json!([-2])),
            ("(-1.5).truncate()", json!([-1])),
            ("3.14159.round(2)", json!(["3.14"])),
            ("2.5.round()", json!(["3"])),
            ("1234567890123456.123456789 + 0", json!(["1234567890123456.123456789"])),
            ("9007199254740993 + 0 = 9007199254740993", json!([true])),
            ("value.value", json!(["1.50"])),
            ("value.value * 2", json!(["3.00"])),
            ("value > 1 'mg'", json!([true])),
            ("value = 1.5 'mg'", json!([true])),
            ("value > 1 'kg'", json!([])),
            ("component.value.ofType(integer) + 1", json!([8])),
            ("@2020-01-31 + 1 month", json!(["2020-02-29"])),
            ("@2020-05-17T23:30:00Z + 1 hour", json!(["2020-05-18T00:30:00Z"])),
            ("@2020 - 1 year", json!(["2019"])),
            ("(1 | 2 | 3).aggregate($total + $this, 0)", json!([6])),
        ],
    );
}

#[test]
fn comparison_says_nothing_where_precision_is_missing() {
    check_all(
        &patient(),
        &[
            ("@2020 = @2020-01-01", json!([])),
            ("@2020 != @2021-01-01", json!([true])),
            ("@2020 < @2021-01-01", json!([true])),
            ("@2020-05 > @2020-05-17", json!([])),
            ("@2020-05-17T10:00:00+02:00 = @2020-05-17T08:00:00Z", json!([true])),
            ("@2020-05-17T10:00:00 = @2020-05-17T10:00:00Z", json!([])),
            ("@2020-05-17T10:00:00.0Z = @2020-05-17T10:00:00Z", json!([true])),
            ("@T10:30 < @T10:31", json!([true])),
            ("@T10 = @T10:30", json!([])),
            ("birthDate < @1975-01-01", json!([true])),
            ("birthDate = @1974-12-25", json!([])),
            ("birthDate ~ @1974-12-25", json!([false])),
            ("birthDate = @1974-12", json!([true])),
            ("1 = 1.0", json!([true])),
            ("1.50 = 1.5", json!([true])),
            ("'a' = 'A'", json!([false])),
            ("'a B' ~ 'A  b'", json!([true])),
            ("1.01 ~ 1.0", json!([true])),
            ("{} = {}", json!([])),
            ("{} ~ {}", json!([true])),
            ("(1 | 2) = (1 | 2)", json!([true])),
            ("(1 | 2) = (2 | 1)", json!([false])),
            ("(1 | 2) ~ (2 | 1)", json!([true])),
            ("(1).combine(1).combine(2) ~ (1).combine(2).combine(2)", json!([false])),
            ("gender = 'female'", json!([true])),
            ("gender = 1", json!([false])),
            ("name[0].given = name[2].given", json!([true])),
            ("name[0] = name[0]", json!([true])),
            ("name[0] = name[1]", json!([false])),
            ("1 'mg' = 1 'mg'", json!([true])),
            ("2 <= 2", json!([true])),
            ("'a' < 'b'", json!([true])),
        ],
    );
}

#[test]
fn boundaries() {
    check_all(
        &observation(),
        &[
            ("1.0.lowBoundary()", json!(["0.95"])),
            ("1.0.highBoundary()", json!(["1.05"])),
            ("value.value.lowBoundary()", json!(["1.495"])),
            ("1.lowBoundary()", json!(["0.5"])),
            ("(-1.0).lowBoundary()", json!(["-1.05"])),
            ("@1970-06.lowBoundary()", json!(["1970-06-01"])),
            ("@1970-06.highBoundary()", json!(["1970-06-30"])),
            ("@2020-02.highBoundary()", json!(["2020-02-29"])),
            ("@2010-10-10T.lowBoundary()", json!(["2010-10-10T00:00:00.000+14:00"])),
            ("@2010-10-10T.highBoundary()", json!(["2010-10-10T23:59:59.999-12:00"])),
            ("effective.ofType(dateTime).highBoundary()", json!(["2020-05-17T10:00:00.999+02:00"])),
            ("@T12:34:00.highBoundary()", json!(["12:34:00.999"])),
            ("{}.lowBoundary()", json!([])),
            ("'a'.lowBoundary()", json!([])),
        ],
    );
}

#[test]
fn keys_of_references() {
    for (reference, key) in [
        ("Organization/o1", json!(["o1"])),
        ("Organization/o1/_history/3", json!(["o1"])),
        ("http://x.org/fhir/Organization/o1", json!(["o1"])),
        ("http://x.org/fhir/Organization/o1/_history/3", json!(["o1"])),
        ("http://y.org/fhir/Organization/o1", json!([])),
        ("http://x.org/fhir2/Organization/o1", json!([])),
        ("urn:uuid:7e1a8c1e-2f6b-4d6c-9a6a-0f1e2d3c4b5a", json!([])),
        ("urn:oid:1.2.3", json!([])),
        ("#o1", json!([])),
        ("Organization?identifier=http://x|1", json!([])),
        ("Practitioner/o1", json!([])),
        ("o1", json!([])),
        ("", json!([])),
        ("Organization/", json!([])),
        ("http://x.org/o1", json!([])),
        ("Nothing/o1", json!([])),
    ] {
        let resource = json!({ "resourceType": "Patient", "id": "p", "managingOrganization": { "reference": reference } }).to_string();
        check(&resource, "managingOrganization.getReferenceKey(Organization)", &key);
        check(&resource, "managingOrganization.exists()", &json!([true]));
    }
    let resource = json!({ "resourceType": "Patient", "id": "p",
        "managingOrganization": { "display": "Clinic" },
        "generalPractitioner": [{ "reference": "Practitioner/a" }, { "display": "?" }, { "reference": "Organization/b" }] }).to_string();
    check_all(
        &resource,
        &[
            ("getResourceKey()", json!(["p"])),
            ("managingOrganization.getReferenceKey()", json!([])),
            ("generalPractitioner.getReferenceKey()", json!(["a", "b"])),
            ("generalPractitioner.getReferenceKey(Practitioner)", json!(["a"])),
            (
                "generalPractitioner.where(getReferenceKey(Organization).exists()).count()",
                json!([1]),
            ),
        ],
    );
    check(r#"{"resourceType":"Patient"}"#, "getResourceKey()", &json!([]));
}

#[test]
fn extensions_contained_resources_and_variables() {
    check_all(
        &patient(),
        &[
            (
                "birthDate.extension('http://hl7.org/fhir/StructureDefinition/patient-birthTime').value",
                json!(["1974-12-25T14:35:45-05:00"]),
            ),
            (
                "extension('http://hl7.org/fhir/us/core/StructureDefinition/us-core-race').extension('text').value",
                json!(["Asian"]),
            ),
            (
                "extension.where(url.endsWith('race')).extension.value.ofType(string)",
                json!(["Asian"]),
            ),
            ("birthDate.hasValue()", json!([true])),
            ("birthDate.getValue()", json!(["1974-12"])),
            ("contained.ofType(Organization).name", json!(["Clinic"])),
            ("contained.where(id = 'd1').gender", json!(["male"])),
            ("contained.where($this is Practitioner).id", json!(["d1"])),
            ("managingOrganization.resolve().name", json!(["Clinic"])),
            ("managingOrganization.resolve().ofType(Organization).name", json!(["Clinic"])),
            ("generalPractitioner.resolve().id", json!(["d1"])),
            ("'#'.resolve().id", json!(["p1"])),
            ("name.where(use = 'usual').select(%resource.id)", json!(["p1"])),
            ("name.where(%context.gender = 'female').count()", json!([3])),
            ("%rowIndex", json!([0])),
            ("%ucum", json!(["http://unitsofmeasure.org"])),
            ("multipleBirth.ofType(integer)", json!([2])),
            ("now() is DateTime", json!([true])),
            ("today() = @2026-01-01", json!([true])),
        ],
    );
    let only_extension = json!({ "resourceType": "Patient", "id": "p",
        "_birthDate": { "extension": [{ "url": "u", "valueCode": "unknown" }] },
        "name": [{ "given": [null, "b"], "_given": [{ "extension": [{ "url": "u", "valueCode": "masked" }] }, null] }] }).to_string();
    check_all(
        &only_extension,
        &[
            ("birthDate.exists()", json!([true])),
            ("birthDate.hasValue()", json!([false])),
            ("birthDate.extension('u').value", json!(["unknown"])),
            ("name.given.count()", json!([2])),
            ("name.given.where(hasValue())", json!(["b"])),
            ("name.given.extension('u').value", json!(["masked"])),
        ],
    );
}

#[test]
fn conversions() {
    check_all(
        &observation(),
        &[
            ("'12'.toInteger()", json!([12])),
            ("'1.5'.toInteger()", json!([])),
            ("true.toInteger()", json!([1])),
            ("'1.50'.toDecimal()", json!(["1.50"])),
            ("1.toDecimal() is Decimal", json!([true])),
            ("'yes'.toBoolean()", json!([true])),
            ("2.toBoolean()", json!([])),
            ("1.50.toString()", json!(["1.50"])),
            ("true.toString()", json!(["true"])),
            ("issued.toString()", json!(["2020-05-17T08:00:00.000Z"])),
            ("'2020-05-17'.toDate()", json!(["2020-05-17"])),
            ("issued.toDate()", json!(["2020-05-17"])),
            ("'2020-05-17T10:00:00Z'.toDateTime()", json!(["2020-05-17T10:00:00Z"])),
            ("'10:30'.toTime()", json!(["10:30"])),
            ("'abc'.convertsToDate()", json!([false])),
            ("'1'.convertsToInteger()", json!([true])),
            ("{}.toInteger()", json!([])),
            ("'4 days'.convertsToQuantity()", json!([true])),
            ("value.value.toString()", json!(["1.50"])),
        ],
    );
}

#[test]
fn what_one_resource_cannot_answer_is_an_error_of_that_resource() {
    for (expression, expected, part) in [
        ("name.single()", "`single()` found several values", "name.single()"),
        (
            "name.given.upper()",
            "a single value is wanted here, there are several",
            "name.given.upper()",
        ),
        (
            "name.given + 'x'",
            "a single value is wanted here, there are several",
            "name.given + 'x'",
        ),
        ("gender < 1", "values of different types have no order", "gender < 1"),
        (
            "(name.given | 'x') as string",
            "`as` wants a single value",
            "(name.given | 'x') as string",
        ),
        ("name.given as string", "`as` wants a single value", "name.given as string"),
        (
            "name.given and true",
            "a single boolean is wanted here, there are several values",
            "name.given",
        ),
        ("'a' - 1", "these types cannot be combined by this operator", "'a' - 1"),
        ("1 & 'a'", "`&` joins texts; `toString()` makes one", "1 & 'a'"),
        ("-gender", "only numbers have a negative", "-gender"),
        ("gender.abs()", "only numbers have an absolute value", "gender.abs()"),
        ("active.upper()", "only texts can be used here; `toString()` makes one", "active.upper()"),
    ] {
        let expected = format!("{expected}: `{part}`");
        assert_eq!(values(&patient(), expression).unwrap_err(), expected, "{expression}");
    }
}

/// Checks that a view with the expression is refused with this message and hint, and what in it is underlined.
fn refused(expression: &str, message: &str, underlined: &str, hint: &str) {
    let problems = view("Patient", expression).expect_err(expression);
    let [problem] = problems.as_slice() else { panic!("{expression}: {problems:#?}") };
    let (text, span) = problem.expression.clone().expect("a place in the expression");
    let found = (
        problem.message.as_str(),
        text.get(span).unwrap_or("(the end)"),
        problem.hint.as_deref().unwrap_or_default(),
        problem.path.as_str(),
    );
    assert_eq!(found, (message, underlined, hint, "select[0].column[0].path"), "{expression}");
}

#[test]
fn mistakes_are_refused_at_load_with_their_place() {
    for (expression, message, underlined, hint) in [
        (
            "brithDate",
            "`Patient` has no element `brithDate`",
            "brithDate",
            "did you mean `birthDate`?",
        ),
        ("name.famly", "`HumanName` has no element `famly`", "famly", "did you mean `family`?"),
        (
            "name.where(famly = 'x')",
            "`HumanName` has no element `famly`",
            "famly",
            "did you mean `family`?",
        ),
        (
            "name.first().famly",
            "`HumanName` has no element `famly`",
            "famly",
            "did you mean `family`?",
        ),
        ("name.frist()", "there is no function `frist()`", "frist", "did you mean `first()`?"),
        ("name.where()", "`where()` takes 1 argument, not 0", "where", ""),
        ("name.where(a, b)", "`where()` takes 1 argument, not 2", "where", ""),
        ("name.exists(1, 2)", "`exists()` takes 0 to 1 arguments, not 2", "exists", ""),
        ("name.", "the expression ends where a name should follow", "", ""),
        ("name..family", "expected a name, found `.`", ".", ""),
        ("name family", "expected an operator or the end, found `family`", "family", ""),
        ("(name", "the expression ends where `)` should follow", "", ""),
        ("name)", "expected an operator or the end, found `)`", ")", ""),
        ("name[0", "the expression ends where `]` should follow", "", ""),
        ("'abc", "text is not closed", "'abc", ""),
        ("'a\\qb'", "`\\q` is no escape", "'a\\q", ""),
        ("@@", "`@` wants a date, a dateTime or a time", "@", ""),
        ("@2020-13", "`@2020-13` is no valid value", "@2020-13", ""),
        ("@2020-02-30", "`@2020-02-30` is no valid value", "@2020-02-30", ""),
        ("@T25:00", "`@T25:00` is no valid value", "@T25:00", ""),
        (
            "99999999999999999999",
            "`99999999999999999999` is no valid value",
            "99999999999999999999",
            "",
        ),
        ("%nope", "`%nope` is not defined", "%nope", "declare it under `constant` of the view"),
        ("%resorce.id", "`%resorce` is not defined", "%resorce", "did you mean `%resource`?"),
        ("$that", "only `$this`, `$index` and `$total` exist", "$that", ""),
        (
            "name is Humanname",
            "there is no type `Humanname`",
            "name is Humanname",
            "did you mean `HumanName`?",
        ),
        (
            "multipleBirth.ofType(Quantity)",
            "`multipleBirth` is never a `Quantity` here",
            "multipleBirth.ofType(Quantity)",
            "it can be: boolean, integer",
        ),
        (
            "contact.getResourceKey()",
            "`getResourceKey()` is of a resource, not of `Patient.contact`",
            "getResourceKey",
            "the key of the row's resource is `%resource.getResourceKey()`",
        ),
        (
            "managingOrganization.reference.getReferenceKey()",
            "`getReferenceKey()` is of a Reference, not of `string`",
            "getReferenceKey",
            "apply it to the Reference itself, as in `subject.getReferenceKey(Patient)`",
        ),
        (
            "generalPractitioner.getReferenceKey(Practitoner)",
            "there is no type `Practitoner`",
            "Practitoner",
            "did you mean `Practitioner`?",
        ),
        (
            "gender.matches('(')",
            "the pattern is no valid regular expression",
            "'('",
            "look-around and back-references are not supported; a backslash is written `\\\\`",
        ),
        (
            "gender.matches('(?=a)')",
            "the pattern is no valid regular expression",
            "'(?=a)'",
            "look-around and back-references are not supported; a backslash is written `\\\\`",
        ),
        ("1 +", "the expression ends where a value should follow", "", ""),
        ("# 1", "`#` has no meaning here", "#", ""),
        ("/* a", "comment is not closed", "/", ""),
    ] {
        refused(expression, message, underlined, hint);
    }
}

#[test]
fn variables_within_an_iteration_of_the_view() {
    let resource: Value = serde_json::from_str(&patient()).unwrap();
    let columns = json!([
        { "name": "row", "path": "%rowIndex" },
        { "name": "use", "path": "given.first().select(%context.use)" },
        { "name": "id", "path": "given.first().select(%resource.id)" },
    ]);
    let view =
        json!({ "resource": "Patient", "select": [{ "forEach": "name", "column": columns }] });
    let (_, found) = rows(&view, &[resource]).unwrap();
    let expected = json!([
        { "row": 0, "use": "official", "id": "p1" },
        { "row": 1, "use": "usual", "id": "p1" },
        { "row": 2, "use": "maiden", "id": "p1" },
    ]);
    assert_eq!(json!(found), expected);
}

#[test]
fn a_view_that_cannot_work_is_refused_or_ends() {
    let column = json!({ "name": "id", "path": "id" });
    let unclear = json!({ "resource": "Patient", "where": [{ "path": "gender" }], "select": [{ "column": [column] }] });
    let [problem] = View::compile(&unclear).unwrap_err().try_into().unwrap();
    assert_eq!(
        problem.to_string(),
        "where[0].path: `where` must be true or false, but this gives `code`"
    );
    let circle =
        json!({ "resource": "Patient", "select": [{ "repeat": ["$this"], "column": [column] }] });
    let resource: Value = serde_json::from_str(&patient()).unwrap();
    let why = rows(&circle, &[resource]).unwrap_err();
    assert_eq!(why, "`repeat` finds the same element again and again: `$this`");
}
