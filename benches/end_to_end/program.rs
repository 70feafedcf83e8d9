//! The contestants: processes that are run in turn, what was measured of them, and whether their outputs agree.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use wait4::Wait4;

use crate::data::{Outcome, at, files_in, median, size, text_of};
use crate::{LIMIT, Options};

/// One contestant and what was measured of it.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<PathBuf>,
    /// Its output folder, made anew for each run.
    pub(crate) out: PathBuf,
    /// Rows of all views together; known after `compare`.
    pub(crate) rows: Option<f64>,
    pub(crate) runs: Vec<Run>,
}

/// One run of a program: seconds and bytes. The limit's are those of parsing alone, and it has no memory or output.
pub(crate) struct Run {
    pub(crate) wall: f64,
    /// The conversion by the program's own clock, without start-up; Kiln's is its whole wall time.
    own: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_memory: f64,
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
        let own = |key| printed.lines().rev().find_map(|line| own_figure(line, key));
        let mut run = Run {
            wall,
            own: own("total_s").unwrap_or(wall),
            cpu: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
            peak_memory: used.rusage.maxrss as f64,
            parquet: parquet as f64,
        };
        if let Some(cpu) = own("cpu_s") {
            run = Run { wall: run.own, cpu, peak_memory: f64::NAN, parquet: f64::NAN, ..run };
        }
        Ok(run)
    }

    /// A line of the first table.
    pub(crate) fn table_row(
        &self,
        bytes: u64,
        anchor: Option<&Self>,
        limit: Option<&Self>,
    ) -> String {
        let walls = || self.runs.iter().map(|run| run.wall);
        let wall = self.median(|run| run.wall);
        let (least, most) = (walls().fold(wall, f64::min), walls().fold(wall, f64::max));
        let figures = [
            format!("{wall:.2} ({least:.2}-{most:.2})"),
            figure(self.median(|run| run.own), 2),
            figure(self.median(|run| run.cpu), 2),
            figure(bytes as f64 / 1e6 / wall, 0),
            figure(self.rows.map_or(f64::NAN, |rows| rows / wall), 0),
            figure(self.median(|run| run.peak_memory) / 1e6, 0),
            figure(self.median(|run| run.parquet) / 1e6, 1),
            self.ratio_text(anchor, |run| run.wall),
            self.ratio_text(anchor, |run| run.own),
            self.ratio_text(anchor, |run| run.cpu),
            self.ratio_text(limit, |run| run.wall),
        ];
        format!("| {} | {} |", self.label, figures.join(" | "))
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, of: fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(of).collect())
    }

    fn ratio_text(&self, other: Option<&Self>, of: fn(&Run) -> f64) -> String {
        figure(other.map_or(f64::NAN, |other| self.ratio(other, of)), 2)
    }

    /// The median over the rounds of this program's figure divided by the other's.
    pub(crate) fn ratio(&self, other: &Self, of: fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().zip(&other.runs).map(|(run, base)| of(run) / of(base)).collect())
    }
}

fn figure(value: f64, decimals: usize) -> String {
    if value.is_nan() { "-".into() } else { format!("{value:.decimals$}") }
}

/// Runs every program once, a different one first each round; round 0 only warms up. A peer that
/// fails is out, with a note.
pub(crate) fn run_all(
    programs: &mut Vec<Program>,
    round: usize,
    notes: &mut Vec<String>,
) -> Outcome<()> {
    let mut failed = BTreeSet::new();
    for turn in 0..programs.len() {
        let index = (round + turn) % programs.len();
        let program = &mut programs[index];
        match program.run() {
            Ok(run) => {
                eprintln!("round {round}: {} {:.3} s", program.name, run.wall);
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
pub(crate) fn compare(
    options: &Options,
    programs: &mut [Program],
    notes: &mut Vec<String>,
) -> bool {
    let Some((kiln, peers)) = programs.split_first_mut() else { return true };
    let mut agree = true;
    for peer in peers.iter_mut().filter(|peer| peer.name != LIMIT) {
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

/// A figure that the program prints of itself, as a member of a JSON object on a line.
fn own_figure(line: &str, key: &str) -> Option<f64> {
    serde_json::from_str::<Value>(line).ok()?.get(key)?.as_f64()
}
