//! The job: which views over which files, who can do it, and under which conditions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::data::{Outcome, at, cache, files_in, json, resource_file, scaled, size, stem, text_of};
use crate::program::Program;
use crate::{LIMIT, Options};

/// pysof's Parquet path keeps about 25 bytes in memory for each byte of its largest file.
const PYSOF_LIMIT: u64 = 1_000_000_000;

/// What every program does: these views over these files.
pub(crate) struct Job {
    pub(crate) options: Options,
    /// The files of the definitions, in the same order.
    pub(crate) views: Vec<PathBuf>,
    pub(crate) definitions: Vec<Value>,
    data: PathBuf,
    pub(crate) inputs: Vec<PathBuf>,
    /// Bytes of the inputs: each file once, however many views read it.
    pub(crate) bytes: u64,
    /// The programs' output folders; goes away with the job.
    pub(crate) out: tempfile::TempDir,
}

impl Job {
    pub(crate) fn prepare(options: Options) -> Outcome<Self> {
        let cache = cache();
        let made = fs::create_dir_all(&cache).and_then(|()| tempfile::tempdir_in(&cache));
        let out = made.map_err(at(&cache))?;
        let views = files_in(&options.shared.join("bench/views"))?;
        let definitions: Vec<_> = views.iter().map(|view| json(view)).collect::<Outcome<_>>()?;
        let Options { shared, scale, python, .. } = &options;
        let data = options.data.clone().map_or_else(|| scaled(shared, *scale, python), Ok)?;
        let inputs = definitions.iter().map(|definition| resource_file(&data, definition));
        let inputs: Vec<_> = inputs.collect::<BTreeSet<_>>().into_iter().collect();
        let bytes = inputs.iter().map(|file| size(file)).sum::<Outcome<u64>>()?;
        Ok(Self { options, views, definitions, data, inputs, bytes, out })
    }

    /// Kiln first, then the peers that can be run here; `notes` say which cannot.
    pub(crate) fn programs(&self, notes: &mut Vec<String>) -> Vec<Program> {
        let kiln = self.kiln("kiln", &self.views, &self.inputs);
        let mut programs = vec![kiln];
        if let Ok(version) = text_of(Command::new(&self.options.kiln).arg("--version")) {
            version.trim().clone_into(&mut programs[0].label);
        }
        for peer in self.options.peers.split(',').filter(|name| !name.is_empty()) {
            let program = if peer == LIMIT { self.limit() } else { self.peer(peer) };
            match program {
                Ok(program) => programs.push(program),
                Err(reason) => notes
                    .push(format!("{peer} not measured: {}", reason.lines().last().unwrap_or(""))),
            }
        }
        programs
    }

    /// Kiln on these views and inputs, under a name that no other program of the job has.
    pub(crate) fn kiln(&self, name: &str, views: &[PathBuf], inputs: &[PathBuf]) -> Program {
        let mut program = self.program(name, name, &self.options.kiln);
        program.arguments.push("flatten".into());
        for view in views {
            program.arguments.extend(["--view".into(), view.clone()]);
        }
        let threads = self.options.threads.to_string();
        program.arguments.extend(["--format", "parquet", "--threads", &threads].map(PathBuf::from));
        program.arguments.extend(["--out".into(), program.out.clone()]);
        program.arguments.extend_from_slice(inputs);
        program
    }

    fn limit(&self) -> Outcome<Program> {
        let itself = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut program = self.program(LIMIT, "simd-json, tape only", &itself);
        let threads = self.options.threads.to_string();
        program.arguments.extend([LIMIT, &threads].map(PathBuf::from));
        program.arguments.extend_from_slice(&self.inputs);
        Ok(program)
    }

    fn peer(&self, name: &str) -> Outcome<Program> {
        let Options { threads, python, shared, .. } = &self.options;
        let threads = threads.to_string();
        let settings = match name {
            "duckdb" | "polars" => vec!["--compression", "zstd", "--threads", &threads],
            "pysof" if self.bytes > PYSOF_LIMIT => return Err("it would fill the memory".into()),
            "pysof" => vec!["--mode", "parquet"],
            _ => return Err("no such peer".into()),
        };
        let import = format!("import {name}, importlib.metadata as m; print(m.version('{name}'))");
        let version = text_of(Command::new(python).args(["-c", &import]))?;
        let mut program = self.program(name, &format!("{name} {version}"), python);
        let runner = shared.join(format!("bench/run_{name}.py"));
        program.arguments.extend([runner, self.data.clone(), program.out.clone()]);
        program.arguments.extend(settings.into_iter().map(PathBuf::from));
        Ok(program)
    }

    pub(crate) fn program(&self, name: &str, label: &str, executable: &Path) -> Program {
        let (out, label) = (self.out.path().join(name), label.trim().into());
        let (name, executable) = (name.into(), executable.into());
        Program { name, label, executable, arguments: vec![], out, rows: None, runs: vec![] }
    }

    /// The line under the table: what was read, on which machine.
    pub(crate) fn conditions(&self, rows: Option<f64>) -> String {
        let (views, files) = (self.views.len(), self.inputs.len());
        let Options { runs, threads, .. } = self.options;
        let date = jiff::Timestamp::now().to_string();
        let rows = rows.map_or(String::new(), |rows| format!(", {rows} rows"));
        let memory = setting("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>();
        let memory = memory.unwrap_or(f64::NAN) / 1e6;
        format!(
            "{views} views over {:.1} MB in {files} files{rows}, medians of {runs} rounds, {threads} threads. {} cores of {}, {memory:.1} GB of memory, {}, {}.",
            self.bytes as f64 / 1e6,
            cores(),
            setting("/proc/cpuinfo", "model name"),
            setting("/etc/os-release", "PRETTY_NAME"),
            &date[..10],
        )
    }
}

impl Job {
    /// The definition of the view with this name, and the file that it reads.
    pub(crate) fn view(&self, name: &str) -> Outcome<(PathBuf, PathBuf)> {
        let place = self.views.iter().position(|view| stem(view) == name);
        let place = place.ok_or_else(|| format!("no view {name}"))?;
        Ok((self.views[place].clone(), resource_file(&self.data, &self.definitions[place])))
    }
}

/// The value of a `key: value` or `KEY=value` line of one of the system's files.
fn setting(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_once([':', '=']));
    value.map_or("unknown", |(_, value)| value.trim().trim_matches('"')).into()
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
