//! A load killed before each of its durable steps, and run again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::Database;
use super::tables::Resources;
use super::{load, perform};
use crate::support::block_on;

/// What the process that is killed has to do: the text of the load, and the folder of its tables.
const WORK: &str = "KILN_TEST_LOAD";

/// Two tables whose content is that of a round.
fn versions(folder: &Path, last: i64) -> Vec<kiln::load::TableVersion> {
    let mut tables = [Resources::new(folder, "a"), Resources::new(folder, "b")];
    let mut made = Vec::new();
    for round in 1..=last {
        made = tables
            .iter_mut()
            .map(|table| {
                table.put("p", &format!("r{round}"), &[round]);
                table.put(&format!("p{round}"), &format!("r{round}"), &[round]);
                table.commit()
            })
            .collect();
    }
    made
}

/// Does nothing unless it is started by [`killed_anywhere`], as a process of its own.
#[test]
fn is_killed() {
    let Ok(folder) = std::env::var(WORK) else { return };
    let folder = PathBuf::from(folder);
    let text = std::fs::read_to_string(folder.join("load")).unwrap();
    block_on(async {
        perform(&load(&folder, &text), &versions(&folder, 2), "r2").await.unwrap();
    });
}

/// Runs the load of round 2 in a process that ends before its step `at`; whether it came through.
fn come_through(folder: &Path, at: usize) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "loads::crash::is_killed"]).env(WORK, folder);
    command.env("KILN_CRASH_AT", at.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

#[test]
fn killed_anywhere() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        for mode in ["swap", "merge"] {
            let folder = tempfile::tempdir().unwrap();
            let text = format!(
                "to = 'postgres'\nurl = '{}'\nschema = '{mode}'\nmode = '{mode}'",
                database.url()
            );
            std::fs::write(folder.path().join("load"), &text).unwrap();
            let load = load(folder.path(), &text);
            let mut crashes = 0;
            loop {
                database.execute(&format!("DROP SCHEMA IF EXISTS {mode} CASCADE")).await;
                perform(&load, &versions(folder.path(), 1), "r1").await.unwrap();
                let through = come_through(folder.path(), crashes);
                let seen = format!(
                    "SELECT sum(amount) FROM {mode}.a UNION SELECT sum(amount) FROM {mode}.b"
                );
                let expected = if through { "6" } else { "2" };
                assert_eq!(database.rows(&seen).await, [expected], "{mode}, step {crashes}");
                // The server may need a moment to notice that the other end has gone.
                let mut again = perform(&load, &versions(folder.path(), 2), "again").await;
                for _ in 0..50 {
                    if again.is_ok() {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    again = perform(&load, &versions(folder.path(), 2), "again").await;
                }
                again.unwrap();
                assert_eq!(database.rows(&seen).await, ["6"], "{mode}, step {crashes}");
                if through {
                    break;
                }
                crashes += 1;
            }
            let commits = if mode == "swap" { 3 } else { 1 };
            assert_eq!(crashes, commits, "{mode}: a step before each commit");
        }
    });
}
