//! Object stores: where `s3://bucket/prefix` leads, and how one signs in there.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, S3ConditionalPut};
use object_store::path::Path as ObjectPath;
use object_store::{ClientConfigKey, ObjectStore, StaticCredentialProvider};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::settings::{Secret, reveal};

/// How an object store is reached; what is not said comes from the environment (`AWS_…`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// The region.
    pub region: Option<String>,
    /// The url of a store that is compatible with S3.
    pub endpoint: Option<String>,
    /// The access key's id.
    pub access_key_id: Option<Secret>,
    /// The access key.
    pub secret_access_key: Option<Secret>,
    /// A session's token.
    pub session_token: Option<Secret>,
    /// Whether plain http is allowed beyond this machine.
    pub allow_http: bool,
}

impl StoreSettings {
    /// With the paths of its secrets' files relative to `base`.
    #[must_use]
    pub(crate) fn at(self, base: &Path) -> Self {
        let below = |secret: Option<Secret>| secret.map(|secret| secret.at(base));
        Self {
            access_key_id: below(self.access_key_id),
            secret_access_key: below(self.secret_access_key),
            session_token: below(self.session_token),
            ..self
        }
    }
}

/// Whether a path is the url of an object store.
pub(crate) fn is_url(path: &str) -> bool {
    path.starts_with("s3://")
}

/// The store and the prefix of a url.
///
/// # Errors
/// Of kind `Definition`: the url or the settings cannot be, or a secret is not where they say.
pub(crate) fn open(
    url: &str,
    settings: &StoreSettings,
) -> Result<(Arc<dyn ObjectStore>, ObjectPath)> {
    let (builder, prefix) = configure(AmazonS3Builder::from_env(), url, settings)?;
    let store = builder.build().map_err(|_| {
        // What it says may quote settings.
        Error::new(ErrorKind::Definition, "the settings of the object store do not fit together")
            .at("url", url)
            .hint("check `store` of the pipeline, and the variables `AWS_…` of the environment")
    })?;
    Ok((Arc::new(store), prefix))
}

/// Whether a url and settings can be, without a look at secrets.
pub(crate) fn check(url: &str, settings: &StoreSettings) -> Result<()> {
    location(url)?;
    if settings.access_key_id.is_some() != settings.secret_access_key.is_some() {
        let message = "`access_key_id` and `secret_access_key` come together";
        return Err(Error::new(ErrorKind::Definition, message)
            .hint("give both, or neither: then they come from the environment"));
    }
    if settings.session_token.is_some() && settings.access_key_id.is_none() {
        let message = "a `session_token` comes with its `access_key_id`";
        return Err(Error::new(ErrorKind::Definition, message));
    }
    settings.endpoint.as_deref().map_or(Ok(()), |e| check_endpoint(e, settings.allow_http))
}

/// The bucket and the prefix of a url.
pub(crate) fn location(url: &str) -> Result<(String, ObjectPath)> {
    let refused = |why: &str| {
        // Whatever is before an `@` may be a password.
        let shown = if url.contains('@') { "the url of the object store" } else { url };
        Error::new(ErrorKind::Definition, format!("`{shown}`: {why}"))
            .hint("write `s3://BUCKET/PREFIX`; keys and region are settings of their own")
    };
    let rest = url.strip_prefix("s3://").ok_or_else(|| refused("this is no url of S3"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bucket.is_empty() || !bucket.chars().all(plain) {
        return Err(refused("this names no bucket"));
    }
    let prefix =
        ObjectPath::parse(prefix).map_err(|_| refused("the prefix has empty or dotted parts"))?;
    Ok((bucket.to_owned(), prefix))
}

/// What the environment says, overridden by what the settings say.
fn configure(
    environment: AmazonS3Builder,
    url: &str,
    settings: &StoreSettings,
) -> Result<(AmazonS3Builder, ObjectPath)> {
    check(url, settings)?;
    let (bucket, prefix) = location(url)?;
    // Explicitly, because commits and manifests rely on it, whatever the environment says.
    let mut builder =
        environment.with_bucket_name(bucket).with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(key)) = (&settings.access_key_id, &settings.secret_access_key) {
        // As one: a token of the environment belongs to the keys of the environment.
        let token = settings.session_token.as_ref().map(reveal).transpose()?;
        builder =
            builder.with_credentials(Arc::new(StaticCredentialProvider::new(AwsCredential {
                key_id: reveal(id)?.expose_secret().to_owned(),
                secret_key: reveal(key)?.expose_secret().to_owned(),
                token: token.map(|token| token.expose_secret().to_owned()),
            })));
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(endpoint) = builder.get_config_value(&AmazonS3ConfigKey::Endpoint) {
        let allowed = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
        let allowed = builder.get_config_value(&allowed).is_some_and(|allowed| allowed == "true");
        check_endpoint(&endpoint, settings.allow_http || allowed)?;
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
    }
    Ok((builder, prefix))
}

/// Keys and PHI go there: over TLS, unless it is this machine or plain http is allowed.
fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<()> {
    let refused = |why: &str, hint: &str| {
        Err(Error::new(ErrorKind::Definition, format!("the endpoint of the object store {why}"))
            .hint(hint))
    };
    let example = "write `https://minio.example.org:9000`";
    let Ok(parsed) = url::Url::parse(endpoint) else { return refused("is no url", example) };
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
        return refused("has more than host, port and path", example);
    }
    match (parsed.scheme(), parsed.host_str()) {
        ("https", Some(_)) => Ok(()),
        ("http", Some(host)) if allow_http || is_loopback(host) => Ok(()),
        ("http", Some(_)) => refused(
            "is plain http: keys and data would be read by others",
            "use https; within a network that you trust, set `allow_http = true`",
        ),
        _ => refused("is neither https nor http", example),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error of a store while `doing` something at a url. What the store answered is left out: it may quote keys.
pub(crate) fn failed(doing: &str, url: &str, error: &object_store::Error) -> Error {
    use object_store::Error as E;
    // An error of listing has its status in its text only.
    let text = error.to_string();
    let is = |status: &str| text.contains(&format!("status code: {status}"));
    let refused = matches!(error, E::PermissionDenied { .. } | E::Unauthenticated { .. });
    let (kind, why, hint) = match error {
        E::NotFound { .. } => {
            (ErrorKind::Input, "there is no such object or bucket", "check the url of the store")
        }
        E::Generic { .. } if is("404") => {
            (ErrorKind::Input, "there is no such bucket", "check the url of the store")
        }
        _ if refused || is("401") || is("403") => (
            ErrorKind::Refused,
            "the store refuses",
            "check the keys (`store`, or `AWS_…` in the environment) and what they may do",
        ),
        E::Precondition { .. } | E::AlreadyExists { .. } => {
            (ErrorKind::TryLater, "somebody else changes the object at the same time", "run again")
        }
        _ => (
            ErrorKind::TryLater,
            "the store cannot be reached, or does not answer as it should",
            "check its endpoint, region and keys; if these are right, run again later",
        ),
    };
    Error::new(kind, format!("cannot {doing} `{url}`: {why}")).hint(hint)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn inline(text: &str) -> Secret {
        Secret::Inline(text.into())
    }

    #[test]
    fn urls_lead_to_buckets_and_prefixes() {
        for (url, expected) in [
            ("s3://bucket", Some(("bucket", ""))),
            ("s3://bucket/", Some(("bucket", ""))),
            ("s3://my.bucket-1/a/b c/", Some(("my.bucket-1", "a/b c"))),
            ("s3://", None),
            ("s3:///a", None),
            ("s3://b/a//c", None),
            ("s3://b/../c", None),
            ("s3://id:s3cret@b/c", None),
            ("s3://b?x/c", None),
            ("https://b/c", None),
        ] {
            let found = location(url);
            let pair =
                found.as_ref().ok().map(|(bucket, prefix)| (bucket.as_str(), prefix.as_ref()));
            assert_eq!(pair, expected, "{url}");
            if let Err(error) = found {
                assert_eq!(error.kind(), ErrorKind::Definition);
                assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
            }
        }
    }

    #[test]
    fn endpoints_are_of_https_or_of_this_machine() {
        for (endpoint, allow_http, expected) in [
            ("https://s3.example.org", false, true),
            ("http://127.0.0.1:5000", false, true),
            ("http://[::1]:5000", false, true),
            ("http://localhost:5000/", false, true),
            ("http://minio:9000", false, false),
            ("http://127.0.0.1.example.org", false, false),
            ("http://minio:9000", true, true),
            ("ftp://minio", true, false),
            ("minio:9000", true, false),
            ("https://id:s3cret@minio", false, false),
        ] {
            let endpoint = endpoint.to_owned();
            let settings = StoreSettings {
                endpoint: Some(endpoint.clone()),
                allow_http,
                ..StoreSettings::default()
            };
            let opened = configure(AmazonS3Builder::new(), "s3://b/p", &settings);
            assert_eq!(opened.is_ok(), expected, "{endpoint} {allow_http}");
            // What the environment says is held to the same.
            let environment =
                AmazonS3Builder::new().with_endpoint(&endpoint).with_allow_http(allow_http);
            let found = configure(environment, "s3://b/p", &StoreSettings::default());
            assert_eq!(found.is_ok(), expected, "{endpoint} {allow_http} of the environment");
            for error in [opened.err(), found.err()].into_iter().flatten() {
                assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
            }
        }
    }

    #[test]
    fn settings_override_the_environment() {
        let environment = AmazonS3Builder::new()
            .with_region("there")
            .with_access_key_id("id0")
            .with_secret_access_key("key0")
            .with_token("token0")
            .with_conditional_put(S3ConditionalPut::Disabled);
        let found = |settings: &StoreSettings| {
            let (builder, _) = configure(environment.clone(), "s3://b/p", settings).unwrap();
            let setting = |key| builder.get_config_value(&key).unwrap();
            assert_eq!(setting(AmazonS3ConfigKey::ConditionalPut), "etag");
            let region = setting(AmazonS3ConfigKey::Region);
            let store = builder.build().unwrap();
            let signed = futures::executor::block_on(store.credentials().get_credential()).unwrap();
            let token = signed.token.as_deref().unwrap_or("none");
            format!("{region} {} {} {token}", signed.key_id, signed.secret_key)
        };
        assert_eq!(found(&StoreSettings::default()), "there id0 key0 token0");
        let settings = StoreSettings {
            region: Some("here".to_owned()),
            access_key_id: Some(inline("id1")),
            secret_access_key: Some(inline("key1")),
            ..StoreSettings::default()
        };
        assert_eq!(found(&settings), "here id1 key1 none");
        let settings = StoreSettings { session_token: Some(inline("token1")), ..settings };
        assert_eq!(found(&settings), "here id1 key1 token1");
        let half = StoreSettings { secret_access_key: None, ..settings };
        assert!(configure(environment, "s3://b/p", &half).is_err());
    }
}
