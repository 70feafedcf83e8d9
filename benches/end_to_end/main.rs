//! The main job end to end: eight views from NDJSON to zstd Parquet, Kiln beside its peers and beside the limit.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../data/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod data;
mod job;
mod program;
mod targets;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use data::{Outcome, at, limit, shared, sql};
use job::{Job, cores};
use program::{compare, run_all};

const USAGE: &str = "\
usage: cargo bench --bench end_to_end -- [options]
  --data DIR     folder with <Type>.ndjson of the types the views read (made with scale.py)
  --scale N      copies of the base export in the data made without --data (10: 367 MB are read)
  --runs N       measured rounds, after one that is compared and not measured (5)
  --peers A,B    of duckdb, polars, pysof, limit (duckdb,limit)
  --targets      then also the second table: start-up, threads, added views, kinds of files, SQL
  --python PATH  interpreter that has the peers' packages (KILN_PYTHON, else python3)
  --kiln PATH    another build of Kiln (the one cargo built)
  --threads N    threads for every program (all cores)
KILN_SHARED names the folder with bench/ and data/synthea/ (../shared).";
/// The peer that ratios refer to.
const ANCHOR: &str = "duckdb";
/// The bare parse of the same lines: what no program can be faster than.
const LIMIT: &str = "limit";
/// The argument with which the benchmark starts itself to ask queries.
const QUERIES: &str = "queries";
const HEADER: &str = "\
| | wall s (min-max) | own clock s | CPU s | MB/s | rows/s | peak RSS MB | Parquet MB \
| wall / DuckDB | own clock / DuckDB | CPU / DuckDB | wall / limit |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        println!("nothing measured: `cargo bench` runs this"); // it always passes --bench
        return ExitCode::SUCCESS;
    }
    arguments.retain(|argument| argument != "--bench");
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [LIMIT, threads, ref files @ ..] => print_limit(threads, files),
        [QUERIES, warehouse, times] => print_queries(warehouse, times),
        _ => Options::parse(&arguments).and_then(|options| benchmark(options, &arguments)),
    };
    done.unwrap_or_else(|message| {
        eprintln!("{message}");
        ExitCode::FAILURE
    })
}

/// Measures and prints; fails after that when the outputs do not agree.
fn benchmark(options: Options, arguments: &[String]) -> Outcome<ExitCode> {
    let Some(shared) = shared() else { return Ok(ExitCode::SUCCESS) };
    let job = Job::prepare(Options { shared, ..options })?;
    let mut notes = Vec::new();
    let mut programs = job.programs(&mut notes);
    run_all(&mut programs, 0, &mut notes)?;
    let agree = compare(&job.options, &mut programs, &mut notes);
    for round in 1..=job.options.runs {
        run_all(&mut programs, round, &mut notes)?;
    }
    println!("{HEADER}");
    let named = |name| programs.iter().find(|program| program.name == name);
    for program in &programs {
        println!("{}", program.table_row(job.bytes, named(ANCHOR), named(LIMIT)));
    }
    println!("\n`cargo bench --bench end_to_end -- {}`", arguments.join(" "));
    println!("{}", job.conditions(programs[0].rows));
    for note in notes {
        println!("\n{note}");
    }
    if job.options.targets {
        targets::print(&job, &programs[0], named(ANCHOR), named(LIMIT))?;
    }
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the limit's process does.
fn print_limit(threads: &str, files: &[&str]) -> Outcome<ExitCode> {
    let nothing: Box<dyn Read> = Box::new(io::empty());
    let text = files.iter().try_fold(nothing, |text, file| -> Outcome<Box<dyn Read>> {
        let file = File::open(file).map_err(at(file.as_ref()))?;
        Ok(Box::new(text.chain(file)))
    });
    let (wall, cpu) = limit::parse_all(text?, threads.parse().map_err(|_| USAGE)?);
    let figures = serde_json::json!({ "total_s": wall.as_secs_f64(), "cpu_s": cpu.as_secs_f64() });
    println!("{figures}");
    Ok(ExitCode::SUCCESS)
}

/// What the process does that asks Kiln's tables, as `run_queries.py` asks a peer's.
fn print_queries(warehouse: &str, times: &str) -> Outcome<ExitCode> {
    let Some(shared) = shared() else { return Ok(ExitCode::SUCCESS) };
    sql::print_medians(&shared, warehouse.as_ref(), times.parse().map_err(|_| USAGE)?)?;
    Ok(ExitCode::SUCCESS)
}

struct Options {
    data: Option<PathBuf>,
    scale: usize,
    runs: usize,
    peers: String,
    python: PathBuf,
    kiln: PathBuf,
    threads: usize,
    /// Whether the second table is wanted.
    targets: bool,
    shared: PathBuf,
}

impl Options {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let or = |name, default: &str| std::env::var_os(name).unwrap_or_else(|| default.into());
        let mut options = Self {
            data: None,
            scale: 10,
            runs: 5,
            peers: format!("{ANCHOR},{LIMIT}"),
            python: or("KILN_PYTHON", "python3").into(),
            kiln: env!("CARGO_BIN_EXE_kiln").into(),
            threads: cores(),
            targets: arguments.iter().any(|argument| argument == "--targets"),
            shared: PathBuf::new(),
        };
        let pairs: Vec<_> = arguments.iter().filter(|argument| *argument != "--targets").collect();
        for pair in pairs.chunks(2) {
            let [name, value] = pair else { return Err(USAGE.into()) };
            let wrong = |reason| format!("{name} {value}: {reason}\n{USAGE}");
            let number = || value.parse().ok().filter(|n| *n > 0).ok_or(wrong("not a number"));
            match name.as_str() {
                "--data" => options.data = Some(value.into()),
                "--scale" => options.scale = number()?,
                "--runs" => options.runs = number()?,
                "--peers" => options.peers.clone_from(value),
                "--python" => options.python = value.into(),
                "--kiln" => options.kiln = value.into(),
                "--threads" => options.threads = number()?,
                _ => return Err(wrong("no such option")),
            }
        }
        Ok(options)
    }
}
