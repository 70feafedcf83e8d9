//! Killed at every stage and started again: F19, with a real process.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kiln::export::{Clock, ExportJob};
use tokio::sync::Notify;

use super::bench::{Bench, conditions, patients, settings};
use crate::bulk_server::{BulkServer, Fault, File, Route, Setup, SignIn};
use crate::support::block_on;

const URL: &str = "KILN_TEST_EXPORT_URL";
const FOLDER: &str = "KILN_TEST_EXPORT_FOLDER";

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

/// This binary with [`child`] alone.
pub(super) fn start(server: &BulkServer, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "export::killed::child", "--ignored", "--nocapture"]);
    command.env(URL, server.base().as_str()).env(FOLDER, folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The line of the kernel's that says how much memory was in use at most: `VmHWM: 12345 kB`.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned()
}

#[test]
#[ignore = "the process that is killed, started by the other test"]
fn child() {
    let (Ok(url), Some(folder)) = (std::env::var(URL), std::env::var_os(FOLDER)) else { return };
    block_on(async {
        let mut settings = settings(&url.parse().unwrap(), &SignIn::Nobody);
        settings.poll = (Duration::from_millis(10), Duration::from_millis(20));
        settings.timeout = Duration::from_secs(30);
        settings.parallel = 1;
        let observer = Arc::new(|_: &_| {});
        let mut job =
            ExportJob::open(settings, Path::new(&folder), Clock::System, observer).unwrap();
        job.run(|_| {}).await.unwrap();
        assert_eq!(job.finish().await.unwrap(), None);
        println!("{}", peak_memory());
    });
}
