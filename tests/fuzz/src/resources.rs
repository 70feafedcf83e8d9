//! Small resources that expressions and views are run on, some of them nothing like what their type promises.

use crate::fhir::Type;
use crate::fhirpath::{Environment, Temporal};

/// Ordinary resources: names that repeat, choices, extensions beside primitives, contained resources, nested items.
pub const ORDINARY: [&str; 3] = [
    r##"{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2024-02-29T23:59:60.999+14:00"},"active":true,
    "birthDate":"1974-12","_birthDate":{"extension":[{"url":"http://e/x","valueDateTime":"1974-12-25T14:35:45-05:00"}]},
    "name":[{"use":"official","family":"Käse","given":["Peter",null,"J"],"_given":[null,{"id":"g"},{"id":"h"}],
    "period":{"start":"2001","end":"9999-12-31"}},{"use":"usual","given":["Jim 🦀"]},{"text":""}],
    "telecom":[{"system":"phone","value":"555","rank":1},{"system":"email","value":"a@b.org","rank":2147483647}],
    "multipleBirthInteger":9223372036854775807,"managingOrganization":{"reference":"#o1"},
    "generalPractitioner":[{"reference":"Practitioner/d1"},{"reference":"http://e/Practitioner/d2/_history/3"}],
    "contained":[{"resourceType":"Organization","id":"o1","name":"Clinic"},{"resourceType":"Practitioner","id":"d1"}]}"##,
    r#"{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org",
    "code":"85354-9"},{"code":"x"}],"text":"BP"},"effectivePeriod":{"start":"2013-04-02T09:30:10+01:00"},
    "issued":"2013-04-03T15:30:10.123456789Z","valueQuantity":{"value":1.50E-3,"unit":"mmol","code":"mmol/L"},
    "component":[{"valueQuantity":{"value":-107.20,"code":"mm[Hg]"}},{"valueDateTime":"0001-01-01"},
    {"valueTime":"23:59:60"},{"valueInteger":-9223372036854775808},{"valueRange":{"low":{"value":1e28},"high":{"value":1e-28}}},
    {"valueSampledData":{"period":79228162514264337593543950335,"data":"1 2 E"}},{"valueBoolean":false},
    {"valueRatio":{"numerator":{"value":1},"denominator":{"value":0}}},{"valueString":"a|b|c"}],
    "subject":{"reference":"Patient/p1"},"derivedFrom":[{"reference":"urn:uuid:1"},{"reference":"?x=y"}]}"#,
    r#"{"resourceType":"QuestionnaireResponse","id":"q","item":[{"linkId":"1","item":[{"linkId":"1.1",
    "answer":[{"valueDecimal":0.00,"item":[{"linkId":"1.1.1"}]},{"valueDate":"2020-02-29"}]},{"linkId":"1.2"}]},
    {"linkId":"2","answer":[{"valueCoding":{"code":"y"}},{"valueUri":"urn:x"}]}],"extension":[{"url":"u",
    "extension":[{"url":"v","valueInteger":0},{"url":"v","valueDecimal":123456789012345678901234567890}]}]}"#,
];

/// Valid JSON that is no valid FHIR: what a sender may put into any element.
pub const HOSTILE: [&str; 5] = [
    r#"{"resourceType":"Patient"}"#,
    r#"{"id":[["x"]],"name":{"given":[[1],[2,[3]]],"family":{"a":null}},"birthDate":[1,2],"active":"true",
    "contact":"none","telecom":[null,7,{"rank":1.0},{"value":[true]}],"_birthDate":[[],{}],"_name":5,
    "identifier":[{"value":1e-4294967296},{"value":1e308}],"resourceType":"Patient"}"#,
    r#"{"resourceType":"Observation","valueQuantity":{"value":"12"},"valueString":5,"valueDateTime":"2020-13",
    "component":{"valueQuantity":[{"value":1e-2147483649},{"value":0.00000000000000000000000000000000001}]},
    "code":{"coding":{"code":"\u0000\u2028\\\"","co\u0064e":"twice"}},"effectiveDateTime":"2020-01-01T24:00:00Z",
    "issued":"2020-01-01T10:00:00Z01:00","subject":{"reference":"/"},"status":null,"issued":20200101}"#,
    r#"{"resourceType":"QuestionnaireResponse","item":[[{"linkId":1}],{"item":{"item":[{"item":[{"item":{"linkId":-0}}]}]}}],
    "contained":[{"resourceType":"Patient","contained":[{"resourceType":"Bundle","entry":[{"resource":{}}]}]},
    {"resourceType":7},3],"":{"":""},"extension":{"url":"u","valueBase64Binary":"="}}"#,
    "{}",
];

/// The run that they are part of.
pub fn environment() -> Environment {
    let now = Temporal::date_time("2026-01-01T00:00:00Z").expect("it is a valid dateTime");
    Environment { now, bases: vec!["http://e".into()], key_prefix: None }
}

/// The type that a resource says it is.
pub fn type_of(resource: &str) -> Type {
    let json: serde_json::Value = serde_json::from_str(resource).expect("resources are JSON");
    let name = json["resourceType"].as_str().unwrap_or("Patient");
    Type::named(name).expect("resources are of types that exist")
}

/// Parses a resource as ingest does, and calls `with` with its tape, its text and the base of the tape's strings.
pub fn parsed(resource: &str, with: impl FnOnce(&[simd_json::Node<'_>], &[u8], usize)) {
    let mut scratch = resource.as_bytes().to_vec();
    let base = scratch.as_ptr().addr();
    let tape = simd_json::to_tape(&mut scratch).expect("resources are JSON");
    with(&tape.0, resource.as_bytes(), base);
}
