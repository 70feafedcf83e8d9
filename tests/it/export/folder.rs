//! The folder: who holds it, what it is for, and what happens when it cannot be written (F29).

use std::fs;
use std::sync::Arc;

use kiln::error::{ErrorKind, Result};
use kiln::export::{Clock, Event, ExportJob};
use tokio::process::Command;

use super::bench::{Bench, patients, two_files};
use super::killed::arguments;
use crate::bulk_server::{Route, Setup};
use crate::support::block_on;

fn open(bench: &Bench) -> Result<ExportJob> {
    let clock = Clock::Simulated(bench.time.clone());
    ExportJob::open(bench.settings.clone(), bench.folder.path(), clock, Arc::new(|_: &Event| {}))
}

#[test]
fn one_process_holds_a_folder() {
    block_on(async {
        let bench = Bench::new(Setup::with(two_files())).await;
        let first = open(&bench).unwrap();
        let second = open(&bench).err().expect("it is held");
        assert_eq!(second.kind(), ErrorKind::Output, "{second}");
        drop(first);
        open(&bench).unwrap();
    });
}

/// What is asked for is changed: the files of one export are not taken for those of another.
#[test]
fn a_folder_belongs_to_one_export() {
    block_on(async {
        let mut bench = Bench::new(Setup::with(two_files())).await;
        bench.stores_all().await;
        bench.settings.request.types = vec!["Patient".into()];
        let error = bench.run().await.result.unwrap_err();
        assert!(error.remedy().is_some(), "{error}");
        assert_eq!(bench.server.count(&Route::KickOff), 1);
    });
}

/// How it is performed may change between starts.
#[test]
fn a_complete_export_is_not_done_twice() {
    block_on(async {
        let files = two_files().map(crate::bulk_server::File::elsewhere);
        let mut bench = Bench::new(Setup::with(files)).await;
        let first = bench.stores_all().await;
        let asked = bench.server.asked().len();
        bench.settings.parallel = 1;
        let again = bench.stores_all().await;
        assert_eq!(bench.server.asked().len(), asked, "nothing is asked");
        assert_eq!(first.arrived, again.arrived, "the files are handed over all the same");
    });
}

#[test]
fn f29_a_folder_that_cannot_be_made() {
    block_on(async {
        let bench = Bench::new(Setup::with(two_files())).await;
        let file = bench.folder.path().join("file");
        fs::write(&file, "").unwrap();
        let clock = Clock::Simulated(bench.time.clone());
        let folder = file.join("below");
        let failed =
            ExportJob::open(bench.settings.clone(), &folder, clock, Arc::new(|_: &Event| {}));
        let error = failed.err().expect("a file is no folder");
        assert_eq!(error.kind(), ErrorKind::Output, "{error}");
        assert!(error.to_string().contains("below"), "{error}");
        assert_eq!(bench.server.asked().len(), 0, "found out before the server is asked");
    });
}

/// A disk that is full, played by a limit on the size of files (`ulimit -f`, in blocks of 512 or 1024 bytes).
#[test]
fn f29_a_full_disk() {
    block_on(async {
        let files = [patients("a", 10), patients("large", 60_000), patients("c", 10)];
        let bench = Bench::new(Setup::with(files)).await;
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 1000; trap '' XFSZ; exec \"$0\" \"$@\""]);
        command.arg(env!("CARGO_BIN_EXE_kiln"));
        command.args(arguments(&bench.server, bench.folder.path()));
        let done = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(6), "{said}");
        assert_eq!(bench.server.count(&Route::file("large")), 1, "no other attempt helps");
        assert_eq!(bench.server.count(&Route::Delete), 0);
        let left = bench.parts();
        assert!(left.iter().all(|name| !name.starts_with('.')), "no half file is left: {left:?}");
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::KickOff), 1);
    });
}
