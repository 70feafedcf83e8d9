//! `kiln check --data`: every fault that was planted is told with its path and first place, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kiln::ingest::{Options, discover};
use kiln::pipeline::{Audit, FindingList, Progress};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{Ran, check, folder, run, write};
use crate::shared::shared;
use crate::support::export;
use crate::synthea_counts::resources;

/// Stands where data stands that must not be shown.
const MARKER: &str = "ZEBRA";

const PATIENTS: &str = r#"{"resourceType":"Patient","id":"ZEBRA-1","active":true,"_active":{"id":"a"},"deceasedBoolean":false,"name":[{"given":["ZEBRA",null],"_given":[null,{"extension":[{"url":"x:y","valueString":"ZEBRA"}]}]}]}
{"resourceType":"Patient"}
{"resourceType":"Patient","id":"ZEBRA-1","id":"ZEBRA-1"}
{"resourceType":"Patient","id":"p4","active":"true","birthDate":"1980-13","multipleBirthInteger":2147483648,"name":{"given":"ZEBRA","family":7},"gender":["male"],"deceasedDateTime":"2020-01-01T10:00","photo":[{"size":-1}],"link":[{"other":"ZEBRA"}]}
{"resourceType":"Patient","id":"p5","name":[],"address":[{}],"telecom":[{"id":"ZEBRA"}],"gender":"","contact":[null],"maritalStatus":null,"communication":[[]]}

{"resourceType":"Patient","id":"p6","nickname":"ZEBRA","ZEBRA":{"a":[]},"name":[{"given":[null],"_given":[null],"_family":"ZEBRA"}],"ZEBRA":1,"value":1,"deceased":true,"_name":{}}
{"resourceType":"Giraffe","id":"ZEBRA"}
{"resourceType":"Patient","id":"ZEBRA"
{"resourceType":"Patient","id":"ZEBRA_9","modifierExtension":[{"url":"x:y","valueBoolean":true}]}
"#;

/// References of every kind, the first of which are right.
const OBSERVATION: &str = r##"{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"ZEBRA"},
"contained":[{"resourceType":"Practitioner","id":"c1","birthDate":"ZEBRA"},{"resourceType":"Giraffe","id":"c2","ZEBRA":1},{"id":"c3"}],
"subject":{"reference":"Patient/ZEBRA-1/_history/2"},
"performer":[{"reference":"#c1"},{"reference":"#"},{"reference":"#c3"},
{"reference":"Patient/ZEBRA-2"},{"reference":"Practitioner/ZEBRA"},{"reference":"Quagga/ZEBRA"},
{"reference":"https://x.org/fhir/Patient/ZEBRA-3"},{"reference":"https://y.org/fhir/Patient/ZEBRA"},
{"reference":"urn:uuid:ZEBRA"},{"reference":"Patient?identifier=ZEBRA"},{"display":"ZEBRA"},{"reference":"ZEBRA"},
{"reference":"#ZEBRA"},{"reference":""},{"reference":5}]}"##;

const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"collection","entry":[
{"resource":{"resourceType":"Patient","id":"p7"}},
{"resource":{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient","birthDate":1}}]}},
{"resource":7},
{"resource":{"resourceType":"Patient","managingOrganization":{"reference":"Organization/ZEBRA"}}}]}"#;

const EXPECTED: &str = "\
\x20      count  what                                           path                                              first
error      2  no id                                          Patient                                           export/Patient.ndjson:2
error      2  type and id of several resources               Patient                                           export/Patient.ndjson:1
error      2  reference: not in the input                    Observation.performer                             export/Observation.ndjson:1
error      2  element unknown to R4                          Patient.*                                         export/Patient.ndjson:7
error      1  rejected: not valid JSON                                                                         export/Patient.ndjson:9
error      1  rejected: a number where a resource should be                                                    export/bundle.json:1 entry 2
error      1  resource type unknown to R4                    Giraffe                                           export/Patient.ndjson:8
error      1  resource type unknown to R4                    Observation.contained                             export/Observation.ndjson:1
error      1  resource type unknown to R4                    Observation.contained.Giraffe                     export/Observation.ndjson:1
error      1  reference: type unknown to R4                  Observation.performer                             export/Observation.ndjson:1
error      1  reference: not contained                       Observation.performer                             export/Observation.ndjson:1
error      1  reference: conditional                         Observation.performer                             export/Observation.ndjson:1
error      1  reference: malformed                           Observation.performer                             export/Observation.ndjson:1
error      1  element unknown to R4                          Patient._name                                     export/Patient.ndjson:7
error      1  element unknown to R4                          Patient.deceased                                  export/Patient.ndjson:7
error      1  element unknown to R4                          Patient.nickname                                  export/Patient.ndjson:7
error      1  element unknown to R4                          Patient.value                                     export/Patient.ndjson:7
error      1  duplicate key                                  Patient.*                                         export/Patient.ndjson:7
error      1  duplicate key                                  Patient.id                                        export/Patient.ndjson:3
error      1  an array where Patient.communication belongs   Patient.communication                             export/Patient.ndjson:5
error      1  a string where Element belongs                 Patient.name._family                              export/Patient.ndjson:7
error      1  a string where Reference belongs               Patient.link.other                                export/Patient.ndjson:4
error      1  a string where boolean belongs                 Patient.active                                    export/Patient.ndjson:4
error      1  a number where date belongs                    Parameters.parameter.resource(Patient).birthDate  export/bundle.json:1 entry 1
error      1  a number where string belongs                  Observation.performer.reference                   export/Observation.ndjson:1
error      1  a number where string belongs                  Patient.name.family                               export/Patient.ndjson:4
error      1  not a valid date                               Observation.contained(Practitioner).birthDate     export/Observation.ndjson:1
error      1  not a valid date                               Patient.birthDate                                 export/Patient.ndjson:4
error      1  not a valid dateTime                           Patient.deceasedDateTime                          export/Patient.ndjson:4
error      1  not a valid id                                 Patient.id                                        export/Patient.ndjson:10
error      1  not a valid integer                            Patient.multipleBirthInteger                      export/Patient.ndjson:4
error      1  not a valid unsignedInt                        Patient.photo.size                                export/Patient.ndjson:4
error      1  one value where a list belongs                 Patient.name                                      export/Patient.ndjson:4
error      1  one value where a list belongs                 Patient.name.given                                export/Patient.ndjson:4
error      1  a list where one value belongs                 Patient.gender                                    export/Patient.ndjson:4
error      1  null                                           Patient.contact                                   export/Patient.ndjson:5
error      1  null                                           Patient.maritalStatus                             export/Patient.ndjson:5
error      1  null                                           Patient.name._given                               export/Patient.ndjson:7
error      1  null                                           Patient.name.given                                export/Patient.ndjson:7
error      1  empty object                                   Patient.address                                   export/Patient.ndjson:5
error      1  empty object                                   Patient.telecom                                   export/Patient.ndjson:5
error      1  empty list                                     Patient.name                                      export/Patient.ndjson:5
error      1  empty string                                   Observation.performer.reference                   export/Observation.ndjson:1
error      1  empty string                                   Patient.gender                                    export/Patient.ndjson:5
note       1  reference: no Organization in the input        Patient.managingOrganization                      export/bundle.json:1 entry 3
note       1  reference: no Practitioner in the input        Observation.performer                             export/Observation.ndjson:1
note       1  reference: on another server                   Observation.performer                             export/Observation.ndjson:1
note       1  reference: urn                                 Observation.performer                             export/Observation.ndjson:1
note       1  reference: no literal reference                Observation.performer                             export/Observation.ndjson:1
note       1  modifier: the meaning is not the usual one     Patient.modifierExtension                         export/Patient.ndjson:10
12 resources in 3 files checked: 48 errors, 6 notes
";

/// A folder with an export that has every fault.
fn scene() -> TempDir {
    let observation = OBSERVATION.replace('\n', "");
    folder(&[
        ("export/Patient.ndjson", PATIENTS),
        ("export/Observation.ndjson", &observation),
        ("export/bundle.json", BUNDLE),
    ])
}

fn assert_says_nothing(ran: &Ran) {
    assert!(!ran.stdout.contains(MARKER) && !ran.stderr.contains(MARKER), "{}", ran.stdout);
}

#[test]
fn every_planted_fault_is_told_and_nothing_of_the_data() {
    let scene = scene();
    let base = ["--base", "https://x.org/fhir/"];
    let ran = run(scene.path(), &[&["check", "--data", "export"], &base[..]].concat(), "");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, EXPECTED), "{}", ran.stderr);
    let hint =
        "hint: if that other server is the source's own, name its base url: `--base https://…`\n";
    assert_eq!(ran.stderr, hint);
    assert_says_nothing(&ran);
    let without_base = run(scene.path(), &["check", "--data", "export"], "");
    let elsewhere = "note       2  reference: on another server ";
    assert!(without_base.stdout.contains(elsewhere), "{}", without_base.stdout);
}

#[test]
fn the_list_names_each_finding_in_the_order_of_the_input() {
    let scene = folder(&[(
        "export/a.ndjson",
        r##"{"resourceType":"Patient","id":"p1","generalPractitioner":[{"reference":"Patient/no"},{"reference":"#no"}]}
not JSON
{"resourceType":"Patient","id":"p2","managingOrganization":{"reference":"Organization/a,b"},"ZEBRA":1}
{"resourceType":"Patient","id":"p2","link":[{"other":{"reference":"Patient/no"},"type":"seealso"}]}
"##,
    )]);
    let csv = r#"file,line,entry,severity,what,path,text
export/a.ndjson,1,,error,reference: not in the input,Patient.generalPractitioner,Patient/no
export/a.ndjson,1,,error,reference: not contained,Patient.generalPractitioner,#no
export/a.ndjson,2,,error,rejected: not valid JSON,,
export/a.ndjson,3,,error,type and id of several resources,Patient,Patient/p2
export/a.ndjson,3,,error,reference: malformed,Patient.managingOrganization,"Organization/a,b"
export/a.ndjson,3,,error,element unknown to R4,Patient.*,ZEBRA
export/a.ndjson,4,,error,type and id of several resources,Patient,Patient/p2
export/a.ndjson,4,,error,reference: not in the input,Patient.link.other,Patient/no
"#;
    for name in ["list.csv", "list.NDJSON"] {
        let ran = run(scene.path(), &["check", "--data", "export", "--list", name], "");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_says_nothing(&ran);
    }
    let read = |name: &str| fs::read_to_string(scene.path().join(name)).unwrap();
    assert_eq!(read("list.csv"), csv);
    let second = json!({
        "file": "export/a.ndjson", "line": 1, "entry": null, "severity": "error",
        "what": "reference: not contained", "path": "Patient.generalPractitioner", "text": "#no",
    });
    let lines: Vec<Value> =
        read("list.NDJSON").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]), (8, &second));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(scene.path().join("list.csv")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner can read it");
    }
}

#[test]
fn exit_codes_and_what_goes_together() {
    let scene = scene();
    write(scene.path(), "clean/a.ndjson", br#"{"resourceType":"Patient","id":"a"}"#);
    write(scene.path(), "none/a.ndjson", b"\n[]\n");
    let view = json!({"resourceType": "ViewDefinition", "status": "active", "name": "v",
        "resource": "Patient", "select": [{"column": [{"name": "id", "path": "id"}]}]});
    write(scene.path(), "view.json", view.to_string().as_bytes());
    write(scene.path(), "bad.json", b"{}");

    let clean = "1 resource in 1 file checked: nothing is wrong\n";
    let data = |arguments: &[&'static str]| [&["check", "--data", "clean"], arguments].concat();
    check(scene.path(), &data(&[]), 0, clean, &[]);
    check(scene.path(), &data(&["--strict"]), 0, clean, &[]);
    let both = format!("1 file checked: nothing is wrong\n{clean}");
    check(scene.path(), &["check", "view.json", "--data", "clean"], 0, &both, &[]);
    check(scene.path(), &["check", "bad.json", "--data", "clean"], 3, clean, &[]);
    let usage = ["error: `list.txt` is neither `.csv` nor `.ndjson`"];
    check(scene.path(), &data(&["--list", "list.txt"]), 2, "", &usage);
    check(scene.path(), &["check", "--data", "missing"], 4, "", &[]);
    check(scene.path(), &["check"], 2, "", &[]);
    check(scene.path(), &["check", "view.json", "--strict"], 2, "", &[]);

    let strict = run(scene.path(), &["check", "--data", "export", "--strict"], "");
    assert_eq!((strict.code, strict.stderr.contains("error: the data has 4")), (5, true));
    let none = run(scene.path(), &["check", "--data", "none"], "");
    assert_eq!((none.code, none.stderr.as_str()), (4, "error: the data holds no resource\n"));
    assert!(none.stdout.contains("rejected: an array where a resource"), "{}", none.stdout);

    let arguments = ["check", "view.json", "--data", "export", "--format", "json"];
    let report: Value =
        serde_json::from_str(&run(scene.path(), &arguments, "").stdout).expect("JSON alone");
    assert_eq!(report["resources"], json!(12));
    let first = json!({"severity": "error", "what": "element unknown to R4", "path": "Patient.*",
        "count": 2, "first": {"file": "export/Patient.ndjson", "line": 7}});
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.contains(&first), "{findings:#?}");
}

/// The report and the list of an export, as text.
fn audited(inputs: &[&Path], threads: usize, input: &Options) -> (String, String) {
    let scratch = tempfile::tempdir().unwrap();
    let list = scratch.path().join("list.csv");
    let inputs: Vec<_> = inputs.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let progress = Progress::default();
    let audit = Audit { input, bases: &[], threads, progress: &progress };
    let written = FindingList::create(&list).unwrap();
    let report = audit.run(discover(&inputs).unwrap(), Some(written)).unwrap();
    (serde_json::to_string_pretty(&report).unwrap(), fs::read_to_string(list).unwrap())
}

#[test]
fn threads_and_blocks_make_no_difference() {
    let scene = scene();
    let sample = export(&scene.path().join("sample"), 8, 7);
    // Without its patients, most of what is left points at nothing.
    fs::remove_file(sample.join("Patient.000.ndjson")).unwrap();
    fs::remove_file(sample.join("manifest.json")).unwrap();
    let faults = scene.path().join("export");
    let both = [faults.as_path(), sample.as_path()];
    assert_same(&both, 300, &[(1, 64 << 10, 999), (8, 10_007, 4_001), (8, 8 << 20, 4 << 20)]);
    assert_same(&both[..1], 50, &[(1, 1, 1), (8, 1, 1), (2, 100, 50), (8, 999, 1000)]);
}

/// Every number of threads and every cut give what one thread gives that reads the whole at once.
fn assert_same(inputs: &[&Path], least: usize, cuts: &[(usize, u64, usize)]) {
    let whole = Options { split_bytes: u64::MAX >> 1, block_bytes: 1 << 30, ..Options::default() };
    let expected = audited(inputs, 1, &whole);
    let listed = expected.1.lines().count();
    assert!(listed > least, "there is something to compare: {listed}");
    for &(threads, split_bytes, block_bytes) in cuts {
        let input = Options { split_bytes, block_bytes, ..Options::default() };
        let found = audited(inputs, threads, &input);
        assert!(found == expected, "{threads} threads, blocks of {block_bytes} bytes");
    }
}

#[test]
fn the_sample_has_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    export(&folder.path().join("export"), 40, 3);
    let ran = run(folder.path(), &["check", "--data", "export", "--strict"], "");
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.ends_with(" checked: nothing is wrong\n"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

/// Garbage must not fill the screen, and deep nesting not the stack.
#[test]
fn rows_and_depth_are_bounded() {
    let names = (0..2000u32).map(|i| {
        let letter = |by: u32| char::from(b'a' + (i / by % 26) as u8);
        format!(r#""a{}{}{}":1"#, letter(1), letter(26), letter(676))
    });
    let wide = names.collect::<Vec<_>>().join(",");
    let wide = format!(r#"{{"resourceType":"Patient","id":"a",{wide}}}"#);
    let deep = format!(
        r#"{{"resourceType":"Patient","id":"b",{}"url":"x"{}}}"#,
        r#""extension":[{"#.repeat(500),
        "}]".repeat(500)
    );
    let scene = folder(&[("a.ndjson", &format!("{wide}\n{deep}\n"))]);
    let ran = run(scene.path(), &["check", "--data", "a.ndjson"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 1000 + 3, "rows, others, heading, sum");
    let others = "error   1000  element unknown to R4  (other paths)";
    assert!(ran.stdout.lines().any(|l| l.starts_with(others)), "{}", &ran.stdout[..500]);
    assert!(ran.stdout.ends_with("2 resources in 1 file checked: 2000 errors, 0 notes\n"));
}

/// The Synthea export with holes: no practitioners, encounters and ids missing.
#[test]
fn a_real_export_is_judged_as_by_hand() {
    let Some(source) = shared("data/synthea") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Vec::new();
    for file in fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().file_name()) {
        let name = file.to_string_lossy().into_owned();
        let kind = name.split('.').next().unwrap();
        let mut all = resources(&source, kind);
        match kind {
            "Practitioner" => continue,
            "Encounter" => all = every(all, |i| i % 3 != 0),
            "Patient" => all = every(all, |i| i % 10 != 0),
            "Condition" => all.iter_mut().step_by(7).for_each(|it| {
                it.as_object_mut().unwrap().remove("id");
            }),
            _ => {}
        }
        let lines: Vec<_> = all.iter().map(Value::to_string).collect();
        fs::write(folder.path().join(format!("{kind}.ndjson")), lines.join("\n")).unwrap();
        kept.append(&mut all);
    }
    let ran = run(folder.path(), &["check", "--data", ".", "--format", "json"], "");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let found = report["findings"].as_array().unwrap().iter().filter_map(|finding| {
        let what = finding["what"].as_str()?.to_owned();
        // Which elements are References that say no more than a name, only the definitions know; and `resources` has
        // made text of the decimals.
        let compared = what == "no id"
            || what.starts_with("reference: ") && what != "reference: no literal reference";
        compared.then(|| ((what, finding["path"].as_str().unwrap().to_owned()), count(finding)))
    });
    let expected = by_hand(&kept);
    assert!(expected.len() > 20, "{expected:#?}");
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
}

fn count(finding: &Value) -> u64 {
    finding["count"].as_u64().unwrap()
}

fn every(all: Vec<Value>, keep: impl Fn(usize) -> bool) -> Vec<Value> {
    all.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, it)| it).collect()
}

type Counts = BTreeMap<(String, String), u64>;

/// Missing ids and dangling references, by kind and path.
fn by_hand(all: &[Value]) -> Counts {
    let mut counts = Counts::new();
    let text = |it: &Value, key: &str| it[key].as_str().map(str::to_owned);
    let types: BTreeSet<_> = all.iter().filter_map(|it| text(it, "resourceType")).collect();
    let ids: BTreeSet<_> = all
        .iter()
        .filter_map(|it| Some(format!("{}/{}", text(it, "resourceType")?, text(it, "id")?)))
        .collect();
    for it in all {
        let of = text(it, "resourceType").unwrap();
        if it.get("id").is_none() {
            *counts.entry(("no id".to_owned(), of.clone())).or_default() += 1;
        }
        let contained = it["contained"].as_array().map_or(&[][..], Vec::as_slice);
        let contained: BTreeSet<_> =
            contained.iter().filter_map(|c| Some(format!("#{}", c["id"].as_str()?))).collect();
        references(it, &of, &mut |path, to| {
            let target = to.split('/').next().unwrap();
            let what = match to {
                _ if contained.contains(to) || ids.contains(to) => return,
                _ if to.starts_with('#') => "reference: not contained".to_owned(),
                _ if types.contains(target) => "reference: not in the input".to_owned(),
                _ => format!("reference: no {target} in the input"),
            };
            *counts.entry((what, path.to_owned())).or_default() += 1;
        });
    }
    counts
}

/// Calls `each` with the path and text of every reference.
fn references(value: &Value, path: &str, each: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Array(items) => {
            for item in items {
                let of = item["resourceType"].as_str().map_or(String::new(), |t| format!("({t})"));
                references(item, &format!("{path}{of}"), each);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(to) if key == "reference" => each(path, to),
                    _ => references(member, &format!("{path}.{key}"), each),
                }
            }
        }
        _ => {}
    }
}
