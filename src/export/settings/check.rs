//! Finds settings that make no sense, beside what the request says.

use std::path::Path;
use std::time::Duration;

use reqwest::header::HeaderName;
use url::Url;

use super::{AttachmentSettings, AuthSettings, Settings};
use crate::export::request::check_url;
use crate::export::vendor::Vendor;
use crate::settings::{Mistakes, Secret};

/// Headers that Kiln sets itself, with what to use instead.
const OWN_HEADERS: [(&str, &str); 7] = [
    ("authorization", "use `auth`"),
    ("accept", "use `output_format`"),
    ("prefer", "use `lenient` or `separate_status`"),
    ("content-type", "leave it out"),
    ("content-length", "leave it out"),
    ("accept-encoding", "leave it out"),
    ("host", "leave it out"),
];

impl Settings {
    /// What is wrong with all but the request, and what is better otherwise.
    pub(super) fn check(
        &self,
        vendor: Option<&Vendor>,
        mistakes: &mut Mistakes,
        warnings: &mut Mistakes,
    ) {
        self.check_numbers(mistakes);
        for (name, value) in &self.headers {
            check_header(name, mistakes);
            warn_inline(&format!("headers.{name}"), value, warnings);
        }
        for (name, why) in vendor.map(|v| v.headers).unwrap_or_default() {
            if !self.headers.keys().any(|key| key.eq_ignore_ascii_case(name)) {
                let message = format!("the header `{name}` is not set, which this vendor asks for");
                warnings.hinted("headers", message, *why);
            }
        }
        self.check_auth(mistakes, warnings);
        if let Some(attachments) = &self.attachments {
            check_attachments(attachments, mistakes);
        }
    }

    fn check_numbers(&self, mistakes: &mut Mistakes) {
        let zero = Duration::ZERO;
        for (path, wrong) in [
            ("attempts", self.attempts == 0),
            ("parallel", self.parallel == 0),
            ("part_mib", self.part_bytes == 0),
            ("max_wait", self.max_wait == zero),
            ("poll_min", self.poll.0 == zero),
            ("timeout", self.timeout == zero),
        ] {
            if wrong {
                mistakes.add(path, format!("`{path}` must be more than nothing"));
            }
        }
        if self.poll.0 > self.poll.1 {
            mistakes.add("poll_max", "`poll_max` is less than `poll_min`");
        }
        if self.parallel > 64 {
            let hint = "servers answer 429 long before: 5 is usual, 10 is much";
            mistakes.hinted("parallel", "more than 64 files at once", hint);
        }
    }

    fn check_auth(&self, mistakes: &mut Mistakes, warnings: &mut Mistakes) {
        let url = |path: &str, text: Option<&String>, mistakes: &mut Mistakes| {
            let Some(text) = text else { return };
            match Url::parse(text) {
                Ok(url) => check_url(path, &url, self.allow_http, mistakes),
                Err(_) => mistakes.add(path, format!("`{text}` is no url")),
            }
        };
        match &self.auth {
            AuthSettings::None => {}
            AuthSettings::Bearer { token } => warn_inline("auth.token", token, warnings),
            AuthSettings::Basic { client_id, client_secret, token_url, .. } => {
                check_client(client_id, mistakes);
                warn_inline("auth.client_secret", client_secret, warnings);
                url("auth.token_url", token_url.as_ref(), mistakes);
            }
            AuthSettings::Smart { client_id, key, algorithm, jwks_url, token_url, .. } => {
                check_client(client_id, mistakes);
                warn_inline("auth.key", key, warnings);
                url("auth.token_url", token_url.as_ref(), mistakes);
                url("auth.jwks_url", jwks_url.as_ref(), mistakes);
                if let Some(other) =
                    algorithm.as_ref().filter(|a| !["RS384", "ES384"].contains(&a.as_str()))
                {
                    let hint = "write `RS384` (RSA keys) or `ES384` (keys on P-384)";
                    mistakes.hinted("auth.algorithm", format!("`{other}` is not supported"), hint);
                }
            }
        }
    }
}

impl AuthSettings {
    /// With the paths of secrets relative to `base`.
    pub(super) fn at(mut self, base: &Path) -> Self {
        match &mut self {
            Self::None => {}
            Self::Smart { key: secret, .. }
            | Self::Basic { client_secret: secret, .. }
            | Self::Bearer { token: secret } => *secret = secret.clone().at(base),
        }
        self
    }

    /// With the url of the token, where it was not given.
    pub(super) fn or_token_url(mut self, url: impl FnOnce() -> Option<String>) -> Self {
        if let Self::Basic { token_url: given @ None, .. } = &mut self {
            *given = url();
        }
        self
    }
}

fn check_client(client_id: &str, mistakes: &mut Mistakes) {
    if client_id.trim().is_empty() {
        mistakes.add("auth.client_id", "the client id is empty");
    }
}

fn check_header(name: &str, mistakes: &mut Mistakes) {
    let path = format!("headers.{name}");
    let own = OWN_HEADERS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    if let Some((_, instead)) = own {
        mistakes.hinted(path, format!("`{name}` is set by Kiln"), *instead);
    } else if HeaderName::from_bytes(name.as_bytes()).is_err() {
        mistakes.add(path, format!("`{name}` is no name of a header"));
    }
}

/// Files of settings are shared and kept; secrets had better not be.
fn warn_inline(path: &str, secret: &Secret, warnings: &mut Mistakes) {
    if matches!(secret, Secret::Inline(_)) {
        let hint = "write { env = \"NAME\" } or { file = \"PATH\" }";
        warnings.hinted(path, "a secret stands in the file itself", hint);
    }
}

fn check_attachments(attachments: &AttachmentSettings, mistakes: &mut Mistakes) {
    for (index, mime) in attachments.types.iter().enumerate() {
        let form = mime.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
        if !form {
            let hint = "write `text/plain` or `text/*`";
            mistakes.hinted(
                format!("attachments.types[{index}]"),
                format!("`{mime}` is no MIME type"),
                hint,
            );
        }
    }
}
