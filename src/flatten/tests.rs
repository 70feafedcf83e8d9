//! The fast path gives what the general one gives: shipped views and awkward ones, over resources that were bent at
//! random places.
#![allow(clippy::unwrap_used)]

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::array_value_to_string;
use rand::seq::IteratorRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::{Counts, Flattener, Select, Source, View};
use crate::fhirpath::{Environment, Temporal, Trie};

impl View {
    /// The same view, every path of which is gone on its own.
    fn without_tries(json: &Value) -> Self {
        fn forget(select: &mut Select) {
            select.trie = None;
            select.nested.iter_mut().chain(&mut select.unions).for_each(forget);
        }
        let (mut view, _) = Self::compile(json).unwrap();
        view.trie = Trie::new(view.resource);
        forget(&mut view.select);
        view
    }
}

/// Paths that share beginnings, ask for the first of several, for whole elements, for keys, for extensions.
fn awkward_views() -> Vec<Value> {
    let column = |name: &str, path: &str| json!({ "name": name, "path": path });
    let list = |name: &str, path: &str| json!({ "name": name, "path": path, "collection": true });
    let patient = json!({ "resource": "Patient", "where": [{ "path": "active or gender.exists()" }], "select": [
        { "column": [
            column("key", "getResourceKey()"), column("born", "birthDate"), column("family", "name.first().family"),
            column("given", "name.given.first()"), column("own", "name.first().given.first()"), list("all", "name.given"),
            column("zeroth", "name[0].family"), column("upper", "name.first().family.upper()"),
            column("official", "name.where(use = 'official').first().family"),
            column("has", "name.exists(use = 'official' and family != 'x')"),
            column("gp", "generalPractitioner.first().getReferenceKey(Practitioner)"),
            list("gps", "generalPractitioner.getReferenceKey()"), column("dead", "deceased.ofType(boolean)"),
            column("why", "birthDate.extension.value.ofType(code).first()"), list("contained", "contained.id") ] },
        { "forEachOrNull": "contact", "column": [column("contact", "name.family"), column("n", "%rowIndex"), list("tel", "telecom.value")],
          "select": [{ "forEachOrNull": "telecom", "column": [column("system", "system"), column("value", "value")] }] } ] });
    let items = json!({ "resource": "QuestionnaireResponse", "select": [
        { "repeat": ["item"], "column": [column("link", "linkId"), list("text", "answer.value.ofType(string)"), column("first", "answer.first().value.ofType(integer)")] },
        { "unionAll": [
            { "forEach": "identifier", "column": [column("system", "system"), column("value", "value")] },
            { "forEach": "contained.ofType(Observation).identifier", "column": [column("system", "system"), column("value", "value")] } ] } ] });
    vec![patient, items]
}

fn resources() -> Vec<Value> {
    vec![
        json!({ "resourceType": "Patient", "id": "p", "active": true, "gender": "male", "birthDate": "1970-01-01",
            "deceasedBoolean": false, "generalPractitioner": [{ "reference": "Practitioner/a" }, { "reference": "Organization/b" }],
            "name": [{ "use": "official", "family": "A", "given": ["x", "y"] }, { "family": "B", "given": ["z"] }],
            "contact": [{ "name": { "family": "C" }, "telecom": [{ "system": "phone", "value": "1" }, { "value": "2" }] }, {}],
            "contained": [{ "resourceType": "Organization", "id": "o", "name": "Clinic" }] }),
        json!({ "resourceType": "QuestionnaireResponse", "id": "q", "identifier": { "system": "s", "value": "v" },
            "item": [{ "linkId": "1", "answer": [{ "valueString": "t" }, { "valueInteger": 3 }], "item": [{ "linkId": "1.1" }] }, { "linkId": "2" }],
            "contained": [{ "resourceType": "Observation", "identifier": [{ "value": "w" }] }] }),
        json!({ "resourceType": "Observation", "id": "o", "status": "final", "subject": { "reference": "Patient/p" },
            "encounter": { "reference": "Encounter/e/_history/1" }, "effectiveDateTime": "2020-01-01T10:00:00Z", "issued": "2020-01-01T10:00:00Z",
            "category": [{ "coding": [{ "code": "vital-signs" }] }], "code": { "coding": [{ "system": "http://loinc.org", "code": "1-1", "display": "d" }] },
            "valueQuantity": { "value": 1.50, "unit": "mg", "code": "mg" },
            "component": [{ "code": { "coding": [{ "code": "c" }] }, "valueQuantity": { "value": 1 } }, { "valueString": "s" }] }),
    ]
}

/// Changes one place: a value becomes null, a list, a list of lists, something else; a key is gone, doubled, or has an
/// extension beside it.
fn bend(value: &mut Value, random: &mut impl Rng) {
    match value {
        Value::Object(members) if !members.is_empty() && random.random_bool(0.8) => {
            let key = members.keys().choose(random).unwrap().clone();
            match random.random_range(0..9) {
                0 => drop(members.remove(&key)),
                1 => drop(members.insert(
                    format!("_{key}"),
                    json!({ "extension": [{ "url": "u", "valueCode": "unknown" }] }),
                )),
                2 => drop(members.insert(format!("{key}{TWICE}"), Value::from("again"))),
                _ => bend(&mut members[&key], random),
            }
        }
        Value::Array(items) if !items.is_empty() && random.random_bool(0.8) => {
            let at = random.random_range(0..items.len());
            bend(&mut items[at], random);
        }
        _ => {
            let old = value.take();
            *value = match random.random_range(0..7) {
                0 => Value::Null,
                1 => json!([old]),
                2 => json!([[old], null]),
                3 => json!([null, old.clone(), old]),
                4 => Value::from(12),
                5 => Value::Object(Map::new()),
                _ => Value::from("other"),
            };
        }
    }
}

/// Marks a key that is written as the one before it, which `serde_json` cannot do.
const TWICE: &str = "#";

/// All that comes of some resources: batches, counts, and why resources failed.
fn outcome(view: &View, lines: &[String], source: Option<&str>) -> String {
    let (batch, counts, failures) = flattened(view, lines, source);
    format!("{batch:?}\n{counts:?}\n{failures:?}")
}

type Failures = Vec<(usize, String)>;

fn flattened(
    view: &View,
    lines: &[String],
    source: Option<&str>,
) -> (RecordBatch, Counts, Failures) {
    let now = Temporal::date_time("2026-01-01T00:00:00Z").unwrap();
    let key_prefix = source.map(Into::into);
    let environment = Environment { now, bases: Vec::new(), key_prefix };
    let mut flattener = Flattener::new(view, true, environment);
    let mut failures = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let mut scratch = line.clone().into_bytes();
        let base = scratch.as_ptr().addr();
        let tape = simd_json::to_tape(&mut scratch).unwrap();
        let source = Source { nodes: &tape.0, root: 0, raw: line.as_bytes(), base };
        if let Err(error) = flattener.add(source) {
            failures.push((n, error.message));
        }
    }
    let (batch, counts) = flattener.finish();
    (batch, counts, failures)
}

/// The lines in which two texts differ.
fn difference(a: &str, b: &str) -> Vec<(String, String)> {
    let pairs = a.lines().zip(b.lines()).filter(|(a, b)| a != b);
    pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

#[test]
fn the_fast_path_gives_what_the_general_one_gives() {
    let shipped = include_dir::include_dir!("$CARGO_MANIFEST_DIR/schemas");
    let parse = |file: &include_dir::File<'_>| serde_json::from_slice(file.contents()).ok();
    let files = shipped.dirs().flat_map(include_dir::Dir::files);
    let views = files.filter_map(parse).chain(awkward_views()).collect::<Vec<Value>>();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut compared = 0;
    for resource in resources() {
        let of_type = views.iter().filter(|v| v["resource"] == resource["resourceType"]);
        for view in of_type {
            let (fast, general) = (View::compile(view).unwrap().0, View::without_tries(view));
            for bends in 0..800 {
                let mut bent = resource.clone();
                (0..bends % 4).for_each(|_| bend(&mut bent, &mut random));
                let Some(members) = bent.as_object_mut() else { continue };
                members.insert("resourceType".to_owned(), resource["resourceType"].clone());
                let line = bent.to_string().replace(&format!("{TWICE}\""), "\"");
                let lines = [line, resource.to_string()];
                let source = (bends % 2 == 0).then_some("mercy");
                let outcome = |view| outcome(view, &lines, source);
                let (fast, general) = (outcome(&fast), outcome(&general));
                assert!(fast == general, "{}\n{:#?}", lines[0], difference(&fast, &general));
                compared += 1;
            }
        }
    }
    assert!(compared >= 3000, "{compared}");
}

#[test]
fn keys_begin_with_the_name_of_the_source() {
    let column = |name: &str, path: &str| json!({ "name": name, "path": path });
    let view = json!({ "resource": "Patient", "select": [{ "column": [
        column("id", "id"),
        column("key", "getResourceKey()"),
        column("again", "%resource.getResourceKey()"),
        column("own", "iif(true, getResourceKey())"),
        column("gp", "generalPractitioner.first().getReferenceKey(Practitioner)"),
        column("any", "generalPractitioner.first().getReferenceKey()"),
        column("last", "generalPractitioner.last().getReferenceKey()"),
        column("group", "generalPractitioner.first().getReferenceKey(Organization)"),
        column("joined", "generalPractitioner.getReferenceKey().join(' ')"),
    ] }] });
    let patient = |id: &str, of: &[&str]| {
        let of: Vec<_> = of.iter().map(|r| json!({ "reference": r })).collect();
        let mut patient = json!({ "resourceType": "Patient", "id": id, "generalPractitioner": of });
        if id.is_empty() {
            patient.as_object_mut().unwrap().remove("id");
        }
        patient.to_string()
    };
    let lines = [
        patient("p", &["Practitioner/a", "Organization/b/_history/2"]),
        patient("", &["#inside", "urn:uuid:1", "http://elsewhere.org/Practitioner/c"]),
    ];
    // Of each row: `_key` and the columns; what has no key without a name has none with one.
    let bare = ["p p p p p a a b NULL a b", "NULL NULL NULL NULL NULL NULL NULL NULL NULL NULL"];
    let named = [
        "mercy/p p mercy/p mercy/p mercy/p mercy/a mercy/a mercy/b NULL mercy/a mercy/b",
        "NULL NULL NULL NULL NULL NULL NULL NULL NULL NULL",
    ];
    for view in [View::compile(&view).unwrap().0, View::without_tries(&view)] {
        let mut counts = Vec::new();
        for (source, expected) in [(None, bare), (Some("mercy"), named)] {
            let (batch, counted, failures) = flattened(&view, &lines, source);
            assert!(failures.is_empty(), "{failures:?}");
            let cell = |column: &ArrayRef, row| {
                if column.is_null(row) {
                    "NULL".to_owned()
                } else {
                    array_value_to_string(column, row).unwrap()
                }
            };
            let row = |row| {
                let cells = batch.columns().iter().map(|column| cell(column, row));
                cells.collect::<Vec<_>>().join(" ")
            };
            assert_eq!([row(0), row(1)], expected, "{source:?}");
            counts.push(counted);
        }
        assert_eq!(counts[0], counts[1]);
    }
}
