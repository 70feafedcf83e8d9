//! Performs a Bulk Data export: kick-off, polling, files; survives servers, networks and being killed.
//!
//! ```text
//! ExportRequest ──► ExportJob::run
//!                     kick_off ──► status url ──► poll ──► Manifest, page by page ──► download ──► StoredFile …
//!                        │             │                       │                         │             │
//!                        └─────────────┴───────────────────────┴── ExportState (export.json), log.ndjson
//!                   every request: transport (token rule, redirects) ← auth (SMART Backend Services, Basic, …)
//! ```

mod attachments;
mod auth;
mod conformance;
mod digest;
mod download;
mod job;
mod kick_off;
mod log;
mod manifest;
mod outcome;
mod poll;
mod request;
mod retry;
mod session;
mod settings;
mod standing;
mod state;
#[cfg(test)]
mod testing;
mod transport;
mod vendor;

pub use crate::clock::{Clock, Simulated};
pub use crate::settings::{Mistake, Secret, Span};
pub use auth::keygen::{KeyPair, keygen};
pub use conformance::{Conformance, KickOffShown, OfferedType, TokenRequestShown, conformance};
pub use job::{Complete, Event, ExportJob, Observer};
pub use request::{ExportRequest, KickOff, Level};
pub use settings::{
    AttachmentSettings, AttachmentsTable, AuthSettings, ExportTable, PatientList, Resolved,
    Settings,
};
pub use standing::Standing;
pub use state::{ExportState, StoredFile, identity};
