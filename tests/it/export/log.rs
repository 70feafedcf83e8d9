//! `log.ndjson`, version 2: all eleven events.

use serde_json::Value;

use super::bench::{Bench, conditions, patients, two_files};
use crate::bulk_server::{Fault, Route, Setup, outcome};
use crate::support::block_on;

fn ids(log: &[(String, Value)]) -> Vec<&str> {
    log.iter().map(|(id, _)| id.as_str()).collect()
}

fn detail<'l>(log: &'l [(String, Value)], id: &str) -> &'l Value {
    &log.iter().find(|(known, _)| known == id).unwrap_or_else(|| panic!("no `{id}`")).1
}

#[test]
fn a_good_export_is_told_from_kick_off_to_end() {
    block_on(async {
        let bench = Bench::new(Setup::with(two_files())).await.set(|settings| {
            settings.parallel = 1;
            settings.request.types = vec!["Patient".into(), "Condition".into()];
        });
        bench.stores_all().await;
        let log = bench.log();
        let mut known = ids(&log);
        known.retain(|id| *id != "status_progress");
        let expected = [
            "kickoff",
            "status_complete",
            "status_page_complete",
            "manifest_complete",
            "download_request",
            "download_complete",
            "download_request",
            "download_complete",
            "export_complete",
        ];
        assert_eq!(known, expected);
        let kick_off = detail(&log, "kickoff");
        assert!(kick_off["exportUrl"].as_str().unwrap().contains("/Patient/$export"));
        assert_eq!((&kick_off["errorCode"], &kick_off["logVersion"]), (&Value::Null, &"2".into()));
        assert_eq!(kick_off["requestParameters"]["_type"], "Patient,Condition");
        let server = ["softwareName", "softwareVersion", "softwareReleaseDate", "fhirVersion"];
        let server = server.map(|key| kick_off[key].as_str().unwrap());
        assert_eq!(server, ["Faulty Bulk Data", "0.9", "2026-01-02", "4.0.1"]);
        assert_eq!(detail(&log, "manifest_complete")["totalOutputFileCount"], 2);
        let file = detail(&log, "download_complete");
        assert_eq!(
            (&file["resourceCount"], &file["fileSize"]),
            (&40.into(), &two_files()[0].body.len().into())
        );
        let end = detail(&log, "export_complete");
        assert_eq!((&end["files"], &end["resources"]), (&2.into(), &100.into()));
        assert!(end["duration"].is_number());
    });
}

#[test]
fn one_export_has_one_id_over_all_starts() {
    block_on(async {
        let setup = Setup::with([patients("a", 5), conditions("b", 5)]);
        let setup = setup.fault(Route::file("b"), 1..=5, Fault::Cut(50));
        let bench = Bench::new(setup).await;
        assert!(bench.run().await.result.is_err());
        bench.stores_all().await;
        let text = std::fs::read_to_string(bench.folder.path().join("log.ndjson")).unwrap();
        let ids: std::collections::BTreeSet<_> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["exportId"].to_string())
            .collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        let log = bench.log();
        assert_eq!(log.iter().filter(|(id, _)| id == "download_error").count(), 5);
        assert_eq!(log.iter().filter(|(id, _)| id == "kickoff").count(), 1);
    });
}

#[test]
fn failures_are_told() {
    block_on(async {
        let refused = outcome(500, "error", "processing", "broken for good");
        let setup = Setup::with(two_files()).fault(Route::Status, 1..=1, Fault::Instead(refused));
        let bench = Bench::new(setup).await;
        assert!(bench.run().await.result.is_err());
        let log = bench.log();
        let error = detail(&log, "status_error");
        assert_eq!(error["code"], 500);
        assert!(error.to_string().contains("broken for good"), "{error}");

        let refused = outcome(403, "error", "forbidden", "not for you");
        let setup = Setup::with(two_files()).fault(Route::KickOff, 1..=9, Fault::Instead(refused));
        let bench = Bench::new(setup).await;
        assert!(bench.run().await.result.is_err());
        let log = bench.log();
        let kick_off = detail(&log, "kickoff");
        assert_eq!(kick_off["errorCode"], 403);
        assert!(kick_off["errorBody"].to_string().contains("not for you"), "{kick_off}");
    });
}
