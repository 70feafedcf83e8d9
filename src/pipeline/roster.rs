//! The members of a group: who they are now, who is new, who left (Bulk Data Access, "Group-level export", since STU2: a
//! client compares the roster with the one before, and asks for the history of new members on its own).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pass::Pass;
use super::progress::Progress;
use crate::error::Result;
use crate::export::{ExportRequest, KickOff};
use crate::ingest::{Inputs, Line, Options, Parser};

/// What asks for the ids of the members, and for nothing else of them.
pub(super) fn request(of: &ExportRequest) -> ExportRequest {
    ExportRequest {
        types: vec!["Patient".to_owned()],
        elements: vec!["id".to_owned()],
        type_filters: Vec::new(),
        since: None,
        until: None,
        associated_data: Vec::new(),
        organize_by: None,
        ..of.clone()
    }
}

/// What asks for all there is of some members: by POST, as the parameter `patient` wants it.
pub(super) fn history(of: &ExportRequest, members: &BTreeSet<String>) -> ExportRequest {
    ExportRequest {
        kick_off: KickOff::Post,
        patients: members.iter().map(|id| format!("Patient/{id}")).collect(),
        since: None,
        ..of.clone()
    }
}

/// The ids of the patients in some files.
pub(super) fn patients(
    inputs: Inputs,
    input: &Options,
    threads: usize,
) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    let progress = Progress::default();
    let pass = Pass { inputs: Arc::new(inputs), input, threads, progress: &progress };
    pass.run(
        || Parser::new(input),
        |parser, block, _| {
            let mut ids = Vec::new();
            parser.run(block, |line| {
                if let Line::Resource(resource) = line
                    && resource.resource_type == "Patient"
                {
                    ids.extend(resource.identity().id.map(str::to_owned));
                }
                Ok(())
            })?;
            Ok(ids)
        },
        |ids| {
            all.extend(ids);
            Ok(())
        },
    )?;
    Ok(all)
}

/// The members of a group, and what changed about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// Who they are.
    pub(super) now: BTreeSet<String>,
    /// Who was none at the last run.
    pub(super) new: BTreeSet<String>,
    /// Who is none any more.
    pub(super) departed: BTreeSet<String>,
}

impl Members {
    /// Compares with the last run; without one nobody is new.
    pub(super) fn since(before: Option<&BTreeSet<String>>, now: BTreeSet<String>) -> Self {
        let Some(before) = before else { return Self { now, ..Self::default() } };
        let new = now.difference(before).cloned().collect();
        let departed = before.difference(&now).cloned().collect();
        Self { now, new, departed }
    }
}
