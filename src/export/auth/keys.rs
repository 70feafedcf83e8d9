//! Reads private keys: JWK, JWKS or PEM.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA384, RsaKeyPair,
};
use secrecy::{ExposeSecret, SecretString};

use super::{jwk, pem};
use crate::error::{Error, ErrorKind, Result};
use crate::suggest::nearest;

/// How assertions are signed: what SMART asks servers and clients to know (client-confidential-asymmetric,
/// "Algorithms").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::export) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-384
    Rs384,
    /// ECDSA on P-384 with SHA-384
    Es384,
}

/// A private key that signs assertions.
pub(super) struct SigningKey {
    pub(super) pair: Pair,
    /// The `kid` of assertions: of the settings, else the key's own, else its thumbprint (RFC 7638).
    pub(super) kid: String,
}

/// The key pair.
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl SigningKey {
    /// Reads the private key: a JWK, a JWKS, or PEM. `kid` chooses one of several and names one without a name;
    /// `algorithm` (`RS384`, `ES384`) must fit.
    ///
    /// # Errors
    /// Says what is wrong with the key, never what is in it.
    pub(super) fn read(
        text: &SecretString,
        kid: Option<&str>,
        algorithm: Option<Algorithm>,
    ) -> Result<Self> {
        let text = text.expose_secret().trim();
        let key = match text {
            // Tools write remarks before PEM.
            pem if pem.contains("-----BEGIN") => pem::read(pem, kid)?,
            json if json.starts_with('{') => jwk::read(json, kid, algorithm)?,
            _ => return Err(not_understood("it begins neither as JSON nor as PEM")),
        };
        match algorithm {
            Some(algorithm) if algorithm != key.pair.algorithm() => Err(wrong(format!(
                "the key is for `{}`, not for `{}`",
                key.pair.algorithm().name(),
                algorithm.name()
            ))
            .hint("leave out `algorithm`, or give a key that fits it")),
            _ => Ok(key),
        }
    }
}

impl Pair {
    /// What it signs with.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rs384,
            Self::Ec(_) => Algorithm::Es384,
        }
    }

    /// The signature of a message, as a JWS has it (RFC 7518, 3.3 and 3.4).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        let failed = |_| Error::new(ErrorKind::Definition, "the key cannot sign");
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Self::Ec(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
        }
    }

    /// A pair of a PKCS#8 document, RSA or P-384.
    pub(super) fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let rsa = RsaKeyPair::from_pkcs8(der).map(Self::Rsa);
        let ec = |_| EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).map(Self::Ec);
        rsa.or_else(ec).ok()
    }

    /// The public half as the members of a JWK, in the order of RFC 7638.
    pub(super) fn public_members(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Rsa(pair) => jwk::public_rsa(pair),
            Self::Ec(pair) => jwk::public_ec(pair.public_key().as_ref()),
        }
    }
}

impl Algorithm {
    /// Its name in JWTs.
    pub(in crate::export) fn name(self) -> &'static str {
        match self {
            Self::Rs384 => "RS384",
            Self::Es384 => "ES384",
        }
    }

    /// The algorithm of this name.
    pub(in crate::export) fn named(name: &str) -> Result<Self> {
        let known = [Self::Rs384, Self::Es384];
        known.into_iter().find(|algorithm| algorithm.name() == name).ok_or_else(|| {
            let error = Error::new(ErrorKind::Definition, format!("unknown algorithm `{name}`"));
            match nearest(name, known.map(Self::name)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("SMART Backend Services signs with `RS384` or `ES384`"),
            }
        })
    }
}

/// A key that is understood and not good enough.
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Definition, message)
        .hint("`kiln keygen` makes a key pair; register its public half with the server")
}

/// A key that is not understood.
pub(super) fn not_understood(why: &str) -> Error {
    Error::new(ErrorKind::Definition, format!("the private key is not understood: {why}"))
        .hint("give a private JWK, a JWKS, or PEM without a password (PKCS#8, PKCS#1, SEC 1)")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
