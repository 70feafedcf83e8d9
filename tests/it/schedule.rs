//! `kiln schedule` as a service: runs happen, are retried, stopped and reloaded; health and metrics answer.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::command::{check, folder, kiln, run};
use crate::support::export;

/// How long an event may take on a machine with other work.
const PATIENCE: Duration = Duration::from_mins(2);

/// A pipeline over the sample in `export`, with lines of its schedule.
fn pipeline(name: &str, schedule: &str) -> String {
    format!(
        "name = '{name}'\nschemas = ['patient']\n[source]\npath = '../export'\n\
         [warehouse]\npath = '../{name}'\n[schedule]\n{schedule}\n"
    )
}

/// A pipeline whose server is at a port of this machine.
fn asking(name: &str, port: u16, schedule: &str) -> String {
    format!(
        "name = '{name}'\nschemas = ['patient']\n\
         [source.export]\nserver = 'http://127.0.0.1:{port}/fhir'\nattempts = 1\n\
         [warehouse]\npath = '../{name}'\n[schedule]\n{schedule}\n"
    )
}

const EVERY_SECOND: &str = "cron = '* * * * * *'";

/// The service over the folder `pipelines`.
struct Service {
    child: Child,
    events: Receiver<Value>,
    seen: Vec<Value>,
}

impl Service {
    fn start(folder: &Path, arguments: &[&str], envs: &[(&str, &str)]) -> Self {
        let mut command = kiln(folder, &["schedule", "pipelines", "--poll", "50ms"]);
        command.args(arguments).envs(envs.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (send, events) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect(&line);
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        Self { child, events, seen: Vec::new() }
    }

    /// Waits for the next event that has all of these values.
    fn wait(&mut self, expected: &[(&str, Value)]) -> Value {
        loop {
            let Ok(event) = self.events.recv_timeout(PATIENCE) else {
                panic!("no {expected:?} after:\n{:#?}", self.seen)
            };
            self.seen.push(event.clone());
            if expected.iter().all(|(key, value)| event[*key] == *value) {
                return event;
            }
        }
    }

    /// Waits for an event of a pipeline.
    fn of(&mut self, pipeline: &str, event: &str) -> Value {
        self.wait(&[("event", event.into()), ("pipeline", pipeline.into())])
    }

    /// The answer to a request: status line and all.
    fn ask(&self, path: &str, header: &str) -> String {
        let started = self.seen.iter().find(|event| event["event"] == "listening");
        let address = started.expect("it listens")["address"].as_str().unwrap().to_owned();
        let mut stream = TcpStream::connect(address).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: kiln\r\n{header}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Tells it to stop, and gives the events from then on; it ends well.
    fn stop(mut self) -> Vec<Value> {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.wait(&[("event", "stopping".into())]);
        let before = self.seen.len();
        self.wait(&[("event", "stopped".into())]);
        assert!(self.child.wait().unwrap().success(), "{:#?}", self.seen);
        self.seen.split_off(before)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn pipelines_run_and_files_are_read_again() {
    let folder = folder(&[("pipelines/a.toml", &pipeline("a", EVERY_SECOND))]);
    let folder = folder.path();
    let file = |name: &str| folder.join("pipelines").join(name);
    export(&folder.join("export"), 2, 1);
    let mut service = Service::start(folder, &["--listen", "127.0.0.1:0"], &[]);
    service.wait(&[("event", "listening".into())]);
    let ended = service.of("a", "run_ended");
    assert_eq!((&ended["exit_code"], &ended["attempt"]), (&0.into(), &1.into()), "{ended}");
    assert!(folder.join("a/patient/_delta_log").is_dir());

    // Health is told anew after each event: when a second run ends, it knows of the first.
    service.of("a", "run_ended");
    let health = service.ask("/health", "");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let body: Value = serde_json::from_str(health.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let a = &body["pipelines"]["a"];
    assert_eq!((&body["status"], &a["late"]), (&"ok".into(), &false.into()), "{body}");
    assert_eq!(a["last_run"]["outcome"], "succeeded", "{body}");
    assert!(a["next_slot"].is_string(), "{body}");
    let metrics = service.ask("/metrics", "");
    let success = r#"kiln_schedule_runs_total{pipeline="a",outcome="succeeded"} "#;
    let count =
        metrics.lines().find_map(|line| line.strip_prefix(success)).expect("in the metrics");
    assert!(count.parse::<u32>().unwrap() >= 1, "{metrics}");
    assert!(service.ask("/live", "").starts_with("HTTP/1.1 200"));

    // Another file appears, one gets mistakes and is mended, one goes.
    fs::write(file("b.toml"), pipeline("b", EVERY_SECOND)).unwrap();
    service.of("b", "pipeline_loaded");
    service.of("b", "run_started");
    fs::write(file("a.toml"), "name = 'a'\n[schedule]\ncron = 'soon'\n").unwrap();
    let mistakes = service.wait(&[("event", "mistakes".into())]);
    assert_eq!(mistakes["last_good_version_stays"], true);
    assert!(mistakes["file"].as_str().unwrap().ends_with("a.toml"));
    service.of("a", "run_started");
    assert_eq!(service.of("a", "run_ended")["exit_code"], 0, "as it was when it was good");
    fs::write(file("a.toml"), pipeline("a", "cron = '0 0 1 1 *'")).unwrap();
    let changed = service.of("a", "pipeline_changed");
    assert!(changed["next_slot"].as_str().unwrap().ends_with("-01-01T00:00:00Z"), "{changed}");
    fs::write(file("c.toml"), pipeline("b", EVERY_SECOND)).unwrap();
    let namesake = service.wait(&[("event", "mistakes".into())]);
    assert!(namesake["mistakes"][0].as_str().unwrap().contains("has the name `b` too"));
    fs::remove_file(file("b.toml")).unwrap();
    service.of("b", "pipeline_removed");
    // What stood in the way of the other file is gone.
    service.of("b", "run_started");

    let after = service.stop();
    assert!(after.iter().all(|event| event["event"] != "run_started"), "{after:#?}");
}

#[test]
fn runs_are_retried_stopped_and_skipped() {
    // A server that never answers, and one that is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone_port = gone.local_addr().unwrap().port();
    drop(gone);
    let every = |rest: &str| format!("{EVERY_SECOND}\n{rest}");
    let folder = folder(&[
        ("pipelines/a.toml", &asking("gone", gone_port, &every("retries = 1\nbackoff = '50ms'"))),
        ("pipelines/b.toml", &asking("skips", port, EVERY_SECOND)),
        ("pipelines/c.toml", &asking("replaced", port, &every("overlap = 'replace'"))),
        ("pipelines/d.toml", &asking("slow", port, &every("timeout = '1s'\nbackoff = '50ms'"))),
        ("pipelines/e.toml", &pipeline("refused", EVERY_SECOND).replace("../export", "../none")),
    ]);
    let arguments = ["--listen", "off", "--parallel", "5", "--grace", "0"];
    let mut service = Service::start(folder.path(), &arguments, &[]);
    let ended = |service: &mut Service, pipeline: &str, outcome: &str| {
        service.wait(&[
            ("event", "run_ended".into()),
            ("pipeline", pipeline.into()),
            ("outcome", outcome.into()),
        ])
    };
    let failed = ended(&mut service, "gone", "failed");
    assert_eq!(failed["exit_code"], 9, "{failed}");
    assert!(failed["said"].as_array().is_some_and(|lines| !lines.is_empty()), "{failed}");
    let retry = service.of("gone", "retry");
    assert_eq!((&retry["attempt"], &retry["slot"]), (&2.into(), &failed["slot"]));
    let second = service.of("gone", "run_ended");
    assert_eq!((&second["attempt"], &second["slot"]), (&2.into(), &failed["slot"]));
    service.of("skips", "slot_skipped");
    ended(&mut service, "replaced", "replaced");
    let slow = ended(&mut service, "slow", "timed_out");
    assert_eq!(slow["exit_code"], Value::Null);
    let refused = ended(&mut service, "refused", "failed");
    assert_eq!(refused["exit_code"], 4, "{refused}");

    // The runs that hang are stopped, since there is no grace.
    let seen_retries = |e: &Value| e["event"] == "retry" && e["pipeline"] == "refused";
    assert!(!service.seen.iter().any(seen_retries), "exit code 4 does not pass");
    let after = service.stop();
    let stopped = |e: &Value| {
        e["event"] == "run_ended" && e["pipeline"] == "skips" && e["outcome"] == "stopped"
    };
    assert!(after.iter().any(stopped), "{after:#?}");
}

#[test]
fn what_is_due_runs_once() {
    let daily = "cron = '0 0 * * *'\ncatch_up_within = '2d'";
    let text = pipeline("a", daily);
    let folder = folder(&[("pipelines/a.toml", &text)]);
    let folder = folder.path();
    let once = ["schedule", "--once", "--log", "text", "pipelines/a.toml"];
    // There is no export yet: the code is the run's, and the slot is done with.
    let ran = run(folder, &once, "");
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("error: the run of `a` ended with exit code 4"), "{}", ran.stderr);
    assert!(ran.stdout.contains(" run_ended pipeline=a slot="), "{}", ran.stdout);
    let ran = run(folder, &once, "");
    assert_eq!((ran.code, ran.stdout.contains("run_started")), (0, false), "{}", ran.stdout);

    export(&folder.join("export"), 2, 1);
    fs::write(folder.join("pipelines/b.toml"), pipeline("b", daily)).unwrap();
    let both = ["schedule", "--once", "pipelines"];
    let ran = run(folder, &both, "");
    let started = ran.stdout.lines().filter(|line| line.contains("run_started")).count();
    assert_eq!((ran.code, started), (0, 1), "{}{}", ran.stdout, ran.stderr);
    assert!(folder.join("b/patient/_delta_log").is_dir());

    let ran = run(folder, &["schedule", "--list", "--format", "csv", "pipelines"], "");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!((ran.code, lines.len(), lines[0]), (0, 7, "pipeline,slot,local_time,file"));
    assert!(
        lines[1].starts_with("a,") && lines[1].ends_with("T00:00:00+00:00,pipelines/a.toml"),
        "{lines:?}"
    );
}

#[test]
fn the_service_says_why_it_does_not_start() {
    let folder = folder(&[
        ("pipelines/a.toml", &pipeline("a", EVERY_SECOND)),
        (
            "without.toml",
            &pipeline("b", EVERY_SECOND).replace("[schedule]", "").replace(EVERY_SECOND, ""),
        ),
    ]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = |arguments: &[&str], code: i32, said: &str| {
        let ran = run(folder.path(), &[&["schedule"], arguments].concat(), "");
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    };
    let open = ["pipelines", "--listen", "0.0.0.0:0"];
    refused(&open, 2, "can be reached from other machines");
    let unset = [&open[..], &["--token-env", "KILN_NO_SUCH_VARIABLE"]].concat();
    refused(&unset, 3, "`KILN_NO_SUCH_VARIABLE` is not set");
    refused(&["pipelines", "--listen", &address], 6, "cannot listen on");
    refused(&["nowhere"], 4, "there is no file or folder `nowhere`");
    refused(&["without.toml"], 3, "no pipeline has a schedule");
    check(
        folder.path(),
        &["schedule", "--list", "--format", "csv", "without.toml"],
        0,
        "pipeline,slot,local_time,file\n",
        &[],
    );
}

#[test]
fn who_has_no_token_is_not_answered() {
    let folder = folder(&[("pipelines/a.toml", &pipeline("a", "cron = '0 0 1 1 *'"))]);
    let arguments = ["--listen", "127.0.0.1:0", "--token-env", "KILN_TEST_TOKEN"];
    let mut service = Service::start(folder.path(), &arguments, &[("KILN_TEST_TOKEN", "s3cret")]);
    service.wait(&[("event", "listening".into())]);
    for (path, header, status) in [
        ("/health", "", "401"),
        ("/metrics", "", "401"),
        ("/metrics", "Authorization: Bearer s3cre\r\n", "401"),
        ("/metrics", "Authorization: Basic s3cret\r\n", "401"),
        ("/metrics", "Authorization: Bearer s3cret\r\n", "200"),
        ("/health", "authorization: bearer s3cret\r\n", "200"),
        ("/live", "", "200"),
        ("/", "", "404"),
    ] {
        let answer = service.ask(path, header);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {header}: {answer}");
        assert!(status == "200" || !answer.contains("kiln_"), "{answer}");
    }
    assert!(service.stop().iter().all(|event| !event.to_string().contains("s3cret")));
}
