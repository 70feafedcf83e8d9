//! `[source.export]` of a pipeline as written, and what it comes to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use url::Url;

use super::{AttachmentSettings, AuthSettings, Settings};
use crate::export::request::{self, ExportRequest, KickOff, Level};
use crate::export::vendor::{self, Vendor};
use crate::settings::{Mistake, Mistakes, Secret, Span};
use crate::suggest;

/// `[source.export]`, or the flags of `kiln export`: what is not said is `None` or empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools)] // flags as people write them
pub struct ExportTable {
    /// The base url of the FHIR server.
    pub server: String,
    /// `system`, `patient` or `group`; by default `group` where one is named, else `patient`.
    pub level: Option<String>,
    /// The id of the group.
    pub group: Option<String>,
    /// The name of the group.
    pub group_name: Option<String>,
    /// The identifier of the group: `system|value`.
    pub group_identifier: Option<String>,
    /// Whose server it is, for what is known of it.
    pub vendor: Option<String>,
    /// `auto`, `get` or `post`.
    pub kickoff: Option<String>,
    /// `_type`
    pub types: Vec<String>,
    /// `_typeFilter`
    pub type_filters: Vec<String>,
    /// `_since`; `auto` is the caller's business, as are the next four.
    pub since: Option<String>,
    /// How much earlier than what is known to be complete changes are asked for.
    pub since_overlap: Option<Span>,
    /// Whether an export that the server reported errors of counts as complete up to its time.
    pub advance_with_errors: Option<bool>,
    /// `trust` or `history`: whether the history of new members of a group is asked for.
    pub new_members: Option<String>,
    /// Whether the rows of patients go who left the group.
    pub remove_departed: Option<bool>,
    /// `_until`
    pub until: Option<String>,
    /// `_elements`
    pub elements: Vec<String>,
    /// `patient`
    pub patients: PatientList,
    /// `includeAssociatedData`
    pub include_associated_data: Vec<String>,
    /// `_outputFormat`
    pub output_format: Option<String>,
    /// `organizeOutputBy`
    pub organize_output_by: Option<String>,
    /// `allowPartialManifests`
    pub allow_partial_manifests: bool,
    /// `Prefer: handling=lenient`
    pub lenient: bool,
    /// `Prefer: separate-export-status`
    pub separate_status: bool,
    /// Parameters of the server's own.
    pub parameters: BTreeMap<String, String>,
    /// Headers of the server's own.
    pub headers: BTreeMap<String, Secret>,
    /// Whether plain http is allowed beyond this machine.
    pub allow_http: bool,
    /// How long one start waits for the job.
    pub max_wait: Option<Span>,
    /// The shortest time between two polls.
    pub poll_min: Option<Span>,
    /// The longest time between two polls.
    pub poll_max: Option<Span>,
    /// How often a request is tried.
    pub attempts: Option<u32>,
    /// How long the server may be silent.
    pub timeout: Option<Span>,
    /// Files loaded at once.
    pub parallel: Option<usize>,
    /// Whether files are stored with zstd.
    pub compress: Option<bool>,
    /// How long a stored file becomes, in MiB of text.
    pub part_mib: Option<u64>,
    /// Whether a `count` that does not fit is a failure.
    pub count_must_fit: Option<bool>,
    /// Whether errors that the server reports are only warnings.
    pub accept_errors: Option<bool>,
    /// Whether a job that the server lost is begun anew.
    pub restart_lost_job: Option<bool>,
    /// Whether the job is deleted when all is stored.
    pub delete_job: Option<bool>,
    /// `true`, or which attachments are loaded.
    pub attachments: Option<AttachmentsTable>,
    /// How Kiln signs in.
    pub auth: AuthSettings,
    /// Where exports are kept; the caller's business.
    pub folder: Option<PathBuf>,
    /// How many exports are kept once their data is in the tables; the caller's business.
    pub keep: Option<usize>,
}

/// `patients`: a list, or a file with one reference a line.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a list of patients, or { file = \"PATH\" }")]
pub enum PatientList {
    /// As written.
    Listed(Vec<String>),
    /// In a file.
    File {
        /// Its path.
        file: PathBuf,
    },
}

/// `attachments`: whether, or which.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected true, false, or { types = [\"text/*\"], inline_bytes = 0 }"
)]
pub enum AttachmentsTable {
    /// All or none.
    Wanted(bool),
    /// Some.
    Some(AttachmentSettings),
}

/// What a table comes to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// `folder`, as written.
    pub folder: Option<PathBuf>,
    /// What is allowed, but better otherwise.
    pub warnings: Vec<Mistake>,
}

impl Default for PatientList {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl ExportTable {
    /// Resolves and checks all of it. Paths are relative to `base`; `now` is what instants may not be after.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn resolve(self, base: &Path, now: Timestamp) -> Result<Resolved, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let mut warnings = Mistakes::default();
        let vendor = self.vendor(&mut mistakes);
        let request = self.request(base, &mut mistakes);
        let folder = self.folder.clone();
        let server_given = request.is_some();
        let request = request.unwrap_or_else(|| ExportRequest::new(nowhere(), Level::Patient));
        if let Some(vendor) = vendor {
            vendor.check(&request, &mut mistakes, &mut warnings);
        }
        let settings = self.settings(request, vendor, base, &mut mistakes);
        if server_given {
            settings.request.check(settings.allow_http, now, &mut mistakes);
        }
        settings.check(vendor, &mut mistakes, &mut warnings);
        if mistakes.0.is_empty() {
            Ok(Resolved { settings, folder, warnings: warnings.0 })
        } else {
            Err(mistakes.0)
        }
    }

    fn vendor(&self, mistakes: &mut Mistakes) -> Option<&'static Vendor> {
        let name = self.vendor.as_deref()?;
        let known = vendor::vendor(name);
        if known.is_none() {
            let hint = suggest::nearest(name, vendor::names()).map_or_else(
                || {
                    format!(
                        "known are {}; leave it out otherwise",
                        vendor::names().collect::<Vec<_>>().join(", ")
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            mistakes.hinted("vendor", format!("nothing is known of the vendor `{name}`"), hint);
        }
        known
    }

    /// The request, if the server is known.
    fn request(&self, base: &Path, mistakes: &mut Mistakes) -> Option<ExportRequest> {
        let level = self.level(mistakes);
        let kick_off = self.kick_off(mistakes);
        let patients = self.patients(base, mistakes);
        let server = self.server(mistakes)?;
        let mut request = ExportRequest::new(server, level);
        request.kick_off = kick_off;
        request.types.clone_from(&self.types);
        request.type_filters.clone_from(&self.type_filters);
        request.since.clone_from(&self.since);
        request.until.clone_from(&self.until);
        request.elements.clone_from(&self.elements);
        request.patients = patients;
        request.associated_data.clone_from(&self.include_associated_data);
        request.output_format.clone_from(&self.output_format);
        request.organize_by.clone_from(&self.organize_output_by);
        request.partial_manifests = self.allow_partial_manifests;
        request.lenient = self.lenient;
        request.separate_status = self.separate_status;
        request.parameters.clone_from(&self.parameters);
        Some(request)
    }

    fn server(&self, mistakes: &mut Mistakes) -> Option<Url> {
        let hint = "write the base url of the FHIR server: `https://…`";
        if self.server.trim().is_empty() {
            mistakes.hinted("server", "no server is named", hint);
            return None;
        }
        // An address without `//` would be a url of the scheme `localhost`.
        let parsed = Url::parse(self.server.trim()).ok().filter(Url::has_host);
        if parsed.is_none() {
            mistakes.hinted("server", format!("`{}` is no url", self.server), hint);
        }
        let mut url = parsed?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Some(url)
    }

    fn level(&self, mistakes: &mut Mistakes) -> Level {
        let looked_up = self.group_name.as_ref().or(self.group_identifier.as_ref());
        let ways = [&self.group, &self.group_name, &self.group_identifier];
        if ways.into_iter().flatten().count() > 1 {
            let message =
                "only one of `group`, `group_name` and `group_identifier` can name the group";
            mistakes.add("group", message);
        }
        let group = self
            .group
            .as_ref()
            .map(|id| Level::Group(id.strip_prefix("Group/").unwrap_or(id).to_owned()))
            .or_else(|| looked_up.map(|name| Level::GroupNamed(name.clone())));
        match (self.level.as_deref(), group) {
            (None | Some("group"), Some(group)) => group,
            (None | Some("patient"), None) => Level::Patient,
            (Some("system"), None) => Level::System,
            (Some("group"), None) => {
                let hint = "name it by `group` (its id), `group_name` or `group_identifier`";
                mistakes.hinted("level", "the level is `group`, but no group is named", hint);
                Level::Patient
            }
            (Some(level @ ("system" | "patient")), Some(group)) => {
                let hint = "leave one of the two out";
                let message = format!("the level is `{level}`, but a group is named");
                mistakes.hinted("level", message, hint);
                group
            }
            (Some(other), _) => {
                let names = ["system", "patient", "group"];
                choice("level", other, names, mistakes);
                Level::Patient
            }
        }
    }

    fn kick_off(&self, mistakes: &mut Mistakes) -> KickOff {
        match self.kickoff.as_deref() {
            None | Some("auto") => KickOff::Auto,
            Some("get") => KickOff::Get,
            Some("post") => KickOff::Post,
            Some(other) => {
                choice("kickoff", other, ["auto", "get", "post"], mistakes);
                KickOff::Auto
            }
        }
    }

    fn patients(&self, base: &Path, mistakes: &mut Mistakes) -> Vec<String> {
        let listed = match &self.patients {
            PatientList::Listed(patients) => patients.clone(),
            PatientList::File { file } => match fs::read_to_string(base.join(file)) {
                Ok(text) => {
                    text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect()
                }
                Err(error) => {
                    let message = format!("cannot read `{}`: {error}", base.join(file).display());
                    mistakes.add("patients.file", message);
                    return Vec::new();
                }
            },
        };
        let of_file = matches!(self.patients, PatientList::File { .. });
        let patients: Vec<_> =
            listed.iter().filter(|p| !p.trim().is_empty()).map(|p| request::patient(p)).collect();
        if of_file && patients.is_empty() {
            // Without the parameter the server would export everybody.
            mistakes.add("patients.file", "the file names no patient");
        }
        patients
    }

    fn settings(
        self,
        request: ExportRequest,
        vendor: Option<&Vendor>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Settings {
        let mut span = |path: &str, written: Option<&Span>| {
            let duration = written.and_then(Span::duration);
            if let (Some(written), None) = (written, duration) {
                let hint = "write `30d`, `5m`, `250ms` or seconds";
                mistakes.hinted(path, format!("`{}` is no span of time", written.0), hint);
            }
            duration
        };
        let plain = Settings::new(request);
        let poll = vendor.and_then(|v| v.poll).unwrap_or(plain.poll);
        let usual_wait = vendor.and_then(|v| v.max_wait).unwrap_or(plain.max_wait);
        let poll_min = span("poll_min", self.poll_min.as_ref());
        let poll_max = span("poll_max", self.poll_max.as_ref());
        // Who sets one of the two alone moves the other only as far as it must.
        let poll = (
            poll_min.unwrap_or_else(|| poll.0.min(poll_max.unwrap_or(poll.1))),
            poll_max.unwrap_or_else(|| poll.1.max(poll_min.unwrap_or(poll.0))),
        );
        Settings {
            max_wait: span("max_wait", self.max_wait.as_ref()).unwrap_or(usual_wait),
            poll,
            timeout: span("timeout", self.timeout.as_ref()).unwrap_or(plain.timeout),
            auth: self.auth.at(base).or_token_url(|| {
                let path = vendor?.token_path?;
                plain.request.server.join(path).ok().map(String::from)
            }),
            headers: self.headers.into_iter().map(|(k, v)| (k, v.at(base))).collect(),
            allow_http: self.allow_http,
            attempts: self.attempts.unwrap_or(plain.attempts),
            parallel: self.parallel.or(vendor.and_then(|v| v.parallel)).unwrap_or(plain.parallel),
            compress: self.compress.unwrap_or(plain.compress),
            part_bytes: self.part_mib.map_or(plain.part_bytes, |mib| mib.saturating_mul(1 << 20)),
            count_must_fit: self.count_must_fit.unwrap_or(plain.count_must_fit),
            accept_errors: self.accept_errors.unwrap_or(plain.accept_errors),
            restart_lost_job: self.restart_lost_job.unwrap_or(plain.restart_lost_job),
            delete_job: self
                .delete_job
                .or(vendor.and_then(|v| v.delete_job))
                .unwrap_or(plain.delete_job),
            attachments: match self.attachments {
                None | Some(AttachmentsTable::Wanted(false)) => None,
                Some(AttachmentsTable::Wanted(true)) => {
                    Some(AttachmentSettings { types: Vec::new(), inline_bytes: 0 })
                }
                Some(AttachmentsTable::Some(some)) => Some(some),
            },
            request: plain.request,
        }
    }
}

/// Stands in for the server while the other settings are checked.
fn nowhere() -> Url {
    Url::parse("https://invalid.invalid").expect("a url")
}

fn choice(path: &str, written: &str, names: [&str; 3], mistakes: &mut Mistakes) {
    let hint = suggest::nearest(written, names).map_or_else(
        || format!("write one of {}", names.map(|n| format!("`{n}`")).join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    mistakes.hinted(path, format!("`{written}` is not known"), hint);
}
