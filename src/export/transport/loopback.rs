//! Servers on loopback for tests: they answer as told and remember what they were asked.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use crate::export::request::{ExportRequest, KickOff, Level};
use crate::export::settings::{AuthSettings, Settings};

/// A server in this process.
pub(in crate::export) struct Server {
    pub(in crate::export) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(in crate::export) struct Seen {
    pub(in crate::export) method: String,
    /// With the query.
    pub(in crate::export) path: String,
    pub(in crate::export) headers: HeaderMap,
    pub(in crate::export) body: String,
}

impl Seen {
    /// A header as text; empty where there is none.
    pub(in crate::export) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    /// Answers each request as `answer` says, which is told how many came before.
    pub(in crate::export) async fn answering(
        answer: impl Fn(&Seen, usize) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let all = Arc::clone(&seen);
        let handler = move |request: axum::extract::Request| {
            let (answer, all) = (answer.clone(), Arc::clone(&all));
            async move {
                let (parts, body) = request.into_parts();
                let request = Seen {
                    method: parts.method.to_string(),
                    path: parts.uri.to_string(),
                    headers: parts.headers,
                    body: String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().into()).unwrap(),
                };
                let mut all = all.lock().unwrap();
                all.push(request.clone());
                answer(&request, all.len() - 1)
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url_of(&listener);
        let app = Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, seen }
    }

    /// All requests so far.
    pub(in crate::export) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A url of this server.
    pub(in crate::export) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }
}

/// Answers every connection with these bytes and closes it.
pub(in crate::export) async fn raw(bytes: Vec<u8>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url_of(&listener);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(&bytes).await;
            let _ = socket.shutdown().await;
        }
    });
    url
}

fn url_of(listener: &TcpListener) -> Url {
    format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap()
}

/// A response of a status, headers and a body.
pub(in crate::export) fn response(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// Settings of an export from a server without sign-in.
pub(in crate::export) fn settings(server: &Url) -> Settings {
    let request = ExportRequest {
        server: server.clone(),
        level: Level::System,
        kick_off: KickOff::Auto,
        types: Vec::new(),
        type_filters: Vec::new(),
        since: None,
        until: None,
        elements: Vec::new(),
        patients: Vec::new(),
        associated_data: Vec::new(),
        output_format: None,
        organize_by: None,
        partial_manifests: false,
        lenient: false,
        separate_status: false,
        parameters: BTreeMap::new(),
    };
    Settings {
        request,
        auth: AuthSettings::None,
        headers: BTreeMap::new(),
        allow_http: false,
        max_wait: Duration::from_secs(3600),
        poll: (Duration::from_secs(1), Duration::from_secs(300)),
        attempts: 5,
        timeout: Duration::from_secs(5),
        parallel: 3,
        compress: false,
        part_bytes: 1 << 20,
        count_must_fit: true,
        accept_errors: false,
        restart_lost_job: false,
        delete_job: true,
        attachments: None,
    }
}
