//! Pipelines whose source is an export, run by the program against a server in process, and killed at every stage.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kiln::error::ErrorKind;
use kiln::pipeline::{self, Pipeline, Progress, RunOptions};
use kiln::query::Engine;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::bulk_server::{BulkServer, Fault, File, Route, Section, Setup};
use crate::command::{names, write};
use crate::support::{block_on, value};

fn resources(kind: &'static str, file: &str, ids: &[&str]) -> File {
    let line = |id: &&str| json!({ "resourceType": kind, "id": id }).to_string();
    File::output(kind, file, &ids.iter().map(line).collect::<Vec<_>>())
}

fn population() -> Setup {
    Setup::with([
        resources("Patient", "p1", &["a", "b", "c"]),
        resources("Condition", "c1", &["x"]),
        resources("Condition", "c2", &["y", "z"]),
    ])
}

/// Writes a pipeline that exports from the server.
fn write_pipeline(folder: &Path, server: &BulkServer, more: &str) {
    let text = format!(
        r#"
schemas = ["patient", "condition"]
[source.export]
server = "{}"
poll_min = "1ms"
poll_max = "20ms"
{more}
[warehouse]
path = "warehouse"
"#,
        server.base()
    );
    write(folder, "nightly.toml", text.as_bytes());
}

fn kiln(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(arguments).current_dir(folder).kill_on_drop(true);
    command
}

/// Runs the pipeline, which must end with this code.
async fn run(folder: &Path, code: i32) -> Output {
    let done = kiln(folder, &["run", "nightly.toml", "--report", "report.json"]).output().await;
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{said}");
    done
}

/// How many rows the tables have.
async fn counts(folder: &Path) -> [String; 2] {
    let engine = Engine::open(&folder.join("warehouse")).await.unwrap();
    let count = async |table| value(&engine, &format!("SELECT count(*) FROM {table}")).await;
    [count("patient").await, count("condition").await]
}

#[test]
fn a_run_exports_and_loads_and_lets_the_server_forget() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(population()).await;
        write_pipeline(folder.path(), &server, "");
        for time in 1..=2 {
            run(folder.path(), 0).await;
            assert_eq!(counts(folder.path()).await, ["3", "3"]);
            let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.route).collect();
            assert_eq!(asked.last(), Some(&Route::Delete), "the job is deleted last");
            for (route, each_time) in
                [(Route::KickOff, 1), (Route::file("*"), 3), (Route::Delete, 1)]
            {
                assert_eq!(server.count(&route), time * each_time, "{route:?}");
            }
            let exports = folder.path().join("exports/nightly");
            let kept = names(&exports);
            assert_eq!(kept.len(), 1, "one export is kept: {kept:?}");
            assert!(exports.join(&kept[0]).join("loaded.json").exists());
        }
        let report = std::fs::read(folder.path().join("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["export"]["files"], 3);
        assert!(report["export"]["transaction_time"].is_string(), "{report}");
        let run = report["run"].as_str().unwrap();
        let shown =
            kiln(folder.path(), &["runs", "show", run, "--format", "json"]).output().await.unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["report"]["export"], report["export"], "the history has the same");
        assert_eq!(server.breaches(), Vec::<String>::new());
    });
}

/// The program is killed while the server keeps it waiting at a route; the next run goes on.
#[test]
fn a_killed_run_goes_on_without_a_second_export() {
    for (route, nth) in
        [(Route::Status, 1), (Route::file("p1"), 1), (Route::file("c2"), 1), (Route::Delete, 1)]
    {
        block_on(async {
            let there = Arc::new(Notify::new());
            let setup = population()
                .fault(route.clone(), nth..=nth, Fault::Announce(there.clone()))
                .fault(route.clone(), nth..=nth, Fault::Silent);
            let folder = tempfile::tempdir().unwrap();
            let server = BulkServer::start(setup).await;
            write_pipeline(folder.path(), &server, "parallel = 1");
            let mut child = kiln(folder.path(), &["run", "nightly.toml"]).spawn().unwrap();
            there.notified().await;
            child.kill().await.unwrap();
            run(folder.path(), 0).await;
            assert_eq!(counts(folder.path()).await, ["3", "3"], "killed at {route:?}");
            assert_eq!(server.count(&Route::KickOff), 1, "killed at {route:?}");
            let deletes = if route == Route::Delete { 2 } else { 1 };
            assert_eq!(server.count(&Route::Delete), deletes, "killed at {route:?}");
            for file in ["p1", "c1", "c2"].map(Route::file) {
                let times = if file == route { 2 } else { 1 };
                assert_eq!(server.count(&file), times, "{file:?}, killed at {route:?}");
            }
            assert_eq!(server.breaches(), Vec::<String>::new());
        });
    }
}

#[test]
fn what_was_refused_for_its_rejects_is_not_exported_again() {
    block_on(async {
        let broken = Fault::Body(b"{\"resourceType\":\"Patient\"}\n{\"a\"\n{}\n".to_vec());
        let setup = population().fault(Route::file("p1"), 1..=1, broken);
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(setup).await;
        write_pipeline(folder.path(), &server, "");
        let said = String::from_utf8(run(folder.path(), 5).await.stderr).unwrap();
        assert!(said.contains("2 rejects among 6 lines, 0 allowed"), "{said}");
        assert!(said.contains("read again by the next run"), "{said}");
        write_pipeline(folder.path(), &server, "[rejects]\nmax = 2\n");
        run(folder.path(), 0).await;
        assert_eq!(counts(folder.path()).await, ["1", "3"]);
        assert_eq!((server.count(&Route::KickOff), server.count(&Route::Delete)), (1, 1));
    });
}

/// A retry after a broken rule does not slip by it: the tables are as the first run left them, and are asked again.
#[test]
fn a_broken_rule_stops_every_run_of_the_same_export() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(population()).await;
        let model = "[[model]]\nname = \"n\"\nsql = \"SELECT count(*) AS n FROM patient\"\n";
        let rule = "[[quality.rule]]\ncheck = \"completeness\"\ntable = \"patient\"\ncolumn = \"birth_date\"\n";
        for since in ["", "since = \"auto\"\n"] {
            let starts = server.count(&Route::KickOff);
            let _ = std::fs::remove_dir_all(folder.path().join("warehouse"));
            for (level, code) in [("stop", 5), ("stop", 5), ("warn", 0)] {
                let more = format!("{since}{model}{rule}min = 1\nlevel = \"{level}\"\n");
                write_pipeline(folder.path(), &server, &more);
                let said = String::from_utf8(run(folder.path(), code).await.stderr).unwrap();
                assert!(said.contains("completeness of `patient.birth_date`"), "{said}");
                assert_eq!(said.contains("read again by the next run"), code == 5, "{said}");
                assert_eq!(counts(folder.path()).await, ["3", "3"]);
                let engine = Engine::open(&folder.path().join("warehouse")).await.unwrap();
                let made = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'n'";
                assert_eq!(value(&engine, made).await == "1", code == 0, "{said}");
            }
            assert_eq!(server.count(&Route::KickOff), starts + 1);
        }
    });
}

/// Members are not attributed yet, or the group is empty: the next night asks again.
#[test]
fn an_export_without_resources_replaces_nothing_and_is_asked_for_again() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(Setup::with([])).await;
        write_pipeline(folder.path(), &server, "");
        for time in 1..=2 {
            let said = String::from_utf8(run(folder.path(), 4).await.stderr).unwrap();
            assert!(said.contains("the source holds no resource"), "{said}");
            assert!(!folder.path().join("warehouse/patient/_delta_log").exists());
            assert_eq!((server.count(&Route::KickOff), server.count(&Route::Delete)), (time, time));
        }
    });
}

/// Errors that the server reports stop a run until they are accepted, which takes no second export.
#[test]
fn reported_errors_stop_a_run_until_they_are_accepted() {
    block_on(async {
        let issue = json!([{ "severity": "error", "code": "processing", "diagnostics": "3 lost" }]);
        let outcome = json!({ "resourceType": "OperationOutcome", "issue": issue });
        let errors =
            File::new(Section::Error, Some("OperationOutcome"), "e1", format!("{outcome}\n"));
        let mut setup = population();
        setup.files.push(errors);
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(setup).await;
        write_pipeline(folder.path(), &server, "");
        for _ in 0..2 {
            let said = String::from_utf8(run(folder.path(), 11).await.stderr).unwrap();
            assert!(said.contains("3 lost") && said.contains("accept_errors"), "{said}");
            assert!(!folder.path().join("warehouse/patient/_delta_log").exists());
        }
        write_pipeline(folder.path(), &server, "accept_errors = true");
        run(folder.path(), 0).await;
        assert_eq!(counts(folder.path()).await, ["3", "3"]);
        assert_eq!((server.count(&Route::KickOff), server.count(&Route::Delete)), (1, 1));
    });
}

#[test]
fn rows_are_made_while_files_still_arrive_and_none_is_seen_before_all_have() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let setup = population().fault(Route::file("c2"), 1..=usize::MAX, Fault::Stalls(50));
        let server = BulkServer::start(setup).await;
        write_pipeline(folder.path(), &server, "timeout = \"1s\"\nattempts = 1");
        let (pipeline, _) = Pipeline::load(&folder.path().join("nightly.toml")).unwrap();
        let progress = Progress::default();
        let options = RunOptions::new(2, &progress);
        let failed = pipeline::run(&pipeline, &options).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::TryLater, "{failed}");
        assert_eq!(progress.rows.load(Ordering::Relaxed), 4, "of the files that came");
        assert!(!folder.path().join("warehouse/patient/_delta_log").exists());
    });
}
