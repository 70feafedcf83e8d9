//! Swaps and merges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kiln::load::Load;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::server::Database;
use super::tables::Resources;
use super::{load, perform, written};
use crate::support::block_on;

/// A load into a schema of the database.
pub(crate) fn into(database: &Database, schema: &str, more: &str) -> Load {
    let url = database.url();
    let folder = database.server.folder.path();
    load(folder, &format!("to = 'postgres'\nurl = '{url}'\nschema = '{schema}'\n{more}"))
}

#[test]
fn merging_is_swapping() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let (merge, swap) = (into(&database, "m", "mode = 'merge'"), into(&database, "s", ""));
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let mut tables = [Resources::new(folder.path(), "a"), Resources::new(folder.path(), "b")];
        for table in &mut tables {
            table.change(&mut random, "r0", 2000);
        }
        for round in 0..8 {
            let run = format!("r{round}");
            let changes = [60, 400, 0][round % 3];
            tables[0].change(&mut random, &run, changes);
            let versions = tables.each_mut().map(Resources::commit);
            let merged = perform(&merge, &versions, &run).await.unwrap();
            let swapped = perform(&swap, &versions, &run).await.unwrap();
            assert_eq!(swapped.tables[0].rows, tables[0].rows(), "the table is copied whole");
            if round > 0 {
                let most = changes as u64 * 3;
                assert!(merged.tables[0].rows <= most, "only changes are copied: {merged:?}");
                assert_eq!(merged.tables[1].rows, 0, "nothing of `b` changed");
            }
            for table in &tables {
                let name = &table.name;
                let differing = format!(
                    "SELECT count(*) FROM ((TABLE m.{name} EXCEPT ALL TABLE s.{name}) UNION ALL (TABLE s.{name} EXCEPT ALL TABLE m.{name})) d"
                );
                assert_eq!(database.rows(&differing).await, ["0"], "round {round}");
                let sums = format!("SELECT count(*), sum(amount), sum(cost) FROM m.{name}");
                let (sum, rows) = (table.sum(), table.rows());
                let cost = sum * 7;
                let sign = if cost < 0 { "-" } else { "" };
                let cost = format!("{sign}{}.{:02}", cost.abs() / 100, cost.abs() % 100);
                assert_eq!(database.rows(&sums).await, [format!("{rows}|{sum}|{cost}")]);
            }
            let again = perform(&merge, &versions, "again").await.unwrap();
            assert_eq!(written(&again), [("a", 0), ("b", 0)]);
        }
        // Rows that others changed are noticed, and put right.
        database.execute("DELETE FROM m.a WHERE amount > 0").await;
        tables[0].change(&mut random, "last", 5);
        let versions = tables.each_mut().map(Resources::commit);
        let merged = perform(&merge, &versions, "last").await.unwrap();
        assert_eq!(merged.tables[0].rows, tables[0].rows());
        let rows = database.rows("SELECT count(*) FROM m.a").await;
        assert_eq!(rows, [tables[0].rows().to_string()]);
    });
}

#[test]
fn readers_never_see_versions_mixed() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let load = into(&database, "public", "");
        let mut tables = [Resources::new(folder.path(), "a"), Resources::new(folder.path(), "b")];
        let mut next = |round: usize| {
            tables.each_mut().map(|table| {
                (0..2000).for_each(|i| table.put(&format!("p{i}"), "r", &[round as i64]));
                table.commit()
            })
        };
        perform(&load, &next(0), "r").await.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let reads = Arc::new(AtomicU64::new(0));
        let mut readers = Vec::new();
        // In one statement; in one transaction, in either order of the tables.
        for sql in [
            vec!["SELECT a.amount FROM a UNION SELECT amount FROM b"],
            vec!["SELECT DISTINCT amount FROM a", "SELECT DISTINCT amount FROM b"],
            vec!["SELECT DISTINCT amount FROM b", "SELECT DISTINCT amount FROM a"],
        ] {
            let mut client = database.client().await;
            let (done, reads) = (done.clone(), reads.clone());
            readers.push(tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let reading = client.transaction().await.unwrap();
                    let mut seen = Vec::new();
                    for sql in &sql {
                        let rows = reading.query(*sql, &[]).await.unwrap();
                        seen.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
                    }
                    seen.dedup();
                    assert_eq!(seen.len(), 1, "{sql:?} sees {seen:?}");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        for round in 1..6 {
            perform(&load, &next(round), "r").await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.await.expect("no reader fails");
        }
        assert!(reads.load(Ordering::Relaxed) > 20, "they read all the time");
        assert_eq!(database.rows("SELECT DISTINCT amount FROM b").await, ["5"]);
    });
}

#[test]
fn a_load_that_broke_off_goes_on() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let load = into(&database, "public", "");
        let mut tables = [Resources::new(folder.path(), "a"), Resources::new(folder.path(), "b")];
        for table in &mut tables {
            table.put("p", "r1", &[1]);
        }
        perform(&load, &tables.each_mut().map(Resources::commit), "r1").await.unwrap();
        for table in &mut tables {
            table.put("p", "r2", &[2, 2]);
        }
        let versions = tables.each_mut().map(Resources::commit);
        let hidden = folder.path().join("hidden");
        std::fs::rename(&versions[1].files[0], &hidden).unwrap();
        let error = perform(&load, &versions, "r2").await.unwrap_err();
        assert!(error.to_string().contains("table b"), "{error}");
        let both = "SELECT amount FROM a UNION SELECT amount FROM b";
        assert_eq!(database.rows(both).await, ["1"], "nothing changed for readers");
        let oid = "SELECT oid FROM pg_class WHERE relname LIKE 'kiln_staging%' AND relkind = 'r'";
        let staged = database.rows(oid).await;
        assert_eq!(staged.len(), 1, "the table that was copied is kept");
        std::fs::rename(&hidden, &versions[1].files[0]).unwrap();
        let report = perform(&load, &versions, "r3").await.unwrap();
        assert_eq!(written(&report), [("a", 2), ("b", 2)]);
        let now = database.rows("SELECT 'public.a'::regclass::oid").await;
        assert_eq!(now, staged, "it was not copied again");
        assert_eq!(database.rows(both).await, ["2"]);
        assert!(database.rows(oid).await.is_empty());
        let noted = "SELECT table_name, state, version, run, rows FROM kiln_loads ORDER BY 1, 2";
        assert_eq!(database.rows(noted).await, ["a|loaded|2|r3|2", "b|loaded|2|r3|2"]);
    });
}

#[test]
fn what_hangs_on_tables_stays() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let load = into(&database, "public", "indexes = ['amount']");
        let mut tables = ["seen", "plain", "rows"].map(|name| Resources::new(folder.path(), name));
        let mut next = |amount| {
            tables.each_mut().map(|table| {
                table.put("p", &format!("r{amount}"), &[amount]);
                table.commit()
            })
        };
        perform(&load, &next(1), "r1").await.unwrap();
        let role = format!("Reader {}", database.name);
        database
            .execute(&format!(
                "CREATE ROLE \"{role}\"; GRANT SELECT ON plain TO \"{role}\" WITH GRANT OPTION; GRANT SELECT ON seen TO PUBLIC;
                 GRANT UPDATE ON plain TO \"{role}\";
                 CREATE VIEW v AS SELECT amount FROM seen; CREATE MATERIALIZED VIEW mv AS SELECT amount FROM seen;
                 ALTER TABLE rows ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON rows USING (amount > 5);
                 ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"
            ))
            .await;
        let granted = "SELECT relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname IN ('seen', 'plain', 'rows') ORDER BY 1";
        let before = database.rows(granted).await;
        perform(&load, &next(2), "r2").await.unwrap();
        assert_eq!(database.rows("SELECT amount FROM v").await, ["2"]);
        assert_eq!(database.rows("SELECT amount FROM plain").await, ["2"]);
        assert_eq!(database.rows(granted).await, before, "privileges are those of before");
        let secured = "SELECT relrowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) FROM pg_class c WHERE relname = 'rows'";
        assert_eq!(database.rows(secured).await, ["t|1"]);

        // Comments, statistics, indexes.
        let comments =
            "SELECT obj_description('plain'::regclass), col_description('plain'::regclass, 2)";
        let expected = "`plain`, Delta version 2, loaded by run r2|whose it is; it's a key";
        assert_eq!(database.rows(comments).await, [expected]);
        let analyzed = "SELECT reltuples, relpersistence FROM pg_class WHERE relname = 'plain'";
        assert_eq!(database.rows(analyzed).await, ["1|p"]);
        let indexes = "SELECT replace(indexdef, indexname, 'i') FROM pg_indexes WHERE tablename = 'plain' ORDER BY 1";
        let index = |column: &str| format!("CREATE INDEX i ON public.plain USING btree ({column})");
        let expected = ["_key", "amount", "patient_id"].map(index);
        assert_eq!(database.rows(indexes).await, expected);

        // Other columns cannot come in below a view.
        let mut changed = next(3);
        let schema = &changed[0].schema;
        let fields: Vec<_> =
            schema.fields().iter().filter(|f| f.name() != "cost").cloned().collect();
        changed[0].schema = Arc::new(arrow::datatypes::Schema::new(fields));
        let error = perform(&load, &changed, "r3").await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("the columns of `seen` changed") && said.contains("view v"),
            "{said}"
        );
        assert_eq!(database.rows("SELECT amount FROM plain").await, ["2"], "nothing changed");
        database.execute("DROP VIEW v; DROP MATERIALIZED VIEW mv").await;
        perform(&load, &changed, "r3").await.unwrap();
        let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'seen'";
        assert_eq!(database.rows(columns).await, ["5"]);

        // A merge of other columns is a swap.
        let merge = into(&database, "public", "mode = 'merge'");
        let merged = perform(&merge, &next(4), "r4").await.unwrap();
        assert_eq!(written(&merged), [("seen", 1), ("plain", 1), ("rows", 1)]);
        assert_eq!(database.rows("SELECT amount, cost FROM seen").await, ["4|0.28"]);
    });
}
