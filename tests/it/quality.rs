//! `kiln quality` over a sample population with planted faults, and runs that its rules stop.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{Ran, run};
use crate::support::export;

const PIPELINE: &str = r#"
schemas = ["patient", "observation", "encounter", "condition"]
source = { path = "export" }
warehouse = { path = "tables" }
"#;

/// What is planted: how many resources of a type, how they are changed, and which count becomes larger, or of
/// completeness and codes smaller, by as many.
struct Fault {
    type_name: &'static str,
    of: fn(&Value) -> bool,
    change: fn(&mut Value),
    count: usize,
    /// Table, column, check, beginning of the detail.
    measure: [&'static str; 4],
}

fn any(_: &Value) -> bool {
    true
}

fn in_milligrams(resource: &Value) -> bool {
    resource["valueQuantity"]["code"] == "mg/dL"
}

const FAULTS: [Fault; 9] = [
    Fault {
        type_name: "Patient",
        of: any,
        change: |r| drop(r.as_object_mut().unwrap().remove("birthDate")),
        count: 2,
        measure: ["patient", "birth_date", "completeness", ""],
    },
    Fault {
        type_name: "Patient",
        of: |r| r.get("deceasedDateTime").is_none(),
        change: |r| r["deceasedDateTime"] = json!("1899"),
        count: 3,
        measure: ["patient", "death", "impossible_dates", "death before birth"],
    },
    Fault {
        type_name: "Patient",
        of: any,
        change: |r| r["birthDate"] = json!("1850-03"),
        count: 4,
        measure: ["patient", "birth", "impossible_dates", "birth before 1900"],
    },
    Fault {
        type_name: "Observation",
        of: any,
        change: |r| r["subject"]["reference"] = json!("Patient/nobody"),
        count: 7,
        measure: ["observation", "patient_id", "orphans", "not in patient"],
    },
    Fault {
        type_name: "Observation",
        of: any,
        change: |r| r["effectiveDateTime"] = json!("2222-01-01T10:00:00Z"),
        count: 5,
        measure: ["observation", "effective_start", "impossible_dates", "in the future"],
    },
    Fault {
        type_name: "Observation",
        of: in_milligrams,
        change: |r| {
            r["valueQuantity"]["code"] = json!("mmol/L");
            r["valueQuantity"]["unit"] = json!("mmol/L");
        },
        count: 3,
        measure: ["observation", "value_unit", "units", "not the usual unit of the code"],
    },
    Fault {
        type_name: "Observation",
        of: in_milligrams,
        change: |r| {
            let quantity = r["valueQuantity"].as_object_mut().unwrap();
            quantity.retain(|key, _| key == "value");
        },
        count: 2,
        measure: ["observation", "value_unit", "units", "no unit"],
    },
    Fault {
        type_name: "Condition",
        of: any,
        change: |r| r["code"]["coding"] = json!([{"system": "urn:mercy:diagnoses", "code": "x"}]),
        count: 6,
        measure: ["condition", "code", "coded", ""],
    },
    Fault {
        type_name: "Encounter",
        of: |r| r["period"]["start"].is_string(),
        change: |r| r["period"]["end"] = json!("1999-12-31T23:59:59Z"),
        count: 8,
        measure: ["encounter", "period_end", "impossible_dates", "end before start"],
    },
];

/// Plants a fault in the last resources that fit and are as they were, through all files of the type.
fn plant(folder: &Path, fault: &Fault) {
    let mut left = fault.count;
    for entry in fs::read_dir(folder.join("export")).unwrap() {
        let path = entry.unwrap().path();
        if !path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(&format!("{}.", fault.type_name))
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for resource in lines.iter_mut().filter(|r| r["planted"].is_null() && (fault.of)(r)) {
            if left > 0 {
                (fault.change)(resource);
                // No element of FHIR, and no fault for a view.
                resource["planted"] = json!(true);
                left -= 1;
            }
        }
        let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, lines.concat()).unwrap();
    }
    assert_eq!(left, 0, "{:?}: too few resources fit", fault.measure);
}

fn scene(pipeline: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    export(&folder.path().join("export"), 40, 11);
    // What a manifest says of its files is no longer so.
    fs::remove_file(folder.path().join("export/manifest.json")).unwrap();
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    folder
}

fn runs(folder: &Path) -> Ran {
    run(folder, &["run", "p.toml"], "")
}

fn measured(folder: &Path) -> Vec<Value> {
    let ran = runs(folder);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = run(folder, &["quality", "--warehouse", "tables", "--format", "json"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn count(measures: &[Value], [table, column, check, detail]: [&str; 4]) -> i64 {
    let found: Vec<_> = measures
        .iter()
        .filter(|m| m["table"] == table && m["column"] == column && m["check"] == check)
        .filter(|m| m["detail"].as_str().unwrap().starts_with(detail))
        .collect();
    assert_eq!(found.len(), 1, "{table}.{column} {check} {detail}");
    found[0]["numerator"].as_i64().unwrap()
}

#[test]
fn every_planted_fault_is_counted() {
    let scene = scene(PIPELINE);
    let before = measured(scene.path());
    for fault in &FAULTS {
        plant(scene.path(), fault);
    }
    let after = measured(scene.path());
    for fault in &FAULTS {
        let planted = fault.count as i64;
        let more = count(&after, fault.measure) - count(&before, fault.measure);
        let mut expected = match fault.measure[2] {
            "completeness" | "coded" => -planted,
            _ => planted,
        };
        // A birth in 1850 took the place of a date: of days, there are fewer.
        if fault.measure[1] == "birth_date" {
            expected -= 4;
        }
        assert_eq!(more, expected, "{:?}", fault.measure);
    }
    let system = ["condition", "code", "system", "urn:mercy:diagnoses"];
    assert_eq!(count(&after, system), 6);
    files_hide_small_counts(scene.path());
}

fn files_hide_small_counts(folder: &Path) {
    let rule = "orphans observation.patient_id max 6";
    let arguments = [
        "quality",
        "--warehouse",
        "tables",
        "--html",
        "q.html",
        "--csv",
        "q.csv",
        "--fail-on",
        rule,
    ];
    let ran = run(folder, &arguments, "");
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let said = "rule: orphans of `observation.patient_id` (not in patient): 7, at most 6";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(ran.stdout.contains("urn:mercy:diagnoses"), "{}", ran.stdout);
    let csv = fs::read_to_string(folder.join("q.csv")).unwrap();
    let line = "condition,code,system,urn:mercy:diagnoses,<11,";
    assert!(csv.contains(line), "{csv}");
    let html = fs::read_to_string(folder.join("q.html")).unwrap();
    assert!(html.contains("<td>urn:mercy:diagnoses</td><td class=\"n\">&lt;11</td>"));
    assert!(html.contains("<h2>observation</h2>") && html.contains("<svg"));
    let exact =
        run(folder, &["quality", "--warehouse", "tables", "--format", "csv", "--exact"], "");
    assert!(exact.stdout.contains("condition,code,system,urn:mercy:diagnoses,6,"));
    let wrong = run(
        folder,
        &["quality", "--warehouse", "tables", "--fail-on", "orphans persons max 0"],
        "",
    );
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("there is no table `persons`"), "{}", wrong.stderr);
}

#[test]
fn a_rule_stops_a_run_before_its_models() {
    let rules = r#"
[[quality.rule]]
check = "orphans"
table = "*"
column = "patient_id"
max = 0
[[quality.rule]]
check = "completeness"
table = "patient"
column = "birth_date"
min = "100%"
level = "LEVEL"
[[model]]
name = "months"
sql = "SELECT count(*) AS n FROM observation"
"#;
    let both = format!("{PIPELINE}{}", rules.replace("LEVEL", "stop"));
    let scene = scene(&both);
    let clean = runs(scene.path());
    assert_eq!(clean.code, 0, "{}", clean.stderr);
    for fault in [&FAULTS[0], &FAULTS[3]] {
        plant(scene.path(), fault);
    }
    fs::remove_dir_all(scene.path().join("tables")).unwrap();
    let stopped = runs(scene.path());
    assert_eq!(stopped.code, 5, "{}", stopped.stderr);
    for line in [
        "error: the data break 2 rules of quality",
        "  rule: orphans of `observation.patient_id` (not in patient): 7, at most 0",
        "  rule: completeness of `patient.birth_date`: 95.00 %, at least 100 %",
    ] {
        assert!(stopped.stderr.contains(line), "{line}: {}", stopped.stderr);
    }
    assert!(scene.path().join("tables/patient").exists());
    assert!(!scene.path().join("tables/months").exists());

    // What is only warned of stops nothing.
    let warned = both.replace("max = 0", "max = 7").replace("\"stop\"", "\"warn\"");
    fs::write(scene.path().join("p.toml"), warned).unwrap();
    let ran = runs(scene.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let warning = "data quality: completeness of `patient.birth_date`: 95.00 %, at least 100 %";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert!(scene.path().join("tables/months").exists());
}

#[test]
fn wrong_rules_are_refused_before_anything_is_read() {
    let rule = |text: &str| format!("[[quality.rule]]\n{text}\n");
    let rules = [
        rule("check = \"orphan\"\ntable = \"patient\"\nmax = 0"),
        rule("check = \"coded\"\ntable = \"patient\"\nmax = \"many\""),
        rule("check = \"coded\"\ntable = \"patient\""),
    ];
    let names = [
        rule("check = \"coded\"\ntable = \"patients\"\nmin = 1"),
        rule("check = \"coded\"\ntable = \"patient\"\ncolumn = \"birth_dat\"\nmin = 1"),
    ];
    for (rules, lines) in [
        (
            rules.concat(),
            &[
                "there is no check `orphan`",
                "quality.rule[0].check",
                "`many` is neither a number nor a share",
                "a rule needs a `min` or a `max`",
            ][..],
        ),
        (
            names.concat(),
            &[
                "there is no table `patients`",
                "quality.rule[0].table",
                "`patient` has no column `birth_dat`",
                "did you mean `birth_date`?",
            ],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.toml"), format!("{PIPELINE}{rules}")).unwrap();
        let ran = runs(folder.path());
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        for line in lines {
            assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
        }
        assert!(!folder.path().join("tables").exists());
    }
}
