//! A Bulk Data server whose data changes: each export shows the population as it is at the kick-off.
//!
//! ```text
//! /fhir/metadata   /fhir[/Patient|/Group/g]/$export ──► /fhir/jobs/n ──► /fhir/jobs/n/files/m
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::draft::{Asked, Draft, Kind, Mess};
use super::draws::Draws;
use super::population::{Key, Population};

/// What a test changes in an export.
type Change = Box<dyn FnOnce(&mut Draft) + Send>;
/// What happens when the server has taken a request.
type Event = Box<dyn FnOnce(&mut World) + Send>;

/// The server, until the runtime ends.
#[derive(Clone)]
pub(super) struct Server {
    world: Arc<Mutex<World>>,
}

/// All there is.
pub(super) struct World {
    pub(super) population: Population,
    /// The server's clock.
    pub(super) now: Timestamp,
    /// Counts nights.
    pub(super) epoch: usize,
    pub(super) jobs: Vec<Job>,
    /// What the client must not do, and did.
    pub(super) breaches: Vec<String>,
    /// Happens to the next export of this kind.
    pub(super) change: Option<(Kind, Change)>,
    /// Happens after the next kick-off of this kind.
    pub(super) then: Option<(Kind, Event)>,
    /// Where they are there, exports are untidy and requests fail now and then.
    pub(super) mess: Option<Draws>,
    pub(super) base: String,
    /// Requests that have just failed: they do not fail twice.
    failed: BTreeSet<String>,
}

/// An export.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) asked: Asked,
    /// By the server's clock.
    pub(super) kicked: Timestamp,
    pub(super) transaction_time: Timestamp,
    pub(super) epoch: usize,
    /// What a load of everything at that moment would give.
    pub(super) state: BTreeMap<Key, Value>,
    pub(super) has_errors: bool,
    /// How often its status was asked for.
    pub(super) polled: usize,
    pub(super) deleted: bool,
    manifest: Value,
    files: Vec<File>,
}

#[derive(Debug, Clone)]
struct File {
    body: Vec<u8>,
    gzip: bool,
}

impl Server {
    /// Starts it, without any resource.
    pub(super) async fn start(now: Timestamp, mess: Option<Draws>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(World {
            population: Population::default(),
            now,
            epoch: 0,
            jobs: Vec::new(),
            breaches: Vec::new(),
            change: None,
            then: None,
            mess,
            base,
            failed: BTreeSet::new(),
        }));
        let app = axum::Router::new().fallback(respond).with_state(world.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { world }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

/// An answer, without `Date`.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn json(status: u16, value: &Value) -> Self {
        let body = value.to_string().into_bytes();
        Self { body, ..Self::new(status) }.header("content-type", "application/json")
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn refusal(text: &str) -> Self {
        let issue = json!([{ "severity": "error", "code": "invalid", "diagnostics": text }]);
        Self::json(400, &json!({ "resourceType": "OperationOutcome", "issue": issue }))
    }
}

async fn respond(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let mut world = world.lock().unwrap();
    // When the request came: what happens while it is answered happens later.
    let now = world.now;
    let answer = world.answer(&head, &body);
    let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap();
    let mut response = Response::builder().status(answer.status).header("date", date);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

impl World {
    fn answer(&mut self, head: &axum::http::request::Parts, body: &[u8]) -> Answer {
        let (method, path) = (head.method.as_str(), head.uri.path());
        if let Some(failure) = self.failure(&format!("{method} {path}")) {
            return failure;
        }
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["fhir", "metadata"]) => {
                Answer::json(200, &json!({ "resourceType": "CapabilityStatement" }))
            }
            ("GET" | "POST", ["fhir", .., "$export"]) => match asked(head, body) {
                Ok(asked) => self.kick_off(asked),
                Err(why) => {
                    self.breaches.push(format!("{method} {path}: {why}"));
                    Answer::refusal(&why)
                }
            },
            ("GET", ["fhir", "jobs", job]) => self.status(job),
            ("DELETE", ["fhir", "jobs", job]) => self.forget(job),
            ("GET", ["fhir", "jobs", job, "files", file]) => self.file(job, file),
            _ => {
                self.breaches.push(format!("{method} {path} is no url of this server"));
                Answer::new(404)
            }
        }
    }

    /// Now and then a request fails for a passing reason.
    fn failure(&mut self, request: &str) -> Option<Answer> {
        let draws = self.mess.as_mut()?;
        if self.failed.remove(request) || !draws.percent(2) {
            return None;
        }
        self.failed.insert(request.to_owned());
        let status = *draws.pick(&[429, 503]);
        Some(Answer::new(status).header("retry-after", "0"))
    }

    fn kick_off(&mut self, asked: Asked) -> Answer {
        if asked.since.is_some_and(|since| since > self.now) {
            self.breaches.push("`_since` is in the future".to_owned());
        }
        if asked.kind() == Kind::History && asked.since.is_some() {
            self.breaches.push("the history of new members is asked for with `_since`".to_owned());
        }
        let (kind, job) = (asked.kind(), self.job(asked));
        self.jobs.push(job);
        if let Some((_, event)) = self.then.take_if(|(awaited, _)| *awaited == kind) {
            event(self);
        }
        let location = format!("{}/jobs/{}", self.base, self.jobs.len());
        if self.mess.is_some() {
            // Others ask in between, and time goes by.
            self.now += SignedDuration::from_millis(1300);
        }
        Answer::new(202).header("content-location", location)
    }

    fn job(&mut self, asked: Asked) -> Job {
        let (kicked, population) = (self.now, &self.population);
        let mut draft = Draft::tidy(&asked, population, kicked);
        let base = &self.base;
        let mess = |draws| Mess { asked: &asked, population, now: kicked, base, draws };
        if let Some(draws) = &mut self.mess {
            mess(draws).make(&mut draft);
        }
        if let Some((_, change)) = self.change.take_if(|(kind, _)| *kind == asked.kind()) {
            change(&mut draft);
        }
        let everything = Asked { group: asked.group, ..Asked::default() };
        let state = everything.select(population, kicked).into_iter();
        let state = state.map(|seen| (seen.key.clone(), seen.version.content.clone().unwrap()));
        let mut job = Job {
            kicked,
            transaction_time: draft.transaction_time,
            epoch: self.epoch,
            state: state.collect(),
            has_errors: !draft.errors.is_empty(),
            polled: 0,
            deleted: false,
            manifest: Value::Null,
            files: Vec::new(),
            asked,
        };
        let at = format!("{}/jobs/{}", self.base, self.jobs.len() + 1);
        job.serve(&draft, &self.base, &at, self.mess.as_mut());
        job
    }

    fn status(&mut self, job: &str) -> Answer {
        let waits = self.mess.as_mut().is_some_and(|draws| draws.percent(20));
        let Some(job) = self.find(job) else { return Answer::new(404) };
        job.polled += 1;
        if waits {
            return Answer::new(202).header("retry-after", "0");
        }
        Answer::json(200, &job.manifest)
    }

    fn forget(&mut self, job: &str) -> Answer {
        let Some(job) = self.find(job) else { return Answer::new(404) };
        job.deleted = true;
        Answer::new(202)
    }

    fn file(&mut self, job: &str, file: &str) -> Answer {
        let file = file.parse::<usize>().ok();
        let file = file.and_then(|file| self.find(job)?.files.get(file));
        let Some(file) = file else { return Answer::new(404) };
        let answer = Answer { body: file.body.clone(), ..Answer::new(200) }
            .header("content-type", "application/fhir+ndjson");
        if file.gzip { answer.header("content-encoding", "gzip") } else { answer }
    }

    fn find(&mut self, job: &str) -> Option<&mut Job> {
        let place = job.parse::<usize>().ok()?.checked_sub(1)?;
        self.jobs.get_mut(place).filter(|job| !job.deleted)
    }
}

impl Job {
    /// Makes the files and the manifest.
    fn serve(&mut self, draft: &Draft, base: &str, at: &str, mut mess: Option<&mut Draws>) {
        let mut entry = |kind: &str, lines: &[Value]| {
            let gzip = mess.as_mut().is_some_and(|draws| draws.percent(30));
            let url = format!("{at}/files/{}", self.files.len());
            self.files.push(File { body: body(lines, gzip), gzip });
            json!({ "type": kind, "url": url, "count": lines.len() })
        };
        let output: Vec<_> =
            draft.output.iter().map(|part| entry(&part.kind, &part.lines)).collect();
        let mut one = |kind, lines: &[Value]| {
            if lines.is_empty() { Vec::new() } else { vec![entry(kind, lines)] }
        };
        self.manifest = json!({
            "transactionTime": draft.transaction_time.to_string(),
            "request": format!("{base}/$export"),
            "requiresAccessToken": false,
            "output": output,
            "deleted": one("Bundle", &draft.deleted),
            "error": one("OperationOutcome", &draft.errors),
        });
    }
}

fn body(lines: &[Value], gzip: bool) -> Vec<u8> {
    let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
    if !gzip {
        return text.into_bytes();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Reads a kick-off strictly.
fn asked(head: &axum::http::request::Parts, body: &[u8]) -> Result<Asked, String> {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if header("prefer") != Some("respond-async") {
        return Err(format!("`Prefer` is {:?}", header("prefer")));
    }
    let parameters = if head.method == "GET" {
        let query = head.uri.query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    } else {
        posted(body)?
    };
    let mut asked = Asked { group: head.uri.path().contains("/Group/"), ..Asked::default() };
    for (name, value) in &parameters {
        match name.as_str() {
            "_since" => asked.since = Some(value.parse().map_err(|_| "`_since` is no instant")?),
            "_type" => asked.types.extend(value.split(',').map(str::to_owned)),
            "_elements" => asked.elements.extend(value.split(',').map(str::to_owned)),
            "patient" if head.method == "POST" => {
                let id = value.strip_prefix("Patient/").ok_or("`patient` is no reference")?;
                asked.patients.push(id.to_owned());
            }
            "_outputFormat" => {}
            _ => return Err(format!("parameter `{name}` is not supported")),
        }
    }
    Ok(asked)
}

fn posted(body: &[u8]) -> Result<Vec<(String, String)>, String> {
    let body: Value = serde_json::from_slice(body).map_err(|e| format!("no JSON: {e}"))?;
    let one = |parameter: &Value| {
        let name = parameter["name"].as_str().ok_or("a parameter without name")?;
        let value = match name {
            "_since" => &parameter["valueInstant"],
            "patient" => &parameter["valueReference"]["reference"],
            _ => &parameter["valueString"],
        };
        let value = value.as_str().ok_or_else(|| format!("`{name}` has the wrong type"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    body["parameter"].as_array().into_iter().flatten().map(one).collect()
}
