//! Makes a key pair for SMART Backend Services, and the public JWKS to register.

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::jwk::{encoded, rsa_members, thumbprint};
use super::keys::{Algorithm, Pair};
use crate::error::{Error, ErrorKind, Result};

/// A new key pair.
pub struct KeyPair {
    /// The private key, as a JWK.
    pub private_jwk: SecretString,
    /// The JWKS with the public key alone.
    pub public_jwks: String,
    /// The `kid` of both: the thumbprint (RFC 7638).
    pub kid: String,
}

/// Makes a key pair for `RS384` (RSA, 3072 bits) or `ES384` (P-384).
///
/// # Errors
/// Another algorithm.
pub fn keygen(algorithm: &str) -> Result<KeyPair> {
    let algorithm = Algorithm::named(algorithm)?;
    let failed = |_| Error::new(ErrorKind::Output, "no key could be made: no random numbers");
    let pair = match algorithm {
        Algorithm::Rs384 => RsaKeyPair::generate(KeySize::Rsa3072).map(Pair::Rsa),
        Algorithm::Es384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Pair::Ec),
    }
    .map_err(failed)?;
    let kid = thumbprint(&pair);
    let private = jwk(&pair, &kid, "sign", private_members(&pair).map_err(failed)?);
    let public = jwk(&pair, &kid, "verify", Vec::new());
    let public_jwks = format!("{:#}", json!({ "keys": [public] }));
    Ok(KeyPair { private_jwk: format!("{private:#}").into(), public_jwks, kid })
}

type Members = Vec<(&'static str, String)>;

/// A JWK as the examples of SMART are: with `kid`, `alg` and `key_ops`, which RFC 7517 (4.3) wants without `use`.
fn jwk(pair: &Pair, kid: &str, operation: &str, private: Members) -> Value {
    let members = pair.public_members().into_iter().chain(private);
    let mut key: Map<_, _> =
        members.map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
    key.insert("kid".to_owned(), json!(kid));
    key.insert("alg".to_owned(), json!(pair.algorithm().name()));
    key.insert("key_ops".to_owned(), json!([operation]));
    key.insert("ext".to_owned(), json!(true));
    Value::Object(key)
}

fn private_members(pair: &Pair) -> Result<Members, Unspecified> {
    match pair {
        Pair::Rsa(pair) => Ok(rsa_members(pair)),
        Pair::Ec(pair) => {
            let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes()?;
            Ok(vec![("d", encoded(d.as_ref()))])
        }
    }
}
