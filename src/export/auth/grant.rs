//! Asks the token endpoint for tokens: grant type `client_credentials`, with an assertion or with a secret.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::OnceCell;
use url::Url;

use super::assertion::{Claims, Header, signed};
use super::discovery::{SmartConfiguration, discover};
use super::keys::{Algorithm, SigningKey};
use super::scopes::{needed, not_granted};
use super::token::{Granted, Token};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::export::outcome::{Said, is_passing, refusal};
use crate::export::retry::{Backoff, retry_after};
use crate::export::settings::{AuthSettings, Settings};
use crate::export::transport::wire::{Along, Wire};
use crate::export::transport::{Failure, Request, Response};
use crate::settings::reveal;

/// The shortest wait before the endpoint is asked again.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// How far the clocks may differ before the server's counts. Assertions are good for a minute less than servers allow.
const SKEW: SignedDuration = SignedDuration::from_secs(50);

/// Enough for a token.
const LARGEST: usize = 1 << 20;

/// Gets tokens with the client's own credentials (RFC 6749, 4.4).
pub(super) struct Grant {
    client_id: String,
    credential: Credential,
    settings: Settings,
    wire: Arc<Wire>,
    clock: Clock,
    endpoint: OnceCell<Endpoint>,
    /// Whether there was a token before: then a refusal may be a whim (F9).
    granted: AtomicBool,
    /// The server's clock minus ours, once assertions were refused for it.
    skew: Mutex<SignedDuration>,
    warnings: Mutex<Vec<String>>,
}

/// By what the endpoint knows the client.
enum Credential {
    Key { key: SigningKey, jku: Option<String> },
    Secret(SecretString),
}

/// Where tokens are given, and for what.
#[derive(Clone)]
struct Endpoint {
    /// As the server writes it: the `aud` of assertions.
    text: String,
    url: Url,
    scopes: Vec<String>,
}

/// The request for a token, to be shown.
#[derive(Debug, Clone, Serialize)]
pub(in crate::export) struct TokenRequest {
    /// The token endpoint.
    pub(in crate::export) url: String,
    /// `scope`; empty where none is sent.
    pub(in crate::export) scope: String,
    /// `Authorization` in words, of a client with a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::export) authorization: Option<String>,
    /// Header and claims of the assertion, of a client with a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::export) assertion: Option<(Header, Claims)>,
}

/// Why there is no token, and whether to ask again.
struct Refused {
    failure: Failure,
    again: bool,
    asked: Option<Duration>,
}

impl Grant {
    /// For the sign-in of the settings, which is SMART or Basic.
    ///
    /// # Errors
    /// A key or secret that is missing or of no use.
    pub(super) fn new(settings: &Settings, wire: Arc<Wire>, clock: Clock) -> Result<Self> {
        let (client_id, credential) = credential(&settings.auth)?;
        Ok(Self {
            client_id,
            credential,
            settings: settings.clone(),
            wire,
            clock,
            endpoint: OnceCell::new(),
            granted: AtomicBool::new(false),
            skew: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    /// A new token. What is refused for a passing reason is asked for again, with a new assertion.
    pub(super) async fn token(&self) -> Result<Token, Failure> {
        let endpoint = self.endpoint().await?;
        let mut backoff = Backoff::new(SHORTEST_WAIT, self.settings.poll.1);
        // Two at least: one request is often not enough for reasons that nobody can do anything about.
        let mut left = self.settings.attempts.max(2);
        loop {
            left -= 1;
            match self.ask(endpoint).await {
                Ok(token) => {
                    self.granted.store(true, Ordering::Relaxed);
                    return Ok(token);
                }
                Err(refused) if refused.again && left > 0 => {
                    self.clock.wait(backoff.next(refused.asked)).await;
                }
                Err(refused) => return Err(refused.failure),
            }
        }
    }

    /// The request as it would be sent now.
    pub(super) async fn token_request(&self) -> Result<TokenRequest, Failure> {
        let endpoint = self.endpoint().await?;
        let (authorization, assertion) = match &self.credential {
            Credential::Secret(_) => {
                (Some(format!("Basic (`{}` and its secret)", self.client_id)), None)
            }
            Credential::Key { key, jku } => {
                let claims = Claims::new(&self.client_id, &endpoint.text, self.servers_now());
                (None, Some((Header::new(key, jku.as_deref()), claims)))
            }
        };
        let (url, scope) = (endpoint.text.clone(), endpoint.scopes.join(" "));
        Ok(TokenRequest { url, scope, authorization, assertion })
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn endpoint(&self) -> Result<&Endpoint, Failure> {
        self.endpoint.get_or_try_init(|| self.find_endpoint()).await
    }

    async fn find_endpoint(&self) -> Result<Endpoint, Failure> {
        let (text, scopes) = match &self.settings.auth {
            AuthSettings::Smart { token_url, scopes, .. }
            | AuthSettings::Basic { token_url, scopes, .. } => (token_url, scopes.clone()),
            AuthSettings::None | AuthSettings::Bearer { .. } => (&None, Vec::new()),
        };
        let defaults = scopes.is_empty() && matches!(self.credential, Credential::Key { .. });
        let configuration = match text {
            Some(_) if !defaults => SmartConfiguration::default(),
            // Only how scopes are spelt; the usual spelling will do.
            Some(_) => discover(&self.wire, &self.settings.request).await.unwrap_or_default(),
            None => discover(&self.wire, &self.settings.request).await?,
        };
        let scopes = if defaults { needed(&self.settings, &configuration) } else { scopes };
        let text = text.clone().or(configuration.token_endpoint).unwrap_or_default();
        let url: Url = text.parse().map_err(|error| {
            let message = format!("the token endpoint is no url: {error}");
            Error::new(ErrorKind::Refused, message).hint("set `token_url`, with `https://`")
        })?;
        self.wire.allowed(&url)?;
        Ok(Endpoint { text, url, scopes })
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Token, Refused> {
        let asked = self.clock.now();
        let request = self.request(endpoint)?;
        // A gateway before both wants the vendor's headers; others must not see them.
        let own = endpoint.url.origin() == self.settings.request.server.origin();
        let along = if own { Along::Headers } else { Along::Nothing };
        let response = self.wire.once(&request, along).await?;
        if !response.status.is_success() {
            return Err(self.refused(&request, response).await);
        }
        let granted = Granted::parse(&response.body(LARGEST).await?)?;
        self.compare(&endpoint.scopes, &granted);
        Ok(granted.token(asked))
    }

    /// SMART App Launch 2.2, "Obtain access token": a form, with an assertion that no other request has had.
    fn request(&self, endpoint: &Endpoint) -> Result<Request> {
        let mut headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        ]);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !endpoint.scopes.is_empty() {
            form.append_pair("scope", &endpoint.scopes.join(" "));
        }
        match &self.credential {
            Credential::Secret(secret) => {
                headers.insert(AUTHORIZATION, basic(&self.client_id, secret));
            }
            Credential::Key { key, jku } => {
                let claims = Claims::new(&self.client_id, &endpoint.text, self.servers_now());
                let assertion = signed(&Header::new(key, jku.as_deref()), &claims, key)?;
                form.append_pair("client_assertion_type", ASSERTION_TYPE);
                form.append_pair("client_assertion", assertion.expose_secret());
            }
        }
        let body = Some(form.finish().into());
        Ok(Request {
            method: Method::POST,
            url: endpoint.url.clone(),
            headers,
            body,
            credentials: false,
        })
    }

    async fn refused(&self, request: &Request, response: Response) -> Refused {
        let (status, headers) = (response.status, response.headers.clone());
        let asked = retry_after(&headers, self.clock.now());
        // Without a body, the status is what there is to say.
        let body = response.body(LARGEST).await.unwrap_or_default();
        let error = refusal(request, status, &headers, &body);
        let error = match remedy(&Said::of(&body), &self.credential) {
            Some(hint) => error.hint(hint),
            None if status.is_redirection() => error.hint("set `token_url` to where it redirects"),
            None => error,
        };
        let refused = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED);
        let again = is_passing(status)
            || refused && (self.granted.load(Ordering::Relaxed) || self.learns_the_time(&headers));
        Refused { failure: error.into(), again, asked }
    }

    /// Whether assertions may have been refused because the clocks differ; the server's counts from now on.
    fn learns_the_time(&self, headers: &HeaderMap) -> bool {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let Some(theirs) = date.and_then(|date| Timestamp::try_from(date).ok()) else {
            return false;
        };
        let differs = theirs.duration_since(self.servers_now()).abs() > SKEW;
        if differs && matches!(self.credential, Credential::Key { .. }) {
            let skew = theirs.duration_since(self.clock.now());
            *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = skew;
            let seconds = skew.as_secs();
            self.warn(format!("the clocks of server and client differ by {seconds} seconds"));
            return true;
        }
        false
    }

    /// The time by the server's clock, as far as it is known.
    fn servers_now(&self) -> Timestamp {
        let skew = *self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        now.checked_add(skew).unwrap_or(now)
    }

    fn compare(&self, wanted: &[String], granted: &Granted) {
        let Some(scope) = granted.scopes() else { return };
        let missing = not_granted(wanted, &scope);
        if !missing.is_empty() {
            self.warn(format!("the server did not grant the scopes `{}`", missing.join(" ")));
        }
    }

    fn warn(&self, warning: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn credential(auth: &AuthSettings) -> Result<(String, Credential)> {
    match auth {
        AuthSettings::Smart { client_id, key, key_id, algorithm, jwks_url, .. } => {
            let algorithm = algorithm.as_deref().map(Algorithm::named).transpose()?;
            let key = SigningKey::read(&reveal(key)?, key_id.as_deref(), algorithm)?;
            Ok((client_id.clone(), Credential::Key { key, jku: jwks_url.clone() }))
        }
        AuthSettings::Basic { client_id, client_secret, .. } => {
            Ok((client_id.clone(), Credential::Secret(reveal(client_secret)?)))
        }
        AuthSettings::None | AuthSettings::Bearer { .. } => {
            Err(Error::new(ErrorKind::Definition, "this sign-in asks for no token"))
        }
    }
}

/// `Authorization` of a client with a secret, as BCDA documents it: as they are, without the encoding of RFC 6749
/// (2.3.1), which few servers undo.
fn basic(client_id: &str, secret: &SecretString) -> HeaderValue {
    let both = STANDARD.encode(format!("{client_id}:{}", secret.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {both}")).expect("base64 is ASCII");
    value.set_sensitive(true);
    value
}

/// What to change for an error of OAuth (RFC 6749, 5.2).
fn remedy(said: &Said, credential: &Credential) -> Option<&'static str> {
    let Said::OAuth { error, .. } = said else { return None };
    match (error.as_str(), credential) {
        ("invalid_client" | "invalid_grant" | "unauthorized_client", Credential::Key { .. }) => {
            Some(
                "check `client_id`, and that the public half of this key is registered under its `kid`",
            )
        }
        ("invalid_client" | "invalid_grant" | "unauthorized_client", Credential::Secret(_)) => {
            Some("check `client_id` and `client_secret`: secrets are replaced from time to time")
        }
        ("invalid_scope", _) => {
            Some("set `scopes` to those the client is registered for, or export fewer types")
        }
        _ => None,
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let again = matches!(failure, Failure::Passing(_));
        Self { failure, again, asked: None }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { failure: Failure::Lasting(error), again: false, asked: None }
    }
}
