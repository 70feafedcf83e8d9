//! What bad input gets: each kind through `kiln flatten` and `kiln run`, with its exact outcome.
//!
//! Bad lines carry a marker in place of a patient's data; it must never be said.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;
use wait4::Wait4;

use crate::command::{Ran, check, folder, kiln, names, run, write};

/// Stands for what identifies a patient.
const MARKER: &str = "ZEBRA";

const IDS: &str = r#"{"resource":"Patient","select":[{"column":[{"name":"id","path":"id"}]}]}"#;

/// A reject: file, line, byte, reason.
type Place<'p> = (&'p str, u64, u64, &'p str);

fn patient(id: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)
}

/// A folder with the view `ids` and a pipeline over `in` that takes any number of rejects.
fn scene(files: &[(&str, &[u8])]) -> TempDir {
    let pipeline = "schemas = ['./ids.json']\nsource = { path = 'in' }\nwarehouse = { path = 'tables' }\nrejects = { max = '100%' }\n";
    let scene = folder(&[("ids.json", IDS), ("pipeline.toml", pipeline)]);
    for (name, bytes) in files {
        write(scene.path(), &format!("in/{name}"), bytes);
    }
    scene
}

/// Runs a command that must not say what is in the lines.
fn discreet(scene: &Path, arguments: &[&str]) -> Ran {
    let ran = run(scene, arguments, "");
    assert!(!ran.stderr.contains(MARKER), "{arguments:?}: {}", ran.stderr);
    ran
}

/// Checks which ids come out and what is rejected, by `flatten` and by `run`.
fn outcome(files: &[(&str, &[u8])], ids: &[&str], rejects: &[Place<'_>]) {
    let scene = scene(files);
    let name = files[0].0;
    let arguments = ["flatten", "--view", "ids.json", "--max-rejects", "100%", "in"];
    let flattened = discreet(scene.path(), &arguments);
    assert_eq!(flattened.code, 0, "{name}: {}", flattened.stderr);
    assert_eq!(texts(&flattened.stdout, "id"), ids, "{name}");
    for (file, line, byte, reason) in rejects {
        let wanted = format!("  in/{file}:{line} (byte {byte}): {reason}");
        let said = &flattened.stderr;
        assert!(said.lines().any(|l| l == wanted), "{name}: `{wanted}` in:\n{said}");
    }
    let done = discreet(scene.path(), &["run", "pipeline.toml"]);
    if ids.is_empty() {
        assert_eq!(done.code, 4, "{name}: {}", done.stderr);
        return assert!(done.stderr.contains("an empty source never replaces tables"), "{name}");
    }
    assert_eq!(done.code, 0, "{name}: {}", done.stderr);
    assert_eq!(texts(&query(scene.path(), "SELECT id FROM ids"), "id"), ids, "{name}");
    let sql = "SELECT file || '|' || line || '|' || byte_offset || '|' || reason || '|' || coalesce(excerpt, '') AS r FROM _rejects";
    let expected: Vec<_> =
        rejects.iter().map(|(f, l, b, r)| format!("./in/{f}|{l}|{b}|{r}|")).collect();
    assert_eq!(texts(&query(scene.path(), sql), "r"), expected, "{name}");
}

fn query(scene: &Path, sql: &str) -> String {
    let arguments = ["query", "--warehouse", "tables", "--format", "ndjson", sql];
    let ran = discreet(scene, &arguments);
    assert_eq!(ran.code, 0, "{sql}: {}", ran.stderr);
    ran.stdout
}

/// One column of NDJSON.
fn texts(ndjson: &str, column: &str) -> Vec<String> {
    let value = |line| serde_json::from_str::<Value>(line).unwrap()[column].clone();
    // Not `lines()`, which is as good here, but this is how the format is defined.
    ndjson.split_terminator('\n').map(|l| value(l).as_str().unwrap_or("null").to_owned()).collect()
}

#[test]
fn lines_of_every_form() {
    let (a, b) = (patient("a"), patient("b"));
    let bad = format!(r#"{{"resourceType":"Patient","id":"{MARKER}"#);
    let observation = r#"{"resourceType":"Observation","id":"o"}"#;
    for (name, text, ids, rejects) in [
        ("bom.ndjson", format!("\u{feff}{a}\n{b}\n"), &["a", "b"][..], &[][..]),
        ("crlf.ndjson", format!("{a}\r\n{b}\r\n"), &["a", "b"], &[]),
        ("blank.ndjson", format!("\n{a}\n  \n\n{b}\n\n"), &["a", "b"], &[]),
        ("end.ndjson", format!("{a}\n{b}"), &["a", "b"], &[]),
        ("empty.ndjson", String::new(), &[], &[]),
        ("separator.ndjson", patient("x\u{2028}y"), &["x\u{2028}y"], &[]),
        ("types.ndjson", format!("{a}\n{observation}\n{b}\n"), &["a", "b"], &[]),
        ("Observation.ndjson", format!("{a}\n"), &["a"], &[]),
        (
            "broken.ndjson",
            format!("{a}\n{bad}\n{b}\n"),
            &["a", "b"],
            &[("broken.ndjson", 2, 36, "not valid JSON")],
        ),
        ("cut.ndjson", format!("{a}\n{bad}"), &["a"], &[("cut.ndjson", 2, 36, "not valid JSON")]),
        (
            "array.ndjson",
            format!("[{}]\n{b}\n", patient(MARKER)),
            &["b"],
            &[("array.ndjson", 1, 0, "an array where a resource should be")],
        ),
        (
            "values.ndjson",
            format!("\"{MARKER}\"\nnull\n12\n{b}\n"),
            &["b"],
            &[
                ("values.ndjson", 1, 0, "a string where a resource should be"),
                ("values.ndjson", 2, 8, "null where a resource should be"),
                ("values.ndjson", 3, 13, "a number where a resource should be"),
            ],
        ),
        (
            "untyped.ndjson",
            format!(
                "{{\"id\":\"{MARKER}\"}}\n{{\"resourceType\":\"{MARKER} 1\"}}\n{{\"resourceType\":[\"{MARKER}\"]}}\n"
            ),
            &[],
            &[
                ("untyped.ndjson", 1, 0, "no `resourceType`"),
                ("untyped.ndjson", 2, 15, "`resourceType` is not the name of a type"),
                ("untyped.ndjson", 3, 42, "`resourceType` is not a string"),
            ],
        ),
        (
            "two.ndjson",
            format!("{a} {b}\n"),
            &[],
            &[("two.ndjson", 1, 0, "more text after the JSON value")],
        ),
    ] {
        outcome(&[(name, text.as_bytes())], ids, rejects);
    }
    let mut text = patient(&format!("{MARKER}\u{fffd}")).into_bytes();
    let at = text.iter().position(|b| *b == 0xef).unwrap();
    text.splice(at..at + 3, [0xff]);
    text.extend_from_slice(format!("\n{b}\n").as_bytes());
    outcome(&[("utf8.ndjson", &text)], &["b"], &[("utf8.ndjson", 1, 0, "not valid UTF-8")]);
}

#[test]
fn bundles_are_opened() {
    let entries = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{}}},{{"fullUrl":"x"}},{{"resource":"{MARKER}"}},{{"resource":{}}}]}}"#,
        patient("a"),
        patient("b")
    );
    let reason = "a string where a resource should be";
    for name in ["bundle.json", "bundle.ndjson"] {
        outcome(&[(name, entries.as_bytes())], &["a", "b"], &[(name, 1, 0, reason)]);
    }
    let two = format!("{entries}\n{}\n", patient("c"));
    outcome(
        &[("mixed.ndjson", two.as_bytes())],
        &["a", "b", "c"],
        &[("mixed.ndjson", 1, 0, reason)],
    );
    outcome(&[("one.json", patient("a").as_bytes())], &["a"], &[]);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files() {
    let members =
        [gzip(&format!("{}\n{{\"resou", patient("a"))), gzip(&format!("{}\n", &patient("b")[7..]))];
    outcome(&[("members.ndjson.gz", &members.concat())], &["a", "b"], &[]);
    let many: Vec<_> = (0..5000).map(|i| patient(&format!("{MARKER}{i}"))).collect();
    let many = many.join("\n");
    let whole = gzip(&many);
    for (name, bytes, message) in [
        ("cut.ndjson.gz", &whole[..whole.len() / 2], None),
        ("text.ndjson.gz", many.as_bytes(), Some("is not gzip data")),
        ("none.ndjson.gz", &[][..], Some("is not gzip data")),
    ] {
        let scene = scene(&[(name, bytes)]);
        let flatten = ["flatten", "--view", "ids.json", "--out", "out", "in"];
        for arguments in [&flatten[..], &["run", "pipeline.toml"]] {
            let ran = discreet(scene.path(), arguments);
            assert_eq!(ran.code, 4, "{arguments:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(&format!("in/{name}`")), "{}", ran.stderr);
            assert!(message.is_none_or(|m| ran.stderr.contains(m)), "{}", ran.stderr);
        }
        let visible = |folder: &str| {
            let folder = scene.path().join(folder);
            if folder.exists() { names(&folder) } else { Vec::new() }
        };
        assert!(visible("out").is_empty(), "{:?}", visible("out"));
        assert!(visible("tables").iter().all(|n| n == "_kiln/"), "{:?}", visible("tables"));
    }
}

#[test]
fn manifests_that_do_not_fit() {
    let manifest = |name: &str, count: u64| {
        format!(
            r#"{{"transactionTime":"2026-01-01T00:00:00Z","request":"https://x/$export","requiresAccessToken":true,"output":[{{"type":"Patient","url":"https://x/bulk/{name}","count":{count}}}],"error":[]}}"#
        )
    };
    let file = format!("{}\n{}\n", patient("a"), r#"{"resourceType":"Observation","id":"o"}"#);
    let scene = scene(&[("Patient.ndjson", file.as_bytes())]);
    let put = |text: String| fs::write(scene.path().join("in/manifest.json"), text).unwrap();
    put(manifest("Patient.2.ndjson", 1));
    for arguments in [&["flatten", "--view", "ids.json", "in"][..], &["run", "pipeline.toml"]] {
        let ran = discreet(scene.path(), arguments);
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert!(ran.stderr.contains("in/Patient.2.ndjson`"), "{}", ran.stderr);
        assert!(ran.stderr.contains("in/manifest.json"), "{}", ran.stderr);
    }
    put(manifest("Patient.ndjson", 3));
    for (arguments, at) in
        [(&["flatten", "--view", "ids.json", "in"][..], "in"), (&["run", "pipeline.toml"], "./in")]
    {
        let ran = discreet(scene.path(), arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        for warning in [
            format!("warning: `{at}/Patient.ndjson` holds 2 resources; its manifest says 3"),
            format!(
                "warning: `{at}/Patient.ndjson` holds `Observation`; its manifest says `Patient` only"
            ),
        ] {
            assert!(ran.stderr.lines().any(|l| l == warning), "{warning}:\n{}", ran.stderr);
        }
    }
    put("{".to_owned());
    let ran = discreet(scene.path(), &["run", "pipeline.toml"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: the manifest is not valid JSON\n"), "{}", ran.stderr);
}

#[test]
fn nothing_to_read() {
    let scene = scene(&[("notes.txt", b"no export")]);
    let none = "error: nothing to read in `in`";
    check(scene.path(), &["flatten", "--view", "ids.json", "in"], 4, "", &[none]);
    let none = "error: nothing to read in `./in`";
    check(scene.path(), &["run", "pipeline.toml"], 4, "", &[none]);
    assert!(!scene.path().join("tables/ids").exists());
    // What is passed over is said.
    write(scene.path(), "in/Patient.ndjson", patient("a").as_bytes());
    let said =
        "warning: not read, for the name or for not being in the manifest: 1 (`in/notes.txt`)";
    let rows = "{\"id\":\"a\"}\n";
    check(scene.path(), &["flatten", "--view", "ids.json", "in"], 0, rows, &[said]);
}

#[test]
fn a_view_that_fails_on_a_resource_rejects_it_for_itself_alone() {
    let two = format!(
        r#"{{"resourceType":"Patient","id":"a","name":[{{"given":["{MARKER}","{MARKER}2"]}}]}}"#
    );
    let text = format!("{two}\n{}\n", patient("b"));
    let scene = scene(&[("p.ndjson", text.as_bytes())]);
    let given = r#"{"name":"given","resource":"Patient","select":[{"column":[{"name":"id","path":"id"},{"name":"given","path":"name.given"}]}]}"#;
    fs::write(scene.path().join("given.json"), given).unwrap();
    let pipeline = "schemas = ['./ids.json', './given.json']\nsource = { path = 'in' }\nwarehouse = { path = 'tables' }\n[rejects]\nmax = 1\n";
    fs::write(scene.path().join("pipeline.toml"), pipeline).unwrap();
    let done = discreet(scene.path(), &["run", "pipeline.toml"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let line = "  given          1 rows of 2 Patient, 1 failed";
    assert!(done.stderr.lines().any(|l| l == line), "{}", done.stderr);
    assert_eq!(texts(&query(scene.path(), "SELECT id FROM ids"), "id"), ["a", "b"]);
    assert_eq!(texts(&query(scene.path(), "SELECT id FROM given"), "id"), ["b"]);
    let sql = "SELECT view_name || '|' || file || '|' || line || '|' || byte_offset || '|' || reason AS r, excerpt FROM _rejects";
    let reason = "given|./in/p.ndjson|1|0|column `given` takes one value and found 2; use `first()`, a `forEach`, or `collection`";
    let found = query(scene.path(), sql);
    assert_eq!(texts(&found, "r"), [reason]);
    assert_eq!(texts(&found, "excerpt"), ["null"]);
    fs::write(scene.path().join("pipeline.toml"), format!("{pipeline}keep_excerpts = true\n"))
        .unwrap();
    assert_eq!(discreet(scene.path(), &["run", "pipeline.toml"]).code, 0);
    let latest = "SELECT excerpt FROM _rejects ORDER BY _run DESC LIMIT 1";
    assert_eq!(texts(&query(scene.path(), latest), "excerpt"), [two]);
}

#[test]
fn excerpts_are_kept_only_if_asked_for() {
    let bad = format!("{{\"{MARKER}{}", "é".repeat(300));
    let scene = scene(&[("p.ndjson", format!("{bad}\n{}", patient("a")).as_bytes())]);
    let pipeline = fs::read_to_string(scene.path().join("pipeline.toml")).unwrap();
    let asked = pipeline.replace("max =", "keep_excerpts = true, max =");
    fs::write(scene.path().join("pipeline.toml"), asked).unwrap();
    assert_eq!(discreet(scene.path(), &["run", "pipeline.toml"]).code, 0);
    let expected: String = bad.chars().take(200).collect();
    assert_eq!(texts(&query(scene.path(), "SELECT excerpt FROM _rejects"), "excerpt"), [expected]);
}

#[test]
fn too_many_rejects_commit_nothing_and_are_reported() {
    let text = format!("{}\n{{\"{MARKER}\n", patient("a"));
    let scene = scene(&[("p.ndjson", text.as_bytes())]);
    let pipeline = fs::read_to_string(scene.path().join("pipeline.toml")).unwrap();
    fs::write(scene.path().join("pipeline.toml"), pipeline.replace("'100%'", "0")).unwrap();
    let ran = discreet(scene.path(), &["run", "pipeline.toml", "--report", "report.json"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let said = "error: 1 reject among 2 lines, 0 allowed\n  first: ./in/p.ndjson:2 (byte 36): not valid JSON\n";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!(names(&scene.path().join("tables")), ["_kiln/"]);
    let runs = scene.path().join("tables/_kiln/runs");
    let [report] = names(&runs).try_into().unwrap();
    let kept = fs::read(runs.join(report)).unwrap();
    assert_eq!(kept, fs::read(scene.path().join("report.json")).unwrap());
    let report: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(report["outcome"], "1 reject among 2 lines, 0 allowed; nothing was committed");
    assert_eq!(report["rejects"]["not valid JSON"], 1);
    assert!(!report.to_string().contains(MARKER));
}

#[test]
fn lines_longer_than_the_limit_are_rejected() {
    let long = patient(&"x".repeat(2 << 20));
    let text = format!("{}\n{long}\n{}\n", patient("a"), patient("b"));
    let scene = scene(&[("p.ndjson", text.as_bytes())]);
    let flatten =
        ["flatten", "--view", "ids.json", "--max-rejects", "1", "--max-line-mib", "1", "in"];
    let lines = [
        "ids: 2 rows of 2 resources",
        "rejected 1: longer than 1048576 bytes",
        "  in/p.ndjson:2 (byte 36): longer than 1048576 bytes",
    ];
    check(scene.path(), &flatten, 0, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n", &lines);
    let pipeline = fs::read_to_string(scene.path().join("pipeline.toml")).unwrap();
    let limited = pipeline.replace("path = 'in'", "path = 'in', max_line_mib = 1");
    fs::write(scene.path().join("pipeline.toml"), limited).unwrap();
    assert_eq!(run(scene.path(), &["run", "pipeline.toml"], "").code, 0);
    let reasons = texts(&query(scene.path(), "SELECT reason FROM _rejects"), "reason");
    assert_eq!(reasons, ["longer than 1048576 bytes"]);
}

#[test]
fn a_line_of_100_mb_takes_bounded_memory() {
    let scene = scene(&[]);
    let path = scene.path().join("long.ndjson");
    let mut file = File::create(&path).unwrap();
    write!(file, "{}\n{{\"resourceType\":\"Patient\",\"text\":{{\"div\":\"", patient("a")).unwrap();
    let megabyte = vec![b'x'; 1_000_000];
    (0..100).for_each(|_| file.write_all(&megabyte).unwrap());
    write!(file, "\"}},\"id\":\"long\"}}\n{}\n", patient("b")).unwrap();
    for (limit, rows, rejected) in [
        ("64", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n", "rejected 1: longer than 67108864 bytes\n"),
        ("128", "{\"id\":\"a\"}\n{\"id\":\"long\"}\n{\"id\":\"b\"}\n", ""),
    ] {
        let arguments = [
            "flatten",
            "--view",
            "ids.json",
            "--max-rejects",
            "1",
            "--max-line-mib",
            limit,
            "long.ndjson",
        ];
        let (out, said) = (scene.path().join("out"), scene.path().join("said"));
        let mut command = kiln(scene.path(), &arguments);
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&said).unwrap());
        let used = command.spawn().unwrap().wait4().unwrap();
        let said = fs::read_to_string(said).unwrap();
        assert!(used.status.success(), "{said}");
        assert_eq!(fs::read_to_string(out).unwrap(), rows);
        assert!(said.contains(rejected), "{said}");
        let peak = used.rusage.maxrss / 1_000_000;
        println!("a 100 MB line, limit {limit} MiB: {peak} MB at most");
        assert!(peak < 600, "{peak} MB");
    }
}

#[test]
fn a_second_run_waits_for_nobody() {
    let scene = scene(&[("p.ndjson", patient("a").as_bytes())]);
    assert_eq!(run(scene.path(), &["run", "pipeline.toml"], "").code, 0);
    let lock = File::options().write(true).open(scene.path().join("tables/_kiln/lock")).unwrap();
    lock.lock().unwrap();
    let ran = run(scene.path(), &["run", "pipeline.toml"], "");
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: another run is writing to `"), "{}", ran.stderr);
    assert_eq!(texts(&query(scene.path(), "SELECT id FROM ids"), "id"), ["a"], "reading goes on");
    drop(lock);
    assert_eq!(run(scene.path(), &["run", "pipeline.toml"], "").code, 0);
}

#[test]
fn a_full_device_is_an_error_of_the_output() {
    let scene = scene(&[("p.ndjson", patient("a").as_bytes())]);
    assert_eq!(run(scene.path(), &["run", "pipeline.toml"], "").code, 0);
    for arguments in [
        &["flatten", "--view", "ids.json", "in"][..],
        &["query", "--warehouse", "tables", "SELECT 1 AS one"],
        &["query", "--warehouse", "tables", "--output", "/dev/full", "SELECT 1 AS one"],
        &["run", "pipeline.toml", "--report", "/dev/full"],
        &["schema", "ids.json"],
    ] {
        let mut command = kiln(scene.path(), arguments);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(6), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{arguments:?}: {said}");
    }
}

/// A disk of its own, unmounted when dropped.
struct Disk<'d>(&'d Path);

impl<'d> Disk<'d> {
    fn mount(at: &'d Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(at).output();
        mounted.is_ok_and(|o| o.status.success()).then_some(Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_last_version() {
    let scene = scene(&[("p.ndjson", patient("a").as_bytes())]);
    let tables = scene.path().join("tables");
    let Some(_disk) = Disk::mount(&tables) else {
        println!("skipped: a tmpfs cannot be mounted here");
        return;
    };
    assert_eq!(run(scene.path(), &["run", "pipeline.toml"], "").code, 0);
    // Ids that do not compress.
    let mut state = 1_u64;
    let mut id = || {
        let mut word = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state ^ (state >> 29)
        };
        format!("{MARKER}-{:016x}{:016x}{:016x}", word(), word(), word())
    };
    let many: Vec<_> = (0..60_000).map(|_| patient(&id())).collect();
    fs::write(scene.path().join("in/p.ndjson"), many.join("\n")).unwrap();
    let ran = discreet(scene.path(), &["run", "pipeline.toml"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert_eq!(texts(&query(scene.path(), "SELECT id FROM ids"), "id"), ["a"]);
    fs::write(scene.path().join("in/p.ndjson"), patient("c")).unwrap();
    assert_eq!(run(scene.path(), &["run", "pipeline.toml"], "").code, 0);
    assert_eq!(texts(&query(scene.path(), "SELECT id FROM ids"), "id"), ["c"]);
}
