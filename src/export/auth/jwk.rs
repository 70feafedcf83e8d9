//! Keys as JWK and JWKS (RFC 7517, RFC 7518, RFC 7638).

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::der;
use super::keys::{Algorithm, Pair, SigningKey, not_understood, wrong};
use crate::error::{Error, Result};

/// A private key of a JWK or a JWKS. Of several: the one with this `kid`, else the only one that can sign (and fits the
/// algorithm).
pub(super) fn read(
    text: &str,
    kid: Option<&str>,
    algorithm: Option<Algorithm>,
) -> Result<SigningKey> {
    // The error of serde_json would say what stands there.
    let json: Value = serde_json::from_str(text).map_err(|_| not_understood("it is no JSON"))?;
    let Some(keys) = json.get("keys") else { return signing_key(&json, kid) };
    let keys = keys.as_array().ok_or_else(|| not_understood("`keys` is no array"))?;
    signing_key(chosen(keys, kid, algorithm)?, kid)
}

fn chosen<'k>(
    keys: &'k [Value],
    kid: Option<&str>,
    algorithm: Option<Algorithm>,
) -> Result<&'k Value> {
    let named = |key: &&Value| kid.is_none_or(|kid| text(key, "kid") == Some(kid));
    let fits = |key: &&Value| algorithm.is_none_or(|a| text(key, "kty") == Some(kty_of(a)));
    let private: Vec<_> = keys.iter().filter(|key| can_sign(key)).collect();
    let found: Vec<_> = private.iter().copied().filter(named).filter(fits).collect();
    match (found.as_slice(), kid) {
        ([key], _) => Ok(key),
        ([], _) if private.is_empty() => Err(only_public("the JWKS")),
        ([], Some(kid)) => {
            Err(wrong(format!("the JWKS has no private key `{kid}`")).hint(known(&private)))
        }
        ([], None) => Err(wrong("the JWKS has no private key that fits `algorithm`")),
        _ => Err(wrong("the JWKS has several private keys")
            .hint(format!("choose one with `key_id`; {}", known(&private)))),
    }
}

fn known(keys: &[&Value]) -> String {
    let names: Vec<_> = keys.iter().map(|key| text(key, "kid").unwrap_or("(no `kid`)")).collect();
    format!("its private keys are: {}", names.join(", "))
}

fn kty_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rs384 => "RSA",
        Algorithm::Es384 => "EC",
    }
}

/// Whether it has a private half, and is not set aside for something else than signing.
fn can_sign(key: &Value) -> bool {
    let operations = key.get("key_ops").and_then(Value::as_array);
    let signs = operations.is_none_or(|all| all.iter().any(|operation| operation == "sign"));
    key.get("d").is_some() && signs && text(key, "use").is_none_or(|usage| usage == "sig")
}

fn signing_key(key: &Value, kid: Option<&str>) -> Result<SigningKey> {
    let pair = match text(key, "kty") {
        Some("RSA" | "EC") if key.get("d").is_none() => return Err(only_public("the JWK")),
        Some("RSA") => rsa(key)?,
        Some("EC") => ec(key)?,
        Some("oct") => return Err(wrong("a symmetric key (`oct`) cannot sign in here")),
        Some("OKP") => return Err(wrong("SMART knows no keys of the kind `OKP`")),
        _ => return Err(not_understood("`kty` is neither `RSA` nor `EC`")),
    };
    let kid = kid.or_else(|| text(key, "kid")).map_or_else(|| thumbprint(&pair), str::to_owned);
    Ok(SigningKey { pair, kid })
}

fn only_public(what: &str) -> Error {
    wrong(format!("{what} has only the public half of a key"))
        .hint("give the private JWK here; the public one is registered with the server")
}

fn rsa(key: &Value) -> Result<Pair> {
    let part = |name| Ok::<_, Error>(stripped(bytes(key, name)?));
    let n = part("n")?;
    if n.len() < 256 {
        return Err(wrong(format!("the RSA key is too weak: {} bits, at least 2048", n.len() * 8)));
    }
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n, e: part("e")? },
        d: part("d")?,
        p: part("p")?,
        q: part("q")?,
        dP: part("dp")?,
        dQ: part("dq")?,
        qInv: part("qi")?,
    };
    let pair = RsaKeyPair::from_components(&components);
    Ok(Pair::Rsa(pair.map_err(|_| wrong("the members of the RSA key do not belong together"))?))
}

fn ec(key: &Value) -> Result<Pair> {
    let curve = text(key, "crv").unwrap_or_default();
    if curve != "P-384" {
        return Err(wrong("the key is on another curve than P-384, which `ES384` needs"));
    }
    let coordinate = |name| Ok::<_, Error>(filled(bytes(key, name)?));
    let point = [vec![UNCOMPRESSED], coordinate("x")?, coordinate("y")?].concat();
    let d = bytes(key, "d")?;
    let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point);
    Ok(Pair::Ec(pair.map_err(|_| wrong("the members of the EC key do not belong together"))?))
}

/// A number without zeros before it, which RFC 7518 forbids and some tools write.
fn stripped(mut number: Vec<u8>) -> Vec<u8> {
    number.drain(..number.iter().take_while(|byte| **byte == 0).count());
    number
}

/// A coordinate with the zeros before it, which RFC 7518 wants and some tools leave out.
fn filled(coordinate: Vec<u8>) -> Vec<u8> {
    let missing = P384_BYTES.saturating_sub(coordinate.len());
    [vec![0; missing], coordinate].concat()
}

const P384_BYTES: usize = 48;

/// How a point with both coordinates begins (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

fn text<'k>(key: &'k Value, name: &str) -> Option<&'k str> {
    key.get(name)?.as_str()
}

fn bytes(key: &Value, name: &str) -> Result<Vec<u8>> {
    let text = text(key, name).ok_or_else(|| wrong(format!("the JWK has no `{name}`")))?;
    // Some tools pad, against RFC 7515.
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| not_understood(&format!("`{name}` is no base64url")))
}

/// The thumbprint of a key's public half (RFC 7638), as base64url.
pub(super) fn thumbprint(pair: &Pair) -> String {
    let members: Vec<_> = pair
        .public_members()
        .iter()
        .map(|(name, value)| format!("\"{name}\":\"{value}\""))
        .collect();
    encoded(&Sha256::digest(format!("{{{}}}", members.join(","))))
}

/// `e`, `kty`, `n`
pub(super) fn public_rsa(pair: &RsaKeyPair) -> Vec<(&'static str, String)> {
    let members = rsa_members(pair);
    let value = |wanted| {
        let found = members.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    vec![("e", value("e")), ("kty", "RSA".to_owned()), ("n", value("n"))]
}

/// All members of an RSA key, the private ones too: `n`, `e`, `d`, `p`, `q`, `dp`, `dq`, `qi`.
pub(super) fn rsa_members(pair: &RsaKeyPair) -> Vec<(&'static str, String)> {
    let document = pair.as_der().expect("a key that was made or read can be written");
    let numbers = der::rsa_numbers(document.as_ref()).expect("it was just written");
    let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    names.into_iter().zip(numbers.into_iter().map(encoded)).collect()
}

/// `crv`, `kty`, `x`, `y`
pub(super) fn public_ec(point: &[u8]) -> Vec<(&'static str, String)> {
    let (x, y) = point[1..].split_at(point.len() / 2);
    vec![
        ("crv", "P-384".to_owned()),
        ("kty", "EC".to_owned()),
        ("x", encoded(x)),
        ("y", encoded(y)),
    ]
}

/// Base64url without padding.
pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
