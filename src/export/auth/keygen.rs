//! Makes a key pair for SMART Backend Services, and the public JWKS to register.

use secrecy::SecretString;

use crate::error::Result;

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
pub fn keygen(algorithm: &str) -> Result<KeyPair> {
    todo!("{algorithm}")
}
