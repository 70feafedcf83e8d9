//! What becomes of the job on the server once all is stored.

use super::bench::{Bench, two_files};
use crate::bulk_server::{Fault, Route, Setup, outcome};
use crate::support::block_on;

#[test]
fn a_job_is_left_alone_where_that_is_wanted() {
    block_on(async {
        let bench = Bench::new(Setup::with(two_files())).await.set(|s| s.delete_job = false);
        let done = bench.run().await;
        assert!(done.result.is_ok(), "{:?}", done.result);
        assert_eq!((bench.server.count(&Route::Delete), done.warning), (0, None));
    });
}

/// The data are there: that the job cannot be deleted is only told, and tried again by the next start.
#[test]
fn a_job_that_cannot_be_deleted_is_a_warning() {
    block_on(async {
        let broken = Fault::Instead(outcome(500, "error", "processing", "cannot delete"));
        let setup = Setup::with(two_files()).fault(Route::Delete, 1..=99, broken);
        let bench = Bench::new(setup).await;
        for start in 1..=2 {
            let before = bench.server.count(&Route::Delete);
            let done = bench.run().await;
            assert!(done.result.is_ok(), "{:?}", done.result);
            let warning = done.warning.unwrap_or_default();
            assert!(warning.contains("cannot delete"), "start {start}: {warning}");
            assert!(bench.server.count(&Route::Delete) > before, "start {start}");
        }
        assert_eq!(bench.server.count(&Route::file("*")), 2);
    });
}

/// HAPI deletes jobs by itself.
#[test]
fn a_job_that_is_gone_already_is_fine() {
    for status in [404, 410] {
        block_on(async {
            let gone = Fault::Instead(outcome(status, "error", "not-found", "no such job"));
            let setup = Setup::with(two_files()).fault(Route::Delete, 1..=1, gone);
            let bench = Bench::new(setup).await;
            bench.stores_all().await;
            bench.stores_all().await;
            assert_eq!(bench.server.count(&Route::Delete), 1, "once is enough");
        });
    }
}

/// A passing failure is tried again.
#[test]
fn a_delete_is_tried_again() {
    block_on(async {
        let busy = outcome(503, "error", "transient", "busy").header("retry-after", "7");
        let setup = Setup::with(two_files()).fault(Route::Delete, 1..=1, Fault::Instead(busy));
        let bench = Bench::new(setup).await;
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::Delete), 2);
    });
}
