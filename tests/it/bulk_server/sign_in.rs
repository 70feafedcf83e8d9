//! The token endpoint, and what makes a token good: SMART Backend Services as a strict server reads it, and Basic.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Value, json};

use super::answer::{Answer, outcome};
use super::asked::Asked;
use super::setup::SignIn;
use super::{CLIENT, CLIENT_SECRET, Shared, TestKey};

/// Types that tokens are given for.
pub(super) const TYPES: &[&str] = &[
    "Binary",
    "Condition",
    "Device",
    "DocumentReference",
    "Encounter",
    "Group",
    "Observation",
    "Patient",
    "Practitioner",
    "Provenance",
];

/// A token that was given.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) token: String,
    pub(super) until: Timestamp,
    pub(super) revoked: bool,
    /// Types it is for; `*` for all.
    pub(super) types: Vec<String>,
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Shared {
    pub(super) fn token_url(&self) -> String {
        format!("{}auth/token", self.own)
    }

    /// Gives a token to whom has a right to one; refusals are breaches, for the client knows how to ask.
    pub(super) fn token(&self, asked: &Asked) -> Answer {
        match self.granted(asked) {
            Ok(scopes) => self.issue(&scopes),
            Err((code, why)) => {
                // A client whose clock is another cannot know before it is told.
                if !why.starts_with("`exp`") || self.setup.clock_ahead.is_zero() {
                    self.breach(format!("token request: {why}"));
                }
                let status = if code == "invalid_client" { 401 } else { 400 };
                Answer::json(status, &json!({ "error": code, "error_description": why }))
            }
        }
    }

    fn issue(&self, scopes: &str) -> Answer {
        let lifetime = self.setup.token_seconds;
        let mut record = self.record();
        let token = format!("issued-token-{}-{}", record.tokens.len() + 1, uuid::Uuid::new_v4());
        let until = self.now() + jiff::SignedDuration::from_secs(lifetime);
        let types = scopes.split(' ').filter_map(type_of_scope).map(str::to_owned).collect();
        record.tokens.push(Issued { token: token.clone(), until, revoked: false, types });
        let mut body = json!({ "access_token": token, "token_type": "bearer", "scope": scopes });
        let expires_in = (self.setup.expires_in)(lifetime);
        if !expires_in.is_null() {
            body["expires_in"] = expires_in;
        }
        Answer::json(200, &body).header("cache-control", "no-store")
    }

    fn granted(&self, asked: &Asked) -> Result<String, (&'static str, String)> {
        let invalid = |why: &str| ("invalid_request", why.to_owned());
        if asked.header("content-type").split(';').next()
            != Some("application/x-www-form-urlencoded")
        {
            return Err(invalid("the body is no form"));
        }
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(&asked.body).into_owned().collect();
        let field = |name: &str| {
            let mut values =
                form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone());
            values.next().filter(|_| values.next().is_none())
        };
        if field("grant_type").as_deref() != Some("client_credentials") {
            return Err(invalid("`grant_type` is not `client_credentials`"));
        }
        match &self.setup.sign_in {
            SignIn::Smart(keys) => {
                if field("client_assertion_type").as_deref() != Some(ASSERTION_TYPE) {
                    return Err(invalid("`client_assertion_type` is wrong"));
                }
                let assertion =
                    field("client_assertion").ok_or_else(|| invalid("no `client_assertion`"))?;
                self.record().assertions.push(assertion.clone());
                self.verify(&assertion, keys).map_err(|why| ("invalid_client", why))?;
                if asked.signed_in() {
                    return Err(invalid("an assertion and `Authorization`"));
                }
                known_scopes(&field("scope").unwrap_or_default())
            }
            SignIn::Basic => {
                let expected =
                    format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}")));
                if asked.header("authorization") != expected {
                    return Err(("invalid_client", "client id or secret is wrong".to_owned()));
                }
                Ok("system/*.read".to_owned())
            }
            SignIn::Nobody | SignIn::Bearer(_) => {
                Err(invalid("there are no tokens to be had here"))
            }
        }
    }

    /// SMART App Launch 2.2, "Authentication using asymmetric keys", by this server's clock.
    fn verify(&self, assertion: &str, keys: &[TestKey]) -> Result<(), String> {
        let header = decode_header(assertion).map_err(|e| format!("no JWT: {e}"))?;
        if header.typ.as_deref() != Some("JWT") {
            return Err(format!("`typ` is {:?}", header.typ));
        }
        let key = keys.iter().find(|key| Some(key.kid) == header.kid.as_deref());
        let key = key.ok_or_else(|| format!("`kid` {:?} is not registered", header.kid))?;
        let allowed = [Algorithm::RS384, Algorithm::ES384].contains(&header.alg);
        if !allowed || header.alg != key.algorithm {
            return Err(format!("`alg` is {:?}", header.alg));
        }
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.required_spec_claims = ["iss", "sub", "aud", "exp"].map(str::to_owned).into();
        validation.set_audience(&[self.token_url()]);
        validation.set_issuer(&[CLIENT]);
        let decoded = decode::<Value>(assertion, &key.public, &validation);
        self.claims(&decoded.map_err(|e| format!("the assertion is not valid: {e}"))?.claims)
    }

    fn claims(&self, claims: &Value) -> Result<(), String> {
        if claims["sub"] != CLIENT || claims["iss"] != CLIENT {
            return Err("`iss` and `sub` are not the client id".into());
        }
        if claims["aud"] != self.token_url() {
            return Err(format!("`aud` is {}", claims["aud"]));
        }
        let now = self.now().as_second();
        let ahead = claims["exp"].as_i64().ok_or("`exp` is no whole number")? - now;
        if !(1..=300).contains(&ahead) {
            return Err(format!("`exp` is {ahead} s ahead"));
        }
        let jti = claims["jti"].as_str().filter(|jti| !jti.is_empty()).ok_or("no `jti`")?;
        if !self.record().jtis.insert(jti.to_owned()) {
            return Err("this `jti` came before".into());
        }
        Ok(())
    }

    /// Whether the request has a token that is good now; else the answer to one that has not.
    pub(super) fn authorized(&self, asked: &Asked) -> Result<(), Answer> {
        let refused =
            |why| outcome(401, "error", "login", why).header("www-authenticate", "Bearer");
        let token = asked.header("authorization").strip_prefix("Bearer ");
        match &self.setup.sign_in {
            SignIn::Nobody if asked.signed_in() => {
                self.breach(format!("a token came to {}, where nobody signs in", asked.url));
                Ok(())
            }
            SignIn::Nobody => Ok(()),
            SignIn::Bearer(known) if token == Some(known) => Ok(()),
            SignIn::Bearer(_) => Err(refused("not the token")),
            SignIn::Smart(_) | SignIn::Basic => {
                let now = self.now();
                let good = |t: &Issued| Some(&*t.token) == token && !t.revoked && t.until > now;
                let known = self.record().tokens.iter().any(good);
                known.then_some(()).ok_or_else(|| refused("no token, or it has expired"))
            }
        }
    }

    /// Whether the request's token is for this type.
    pub(super) fn covers(&self, asked: &Asked, kind: &str) -> bool {
        let SignIn::Smart(_) = self.setup.sign_in else { return true };
        let token = asked.header("authorization").strip_prefix("Bearer ");
        let record = self.record();
        let issued = record.tokens.iter().find(|t| Some(&*t.token) == token);
        issued.is_some_and(|t| t.types.iter().any(|known| known == "*" || known == kind))
    }
}

/// The type of `system/Type.read` or `system/Type.rs`.
fn type_of_scope(scope: &str) -> Option<&str> {
    let (kind, right) = scope.strip_prefix("system/")?.split_once('.')?;
    matches!(right, "read" | "rs" | "*").then_some(kind)
}

/// One unknown scope fails them all, as on the SMART server.
fn known_scopes(scopes: &str) -> Result<String, (&'static str, String)> {
    let known = |scope: &str| type_of_scope(scope).is_some_and(|t| t == "*" || TYPES.contains(&t));
    match scopes.split(' ').find(|scope| !known(scope)) {
        None => Ok(scopes.to_owned()),
        Some(unknown) => Err(("invalid_scope", format!("no scope `{unknown}`"))),
    }
}
