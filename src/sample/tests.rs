//! The population as a reader of the files sees it.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use super::Sample;
use super::write::KINDS;
use crate::error::ErrorKind;

/// File name → bytes of a population.
fn files(sample: Sample) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let written = sample.write(folder.path()).unwrap();
    let files = read(folder.path());
    assert_eq!(written.files, files.len());
    assert_eq!(written.bytes, files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    files
}

fn read(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// The resources, parsed, in file order.
fn resources(sample: Sample) -> Vec<Value> {
    let files = files(sample);
    let lines =
        files.iter().filter(|(name, _)| name.ends_with(".ndjson")).flat_map(|(_, bytes)| {
            std::str::from_utf8(bytes)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
        });
    lines.collect()
}

/// A population that tests only read.
static POPULATION: LazyLock<Vec<Value>> = LazyLock::new(|| resources(sample(90, 1)));

fn sample(patients: usize, seed: u64) -> Sample {
    Sample { patients, seed, ..Sample::default() }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn key(resource: &Value) -> String {
    format!("{}/{}", text(resource, "/resourceType"), text(resource, "/id"))
}

/// Calls `visit` with every string below `value` and the name of its member.
fn each_string<'a>(name: &'a str, value: &'a Value, visit: &mut impl FnMut(&'a str, &'a str)) {
    match value {
        Value::String(text) => visit(name, text),
        Value::Array(items) => items.iter().for_each(|item| each_string(name, item, visit)),
        Value::Object(members) => {
            members.iter().for_each(|(name, item)| each_string(name, item, visit));
        }
        _ => {}
    }
}

/// `text`, if it is a FHIR date or dateTime that names a day: the day.
fn day(text: &str) -> Option<&str> {
    let day = text.get(..10)?;
    let shaped = day.bytes().enumerate().all(|(place, byte)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    (shaped && (text.len() == 10 || text.as_bytes()[10] == b'T')).then_some(day)
}

/// Whose resource it is.
fn patient_of(resource: &Value) -> Option<&str> {
    let members = ["/subject/reference", "/patient/reference", "/beneficiary/reference"];
    members.iter().map(|member| text(resource, member)).find(|text| !text.is_empty())
}

fn cents(amount: &Value) -> i64 {
    (amount["value"].as_f64().unwrap() * 100.0).round() as i64
}

/// Amounts of an `adjudication` or `total` list by category code.
fn amounts(list: &Value) -> HashMap<&str, i64> {
    let entries = list.as_array().unwrap().iter();
    entries.map(|one| (text(one, "/category/coding/0/code"), cents(&one["amount"]))).collect()
}

#[test]
fn same_seed_same_bytes_and_another_seed_other_bytes() {
    let first = files(sample(5, 7));
    assert_eq!(first, files(sample(5, 7)));
    let other = files(sample(5, 8));
    assert_ne!(first["Patient.000.ndjson"], other["Patient.000.ndjson"]);
    assert_ne!(first["Observation.000.ndjson"], other["Observation.000.ndjson"]);
}

/// Guards the promise across machines and versions: change it only when the population is meant to.
#[test]
fn bytes_are_those_of_the_last_release() {
    let files = files(sample(12, 1));
    let bytes = files.values().flatten();
    // FNV-1a.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(format!("{hash:016x}"), "67f1c161e9b9bf6e");
}

#[test]
fn a_larger_population_begins_with_the_smaller_one() {
    let one_file = |patients| files(Sample { patients, seed: 3, files_per_type: 1 });
    let (small, large) = (one_file(42), one_file(45));
    for (name, bytes) in small.iter().filter(|(name, _)| name.ends_with(".ndjson")) {
        assert!(large[name].starts_with(bytes), "{name}");
    }
}

#[test]
fn every_type_is_there_and_ids_are_unique() {
    let resources = resources(sample(20, 1));
    let types: HashSet<&str> = resources.iter().map(|one| text(one, "/resourceType")).collect();
    for kind in KINDS {
        assert!(types.contains(kind), "{kind}");
    }
    let keys: HashSet<String> = resources.iter().map(key).collect();
    assert_eq!(keys.len(), resources.len());
    assert!(resources.iter().all(|one| !text(one, "/id").is_empty()));
}

#[test]
fn every_reference_resolves_within_the_export() {
    for (patients, seed) in [(1, 1), (20, 1), (45, 9)] {
        let resources = resources(sample(patients, seed));
        let keys: HashSet<String> = resources.iter().map(key).collect();
        for resource in &resources {
            each_string("", resource, &mut |name, target| {
                let contained = target == "#drug" && resource["contained"][0]["id"] == "drug";
                let resolves = name != "reference" || contained || keys.contains(target);
                assert!(resolves, "{} refers to {target}", key(resource));
            });
        }
    }
}

#[test]
fn manifest_counts_what_the_files_hold() {
    for (patients, files_per_type, patient_files) in
        [(0, 3, 0), (1, 3, 1), (2, 3, 2), (8, 3, 3), (8, 1, 1), (10, 0, 1)]
    {
        let files = files(Sample { patients, seed: 5, files_per_type });
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let output = manifest["output"].as_array().unwrap();
        assert_eq!(output.len() + 1, files.len());
        for entry in output {
            let lines = files[text(entry, "/url")].split(|byte| *byte == b'\n').count() - 1;
            assert_eq!(entry["count"], lines, "{entry}");
            assert!(text(entry, "/url").starts_with(text(entry, "/type")), "{entry}");
        }
        let of_patients = output.iter().filter(|entry| entry["type"] == "Patient");
        assert_eq!(of_patients.count(), patient_files, "{patients} patients");
        assert_eq!(manifest["requiresAccessToken"], false);
        assert_eq!(
            (&manifest["deleted"], &manifest["error"]),
            (&Value::from(vec![0; 0]), &Value::from(vec![0; 0]))
        );
    }
}

#[test]
fn nothing_is_dated_before_birth_or_after_the_export() {
    let resources = &*POPULATION;
    let births: HashMap<String, &str> = resources
        .iter()
        .filter(|one| one["resourceType"] == "Patient")
        .map(|one| (key(one), text(one, "/birthDate")))
        .collect();
    for resource in resources {
        let birth = patient_of(resource).map_or("1900-01-01", |patient| births[patient]);
        each_string("", resource, &mut |name, value| {
            let Some(day) = day(value) else { return };
            let place = format!("{} {name} {value}", key(resource));
            assert!(day <= "2025-12-31", "{place}");
            assert!(day >= birth, "{place}, born {birth}");
        });
        // Partial dates: at least not before the year of birth.
        let onset = text(resource, "/onsetDateTime");
        assert!(onset.is_empty() || onset[..4] >= birth[..4], "{}", key(resource));
    }
}

#[test]
fn care_ends_with_death_and_visits_follow_one_another() {
    let resources = &*POPULATION;
    let deaths: HashMap<String, &str> = resources
        .iter()
        .filter(|one| !text(one, "/deceasedDateTime").is_empty())
        .map(|one| (key(one), text(one, "/deceasedDateTime")))
        .collect();
    assert!(deaths.len() > 3, "{}", deaths.len());
    let mut last_end: HashMap<&str, &str> = HashMap::new();
    for encounter in resources.iter().filter(|one| one["resourceType"] == "Encounter") {
        let patient = patient_of(encounter).unwrap();
        let (start, end) = (text(encounter, "/period/start"), text(encounter, "/period/end"));
        assert!(end.is_empty() || start < end, "{}", key(encounter));
        assert!(last_end.get(patient).is_none_or(|last| *last <= start), "{}", key(encounter));
        assert!(deaths.get(patient).is_none_or(|death| end <= *death), "{}", key(encounter));
        last_end.insert(patient, if end.is_empty() { start } else { end });
    }
    for resource in resources.iter().filter(|one| one["resourceType"] != "Patient") {
        let Some(death) = patient_of(resource).and_then(|patient| deaths.get(patient)) else {
            continue;
        };
        for member in [
            "/effectiveDateTime",
            "/authoredOn",
            "/occurrenceDateTime",
            "/onsetDateTime",
            "/abatementDateTime",
            "/performedPeriod/end",
        ] {
            assert!(text(resource, member) <= *death, "{} {member}", key(resource));
        }
    }
}

#[test]
fn benefits_add_up() {
    let resources = &*POPULATION;
    let claims: HashMap<String, &Value> = resources
        .iter()
        .filter(|one| one["resourceType"] == "Claim")
        .map(|one| (key(one), one))
        .collect();
    let mut seen = 0;
    for benefit in resources.iter().filter(|one| one["resourceType"] == "ExplanationOfBenefit") {
        let total = amounts(&benefit["total"]);
        let items = benefit["item"].as_array().unwrap();
        let lines: Vec<HashMap<&str, i64>> =
            items.iter().map(|item| amounts(&item["adjudication"])).collect();
        for sums in lines.iter().chain([&total]) {
            assert_eq!(sums["paidbypatient"] + sums["benefit"], sums["eligible"]);
            assert_eq!(sums["deductible"] + sums["coinsurance"], sums["paidbypatient"]);
            assert_eq!(sums["eligible"] + sums["discount"], sums["submitted"]);
            assert!(sums.values().all(|cents| *cents >= 0));
        }
        for (category, sum) in &total {
            assert_eq!(lines.iter().map(|line| line[category]).sum::<i64>(), *sum, "{category}");
        }
        let net: i64 = items.iter().map(|item| cents(&item["net"])).sum();
        assert_eq!(net, total["submitted"]);
        assert_eq!(net, cents(&claims[text(benefit, "/claim/reference")]["total"]));
        assert_eq!(cents(&benefit["payment"]["amount"]), total["benefit"]);
        seen += 1;
    }
    assert!(seen > 200);
}

#[test]
fn decimals_are_written_as_text_would_have_them() {
    let files = files(sample(10, 1));
    let whole: String = files.values().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    for expected in ["\"value\":0.00,", "0,\"currency\":\"USD\"", ".0,\"unit\":\"cm\""] {
        assert!(whole.contains(expected), "{expected}");
    }
}

#[test]
fn diseases_drive_laboratory_values_and_drugs() {
    let resources = &*POPULATION;
    let coded = |one: &Value, pointer: &str, code: &str| {
        one.pointer(pointer)
            .and_then(Value::as_array)
            .is_some_and(|codings| codings.iter().any(|coding| coding["code"] == code))
    };
    let with = |kind: &str, pointer: &str, codes: [&str; 2]| -> HashSet<&str> {
        let of_kind = resources.iter().filter(|one| one["resourceType"] == kind);
        let coded = of_kind.filter(|one| codes.iter().any(|code| coded(one, pointer, code)));
        coded.filter_map(patient_of).collect()
    };
    let diabetics = with("Condition", "/code/coding", ["44054006", "E11.9"]);
    let treated = with("MedicationRequest", "/medicationCodeableConcept/coding", ["861007"; 2]);
    assert!((8..30).contains(&diabetics.len()), "{} of 90", diabetics.len());
    assert!(treated.iter().all(|patient| diabetics.contains(patient)));
    assert!(treated.len() * 10 >= diabetics.len() * 8);
    let glycated = resources.iter().filter(|one| coded(one, "/code/coding", "4548-4"));
    let high = glycated
        .filter(|one| one.pointer("/valueQuantity/value").and_then(Value::as_f64) > Some(6.9));
    let high: HashSet<&str> = high.filter_map(patient_of).collect();
    assert!(high.len() * 10 >= diabetics.len() * 6);
    assert!(high.iter().all(|patient| diabetics.contains(patient)));
}

#[test]
fn a_folder_with_files_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let error = sample(1, 1).write(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.remedy().is_some());
    assert_eq!(read(folder.path()).len(), 1);
    let blocked = sample(1, 1).write(&folder.path().join("notes.txt")).unwrap_err();
    assert_eq!(blocked.kind(), ErrorKind::Output);
    sample(1, 1).write(&folder.path().join("new/below")).unwrap();
}
