//! `kiln rebuild`: tables filled from the exports that are kept, without asking the server.

use std::path::Path;

use kiln::query::Engine;
use serde_json::{Value, json};

use crate::bulk_server::{BulkServer, File, Route, Setup};
use crate::command::{names, run, write};
use crate::support::{block_on, value};

const PERSON: &str = r#"{
  "resourceType": "ViewDefinition", "name": "person", "status": "draft", "resource": "Patient",
  "select": [{ "column": [{ "name": "id", "path": "id" }, { "name": "gender", "path": "gender" }] }]
}"#;

fn patients() -> Setup {
    let line =
        |id: &str| json!({ "resourceType": "Patient", "id": id, "gender": "female" }).to_string();
    Setup::with([File::output("Patient", "p", &["a", "b", "c"].map(line))])
}

fn write_pipeline(folder: &Path, server: &BulkServer, schemas: &str) {
    let text = format!(
        "schemas = [{schemas}]\n\
         [source.export]\nserver = '{}'\nsince = 'auto'\nkeep = 9\npoll_min = '1ms'\npoll_max = '20ms'\n\
         [warehouse]\npath = 'warehouse'\n[rejects]\nmax = 0\n",
        server.base()
    );
    write(folder, "nightly.toml", text.as_bytes());
}

/// Runs the program off the runtime, which the server needs.
async fn kiln(folder: &Path, arguments: &[&str], code: i32) {
    let folder = folder.to_owned();
    let arguments: Vec<_> = arguments.iter().map(|it| (*it).to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        run(&folder, &arguments, "")
    });
    let ran = ran.await.unwrap();
    assert_eq!(ran.code, code, "{}", ran.stderr);
}

/// What the last run left in the history.
async fn last_run(folder: &Path) -> Value {
    let folder = folder.to_owned();
    let listed = tokio::task::spawn_blocking(move || {
        run(&folder, &["runs", "nightly", "--format", "ndjson", "--limit", "1"], "")
    });
    let listed = listed.await.unwrap();
    serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap()
}

async fn count(folder: &Path, table: &str) -> String {
    let engine = Engine::open(&folder.join("warehouse")).await.unwrap();
    value(&engine, &format!("SELECT count(*) FROM {table}")).await
}

#[test]
fn a_new_table_is_filled_from_kept_exports() {
    block_on(async {
        let scene = tempfile::tempdir().unwrap();
        let folder = scene.path();
        let server = BulkServer::start(patients()).await;
        write(folder, "person.json", PERSON.as_bytes());
        write_pipeline(folder, &server, "'patient'");
        for _ in 0..2 {
            kiln(folder, &["run", "nightly.toml"], 0).await;
        }
        assert_eq!(server.count(&Route::KickOff), 2);

        write_pipeline(folder, &server, "'patient', './person.json'");
        kiln(folder, &["rebuild", "nightly.toml", "person"], 0).await;
        assert_eq!(server.count(&Route::KickOff), 2, "nothing is asked of the server");
        assert_eq!(count(folder, "person").await, "3");
        assert_eq!(last_run(folder).await["outcome"], "committed");

        // The new table is as current as the other: the next run asks for changes only.
        kiln(folder, &["run", "nightly.toml"], 0).await;
        let asked = server.parameters();
        assert!(asked.last().unwrap().iter().any(|(name, _)| name == "_since"), "{asked:?}");
    });
}

#[test]
fn a_rebuild_that_fails_is_in_the_history() {
    block_on(async {
        let scene = tempfile::tempdir().unwrap();
        let folder = scene.path();
        let server = BulkServer::start(patients()).await;
        write(folder, "person.json", PERSON.as_bytes());
        write_pipeline(folder, &server, "'patient', './person.json'");
        kiln(folder, &["run", "nightly.toml"], 0).await;

        let exports = folder.join("exports/nightly");
        let export = exports.join(&names(&exports)[0]);
        std::fs::write(export.join("Patient.00000.ndjson"), "no resource\n").unwrap();
        kiln(folder, &["rebuild", "nightly.toml", "person"], 5).await;
        assert_eq!(last_run(folder).await["outcome"], "rejected");
        assert_eq!(count(folder, "person").await, "3", "the table is as it was");

        kiln(folder, &["rebuild", "nightly.toml", "persons"], 2).await;
    });
}
