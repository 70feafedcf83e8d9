//! Keys in all forms, signing, and keys that are refused.

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use super::*;
use crate::export::auth::assertion::{Claims, Header, signed};
use crate::export::auth::keygen::{KeyPair, keygen};

fn json_of(text: &SecretString) -> Value {
    serde_json::from_str(text.expose_secret()).unwrap()
}

fn read(json: &Value, kid: Option<&str>, algorithm: Option<Algorithm>) -> Result<SigningKey> {
    SigningKey::read(&json.to_string().into(), kid, algorithm)
}

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<_> = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Checks an assertion as a strict server does, with the public JWKS.
fn verified(key: &SigningKey, jwks: &str) -> Value {
    let now = jiff::Timestamp::now();
    let header = Header::new(key, Some("https://c.example/jwks"));
    let claims = Claims::new("client", "https://a.example/token", now);
    let assertion = signed(&header, &claims, key).unwrap();
    let jwks: JwkSet = serde_json::from_str(jwks).unwrap();
    let header = decode_header(assertion.expose_secret()).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    assert_eq!(header.jku.as_deref(), Some("https://c.example/jwks"));
    let registered = jwks.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["https://a.example/token"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub", "jti"]);
    let public = DecodingKey::from_jwk(registered).unwrap();
    let claims = decode::<Value>(assertion.expose_secret(), &public, &validation).unwrap().claims;
    let lives = claims["exp"].as_i64().unwrap() - now.as_second();
    assert!((200..=240).contains(&lives), "{lives}");
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("client"), &json!("client")));
    claims
}

/// `kiln keygen`, then signing, then verifying with what it says to register.
#[test]
fn keys_that_are_made_sign_what_their_public_half_verifies() {
    for (algorithm, public) in [
        ("RS384", &["alg", "e", "ext", "key_ops", "kid", "kty", "n"][..]),
        ("ES384", &["alg", "crv", "ext", "key_ops", "kid", "kty", "x", "y"]),
    ] {
        let KeyPair { private_jwk, public_jwks, kid } = keygen(algorithm).unwrap();
        let key = SigningKey::read(&private_jwk, None, None).unwrap();
        assert_eq!(key.kid, kid);
        let jtis = [verified(&key, &public_jwks), verified(&key, &public_jwks)];
        assert_ne!(jtis[0]["jti"], jtis[1]["jti"]);
        let jwks: Value = serde_json::from_str(&public_jwks).unwrap();
        let members: Vec<_> = jwks["keys"][0].as_object().unwrap().keys().collect();
        assert_eq!(members, public, "nothing private is registered");
        assert_eq!(jwks["keys"][0]["alg"], algorithm);
        // An independent computation of the thumbprint.
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwks["keys"][0].clone()).unwrap();
        assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), kid);
    }
    let error = keygen("RS256").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Definition);
}

#[test]
fn private_keys_in_every_form() {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8 = rsa.as_der().unwrap();
    // PKCS#1 is what PKCS#8 wraps: 26 bytes before it for a key of this size.
    let pkcs1 = &pkcs8.as_ref()[26..];
    let ec = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let ec_pkcs8 = ec.to_pkcs8v1().unwrap();
    let sec1: EcPrivateKeyRfc5915Der<'_> = ec.private_key().as_der().unwrap();
    let parameters = pem("EC PARAMETERS", &[6, 5, 0x2b, 0x81, 4, 0, 0x22]);
    for (name, text, algorithm) in [
        ("PKCS#8 RSA", pem("PRIVATE KEY", pkcs8.as_ref()), Algorithm::Rs384),
        ("PKCS#1", pem("RSA PRIVATE KEY", pkcs1), Algorithm::Rs384),
        ("PKCS#8 EC", pem("PRIVATE KEY", ec_pkcs8.as_ref()), Algorithm::Es384),
        ("SEC 1", pem("EC PRIVATE KEY", sec1.as_ref()), Algorithm::Es384),
        ("SEC 1 of openssl", parameters + &pem("EC PRIVATE KEY", sec1.as_ref()), Algorithm::Es384),
        (
            "remarks",
            format!("Bag Attributes\n{}", pem("PRIVATE KEY", pkcs8.as_ref())),
            Algorithm::Rs384,
        ),
        ("CRLF", pem("PRIVATE KEY", pkcs8.as_ref()).replace('\n', "\r\n"), Algorithm::Rs384),
    ] {
        let key = SigningKey::read(&text.clone().into(), None, Some(algorithm)).expect(name);
        let mut jwk = json!({ "kid": key.kid });
        for (member, value) in key.pair.public_members() {
            jwk[member] = json!(value);
        }
        let jwks = json!({ "keys": [jwk] }).to_string();
        verified(&key, &jwks);
        let named = SigningKey::read(&text.into(), Some("my key"), None).unwrap();
        assert_eq!(named.kid, "my key", "{name}");
    }
}

#[test]
fn the_key_of_a_set_that_fits() {
    let [rsa, ec] = ["RS384", "ES384"].map(|name| json_of(&keygen(name).unwrap().private_jwk));
    let with = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let [rsa, ec] = [with(&rsa, "kid", json!("r")), with(&ec, "kid", json!("e"))];
    let public = with(&with(&ec, "d", json!(null)), "kid", json!("p"));
    let public = {
        let mut public = public;
        public.as_object_mut().unwrap().remove("d");
        public
    };
    let encrypts = with(&with(&ec, "kid", json!("x")), "use", json!("enc"));
    let verifies = with(&with(&ec, "kid", json!("v")), "key_ops", json!(["verify"]));
    let padded = {
        let n = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
        let mut padded = with(&rsa, "n", json!(jwk::encoded(&[&[0][..], &n].concat())));
        padded["e"] = json!("AQAB==");
        padded
    };
    let set = |keys: &[&Value]| json!({ "keys": keys });
    let es384 = Some(Algorithm::Es384);
    for (keys, kid, algorithm, expected) in [
        (set(&[&rsa, &ec]), Some("e"), None, Ok("e")),
        (set(&[&rsa, &ec]), None, es384, Ok("e")),
        (set(&[&public, &encrypts, &verifies, &rsa]), None, None, Ok("r")),
        (rsa.clone(), None, None, Ok("r")),
        (padded, None, None, Ok("r")),
        (rsa.clone(), Some("other"), None, Ok("other")),
        (set(&[&rsa, &ec]), None, None, Err("several private keys")),
        (set(&[&rsa, &ec]), Some("z"), None, Err("no private key `z`")),
        (set(&[&rsa]), None, es384, Err("no private key that fits")),
        (set(&[&public]), None, None, Err("only the public half")),
        (set(&[]), None, None, Err("only the public half")),
        (public.clone(), None, None, Err("only the public half")),
        (rsa.clone(), None, es384, Err("for `RS384`, not for `ES384`")),
        (json!({ "keys": {} }), None, None, Err("`keys` is no array")),
    ] {
        match (read(&keys, kid, algorithm), expected) {
            (Ok(key), Ok(name)) => assert_eq!(key.kid, name),
            (Err(error), Err(said)) => assert!(error.message().contains(said), "{error}"),
            (found, expected) => panic!("{expected:?}: {:?}", found.err()),
        }
    }
}

/// Each says what is wrong and what to do, and shows nothing of the key.
#[test]
fn keys_of_no_use_are_refused() {
    let rsa = json_of(&keygen("RS384").unwrap().private_jwk);
    let private = rsa["d"].as_str().unwrap().to_owned();
    let changed = |name: &str, value: &str| {
        let mut key = rsa.clone();
        key[name] = json!(value);
        key.to_string()
    };
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p256 = pem("PRIVATE KEY", p256.to_pkcs8v1().unwrap().as_ref());
    let weak = jwk::encoded(&[0xff; 128]);
    for (text, said) in [
        (changed("n", &weak), "too weak: 1024 bits"),
        (changed("n", &jwk::encoded(&[0xff; 384])), "do not belong together"),
        (changed("q", "not base64!"), "`q` is no base64url"),
        (changed("kty", "oct"), "symmetric"),
        (changed("kty", "OKP"), "`OKP`"),
        (changed("kty", "EC"), "another curve"),
        (changed("kty", ""), "`kty`"),
        (rsa.to_string().replace("\"p\"", "\"p_\""), "no `p`"),
        (format!("{{{private}"), "no JSON"),
        (private.clone(), "neither as JSON nor as PEM"),
        (String::new(), "neither as JSON nor as PEM"),
        (p256, "neither RSA of at least 2048 bits nor EC on P-384"),
        (pem("PRIVATE KEY", b"junk"), "neither RSA of at least 2048 bits nor EC on P-384"),
        (pem("OPENSSH PRIVATE KEY", b"junk"), "neither RSA nor EC"),
        (pem("ENCRYPTED PRIVATE KEY", b"junk"), "has a password"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----".to_owned(),
            "has a password",
        ),
        (pem("PUBLIC KEY", b"junk"), "no private key"),
        (pem("CERTIFICATE", b"junk"), "no private key"),
        ("-----BEGIN PRIVATE KEY-----\n%%%\n-----END PRIVATE KEY-----".to_owned(), "no base64"),
        ("-----BEGIN".to_owned(), "no block"),
    ] {
        let error = SigningKey::read(&text.into(), None, None).err().expect(said);
        assert_eq!(error.kind(), ErrorKind::Definition);
        assert!(error.message().contains(said), "{error}");
        assert!(error.remedy().is_some(), "{error}");
        assert!(!format!("{error:?}").contains(&private[..20]), "{error:?}");
    }
}
