//! What tests of several parts of the export need.

use std::path::Path;
use std::time::Duration;

use url::Url;

use super::clock::Clock;
use super::log::Log;
use super::request::{ExportRequest, KickOff, Level};
use super::settings::{AuthSettings, Settings};

/// Settings for a server on loopback, as patient as the defaults.
pub(super) fn settings(server: &Url) -> Settings {
    Settings {
        request: ExportRequest {
            server: server.clone(),
            level: Level::System,
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
            parameters: std::collections::BTreeMap::new(),
        },
        auth: AuthSettings::None,
        headers: std::collections::BTreeMap::new(),
        allow_http: false,
        max_wait: Duration::from_hours(24),
        poll: (Duration::from_secs(1), Duration::from_mins(5)),
        attempts: 5,
        timeout: Duration::from_secs(30),
        parallel: 4,
        compress: false,
        part_bytes: 256 << 20,
        count_must_fit: true,
        accept_errors: false,
        restart_lost_job: false,
        delete_job: true,
        attachments: None,
    }
}

/// A log in `folder`.
pub(super) fn log(folder: &Path) -> Log {
    Log::open(folder, Clock::default()).expect("the folder of a test can be written")
}
