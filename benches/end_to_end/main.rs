//! The main job end to end: eight views from NDJSON to zstd Parquet, Kiln beside its peers.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use wait4::Wait4;

const USAGE: &str = "\
usage: cargo bench --bench end_to_end -- [options]
  --data DIR     folder with <Type>.ndjson of the types the views read (made with scale.py)
  --scale N      copies of the base export in the data made without --data (10: 367 MB are read)
  --runs N       measured rounds, after one that is compared and not measured (5)
  --peers A,B    of duckdb, polars, pysof (duckdb)
  --python PATH  interpreter that has the peers' packages (KILN_PYTHON, else python3)
  --kiln PATH    another build of Kiln (the one cargo built)
  --threads N    threads for every program (all cores)
KILN_SHARED names the folder with bench/ and data/synthea/ (../shared).";
/// The peer that ratios refer to.
const ANCHOR: &str = "duckdb";
/// pysof's Parquet path keeps about 25 bytes in memory for each byte of its largest file.
const PYSOF_LIMIT: u64 = 1_000_000_000;
const UNPACK: &str = "
import gzip, os, shutil, sys
for f in filter(lambda f: f.endswith('.gz'), os.listdir(sys.argv[1])):
    with gzip.open(f'{sys.argv[1]}/{f}') as i, open(f'{sys.argv[2]}/{f[:-3]}', 'wb') as o:
        shutil.copyfileobj(i, o)";
const HEADER: &str = "\
| | wall s (min-max) | own clock s | CPU s | MB/s | rows/s | peak RSS MB | Parquet MB \
| wall / DuckDB | own clock / DuckDB | CPU / DuckDB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        println!("nothing measured: `cargo bench` runs this"); // it always passes --bench
        return ExitCode::SUCCESS;
    }
    arguments.retain(|argument| argument != "--bench");
    match Options::parse(&arguments).and_then(|options| benchmark(&options, &arguments)) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; fails after that when the outputs do not agree.
fn benchmark(options: &Options, arguments: &[String]) -> Outcome<ExitCode> {
    let bench = options.shared.join("bench");
    if !bench.is_dir() {
        println!("nothing measured: no folder {}; KILN_SHARED names its parent", bench.display());
        return Ok(ExitCode::SUCCESS);
    }
    let job = Job::prepare(options)?;
    let mut notes = Vec::new();
    let mut programs = job.programs(options, &mut notes)?;
    run_all(&mut programs, 0, &mut notes)?;
    let agree = compare(options, &mut programs, &mut notes);
    for round in 1..=options.runs {
        run_all(&mut programs, round, &mut notes)?;
    }
    println!("{HEADER}");
    let anchor = programs.iter().find(|program| program.name == ANCHOR);
    for program in &programs {
        println!("{}", program.table_row(job.bytes, anchor));
    }
    println!("\n`cargo bench --bench end_to_end -- {}`", arguments.join(" "));
    println!("{}", job.conditions(options));
    for note in notes {
        println!("\n{note}");
    }
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Options {
    data: Option<PathBuf>,
    scale: usize,
    runs: usize,
    peers: String,
    python: PathBuf,
    kiln: PathBuf,
    threads: usize,
    shared: PathBuf,
}

impl Options {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let or = |name, default: &str| std::env::var_os(name).unwrap_or_else(|| default.into());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut options = Self {
            data: None,
            scale: 10,
            runs: 5,
            peers: ANCHOR.into(),
            python: or("KILN_PYTHON", "python3").into(),
            kiln: env!("CARGO_BIN_EXE_kiln").into(),
            threads: cores(),
            shared: root.join(or("KILN_SHARED", "../shared")),
        };
        for pair in arguments.chunks(2) {
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

/// What every program does: these views over these files.
struct Job {
    views: Vec<PathBuf>,
    data: PathBuf,
    inputs: Vec<PathBuf>,
    /// Bytes of the inputs: each file once, however many views read it.
    bytes: u64,
    /// The programs' output folders; goes away with the job.
    out: tempfile::TempDir,
}

impl Job {
    fn prepare(options: &Options) -> Outcome<Self> {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-data");
        let made = fs::create_dir_all(&cache).and_then(|()| tempfile::tempdir_in(&cache));
        let out = made.map_err(at(&cache))?;
        let views = files_in(&options.shared.join("bench/views"))?;
        let types: BTreeSet<String> =
            views.iter().map(|view| resource_type(view)).collect::<Outcome<_>>()?;
        let data = options.data.clone().map_or_else(|| scaled_data(options, &cache), Ok)?;
        let inputs: Vec<_> = types.iter().map(|name| data.join(format!("{name}.ndjson"))).collect();
        let bytes = inputs.iter().map(|file| size(file)).sum::<Outcome<u64>>()?;
        Ok(Self { views, data, inputs, bytes, out })
    }

    /// Kiln first, then the peers that can be run here; `notes` say which cannot.
    fn programs(&self, options: &Options, notes: &mut Vec<String>) -> Outcome<Vec<Program>> {
        let mut programs = vec![self.kiln(options)?];
        for peer in options.peers.split(',').filter(|name| !name.is_empty()) {
            match self.peer(options, peer) {
                Ok(program) => programs.push(program),
                Err(reason) => notes
                    .push(format!("{peer} not measured: {}", reason.lines().last().unwrap_or(""))),
            }
        }
        Ok(programs)
    }

    fn kiln(&self, options: &Options) -> Outcome<Program> {
        let version = text_of(Command::new(&options.kiln).arg("--version"))?;
        let mut program = self.program("kiln", &version, &options.kiln);
        program.arguments.push("flatten".into());
        for view in &self.views {
            program.arguments.extend(["--view".into(), view.clone()]);
        }
        program.arguments.extend(["--format", "parquet", "--threads"].map(PathBuf::from));
        program.arguments.extend([options.threads.to_string().into(), "--out".into()]);
        program.arguments.push(program.out.clone());
        program.arguments.extend(self.inputs.iter().cloned());
        Ok(program)
    }

    fn peer(&self, options: &Options, name: &str) -> Outcome<Program> {
        let threads = options.threads.to_string();
        let settings = match name {
            "duckdb" | "polars" => vec!["--compression", "zstd", "--threads", &threads],
            "pysof" if self.bytes > PYSOF_LIMIT => return Err("it would fill the memory".into()),
            "pysof" => vec!["--mode", "parquet"],
            _ => return Err("no such peer".into()),
        };
        let import = format!("import {name}, importlib.metadata as m; print(m.version('{name}'))");
        let version = text_of(Command::new(&options.python).args(["-c", &import]))?;
        let mut program = self.program(name, &format!("{name} {version}"), &options.python);
        let runner = options.shared.join(format!("bench/run_{name}.py"));
        program.arguments.extend([runner, self.data.clone(), program.out.clone()]);
        program.arguments.extend(settings.into_iter().map(PathBuf::from));
        Ok(program)
    }

    fn program(&self, name: &str, label: &str, executable: &Path) -> Program {
        let (out, label) = (self.out.path().join(name), label.trim().into());
        let (name, executable) = (name.into(), executable.into());
        Program { name, label, executable, arguments: vec![], out, rows: None, runs: vec![] }
    }

    /// The line under the table: what was read, on which machine.
    fn conditions(&self, options: &Options) -> String {
        let (views, files) = (self.views.len(), self.inputs.len());
        let Options { runs, threads, .. } = options;
        let memory = setting("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>();
        let memory = memory.unwrap_or(f64::NAN) / 1e6;
        format!(
            "{views} views over {:.1} MB in {files} files, medians of {runs} rounds, {threads} threads. {} cores of {}, {memory:.1} GB of memory, {}.",
            self.bytes as f64 / 1e6,
            cores(),
            setting("/proc/cpuinfo", "model name"),
            setting("/etc/os-release", "PRETTY_NAME"),
        )
    }
}

/// Unpacks the base export and copies it `scale` times, unless that was done before.
fn scaled_data(options: &Options, cache: &Path) -> Outcome<PathBuf> {
    let (scaled, base) = (cache.join(format!("x{}", options.scale)), cache.join("base"));
    if scaled.is_dir() {
        return Ok(scaled);
    }
    eprintln!("making {}", scaled.display());
    fs::create_dir_all(&base).map_err(at(&base))?;
    let (packed, unfinished) = (options.shared.join("data/synthea"), scaled.with_extension("part"));
    text_of(Command::new(&options.python).args(["-c", UNPACK]).args([&packed, &base]))?;
    let (script, copies) = (options.shared.join("bench/scale.py"), options.scale.to_string());
    let mut scale = Command::new(&options.python);
    text_of(scale.arg(script).args([&base, &unfinished]).arg(copies))?;
    fs::rename(&unfinished, &scaled).map_err(at(&scaled))?;
    Ok(scaled)
}

/// One contestant and what was measured of it.
struct Program {
    name: String,
    label: String,
    executable: PathBuf,
    arguments: Vec<PathBuf>,
    out: PathBuf,
    /// Rows of all views together; known after `compare`.
    rows: Option<f64>,
    runs: Vec<Run>,
}

/// One run of a program: seconds and bytes.
struct Run {
    wall: f64,
    /// The conversion by the program's own clock, without start-up; Kiln's is its whole wall time.
    own: f64,
    cpu: f64,
    peak_memory: f64,
    parquet: f64,
}

impl Program {
    fn run(&self) -> Outcome<Run> {
        let _ = fs::remove_dir_all(&self.out);
        let log = self.out.with_extension("log");
        let stdout = fs::create_dir_all(&self.out).and_then(|()| File::create(&log));
        let stdout = stdout.map_err(at(&log))?;
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments).stderr(stdout.try_clone().unwrap()).stdout(stdout);
        let start = Instant::now();
        let used = command.spawn().and_then(Wait4::wait4).map_err(at(&self.executable))?;
        let wall = start.elapsed().as_secs_f64();
        let printed = String::from_utf8_lossy(&fs::read(&log).map_err(at(&log))?).into_owned();
        if !used.status.success() || printed.contains("\"error\":") {
            return Err(format!("{}: {}\n{}", self.name, used.status, printed.trim_end()));
        }
        let parquet = files_in(&self.out)?.iter().map(|file| size(file)).sum::<Outcome<u64>>()?;
        Ok(Run {
            wall,
            own: printed.lines().rev().find_map(own_seconds).unwrap_or(wall),
            cpu: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
            peak_memory: used.rusage.maxrss as f64,
            parquet: parquet as f64,
        })
    }

    fn table_row(&self, bytes: u64, anchor: Option<&Self>) -> String {
        let middle = |of: fn(&Run) -> f64| median(self.runs.iter().map(of).collect());
        let ratio = |of| anchor.map_or("-".into(), |other| format!("{:.2}", self.ratio(other, of)));
        let wall = middle(|run| run.wall);
        let walls = || self.runs.iter().map(|run| run.wall);
        let (least, most) = (walls().fold(wall, f64::min), walls().fold(wall, f64::max));
        let [own, cpu] = [middle(|run| run.own), middle(|run| run.cpu)];
        let rate = bytes as f64 / 1e6 / wall;
        let rows = self.rows.map_or("-".into(), |rows| format!("{:.0}", rows / wall));
        let memory = middle(|run| run.peak_memory) / 1e6;
        let parquet = middle(|run| run.parquet) / 1e6;
        let ratios =
            [ratio(|run| run.wall), ratio(|run| run.own), ratio(|run| run.cpu)].join(" | ");
        format!(
            "| {} | {wall:.2} ({least:.2}-{most:.2}) | {own:.2} | {cpu:.2} | {rate:.0} | {rows} | {memory:.0} | {parquet:.1} | {ratios} |",
            self.label
        )
    }

    /// The median over the rounds of this program's figure divided by the other's.
    fn ratio(&self, other: &Self, of: fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().zip(&other.runs).map(|(run, base)| of(run) / of(base)).collect())
    }
}

/// Runs every program once, a different one first each round; round 0 only warms up. A peer that
/// fails is out, with a note.
fn run_all(programs: &mut Vec<Program>, round: usize, notes: &mut Vec<String>) -> Outcome<()> {
    let mut failed = BTreeSet::new();
    for turn in 0..programs.len() {
        let index = (round + turn) % programs.len();
        let program = &mut programs[index];
        match program.run() {
            Ok(run) => {
                eprintln!("round {round}: {} {:.2} s", program.name, run.wall);
                program.runs.extend((round > 0).then_some(run));
            }
            Err(reason) if index == 0 => return Err(reason),
            Err(reason) => {
                failed.insert(program.name.clone());
                notes.push(format!("Not measured: {reason}"));
            }
        }
    }
    programs.retain(|program| !failed.contains(&program.name));
    Ok(())
}

/// Compares Kiln's rows and cells, view by view, with each peer's; false if any differ.
fn compare(options: &Options, programs: &mut [Program], notes: &mut Vec<String>) -> bool {
    let Some((kiln, peers)) = programs.split_first_mut() else { return true };
    let mut agree = true;
    for peer in peers {
        let mut verify = Command::new(&options.python);
        verify.arg(options.shared.join("bench/verify.py")).args([&kiln.out, &peer.out]);
        let (same, report) = text_of(&mut verify).map_or_else(|e| (false, e), |text| (true, text));
        let rows = report.lines().filter_map(row_counts).reduce(|a, b| (a.0 + b.0, a.1 + b.1));
        (kiln.rows, peer.rows) = rows.unzip();
        agree &= same;
        notes.push(if same {
            format!("{} and Kiln agree on every cell of every view.", peer.label)
        } else {
            format!("KILN (A) NOT SHOWN TO AGREE WITH {} (B):\n{report}", peer.label)
        });
    }
    agree
}

/// `view rows 100 vs 100 only-A …`, as verify.py prints it.
fn row_counts(line: &str) -> Option<(f64, f64)> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "rows").skip(1);
    let kiln = words.next()?.parse().ok()?;
    Some((kiln, words.nth(1)?.parse().ok()?))
}

fn own_seconds(line: &str) -> Option<f64> {
    serde_json::from_str::<serde_json::Value>(line).ok()?.get("total_s")?.as_f64()
}

fn resource_type(view: &Path) -> Outcome<String> {
    let text = fs::read(view).map_err(at(view))?;
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(at(view))?;
    json["resource"].as_str().map(Into::into).ok_or_else(|| at(view)("no resource"))
}

/// The value of a `key: value` or `KEY=value` line of one of the system's files.
fn setting(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_once([':', '=']));
    value.map_or("unknown", |(_, value)| value.trim().trim_matches('"')).into()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn size(file: &Path) -> Outcome<u64> {
    fs::metadata(file).map(|data| data.len()).map_err(at(file))
}

fn files_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(at(folder))?.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// What a command prints; when it fails, that is the error.
fn text_of(command: &mut Command) -> Outcome<String> {
    let output =
        command.output().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text.into_owned()) } else { Err(text.into_owned()) }
}

fn at<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}
