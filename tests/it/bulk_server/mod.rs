//! A Bulk Data server in process: it keeps to the guide, is strict with its client, and fails where a test says so.
//!
//! ```text
//! own origin    /fhir/metadata  /fhir/.well-known/smart-configuration  /auth/token  /fhir/Group?…
//!               /fhir[/Patient|/Group/id]/$export ──► /fhir/jobs/n ──► [/fhir/jobs/n/pages/m] ──► /files/n/g/name
//! other origin  /bucket/n/g/name?X-Amz-Signature=…   (presigned: a token or a header of the client's is a breach)
//! ```

mod answer;
mod asked;
mod discovery;
mod fault;
mod files;
mod jobs;
mod keys;
mod kick_off;
mod setup;
mod sign_in;
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::response::Response;
use jiff::Timestamp;
use tokio::net::TcpListener;
use url::Url;

pub(crate) use answer::{Answer, outcome};
pub(crate) use asked::{Asked, Route};
pub(crate) use fault::{Fault, Packing};
pub(crate) use keys::TestKey;
pub(crate) use setup::{File, Guide, Section, Setup, SignIn};

/// What presigned urls are signed with; a secret.
pub(crate) const SIGNATURE: &str = "presigned-5f1e0c9b";
/// The only client, and its secret.
pub(crate) const CLIENT: &str = "kiln-test-client";
/// For Basic client credentials.
pub(crate) const CLIENT_SECRET: &str = "basic-secret-77aa01";
/// A header that belongs to the own origin alone.
pub(crate) const VENDOR_HEADER: &str = "epic-client-id";

/// The server, on two ports of its own, until the runtime ends.
pub(crate) struct BulkServer {
    shared: Arc<Shared>,
}

/// Which port a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Own,
    Other,
}

/// What all requests share.
struct Shared {
    setup: Setup,
    /// Places of files, by name; the first counts.
    names: BTreeMap<String, usize>,
    own: Url,
    other: Url,
    record: Mutex<Record>,
}

/// What happened so far.
#[derive(Default)]
struct Record {
    asked: Vec<Asked>,
    /// What the client must not do, and did.
    breaches: Vec<String>,
    counts: BTreeMap<Route, usize>,
    jobs: Vec<jobs::Job>,
    tokens: Vec<sign_in::Issued>,
    assertions: Vec<String>,
    jtis: BTreeSet<String>,
    /// Links of an earlier generation are dead.
    generation: usize,
    /// When files were served, for the rate limit.
    served: VecDeque<Timestamp>,
    in_flight: usize,
}

impl BulkServer {
    /// Starts it.
    pub(crate) async fn start(setup: Setup) -> Self {
        let (own, other) = (listen().await, listen().await);
        let places = setup.files.iter().enumerate().rev();
        let shared = Arc::new(Shared {
            names: places.map(|(at, file)| (file.name.clone(), at)).collect(),
            setup,
            own: origin_of(&own),
            other: origin_of(&other),
            record: Mutex::default(),
        });
        for (listener, origin) in [(own, Origin::Own), (other, Origin::Other)] {
            let app = axum::Router::new().fallback(respond).with_state((shared.clone(), origin));
            tokio::spawn(async move { axum::serve(listener, app).await });
        }
        Self { shared }
    }

    /// The base url, as users write it.
    pub(crate) fn base(&self) -> Url {
        Url::parse(&self.shared.base()).unwrap()
    }

    /// Every request so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.record().asked.clone()
    }

    /// Requests of a route; `Route::file("*")` for those of all files.
    pub(crate) fn of(&self, route: &Route) -> Vec<Asked> {
        self.asked().into_iter().filter(|a| route.covers(&a.route)).collect()
    }

    /// How many there were.
    pub(crate) fn count(&self, route: &Route) -> usize {
        self.of(route).len()
    }

    /// What was asked for by the kick-offs that were taken.
    pub(crate) fn parameters(&self) -> Vec<Vec<(String, String)>> {
        self.shared.record().jobs.iter().map(|job| job.parameters.clone()).collect()
    }

    /// All tokens given, all assertions that came.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let record = self.shared.record();
        let tokens = record.tokens.iter().map(|issued| issued.token.clone());
        tokens.chain(record.assertions.iter().cloned()).collect()
    }

    /// What the client did against the guide.
    pub(crate) fn breaches(&self) -> Vec<String> {
        self.shared.record().breaches.clone()
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn origin_of(listener: &TcpListener) -> Url {
    Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

/// Answers a request: what the guide says, bent by the faults that are due.
async fn respond(
    State((shared, origin)): State<(Arc<Shared>, Origin)>,
    request: Request,
) -> Response {
    let asked = Asked::read(request, origin).await;
    let faults = shared.arrived(&asked);
    let mut answer = None;
    for fault in &faults {
        answer = fault.strike(&shared).await.or(answer);
    }
    let mut answer = match answer {
        Some(answer) => answer,
        None => shared.usual(&asked).await,
    };
    for fault in &faults {
        answer = fault.bend(answer, &shared, &asked);
    }
    shared.record().in_flight -= 1;
    let date = httpdate::fmt_http_date(SystemTime::from(shared.now()));
    answer.header_if_missing("date", &date).respond()
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    /// The server's clock.
    fn now(&self) -> Timestamp {
        self.setup.clock.now() + self.setup.clock_ahead
    }

    fn base(&self) -> String {
        format!("{}fhir", self.own)
    }

    fn breach(&self, what: impl Into<String>) {
        self.record().breaches.push(what.into());
    }

    /// Records a request, and says what is to go wrong with it.
    fn arrived(&self, asked: &Asked) -> Vec<Fault> {
        let mut record = self.record();
        let count = record.counts.entry(asked.route.clone()).or_default();
        *count += 1;
        let nth = *count;
        record.in_flight += 1;
        let in_flight = record.in_flight;
        record.asked.push(Asked { in_flight, ..asked.clone() });
        let due = |(route, when, _): &&(Route, _, Fault)| {
            let when: &std::ops::RangeInclusive<usize> = when;
            route.covers(&asked.route) && when.contains(&nth)
        };
        self.setup.faults.iter().filter(due).map(|(.., fault)| fault.clone()).collect()
    }

    /// What the guide says.
    async fn usual(&self, asked: &Asked) -> Answer {
        match &asked.route {
            Route::Metadata => Self::metadata(asked),
            Route::SmartConfiguration => self.smart_configuration(asked),
            Route::Token => self.token(asked),
            Route::Groups => self.groups(asked),
            Route::KickOff => self.kick_off(asked),
            Route::Status => self.status(asked),
            Route::Page(page) => self.page(asked, *page),
            Route::Delete => self.delete(asked),
            Route::File(name) => self.file(asked, name).await,
            Route::Unknown => {
                self.breach(format!("{} {} is no url of this server", asked.method, asked.url));
                outcome(404, "error", "not-found", "there is nothing")
            }
        }
    }
}
