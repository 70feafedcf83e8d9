//! Keys of the client: the private part as it is configured, the public part as it is registered.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

/// A key pair.
#[derive(Clone)]
pub(crate) struct TestKey {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(super) public: Arc<DecodingKey>,
    /// JWK or PEM.
    pub(crate) private: String,
}

impl TestKey {
    /// RSA, as a PEM. Made once: it takes a while.
    pub(crate) fn rsa() -> Self {
        static MADE: OnceLock<TestKey> = OnceLock::new();
        MADE.get_or_init(Self::new_rsa).clone()
    }

    fn new_rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let private = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        let public = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        Self { kid: "rsa-1", algorithm: Algorithm::RS384, public: Arc::new(public), private }
    }

    /// The public key of a JWKS as somebody else made it; the private part is elsewhere.
    pub(crate) fn registered(jwk: &Value) -> Self {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let algorithm = match jwk.common.key_algorithm {
            Some(KeyAlgorithm::ES384) => Algorithm::ES384,
            _ => Algorithm::RS384,
        };
        Self {
            kid: jwk.common.key_id.clone().unwrap().leak(),
            algorithm,
            public: Arc::new(DecodingKey::from_jwk(&jwk).unwrap()),
            private: String::new(),
        }
    }

    /// P-384, as a JWK.
    pub(crate) fn ec() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = pair.public_key().as_ref()[1..].split_at(48);
        let (x, y) = (text(x), text(y));
        let secret: aws_lc_rs::encoding::EcPrivateKeyBin<'_> =
            pair.private_key().as_be_bytes().unwrap();
        let private = json!({
            "kty": "EC", "crv": "P-384", "alg": "ES384", "kid": "ec-1", "key_ops": ["sign"],
            "x": x, "y": y, "d": text(secret.as_ref()),
        });
        let public = DecodingKey::from_ec_components(&x, &y).unwrap();
        Self {
            kid: "ec-1",
            algorithm: Algorithm::ES384,
            public: Arc::new(public),
            private: private.to_string(),
        }
    }
}
