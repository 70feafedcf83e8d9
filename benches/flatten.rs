//! Flattening on one thread: each view over its file, and what further views over the same file add.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod data;

use std::process::ExitCode;

use criterion::{Criterion, Throughput};
use data::{Data, flatten, measure, size};

/// Views that share a file: what a group takes more than its first view alone is their marginal cost.
const TOGETHER: &[&[&str]] = &[
    &["patient_demographics", "patient_addresses"],
    &["patient_demographics", "patient_addresses", "patient_us_core"],
    &["observation", "observation"],
];

fn main() -> ExitCode {
    measure(|criterion, data| {
        for name in data.names() {
            views(criterion, data, &[name]);
        }
        for names in TOGETHER {
            views(criterion, data, names);
        }
    })
}

fn views(criterion: &mut Criterion, data: &Data, names: &[&str]) {
    let (views, files): (Vec<_>, Vec<_>) = names.iter().map(|name| data.view(name)).unzip();
    let views: Vec<_> = views.iter().collect();
    let mut group = criterion.benchmark_group("flatten");
    group.throughput(Throughput::Bytes(size(files[0]).unwrap()));
    group.bench_function(names.join(" + "), |bencher| bencher.iter(|| flatten(files[0], &views)));
}
