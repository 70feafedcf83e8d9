//! Queries: each of `queries.sql` over a warehouse made from the data, in one session, warm.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod data;

use std::process::ExitCode;

use criterion::Criterion;
use data::sql::{ask, make_warehouse, queries, runtime};
use data::{Data, measure};
use kiln::query::Engine;

fn main() -> ExitCode {
    measure(query)
}

fn query(criterion: &mut Criterion, data: &Data) {
    let warehouse = tempfile::tempdir().unwrap();
    let threads = std::thread::available_parallelism().unwrap().get();
    make_warehouse(&data.definitions, &data.files, warehouse.path(), threads).unwrap();
    let runtime = runtime();
    let engine = runtime.block_on(Engine::open(warehouse.path())).unwrap();
    let mut group = criterion.benchmark_group("query");
    for (name, sql) in queries(&data.shared).unwrap() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(ask(&engine, &sql)));
        });
    }
}
