//! Writes resources as a Bulk Data server does: several NDJSON files a type, and a manifest.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::Written;
use super::json::{Json, object};
use crate::error::{Error, ErrorKind, Result};

/// The resource types of the sample, in the order of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AllergyIntolerance,
    Claim,
    Condition,
    Coverage,
    DiagnosticReport,
    Encounter,
    ExplanationOfBenefit,
    Immunization,
    Location,
    MedicationRequest,
    Observation,
    Organization,
    Patient,
    Practitioner,
    Procedure,
}

/// Type names by [`Kind`], as `resourceType` spells them.
pub(super) const KINDS: [&str; 15] = [
    "AllergyIntolerance",
    "Claim",
    "Condition",
    "Coverage",
    "DiagnosticReport",
    "Encounter",
    "ExplanationOfBenefit",
    "Immunization",
    "Location",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
];

impl Kind {
    /// The `resourceType`.
    pub(super) fn name(self) -> &'static str {
        KINDS[self as usize]
    }
}

/// An export being written: at most one open file a type, whatever the size of the population.
pub(super) struct Export {
    folder: PathBuf,
    open: [Option<Part>; KINDS.len()],
    /// How many files each type has had.
    parts: [usize; KINDS.len()],
    output: Vec<ManifestEntry>,
    written: Written,
    line: String,
}

struct Part {
    name: String,
    file: BufWriter<File>,
    count: usize,
}

struct ManifestEntry {
    kind: usize,
    name: String,
    count: usize,
}

impl Export {
    /// Opens `folder`, which must be empty or not there yet.
    ///
    /// # Errors
    /// [`ErrorKind::Output`] when the folder holds files or cannot be made.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let fail = |e| Error::io(ErrorKind::Output, "create", folder, e);
        fs::create_dir_all(folder).map_err(fail)?;
        if fs::read_dir(folder).map_err(fail)?.next().is_some() {
            let message = format!("`{}` is not empty", folder.display());
            return Err(Error::new(ErrorKind::Output, message)
                .hint("name a new folder, or empty this one; `kiln sample` never overwrites"));
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            open: [const { None }; KINDS.len()],
            parts: [0; KINDS.len()],
            output: Vec::new(),
            written: Written { files: 0, resources: 0, bytes: 0 },
            line: String::new(),
        })
    }

    /// Writes one resource as a line of its type's open file.
    pub(super) fn put(&mut self, kind: Kind, resource: &Json) -> Result<()> {
        self.line.clear();
        resource.render(&mut self.line);
        self.line.push('\n');
        if self.open[kind as usize].is_none() {
            self.open[kind as usize] = Some(self.next_part(kind)?);
        }
        let Some(part) = &mut self.open[kind as usize] else { return Ok(()) };
        part.file
            .write_all(self.line.as_bytes())
            .map_err(|e| Error::io(ErrorKind::Output, "write", &self.folder.join(&part.name), e))?;
        part.count += 1;
        self.written.resources += 1;
        self.written.bytes += self.line.len() as u64;
        Ok(())
    }

    /// Closes the open files: what comes next goes into the next file of its type.
    pub(super) fn roll(&mut self) -> Result<()> {
        for kind in 0..KINDS.len() {
            let Some(mut part) = self.open[kind].take() else { continue };
            part.file.flush().map_err(|e| {
                Error::io(ErrorKind::Output, "write", &self.folder.join(&part.name), e)
            })?;
            self.output.push(ManifestEntry { kind, name: part.name, count: part.count });
        }
        Ok(())
    }

    /// Closes all files and writes `manifest.json` (Bulk Data 2.0, "Response - Complete Status").
    pub(super) fn finish(mut self, transaction_time: &'static str) -> Result<Written> {
        self.roll()?;
        self.output.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let output = self.output.iter().map(|entry| {
            object! { "type": KINDS[entry.kind], "url": entry.name.clone(), "count": entry.count as i64 }
        });
        let manifest = object! {
            "transactionTime": transaction_time,
            "request": "https://kiln.example/fhir/Patient/$export",
            "requiresAccessToken": false,
            "output": Json::List(output.collect()),
            "deleted": Json::List(Vec::new()),
            "error": Json::List(Vec::new()),
        };
        let mut text = String::new();
        manifest.render(&mut text);
        let path = self.folder.join("manifest.json");
        fs::write(&path, &text).map_err(|e| Error::io(ErrorKind::Output, "write", &path, e))?;
        self.written.files += 1;
        self.written.bytes += text.len() as u64;
        Ok(self.written)
    }

    fn next_part(&mut self, kind: Kind) -> Result<Part> {
        let name = format!("{}.{:03}.ndjson", kind.name(), self.parts[kind as usize]);
        let path = self.folder.join(&name);
        let file = File::create_new(&path)
            .map_err(|e| Error::io(ErrorKind::Output, "create", &path, e))?;
        self.parts[kind as usize] += 1;
        self.written.files += 1;
        Ok(Part { name, file: BufWriter::new(file), count: 0 })
    }
}
