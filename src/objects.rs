//! Object stores: where `s3://bucket/prefix` leads, and how one signs in there.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use serde::Deserialize;

use crate::error::Result;
use crate::settings::Secret;

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

/// Whether a path is the url of an object store.
pub(crate) fn is_url(path: &str) -> bool {
    path.starts_with("s3://")
}

/// The store and the prefix of a url.
pub(crate) fn open(
    _url: &str,
    _settings: &StoreSettings,
) -> Result<(Arc<dyn ObjectStore>, ObjectPath)> {
    todo!()
}
