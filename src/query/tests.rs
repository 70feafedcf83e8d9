//! SQL over tiny Delta tables written by delta-rs, checked as text in every format.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{self, Write};

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::fixture::{observations, warehouse, write_table};
use super::{Engine, Format, Output, Written, write};
use crate::error::{Error, ErrorKind, Result};

async fn text(engine: &Engine, sql: &str, format: Format) -> Result<String> {
    let mut out = Vec::new();
    write(engine.run(sql)?, format, Output::Stream(Box::new(&mut out))).await?;
    Ok(String::from_utf8(out).unwrap())
}

async fn failure(engine: &Engine, sql: &str) -> Error {
    text(engine, sql, Format::Ndjson).await.expect_err(sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_exact() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    for (sql, format, expected) in [
        (
            "select id, gender, \"familyName\" from patient order by id",
            Format::Csv,
            "id,gender,familyName\na,male,\"O'Hara, \"\"Ann\"\"\"\nb,\"\",\"two\nlines\"\nc,,Müller 李\n",
        ),
        (
            "select weight, big, score, active, born, seen, tags from patient order by id",
            Format::Csv,
            "weight,big,score,active,born,seen,tags\n\
             1.5000,9007199254740993,0.1,true,1970-01-01,1970-01-01T00:00:00Z,\"[1,null]\"\n\
             -0.0001,-9223372036854775808,NaN,false,1969-12-31,2023-11-14T22:13:20.123Z,[]\n\
             ,,,,,,\n",
        ),
        (
            "select * from patient order by id",
            Format::Ndjson,
            "{\"id\":\"a\",\"gender\":\"male\",\"familyName\":\"O'Hara, \\\"Ann\\\"\",\"weight\":1.5000,\
             \"big\":9007199254740993,\"score\":0.1,\"active\":true,\"born\":\"1970-01-01\",\
             \"seen\":\"1970-01-01T00:00:00Z\",\"tags\":[1,null]}\n\
             {\"id\":\"b\",\"gender\":\"\",\"familyName\":\"two\\nlines\",\"weight\":-0.0001,\
             \"big\":-9223372036854775808,\"score\":null,\"active\":false,\"born\":\"1969-12-31\",\
             \"seen\":\"2023-11-14T22:13:20.123Z\",\"tags\":[]}\n\
             {\"id\":\"c\",\"gender\":null,\"familyName\":\"Müller 李\",\"weight\":null,\"big\":null,\
             \"score\":null,\"active\":null,\"born\":null,\"seen\":null,\"tags\":null}\n",
        ),
        (
            "select id, {'k': gender, 'n': null} as s from patient order by id limit 2",
            Format::Json,
            "[\n{\"id\":\"a\",\"s\":{\"k\":\"male\",\"n\":null}},\n{\"id\":\"b\",\"s\":{\"k\":\"\",\"n\":null}}\n]\n",
        ),
        ("select id from patient where id > 'x'", Format::Json, "[]\n"),
        ("select id from patient where id > 'x'", Format::Csv, "id\n"),
        ("select id from patient where id > 'x'", Format::Ndjson, ""),
        (
            "select timestamp '2024-02-29 12:00:00.5' as t, sum(1) over () as s, 1e300 as f",
            Format::Ndjson,
            "{\"t\":\"2024-02-29T12:00:00.500Z\",\"s\":1,\"f\":1.0e300}\n",
        ),
        (
            "select a.id, b.id from patient a join patient b on a.id = b.id where a.id = 'a'",
            Format::Csv,
            "id,id\na,a\n",
        ),
        (
            "select id, gender, born from patient order by id",
            Format::Table,
            "+----+--------+------------+\n\
             | id | gender | born       |\n\
             +----+--------+------------+\n\
             | a  | male   | 1970-01-01 |\n\
             | b  |        | 1969-12-31 |\n\
             | c  | NULL   | NULL       |\n\
             +----+--------+------------+\n(3 rows)\n",
        ),
        (
            "select repeat('x', 90) as a, chr(27) as b",
            Format::Table,
            &format!(
                "+{0}+--------+\n| a{1} | b      |\n+{0}+--------+\n| {2}… | \\u{{1b}} |\n+{0}+--------+\n(1 row)\n",
                "-".repeat(83),
                " ".repeat(80),
                "x".repeat(80),
            ),
        ),
    ] {
        assert_eq!(text(&engine, sql, format).await.unwrap(), expected, "{sql} as {format:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_run_in_order() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let sql = "create view men as select * from patient where gender = 'male';\n\
               create table few as select id from men; -- in memory\n\
               select count(*) as n from few;;\nvalues (1), (2);";
    let expected = "{\"n\":1}\n{\"column1\":1}\n{\"column1\":2}\n";
    assert_eq!(text(&engine, sql, Format::Ndjson).await.unwrap(), expected);
    let names: Vec<_> = engine.tables().await.into_iter().map(|t| (t.name, t.rows)).collect();
    let known = |name: &str, rows| (name.to_owned(), rows);
    assert_eq!(
        names[1..],
        [
            known("few", None),
            known("men", None),
            known("observation", Some(5000)),
            known("patient", Some(3)),
        ]
    );
    let error = text(&engine, "select 1; select 2", Format::Csv).await.unwrap_err();
    assert_eq!(error.message(), "2 statements give rows, but `csv` holds one result");
    let tables = text(&engine, "values (1); values (2)", Format::Table).await.unwrap();
    assert_eq!(tables.matches("(1 row)\n").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_tables_with_types_and_comments() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let tables = engine.tables().await;
    let patient = tables.iter().find(|t| t.name == "patient").unwrap();
    let types: Vec<_> = patient.columns.iter().map(|c| c.sql_type.as_str()).collect();
    assert_eq!(
        types,
        [
            "string",
            "string",
            "string",
            "decimal(20,4)",
            "bigint",
            "double",
            "boolean",
            "date",
            "timestamp",
            "array<bigint>",
        ]
    );
    assert_eq!(patient.columns[1].comment.as_deref(), Some("administrative gender"));
    assert_eq!(
        tables.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        ["_rejects", "observation", "patient"]
    );
    for sql in [
        "show tables",
        "describe patient",
        "show columns from patient",
        "explain select 1",
        "show all",
    ] {
        assert!(!text(&engine, sql, Format::Csv).await.unwrap().is_empty(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_statements_are_refused_before_anything_runs() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    for (sql, verb) in [
        ("insert into patient (id) values ('x')", "INSERT"),
        ("create external table t stored as csv location '/etc/passwd'", "CREATE"),
        ("copy patient to '/tmp/kiln-test.parquet'", "COPY"),
        ("drop table patient", "DROP"),
        ("delete from patient", "DELETE"),
        ("update patient set id = 'x'", "UPDATE"),
        ("set datafusion.execution.batch_size = 1", "SET"),
        ("reset datafusion.execution.batch_size", "RESET"),
        ("create schema s", "CREATE"),
        ("prepare p as select 1", "PREPARE"),
        ("explain insert into patient (id) values ('x')", "EXPLAIN"),
        ("create table made as select 1; truncate table patient", "TRUNCATE"),
    ] {
        let error = failure(&engine, sql).await;
        assert_eq!(error.kind(), ErrorKind::Definition, "{sql}");
        assert_eq!(
            error.message(),
            format!("`{verb}` is refused: the query session only reads"),
            "{sql}"
        );
    }
    assert!(engine.tables().await.iter().all(|t| t.name != "made"));
    for sql in ["select * from '/etc/passwd'", "select * from read_csv('/etc/passwd')"] {
        assert_eq!(failure(&engine, sql).await.kind(), ErrorKind::Definition, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_where_and_what_was_meant() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let tables = "tables: _rejects, observation, patient";
    for (sql, message, place, hint) in [
        (
            "select *\nfrom pateint",
            "there is no table `pateint`",
            "2, column 6\n  from pateint\n       ^^^^^^^",
            format!("did you mean `patient`? {tables}"),
        ),
        (
            "select p.gendre from patient p",
            "there is no column `gendre` in `p`",
            "1, column 8\n  select p.gendre from patient p\n         ^^^^^^^^",
            "did you mean `gender`? columns: id, gender, \"familyName\", weight, big, score, active, born, seen, tags".to_owned(),
        ),
        (
            "select familyname from patient",
            "there is no column `familyname`",
            "1, column 8\n  select familyname from patient\n         ^^^^^^^^^^",
            "did you mean `\"familyName\"`? columns: id, gender, \"familyName\", weight, big, score, active, born, seen, tags".to_owned(),
        ),
        (
            "select id from patient where gender = \"male\"",
            "there is no column `male`",
            "1, column 39\n  select id from patient where gender = \"male\"\n                                        ^",
            "text is written in single quotes: 'male'".to_owned(),
        ),
        (
            "select id\n\tfrom patient form x y",
            "the SQL does not parse: expected: end of statement, found: x",
            "2, column 20\n   from patient form x y\n                     ^",
            String::new(),
        ),
        (
            "select id from",
            "the SQL does not parse: expected: identifier, found: the end of the text",
            "1, column 15\n  select id from\n                ^",
            String::new(),
        ),
        (
            "select 'a",
            "the SQL does not parse: unterminated string literal",
            "1, column 8\n  select 'a\n         ^",
            String::new(),
        ),
        ("select a.id, b.id from patient a join patient b on a.id = b.id", "two columns are named `id`, which `ndjson` cannot hold", "", "name them apart with AS".to_owned()),
        (
            "select 1 as a, 2 as a",
            "two columns of a SELECT have the same name",
            "",
            "name them apart with AS".to_owned(),
        ),
        (
            "select id, exists (select 1 from observation) as any from patient",
            "`EXISTS (SELECT …)` and `IN (SELECT …)` can stand in WHERE and HAVING only",
            "",
            "elsewhere, LEFT JOIN the SELECT DISTINCT of its keys and ask whether they are null".to_owned(),
        ),
        (
            "select id in (select id from observation) as any from patient",
            "`EXISTS (SELECT …)` and `IN (SELECT …)` can stand in WHERE and HAVING only",
            "",
            "elsewhere, LEFT JOIN the SELECT DISTINCT of its keys and ask whether they are null".to_owned(),
        ),
        (
            "select count_if(id) from patient",
            "invalid function 'count_if'",
            "1, column 8\n  select count_if(id) from patient\n         ^^^^^^^^",
            "did you mean `count`?".to_owned(),
        ),
        (
            "select id from patient a join patient b on a.id = b.id",
            "the column `id` is in more than one table",
            "1, column 8\n  select id from patient a join patient b on a.id = b.id\n         ^^",
            "write the table before it, as in `patient.id`".to_owned(),
        ),
        (" ; ", "there is no statement to run", "", String::new()),
    ] {
        let error = failure(&engine, sql).await;
        assert_eq!(error.kind(), ErrorKind::Definition, "{sql}");
        assert_eq!(error.message(), message, "{sql}");
        let line = error.places().iter().map(|(_, place)| place.as_str()).collect::<String>();
        assert_eq!(line, place, "{sql}: {line}");
        assert_eq!(error.remedy().unwrap_or_default(), hint, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_while_running_show_no_values() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    for (sql, value) in [
        ("select cast(\"familyName\" as int) from patient", "Hara"),
        ("select cast(\"familyName\" as timestamp) from patient", "Hara"),
        ("select 1 / (n - 2500) from observation", "2500)"),
        ("select big + big from patient", "9007199254740993"),
    ] {
        let error = match text(&engine, sql, Format::Csv).await {
            Err(error) => error,
            Ok(_) if sql.contains("big") => continue,
            Ok(text) => panic!("{sql}: {text}"),
        };
        assert_eq!(error.kind(), ErrorKind::Query, "{sql}: {error}");
        assert!(!error.to_string().contains(value), "{sql}: {error}");
        let cast = sql.contains("cast(");
        assert_eq!(
            error.remedy().is_some_and(|hint| hint.contains("TRY_CAST")),
            cast,
            "{sql}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_appears_whole_or_not_at_all() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("result.out");
    let to = |sql: &str, format| {
        let results = engine.run(sql);
        let output = Output::File(path.clone());
        async move { write(results?, format, output).await }
    };
    let all = "select * from observation";
    assert_eq!(to(all, Format::Csv).await.unwrap(), Written { rows: 5000, sets: 1 });
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5001);
    let failing = "select n, 1 / (n - 4999) as x from observation";
    assert_eq!(to(failing, Format::Csv).await.unwrap_err().kind(), ErrorKind::Query);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5001, "the old file stays");
    assert_eq!(to(all, Format::Parquet).await.unwrap(), Written { rows: 5000, sets: 1 });
    let file = fs::File::open(&path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 5000);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "no partial file is left");
    let nowhere = Output::File(out.path().join("missing/result.csv"));
    let error = write(engine.run(all).unwrap(), Format::Csv, nowhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    let device = Output::File("/dev/null".into());
    assert_eq!(write(engine.run(all).unwrap(), Format::Csv, device).await.unwrap().rows, 5000);
    let error = text(&engine, all, Format::Parquet).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

/// A reader that goes away after its first bytes.
struct Closing(usize);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0 -= 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_no_error() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    for format in [Format::Table, Format::Csv, Format::Ndjson, Format::Json] {
        let results = engine.run("select * from observation").unwrap();
        let written = write(results, format, Output::Stream(Box::new(Closing(1)))).await;
        assert!(written.is_ok(), "{format:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_shows_the_first_rows_and_counts_all() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let mut out = Vec::new();
    let results = engine.run("select n from observation order by n").unwrap();
    let written = write(results, Format::Table, Output::Screen(Box::new(&mut out), 40)).await;
    assert_eq!(written.unwrap().rows, 5000);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("| 39 |") && !text.contains("| 40 |"), "{text}");
    assert!(text.ends_with("… 4,960 more rows; \\format csv or LIMIT\n(5,000 rows)\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_projections_and_counts_reach_the_files() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let plan = text(&engine, "explain select n from observation where n > 4000", Format::Table);
    let plan = plan.await.unwrap();
    assert!(plan.contains("predicate=n@") && plan.contains("projection=[n"), "{plan}");
    assert_eq!(plan.matches(".parquet").count(), 1, "one of two files is pruned\n{plan}");
    let plan =
        text(&engine, "explain select count(*) from observation", Format::Table).await.unwrap();
    assert!(plan.contains("PlaceholderRowExec"), "the count comes from the statistics\n{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sees_one_version_of_a_table() {
    let folder = warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    write_table(&folder.path().join("observation"), vec![observations(0..10)]).await;
    let count = "select count(*) as n, max(n) is not null as m from observation";
    assert_eq!(text(&engine, count, Format::Csv).await.unwrap(), "n,m\n5000,true\n");
    let later = Engine::open(folder.path()).await.unwrap();
    assert_eq!(text(&later, count, Format::Csv).await.unwrap(), "n,m\n5010,true\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_tables_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing")] {
        let error = Engine::open(&path).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.remedy().is_some());
    }
    // What a run leaves that is killed before its first commit.
    let log = folder.path().join("broken/_delta_log");
    fs::create_dir_all(&log).unwrap();
    let error = Engine::open(folder.path()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    fs::write(log.join("00000000000000000000.json"), "{").unwrap();
    let error = Engine::open(folder.path()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Warehouse, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_at_versions_of_the_past() {
    let folder = warehouse().await;
    let count = "select count(*) as n, count(distinct code) as codes from observation";
    let at = |version| [("observation".to_owned(), version)].into();
    // The fixture writes one half a version.
    for (version, rows) in [(0, 2500), (1, 5000)] {
        let engine = Engine::open_versions(folder.path(), &at(version)).await.unwrap();
        let found = text(&engine, count, Format::Csv).await.unwrap();
        assert_eq!(found, format!("n,codes\n{rows},7\n"));
        let tables = engine.tables().await;
        assert_eq!((tables.len(), tables[0].rows), (1, Some(rows)));
    }
    let missing = Engine::open_versions(folder.path(), &at(9)).await.err().unwrap();
    assert_eq!(missing.kind(), ErrorKind::Warehouse);
    // Files that are no more.
    for entry in fs::read_dir(folder.path().join("observation")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "parquet") {
            fs::remove_file(path).unwrap();
        }
    }
    let engine = Engine::open_versions(folder.path(), &at(0)).await.unwrap();
    let error = failure(&engine, count).await;
    assert_eq!(error.kind(), ErrorKind::Query);
    assert_eq!(error.message(), "the query failed: a data file of a table is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_an_object_store() {
    let folder = warehouse().await;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(folder.path()).unwrap().to_str().unwrap();
            let to = ObjectPath::from(format!("deep/house/{below}"));
            store.put(&to, fs::read(&path).unwrap().into()).await.unwrap();
        }
    }
    let (url, prefix) = ("s3://bucket/deep/house", ObjectPath::from("deep/house"));
    let logs = super::location::store_logs(url, &store, &prefix).await.unwrap();
    let engine = Engine::open_logs(&logs, |_| None).await.unwrap();
    let names: Vec<_> = engine.tables().await.into_iter().map(|t| (t.name, t.rows)).collect();
    let wanted = [("_rejects", Some(0)), ("observation", Some(5000)), ("patient", Some(3))];
    assert_eq!(names, wanted.map(|(name, rows)| (name.to_owned(), rows)));
    let sql = "select p.id, max(o.n) as n from patient p, observation o group by p.id order by 1";
    assert_eq!(text(&engine, sql, Format::Csv).await.unwrap(), "id,n\na,4999\nb,4999\nc,4999\n");
    let engine = Engine::open_logs(&logs, |_| Some(0)).await.unwrap();
    let sql = "select count(*) as n from observation";
    assert_eq!(text(&engine, sql, Format::Csv).await.unwrap(), "n\n2500\n");
}
