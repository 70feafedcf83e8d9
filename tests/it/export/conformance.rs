//! `--dry-run`: what a server says of itself, and what would be sent.

use kiln::export::{Clock, conformance};

use super::bench::{Bench, two_files};
use crate::bulk_server::{Route, Setup, SignIn, TestKey};
use crate::support::block_on;

#[test]
fn a_dry_run_reads_and_begins_nothing() {
    for sign_in in [SignIn::Nobody, SignIn::Basic, SignIn::Smart(vec![TestKey::ec()])] {
        block_on(async {
            let bench = Bench::new(Setup { sign_in, ..Setup::with(two_files()) }).await;
            let clock = Clock::Simulated(bench.time.clone());
            let report = conformance(bench.settings.clone(), clock).await.unwrap();
            let text = serde_json::to_string(&report).unwrap();
            for expected in ["\"declaresBulkData\":true", "Patient/$export"] {
                assert!(text.contains(expected), "no `{expected}` in {text}");
            }
            if let SignIn::Smart(_) = bench.sign_in {
                assert!(text.contains("ES384") && text.contains("/auth/token"), "{text}");
            }
            assert_eq!(bench.server.count(&Route::KickOff), 0);
            assert_eq!(bench.server.breaches(), Vec::<String>::new());
        });
    }
}
