//! Keys as PEM (RFC 7468): PKCS#8, PKCS#1 and SEC 1.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::jwk::thumbprint;
use super::keys::{Pair, SigningKey, not_understood, wrong};
use crate::error::Result;

/// The private key of a PEM file, which may have other blocks before and after it (`EC PARAMETERS`, certificates).
/// Without a `kid`, it is called by its thumbprint.
pub(super) fn read(text: &str, kid: Option<&str>) -> Result<SigningKey> {
    let blocks = blocks(text);
    let private = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    let Some(block) = private else {
        return Err(match blocks.first() {
            Some(_) => wrong("the PEM has no private key")
                .hint("give the private key here; the public one is registered with the server"),
            None => not_understood("the PEM has no block"),
        });
    };
    if block.label == "ENCRYPTED PRIVATE KEY" || block.body.contains("ENCRYPTED") {
        return Err(wrong("the private key has a password")
            .hint("take it off (`openssl pkey -in key.pem -out plain.pem`) and guard the file"));
    }
    let body: String = block.body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| not_understood("the PEM is no base64"))?;
    let pair = pair(block.label, &der)?;
    let kid = kid.map_or_else(|| thumbprint(&pair), str::to_owned);
    Ok(SigningKey { pair, kid })
}

fn pair(label: &str, der: &[u8]) -> Result<Pair> {
    let pair = match label {
        "PRIVATE KEY" => Pair::of_pkcs8(der),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(der).map(Pair::Rsa).ok(),
        "EC PRIVATE KEY" => {
            let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
            EcdsaKeyPair::from_private_key_der(algorithm, der).map(Pair::Ec).ok()
        }
        _ => return Err(not_understood("it is neither RSA nor EC")),
    };
    pair.ok_or_else(|| {
        wrong("the private key is neither RSA of at least 2048 bits nor EC on P-384")
    })
}

struct Block<'t> {
    label: &'t str,
    body: &'t str,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let Some((label, body)) = begun.split_once("-----") else { break };
        let Some((body, after)) = body.split_once("-----END ") else { break };
        blocks.push(Block { label, body });
        rest = after;
    }
    blocks
}
