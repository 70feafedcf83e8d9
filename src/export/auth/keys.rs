//! Reads private keys: JWK, JWKS or PEM.
