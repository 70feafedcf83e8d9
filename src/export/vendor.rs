//! What is known of vendors' servers: a table of settings with their sources.
//!
//! Sources are those of Kiln's own notes on the vendors' documentation; bounds of polling are our choice for what these
//! tell, and what is from memory says so. A vendor's row fills in what the user did not say; it never overrules. What
//! the vendor cannot do is refused before it is asked, what is risky there is told.

use std::time::Duration;

use super::request::ExportRequest;
use crate::settings::Mistakes;

/// A vendor's server as it differs from the standard.
#[derive(Debug)]
pub(super) struct Vendor {
    /// `vendor = "…"`
    pub(super) name: &'static str,
    /// Files loaded at once.
    pub(super) parallel: Option<usize>,
    /// The shortest and the longest time between polls.
    pub(super) poll: Option<(Duration, Duration)>,
    /// How long a job may take.
    pub(super) max_wait: Option<Duration>,
    /// Where tokens are got by client id and secret, at the server's origin.
    pub(super) token_path: Option<&'static str>,
    /// Headers it wants to know its clients by, which Kiln cannot know.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Whether the job is better deleted when all is stored.
    pub(super) delete_job: Option<bool>,
    /// Settings it refuses, and why.
    pub(super) refused: &'static [(Setting, &'static str)],
    /// Settings that do not do there what they seem to.
    pub(super) doubtful: &'static [(Setting, &'static str)],
}

/// A setting of the request, to be looked for in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    Since,
    Elements,
    Patients,
    /// More than one `_typeFilter`.
    SeveralFilters,
    /// `_typeFilter` without `_type`.
    FiltersAlone,
    /// Level `system`.
    System,
    /// Level `patient`.
    AllPatients,
    /// Always: holds for every export.
    Any,
}

const MINUTE: u64 = 60;

/// What holds where nothing is known.
const PLAIN: Vendor = Vendor {
    name: "",
    parallel: None,
    poll: None,
    max_wait: None,
    token_path: None,
    headers: &[],
    delete_job: None,
    refused: &[],
    doubtful: &[],
};

static VENDORS: [Vendor; 10] = [
    Vendor {
        name: "epic",
        // Multi-week runs, everything only at the end (smart-fetch: waits 30 days): asking each second tells nothing.
        poll: Some((Duration::from_secs(30), Duration::from_secs(5 * MINUTE))),
        max_wait: Some(Duration::from_secs(45 * 24 * 60 * MINUTE)),
        // fhir.epic.com, "Bulk Data Tutorial": the client id that calls go by.
        headers: &[("Epic-Client-ID", "set it to the client id registered with Epic")],
        // One job a client and group until it is deleted (fhir.epic.com; smart-fetch).
        delete_job: Some(true),
        // Groups are made by Epic's staff from a registry; there is no other level (fhir.epic.com).
        refused: &[
            (Setting::System, "Epic exports groups only"),
            (Setting::AllPatients, "Epic exports groups only"),
        ],
        // No `meta.lastUpdated` (smart-fetch, cumulus-etl).
        doubtful: &[(
            Setting::Since,
            "Epic does not know when resources changed (`meta.lastUpdated`): `since` gives no reliable increment",
        )],
        ..PLAIN
    },
    Vendor {
        name: "oracle",
        // Retry-After of 600 s is documented, hours are seen (fhir.cerner.com, "Bulk Data: Group Export").
        poll: Some((Duration::from_secs(10), Duration::from_secs(10 * MINUTE))),
        // One job a client and tenant, else 429 (fhir.cerner.com).
        delete_job: Some(true),
        // fhir.cerner.com: parameters that it supports; `_typeFilter` only with `_type`.
        refused: &[
            (Setting::Elements, "Oracle Health does not support `_elements`"),
            (Setting::Patients, "Oracle Health does not support `patient`"),
            (Setting::FiltersAlone, "Oracle Health wants `types` together with `type_filters`"),
            (Setting::System, "Oracle Health exports groups only"),
            (Setting::AllPatients, "Oracle Health exports groups only"),
        ],
        ..PLAIN
    },
    Vendor {
        name: "athena",
        // Group `a-1.c-[practiceId]`; once a month is advised (docs.athenahealth.com, "Bulk FHIR").
        poll: Some((Duration::from_secs(10), Duration::from_secs(5 * MINUTE))),
        refused: &[
            (
                Setting::System,
                "athenahealth exports groups only: `a-1.c-` and the id of the practice",
            ),
            (
                Setting::AllPatients,
                "athenahealth exports groups only: `a-1.c-` and the id of the practice",
            ),
        ],
        ..PLAIN
    },
    Vendor {
        name: "bcda",
        // 3,000 requests in 5 minutes from an address, and files of few resources (bcda-app; BCDA guide): 10 a second.
        parallel: Some(2),
        poll: Some((Duration::from_secs(5), Duration::from_secs(MINUTE))),
        // Id and secret for a token of 20 minutes (bcda-static-site); the path is from memory.
        token_path: Some("/auth/token"),
        // bcda-app answers 400; `_typeFilter` may be there once (v3, ExplanationOfBenefit only).
        refused: &[
            (Setting::Elements, "BCDA refuses `_elements`"),
            (Setting::SeveralFilters, "BCDA takes one type filter only"),
            (Setting::Patients, "BCDA does not support `patient`"),
            (Setting::System, "BCDA exports `patient`, or the groups `all` and `runout`"),
        ],
        // BCDA guide, "Access claims data updates": full history of new members only through a group.
        doubtful: &[(
            Setting::Since,
            "with `since`, BCDA gives the full history of new members only for a group, not at the level `patient`",
        )],
        ..PLAIN
    },
    Vendor {
        name: "dpc",
        // RS384 tokens of 5 minutes; a roster attested every 90 days is a group (dpc.cms.gov, documentation).
        refused: &[(Setting::System, "DPC exports groups and patients only")],
        ..PLAIN
    },
    Vendor {
        name: "hapi",
        // An equal request may be given an old job (hapi-fhir #4247); the job is deleted by the server in time.
        // transactionTime was the job's end until 8.1 (hapi-fhir #6841).
        doubtful: &[(
            Setting::Since,
            "HAPI before 8.1 gives the end of the job as `transactionTime`: let increments overlap",
        )],
        ..PLAIN
    },
    Vendor {
        name: "eclinicalworks",
        // Static groups only (ehr-good-neighbor.vercel.app).
        refused: &[
            (Setting::System, "eClinicalWorks exports groups only"),
            (Setting::AllPatients, "eClinicalWorks exports groups only"),
        ],
        ..PLAIN
    },
    Vendor {
        name: "azure",
        // Writes to the customer's container; that its urls want the container's key is from memory.
        doubtful: &[(Setting::Any, OWN_STORE)],
        ..PLAIN
    },
    Vendor {
        name: "google",
        // Writes to gs://; from memory, not read there.
        doubtful: &[(Setting::Any, OWN_STORE)],
        ..PLAIN
    },
    Vendor {
        name: "healthlake",
        // Writes to S3; from memory, not read there.
        doubtful: &[(Setting::Any, OWN_STORE)],
        ..PLAIN
    },
];

const OWN_STORE: &str = "this server writes exports to a store of yours, where Kiln may have no access: if files are refused, \
    fetch them with the store's own tools and read them with `path`";

/// The vendor of this name, whatever its case.
pub(super) fn vendor(name: &str) -> Option<&'static Vendor> {
    let name = match name.to_ascii_lowercase().as_str() {
        "cerner" => "oracle".to_owned(),
        "athenahealth" => "athena".to_owned(),
        other => other.to_owned(),
    };
    VENDORS.iter().find(|vendor| vendor.name == name)
}

/// The names there are.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VENDORS.iter().map(|vendor| vendor.name)
}

impl Vendor {
    /// What this vendor refuses of `request`, and what is doubtful there.
    pub(super) fn check(
        &self,
        request: &ExportRequest,
        mistakes: &mut Mistakes,
        warnings: &mut Mistakes,
    ) {
        for (setting, why) in self.refused.iter().filter(|(setting, _)| setting.is_used(request)) {
            mistakes.hinted(
                setting.path(),
                *why,
                "change it, or leave `vendor` out to ask all the same",
            );
        }
        for (setting, why) in self.doubtful.iter().filter(|(setting, _)| setting.is_used(request)) {
            warnings.add(setting.path(), *why);
        }
    }
}

impl Setting {
    fn is_used(self, request: &ExportRequest) -> bool {
        use super::request::Level;
        match self {
            Self::Since => request.since.is_some(),
            Self::Elements => !request.elements.is_empty(),
            Self::Patients => !request.patients.is_empty(),

            Self::SeveralFilters => request.type_filters.len() > 1,
            Self::FiltersAlone => !request.type_filters.is_empty() && request.types.is_empty(),
            Self::System => request.level == Level::System,
            Self::AllPatients => request.level == Level::Patient,
            Self::Any => true,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Since => "since",
            Self::Elements => "elements",
            Self::Patients => "patients",
            Self::SeveralFilters | Self::FiltersAlone => "type_filters",
            Self::System | Self::AllPatients => "level",
            Self::Any => "vendor",
        }
    }
}
