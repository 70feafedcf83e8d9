//! Every shipped pipeline: checked as it is shipped, and run over a few resources, from which its models must come to the
//! rows worked out by hand.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use kiln::query::Engine;
use toml::{Table, Value};

use crate::command::{folder, run, write};
use crate::support::{block_on, rows};

/// A pipeline, and what its tables answer after a run; cells are joined by `|`, null is `∅`.
struct Case {
    name: &'static str,
    answers: &'static [(&'static str, &'static [&'static str])],
}

/// The resources are in `pipelines/NAME.ndjson`.
const CASES: &[Case] = &[
    Case {
        name: "aco-bcda",
        answers: &[
            (
                "SELECT claim_id, patient_id, start_date, CAST(paid AS DOUBLE), lines FROM claim_total ORDER BY 1",
                // e4 is cancelled.
                &[
                    "e1|p1|2025-01-10|100.5|2",
                    "e2|p1|2025-01-20|49.5|1",
                    "e3|p1|2025-02-01|10.0|1",
                    "e5|p2|2025-02-05|∅|1",
                ],
            ),
            (
                "SELECT patient_id, month, claims, CAST(paid AS DOUBLE) FROM beneficiary_month ORDER BY 1, 2",
                &["p1|2025-01-01|2|150.0", "p1|2025-02-01|1|10.0", "p2|2025-02-01|1|∅"],
            ),
        ],
    },
    Case {
        name: "case-reporting",
        answers: &[
            (
                "SELECT resource_id, patient_id, condition_name, day FROM trigger_hit ORDER BY 1",
                // c2 is refuted, c5 of another code system, o2 and o3 are negative, o5 is not final.
                &[
                    "c1|p1|COVID-19|2025-03-01",
                    "c4|p2|Measles|2025-03-03",
                    "o1|p1|COVID-19|2025-03-01",
                    "o4|p2|Pertussis|2025-03-02",
                    "o6|p3|COVID-19|2025-03-02",
                ],
            ),
            (
                "SELECT condition_name, day, hits, patients FROM trigger_summary ORDER BY 1, 2",
                &[
                    "COVID-19|2025-03-01|2|1",
                    "COVID-19|2025-03-02|1|1",
                    "Measles|2025-03-03|1|1",
                    "Pertussis|2025-03-02|1|1",
                ],
            ),
        ],
    },
    Case { name: "demo", answers: &[("SELECT count(*) FROM patient", &["100"])] },
    Case {
        name: "hospital-research",
        answers: &[
            (
                "SELECT patient_id, gender, deceased, birth_year FROM research_patient ORDER BY 1",
                // b is older than 90.
                &["a|female|false|1980", "b|male|true|∅", "c|∅|false|∅"],
            ),
            (
                "SELECT condition_id, patient_id, code, start_date FROM research_diagnosis ORDER BY 1",
                &["c1|a|44054006|2020-01-01", "c3|b|44054006|2021-03-04"],
            ),
            (
                "SELECT patient_id, measured, CAST(percent AS DOUBLE), nth FROM research_hba1c ORDER BY 1, 4",
                &["a|2024-06-01|6.5|1", "a|2024-01-01|7.1|2", "c|2023-01-01|8.0|1"],
            ),
        ],
    },
    Case {
        name: "providers",
        answers: &[
            (
                "SELECT practitioner_role_id, practitioner_id, practitioner_npi, family_name, given_names,
                   organization_name, location_name, city FROM provider_directory ORDER BY 1, 7",
                // r3 has ended, and p3, o2 and l3 are no longer active.
                &[
                    "r1|p1|1234567893|Roe|Ann B|Clinic|East|Boston",
                    "r1|p1|1234567893|Roe|Ann B|Clinic|West|∅",
                    "r2|p2|∅|Poe|∅|∅|∅|∅",
                ],
            ),
            ("SELECT * FROM provider_supply", &["MA|207Q00000X|Family Medicine|1"]),
            (
                "SELECT CAST(latitude AS DOUBLE), CAST(longitude AS DOUBLE) FROM location WHERE id = 'l2'",
                &["42.5|-71.25"],
            ),
        ],
    },
    Case {
        name: "public-health",
        answers: &[
            (
                "SELECT class, age_band, sex, patients, encounters, suppressed FROM encounter_cell ORDER BY 1, 2, 3",
                &[
                    // One small cell: the smallest of the others goes too.
                    "AMB|18-44|female|20|40|false",
                    "AMB|18-44|male|∅|∅|true",
                    "AMB|45-64|female|∅|∅|true",
                    // None is small; 11 is told.
                    "EMER|65+|female|12|12|false",
                    "EMER|65+|male|11|11|false",
                    // Small, and nothing else.
                    "IMP|00-17|male|∅|∅|true",
                    // Two small cells, of 13 together: that sum gives nobody away.
                    "OBSENC|00-17|female|∅|∅|true",
                    "OBSENC|00-17|male|∅|∅|true",
                    "OBSENC|65+|male|25|25|false",
                    // Two small cells, of 7 together: the smallest of the others goes too.
                    "VR|00-17|female|∅|∅|true",
                    "VR|00-17|male|∅|∅|true",
                    "VR|18-44|female|30|30|false",
                    "VR|18-44|unknown|∅|∅|true",
                ],
            ),
            (
                "SELECT month, class, patients, encounters, suppressed FROM encounter_month ORDER BY 2",
                &[
                    "2025-01-01|AMB|40|60|false",
                    "2025-01-01|EMER|23|23|false",
                    "2025-01-01|IMP|∅|∅|true",
                    "2025-01-01|OBSENC|38|38|false",
                    "2025-01-01|VR|50|50|false",
                ],
            ),
        ],
    },
    Case {
        name: "terminology",
        answers: &[
            (
                "SELECT system, code, display FROM code_display ORDER BY 1, 2",
                &[
                    "http://a.example/cs|a|Alpha",
                    "http://a.example/cs|b|Beta",
                    "http://a.example/cs|c|Gamma",
                    "http://b.example/cs|z|Zed",
                ],
            ),
            (
                "SELECT source_code, source_display, target_code, target_display, equivalence FROM translation ORDER BY 3",
                &["a|Alpha|y|∅|wider", "a|Alpha|z|Zed|equivalent"],
            ),
            (
                "SELECT code, origin FROM value_set_member ORDER BY 1, 2",
                &["a|composition", "c|expansion", "z|composition", "∅|expansion"],
            ),
        ],
    },
];

/// Class, birth date, sex, patients, and encounters of each.
const VISITS: &[(&str, &str, Option<&str>, usize, usize)] = &[
    ("AMB", "1995-01-15", Some("female"), 20, 2),
    ("AMB", "1995-01-15", Some("male"), 15, 1),
    // 65 on the day after.
    ("AMB", "1960-01-16", Some("female"), 5, 1),
    ("EMER", "1960-01-15", Some("female"), 12, 1),
    ("EMER", "1930-01-01", Some("male"), 11, 1),
    ("IMP", "2010-01-01", Some("male"), 3, 1),
    ("OBSENC", "2010-01-01", Some("female"), 6, 1),
    ("OBSENC", "2010-01-01", Some("male"), 7, 1),
    ("OBSENC", "1950-12-31", Some("male"), 25, 1),
    ("VR", "2010-01-01", Some("female"), 4, 1),
    ("VR", "2010-01-01", Some("male"), 3, 1),
    ("VR", "1995-01-15", Some("female"), 30, 1),
    ("VR", "1995-01-15", None, 13, 1),
];

/// The resources of a case.
fn resources(name: &str) -> String {
    if name == "demo" {
        // It makes its own.
        return String::new();
    }
    if name != "public-health" {
        let file = repository().join("tests/it/pipelines").join(format!("{name}.ndjson"));
        return fs::read_to_string(file).unwrap();
    }
    let mut text = String::new();
    for (cell, (class, birth, sex, patients, encounters)) in VISITS.iter().enumerate() {
        for patient in 0..*patients {
            let id = format!("{cell}-{patient}");
            let sex = sex.map_or_else(String::new, |sex| format!(r#","gender":"{sex}""#));
            writeln!(
                text,
                r#"{{"resourceType":"Patient","id":"{id}","birthDate":"{birth}"{sex}}}"#
            )
            .unwrap();
            for encounter in 0..*encounters {
                writeln!(
                    text,
                    r#"{{"resourceType":"Encounter","id":"{id}-{encounter}","status":"finished","class":{{"code":"{class}"}},"subject":{{"reference":"Patient/{id}"}},"period":{{"start":"2025-01-15"}}}}"#
                )
                .unwrap();
            }
        }
    }
    text
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shipped pipelines, sorted.
fn shipped() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join("pipelines")).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

/// Copies a folder and what is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The pipeline with the resources in a file as its source, all of it below one folder, and nobody else reached.
fn localized(text: &str) -> String {
    let mut pipeline: Table = text.parse().unwrap();
    let text = |text: &str| Value::String(text.to_owned());
    if pipeline["source"].get("sample").is_none() {
        pipeline.insert(
            "source".into(),
            Value::Table([("path".into(), text("data.ndjson"))].into_iter().collect()),
        );
    }
    pipeline["warehouse"].as_table_mut().unwrap().insert("path".into(), text("warehouse"));
    pipeline.remove("notify");
    if let Some(Value::Array(loads)) = pipeline.get_mut("load") {
        loads.retain(|load| load["to"].as_str() == Some("files"));
        for load in loads {
            load.as_table_mut().unwrap().insert("path".into(), text("drop"));
        }
    }
    toml::to_string(&pipeline).unwrap()
}

#[test]
fn shipped_pipelines_are_right_and_each_has_a_case() {
    let files = shipped();
    let names: Vec<_> = files.iter().map(|f| f.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, CASES.iter().map(|case| case.name).collect::<Vec<_>>());
    let scene = folder(&[]);
    let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let ran = run(scene.path(), &[&["check"][..], &files].concat(), "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // What is warned of is only that the secrets are not here.
    for line in ran.stderr.lines().filter(|line| line.starts_with("warning")) {
        assert!(line.ends_with("is not set"), "{line}");
    }
    for name in names {
        assert!(ran.stdout.lines().any(|line| line == name), "{name}: a plan");
    }
}

/// The text of the file of this name below a folder.
fn text_below(folder: &Path, name: &str) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?;
    entries.map(|entry| entry.unwrap().path()).find_map(|path| {
        let found = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(name));
        if path.is_dir() {
            return text_below(&path, name);
        }
        found.then(|| fs::read_to_string(&path).unwrap())
    })
}

#[test]
fn only_suppressed_counts_leave_the_house() {
    let scene = folder(&[("data.ndjson", &resources("public-health"))]);
    copy(&repository().join("pipelines"), scene.path());
    let text = fs::read_to_string(scene.path().join("public-health.toml")).unwrap();
    write(scene.path(), "public-health.toml", localized(&text).as_bytes());
    for command in ["run", "load"] {
        let ran = run(scene.path(), &[command, "public-health.toml"], "");
        assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
    }
    let drop = scene.path().join("drop");
    let cells = text_below(&drop, "encounter_cell").unwrap();
    assert_eq!(
        cells.lines().next(),
        Some("month,class,age_band,sex,patients,encounters,suppressed")
    );
    assert!(cells.contains("2025-01-01,AMB,18-44,male,,,true\n"), "{cells}");
    assert!(text_below(&drop, "encounter_month").is_some());
    assert!(
        text_below(&drop, "encounter_count").is_none() && text_below(&drop, "patient").is_none()
    );
}

#[test]
fn models_of_shipped_pipelines_have_the_rows_worked_out_by_hand() {
    for Case { name, answers } in CASES {
        let scene = folder(&[("data.ndjson", &resources(name))]);
        copy(&repository().join("pipelines"), scene.path());
        let file = format!("{name}.toml");
        let text = fs::read_to_string(scene.path().join(&file)).unwrap();
        write(scene.path(), &file, localized(&text).as_bytes());
        let ran = run(scene.path(), &["run", &file], "");
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        block_on(async {
            let engine = Engine::open(&scene.path().join("warehouse")).await.unwrap();
            for (sql, expected) in *answers {
                let found: Vec<_> =
                    rows(&engine, sql).await.iter().map(|row| row.join("|")).collect();
                assert_eq!(found, *expected, "{name}: {sql}");
            }
        });
    }
}
