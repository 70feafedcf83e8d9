//! What is asked for: the level, and the parameters of the kick-off (Bulk Data Access, "Kick-off Request").

mod check;
mod from_url;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeMap;

use url::Url;

pub(super) use check::{check_url, instant};
pub(super) use from_url::patient;

/// What an export is to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    /// The base url of the FHIR server, without a slash at its end.
    pub server: Url,
    /// Of whom.
    pub level: Level,
    /// How the request is sent.
    pub kick_off: KickOff,
    /// `_type`
    pub types: Vec<String>,
    /// `_typeFilter`, each `Type?query`, not encoded.
    pub type_filters: Vec<String>,
    /// `_since`, an instant.
    pub since: Option<String>,
    /// `_until`, an instant.
    pub until: Option<String>,
    /// `_elements`
    pub elements: Vec<String>,
    /// `patient`, each `Patient/id`.
    pub patients: Vec<String>,
    /// `includeAssociatedData`
    pub associated_data: Vec<String>,
    /// `_outputFormat`
    pub output_format: Option<String>,
    /// `organizeOutputBy`
    pub organize_by: Option<String>,
    /// `allowPartialManifests`
    pub partial_manifests: bool,
    /// `Prefer: handling=lenient`
    pub lenient: bool,
    /// `Prefer: separate-export-status`
    pub separate_status: bool,
    /// Further parameters, as the server names them.
    pub parameters: BTreeMap<String, String>,
}

impl ExportRequest {
    /// Everything at this level; no parameters.
    pub fn new(server: Url, level: Level) -> Self {
        Self {
            server,
            level,
            kick_off: KickOff::Auto,
            types: Vec::new(),
            type_filters: Vec::new(),
            since: None,
            until: None,
            elements: Vec::new(),
            patients: Vec::new(),
            associated_data: Vec::new(),
            output_format: None,
            organize_by: None,
            partial_manifests: false,
            lenient: false,
            separate_status: false,
            parameters: BTreeMap::new(),
        }
    }

    /// The url of something below the server's base: `Patient/$export`.
    pub(super) fn below(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(&format!("{}/{path}", self.server.path().trim_end_matches('/')));
        url
    }
}

/// Of whom resources are exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// Everything the server has.
    System,
    /// All patients.
    Patient,
    /// The patients of the group with this id.
    Group(String),
    /// The patients of the only group with this name or `system|value` identifier.
    GroupNamed(String),
}

/// How the kick-off request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KickOff {
    /// GET, unless `patient` is used or the server refuses it with 400 or 405.
    #[default]
    Auto,
    /// Parameters in the url.
    Get,
    /// Parameters as a resource.
    Post,
}
