//! Terminology over small tables that hold what ViewDefinitions of the pack would make.
#![allow(clippy::unwrap_used)]

mod definitions;
mod joins;
mod tables;

use crate::objects::StoreSettings;
use crate::query::fixture::{warehouse, write_table};
use crate::query::{Engine, Format, Output, write};
use tables::{engine, table};

/// The rows that a statement gives, as CSV without the line of names.
async fn rows(engine: &Engine, sql: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let results = engine.run(sql).map_err(|e| e.to_string())?;
    write(results, Format::Csv, Output::Stream(Box::new(&mut out)))
        .await
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8(out).unwrap();
    Ok(text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default())
}

async fn failure(engine: &Engine, sql: &str) -> String {
    rows(engine, sql).await.expect_err(sql)
}

#[tokio::test]
async fn expansions_become_relations() {
    let engine = engine(&[
        table(
            "value_set",
            "value_set_id url version has_expansion expansion_identifier expansion_total expansion_offset expansion_unclosed compose_inactive",
            "1 http://v/a 1 true urn:x 3 - - -
             2 http://v/b 1 true - - - - -
             3 http://v/b 2 true - - - - -
             4 http://v/short 1 true - 9 - - -
             5 http://v/page - true - - 100 - -
             6 http://v/open - true - - - true -
             7 http://v/none - true - - 0 false -",
        ),
        table(
            "value_set_expansion",
            "value_set_id url value_set_version system version code display abstract inactive",
            "1 http://v/a 1 - - - Heading true -
             1 http://v/a 1 s 1 x X - -
             1 http://v/a 1 s 1 x - - true
             1 http://v/a 1 s 2 x X - -
             1 http://v/a 1 s - y - - -
             1 http://v/a 1 s 1 up Up true -
             2 http://v/b 1 s - x - - -
             3 http://v/b 2 s - z - - -
             4 http://v/short 1 s - x - - -
             5 http://v/page - s - x - - -
             6 http://v/open - s - x - - -",
        ),
    ]);
    for (label, canonical, expected) in [
        ("a", "http://v/a", Ok("s,,y,,\ns,1,x,X,true\ns,2,x,X,\n")),
        ("a1", "http://v/a|1", Ok("s,,y,,\ns,1,x,X,true\ns,2,x,X,\n")),
        ("b1", "http://v/b|1", Ok("s,,x,,\n")),
        ("b2", "http://v/b|2", Ok("s,,z,,\n")),
        ("none", "http://v/none", Ok("")),
        (
            "b",
            "http://v/b",
            Err("several versions of the value set `http://v/b` are loaded: `1`, `2`"),
        ),
        ("b3", "http://v/b|3", Err("the value set `http://v/b|3` is not loaded")),
        ("c", "http://v/'c", Err("the value set `http://v/'c` is not loaded")),
        ("short", "http://v/short", Err("it lists 1 of 9 entries")),
        ("page", "http://v/page", Err("it begins at the offset 100")),
        ("open", "http://v/open", Err("it is marked as unclosed")),
        ("a", "http://v/b|1", Err("there is a table `a` already")),
    ] {
        match (engine.relate(canonical, label).await, expected) {
            (Ok(()), Ok(expected)) => {
                let sql =
                    format!("SELECT * FROM {label} ORDER BY system, version NULLS FIRST, code");
                assert_eq!(rows(&engine, &sql).await.unwrap(), expected, "{canonical}");
            }
            (Err(error), Err(expected)) if error.message().contains(expected) => {}
            (said, _) => panic!("{canonical}: {said:?}"),
        }
    }
    let used = engine.terminology_used();
    let a = used.iter().find(|used| used.canonical == "http://v/a").unwrap();
    assert_eq!((a.version.as_deref(), a.expansion.as_deref()), (Some("1"), Some("urn:x")));
    assert_eq!((a.rows, a.code_systems.join(" ")), (3, "s s|1 s|2".to_owned()));
}

#[tokio::test]
async fn without_tables_the_pack_is_named() {
    let error = engine(&[]).relate("http://v/a", "a").await.unwrap_err();
    assert_eq!(error.message(), "no terminology is loaded: there is no table `value_set`");
}

/// Codes of 5,000 rows of a Delta table against three members that stand in another warehouse.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_warehouse_holds_the_terminology() {
    let (data, terminology) = (warehouse().await, tempfile::tempdir().unwrap());
    for (name, batch) in [
        table(
            "value_set",
            "value_set_id url version has_expansion expansion_identifier expansion_total expansion_offset expansion_unclosed compose_inactive",
            "1 http://v/a 1 true urn:x - - - -",
        ),
        table(
            "value_set_expansion",
            "value_set_id system version code display abstract inactive",
            "1 s - code-1 - - -\n1 s - code-3 - - -\n1 s - code-x - - -",
        ),
    ] {
        write_table(&terminology.path().join(name), vec![batch]).await;
    }
    let engine = Engine::open(data.path()).await.unwrap();
    let location = terminology.path().to_str().unwrap();
    let engine = engine.with_terminology(location, &StoreSettings::default()).await.unwrap();
    let sql = "SELECT count(*) FROM observation WHERE in_valueset('s', code, 'http://v/a')";
    let expected = (0..5000).filter(|n| matches!(n % 7, 1 | 3)).count();
    assert_eq!(rows(&engine, sql).await.unwrap(), format!("{expected}\n"));
    // The few members are the side that is held in memory.
    let plan = rows(&engine, &format!("EXPLAIN {sql}")).await.unwrap();
    assert!(plan.contains("HashJoinExec: mode=CollectLeft, join_type=RightSemi"), "{plan}");
    let used = engine.terminology_used();
    assert_eq!((used.len(), used[0].rows, used[0].expansion.as_deref()), (1, 3, Some("urn:x")));
}
