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
                // e4 is cancelled, e6 not the final action, e7 a prior authorization.
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
            (
                // p1 and p2 have no Medicare Beneficiary Identifier. c2 is Part A, c3 Part B, c4 dual.
                "SELECT patient_id, bene_mbi_id, bene_last_name, bene_mdcr_stus_cd, bene_dual_stus_cd,
                   bene_entlmt_buyin_ind, bene_part_a_enrlmt_bgn_dt, bene_part_b_enrlmt_bgn_dt FROM beneficiary",
                &["p3|1EG4TE5MK73|Roe|10|02|3|2015-02-01|2016-02-01"],
            ),
            (
                "SELECT b.bene_mbi_id, c.cur_clm_uniq_id, c.clm_type_cd, CAST(c.clm_pmt_amt AS DOUBLE), c.final_action
                   FROM cclf1 c JOIN beneficiary b ON b.patient_id = c.patient_id ORDER BY 2",
                &["1EG4TE5MK73|UC-e6|60|5.0|NotFinalAction"],
            ),
        ],
    },
    Case {
        name: "case-reporting",
        answers: &[
            (
                "SELECT resource_id, patient_id, condition_name, day FROM trigger_hit ORDER BY 1",
                // c2 is refuted, c5 of another code system, o2 and o3 are negative, o5 is not final; r2 and i2 were not
                // done, m2 is cancelled. c6 triggers by its second and third coding, o7 by what was found.
                &[
                    "c1|p1|COVID-19|2025-03-01",
                    "c4|p2|Measles|2025-03-03",
                    "c6|p4|COVID-19|2025-03-05",
                    "i1|p4|Rabies exposure|2025-03-07",
                    "m1|p4|COVID-19|2025-03-06",
                    "o1|p1|COVID-19|2025-03-01",
                    "o4|p2|Pertussis|2025-03-02",
                    "o6|p3|COVID-19|2025-03-02",
                    "o7|p4|Pertussis|∅",
                    "r1|p4|COVID-19|2025-03-06",
                ],
            ),
            (
                "SELECT condition_name, patient_id, first_day, last_day, hits, family_name, birth, encounter_id, encounter_class
                   FROM trigger_case WHERE patient_id IN ('p1', 'p4') ORDER BY 1, 2",
                &[
                    "COVID-19|p1|2025-03-01|2025-03-01|2|∅|∅|∅|∅",
                    "COVID-19|p4|2025-03-05|2025-03-06|3|Roe|1990-05|e1|EMER",
                    "Pertussis|p4|∅|∅|1|Roe|1990-05|∅|∅",
                    "Rabies exposure|p4|2025-03-07|2025-03-07|1|Roe|1990-05|∅|∅",
                ],
            ),
            (
                // c7 is over. o8 is 30 days before the case of COVID-19, o9 is 31.
                "SELECT section, resource_id, display, value, unit, date FROM case_item
                   WHERE patient_id = 'p4' AND condition_name = 'COVID-19' ORDER BY 1, 2",
                &[
                    "immunization|i1|Rabies|∅|∅|2025-03-07",
                    "medication|m1|An antiviral|active|∅|2025-03-06",
                    "pregnancy|o10|Pregnancy status|Not pregnant|∅|2024-01-01",
                    "problem|c6|∅|active|∅|2025-03-05",
                    "result|o8|Glucose|>7.10|mmol/L|2025-02-03",
                ],
            ),
            (
                "SELECT condition_name, day, hits, patients FROM trigger_summary ORDER BY 1, 2",
                &[
                    "COVID-19|2025-03-01|2|1",
                    "COVID-19|2025-03-02|1|1",
                    "COVID-19|2025-03-05|1|1",
                    "COVID-19|2025-03-06|2|1",
                    "Measles|2025-03-03|1|1",
                    "Pertussis|2025-03-02|1|1",
                    "Pertussis|∅|1|1",
                    "Rabies exposure|2025-03-07|1|1",
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
        name: "measures",
        answers: &[(
            "SELECT p.id, v.url, v.code FROM patient p CROSS JOIN value_set_expansion v",
            &["p1|http://v.example/vs|a"],
        )],
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
            (
                // h3 is closed, o2 no longer active, l3 no longer open.
                "SELECT healthcare_service_id, organization_name, location_name, state FROM service_directory ORDER BY 1",
                &["h1|Clinic|East|MA", "h2|Clinic|∅|∅"],
            ),
            (
                // a2 has ended; the organization of a3 is no longer active.
                "SELECT network_id, network_name, organization_name, role_code, insurance_plan_name
                   FROM network_organization ORDER BY 1, 5",
                &[
                    "n1|Wide Network|Clinic|member|Gold",
                    "n1|Wide Network|Clinic|member|Silver",
                    "n2|Narrow Network|Clinic|member|∅",
                ],
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
            (
                "SELECT class, grouping_column, grouping_value, patients, encounters, suppressed
                   FROM encounter_group WHERE grouping_column <> 'ethnicity' ORDER BY 1, 2, 3",
                &[
                    "AMB|race|Asian|20|40|false",
                    "AMB|race|White|20|20|false",
                    "AMB|zip3|021|40|60|false",
                    "EMER|race|White|23|23|false",
                    "EMER|zip3|021|12|12|false",
                    "EMER|zip3|100|11|11|false",
                    "IMP|race|White|∅|∅|true",
                    "IMP|zip3|021|∅|∅|true",
                    "OBSENC|race|White|38|38|false",
                    "OBSENC|zip3|021|38|38|false",
                    // Four patients of whom nothing is known: the 46 others go too.
                    "VR|race|White|∅|∅|true",
                    "VR|race|unknown|∅|∅|true",
                    "VR|zip3|021|∅|∅|true",
                    "VR|zip3|unknown|∅|∅|true",
                ],
            ),
            (
                "SELECT age_band, sex, race, ethnicity, zip3, patients, encounters, suppressed
                   FROM encounter_detail WHERE class = 'AMB' ORDER BY 1, 2",
                &[
                    "18-44|female|Asian|unknown|021|20|40|false",
                    "18-44|male|White|unknown|021|∅|∅|true",
                    "45-64|female|White|unknown|021|∅|∅|true",
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
                "SELECT source_code, source_display, target_code, target_display, equivalence, relationship
                   FROM translation ORDER BY 1, 3",
                &[
                    "a|Alpha|y|∅|wider|∅",
                    "a|Alpha|z|Zed|equivalent|∅",
                    "b|Beta|z|Zed|∅|equivalent",
                ],
            ),
            (
                // d stands below a and below c: the shorter way counts.
                "SELECT ancestor, descendant, distance FROM code_system_closure ORDER BY 1, 2",
                &[
                    "a|a|0", "a|b|1", "a|c|2", "a|d|1", "b|b|0", "b|c|1", "b|d|2", "c|c|0", "c|d|1",
                    "d|d|0",
                ],
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

/// Race and postal code of the patients of a row of `VISITS`, as members of the Patient.
fn race_and_area(row: usize) -> String {
    let (race, postal_code) = match row {
        0 => ("Asian", "02139"),
        4 => ("White", "10001"),
        9 => return String::new(),
        _ => ("White", "02139-1234"),
    };
    format!(
        r#","address":[{{"postalCode":"{postal_code}"}}],"extension":[{{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{{"url":"ombCategory","valueCoding":{{"code":"x","display":"{race}"}}}}]}}]"#
    )
}

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
            let more = race_and_area(cell);
            writeln!(
                text,
                r#"{{"resourceType":"Patient","id":"{id}","birthDate":"{birth}"{sex}{more}}}"#
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
    assert!(text_below(&drop, "encounter_group").is_some());
    assert!(
        text_below(&drop, "encounter_person").is_none()
            && text_below(&drop, "encounter_detail").is_none()
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
