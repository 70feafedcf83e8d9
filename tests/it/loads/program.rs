//! `kiln load`, as users run it.

use std::fs;

use crate::command::{folder, run};

#[test]
fn of_a_pipeline() {
    let pipeline = "schemas = [\"patient\", \"condition\"]\n[source]\nsample = { patients = 7, folder = \"export\" }\n\
        [warehouse]\npath = \"warehouse\"\n[[load]]\nto = \"files\"\npath = \"drop\"\nformat = \"csv\"\n\
        [[load]]\nname = \"second\"\nto = \"files\"\npath = \"other\"\ntables = [\"patient\", \"_rejects\"]\n";
    let folder = folder(&[("p.toml", pipeline)]);
    let ran = run(folder.path(), &["run", "p.toml"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // A run loads too: begin anew.
    for drop in ["drop", "other"] {
        let _ = fs::remove_dir_all(folder.path().join(drop));
    }
    let ran = run(folder.path(), &["load", "p.toml", "--only", "files"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("files:\n  patient version 0: 7 rows\n"), "{}", ran.stderr);
    assert!(!folder.path().join("other").exists(), "only the one that is named");
    let latest = fs::read_to_string(folder.path().join("drop/latest")).unwrap();
    let drop = folder.path().join("drop").join(latest.trim());
    assert_eq!(fs::read_to_string(drop.join("patient.csv")).unwrap().lines().count(), 8);
    assert!(drop.join("condition.csv").is_file() && !drop.join("_rejects.csv").exists());
    let ran = run(folder.path(), &["load", "p.toml"], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("  patient version 0: nothing new\n"), "{}", ran.stderr);
    let latest = fs::read_to_string(folder.path().join("other/latest")).unwrap();
    let names = fs::read_dir(folder.path().join("other").join(latest.trim())).unwrap();
    let mut names: Vec<_> = names.map(|n| n.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["_rejects.parquet", "manifest.json", "patient.parquet"]);
    let ran = run(folder.path(), &["load", "p.toml", "--only", "secnd"], "");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("did you mean `second`?"), "{}", ran.stderr);
}
