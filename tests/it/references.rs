//! References and keys: what joins, what cannot, and that everything which cannot is counted.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{kiln, kiln_succeeds};

/// One Encounter for each reference, and one without an id.
fn export(folder: &Path, references: &[&str]) {
    let mut lines = String::new();
    for (i, reference) in references.iter().enumerate() {
        let encounter = json!({ "resourceType": "Encounter", "id": format!("e{i}"), "subject": { "reference": reference } });
        lines = lines + &encounter.to_string() + "\n";
    }
    lines += "{\"resourceType\":\"Encounter\",\"subject\":{\"display\":\"Jane\"}}\n";
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("Encounter.ndjson"), lines).unwrap();
}

fn view(folder: &Path) {
    let view = json!({ "resource": "Encounter", "name": "encounter", "status": "active",
        "where": [{ "path": "subject.getReferenceKey(Group).empty()" }],
        "select": [{ "column": [
            { "name": "id", "path": "getResourceKey()" },
            { "name": "patient_key", "path": "subject.getReferenceKey(Patient)" },
        ]}] });
    fs::write(folder.join("encounter.json"), view.to_string()).unwrap();
}

const REFERENCES: [&str; 9] = [
    "Patient/p1",
    "Patient/p1/_history/2",
    "https://ehr.example/r4/Patient/p2",
    "https://other.example/r4/Patient/p3",
    "urn:uuid:7e1a8c1e-2f6b-4d6c-9a6a-0f1e2d3c4b5a",
    "#p4",
    "Patient?identifier=http://x|1",
    "Device/d1",
    "p5",
];

/// The keys that `kiln flatten` gives, and what it says.
fn flattened(folder: &Path, arguments: &[&str]) -> (Vec<Value>, String) {
    let arguments = [&["flatten", "--view", "encounter.json"], arguments].concat();
    let done = kiln(folder, &arguments).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    let rows = String::from_utf8(done.stdout).unwrap();
    let key = |line| serde_json::from_str::<Value>(line).unwrap()["patient_key"].take();
    (rows.lines().map(key).collect(), said)
}

/// Ten cells: the keys, with null where there is none.
fn keys(second_server: Value) -> Vec<Value> {
    let mut keys = vec![Value::Null; REFERENCES.len() + 1];
    (keys[0], keys[1], keys[2]) = (json!("p1"), json!("p1"), second_server);
    keys
}

#[test]
fn absolute_references_have_keys_below_a_base_of_the_export() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    export(&folder.join("export"), &REFERENCES);
    view(folder);

    let (found, said) = flattened(folder, &["export"]);
    assert_eq!(found, keys(Value::Null));
    let reasons = "(conditional 1, contained 1, malformed 1, no literal reference 1, on another server 2, urn 1)";
    for path in ["subject.getReferenceKey(Patient)", "subject.getReferenceKey(Group)"] {
        let line = format!("7 references without a key: `{path}` {reasons}");
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert!(said.contains("name its base url: `--base https://…`"), "{said}");
    assert!(
        !said.contains("p3") && !said.contains("other.example"),
        "no reference is shown: {said}"
    );

    let (found, said) = flattened(folder, &["--base", "https://ehr.example/r4/", "export"]);
    assert_eq!(found, keys(json!("p2")));
    assert!(said.contains("on another server 1"), "{said}");

    let manifest = json!({ "transactionTime": "2026-01-01T00:00:00Z", "error": [],
        "request": "https://ehr.example/r4/Group/7/$export?_type=Encounter",
        "output": [{ "type": "Encounter", "url": "https://ehr.example/f/Encounter.ndjson" }] });
    fs::write(folder.join("export/manifest.json"), manifest.to_string()).unwrap();
    let (found, _) = flattened(folder, &["export"]);
    assert_eq!(found, keys(json!("p2")), "the manifest names the base");
}

#[test]
fn the_report_of_a_run_counts_references_without_a_key_by_path_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    export(&folder.join("export"), &REFERENCES);
    view(folder);
    let pipeline = |base: &str| {
        let text = format!(
            "schemas = [\"encounter.json\"]\n[source]\npath = \"export\"\nbase = [\"{base}\"]\n[warehouse]\npath = \"w\"\n"
        );
        fs::write(folder.join("p.toml"), text).unwrap();
    };
    pipeline("https://ehr.example/r4");
    kiln_succeeds(folder, &["run", "p.toml", "--report", "report.json"]);
    let report: Value =
        serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    let reasons = json!({ "conditional": 1, "contained": 1, "malformed": 1, "no literal reference": 1, "on another server": 1, "urn": 1 });
    let table = &report["tables"][0];
    assert_eq!(
        table["unresolved_references"],
        json!([
            { "path": "subject.getReferenceKey(Group)", "reasons": reasons },
            { "column": "patient_key", "path": "subject.getReferenceKey(Patient)", "reasons": reasons },
        ])
    );
    assert_eq!(table["without_id"], json!(1));

    pipeline("ehr.example/r4");
    let done = kiln(folder, &["check", "p.toml"]).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(
        said.contains("`ehr.example/r4` is no base url such as `https://example.org/fhir`")
            && said.contains("source.base[0]"),
        "{said}"
    );
}
