//! Where the lines of one file go: to one series of parts, or by resource type to several.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::folder::{Folder, Slot, type_name};
use super::parts::{Series, Staged};
use crate::error::Result;

/// Receives the text of one file.
pub(super) enum Target {
    /// As it is.
    Plain(Box<Series>),
    /// Organised by blocks.
    Blocks(Box<Blocks>),
}

/// How parts are written.
#[derive(Debug, Clone)]
pub(in super::super) struct Format {
    /// With zstd.
    pub(in super::super) compress: bool,
    /// A part ends with the line that makes it so long, in bytes of text.
    pub(in super::super) part_bytes: u64,
}

impl Target {
    /// A piece of a line.
    pub(super) fn text(&mut self, text: &[u8]) -> Result<()> {
        match self {
            Self::Plain(series) => series.write(text),
            Self::Blocks(blocks) => {
                blocks.line.extend_from_slice(text);
                Ok(())
            }
        }
    }

    /// The end of a line. `within` a document, nothing may be cut.
    pub(super) fn end_line(&mut self, blank: bool, within: bool) -> Result<()> {
        match self {
            Self::Plain(series) => series.end_line(!within),
            Self::Blocks(blocks) if within => {
                blocks.line.push(b'\n');
                Ok(())
            }
            Self::Blocks(blocks) => blocks.end_line(blank),
        }
    }

    /// Closes all parts: written and synced, under temporary names.
    pub(super) fn finish(self, document: bool) -> Result<Stored> {
        let extension = if document { "json" } else { "ndjson" };
        match self {
            Self::Plain(series) => {
                let bytes = series.bytes();
                Ok(Stored { parts: series.finish(extension)?, bytes, blocks: None })
            }
            Self::Blocks(mut blocks) => {
                if document {
                    blocks.end_line(false)?;
                }
                blocks.finish(extension)
            }
        }
    }
}

/// Parts that are complete but still under temporary names.
pub(super) struct Stored {
    pub(super) parts: Vec<Staged>,
    /// Of text, with all line ends.
    pub(super) bytes: u64,
    /// What an organised file held.
    pub(super) blocks: Option<BlockCounts>,
}

/// Lines of an organised file, by what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BlockCounts {
    pub(super) headers: u64,
    /// The first time each.
    pub(super) resources: u64,
    /// The same again: resources that several blocks refer to are in each of them.
    pub(super) repeated: u64,
}

impl BlockCounts {
    /// Whether a manifest may announce the file with this `count`. The guide does not say what it counts; the reference
    /// server leaves headers out.
    pub(super) fn may_be(self, count: u64) -> bool {
        let resources = [self.resources, self.resources + self.repeated];
        resources.into_iter().any(|n| count == n || count == n + self.headers)
    }
}

/// A file organised by blocks (Bulk Data Access 3.0.0, "Bulk Data Output File Organization"): each block begins with a
/// header and holds resources of several types. One line of it is kept in memory at a time, and 16 bytes for each
/// resource, to know it again.
pub(super) struct Blocks {
    folder: Arc<Folder>,
    slot: Slot,
    format: Format,
    line: Vec<u8>,
    /// In the order in which the types first appear.
    series: Vec<Series>,
    by_type: HashMap<String, usize>,
    met: HashSet<[u8; 16]>,
    counts: BlockCounts,
}

/// What a line of an organised file is, without the rest of it.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "resourceType")]
    resource_type: String,
    parameter: Option<Vec<Parameter>>,
}

#[derive(Deserialize)]
struct Parameter {
    name: Option<String>,
}

impl Kind {
    fn is_header(&self) -> bool {
        let header = |parameter: &Parameter| parameter.name.as_deref() == Some("header");
        self.resource_type == "Parameters" && self.parameter.iter().flatten().any(header)
    }
}

impl Blocks {
    /// Nothing yet.
    pub(super) fn new(folder: Arc<Folder>, slot: Slot, format: Format) -> Self {
        Self {
            folder,
            slot,
            format,
            line: Vec::new(),
            series: Vec::new(),
            by_type: HashMap::new(),
            met: HashSet::new(),
            counts: BlockCounts::default(),
        }
    }

    fn end_line(&mut self, blank: bool) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        if !blank {
            self.resource(&line)?;
        }
        self.line = line;
        self.line.clear();
        Ok(())
    }

    /// A line that cannot be read is kept as well: the ingest reports it, with its place.
    fn resource(&mut self, line: &[u8]) -> Result<()> {
        let kind = serde_json::from_slice::<Kind>(line).ok();
        if kind.as_ref().is_some_and(Kind::is_header) {
            self.counts.headers += 1;
            return Ok(());
        }
        if !self.met.insert(digest(line)) {
            self.counts.repeated += 1;
            return Ok(());
        }
        self.counts.resources += 1;
        let series = self.series_of(kind.as_ref().map(|kind| kind.resource_type.as_str()));
        series.write(line)?;
        series.end_line(true)
    }

    fn series_of(&mut self, resource_type: Option<&str>) -> &mut Series {
        let name = type_name(resource_type);
        let at = *self.by_type.entry(name).or_insert_with_key(|name| {
            let stem = self.slot.stem(name);
            self.series.push(Series::new(Arc::clone(&self.folder), stem, self.format.clone()));
            self.series.len() - 1
        });
        &mut self.series[at]
    }

    fn finish(self, extension: &str) -> Result<Stored> {
        let bytes = self.series.iter().map(Series::bytes).sum();
        let mut parts = Vec::new();
        for series in self.series {
            parts.extend(series.finish(extension)?);
        }
        Ok(Stored { parts, bytes, blocks: Some(self.counts) })
    }
}

/// Two resources with the same id, version and bytes are the same; 128 bits are enough to tell.
fn digest(line: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(line);
    std::array::from_fn(|at| digest[at])
}
