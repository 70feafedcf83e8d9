//! What tests of several parts of the export need.

use std::path::Path;
use std::time::Duration;

use url::Url;

use super::log::Log;
use super::request::{ExportRequest, Level};
use super::settings::Settings;
use crate::clock::Clock;

/// Settings for a server on loopback, as patient as the defaults.
pub(super) fn settings(server: &Url) -> Settings {
    let request = ExportRequest::new(server.clone(), Level::System);
    Settings { timeout: Duration::from_secs(30), parallel: 4, ..Settings::new(request) }
}

/// A log in `folder`.
pub(super) fn log(folder: &Path) -> Log {
    Log::open(folder, Clock::default()).expect("the folder of a test can be written")
}
