//! Compressed files: F14.

use kiln::error::ErrorKind;
use kiln::export::Event;

use super::bench::{Bench, conditions, patients};
use crate::bulk_server::{Fault, Packing, Route, Setup};
use crate::support::block_on;

#[test]
fn f14_every_whole_form_is_read() {
    for packing in [Packing::Gzip, Packing::Undeclared, Packing::TwoMembers, Packing::EmptyMember] {
        block_on(async {
            let setup = Setup::with([patients("p", 4000), conditions("c", 3)]);
            let setup = setup.fault(Route::file("*"), 1..=1, Fault::Packed(packing));
            let bench = Bench::new(setup).await;
            bench.stores_all().await;
            assert_eq!(bench.server.count(&Route::file("*")), 2, "{packing:?}");
            let asked = bench.server.of(&Route::file("*"));
            assert!(asked.iter().all(|a| a.header("accept-encoding").contains("gzip")));
            assert!(asked.iter().all(|a| a.header("accept") == "application/fhir+ndjson"));
        });
    }
}

#[test]
fn f14_broken_gzip_is_loaded_again() {
    for packing in [Packing::Truncated, Packing::Garbage] {
        for chunked in [false, true] {
            block_on(async {
                let file = patients("p", 4000).without("count");
                let mut setup =
                    Setup::with([file]).fault(Route::file("p"), 1..=1, Fault::Packed(packing));
                if chunked {
                    setup = setup.fault(Route::file("p"), 1..=1, Fault::Chunked);
                }
                let bench = Bench::new(setup).await;
                let done = bench.stores_all().await;
                assert_eq!(bench.server.count(&Route::file("p")), 2, "{packing:?}");
                assert!(done.events.iter().any(|e| matches!(e, Event::Retrying { .. })));
            });
        }
    }
}

#[test]
fn f14_gzip_that_stays_broken_is_a_failure() {
    block_on(async {
        let setup = Setup::with([patients("p", 4000), conditions("c", 3)]);
        let setup = setup.fault(Route::file("p"), 1..=99, Fault::Packed(Packing::Truncated));
        let bench = Bench::new(setup).await;
        bench.fails(ErrorKind::Incomplete, &["/p"]).await;
        assert_eq!(bench.parts(), ["Condition.00001.ndjson"]);
    });
}
