//! DuckDB files, by its library and by its program. `KILN_DUCKDB` names either; else both are looked for.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tables::Resources;
use super::types;
use super::{load, perform, written};
use crate::support::block_on;

/// DuckDB's program and library, those that are there.
fn drivers() -> Vec<PathBuf> {
    let named = std::env::var_os("KILN_DUCKDB").map(PathBuf::from);
    let runs = |program: &Path| {
        Command::new(program).arg("-version").output().is_ok_and(|done| done.status.success())
    };
    let program = Some(PathBuf::from("duckdb")).filter(|program| runs(program));
    let library = std::env::var_os("KILN_LIBDUCKDB").map(PathBuf::from);
    let found: Vec<_> = [named, program, library].into_iter().flatten().collect();
    if found.is_empty() {
        println!("skipped: DuckDB is not installed (PyPI's `duckdb-cli`, or `KILN_DUCKDB`)");
    }
    found
}

/// What the file holds, asked by the driver that wrote it through a second load's skip, or by the program.
fn ask(file: &Path, sql: &str) -> Option<Vec<String>> {
    let program = drivers().into_iter().find(|d| !d.to_string_lossy().contains(".so"))?;
    let done = Command::new(program)
        .args(["-init", "/dev/null", "-readonly", "-noheader", "-list", "-nullvalue", "∅"])
        .arg(file)
        .arg(sql)
        .output()
        .unwrap();
    assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn a_file_replaced_whole() {
    block_on(async {
        for driver in drivers() {
            let folder = tempfile::tempdir().unwrap();
            let text = format!(
                "to = 'duckdb'\npath = 'out/it''s.duckdb'\ndriver = '{}'",
                driver.display()
            )
            .replace("'out/it''s.duckdb'", "\"out/it's.duckdb\"");
            let load = load(folder.path(), &text);
            let file = folder.path().join("out/it's.duckdb");
            let mut table = Resources::new(folder.path(), "a");
            table.put("p", "r1", &[1, 2]);
            let versions = [table.commit(), types::table(folder.path())];
            let report = perform(&load, &versions, "r1").await.unwrap();
            assert_eq!(written(&report), [("a", 2), ("all_types", 4)]);
            let report = perform(&load, &versions, "r2").await.unwrap();
            assert_eq!(written(&report), [("a", 0), ("all_types", 0)], "it has these versions");
            table.put("q", "r3", &[3]);
            let report = perform(&load, &[table.commit()], "r3").await.unwrap();
            assert_eq!(written(&report), [("a", 3)]);
            let names = std::fs::read_dir(folder.path().join("out")).unwrap();
            let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["it's.duckdb"], "nothing else is left");
            for (sql, expected) in [
                ("SELECT count(*), sum(amount), sum(cost) FROM a", "3|6|0.42"),
                ("SELECT table_name, version, run, rows FROM kiln_loads", "a|2|r3|3"),
                (
                    "SELECT comment FROM duckdb_columns() WHERE column_name = 'patient_id'",
                    "whose it is; it's a key",
                ),
            ] {
                let Some(found) = ask(&file, sql) else { continue };
                assert_eq!(found, [expected], "{sql}, written by {}", driver.display());
            }
        }
    });
}

#[test]
fn every_type() {
    block_on(async {
        for driver in drivers() {
            let folder = tempfile::tempdir().unwrap();
            let text = format!("to = 'duckdb'\npath = 'a.duckdb'\ndriver = '{}'", driver.display());
            let load = load(folder.path(), &text);
            perform(&load, &[types::table(folder.path())], "r").await.unwrap();
            for (column, expected) in [
                ("word", ["é \"q\" \\ ,", "", "∅", "∅"]),
                ("large", ["9223372036854775807", "-9223372036854775808", "∅", "7"]),
                ("money", ["0.000150", "-1234.567800", "∅", "∅"]),
                ("wide", ["99999999999999999999999999999.999999999", "-0.000000001", "∅", "∅"]),
                ("day", ["2024-03-01", "0001-12-31 (BC)", "∅", "∅"]),
                ("epoch_us(instant)", ["1709210096789012", "-62135596800000001", "∅", "∅"]),
                ("typeof(instant)", ["TIMESTAMP WITH TIME ZONE"; 4]),
                ("words[1]", ["é \"q\" \\ ,", "∅", "∅", "∅"]),
                ("codes[1].n", ["9223372036854775807", "∅", "∅", "∅"]),
            ] {
                let sql = format!("SELECT {column} FROM all_types ORDER BY _key");
                let Some(found) = ask(&folder.path().join("a.duckdb"), &sql) else { continue };
                assert_eq!(found, expected, "{column}, written by {}", driver.display());
            }
        }
    });
}

#[test]
fn without_duckdb() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        for driver in ["./nothing.so", "./nothing"] {
            let text = format!("to = 'duckdb'\npath = 'a.duckdb'\ndriver = '{driver}'");
            let error = perform(&load(folder.path(), &text), &[], "r").await.unwrap_err();
            assert!(error.to_string().contains("nothing"), "{error}");
        }
    });
}
