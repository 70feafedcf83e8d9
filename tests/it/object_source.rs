//! Sources in an object store: loaded, read as files, not loaded again, and gone when the tables have them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use crate::command::{check, folder, names, run};
use crate::moto::Moto;

const IDS: &str =
    r#"{"name":"ids","resource":"Patient","select":[{"column":[{"name":"id","path":"id"}]}]}"#;

/// A pipeline with this source.
fn scene(moto: &Moto, source: &str) -> TempDir {
    let pipeline = format!(
        "name = \"drop\"\nschemas = [\"./ids.json\"]\n[warehouse]\npath = \"warehouse\"\n[source]\n{source}\n\
         [source.store]\nendpoint = \"{}\"\naccess_key_id = \"id\"\nsecret_access_key = {{ file = \"key\" }}\n",
        moto.endpoint()
    );
    folder(&[("ids.json", IDS), ("key", "s3cret\n"), ("drop.toml", &pipeline)])
}

fn patients(ids: &[&str]) -> Vec<u8> {
    let line = |id: &&str| format!("{{\"resourceType\":\"Patient\",\"id\":\"{id}\"}}\n");
    ids.iter().map(line).collect::<String>().into_bytes()
}

/// Runs the pipeline and compares the ids in the order of their rows.
fn check_ids(folder: &Path, expected: &str) {
    let ran = run(folder, &["run", "drop.toml"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let sql = "SELECT string_agg(id, ' ') FROM ids";
    let found = run(folder, &["query", "--format", "csv", sql], "").stdout;
    assert_eq!(found.lines().last(), Some(expected), "{found}");
}

fn bucket() -> Option<Moto> {
    let moto = Moto::start()?;
    moto.put("/drops", b"");
    moto.put("/drops/drop/2026/Patient.1.ndjson", &patients(&["b", "a"]));
    moto.put("/drops/drop/2026/Patient.2.ndjson", &patients(&["c"]));
    moto.put("/drops/drop/2027/Patient.1.ndjson", &patients(&["d"]));
    moto.put("/drops/drop/2027/Patient.1.txt", b"notes");
    moto.put("/drops/drop/_old/Patient.1.ndjson", &patients(&["x"]));
    Some(moto)
}

#[test]
fn objects_are_read_as_files() {
    let Some(moto) = bucket() else { return };
    for (path, expected) in [
        ("\"s3://drops/drop/\"", "b a c d"),
        ("\"s3://drops/drop\"", "b a c d"),
        ("[\"s3://drops/drop/2027\", \"s3://drops/drop/2026/\"]", "d b a c"),
        // A pattern does not fit what begins with `_`.
        ("\"s3://drops/drop/*/Patient.1.ndjson\"", "b a d"),
        ("\"s3://drops/drop/20*/Patient.1.*\"", "b a d"),
        ("\"s3://drops/drop/2026/Patient.2.ndjson\"", "c"),
    ] {
        let scene = scene(&moto, &format!("path = {path}"));
        check_ids(scene.path(), expected);
        let left = scene.path().join("exports/drop/objects");
        assert!(!left.exists(), "{path}: {:?}", names(&left));
    }
}

#[test]
fn what_is_kept_is_not_loaded_again() {
    let Some(moto) = bucket() else { return };
    let scene = scene(&moto, "path = \"s3://drops/drop\"\nkeep = true");
    check_ids(scene.path(), "b a c d");
    let kept = scene.path().join("exports/drop/objects/drops/drop");
    let inode = |name: &str| fs::metadata(kept.join(name)).unwrap().ino();
    let first = [inode("2026/Patient.1.ndjson"), inode("2026/Patient.2.ndjson")];

    // Of the same size, but another content; one new; one gone.
    moto.put("/drops/drop/2026/Patient.2.ndjson", &patients(&["e"]));
    moto.put("/drops/drop/2026/Patient.3.ndjson", &patients(&["f"]));
    moto.delete("/drops/drop/2027/Patient.1.ndjson");
    // What a killed run left.
    fs::write(kept.join("2026/.Patient.9.ndjson.part"), "half").unwrap();
    check_ids(scene.path(), "b a e f");
    assert_eq!(inode("2026/Patient.1.ndjson"), first[0], "not loaded again");
    assert_ne!(inode("2026/Patient.2.ndjson"), first[1], "loaded again");
    let expected = [1, 2, 3].map(|n| format!(".Patient.{n}.ndjson.etag"));
    let expected = expected.into_iter().chain([1, 2, 3].map(|n| format!("Patient.{n}.ndjson")));
    assert_eq!(names(&kept.join("2026")), expected.collect::<Vec<_>>());
    assert_eq!(names(&kept.join("2027")), [""; 0]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let Some(moto) = bucket() else { return };
    for (source, code, line) in [
        (
            "path = \"s3://drops/none/\"",
            4,
            "error: cannot list `s3://drops/none/`: there is no such object or bucket",
        ),
        (
            "path = \"s3://drops/drop/*.ndjson\"",
            4,
            "error: nothing to read in `s3://drops/drop/*.ndjson`",
        ),
        (
            "path = \"s3://other/drop/\"",
            4,
            "error: cannot list `s3://other/drop/`: there is no such bucket",
        ),
        ("path = \"s3://\"", 3, "error: `s3://`: this names no bucket"),
        (
            "path = [\"s3://drops/drop\", \"drop\"]",
            3,
            "error: paths are all in the object store, or none is",
        ),
    ] {
        let scene = scene(&moto, source);
        check(scene.path(), &["run", "drop.toml"], code, "", &[line]);
    }
}
