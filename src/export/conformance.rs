//! What a server says of itself, and what Kiln would send (`kiln export --dry-run`).

use serde::Serialize;

use super::clock::Clock;
use super::settings::Settings;
use crate::error::Result;

/// The report.
#[derive(Debug, Serialize)]
pub struct Conformance {}

/// Reads CapabilityStatement and `.well-known/smart-configuration`; sends no kick-off.
pub async fn conformance(settings: Settings, clock: Clock) -> Result<Conformance> {
    todo!("{settings:?}{clock:?}")
}
