//! Killed at every stage and started again: F19, with the program itself.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::bench::{Bench, conditions, patients};
use crate::bulk_server::{BulkServer, Fault, File, Route, Setup};
use crate::support::block_on;

fn files() -> [File; 3] {
    [patients("a", 2000), conditions("b", 3000), patients("c", 50)]
}

/// Where the process is killed: the request that is never answered, or only in part.
#[test]
fn f19_killed_anywhere_it_goes_on() {
    let cases = [
        (Route::Status, 1, Fault::Silent),
        (Route::Status, 2, Fault::Silent),
        (Route::Status, 3, Fault::Stalls(50)),
        (Route::file("a"), 1, Fault::Silent),
        (Route::file("a"), 1, Fault::Stalls(50)),
        (Route::file("b"), 1, Fault::Stalls(99)),
        (Route::file("c"), 1, Fault::Stalls(0)),
        (Route::Delete, 1, Fault::Silent),
        (Route::Delete, 1, Fault::Stalls(0)),
    ];
    let clean = block_on(async {
        let bench = Bench::new(Setup::with(files())).await;
        bench.stores_all().await;
        bench.contents()
    });
    for (route, nth, fault) in cases {
        let case = format!("{route:?} {nth} {fault:?}");
        block_on(async {
            let there = Arc::new(Notify::new());
            let setup = Setup::with(files())
                .fault(route.clone(), nth..=nth, Fault::Announce(there.clone()))
                .fault(route, nth..=nth, fault);
            let bench = Bench::new(Setup { ..setup }).await;
            kill_when(&bench, &there, &case).await;
            assert!(bench.server.count(&Route::Delete) <= 1, "{case}");
            let whole = bench.stored();
            let before: Vec<_> =
                ["a", "b", "c"].map(|n| bench.server.count(&Route::file(n))).into();
            succeed(&bench, &case).await;
            assert_eq!(bench.contents(), clean, "{case}");
            assert_eq!(bench.server.breaches(), Vec::<String>::new(), "{case}");
            assert_eq!(
                (bench.server.count(&Route::KickOff), bench.server.parameters().len()),
                (1, 1),
                "{case}"
            );
            for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
                let again = bench.server.count(&Route::file(name)) - before[at];
                let expected = usize::from(!whole.contains(&(at as u64)));
                assert_eq!(again, expected, "{case}: {name} after {whole:?}");
            }
            assert_eq!(deleted(&bench).await, 404, "{case}: the job is gone");
            assert_eq!(bench.state()["jobDeleted"], true, "{case}");
        });
    }
}

async fn deleted(bench: &Bench) -> u16 {
    let url = format!("{}/jobs/1", bench.server.base());
    let asked = reqwest::Client::new().get(url).header("accept", "application/json");
    asked.send().await.unwrap().status().as_u16()
}

/// Runs the export in a process of its own, and kills it when the server got that request.
async fn kill_when(bench: &Bench, there: &Notify, case: &str) {
    let mut process = start(&bench.server, bench.folder.path());
    let arrived = tokio::time::timeout(Duration::from_mins(1), there.notified()).await;
    assert!(arrived.is_ok(), "{case}: the request never came");
    // What is answered in part arrives, and other files may.
    tokio::time::sleep(Duration::from_millis(200)).await;
    process.kill().unwrap();
    process.wait().unwrap();
}

pub(super) async fn succeed(bench: &Bench, case: &str) {
    let process = start(&bench.server, bench.folder.path());
    let done =
        tokio::task::spawn_blocking(move || process.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{case}: {said}\n{}", String::from_utf8_lossy(&done.stderr));
}

/// The program, with waits that a test can stand, and one file at a time.
pub(super) fn start(server: &BulkServer, folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(arguments(server, folder));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What follows `kiln` on the command line.
pub(super) fn arguments(server: &BulkServer, folder: &Path) -> Vec<String> {
    let flags = ["--poll-min", "10ms", "--poll-max", "20ms", "--parallel", "1", "--out"];
    let base = server.base().to_string();
    let words = ["export", &base].into_iter().chain(flags).chain(folder.to_str());
    words.map(str::to_owned).collect()
}
