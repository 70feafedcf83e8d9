//! What several tests need: sample exports, the binary, and rows of a warehouse.

use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::Array;
use arrow::util::display::array_value_to_string;
use kiln::query::Engine;
use kiln::sample::Sample;

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
