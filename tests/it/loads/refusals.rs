//! What is refused, and that errors tell neither passwords nor values.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use kiln::error::ErrorKind;
use kiln::load::TableVersion;

use super::postgres::into;
use super::server::{Database, PASSWORD};
use super::tables::{Resources, field, parquet};
use super::{load, perform};
use crate::support::block_on;

#[test]
fn what_the_target_must_not_get() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let load = into(&database, "public", "");
        let mut table = Resources::new(folder.path(), "a");
        table.put("p", "r", &[1]);
        let version = table.commit();
        let long = "x".repeat(64);
        let named = |name: &str| TableVersion { name: name.to_owned(), ..version.clone() };
        let mut wide = version.clone();
        wide.schema = Arc::new(Schema::new(vec![field(&long, DataType::Utf8, "")]));
        database.execute("CREATE TABLE precious (x int); CREATE TABLE notes (x int)").await;
        for (table, kind, expected) in [
            (named(&long), ErrorKind::Definition, "has 64 bytes"),
            (wide, ErrorKind::Definition, "has 64 bytes"),
            (named("kiln_loads"), ErrorKind::Definition, "a name that Kiln needs"),
            (named("precious"), ErrorKind::Refused, "that Kiln did not load"),
        ] {
            let error = perform(&load, &[table], "r").await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        // Names are quoted, whatever they are; 63 bytes are not too long.
        for name in ["select", "Weird \"name\"; DROP TABLE precious; --", &long[..63]] {
            perform(&load, &[named(name)], "r").await.unwrap();
        }
        assert_eq!(database.rows("SELECT amount FROM \"select\"").await, ["1"]);
        assert_eq!(database.rows("SELECT count(*) FROM precious").await, ["0"]);
        // Rows that refer to ours would go with them.
        perform(&load, std::slice::from_ref(&version), "r").await.unwrap();
        database
            .execute("ALTER TABLE a ADD UNIQUE (_key); ALTER TABLE notes ADD key text REFERENCES a (_key) ON DELETE CASCADE")
            .await;
        table.put("p", "r2", &[2]);
        let error = perform(&load, &[table.commit()], "r").await.unwrap_err();
        assert!(error.to_string().contains("of notes refers to it"), "{error}");
        // Another load at the same time.
        let other = database.client().await;
        let lock = "SELECT pg_advisory_lock(hashtext('kiln_loads'), hashtext('public'))";
        other.batch_execute(lock).await.unwrap();
        let error = perform(&load, &[version], "r").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TryLater, "{error}");
    });
}

#[test]
fn connections() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let mut table = Resources::new(folder.path(), "a");
        table.put("p", "r", &[1]);
        let table = table.commit();
        let url = database.server.url(&database.name);
        let closed = format!("postgresql://kiln:{PASSWORD}@127.0.0.1:1/d");
        let mut cases = vec![
            (
                format!("{}?sslmode=disable", url.replace("kiln:", "nobody:")),
                Err("password authentication failed"),
            ),
            (format!("{url}x?sslmode=disable"), Err("does not exist")),
            (closed, Err("Connection refused")),
            (format!("postgresql://kiln:{PASSWORD}@host:many/d"), Err("not in the form of one")),
            (format!("{url}?sslmode=disable"), Ok(())),
        ];
        match database.server.authority() {
            None => println!("TLS is not tested: openssl is not installed"),
            Some(file) => cases.extend([
                (format!("{url}?sslmode=verify-full&sslrootcert={}", file.display()), Ok(())),
                (format!("{url}?sslmode=prefer&sslrootcert={}", file.display()), Ok(())),
                (format!("{url}?sslmode=require"), Err("certificate")),
                (
                    format!("{url}?sslmode=require&sslrootcert={}", file.display())
                        .replace("127.0.0.1", "localhost"),
                    Err("certificate"),
                ),
            ]),
        }
        for (url, expected) in cases {
            let written = format!("to = 'postgres'\nurl = '{url}'");
            let load = load(folder.path(), &written);
            assert!(!format!("{load:?}").contains(PASSWORD));
            let done = perform(&load, std::slice::from_ref(&table), "r").await;
            match (done, expected) {
                (Ok(_), Ok(())) => {}
                (Err(error), Err(expected)) => {
                    let said = format!("{error} {error:?}");
                    assert!(said.contains(expected) && !said.contains(PASSWORD), "{url}: {said}");
                }
                (done, _) => panic!("{url}: {done:?}"),
            }
        }
    });
}

#[test]
fn values_that_cannot_be() {
    block_on(async {
        let Some(database) = Database::new().await else { return };
        let folder = tempfile::tempdir().unwrap();
        let strings = |values: [Option<&str>; 4]| Arc::new(StringArray::from(values.to_vec()));
        let word = strings([Some("Ada\0 Byron\0"), Some("Bob"), None, Some("")]);
        let inner: ArrayRef = strings([Some("x\0y\\u0000"), Some("z"), None, Some("w")]);
        let nested =
            StructArray::from(vec![(Arc::new(Field::new("text", DataType::Utf8, true)), inner)]);
        let days = Date32Array::from(vec![Some(i32::MIN), Some(0), None, Some(i32::MAX)]);
        let columns: Vec<ArrayRef> = vec![
            strings([Some("1"), Some("2"), Some("3"), Some("4")]),
            word,
            Arc::new(nested),
            Arc::new(days),
        ];
        let names = ["_key", "word", "nested", "day"];
        let fields = names.iter().zip(&columns);
        let fields: Vec<_> =
            fields.map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let files = vec![parquet(&folder.path().join("a.parquet"), &[batch])];
        let table = [TableVersion { name: "a".into(), version: 0, schema, files }];

        let error = perform(&into(&database, "refuse", ""), &table, "r").await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let columns = "`day` (2), `nested` (1), `word` (1)";
        assert!(said.contains("`a` has 4 values") && said.contains(columns), "{said}");
        assert!(!said.contains("Ada") && !said.contains("Byron"), "{said}");
        assert!(database.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'refuse' AND tablename <> 'kiln_loads'").await.is_empty());

        for (policy, expected) in [
            (
                "remove",
                ["1|Ada Byron|{\"text\": \"xy\\\\u0000\"}|∅", "2|Bob|{\"text\": \"z\"}|1970-01-01"],
            ),
            ("null", ["1|∅|∅|∅", "2|Bob|{\"text\": \"z\"}|1970-01-01"]),
        ] {
            let load = into(&database, policy, &format!("impossible = '{policy}'"));
            let report = perform(&load, &table, "r").await.unwrap();
            let counts = &report.tables[0].impossible;
            let counts: Vec<_> = counts.iter().map(|(c, n)| (c.as_str(), *n)).collect();
            assert_eq!(counts, [("day", 2), ("nested", 1), ("word", 1)]);
            let rows = database.rows(&format!("SELECT * FROM \"{policy}\".a ORDER BY 1")).await;
            assert_eq!(rows[..2], expected);
            assert_eq!(rows[2..], ["3|∅|{\"text\": null}|∅", "4||{\"text\": \"w\"}|∅"]);
        }
    });
}
