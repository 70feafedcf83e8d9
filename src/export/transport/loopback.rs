//! Servers on loopback for tests: they answer as told and remember what they were asked.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

pub(in crate::export) use crate::export::testing::settings;

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
