//! Tokens as the token endpoint gives them (RFC 6749, 5.1).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// A token is renewed so long before its end, or after half its life if that is later.
const MARGIN: Duration = Duration::from_secs(30);

/// The life of a token whose server does not say: what the guide recommends at most.
const UNSAID: Duration = Duration::from_mins(5);

/// A token in use.
pub(super) struct Token {
    /// The value of `Authorization`.
    pub(super) authorization: SecretString,
    /// When it is renewed; never, where nobody knows its end.
    pub(super) renewed: Option<Timestamp>,
}

/// What is used of the endpoint's answer.
#[derive(Deserialize)]
pub(super) struct Granted {
    access_token: SecretString,
    /// Seconds: a number, or a text (BCDA).
    #[serde(default)]
    expires_in: Value,
    /// The scopes, if they are others than asked for.
    #[serde(default)]
    scope: Value,
}

impl Granted {
    /// Of a response's body.
    pub(super) fn parse(body: &[u8]) -> Result<Self> {
        // The error of serde_json could say what stands there.
        let granted: Option<Self> = serde_json::from_slice(body).ok();
        granted.ok_or_else(|| {
            Error::new(ErrorKind::Refused, "the token endpoint answers without an `access_token`")
                .hint("check the token endpoint: `token_url`")
        })
    }

    /// The granted scopes, with spaces between; `None` where they are those asked for.
    pub(super) fn scopes(&self) -> Option<String> {
        match &self.scope {
            Value::String(scopes) => Some(scopes.clone()),
            Value::Array(scopes) => {
                let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
                Some(scopes.join(" "))
            }
            _ => None,
        }
        .filter(|scopes| !scopes.trim().is_empty())
    }

    /// The token, if it was asked for at `asked`.
    pub(super) fn token(&self, asked: Timestamp) -> Token {
        let life = seconds(&self.expires_in).unwrap_or(UNSAID);
        let use_for = life.saturating_sub(MARGIN).max(life / 2);
        let use_for = SignedDuration::try_from(use_for).unwrap_or(SignedDuration::MAX);
        Token {
            authorization: format!("Bearer {}", self.access_token.expose_secret()).into(),
            renewed: Some(asked.checked_add(use_for).unwrap_or(Timestamp::MAX)),
        }
    }
}

/// A positive number of seconds, in whichever form.
fn seconds(json: &Value) -> Option<Duration> {
    let seconds = match json {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|seconds| !seconds.is_zero())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Requirement 57, F9: `expires_in` as a number, a text, or not at all.
    #[test]
    fn tokens_are_renewed_ahead_of_their_end() {
        let asked: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for (expires_in, seconds) in [
            ("300", 270),
            ("\"1200\"", 1170),
            ("\" 300 \"", 270),
            ("300.0", 270),
            ("60", 30),
            ("40", 20),
            ("5", 2),
            ("null", 270),
            ("\"soon\"", 270),
            ("-1", 270),
            ("0", 270),
            ("1e30", 270),
            ("{}", 270),
        ] {
            let body = format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#);
            let token = Granted::parse(body.as_bytes()).unwrap().token(asked);
            let used = token.renewed.unwrap().duration_since(asked);
            assert_eq!(used.as_secs(), seconds, "{expires_in}");
            assert_eq!(token.authorization.expose_secret(), "Bearer t");
        }
    }

    #[test]
    fn answers_without_a_token_are_refused_without_being_shown() {
        for body in ["", "<html>", "[]", r#"{"access_tokem":"s3cret"}"#, r#"{"access_token":5}"#] {
            let error = Granted::parse(body.as_bytes()).err().unwrap();
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
