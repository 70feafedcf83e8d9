//! The prompt's commands and statements, as typed and as answered.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::{Next, Session, is_complete, script};
use crate::error::ErrorKind;
use crate::query::{Engine, Format};

/// A screen that can be read back.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a script answers, and whether it fails.
async fn answers(input: &str) -> (String, Option<(ErrorKind, String)>) {
    let folder = crate::query::fixture::warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let out = Paper::default();
    let mut session = Session::new(&engine, Format::Csv, None, out.clone());
    let error = script(&mut session, input.as_bytes()).await.err();
    (out.text(), error.map(|e| (e.kind(), e.to_string())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_answers_statement_by_statement() {
    for (input, expected) in [
        ("select count(*) as n\nfrom patient;\nselect 1 as a", "n\n3\na\n1\n"),
        ("create view v as select 7 as x;\n\nselect * from v;", "x\n7\n"),
        ("\\format ndjson\nselect 1 as a;", "{\"a\":1}\n"),
        ("select ';' as a; -- with ;\nselect 2 as b;", "a\n;\nb\n2\n"),
        ("\\q\nselect 1;", ""),
        (
            "\\d\n",
            "table        rows\n_rejects     0     2 columns\nobservation  5000  2 columns\npatient      3     10 columns\n",
        ),
        ("\\d observation", "column  type    comment\nn       bigint\ncode    string\n"),
    ] {
        // Two statements on consecutive lines are two results, each with its header.
        assert_eq!(answers(input).await, (expected.to_owned(), None), "{input}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_stops_at_the_first_failure() {
    let (out, error) = answers("select 1 as a;\n\nselect b from\n  pateint;\nselect 2 as c;").await;
    assert_eq!(out, "a\n1\n");
    let (kind, text) = error.unwrap();
    assert_eq!(kind, ErrorKind::Definition);
    assert!(text.contains("line 4, column 3"), "{text}");
    assert_eq!(answers("\\format yaml").await.1.unwrap().0, ErrorKind::Usage);
    assert_eq!(answers("\\x").await.1.unwrap().0, ErrorKind::Definition);
}

#[tokio::test(flavor = "multi_thread")]
async fn timing_and_leaving() {
    let folder = crate::query::fixture::warehouse().await;
    let engine = Engine::open(folder.path()).await.unwrap();
    let out = Paper::default();
    let mut session = Session::new(&engine, Format::Table, Some(1), out.clone());
    session.interruptible = true;
    assert_eq!(session.answer("\\timing").await.unwrap(), Next::Go);
    assert_eq!(session.answer("values (1), (2);").await.unwrap(), Next::Go);
    assert_eq!(session.answer("exit;").await.unwrap(), Next::Quit);
    let text = out.text();
    assert!(
        text.contains("… 1 more row; \\format csv or LIMIT") && text.contains("time: "),
        "{text}"
    );
}

#[test]
fn a_statement_is_complete_at_its_semicolon() {
    for (text, complete) in [
        ("", true),
        ("select 1", false),
        ("select 1;", true),
        ("select 1; ", true),
        ("select ';", false),
        ("select ';'", false),
        ("select ';';", true),
        ("select \"a;", false),
        ("select 1 -- ;", false),
        ("select 1; -- done", true),
        ("select 1 /* ; */", false),
        ("select 1; /* ; */", true),
        ("select 1 /* ;", false),
        ("select 'it''s';", true),
        ("select 1; select 2", false),
        ("\\d patient", true),
        ("exit", true),
    ] {
        assert_eq!(is_complete(text), complete, "{text}");
    }
}
