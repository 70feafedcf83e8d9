//! How an export is performed: what `[source.export]` of a pipeline and the flags of `kiln export` say.

mod check;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::request::ExportRequest;
use crate::settings::Secret;

pub use written::{AttachmentsTable, ExportTable, PatientList, Resolved};

/// All of it, resolved: nothing is read from files or the environment after this but secrets.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub struct Settings {
    /// What is asked for.
    pub request: ExportRequest,
    /// How Kiln signs in.
    pub auth: AuthSettings,
    /// Headers of the vendor's, sent only where the token goes.
    pub headers: BTreeMap<String, Secret>,
    /// Whether plain `http` is allowed to hosts that are not loopback.
    pub allow_http: bool,
    /// Gives up after so long without the job being done; the next start goes on with it.
    pub max_wait: Duration,
    /// The shortest and the longest time between two polls, whatever the server says.
    pub poll: (Duration, Duration),
    /// How often a request that failed for a passing reason is tried, in all.
    pub attempts: u32,
    /// How long a server may be silent within a request.
    pub timeout: Duration,
    /// Files loaded at once.
    pub parallel: usize,
    /// Whether stored files are compressed with zstd.
    pub compress: bool,
    /// A stored file is cut at a line end when it is this long, in bytes before compression.
    pub part_bytes: u64,
    /// What a `count` that does not fit means: a failure, or a warning.
    pub count_must_fit: bool,
    /// Whether errors that the server reports in its `error` files are only warnings.
    pub accept_errors: bool,
    /// Whether a job that the server no longer knows is begun anew, rather than a failure.
    pub restart_lost_job: bool,
    /// Whether the job is deleted on the server once everything is stored.
    pub delete_job: bool,
    /// Attachments; `None` leaves them where they are.
    pub attachments: Option<AttachmentSettings>,
}

impl Settings {
    /// What holds where nothing else is said.
    pub fn new(request: ExportRequest) -> Self {
        Self {
            request,
            auth: AuthSettings::None,
            headers: BTreeMap::new(),
            allow_http: false,
            // Epic's exports run for weeks.
            max_wait: Duration::from_hours(30 * 24),
            // Servers ask for hours, or by mistake for years (failure case 6).
            poll: (Duration::from_secs(1), Duration::from_mins(5)),
            attempts: 5,
            timeout: Duration::from_mins(2),
            parallel: 5,
            compress: false,
            part_bytes: 128 << 20,
            count_must_fit: true,
            accept_errors: false,
            restart_lost_job: false,
            delete_job: true,
            attachments: None,
        }
    }
}

/// Which attachments are loaded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentSettings {
    /// MIME types, `text/*` among them; empty for all.
    #[serde(default)]
    pub types: Vec<String>,
    /// Attachments up to so many bytes are put into the resource as base64; larger ones are files.
    #[serde(default)]
    pub inline_bytes: u64,
}

/// How Kiln signs in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum AuthSettings {
    /// Not at all.
    #[default]
    None,
    /// SMART Backend Services: an assertion signed with a private key, for a token.
    Smart {
        /// As registered; `iss` and `sub` of assertions.
        client_id: String,
        /// JWK, JWKS or PEM.
        key: Secret,
        /// Which of several keys; also the `kid` of a PEM.
        key_id: Option<String>,
        /// RS384 or ES384; by default what fits the key.
        algorithm: Option<String>,
        /// Where the public key is registered to be found, if the server wants to be told (`jku`).
        jwks_url: Option<String>,
        /// Instead of what the server's configuration says.
        token_url: Option<String>,
        /// Instead of one for each type that is exported.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// Client id and secret, for a token (BCDA).
    Basic {
        /// The id.
        client_id: String,
        /// The secret.
        client_secret: Secret,
        /// Instead of what the server's configuration says.
        token_url: Option<String>,
        /// Scopes, if the server wants any.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// A token that somebody else got.
    Bearer {
        /// The token.
        token: Secret,
    },
}
