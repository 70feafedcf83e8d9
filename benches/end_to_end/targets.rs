//! The second table: what was asked of the first, then start-up, threads, added views, kinds of files, and SQL.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::QUERIES;
use crate::data::{Outcome, at, json, median, sql, stem, text_of};
use crate::job::Job;
use crate::program::{Program, Run, run_all};

const HEADER: &str = "| | measured | asked |\n| --- | --- | ---: |";
/// Rounds of what takes milliseconds.
const SHORT_RUNS: usize = 20;
/// A view, and another that is added to it.
const ADDED: &[[&str; 2]] =
    &[["patient_demographics", "patient_addresses"], ["observation", "observation"]];
const SMALL_FILES: usize = 20_000;
const SMALL_FILE_BYTES: usize = 5_000;
/// Rounds of the queries, each with so many answers to each query.
const QUERY_RUNS: usize = 3;
const ANSWERS: &str = "30";

/// Measures and prints.
pub(crate) fn print(
    job: &Job,
    kiln: &Program,
    anchor: Option<&Program>,
    limit: Option<&Program>,
) -> Outcome<()> {
    println!("\n{HEADER}");
    first_table(kiln, anchor, limit);
    start_up(job)?;
    threads(job)?;
    for [first, second] in ADDED {
        added_view(job, first, second)?;
    }
    small_files(job)?;
    compressed(job)?;
    queries(job, anchor)
}

fn row(what: &str, measured: &str, asked: &str) {
    println!("| {what} | {measured} | {asked} |");
}

/// Runs all, one round to warm up and `runs` that count; a failure of any ends it.
fn run<const N: usize>(programs: [Program; N], runs: usize) -> Outcome<[Program; N]> {
    let (mut programs, mut failures) = (Vec::from(programs), Vec::new());
    for round in 0..=runs {
        run_all(&mut programs, round, &mut failures)?;
    }
    programs.try_into().map_err(|_| failures.join("\n"))
}

fn wall(run: &Run) -> f64 {
    run.wall
}

fn first_table(kiln: &Program, anchor: Option<&Program>, limit: Option<&Program>) {
    let ratio = |n: f64| format!("{n:.2}");
    if let Some(limit) = limit {
        row("wall time: Kiln / limit", &ratio(kiln.ratio(limit, wall)), "<= 2.5");
    }
    if let Some(anchor) = anchor {
        row("wall time: DuckDB / Kiln", &ratio(anchor.ratio(kiln, wall)), ">= 3.5");
        row("CPU time: DuckDB / Kiln", &ratio(anchor.ratio(kiln, |run| run.cpu)), ">= 2");
    }
    let memory = kiln.median(|run| run.peak_memory) / f64::from(1 << 20);
    row("peak memory", &format!("{memory:.0} MiB"), "< 512 MiB");
}

fn start_up(job: &Job) -> Outcome<()> {
    let (view, file) = job.view("patient_demographics")?;
    let one = job.out.path().join("Patient.ndjson");
    let first = BufReader::new(File::open(&file).map_err(at(&file))?).lines().next();
    fs::write(&one, first.transpose().map_err(at(&file))?.unwrap_or_default()).map_err(at(&one))?;
    let [program] = run([job.kiln("start-up", &[view], &[one])], SHORT_RUNS)?;
    let milliseconds = program.median(wall) * 1e3;
    row("start-up: one resource", &format!("{milliseconds:.1} ms"), "< 30 ms");
    Ok(())
}

fn threads(job: &Job) -> Outcome<()> {
    let all = job.kiln("all threads", &job.views, &job.inputs);
    let mut one = job.kiln("one thread", &job.views, &job.inputs);
    let count = one.arguments.iter().position(|argument| argument.as_os_str() == "--threads");
    one.arguments[count.expect("Kiln is told the number of threads") + 1] = "1".into();
    let [one, all] = run([one, all], job.options.runs)?;
    let what = format!("1 thread / {} threads", job.options.threads);
    row(&what, &walls(&one, &all), ">= 1.8 on two cores");
    Ok(())
}

/// The wall times of two programs, and how often the second goes into the first.
fn walls(a: &Program, b: &Program) -> String {
    format!("{:.2} s / {:.2} s: {:.2}", a.median(wall), b.median(wall), a.ratio(b, wall))
}

/// What a second view over a file costs, as a share of what it costs alone.
fn added_view(job: &Job, first: &str, second: &str) -> Outcome<()> {
    let (first_view, file) = job.view(first)?;
    let (mut second_view, _) = job.view(second)?;
    if first == second {
        second_view = under_another_name(job, &second_view)?;
    }
    let input = [file];
    let both = [first_view.clone(), second_view.clone()];
    let programs = [
        job.kiln("first view", &[first_view], &input),
        job.kiln("second view", &[second_view], &input),
        job.kiln("both views", &both, &input),
    ];
    let [first_run, second_run, both_run] = run(programs, job.options.runs)?;
    let share = |of: fn(&Run) -> f64| {
        let rounds = both_run.runs.iter().zip(&first_run.runs).zip(&second_run.runs);
        median(rounds.map(|((both, one), added)| (of(both) - of(one)) / of(added)).collect())
    };
    let what = format!("{second} added to {first}: share of its cost alone");
    row(&what, &format!("{:.2} (CPU {:.2})", share(wall), share(|run| run.cpu)), "< 0.25");
    Ok(())
}

fn under_another_name(job: &Job, view: &Path) -> Outcome<PathBuf> {
    let mut definition = json(view)?;
    let name = format!("{}_again", stem(view));
    let copy = job.out.path().join(format!("{name}.json"));
    definition["name"] = name.into();
    fs::write(&copy, definition.to_string()).map_err(at(&copy))?;
    Ok(copy)
}

/// The same lines in many small files and in one.
fn small_files(job: &Job) -> Outcome<()> {
    let (view, file) = job.view("observation")?;
    let (folder, one) = (job.out.path().join("small"), job.out.path().join("one.ndjson"));
    fs::create_dir(&folder).map_err(at(&folder))?;
    let mut whole = File::create(&one).map_err(at(&one))?;
    let mut lines = BufReader::new(File::open(&file).map_err(at(&file))?);
    let mut files = 0;
    while files < SMALL_FILES {
        let mut text = Vec::new();
        while text.len() < SMALL_FILE_BYTES {
            if lines.read_until(b'\n', &mut text).map_err(at(&file))? == 0 {
                break;
            }
        }
        if text.is_empty() {
            break;
        }
        whole.write_all(&text).map_err(at(&one))?;
        fs::write(folder.join(format!("{files:05}.ndjson")), text).map_err(at(&folder))?;
        files += 1;
    }
    let views = [view];
    let programs =
        [job.kiln("small files", &views, &[folder]), job.kiln("one file", &views, &[one])];
    let [many, one] = run(programs, job.options.runs)?;
    let what = format!("{files} files of 5 kB / one file");
    row(&what, &walls(&many, &one), "<= 2");
    Ok(())
}

/// The whole job from compressed files.
fn compressed(job: &Job) -> Outcome<()> {
    let folder = job.out.path().join("compressed");
    fs::create_dir(&folder).map_err(at(&folder))?;
    let packed = |extension: &str| -> Vec<_> {
        job.inputs.iter().map(|file| folder.join(stem(file) + ".ndjson." + extension)).collect()
    };
    let (gzip, zstd) = (packed("gz"), packed("zst"));
    for ((file, gzip), zstd) in job.inputs.iter().zip(&gzip).zip(&zstd) {
        pack(file, gzip, zstd)?;
    }
    let programs = [
        job.kiln("plain", &job.views, &job.inputs),
        job.kiln("gzip", &job.views, &gzip),
        job.kiln("zstd", &job.views, &zstd),
    ];
    let [plain, gzip, zstd] = run(programs, job.options.runs)?;
    for packed in [gzip, zstd] {
        let figures = [packed.median(wall), plain.median(wall), packed.ratio(&plain, wall)];
        let [packed_wall, plain_wall, ratio] = figures;
        let cpu = packed.ratio(&plain, |run| run.cpu);
        let measured = format!("{packed_wall:.2} s / {plain_wall:.2} s: {ratio:.2} (CPU {cpu:.2})");
        row(&format!("{} / plain", packed.name), &measured, "-");
    }
    Ok(())
}

fn pack(file: &Path, gzip: &Path, zstd: &Path) -> Outcome<()> {
    let open = || File::open(file).map_err(at(file));
    let level = flate2::Compression::default();
    let to = File::create(gzip).map_err(at(gzip))?;
    let mut encoder = flate2::write::GzEncoder::new(to, level);
    std::io::copy(&mut BufReader::with_capacity(1 << 20, open()?), &mut encoder)
        .and_then(|_| encoder.finish())
        .map_err(at(gzip))?;
    let to = File::create(zstd).map_err(at(zstd))?;
    zstd::stream::copy_encode(open()?, to, 0).map_err(at(zstd))
}

/// What a process says of a query: milliseconds and rows.
type Answers = BTreeMap<String, (f64, u64)>;

/// Kiln on its tables beside DuckDB on the Parquet that it has just written; each in one process, warm.
fn queries(job: &Job, anchor: Option<&Program>) -> Outcome<()> {
    let Some(anchor) = anchor else { return Ok(()) };
    let warehouse = job.out.path().join("warehouse");
    sql::make_warehouse(&job.definitions, &job.inputs, &warehouse, job.options.threads)?;
    let itself = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut ours = Command::new(itself);
    ours.arg(QUERIES).arg(&warehouse).arg(ANSWERS);
    let mut theirs = Command::new(&job.options.python);
    theirs.arg(job.options.shared.join("bench/run_queries.py")).arg("duckdb").arg(&anchor.out);
    theirs.args(["--reps", ANSWERS, "--threads", &job.options.threads.to_string()]);
    let mut rounds = Vec::new();
    for _ in 0..QUERY_RUNS {
        rounds.push((answers(&mut ours)?, answers(&mut theirs)?));
    }
    let mut sums = [0.0; 2];
    for (query, (_, rows)) in &rounds[0].0 {
        let other_rows = rounds[0].1.get(query).map(|answer| answer.1);
        if other_rows != Some(*rows) {
            return Err(format!("{query}: Kiln gives {rows} rows, DuckDB {other_rows:?}"));
        }
        let kiln = median(rounds.iter().map(|round| round.0[query].0).collect());
        let duckdb = median(rounds.iter().map(|round| round.1[query].0).collect());
        compared(&format!("SQL {query}"), [kiln, duckdb], "-");
        sums = [sums[0] + kiln, sums[1] + duckdb];
    }
    compared("SQL, sum", sums, "<= 1");
    Ok(())
}

fn compared(what: &str, [kiln, duckdb]: [f64; 2], asked: &str) {
    let measured = format!("{kiln:.1} ms / {duckdb:.1} ms: {:.2}", kiln / duckdb);
    row(&format!("{what}: Kiln / DuckDB"), &measured, asked);
}

fn answers(command: &mut Command) -> Outcome<Answers> {
    let text = text_of(command)?;
    let answers = text.lines().filter_map(|line| {
        let answer: Value = serde_json::from_str(line).ok()?;
        let figures = (answer["ms"].as_f64()?, answer["rows"].as_u64()?);
        Some((answer["q"].as_str()?.to_owned(), figures))
    });
    Ok(answers.collect())
}
