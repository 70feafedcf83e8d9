//! The audit of an export: what is wrong with the data itself, told before anyone loads it.
//!
//! ```text
//! pass 1: blocks ──► type and id of every resource ──► Identities: 16 bytes each, sorted
//! pass 2: blocks ──► Walk over every value ──► findings by kind and path ──in order──► AuditReport, list
//! ```
//!
//! Two passes, because a reference may point at what comes later: one pass would have to keep all references that are
//! still open, with their places (more of them than resources, and larger), and could not list them in order. What is
//! kept grows with the number of resources alone: 20 bytes each as measured, so that 10^8 of them take 2 GB.
//!
//! The types of elements are those of R4 (JSON representation, primitive types); profiles, cardinalities above zero
//! and terminologies are not looked at.

mod auditor;
mod finding;
mod identities;
mod list;
mod places;
mod primitive;
mod walk;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bumpalo::Bump;
use serde::Serialize;

use super::flow::on_threads;
use super::pass::Pass;
use super::progress::Progress;
use super::run::bases;
use crate::error::Result;
use crate::ingest::{self, Inputs, Origin, Parser, Rejected, Tally};
use auditor::{Audited, Auditor};
use finding::{Account, What};
use identities::Identities;
use list::Line;

pub use finding::{AuditFinding, Location, Severity};
pub use list::FindingList;

/// An audit, and how it is done.
pub struct Audit<'a> {
    /// How the input is read.
    pub input: &'a ingest::Options,
    /// Urls of the server that the resources come from, besides those that manifests name.
    pub bases: &'a [String],
    /// How many threads.
    pub threads: usize,
    /// Where the work stands: the input is read twice.
    pub progress: &'a Progress,
}

/// What an audit found. Holds no content of the data.
#[derive(Debug, Serialize)]
pub struct AuditReport {
    /// How many files.
    pub files: usize,
    /// How many lines.
    pub lines: u64,
    /// How many resources.
    pub resources: u64,
    /// How many findings are errors.
    pub errors: u64,
    /// How many are notes.
    pub notes: u64,
    /// The findings, the worst first.
    pub findings: Vec<AuditFinding>,
    /// What is well to know of the input.
    pub warnings: Vec<String>,
}

impl Audit<'_> {
    /// Reads the inputs twice; every finding goes to the `list`, if there is one.
    ///
    /// # Errors
    /// Of kind `Input`, if a file cannot be read or changes meanwhile, and of kind `Output`, if the list cannot be
    /// written. Findings are none.
    pub fn run(&self, inputs: Inputs, list: Option<FindingList>) -> Result<AuditReport> {
        on_threads(self.threads, || {
            let inputs = Arc::new(inputs);
            self.progress.total_bytes.store(2 * inputs.total_bytes(), Ordering::Relaxed);
            let pass = Pass {
                inputs: inputs.clone(),
                input: self.input,
                threads: self.threads,
                progress: self.progress,
            };
            let identities = self.identities(&pass)?;
            self.findings(&pass, &identities, list)
        })?
    }

    fn identities(&self, pass: &Pass<'_>) -> Result<Identities> {
        let mut identities = Identities::new();
        pass.run(
            || (Parser::new(self.input), Bump::new()),
            |(parser, arena), block, _| auditor::identities(parser, arena, block),
            |(keys, types)| {
                identities.add(keys, types);
                Ok(())
            },
        )?;
        Ok(identities.seal())
    }

    fn findings(
        &self,
        pass: &Pass<'_>,
        identities: &Identities,
        list: Option<FindingList>,
    ) -> Result<AuditReport> {
        let bases = bases(&pass.inputs, self.bases);
        let listing = list.is_some();
        let mut settlement = Settlement {
            inputs: pass.inputs.clone(),
            tally: Tally::new(pass.inputs.clone()),
            account: Account::default(),
            list,
        };
        pass.run(
            || {
                let auditor = Auditor::new(identities, &bases, listing);
                (Parser::new(self.input), Bump::new(), auditor)
            },
            |(parser, arena, auditor), block, _| auditor.block(parser, arena, block),
            |block| {
                let resources = block.counts.pieces.iter().map(|p| p.totals.total_resources());
                self.progress.rows.fetch_add(resources.sum(), Ordering::Relaxed);
                settlement.add(block)
            },
        )?;
        settlement.finish()
    }
}

/// Adds up blocks in their order.
struct Settlement {
    inputs: Arc<Inputs>,
    tally: Tally,
    account: Account,
    list: Option<FindingList>,
}

impl Settlement {
    fn add(&mut self, block: Audited) -> Result<()> {
        let Audited { counts, rows, listed } = block;
        let mut lines = Vec::with_capacity(listed.len());
        for one in listed {
            let (row, origin) = (&rows[one.row], one.origin);
            let text = Some(one.text).filter(|text| !text.is_empty());
            let place = self.place(origin);
            lines.push((origin, Line { place, what: row.what, path: &row.path, text }));
        }
        for row in &rows {
            let place = self.place(row.first);
            self.account.add(row.what, row.path.clone(), row.count, || place.clone());
        }
        for rejected in self.tally.add(counts)? {
            lines.push(self.reject(&rejected));
        }
        let Some(list) = &mut self.list else { return Ok(()) };
        lines.sort_by_key(|(origin, _)| (origin.file, origin.offset, origin.entry));
        list.add(&lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>())
    }

    /// A reject, whose line number is that of the file already.
    fn reject<'l>(&mut self, rejected: &Rejected) -> (Origin, Line<'l>) {
        let Rejected { origin, reason, .. } = *rejected;
        let (what, place) = (What::Rejected(reason), self.place_at(origin, origin.line));
        self.account.add(what, String::new(), 1, || place.clone());
        (origin, Line { place, what, path: "", text: None })
    }

    /// Where a line of the block that is next stands in its file.
    fn place(&self, origin: Origin) -> Location {
        self.place_at(origin, origin.line + self.tally.lines_before(origin.file))
    }

    fn place_at(&self, origin: Origin, line: u64) -> Location {
        let file = self.inputs.files[origin.file as usize].path.clone();
        Location { file, line, entry: origin.entry }
    }

    fn finish(self) -> Result<AuditReport> {
        let input = self.tally.finish()?;
        if let Some(list) = self.list {
            list.finish()?;
        }
        let findings = self.account.finish();
        let count = |severity| {
            findings.iter().filter(|f| f.severity == severity).map(|f| f.count).sum::<u64>()
        };
        Ok(AuditReport {
            files: input.files.len(),
            lines: input.total.lines,
            resources: input.total.total_resources(),
            errors: count(Severity::Error),
            notes: count(Severity::Note),
            findings,
            warnings: super::report::warnings(&input, &self.inputs.ignored),
        })
    }
}
