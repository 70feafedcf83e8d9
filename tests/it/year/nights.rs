//! A year of nights: the population lives, the pipeline runs and is killed, and the tables follow.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::compare::{self, Rows};
use super::draft::{self, Draft, bundle};
use super::draws::Draws;
use super::life::{LONGEST_OPEN, Life};
use super::pipeline::Pipeline;
use super::server::{Job, Server};

/// What is simulated.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) months: usize,
    /// Increments after the full export of each month.
    pub(super) increments: usize,
    pub(super) patients: usize,
    pub(super) kind: Kind,
    /// In how many of a hundred nights the program is killed.
    pub(super) crashes: usize,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A group, whose roster is followed.
    Group,
    /// All patients.
    Patients,
    /// A group, all of it every night.
    Full,
}

/// From one run to the next: 26 of them are a month.
const BETWEEN_RUNS: SignedDuration = SignedDuration::from_hours(28);
/// Files that a table may have: one for each increment of a month, and the full load's.
const MOST_FILES: usize = 32;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) nights: usize,
    /// Runs that were killed.
    pub(super) crashes: usize,
    /// Nights that ended with a killed run.
    pub(super) abandoned: usize,
    /// Nights whose tables were compared with the model.
    pub(super) compared: usize,
    /// Nights in which the server left something out, and said so.
    pub(super) errors: usize,
    /// Jobs that were begun, and lost with a killed run.
    pub(super) orphans: usize,
    /// Runs that were killed when they had committed all.
    pub(super) repeated: usize,
    pub(super) most_files: usize,
}

/// The year so far.
struct Year {
    plan: Plan,
    server: Server,
    life: Life,
    draws: Draws,
    pipeline: Pipeline,
    /// Durable steps of a run, as far as is known.
    steps: usize,
    /// The first job that no run has used yet.
    unused: usize,
    /// `_since` of the next increment; none: everything.
    since: Option<Timestamp>,
    /// Runs killed since the last that succeeded.
    killed: usize,
    /// Whether the last run that succeeded did all on its own.
    undisturbed: bool,
    /// What the tables held after the last run of each month, by the run, or by the time if it is another's work.
    months: Vec<(String, BTreeMap<&'static str, Rows>)>,
    /// What happened since the last run that succeeded, for whoever looks for what went wrong.
    trail: Vec<String>,
    account: Account,
}

/// Simulates it. Panics where the tables are not what they should be.
pub(super) async fn simulate(plan: Plan) -> Account {
    let mut year = Year::begin(plan).await;
    for month in 0..year.plan.months {
        for night in 0..=year.plan.increments {
            year.night(month > 0 && night == 0).await;
        }
        year.end_of_month().await;
    }
    year.end().await;
    year.account
}

impl Kind {
    /// Settings of `[source.export]`.
    fn settings(self) -> &'static str {
        match self {
            Self::Group => {
                r#"group = "g"
types = ["Patient", "Condition", "Observation"]
since = "auto"
since_overlap = "15m"
new_members = "history"
remove_departed = true
accept_errors = true"#
            }
            Self::Patients => {
                r#"level = "patient"
since = "auto"
since_overlap = "15m"
accept_errors = true"#
            }
            Self::Full => r#"group = "g""#,
        }
    }
}

const OVERLAP: SignedDuration = SignedDuration::from_mins(15);

impl Year {
    async fn begin(plan: Plan) -> Self {
        let mut draws = Draws::new(plan.seed);
        let years = i64::try_from(plan.months.div_ceil(12)).unwrap();
        // Kiln refuses to ask for changes since a time to come: it all has happened by 2026.
        let start = "2026-01-01T02:00:00Z".parse::<Timestamp>().unwrap();
        let start = start - SignedDuration::from_hours(years * 366 * 24);
        let server = Server::start(start, Some(draws.fork())).await;
        let base = server.world().base.clone();
        let mut life = Life::new(draws.fork(), &base);
        life.begin(&mut server.world().population, plan.patients, start - BETWEEN_RUNS);
        let pipeline = Pipeline::new(&base, plan.kind.settings());
        Self {
            plan,
            server,
            life,
            draws,
            pipeline,
            steps: 60,
            unused: 0,
            since: None,
            killed: 0,
            undisturbed: true,
            months: Vec::new(),
            trail: Vec::new(),
            account: Account::default(),
        }
    }

    /// Something happens, and the pipeline runs until it succeeds or is left for the next night.
    async fn night(&mut self, full: bool) {
        self.account.nights += 1;
        self.a_day_goes_by();
        if !full && self.since.is_some() && self.draws.percent(4) {
            self.server.world().change = Some((draft::Kind::Data, left_out()));
        }
        let crashes =
            if self.draws.percent(self.plan.crashes) { 1 + self.draws.below(3) } else { 0 };
        for _ in 0..crashes {
            let step = self.draws.below(self.steps);
            let killed = self.run(full, Some(step)).await;
            if !killed {
                // It has fewer steps.
                self.steps = self.steps.min(step + step / 4 + 2);
                return self.check(full).await;
            }
            self.account.crashes += 1;
            self.killed += 1;
            self.steps = self.steps.max(step + 8);
            if self.draws.percent(10) {
                self.account.abandoned += 1;
                return;
            }
        }
        assert!(!self.run(full, None).await);
        self.check(full).await;
    }

    /// The population lives until the next night.
    fn a_day_goes_by(&mut self) {
        let mut world = self.server.world();
        let from = world.now;
        let to = from + BETWEEN_RUNS;
        self.life.go_on(&mut world.population, from, to);
        world.now = to;
        world.epoch += 1;
    }

    /// Says whether the run was killed; if not, it has succeeded.
    async fn run(&mut self, full: bool, crash_at: Option<usize>) -> bool {
        let arguments: &[&str] = if full { &["--full"] } else { &[] };
        let ended = self.pipeline.run(arguments, crash_at).await;
        let night = self.account.nights;
        let jobs = self.server.world().jobs.len();
        self.trail.push(format!(
            "night {night}: run {arguments:?}, killed before step {crash_at:?}: {:?}, {jobs} jobs so far\n{}",
            ended.code, ended.said
        ));
        match ended.code {
            Some(0) => false,
            None if crash_at.is_some() => true,
            code => panic!("night {night}, killed at {crash_at:?}: {code:?}\n{}", ended.said),
        }
    }

    /// After a run that succeeded: what it asked, and what the tables have.
    async fn check(&mut self, full: bool) {
        let night = self.account.nights;
        let jobs = {
            let world = self.server.world();
            assert_eq!(world.breaches, Vec::<String>::new(), "night {night}");
            world.jobs[self.unused..].to_vec()
        };
        for (at, job) in (self.unused + 1..).zip(&jobs) {
            let Job { asked, kicked, transaction_time, epoch, polled, deleted, .. } = job;
            self.trail.push(format!(
                "job {at}: {:?} since {:?} asked at {kicked} (night {epoch}), until {transaction_time}, polled {polled} \
                 times, deleted: {deleted}, errors: {}",
                asked.kind(), asked.since, job.has_errors,
            ));
        }
        let trail = std::mem::take(&mut self.trail).join("\n");
        self.undisturbed = self.killed == 0;
        self.killed = 0;
        self.unused += jobs.len();
        let used: Vec<_> = jobs.iter().filter(|job| job.polled > 0).collect();
        self.account.orphans += jobs.len() - used.len();
        assert!(self.account.orphans <= self.account.crashes, "night {night}: needless kick-offs");
        let mains = self.mains(&used);
        let last = mains[mains.len() - 1];
        // A full export makes up for whatever a killed run began the night before.
        let begun = if full { &mains[mains.len() - 1..] } else { &mains[..] };
        for main in begun {
            self.check_since(main, full, &trail);
        }
        if last.has_errors {
            self.account.errors += 1;
            return;
        }
        self.life.exported(last.kicked);
        // Where a killed run was gone on with a day later, some of what it asked is older than the rest.
        if used.iter().all(|job| job.epoch == last.epoch) {
            let found = compare::found(&self.pipeline.warehouse()).await;
            let what = format!("night {night}, seed {}\n{trail}", self.plan.seed);
            compare::assert_equal(&found, &compare::expected(&last.state), &what);
            self.account.compared += 1;
        }
    }

    /// The exports of data that were waited for: one for each run that committed. A run that is killed when all is
    /// committed may be one; that it was, `_since` of the next says.
    fn mains<'j>(&mut self, used: &[&'j Job]) -> Vec<&'j Job> {
        let night = self.account.nights;
        let of =
            |kind| used.iter().copied().filter(|job| job.asked.kind() == kind).collect::<Vec<_>>();
        let mains = of(draft::Kind::Data);
        assert!(!mains.is_empty(), "night {night}: nothing was exported");
        self.account.repeated += mains.len() - 1;
        for kind in [draft::Kind::Roster, draft::Kind::History] {
            assert!(of(kind).len() <= mains.len(), "night {night}: {kind:?} more than once");
        }
        assert!(self.account.repeated <= self.account.crashes, "night {night}: needless exports");
        mains
    }

    /// `_since` has gone on exactly once.
    fn check_since(&mut self, main: &Job, full: bool, trail: &str) {
        let night = self.account.nights;
        let asked = main.asked.since;
        if full {
            assert_eq!(asked, None, "night {night}: a full export\n{trail}");
        } else if asked.is_some() || self.since.is_none() {
            assert_eq!(asked, self.since, "night {night}: `_since`\n{trail}");
        } else {
            // A full export of the night before was gone on with.
            let began = main.epoch < self.server.world().epoch;
            assert!(began, "night {night}: asked for everything\n{trail}");
        }
        if !main.has_errors && self.plan.kind != Kind::Full {
            // `Date` has no fractions of a second.
            let date = Timestamp::from_second(main.kicked.as_second()).unwrap();
            self.since = Some(main.transaction_time.min(date) - OVERLAP);
        }
    }

    async fn end_of_month(&mut self) {
        let files = most_files(&self.pipeline.warehouse()).await;
        self.account.most_files = self.account.most_files.max(files);
        assert!(files <= MOST_FILES, "{files} files after night {}", self.account.nights);
        let report = self.pipeline.report();
        // A run that only ends what a killed one began, or that brings nothing new, has no version of its own.
        let own = self.undisturbed && report["outcome"] == "committed";
        let moment = if own {
            report["run"].as_str().unwrap().to_owned()
        } else {
            Timestamp::now().to_string()
        };
        self.months.push((moment, compare::found(&self.pipeline.warehouse()).await));
    }

    /// A last quiet night, then a load from scratch.
    async fn end(&mut self) {
        self.plan.crashes = 0;
        self.server.world().change = None;
        let nights = self.account.nights;
        while self.account.compared == 0 || self.account.nights < nights + 2 {
            self.quiet_night().await;
        }
        let scratch = Pipeline::new(&self.server.world().base, self.plan.kind.settings());
        let loaded = scratch.run(&[], None).await;
        assert_eq!(loaded.code, Some(0), "{}", loaded.said);
        let nightly = compare::whole(&self.pipeline.warehouse()).await;
        assert_eq!(nightly, compare::whole(&scratch.warehouse()).await);
        let polled =
            self.server.world().jobs.iter().filter(|job| job.polled > 0 && !job.deleted).count();
        assert_eq!(polled, 0, "jobs that nobody told the server to forget");
        self.check_months().await;
    }

    /// Nothing is left out or killed; what was seen late is seen now.
    async fn quiet_night(&mut self) {
        self.account.nights += 1;
        self.a_day_goes_by();
        assert!(!self.run(false, None).await);
        self.check(false).await;
    }

    /// The tables as the last run of each month left them.
    async fn check_months(&self) {
        for (run, tables) in &self.months {
            for (table, columns) in compare::TABLES {
                let sql = format!("SELECT {columns} FROM {table}");
                let answer = self.pipeline.query(&["--as-of", run, &sql]).await;
                let mut rows: Rows = answer
                    .lines()
                    .skip(1)
                    .map(|line| {
                        let cells = line.split(',');
                        cells
                            .map(|cell| if cell.is_empty() { "∅" } else { cell }.to_owned())
                            .collect()
                    })
                    .collect();
                rows.sort();
                assert_eq!(&rows, &tables[table], "{table} as of {run}");
            }
        }
    }
}

/// The server loses a third of the lines, and says so.
fn left_out() -> Box<dyn FnOnce(&mut Draft) + Send> {
    Box::new(|draft| {
        for part in &mut draft.output {
            let mut place = 0;
            part.lines.retain(|_| {
                place += 1;
                place % 3 != 1
            });
        }
        draft.output.retain(|part| !part.lines.is_empty());
        draft.deleted = vec![bundle(["Observation/never-was".to_owned()])];
        let issue = json!([{ "severity": "error", "code": "exception", "diagnostics": "some are left out" }]);
        draft.errors.push(json!({ "resourceType": "OperationOutcome", "issue": issue }));
    })
}

/// The most files of a table's current version.
async fn most_files(warehouse: &Path) -> usize {
    let mut most = 0;
    for (table, _) in compare::TABLES {
        let folder = warehouse.join(table).canonicalize().unwrap();
        let url = url::Url::from_directory_path(folder).unwrap();
        let table = deltalake::open_table(url).await.unwrap();
        most = most.max(table.get_file_uris().unwrap().count());
    }
    most
}

const _: () = assert!(LONGEST_OPEN.as_secs() < OVERLAP.as_secs());
