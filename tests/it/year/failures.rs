//! What goes wrong in single nights, a row each: the failure cases 16 and 22 to 27 of the project's list.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::compare;
use super::draft::{Draft, Kind, Part, bundle, subsetted};
use super::pipeline::Pipeline;
use super::population::When;
use super::server::{Server, World};
use crate::support::block_on;

/// Nights in a row, of a group `g` or of all patients.
struct Case {
    name: &'static str,
    /// Of `[source.export]`, besides `since = "auto"`.
    settings: &'static str,
    nights: Vec<Night>,
}

/// What happens before a run, and what is expected after it.
struct Night {
    happens: fn(&mut World),
    arguments: &'static [&'static str],
    /// `_since`; `-` for none, `*` for any.
    since: &'static str,
    /// Ids of the rows of `patient`.
    patients: &'static str,
    /// Id and value of the rows of `observation`.
    observations: &'static str,
    /// What the report says, each somewhere.
    says: &'static [&'static str],
}

/// When the night with this number (from 1) begins: two in the morning.
fn night(number: usize) -> Timestamp {
    let first: Timestamp = "2025-01-01T02:00:00Z".parse().unwrap();
    first + SignedDuration::from_hours(24 * (i64::try_from(number).unwrap() - 1))
}

fn patient(id: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id, "name": [{ "family": "Family" }] })
}

fn observation(id: &str, patient: &str, value: usize) -> Value {
    json!({
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "subject": { "reference": format!("Patient/{patient}") },
        "component": [{ "code": { "text": "part" }, "valueInteger": value }],
    })
}

impl World {
    /// Resources come or change, an hour before the run.
    fn put(&mut self, resources: impl IntoIterator<Item = Value>) {
        let when = When::at(self.now - SignedDuration::from_hours(1));
        for resource in resources {
            self.population.put(resource, when);
        }
    }

    fn delete(&mut self, kind: &str, id: &str) {
        let when = When::at(self.now - SignedDuration::from_hours(1));
        self.population.delete(&(kind.to_owned(), id.to_owned()), when);
    }

    /// Something else comes than the population would give.
    fn exports(&mut self, kind: Kind, change: impl FnOnce(&mut Draft) + Send + 'static) {
        self.change = Some((kind, Box::new(change)));
    }

    /// The next export of data says that this was deleted.
    fn says_deleted(&mut self, url: &str) {
        let bundle = bundle([url.replace("BASE", &self.base)]);
        self.exports(Kind::Data, |draft| draft.deleted = vec![bundle]);
    }

    /// Patients 1 and 2, with an observation each; 1 is in the group.
    fn two(&mut self) {
        self.put(["1", "2"].map(patient));
        self.put(["1", "2"].map(|id| observation(&format!("o{id}"), id, 1)));
        self.population.set_member("1", true);
    }
}

/// The server leaves something out, and says so.
fn fails(draft: &mut Draft) {
    let text = "some are left out";
    let issue = json!([{ "severity": "error", "code": "exception", "diagnostics": text }]);
    draft.errors.push(json!({ "resourceType": "OperationOutcome", "issue": issue }));
    draft.output.clear();
    draft.add(patient("1"));
}

fn first(patients: &'static str, observations: &'static str) -> Night {
    then(World::two, "-", patients, observations)
}

fn then(
    happens: fn(&mut World),
    since: &'static str,
    patients: &'static str,
    observations: &'static str,
) -> Night {
    Night { happens, arguments: &[], since, patients, observations, says: &[] }
}

impl Night {
    fn says(self, says: &'static [&'static str]) -> Self {
        Self { says, ..self }
    }
}

const NIGHT_1: &str = "2025-01-01T02:00:00Z";
const NIGHT_2: &str = "2025-01-02T02:00:00Z";

fn check(cases: Vec<Case>) {
    let failed: Vec<_> = cases.into_iter().filter_map(|case| block_on(run(case)).err()).collect();
    assert!(failed.is_empty(), "{} rows:\n{}", failed.len(), failed.join("\n"));
}

/// Runs the nights of a case, up to the first that is not as expected.
async fn run(case: Case) -> Result<(), String> {
    let server = Server::start(night(1), None).await;
    let base = server.world().base.clone();
    let settings = format!("since = \"auto\"\n{}", case.settings);
    let pipeline = Pipeline::new(&base, &settings);
    for (at, expected) in case.nights.into_iter().enumerate() {
        let jobs = {
            let mut world = server.world();
            world.now = night(at + 1);
            (expected.happens)(&mut world);
            world.jobs.len()
        };
        let ended = pipeline.run(expected.arguments, None).await;
        let here = format!("{}, night {}", case.name, at + 1);
        if ended.code != Some(0) {
            return Err(format!("{here}: {:?}\n{}", ended.code, ended.said));
        }
        let since = {
            let world = server.world();
            let mut jobs = world.jobs[jobs..].iter();
            let job = jobs.find(|job| job.asked.kind() == Kind::Data);
            let since = job.map(|job| job.asked.since);
            let breaches = world.breaches.join(", ");
            since.ok_or_else(|| format!("{here}: nothing was asked; {breaches}"))?
        };
        let since = match since {
            _ if expected.since == "*" => "*".to_owned(),
            Some(since) => since.to_string(),
            None => "-".to_owned(),
        };
        let report = pipeline.report().to_string();
        let missing: Vec<_> =
            expected.says.iter().filter(|text| !report.contains(**text)).collect();
        let found = (since, rows(&pipeline).await, missing);
        let (patients, observations) = (expected.patients.into(), expected.observations.into());
        let expected = (expected.since.to_owned(), (patients, observations), Vec::new());
        if found != expected {
            return Err(format!(
                "{here}:\n  found    {found:?}\n  expected {expected:?}\n  {report}"
            ));
        }
    }
    let breaches = server.world().breaches.join(", ");
    if breaches.is_empty() { Ok(()) } else { Err(format!("{}: {breaches}", case.name)) }
}

/// The rows of two tables in short.
async fn rows(pipeline: &Pipeline) -> (String, String) {
    let tables = compare::found(&pipeline.warehouse()).await;
    let patients: Vec<_> = tables["patient"].iter().map(|row| row[0].clone()).collect();
    let observations: Vec<_> =
        tables["observation"].iter().map(|row| format!("{}={}", row[0], row[3])).collect();
    (patients.join(" "), observations.join(" "))
}

/// F22: what the transaction time promises is not kept.
#[test]
fn changes_that_an_export_missed_come_with_the_next() {
    let late = |world: &mut World| {
        world.two();
        let minutes = |minutes| SignedDuration::from_mins(minutes);
        let (updated, visible) = (world.now - minutes(10), world.now + minutes(1));
        world.population.put(observation("o1", "1", 7), When { updated, visible });
    };
    let at_end = |world: &mut World| {
        world.two();
        world.exports(Kind::Data, |draft| {
            draft.transaction_time += SignedDuration::from_hours(3);
        });
    };
    let meanwhile = |world: &mut World| {
        let when = When::at(night(1) + SignedDuration::from_hours(1));
        world.population.put(observation("o1", "1", 7), when);
    };
    check(vec![
        Case {
            name: "the transaction time is that of the job's end",
            settings: "",
            nights: vec![
                then(at_end, "-", "1 2", "o1=1 o2=1"),
                then(meanwhile, NIGHT_1, "1 2", "o1=7 o2=1"),
            ],
        },
        Case {
            name: "a transaction was open during the export",
            settings: "since_overlap = \"15m\"",
            nights: vec![
                then(late, "-", "1 2", "o1=1 o2=1"),
                then(|_| (), "2025-01-01T01:45:00Z", "1 2", "o1=7 o2=1"),
            ],
        },
        Case {
            name: "nothing has changed, and that is known",
            settings: "",
            nights: vec![
                first("1 2", "o1=1 o2=1"),
                then(|_| (), NIGHT_1, "1 2", "o1=1 o2=1").says(&["\"unchanged\""]),
                then(|world| world.put([patient("3")]), NIGHT_2, "1 2 3", "o1=1 o2=1"),
            ],
        },
        Case {
            name: "everything is asked for",
            settings: "",
            nights: vec![
                first("1 2", "o1=1 o2=1"),
                Night {
                    arguments: &["--full"],
                    ..then(|world| world.delete("Patient", "2"), "-", "1", "o1=1")
                },
                then(|_| (), NIGHT_2, "1", "o1=1"),
            ],
        },
    ]);
}

/// F23: deletions in all forms.
#[test]
fn deletions_in_all_forms() {
    let gone = |happens| vec![first("1 2", "o1=1 o2=1"), then(happens, NIGHT_1, "2", "o1=1 o2=1")];
    let kept = |happens, says| {
        vec![first("1 2", "o1=1 o2=1"), then(happens, NIGHT_1, "1 2", "o1=1 o2=1").says(says)]
    };
    let case = |name, nights| Case { name, settings: "", nights };
    check(vec![
        case("relative", gone(|world| world.says_deleted("Patient/1"))),
        case("with a slash", gone(|world| world.says_deleted("/Patient/1"))),
        case("absolute", gone(|world| world.says_deleted("BASE/Patient/1"))),
        case("with a version", gone(|world| world.says_deleted("/Patient/1/_history/2"))),
        case("a search by id", gone(|world| world.says_deleted("Patient?_id=1"))),
        case(
            "by `fullUrl`",
            gone(|world| {
                let mut bundle = bundle([String::new()]);
                let url = format!("{}/Patient/1", world.base);
                bundle["entry"][0] = json!({ "fullUrl": url, "request": { "method": "DELETE" } });
                world.exports(Kind::Data, |draft| draft.deleted = vec![bundle]);
            }),
        ),
        case(
            "a search",
            kept(
                |world| world.says_deleted("Patient?identifier=urn:x|1"),
                &["1 deletions not applied: conditional"],
            ),
        ),
        case(
            "on another server",
            kept(
                |world| world.says_deleted("https://other.example/fhir/Patient/1"),
                &["1 deletions not applied: on another server"],
            ),
        ),
        case("nobody knows it", kept(|world| world.says_deleted("Patient/9"), &[])),
        case(
            "several in a Bundle",
            vec![
                first("1 2", "o1=1 o2=1"),
                then(|world| world.delete("Patient", "1"), NIGHT_1, "2", "o2=1"),
            ],
        ),
        case(
            "deleted and there",
            kept(
                |world| {
                    world.put([patient("1")]);
                    world.says_deleted("Patient/1");
                },
                &["1 resources are said to be deleted, and came: they are kept"],
            ),
        ),
        case(
            "deleted, and created again",
            vec![
                first("1 2", "o1=1 o2=1"),
                then(|world| world.delete("Patient", "1"), NIGHT_1, "2", "o2=1"),
                then(|world| world.put([patient("1")]), NIGHT_2, "1 2", "o2=1"),
            ],
        ),
    ]);
}

const HISTORY: &str = "group = \"g\"\nnew_members = \"history\"\naccept_errors = true";
const REMOVE: &str = "group = \"g\"\nnew_members = \"history\"\nremove_departed = true";

/// F24: members come and go.
#[test]
fn the_roster_of_a_group() {
    let joins = |world: &mut World| world.population.set_member("2", true);
    let leaves = |world: &mut World| world.population.set_member("1", false);
    let returns = |world: &mut World| world.population.set_member("1", true);
    check(vec![
        Case {
            name: "a new member's history is loaded",
            settings: HISTORY,
            nights: vec![
                first("1", "o1=1"),
                then(joins, NIGHT_1, "1 2", "o1=1 o2=1")
                    .says(&[r#""members":{"departed":0,"new":1,"now":2}"#]),
                then(|_| (), NIGHT_2, "1 2", "o1=1 o2=1"),
            ],
        },
        Case {
            name: "the server is trusted",
            settings: "group = \"g\"",
            nights: vec![first("1", "o1=1"), then(joins, NIGHT_1, "1", "o1=1")],
        },
        Case {
            name: "who left is reported",
            settings: HISTORY,
            nights: vec![
                then(
                    |world| {
                        world.two();
                        world.population.set_member("2", true);
                    },
                    "-",
                    "1 2",
                    "o1=1 o2=1",
                ),
                then(leaves, NIGHT_1, "1 2", "o1=1 o2=1")
                    .says(&[r#""members":{"departed":1,"new":0,"now":1}"#]),
            ],
        },
        Case {
            name: "who left is removed, and comes back",
            settings: REMOVE,
            nights: vec![
                then(
                    |world| {
                        world.two();
                        world.population.set_member("2", true);
                    },
                    "-",
                    "1 2",
                    "o1=1 o2=1",
                ),
                then(leaves, NIGHT_1, "2", "o2=1"),
                then(returns, NIGHT_2, "1 2", "o1=1 o2=1"),
            ],
        },
        Case {
            name: "something of a new member is deleted while the server is asked",
            settings: HISTORY,
            nights: vec![
                first("1", "o1=1"),
                then(
                    |world| {
                        world.population.set_member("2", true);
                        let event = |world: &mut World| {
                            let key = ("Observation".to_owned(), "o2".to_owned());
                            let when = When::at(world.now);
                            world.population.delete(&key, when);
                        };
                        world.then = Some((Kind::History, Box::new(event)));
                    },
                    NIGHT_1,
                    "1 2",
                    "o1=1",
                ),
            ],
        },
        Case {
            name: "the history of a new member comes with errors",
            settings: HISTORY,
            nights: vec![
                first("1", "o1=1"),
                then(
                    |world| {
                        world.population.set_member("2", true);
                        world.exports(Kind::History, fails);
                    },
                    NIGHT_1,
                    "1",
                    "o1=1",
                ),
                then(|_| (), "*", "1 2", "o1=1 o2=1"),
            ],
        },
    ]);
}

/// F25: an export with errors is not what the next goes on from.
#[test]
fn exports_with_errors() {
    let errors = |world: &mut World| {
        world.put([observation("o1", "1", 7)]);
        world.exports(Kind::Data, fails);
    };
    let first_with_errors = |world: &mut World| {
        world.two();
        world.exports(Kind::Data, fails);
    };
    check(vec![
        Case {
            name: "the same is asked for again",
            settings: "accept_errors = true",
            nights: vec![
                first("1 2", "o1=1 o2=1"),
                then(errors, NIGHT_1, "1 2", "o1=1 o2=1"),
                then(|_| (), NIGHT_1, "1 2", "o1=7 o2=1"),
            ],
        },
        Case {
            name: "unless that is not wanted",
            settings: "accept_errors = true\nadvance_with_errors = true",
            nights: vec![
                first("1 2", "o1=1 o2=1"),
                then(errors, NIGHT_1, "1 2", "o1=1 o2=1"),
                then(|_| (), NIGHT_2, "1 2", "o1=1 o2=1"),
            ],
        },
        Case {
            name: "everything, if it was of everything",
            settings: "accept_errors = true",
            nights: vec![
                then(first_with_errors, "-", "1", ""),
                then(|_| (), "-", "1 2", "o1=1 o2=1"),
                Night { arguments: &["--full"], ..then(errors, "-", "1", "") },
                then(|_| (), "-", "1 2", "o1=7 o2=1"),
            ],
        },
    ]);
}

/// F16: several versions of one resource in an export.
#[test]
fn one_version_counts() {
    fn case(name: &'static str, full: fn(&mut World), increment: fn(&mut World)) -> Case {
        let nights = vec![then(full, "-", "1 2", "o1=7"), then(increment, NIGHT_1, "1 2", "o1=8")];
        Case { name, settings: "", nights }
    }
    fn exports(world: &mut World, parts: Vec<Part>) {
        if world.population.latest("Patient", "1").is_none() {
            world.put(["1", "2"].map(patient));
        }
        world.exports(Kind::Data, |draft| draft.output.extend(parts));
    }
    const EARLY: Option<&str> = Some("2025-01-01T00:00:00Z");
    const LATE: Option<&str> = Some("2025-01-01T01:00:00+01:00");
    const LATER: Option<&str> = Some("2025-01-01T00:00:00.5Z");
    fn of(values: &[(usize, Option<&str>)]) -> Part {
        let lines = values.iter().map(|(value, updated)| {
            let mut line = observation("o1", "1", *value);
            if let Some(updated) = updated {
                line["meta"] = json!({ "lastUpdated": updated });
            }
            line
        });
        Part { kind: "Observation".to_owned(), lines: lines.collect() }
    }
    check(vec![
        case(
            "the older first, in one file",
            |world| exports(world, vec![of(&[(6, EARLY), (7, LATER)])]),
            |world| exports(world, vec![of(&[(7, EARLY), (8, LATER)])]),
        ),
        case(
            "the older last, in another file",
            |world| exports(world, vec![of(&[(7, LATER)]), of(&[(6, EARLY)])]),
            |world| exports(world, vec![of(&[(8, LATER)]), of(&[(7, EARLY)])]),
        ),
        case(
            "without a date, or of the same: the later in the manifest",
            |world| exports(world, vec![of(&[(6, None)]), of(&[(7, None)])]),
            |world| exports(world, vec![of(&[(7, EARLY)]), of(&[(8, LATE)])]),
        ),
        case(
            "the same twice",
            |world| exports(world, vec![of(&[(7, EARLY), (7, EARLY)])]),
            |world| exports(world, vec![of(&[(8, EARLY)]), of(&[(8, EARLY)])]),
        ),
    ]);
}

/// F27: what is not whole replaces nothing.
#[test]
fn subsetted_resources() {
    const SUBSETTED_LATER: fn(&mut Draft) = |draft| {
        let mut part = subsetted(&observation("o1", "1", 1));
        part["meta"]["lastUpdated"] = json!("2025-01-05T00:00:00Z");
        draft.add(part);
    };
    check(vec![
        Case {
            name: "alone",
            settings: "",
            nights: vec![
                first("1 2", "o1=1 o2=1"),
                then(
                    |world| world.exports(Kind::Data, SUBSETTED_LATER),
                    NIGHT_1,
                    "1 2",
                    "o1=1 o2=1",
                ),
            ],
        },
        Case {
            name: "beside the whole one",
            settings: "",
            nights: vec![
                then(
                    |world| {
                        world.two();
                        world.exports(Kind::Data, SUBSETTED_LATER);
                    },
                    "-",
                    "1 2",
                    "o1=1 o2=1",
                ),
                then(
                    |world| {
                        world.put([observation("o1", "1", 7)]);
                        world.exports(Kind::Data, SUBSETTED_LATER);
                    },
                    NIGHT_1,
                    "1 2",
                    "o1=7 o2=1",
                ),
            ],
        },
        Case {
            name: "as it was asked for",
            settings: "elements = [\"Patient.active\"]",
            nights: vec![
                first("1 2", ""),
                then(|world| world.put([patient("3")]), NIGHT_1, "1 2 3", ""),
            ],
        },
    ]);
}
