//! Parsing: files → blocks → tapes on one thread, beside reading alone and the bare parse of the same lines.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod data;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use criterion::{BenchmarkId, Criterion, Throughput};
use data::limit::Bare;
use data::{Data, each_block, measure, stem};
use kiln::ingest::{Block, Options, Parser};

fn main() -> ExitCode {
    measure(|criterion, data: &Data| {
        for file in &data.files {
            parse(criterion, file);
        }
    })
}

fn parse(criterion: &mut Criterion, file: &Path) {
    let text = fs::read(file).unwrap();
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let id = |what| BenchmarkId::new(what, stem(file));
    let (mut bare, mut block) = (Bare::new(), Block::default());
    group.bench_function(id("limit"), |bencher| bencher.iter(|| bare.parse(&text)));
    group.bench_function(id("read only"), |bencher| {
        bencher.iter(|| {
            each_block(file, &mut block, |block| {
                black_box(block.index);
            });
        });
    });
    let mut parser = Parser::new(&Options::default());
    group.bench_function(id("read and parse"), |bencher| {
        bencher.iter(|| {
            each_block(file, &mut block, |block| {
                black_box(parser.run(block, |line| {
                    black_box(line);
                    Ok(())
                }))
                .unwrap();
            });
        });
    });
}
