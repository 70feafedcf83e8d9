//! The assertions that a client signs to get a token (SMART App Launch 2.2, client-confidential-asymmetric).

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::jwk::encoded;
use super::keys::SigningKey;
use crate::error::Result;

/// How long an assertion is good for: servers refuse more than five minutes, by their clock.
pub(super) const LIFETIME: Duration = Duration::from_mins(4);

/// The header of an assertion.
#[derive(Debug, Clone, Serialize)]
pub(in crate::export) struct Header {
    alg: &'static str,
    kid: String,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jku: Option<String>,
}

/// The claims of an assertion. There is no `iat`: a server whose clock is behind would refuse it.
#[derive(Debug, Clone, Serialize)]
pub(in crate::export) struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    jti: String,
}

impl Header {
    /// `alg`
    pub(in crate::export) fn algorithm(&self) -> &'static str {
        self.alg
    }

    /// For a key, and where its public half is registered to be found.
    pub(super) fn new(key: &SigningKey, jku: Option<&str>) -> Self {
        let alg = key.pair.algorithm().name();
        Self { alg, kid: key.kid.clone(), typ: "JWT", jku: jku.map(str::to_owned) }
    }
}

impl Claims {
    /// For one request to the token endpoint: another `jti` each time, since servers remember them.
    pub(super) fn new(client_id: &str, token_endpoint: &str, now: Timestamp) -> Self {
        Self {
            iss: client_id.to_owned(),
            sub: client_id.to_owned(),
            aud: token_endpoint.to_owned(),
            exp: now.as_second().saturating_add(LIFETIME.as_secs().cast_signed()),
            jti: Uuid::new_v4().to_string(),
        }
    }
}

/// The assertion: a JWT, signed.
pub(super) fn signed(header: &Header, claims: &Claims, key: &SigningKey) -> Result<SecretString> {
    let part = |json: serde_json::Result<Vec<u8>>| encoded(&json.expect("texts and numbers"));
    let message =
        format!("{}.{}", part(serde_json::to_vec(header)), part(serde_json::to_vec(claims)));
    let signature = encoded(&key.pair.sign(message.as_bytes())?);
    Ok(format!("{message}.{signature}").into())
}
