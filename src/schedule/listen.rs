//! Health and metrics over HTTP: on loopback for all, beyond it for who has the token.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::board::Board;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// Where to listen, and who is answered.
#[derive(Debug, Clone)]
pub struct Listen {
    address: SocketAddr,
    token: Option<SecretString>,
}

impl Listen {
    /// Listens on an address; on loopback a token is asked for if there is one.
    ///
    /// # Errors
    /// The address can be reached from other machines, and there is no token.
    pub fn new(address: SocketAddr, token: Option<SecretString>) -> Result<Self> {
        if !address.ip().is_loopback() && token.is_none() {
            let message = format!(
                "`{address}` can be reached from other machines, and no token is asked for"
            );
            return Err(Error::new(ErrorKind::Usage, message).hint(
                "name the variable that holds a token with `--token-env`, or listen on 127.0.0.1",
            ));
        }
        Ok(Self { address, token })
    }

    /// Takes the address, and answers from then on. Gives the address, which says the port where 0 was asked for.
    pub(super) async fn serve(&self, board: Arc<Mutex<Board>>, clock: Clock) -> Result<SocketAddr> {
        let failed = |e| {
            let message = format!("cannot listen on `{}`: {e}", self.address);
            Error::new(ErrorKind::Output, message).hint(
                "another service may listen there: choose another address with `--listen`, or `off`",
            )
        };
        let listener = TcpListener::bind(self.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = router(Shared { board, clock }, self.token.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(address)
    }
}

#[derive(Clone)]
struct Shared {
    board: Arc<Mutex<Board>>,
    clock: Clock,
}

impl Shared {
    fn board(&self) -> Board {
        self.board.lock().expect("nothing panics while it is held").clone()
    }
}

/// `/live` tells nothing but that the service does its work, so that it needs no token: probes rarely can have one.
fn router(shared: Shared, token: Option<SecretString>) -> Router {
    let asked = token.map(|token| Sha256::digest(token.expose_secret()).to_vec());
    let guarded = Router::new().route("/health", get(health)).route("/metrics", get(metrics));
    let guarded = guarded.route_layer(middleware::from_fn_with_state(Arc::new(asked), guard));
    guarded.route("/live", get(live)).with_state(shared)
}

/// Answers only who has the token. Digests are compared, so that the time tells nothing of it.
async fn guard(
    State(asked): State<Arc<Option<Vec<u8>>>>,
    request: Request,
    next: Next,
) -> Response {
    let is_allowed = asked.as_ref().as_ref().is_none_or(|digest| {
        bearer(request.headers())
            .is_some_and(|token| Sha256::digest(token).as_slice() == digest.as_slice())
    });
    if is_allowed {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn status(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn health(State(shared): State<Shared>) -> Response {
    let (well, body) = shared.board().health(shared.clock.now());
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status(well), kind, format!("{body}\n")).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, shared.board().metrics(shared.clock.now())).into_response()
}

async fn live(State(shared): State<Shared>) -> StatusCode {
    status(shared.board().is_alive(shared.clock.now()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_a_token_is_demanded() {
        for (address, token, allowed) in [
            ("127.0.0.1:9187", None, true),
            ("[::1]:0", None, true),
            ("0.0.0.0:9187", None, false),
            ("[::]:9187", None, false),
            ("192.0.2.1:9187", None, false),
            ("0.0.0.0:9187", Some("s3cret"), true),
        ] {
            let listen = Listen::new(address.parse().unwrap(), token.map(SecretString::from));
            assert_eq!(listen.is_ok(), allowed, "{address}");
            assert!(!format!("{listen:?}").contains("s3cret"));
        }
    }
}
