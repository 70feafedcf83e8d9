//! Interrupted at no particular moment: killed at random, half-written lines, Ctrl-C.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use kiln::export::{Clock, Event, ExportJob};
use serde_json::Value;
use tokio::sync::Notify;

use super::bench::{Bench, conditions, patients};
use super::killed::{arguments, start, succeed};
use crate::bulk_server::{Fault, File, Route, Setup};
use crate::support::block_on;

const KILLS: u64 = 12;

fn many() -> Vec<File> {
    let pair = |i: usize| [patients(&format!("p{i}"), 20 + i), conditions(&format!("c{i}"), 300)];
    (0..60).flat_map(pair).collect()
}

/// Killed again and again, each start goes a little further; in the end all is there, once.
#[test]
fn f19_killed_at_random_nothing_is_lost_or_doubled() {
    block_on(async {
        let clean = Bench::new(Setup::with(many())).await;
        clean.stores_all().await;
        let there = Arc::new(Notify::new());
        let setup = Setup { polls: 5, ..Setup::with(many()) };
        let setup = setup.fault(Route::Status, 1..=1, Fault::Announce(there.clone()));
        let bench = Bench::new(setup).await;
        let mut stored = Vec::new();
        for kill in 1..=KILLS {
            let mut process = start(&bench.server, bench.folder.path());
            if kill == 1 {
                // Between the kick-off's answer and its being on disk a job is lost to any client.
                there.notified().await;
            }
            // Not the same moment twice: the process is young at first.
            tokio::time::sleep(Duration::from_millis(40 + 37 * kill % 140)).await;
            process.kill().unwrap();
            process.wait().unwrap();
            stored.push(bench.parts().iter().filter(|name| !name.starts_with('.')).count());
        }
        println!("files stored after each kill: {stored:?}");
        succeed(&bench, "after all kills").await;
        let (found, expected) = (bench.contents(), clean.contents());
        assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
        assert!(found == expected, "some file has other lines");
        assert_eq!(bench.server.parameters().len(), 1, "one job");
        let twice = bench.server.count(&Route::file("*")) - 120;
        assert!(twice <= KILLS as usize * 2, "{twice} files were loaded twice");
        assert_eq!(bench.server.breaches(), Vec::<String>::new());
    });
}

/// A process that is killed, or a disk that is full, may leave half a line at the end.
#[test]
fn f19_half_lines_of_log_and_journal_do_no_harm() {
    block_on(async {
        let setup = Setup::with([patients("a", 5), conditions("b", 5), patients("c", 5)]);
        let bench = Bench::new(setup.fault(Route::file("c"), 1..=5, Fault::Cut(10))).await;
        assert!(bench.run().await.result.is_err());
        for (name, torn) in [
            ("export.journal", "{\"job\":1,\"file\":{\"section\":\"output\",\"ind"),
            ("log.ndjson", "{\"exportId\":\"http"),
        ] {
            let path = bench.folder.path().join(name);
            let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
            file.write_all(torn.as_bytes()).unwrap();
        }
        bench.stores_all().await;
        assert_eq!(["a", "b"].map(|name| bench.server.count(&Route::file(name))), [1, 1]);
        let log = std::fs::read_to_string(bench.folder.path().join("log.ndjson")).unwrap();
        let torn: Vec<_> =
            log.lines().filter(|l| serde_json::from_str::<Value>(l).is_err()).collect();
        assert!(torn.len() <= 1, "no event is lost in half a line: {torn:?}");
        assert!(log.contains("export_complete"));
    });
}

/// Ctrl-C drops the work wherever it is; then the job can be cancelled, or taken up again.
#[test]
fn f29_interrupted_work_can_be_cancelled_or_taken_up() {
    for (cancel, route) in [
        (true, Route::Status),
        (false, Route::Status),
        (true, Route::file("a")),
        (false, Route::file("a")),
    ] {
        block_on(async {
            let there = Arc::new(Notify::new());
            let setup = Setup::with([patients("a", 5), conditions("b", 5)])
                .fault(route.clone(), 1..=1, Fault::Announce(there.clone()))
                .fault(route.clone(), 1..=1, Fault::Silent);
            let bench = Bench::new(setup).await;
            let observer = Arc::new(|_: &Event| {});
            let clock = Clock::Simulated(bench.time.clone());
            let mut job =
                ExportJob::open(bench.settings.clone(), bench.folder.path(), clock, observer)
                    .unwrap();
            tokio::select! {
                done = job.run(|_| {}) => panic!("{done:?}"),
                () = there.notified() => {}
            }
            if cancel {
                job.cancel().await.unwrap();
            }
            assert_eq!(bench.server.count(&Route::Delete), usize::from(cancel), "{route:?}");
            drop(job);
            bench.stores_all().await;
            assert_eq!(bench.server.count(&Route::KickOff), 1 + usize::from(cancel), "{route:?}");
        });
    }
}

/// Ctrl-C by the terminal: the job runs on, unless it is to be given up.
#[cfg(unix)]
#[test]
fn f29_ctrl_c_ends_the_program_and_not_the_job() {
    for give_up in [false, true] {
        block_on(async {
            let there = Arc::new(Notify::new());
            let setup = Setup::with([patients("a", 5), conditions("b", 5)])
                .fault(Route::Status, 2..=2, Fault::Announce(there.clone()))
                .fault(Route::Status, 2..=2, Fault::Silent);
            let bench = Bench::new(setup).await;
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
            command.args(arguments(&bench.server, bench.folder.path()));
            if give_up {
                command.arg("--cancel-on-interrupt");
            }
            let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            there.notified().await;
            let id = process.id().unwrap().to_string();
            std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
            let done = process.wait_with_output().await.unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(if give_up { 0 } else { 9 }), "{said}");
            assert_eq!(bench.server.count(&Route::Delete), usize::from(give_up));
            succeed(&bench, "after Ctrl-C").await;
            assert_eq!(bench.server.count(&Route::KickOff), 1 + usize::from(give_up));
        });
    }
}
