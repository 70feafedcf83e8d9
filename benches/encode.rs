//! Encoding: the batches of each view → a durable zstd Parquet file, on all threads; bytes are those of Arrow.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod data;

use std::path::Path;
use std::process::ExitCode;

use arrow::array::RecordBatch;
use criterion::{BatchSize, Criterion, Throughput};
use data::{Data, flatten, measure};
use kiln::warehouse::{ParquetOptions, TableWriter};

fn main() -> ExitCode {
    measure(|criterion, data| {
        for name in data.names() {
            encode(criterion, data, name);
        }
    })
}

fn encode(criterion: &mut Criterion, data: &Data, name: &str) {
    let (view, file) = data.view(name);
    let batches = flatten(file, &[&view]).remove(0);
    let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(name, |bencher| {
        let folder = || tempfile::tempdir().unwrap();
        // A folder that is handed back is removed after the clock has stopped.
        let encode = |folder: tempfile::TempDir| {
            write(folder.path(), &batches);
            folder
        };
        bencher.iter_batched(folder, encode, BatchSize::PerIteration);
    });
}

fn write(folder: &Path, batches: &[RecordBatch]) {
    let schema = batches[0].schema();
    let writer = TableWriter::new(folder, "part", schema, &ParquetOptions::default()).unwrap();
    for (number, batch) in batches.iter().enumerate() {
        writer.push(number as u64, vec![batch.clone()]).unwrap();
    }
    writer.finish().unwrap();
}
