//! What the history keeps, for one and for several at once, and what it says of files that are no history.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::*;

fn begun(run: &str, pipeline: &str, started: &str) -> RunBegun {
    RunBegun {
        run: run.to_owned(),
        pipeline: pipeline.to_owned(),
        started: started.to_owned(),
        kind: "full".to_owned(),
        slot: None,
    }
}

fn ended(run: &str, outcome: &str) -> RunEnded {
    RunEnded {
        run: run.to_owned(),
        ended: "2026-03-01T04:00:00Z".to_owned(),
        outcome: outcome.to_owned(),
        message: None,
        report: None,
        synchronised: None,
        members: None,
    }
}

fn synchronised(run: &str) -> Synchronised {
    Synchronised {
        request: "request".to_owned(),
        since: "2026-03-01T03:00:00.000+01:00".to_owned(),
        transaction: 1 << 53,
        tables: vec!["patient".to_owned(), "it's \"é\"".to_owned()],
        run: run.to_owned(),
    }
}

/// Names and outcomes of runs, newest first.
fn outcomes(history: &History, pipeline: Option<&str>) -> Vec<(String, String)> {
    let runs = history.runs(pipeline, usize::MAX).unwrap();
    runs.into_iter().map(|r| (r.run, r.outcome)).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// Reads a text by SQL, as another program would.
fn text(folder: &Path, query: &str) -> String {
    let connection = Connection::open(folder.join(database::FILE)).unwrap();
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn runs_begin_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("a/b")).unwrap();
    history.begin(&begun("r1", "one", "2026-03-01T00:00:00Z")).unwrap();
    history.begin(&begun("r2", "two", "2026-03-01T01:30:00+01:00")).unwrap();
    assert_eq!(outcomes(&history, None), pairs(&[("r2", "running"), ("r1", "running")]));

    history.begin(&begun("r3", "one", "2026-03-01T00:30:01.5Z")).unwrap();
    let all = pairs(&[("r3", "running"), ("r2", "running"), ("r1", "broken off")]);
    assert_eq!(outcomes(&history, None), all);
    assert_eq!(outcomes(&history, Some("one")), pairs(&[("r3", "running"), ("r1", "broken off")]));
    assert_eq!(outcomes(&history, Some("three")), []);
    assert_eq!(history.runs(None, 1).unwrap().len(), 1);

    let failed = RunEnded { message: Some("no".to_owned()), ..ended("r3", "failed") };
    history.end(&failed).unwrap();
    history.begin(&begun("r4", "one", "2026-03-02T00:00:00Z")).unwrap();
    let line = history.run("r3").unwrap().0;
    assert_eq!((line.outcome.as_str(), line.message.as_deref()), ("failed", Some("no")));
    assert_eq!(line.ended.as_deref(), Some("2026-03-01T04:00:00Z"));

    // The same run goes on.
    history.begin(&begun("r4", "one", "2026-03-02T00:00:00Z")).unwrap();
    assert_eq!(outcomes(&history, Some("one"))[0], ("r4".to_owned(), "running".to_owned()));
    assert_eq!(history.end(&ended("r5", "failed")).unwrap_err().kind(), ErrorKind::Warehouse);
}

#[test]
fn what_is_synchronised_comes_with_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path()).unwrap();
    assert_eq!(history.synchronised("one").unwrap(), None);
    assert_eq!(history.members("one").unwrap(), None);
    history.begin(&begun("r1", "one", "2026-03-01T00:00:00Z")).unwrap();
    let members = |of: &[&str]| Some(of.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>());
    let end = |members| {
        let synchronised = Some(synchronised("r1"));
        history.end(&RunEnded { synchronised, members, ..ended("r1", "committed") }).unwrap();
    };

    end(members(&["b", "a", "b"]));
    assert_eq!(history.synchronised("one").unwrap(), Some(synchronised("r1")));
    assert_eq!(history.synchronised("two").unwrap(), None);
    assert_eq!(history.members("one").unwrap(), members(&["a", "b"]));
    // What is not said stays.
    history.end(&ended("r1", "committed")).unwrap();
    assert_eq!(history.members("one").unwrap(), members(&["a", "b"]));
    assert_eq!(history.synchronised("one").unwrap(), Some(synchronised("r1")));
    // A group may become empty.
    end(members(&[]));
    assert_eq!(history.members("one").unwrap(), members(&[]));

    history.forget("one").unwrap();
    history.forget("two").unwrap();
    assert_eq!(history.synchronised("one").unwrap(), None);
}

#[test]
fn runs_are_found_by_the_beginning_of_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path()).unwrap();
    for (i, run) in ["20260301T0-ab", "20260301T0-ac", "20260301T0-a", "2026_"].iter().enumerate() {
        history.begin(&begun(run, &format!("p{i}"), "2026-03-01T00:00:00Z")).unwrap();
    }
    for (name, expected) in [
        ("20260301T0-ab", Ok("20260301T0-ab")),
        ("20260301T0-a", Ok("20260301T0-a")),
        ("2026_", Ok("2026_")),
        ("2026030", Err("several runs begin with `2026030`")),
        ("20260301T0-b", Err("there is no run `20260301T0-b`")),
        ("%", Err("there is no run `%`")),
        ("", Err("there is no run ``")),
    ] {
        match (history.run(name), expected) {
            (Ok((line, report)), Ok(run)) => assert_eq!((line.run.as_str(), report), (run, None)),
            (Err(error), Err(message)) => {
                assert_eq!((error.kind(), error.message()), (ErrorKind::Usage, message));
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

#[test]
fn slots_are_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path()).unwrap();
    assert_eq!(history.last_slot("one").unwrap(), None);
    // In summer the later of two hours with one name is the one of the other offset.
    let (early, late) = ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00");
    for (pipeline, slot, expected) in
        [("one", late, true), ("one", early, true), ("one", late, false), ("two", early, true)]
    {
        assert_eq!(history.take_slot(pipeline, slot).unwrap(), expected, "{pipeline} {slot}");
    }
    assert_eq!(history.last_slot("one").unwrap().as_deref(), Some(late));
    assert_eq!(history.last_slot("two").unwrap().as_deref(), Some(early));
}

#[test]
fn what_is_old_leaves_unless_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path()).unwrap();
    for (run, pipeline, started) in [
        ("r1", "one", "2026-03-01T00:00:00Z"),
        ("r2", "two", "2026-03-02T00:00:00Z"),
        ("r3", "one", "2026-03-02T00:00:00Z"),
        ("r4", "one", "2026-03-02T23:59:59.999Z"),
        ("r5", "one", "2026-03-03T00:00:00Z"),
    ] {
        history.begin(&begun(run, pipeline, started)).unwrap();
        if run != "r2" {
            let synchronised = (run == "r3").then(|| synchronised("r3"));
            history.end(&RunEnded { synchronised, ..ended(run, "committed") }).unwrap();
        }
        history.take_slot(pipeline, started).unwrap();
    }
    assert_eq!(history.prune("yesterday").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(history.prune("2026-03-03T01:00:00+01:00").unwrap(), 2);
    let left = pairs(&[("r5", "committed"), ("r3", "committed"), ("r2", "running")]);
    let mut found = outcomes(&history, None);
    found.sort_by(|a, b| b.cmp(a));
    assert_eq!(found, left);
    let slots =
        "SELECT group_concat(pipeline || slot, ' ') FROM (SELECT * FROM slots ORDER BY 1, 2)";
    assert_eq!(text(folder.path(), slots), "one2026-03-03T00:00:00Z two2026-03-02T00:00:00Z");
}

#[test]
fn reports_are_taken_apart_by_views() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path()).unwrap();
    let report = json!({
        "rejects": {"no JSON": 2},
        "tables": [{
            "table": "patient", "version": 7, "rows": 3, "cast_failures": {"born": 1},
            "unresolved_references": [{"column": "doctor", "path": "x", "reasons": {"elsewhere": 4}}]
        }, {"table": "visit", "rows": 0}],
        "stages": [{"name": "read", "seconds": 0.5}],
        "files": [{"file": "a.ndjson", "lines": 5}],
        "warnings": ["w"],
        "of_a_later_version": [1],
    });
    for (run, report) in [("r1", Some(report.clone())), ("r2", None), ("r3", Some(json!({})))] {
        history.begin(&begun(run, "one", "2026-03-01T00:00:00Z")).unwrap();
        history.end(&RunEnded { report, ..ended(run, "committed") }).unwrap();
    }
    assert_eq!(history.run("r1").unwrap().1, Some(report));
    for (query, expected) in [
        ("run, table_name, version, rows FROM run_tables", "r1|patient|7|3,r1|visit||0"),
        ("run, table_name, column_name, failures FROM cast_failures", "r1|patient|born|1"),
        ("column_name, reason, '', unresolved FROM unresolved_references", "doctor|elsewhere||4"),
        ("run, reason, '', rejects FROM rejects_by_reason", "r1|no JSON||2"),
        ("run, stage, '', seconds FROM stages", "r1|read||0.5"),
        ("run, file, '', lines FROM run_files", "r1|a.ndjson||5"),
        ("run, warning, '', '' FROM warnings", "r1|w||"),
    ] {
        let (columns, from) = query.split_once(" FROM ").unwrap();
        let cells: Vec<_> = columns.split(", ").map(|c| format!("ifnull({c}, '')")).collect();
        let query = format!("SELECT group_concat({}) FROM {from}", cells.join(" || '|' || "));
        assert_eq!(text(folder.path(), &query), expected, "{query}");
    }
}

#[test]
fn versions_lead_to_runs_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path()).unwrap();
    for (run, version) in [("r1", json!(7)), ("r2", json!(null)), ("r3", json!(9))] {
        history.begin(&begun(run, "one", "2026-03-01T00:00:00Z")).unwrap();
        let tables = json!([{"table": "visit", "version": 1}, {"table": "patient", "version": version, "rows": 3}]);
        let export = json!({"folder": "exports/1", "transaction_time": "2026"});
        let files = json!([{"file": "a"}, {"file": "b"}]);
        let report = Some(json!({"tables": tables, "export": export, "files": files}));
        history.end(&RunEnded { report, ..ended(run, "committed") }).unwrap();
    }
    let made = history.made("patient", 9).unwrap();
    let runs: Vec<_> = made.iter().map(|m| (m.version, m.run.as_str())).collect();
    assert_eq!(runs, [(9, "r3"), (7, "r1")]);
    assert_eq!((made[1].export.as_deref(), made[1].rows), (Some("exports/1"), Some(3)));
    assert_eq!(made[1].files, ["a", "b"]);
    assert_eq!(history.made("patient", 1).unwrap().len(), 1);
    assert_eq!(history.made("other", 9).unwrap(), []);
}

#[test]
fn several_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, slots) = (folder.path(), 20);
    // Each opens it for itself, also while others make it.
    let taken: Vec<usize> = std::thread::scope(|scope| {
        let take = |thread: usize| {
            let history = History::open(path).unwrap();
            history.begin(&begun(&format!("r{thread}"), "one", "2026-03-01T00:00:00Z")).unwrap();
            (0..slots)
                .filter(|s| history.take_slot("one", &format!("2026-03-{s:02}")).unwrap())
                .count()
        };
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || take(n))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(taken.iter().sum::<usize>(), slots);
    let history = History::find(path).unwrap().unwrap();
    let running = outcomes(&history, None).into_iter().filter(|(_, o)| o == "running").count();
    assert_eq!(running, 1);
}

#[test]
fn a_process_that_ends_within_a_transaction_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path()).unwrap();
    history.begin(&begun("r1", "one", "2026-03-01T00:00:00Z")).unwrap();
    // What a killed process leaves: its change in the file, and the journal that undoes it.
    let other = Connection::open(folder.path().join(database::FILE)).unwrap();
    other
        .execute_batch("PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE runs SET outcome = 'x'")
        .unwrap();
    let bulk = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO members SELECT 'one', 'member ' || i FROM n";
    other.execute_batch(bulk).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    assert!(copy.path().join("history.sqlite-journal").exists());
    drop(other);

    let history = History::find(copy.path()).unwrap().unwrap();
    assert_eq!(outcomes(&history, None), pairs(&[("r1", "running")]));
    assert_eq!(text(copy.path(), "SELECT '' || count(*) FROM members"), "0");
    assert_eq!(text(copy.path(), "PRAGMA integrity_check"), "ok");
}

/// Makes a file of some kind at a path.
type Prepare<'p> = &'p dyn Fn(&Path);

#[test]
fn what_is_no_history_is_refused() {
    let sql = |statements: &'static str| {
        move |path: &Path| Connection::open(path).unwrap().execute_batch(statements).unwrap()
    };
    let damage = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[200..].fill(0x55);
        std::fs::write(path, bytes).unwrap();
    };
    let make = |path: &Path| drop(History::open(path.parent().unwrap()).unwrap());
    let text = |path: &Path| std::fs::write(path, "no database at all, ".repeat(100)).unwrap();
    let cases: &[(&str, &[Prepare<'_>], &str)] = &[
        ("text", &[&text], "the history is damaged"),
        ("damaged", &[&make, &damage], "the history is damaged"),
        ("newer", &[&make, &sql("PRAGMA user_version = 99")], "the history is of version 99"),
        ("other", &[&sql("CREATE TABLE runs (a)")], "another program's database"),
        (
            "another",
            &[&sql("CREATE TABLE x (a); PRAGMA user_version = 1")],
            "another program's database",
        ),
    ];
    for (name, prepare, message) in cases {
        let folder = tempfile::tempdir().unwrap();
        prepare.iter().for_each(|p| p(&folder.path().join(database::FILE)));
        let used = History::open(folder.path()).and_then(|h| h.runs(None, 9));
        let error = used.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Warehouse, "{name}: {error}");
        assert!(error.message().contains(message), "{name}: {error}");
        assert!(error.remedy().is_some() && !error.places().is_empty(), "{name}");
    }
}

#[test]
fn finding_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(History::find(folder.path()).unwrap().is_none());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A process that ended when the file was made, but empty.
    std::fs::write(folder.path().join(database::FILE), "").unwrap();
    assert_eq!(outcomes(&History::find(folder.path()).unwrap().unwrap(), None), []);
}

#[cfg(unix)]
#[test]
fn others_may_use_the_file_as_they_may_use_the_tables() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(History::open(folder.path()).unwrap());
    std::fs::write(folder.path().join("table"), "").unwrap();
    let mode =
        |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode(database::FILE), mode("table"));
}
