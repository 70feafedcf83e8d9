//! Finds what no server can make sense of, before any is asked.

use jiff::Timestamp;
use url::{Host, Url};

use super::{ExportRequest, KickOff, Level};
use crate::settings::Mistakes;
use crate::suggest;

/// Values of `includeAssociatedData` that the guide defines; servers' own begin with `_`.
const ASSOCIATED_DATA: [&str; 2] = ["LatestProvenanceResources", "RelevantProvenanceResources"];

/// Parameters that have a setting of their own, with its name.
const SETTINGS: [(&str, &str); 11] = [
    ("_type", "types"),
    ("_typeFilter", "type_filters"),
    ("_since", "since"),
    ("_until", "until"),
    ("_elements", "elements"),
    ("patient", "patients"),
    ("includeAssociatedData", "include_associated_data"),
    ("_outputFormat", "output_format"),
    ("organizeOutputBy", "organize_output_by"),
    ("allowPartialManifests", "allow_partial_manifests"),
    ("handling", "lenient"),
];

/// Search parameters that mean nothing in `_typeFilter` (Bulk Data Access 3.0, "_typeFilter Query Parameter").
const NOT_IN_FILTERS: [&str; 5] = ["_include", "_revinclude", "_sort", "_elements", "_count"];

/// What is exported most; for "did you mean" alone: any name of the right form is sent.
const COMMON_TYPES: [&str; 44] = [
    "Account",
    "AllergyIntolerance",
    "Appointment",
    "Binary",
    "CarePlan",
    "CareTeam",
    "Claim",
    "ClaimResponse",
    "Communication",
    "Composition",
    "Condition",
    "Consent",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "EpisodeOfCare",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Goal",
    "Group",
    "ImagingStudy",
    "Immunization",
    "List",
    "Location",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "QuestionnaireResponse",
    "RelatedPerson",
    "ServiceRequest",
    "Specimen",
    "Task",
];

impl ExportRequest {
    /// All that is wrong with it, if it were sent at `now`. Texts of patients are never repeated.
    pub(in crate::export) fn check(&self, allow_http: bool, now: Timestamp, found: &mut Mistakes) {
        check_server(&self.server, allow_http, found);
        self.check_level(found);
        self.check_times(now, found);
        for (index, name) in self.types.iter().enumerate() {
            check_type(&format!("types[{index}]"), name, found);
        }
        for (index, filter) in self.type_filters.iter().enumerate() {
            self.check_filter(&format!("type_filters[{index}]"), filter, found);
        }
        for (index, element) in self.elements.iter().enumerate() {
            check_element(&format!("elements[{index}]"), element, found);
        }
        for (index, value) in self.associated_data.iter().enumerate() {
            check_associated(&format!("include_associated_data[{index}]"), value, found);
        }
        if let Some(name) = &self.organize_by {
            check_type("organize_output_by", name, found);
        }
        self.check_patients(found);
        self.check_parameters(found);
    }

    fn check_level(&self, found: &mut Mistakes) {
        match &self.level {
            Level::Group(id) if !is_id_like(id) => found.hinted(
                "group",
                format!("`{id}` is no id of a group"),
                "write what stands behind `Group/`; `group_name` or `group_identifier` looks it up",
            ),
            Level::GroupNamed(name) if name.trim().is_empty() => {
                found.add("group_name", "the group's name is empty");
            }
            _ => {}
        }
    }

    fn check_times(&self, now: Timestamp, found: &mut Mistakes) {
        let since = check_instant("since", self.since.as_deref(), now, found);
        let until = check_instant("until", self.until.as_deref(), now, found);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            found.add("until", "`until` is not after `since`");
        }
    }

    fn check_filter(&self, path: &str, filter: &str, found: &mut Mistakes) {
        let Some((name, query)) = filter.split_once('?').filter(|(_, query)| !query.is_empty())
        else {
            let hint = "write `Type?parameter=value`, as a search would be";
            return found.hinted(path, format!("`{filter}` is no search of a type"), hint);
        };
        check_type(path, name, found);
        if !self.types.is_empty() && !self.types.iter().any(|t| t == name) {
            let hint = format!("add `{name}` to `types`, or leave the filter out");
            found.hinted(path, format!("`{name}` is filtered, but not exported"), hint);
        }
        for parameter in query.split('&') {
            let whole = parameter.split('=').next().unwrap_or_default();
            let bare = whole.split(':').next().unwrap_or_default();
            if NOT_IN_FILTERS.contains(&bare) {
                found.add(path, format!("`{bare}` has no meaning in a type filter"));
            }
        }
    }

    fn check_patients(&self, found: &mut Mistakes) {
        if self.patients.is_empty() {
            return;
        }
        if self.level == Level::System {
            let hint = "use the level `patient` or `group`";
            found.hinted("patients", "a system export cannot be of some patients", hint);
        }
        if self.kick_off == KickOff::Get {
            let hint = "leave `kickoff` out, or write \"post\"";
            found.hinted("kickoff", "`patients` can only be sent by POST", hint);
        }
        for (index, patient) in self.patients.iter().enumerate() {
            let id = patient.strip_prefix("Patient/");
            if !id.is_some_and(is_id_like) {
                let hint = "write `Patient/id`";
                found.hinted(
                    format!("patients[{index}]"),
                    "this is no reference to a patient",
                    hint,
                );
            }
        }
    }

    fn check_parameters(&self, found: &mut Mistakes) {
        for name in self.parameters.keys() {
            let path = format!("parameters.{name}");
            if let Some((_, setting)) = SETTINGS.iter().find(|(known, _)| known == name) {
                let hint = format!("write `{setting}` instead");
                found.hinted(path, format!("`{name}` has a setting of its own"), hint);
            } else if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '&') {
                found.add(path, format!("`{name}` is no name of a parameter"));
            }
        }
    }
}

/// A url that requests can go to: http or https, and plain http only to this machine or where it is allowed.
pub(in crate::export) fn check_url(path: &str, url: &Url, allow_http: bool, found: &mut Mistakes) {
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(url) => {}
        "http" => found.hinted(
            path,
            "plain `http` shows tokens and patients to the network",
            "use `https`; in a test network, `allow_http = true` allows it",
        ),
        other => found.add(path, format!("`{other}` is not http or https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        found.hinted(path, "the url carries a user name or password", "use `auth` to sign in");
    }
}

fn check_server(url: &Url, allow_http: bool, found: &mut Mistakes) {
    check_url("server", url, allow_http, found);
    if url.query().is_some() || url.fragment().is_some() {
        let hint = "write the base url of the FHIR server alone";
        found.hinted("server", "the server's url has a query or fragment", hint);
    }
    if url.path().contains("$export") {
        let hint = "write what stands before `/$export`, `/Patient/$export` or `/Group/id/$export`";
        found.hinted("server", "this is the url of an export, not of a server", hint);
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// An instant as FHIR writes it (FHIR R4, "instant"): date, time to the second, and zone.
pub(in crate::export) fn instant(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let time = bytes.get(10) == Some(&b'T') && bytes.get(16) == Some(&b':');
    time.then(|| text.parse().ok()).flatten()
}

fn check_instant(
    path: &str,
    text: Option<&str>,
    now: Timestamp,
    found: &mut Mistakes,
) -> Option<Timestamp> {
    let text = text?;
    let Some(time) = instant(text) else {
        let hint = "write date, time to the second and zone: `2026-01-31T00:00:00Z`";
        found.hinted(path, format!("`{text}` is no instant"), hint);
        return None;
    };
    if time > now {
        found.add(path, format!("`{text}` is in the future"));
    }
    Some(time)
}

/// A name that looks like a resource type; which there are depends on the server's FHIR version.
fn check_type(path: &str, name: &str, found: &mut Mistakes) {
    let form = name.len() > 2
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphabetic());
    if form {
        return;
    }
    let message = format!("`{name}` is no resource type");
    match suggest::nearest(name, COMMON_TYPES) {
        Some(near) => found.hinted(path, message, format!("did you mean `{near}`?")),
        None => found.add(path, message),
    }
}

fn check_element(path: &str, text: &str, found: &mut Mistakes) {
    let (name, element) = text.split_once('.').map_or((None, text), |(t, e)| (Some(t), e));
    if let Some(name) = name {
        check_type(path, name, found);
    }
    let form = element.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && element.chars().all(|c| c.is_ascii_alphanumeric() || "_[]".contains(c));
    if !form {
        let hint = "write `element` or `Type.element`; only elements at the root can be chosen";
        found.hinted(path, format!("`{text}` is no element at the root of a type"), hint);
    }
}

fn check_associated(path: &str, value: &str, found: &mut Mistakes) {
    if value.starts_with('_') || ASSOCIATED_DATA.contains(&value) {
        return;
    }
    let near = suggest::nearest(value, ASSOCIATED_DATA);
    let hint = near.map_or_else(
        || format!("there are {}; a server's own begin with `_`", ASSOCIATED_DATA.join(" and ")),
        |near| format!("did you mean `{near}`?"),
    );
    found.hinted(path, format!("`{value}` is no associated data"), hint);
}

/// Ids of servers are longer and freer than FHIR's own rule: only what would change the url is refused.
fn is_id_like(id: &str) -> bool {
    !id.is_empty()
        && id.chars().all(|c| c.is_ascii_graphic() && !"/?#%\\|".contains(c))
        && !id.starts_with("..")
}
