//! What several tests need: sample exports, the binary, and rows of a warehouse.

use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::util::display::array_value_to_string;
use kiln::fhirpath::{Environment, Temporal};
use kiln::flatten::{Flattener, Source, View};
use kiln::query::Engine;
use kiln::sample::Sample;
use serde_json::{Value, json};

/// Writes a sample export to a new folder of that name.
pub(crate) fn export(folder: &Path, patients: usize, seed: u64) -> PathBuf {
    Sample { patients, seed, ..Sample::default() }.write(folder).unwrap();
    folder.to_owned()
}

/// The program, to be run in a folder.
pub(crate) fn kiln(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(arguments).current_dir(folder);
    command
}

/// Runs the program, which must succeed.
pub(crate) fn kiln_succeeds(folder: &Path, arguments: &[&str]) {
    let done = kiln(folder, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "kiln {arguments:?}: {}\n{said}", done.status);
}

/// Runs async work to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

/// The rows of one statement, as text; null is `∅`.
pub(crate) async fn rows(engine: &Engine, sql: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut results = engine.run(sql).unwrap();
    let mut set = results.next().await.unwrap().expect("the statement gives rows");
    while let Some(batch) = set.next().await.unwrap() {
        let cell = |column: &dyn Array, row| {
            if column.is_null(row) {
                return "∅".to_owned();
            }
            array_value_to_string(column, row).unwrap()
        };
        rows.extend(
            (0..batch.num_rows())
                .map(|row| batch.columns().iter().map(|column| cell(column, row)).collect()),
        );
    }
    rows
}

/// The only cell of the only row of a statement.
pub(crate) async fn value(engine: &Engine, sql: &str) -> String {
    let rows = rows(engine, sql).await;
    assert_eq!((rows.len(), rows.first().map(Vec::len)), (1, Some(1)), "one value: {sql}");
    rows[0][0].clone()
}

/// A fixed time, and the bases of the export's server.
pub(crate) fn environment(bases: &[&str]) -> Environment {
    let now = Temporal::date_time("2026-01-01T00:00:00Z").unwrap();
    let bases = bases.iter().map(|b| (*b).to_owned()).collect();
    Environment { now, bases, key_prefix: None }
}

/// The rows that a view makes of resources, each given as its JSON text; the first failure of the view ends it.
pub(crate) fn flattened(
    view: &View,
    resources: impl IntoIterator<Item = String>,
) -> Result<RecordBatch, String> {
    let mut flattener = Flattener::new(view, false, environment(&[]));
    for raw in resources {
        let mut scratch = raw.clone().into_bytes();
        let base = scratch.as_ptr() as usize;
        let tape = simd_json::to_tape(&mut scratch).unwrap();
        let source = Source { nodes: &tape.0, root: 0, raw: raw.as_bytes(), base };
        flattener.add(source).map_err(|e| e.message)?;
    }
    Ok(flattener.finish().0)
}

/// A cell as JSON; what is no boolean, whole number or list is `other`'s to say.
pub(crate) fn json_cell(
    array: &ArrayRef,
    i: usize,
    other: &dyn Fn(&ArrayRef, usize) -> Value,
) -> Value {
    if array.is_null(i) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(i)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(i)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(i)),
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(i);
            Value::Array((0..values.len()).map(|i| json_cell(&values, i, other)).collect())
        }
        _ => other(array, i),
    }
}
