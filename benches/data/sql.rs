//! The queries, and a warehouse to ask.

use std::path::{Path, PathBuf};
use std::time::Instant;

use kiln::pipeline::{self, MaxRejects, Pipeline, Progress, RunOptions, Source};
use kiln::query::Engine;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Outcome, at, compile, median};

/// The name and text of each query.
pub(crate) fn queries(shared: &Path) -> Outcome<Vec<(String, String)>> {
    let file = shared.join("bench/queries.sql");
    let text = std::fs::read_to_string(&file).map_err(at(&file))?;
    let queries = text.split("-- ").filter_map(|query| {
        let (name, rest) = query.split_once(':')?;
        let (_, sql) = rest.split_once('\n')?;
        Some((name.to_owned(), sql.trim().trim_end_matches(';').to_owned()))
    });
    Ok(queries.collect())
}

/// Makes a warehouse of the files in `folder`. Dates and decimals are typed as DuckDB's side has them: the queries
/// calculate with them, and Kiln keeps decimals as text unless a tag says otherwise.
pub(crate) fn make_warehouse(
    definitions: &[Value],
    files: &[PathBuf],
    folder: &Path,
    threads: usize,
) -> Outcome<()> {
    let typed = |definition: &Value| {
        let mut definition = definition.clone();
        definition["select"].as_array_mut().into_iter().flatten().for_each(tag);
        compile(&definition)
    };
    let source = Source::Paths(files.iter().map(|file| file.display().to_string()).collect());
    let views = definitions.iter().map(typed).collect();
    let max_rejects = MaxRejects::Count(0);
    let pipeline = Pipeline { max_rejects, ..Pipeline::new("bench", source, views, folder) };
    let progress = Progress::default();
    let options = RunOptions::new(threads, &progress);
    let done = runtime().block_on(pipeline::run(&pipeline, &options));
    match done.map_err(|e| e.to_string())?.refused {
        None => Ok(()),
        Some(refused) => Err(refused.to_string()),
    }
}

/// Gives the columns of a select, and of those inside, the SQL types of the peers.
fn tag(select: &mut Value) {
    for column in select["column"].as_array_mut().into_iter().flatten() {
        let ansi = match column["type"].as_str() {
            Some("decimal") => "DOUBLE PRECISION",
            Some("date") => "DATE",
            _ => continue,
        };
        column["tag"] = json!([{ "name": "ansi/type", "value": ansi }]);
    }
    for inner in ["select", "unionAll"] {
        select.get_mut(inner).and_then(Value::as_array_mut).into_iter().flatten().for_each(tag);
    }
}

/// Where DataFusion and delta-rs run, as in the program.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// Fetches the whole result; gives its number of rows.
pub(crate) async fn ask(engine: &Engine, sql: &str) -> usize {
    let mut results = engine.run(sql).unwrap();
    let mut rows = 0;
    while let Some(mut set) = results.next().await.unwrap() {
        while let Some(batch) = set.next().await.unwrap() {
            rows += batch.num_rows();
        }
    }
    rows
}

/// Asks each query once to warm up and then `times` times; prints medians as `run_queries.py` does.
pub(crate) fn print_medians(shared: &Path, warehouse: &Path, times: usize) -> Outcome<()> {
    let runtime = runtime();
    let engine = runtime.block_on(Engine::open(warehouse)).map_err(|e| e.to_string())?;
    for (name, sql) in queries(shared)? {
        let rows = runtime.block_on(ask(&engine, &sql));
        let seconds = |_| {
            let started = Instant::now();
            runtime.block_on(ask(&engine, &sql));
            started.elapsed().as_secs_f64()
        };
        let ms = median((0..times).map(seconds).collect()) * 1e3;
        println!("{}", json!({ "q": name, "ms": ms, "rows": rows }));
    }
    Ok(())
}
