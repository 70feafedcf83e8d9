//! Signs in and keeps the token fresh (SMART App Launch 2.2, "Backend Services").

mod assertion;
mod der;
pub(super) mod discovery;
mod grant;
mod jwk;
pub(super) mod keygen;
pub(super) mod keys;
mod pem;
mod scopes;
mod token;

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use self::grant::Grant;
pub(super) use self::grant::TokenRequest;
use self::token::Token;
use super::settings::{AuthSettings, Settings};
use super::transport::Failure;
use super::transport::wire::Wire;
use crate::clock::Clock;
use crate::error::Result;
use crate::settings::Secret;
use crate::settings::reveal;

/// Gives the `Authorization` of requests. One for an export: parallel requests share a token and one renewal.
pub(super) struct Authorizer {
    sign_in: SignIn,
    clock: Clock,
    token: Mutex<Option<Token>>,
    /// Held by the one request that gets a token while others wait for it.
    turn: tokio::sync::Mutex<()>,
}

/// How to come by a token.
enum SignIn {
    None,
    /// Somebody else gets it, and may put a new one where the old one was.
    Bearer(Secret),
    /// The token endpoint gives it.
    Grant(Box<Grant>),
}

impl Authorizer {
    /// Signs in as the settings say; reads keys and secrets, asks nobody yet.
    ///
    /// # Errors
    /// A key or secret that is missing or of no use.
    pub(super) fn new(settings: &Settings, wire: Arc<Wire>, clock: Clock) -> Result<Self> {
        let sign_in = match &settings.auth {
            AuthSettings::None => SignIn::None,
            AuthSettings::Bearer { token } => {
                reveal(token)?;
                SignIn::Bearer(token.clone())
            }
            AuthSettings::Smart { .. } | AuthSettings::Basic { .. } => {
                SignIn::Grant(Box::new(Grant::new(settings, wire, clock.clone())?))
            }
        };
        Ok(Self { sign_in, clock, token: Mutex::default(), turn: tokio::sync::Mutex::default() })
    }

    /// The value of the header; `None` where nobody signs in. Gets or renews the token if there is none or it ends
    /// within 30 s.
    pub(super) async fn authorization(&self) -> Result<Option<SecretString>, Failure> {
        if matches!(self.sign_in, SignIn::None) {
            return Ok(None);
        }
        if let Some(fresh) = self.fresh() {
            return Ok(Some(fresh));
        }
        let _turn = self.turn.lock().await;
        // Another request may have had its turn meanwhile.
        if let Some(fresh) = self.fresh() {
            return Ok(Some(fresh));
        }
        let token = match &self.sign_in {
            SignIn::None => return Ok(None),
            SignIn::Bearer(token) => {
                let token = reveal(token)?;
                let authorization = format!("Bearer {}", token.expose_secret().trim());
                Token { authorization: authorization.into(), renewed: None }
            }
            SignIn::Grant(grant) => grant.token().await?,
        };
        let authorization = token.authorization.clone();
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(Some(authorization))
    }

    /// The server answered 401 to `used`: the next [`Self::authorization`] is another one.
    pub(super) fn rejected(&self, used: &SecretString) {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not the one in use was renewed already: by another request with the same 401.
        token.take_if(|token| token.authorization.expose_secret() == used.expose_secret());
    }

    /// What is well to know of the sign-in so far: scopes that were not granted, a clock that is wrong.
    pub(super) fn warnings(&self) -> Vec<String> {
        match &self.sign_in {
            SignIn::Grant(grant) => grant.warnings(),
            SignIn::None | SignIn::Bearer(_) => Vec::new(),
        }
    }

    /// How `Authorization` would look, in words; `None` where nobody signs in.
    pub(super) fn in_words(&self) -> Option<String> {
        match &self.sign_in {
            SignIn::None => None,
            SignIn::Bearer(_) => Some("Bearer (the token of the settings)".to_owned()),
            SignIn::Grant(grant) => Some(format!("Bearer (signed in as `{}`)", grant.client_id())),
        }
    }

    /// The request for a token as it would be sent now; `None` where none is.
    pub(super) async fn token_request(&self) -> Option<Result<TokenRequest, Failure>> {
        match &self.sign_in {
            SignIn::Grant(grant) => Some(grant.token_request().await),
            SignIn::None | SignIn::Bearer(_) => None,
        }
    }

    /// The token in use, if it is not to be renewed yet.
    fn fresh(&self) -> Option<SecretString> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let fresh =
            token.as_ref().filter(|token| token.renewed.is_none_or(|renewed| now < renewed));
        fresh.map(|token| token.authorization.clone())
    }
}

/// The scopes of a list with spaces that a server does not say it supports, in whichever spelling.
pub(super) fn scopes_not_in(scope: &str, supported: &[String]) -> Vec<String> {
    let wanted: Vec<_> = scope.split_whitespace().map(str::to_owned).collect();
    let missing = scopes::not_granted(&wanted, &supported.join(" "));
    missing.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
