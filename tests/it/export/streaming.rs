//! Files are loaded and handed over while others are still to come, in bounded memory.

use std::sync::Arc;

use kiln::export::{Clock, Event, ExportJob};
use tokio::sync::{Barrier, Notify};

use super::bench::{Bench, conditions, patients, raw, settings};
use crate::bulk_server::{Fault, File, Route, Setup, SignIn};
use crate::support::block_on;

/// The second file is not sent before the first was handed over.
#[test]
fn files_are_handed_over_as_they_come() {
    block_on(async {
        let handed_over = Arc::new(Notify::new());
        let setup = Setup::with([patients("a", 5), conditions("b", 5)]);
        let setup = setup.fault(Route::file("b"), 1..=1, Fault::Until(handed_over.clone()));
        let bench = Bench::new(setup).await;
        let clock = Clock::Simulated(bench.time.clone());
        let observer = Arc::new(|_: &Event| {});
        let mut job =
            ExportJob::open(bench.settings.clone(), bench.folder.path(), clock, observer).unwrap();
        let done = job.run(|_| handed_over.notify_one()).await;
        assert!(done.is_ok(), "{done:?}");
        assert_eq!(bench.server.breaches(), Vec::<String>::new());
    });
}

/// Files of the first page are loaded while the next is awaited.
#[test]
fn f26_files_of_a_page_do_not_wait_for_the_next() {
    block_on(async {
        let both = Arc::new(Barrier::new(2));
        let setup = Setup::with([patients("a", 5), conditions("b", 5).page(1)])
            .fault(Route::Page(1), 1..=1, Fault::Together(both.clone()))
            .fault(Route::file("a"), 1..=1, Fault::Together(both));
        let bench = Bench::new(setup).await.set(|settings| {
            settings.request.partial_manifests = true;
            settings.timeout = super::bench::seconds(30);
        });
        bench.stores_all().await;
    });
}

/// Files are loaded in the manifest's order, and handed over in it, though the first comes last.
#[test]
fn a_slow_file_holds_up_none_but_itself() {
    block_on(async {
        let rest = Arc::new(Barrier::new(4));
        let names = ["a", "b", "c", "d"];
        let mut setup = Setup::with(names.map(|name| patients(name, 3)));
        for name in names {
            setup = setup.fault(Route::file(name), 1..=1, Fault::Together(rest.clone()));
        }
        let bench = Bench::new(setup).await;
        let done = bench.stores_all().await;
        assert_eq!(done.arrived.iter().map(|file| file.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    });
}

/// A line of 100 MB does not need 100 MB: the peak of a process of its own says so.
#[test]
fn f17_long_lines_need_little_memory() {
    block_on(async {
        let long =
            format!("{{\"resourceType\":\"Patient\",\"id\":\"{}\"}}\n", "x".repeat(100 << 20));
        let small = peak(patients("p", 1)).await;
        let large = peak(raw("Patient", "p", long)).await;
        assert!(large < small + 40_000, "peaks in kB: {small}, {large}");
    });
}

const URL: &str = "KILN_TEST_EXPORT_URL";

/// The most memory in use while a file was exported by [`child`], in kB; 0 where the system does not tell.
async fn peak(file: File) -> u64 {
    let bench = Bench::new(Setup { polls: 0, ..Setup::with([file]) }).await;
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "export::streaming::child", "--ignored", "--nocapture"]);
    let done = command.env(URL, bench.server.base().as_str()).output().await.unwrap();
    assert!(done.status.success());
    let said = String::from_utf8(done.stdout).unwrap();
    let line = said.split("VmHWM:").nth(1).and_then(|rest| rest.split_whitespace().next());
    line.map_or(0, |kilobytes| kilobytes.parse().unwrap())
}

/// Says at the end what the kernel says: `VmHWM: 12345 kB`. (What `wait4` tells of a child is at least what its parent
/// had in use when it began.)
#[test]
#[ignore = "a process of its own, started by the other test"]
fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&url.parse().unwrap(), &SignIn::Nobody);
        let observer = Arc::new(|_: &Event| {});
        let mut job = ExportJob::open(settings, folder.path(), Clock::System, observer).unwrap();
        job.run(|_| {}).await.unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    });
}
