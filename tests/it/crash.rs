//! Killed at any instant, a run leaves every table whole at one version, and the next run just works.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use kiln::query::Engine;
use serde_json::Value;

use crate::support::{block_on, export, kiln, kiln_succeeds, rows};

/// Kills of a run that replaces full tables, and of one that makes the first.
const KILLS: usize = 18;
const KILLS_AT_FIRST: usize = 8;

/// A commit each, and one for `_rejects`.
const SCHEMAS: &str = "['patient', 'patient_address', 'condition', 'observation', 'encounter']";

/// What tells one version of a table from another, by table.
type Tables = BTreeMap<String, String>;

#[test]
fn a_killed_run_leaves_whole_tables() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (Version::make(folder, "a", 30, 1), Version::make(folder, "b", 24, 2));
    for (table, fingerprint) in &a.tables {
        assert_ne!(fingerprint, &b.tables[table], "{table}: the versions can be told apart");
    }

    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    let mut seen = Seen::default();
    for kill in 0..KILLS_AT_FIRST {
        let _ = fs::remove_dir_all(folder.join("warehouse"));
        killed(folder, &b, kill, &mut draws);
        seen.add(folder, &a, &b);
        a.run(folder);
    }
    let (mut old, mut new) = (&a, &b);
    for kill in 0..KILLS {
        killed(folder, new, kill, &mut draws);
        seen.add(folder, old, new);
        new.run(folder);
        (old, new) = (new, old);
    }
    println!("{:?} a run; after the kills: {seen:?}", a.whole.get());
    assert!(seen.old > 0 && seen.new > 0, "kills before and after commits: {seen:?}");
}

/// A pipeline, and what it makes when nobody kills it.
struct Version {
    pipeline: String,
    /// How long the last whole run took: the machine may have other work.
    whole: Cell<Duration>,
    /// The share of it before the commits.
    before_commits: f64,
    tables: Tables,
}

impl Version {
    fn make(folder: &Path, name: &str, patients: usize, seed: u64) -> Self {
        export(&folder.join(name), patients, seed);
        // As many rejects as patients, so that these tables differ too.
        fs::write(folder.join(format!("{name}.ndjson")), "{\n".repeat(patients)).unwrap();
        let pipeline = format!("{name}.toml");
        let text = format!(
            "name = 'same'\nschemas = {SCHEMAS}\n[source]\npath = ['{name}', '{name}.ndjson']\n\
             [warehouse]\npath = 'warehouse'\n[rejects]\nmax = 1000\n"
        );
        fs::write(folder.join(&pipeline), text).unwrap();
        let whole = timed(|| {
            kiln_succeeds(folder, &["run", &pipeline, "--report", "report.json"]);
        });
        let before_commits = 1.0 - commit_seconds(folder) / whole.as_secs_f64();
        Self { pipeline, whole: whole.into(), before_commits, tables: block_on(tables(folder)) }
    }

    /// A run to the end: every table is right, and nothing of dead runs is left that counts.
    fn run(&self, folder: &Path) {
        self.whole.set(timed(|| kiln_succeeds(folder, &["run", &self.pipeline])));
        assert_eq!(block_on(tables(folder)), self.tables, "after {}", self.pipeline);
        let staged = fs::read_dir(folder.join("warehouse/_kiln/staging"));
        assert_eq!(staged.map_or(0, Iterator::count), 0, "staged files are left");
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn commit_seconds(folder: &Path) -> f64 {
    let report = fs::read(folder.join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let mut stages = report["stages"].as_array().unwrap().iter();
    stages.find(|s| s["name"] == "commit").unwrap()["seconds"].as_f64().unwrap()
}

/// Starts a run and kills it: every other one somewhere in its commits, so that these are met often.
fn killed(folder: &Path, version: &Version, kill: usize, draws: &mut Draws) {
    let start = if kill.is_multiple_of(2) { 0.0 } else { version.before_commits };
    let delay = version.whole.get().mul_f64(start + (1.0 - start) * draws.next());
    let mut command = kiln(folder, &["run", &version.pipeline]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    // SIGKILL, on Unix.
    run.kill().unwrap();
    run.wait().unwrap();
}

/// How many tables were found at which version.
#[derive(Debug, Default)]
struct Seen {
    missing: usize,
    old: usize,
    new: usize,
    /// Kills between two commits: tables of both versions.
    mixed: usize,
}

impl Seen {
    /// Every table that exists is wholly one version or wholly the other.
    fn add(&mut self, folder: &Path, old: &Version, new: &Version) {
        let found = block_on(tables(folder));
        self.missing += new.tables.len() - found.len();
        let (mut olds, mut news) = (0, 0);
        for (table, fingerprint) in &found {
            match fingerprint {
                f if f == &old.tables[table] => olds += 1,
                f if f == &new.tables[table] => news += 1,
                f => panic!("{table} is neither version: {f}"),
            }
        }
        self.old += olds;
        self.new += news;
        self.mixed += usize::from(olds > 0 && news > 0);
    }
}

/// Opens every table of the warehouse and reads it through.
async fn tables(folder: &Path) -> Tables {
    let warehouse = folder.join("warehouse");
    let tables = |path: &Path| path.join("_delta_log/00000000000000000000.json").exists();
    let any = fs::read_dir(&warehouse)
        .is_ok_and(|entries| entries.flatten().any(|entry| tables(&entry.path())));
    if !any {
        return Tables::new();
    }
    let engine = Engine::open(&warehouse).await.unwrap();
    let mut found = Tables::new();
    for table in engine.tables().await {
        let (columns, of) = match table.name.as_str() {
            // It keeps those of earlier runs.
            "_rejects" => (
                "count(DISTINCT file), min(file), max(line)",
                "WHERE _run = (SELECT max(_run) FROM _rejects)",
            ),
            _ => ("count(DISTINCT _key), min(_key), max(_key)", ""),
        };
        let sql = format!(
            r#"SELECT count(*), count(DISTINCT _run), {columns} FROM "{}" {of}"#,
            table.name
        );
        found.insert(table.name.clone(), format!("{:?}", rows(&engine, &sql).await));
    }
    found
}

/// Draws from 0 to 1, the same each time (splitmix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
