//! The account of the input: what every block held, added up in order, with nothing left over.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Range};
use std::path::PathBuf;
use std::sync::Arc;

use super::block::{Piece, changed};
use super::input::{Compression, Declared, Inputs};
use super::line::{Reason, Rejected};
use crate::error::Result;

/// Counts of lines, and of what they held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines; a `.json` document that is not empty counts as one.
    pub lines: u64,
    /// Lines of white space only.
    pub blanks: u64,
    /// Lines that were rejected as a whole.
    pub rejected_lines: u64,
    /// Lines that were Bundles, and `.json` documents that were arrays.
    pub bundles: u64,
    /// Entries of Bundles without a resource.
    pub entries_without_resource: u64,
    /// Entries of Bundles that were rejected.
    pub rejected_entries: u64,
    /// Resources delivered from entries of Bundles.
    pub entry_resources: u64,
    /// Resources delivered, from lines and from entries, by type.
    pub resources: BTreeMap<String, u64>,
}

impl Counts {
    /// Resources delivered.
    pub fn total_resources(&self) -> u64 {
        self.resources.values().sum()
    }

    /// Entries of Bundles.
    pub fn entries(&self) -> u64 {
        self.entry_resources + self.entries_without_resource + self.rejected_entries
    }

    /// Rejects, of lines and of entries.
    pub fn rejects(&self) -> u64 {
        self.rejected_lines + self.rejected_entries
    }

    /// Whether every line is a resource, a Bundle, a reject or a blank.
    pub fn adds_up(&self) -> bool {
        let outcomes = self.blanks + self.rejected_lines + self.bundles + self.total_resources();
        outcomes == self.lines + self.entry_resources
    }

    /// Counts a resource, if its type has a name that can be one.
    pub(super) fn count_resource(
        &mut self,
        resource_type: &str,
        in_entry: bool,
    ) -> Result<(), Reason> {
        if let Some(count) = self.resources.get_mut(resource_type) {
            *count += 1;
        } else if is_type_name(resource_type) {
            self.resources.insert(resource_type.to_owned(), 1);
        } else {
            return Err(Reason::ResourceTypeNotName);
        }
        self.entry_resources += u64::from(in_entry);
        Ok(())
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.lines += other.lines;
        self.blanks += other.blanks;
        self.rejected_lines += other.rejected_lines;
        self.bundles += other.bundles;
        self.entries_without_resource += other.entries_without_resource;
        self.rejected_entries += other.rejected_entries;
        self.entry_resources += other.entry_resources;
        for (name, count) in &other.resources {
            match self.resources.get_mut(name) {
                Some(total) => *total += count,
                None => drop(self.resources.insert(name.clone(), *count)),
            }
        }
    }
}

/// Whether a text can name a type (FHIR names are ASCII and start with a capital letter). Type names
/// reach reports; any other text a sender puts there is PHI for all we know.
fn is_type_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What [`Parser::run`](super::Parser::run) found in a block.
#[derive(Debug)]
pub struct BlockCounts {
    /// The block's [`index`](super::Block::index).
    pub index: u64,
    /// By file, in the order of the input.
    pub pieces: Vec<PieceCounts>,
}

/// What a block held of one file.
#[derive(Debug)]
pub struct PieceCounts {
    /// Index into [`Inputs::files`].
    pub file: u32,
    /// The counts.
    pub totals: Counts,
    /// The rejects, with line numbers relative to this piece.
    pub rejects: Vec<Rejected>,
    /// Where the lines lie in the decoded file; without the rest of a line that is too long.
    offsets: Range<u64>,
    /// Whether the last line is longer than `offsets` says.
    cut: bool,
    /// Bytes of the stored file accounted for.
    stored: Range<u64>,
}

impl PieceCounts {
    pub(super) fn of(piece: &Piece) -> Self {
        Self {
            file: piece.file,
            totals: Counts::default(),
            rejects: Vec::new(),
            offsets: piece.offset..piece.offset + piece.lines.len() as u64,
            cut: piece.cut,
            stored: piece.stored.clone(),
        }
    }
}

/// What became of one file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// The path as found.
    pub path: PathBuf,
    /// What its manifest declares, to compare with the counts.
    pub declared: Option<Declared>,
    /// Size as stored, in bytes.
    pub stored_bytes: u64,
    /// Size of its text, in bytes. Less the end of the last line, if that was too long.
    pub text_bytes: u64,
    /// The counts.
    pub counts: Counts,
}

/// What became of the whole input.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// By file, in the order of the input.
    pub files: Vec<FileReport>,
    /// Sums over all files.
    pub total: Counts,
}

impl Report {
    /// Adds the report of what came after.
    pub fn add(&mut self, later: Self) {
        self.total += &later.total;
        self.files.extend(later.files);
    }
}

/// Adds up blocks in the order of their index.
///
/// Each byte of a file must be followed by the next: if the lines of one block do not begin where those
/// of the one before ended, the file was changed meanwhile.
pub struct Tally {
    inputs: Arc<Inputs>,
    files: Vec<FileReport>,
    /// Whether the last line seen of each file was too long, so that its end is not known.
    cut: Vec<bool>,
    next_index: u64,
}

impl Tally {
    /// An empty tally.
    pub fn new(inputs: Arc<Inputs>) -> Self {
        let files: Vec<_> = inputs
            .files
            .iter()
            .map(|file| FileReport {
                path: file.path.clone(),
                declared: file.declared.clone(),
                stored_bytes: 0,
                text_bytes: 0,
                counts: Counts::default(),
            })
            .collect();
        Self { cut: vec![false; files.len()], inputs, files, next_index: 0 }
    }

    /// Lines seen so far in a file: what to add to the relative line numbers of the next block.
    pub fn lines_before(&self, file: u32) -> u64 {
        self.files[file as usize].counts.lines
    }

    /// How many blocks were added.
    pub fn blocks(&self) -> u64 {
        self.next_index
    }

    /// Adds the next block and gives its rejects, with line numbers counted from the start of the file.
    ///
    /// # Errors
    /// Of kind `Input`, if a file was changed while it was read.
    ///
    /// # Panics
    /// If blocks come out of order, or a line is unaccounted for: both are bugs.
    pub fn add(&mut self, block: BlockCounts) -> Result<Vec<Rejected>> {
        assert_eq!(block.index, self.next_index, "blocks are added in the order of their index");
        self.next_index += 1;
        let mut rejects = Vec::new();
        for mut piece in block.pieces {
            assert!(piece.totals.adds_up(), "a line of block {} is unaccounted for", block.index);
            let before = self.lines_before(piece.file);
            self.follow(&piece)?;
            self.files[piece.file as usize].counts += &piece.totals;
            piece.rejects.iter_mut().for_each(|reject| reject.origin.line += before);
            rejects.append(&mut piece.rejects);
        }
        Ok(rejects)
    }

    /// The report, once all blocks are in.
    ///
    /// # Errors
    /// Of kind `Input`, if a file did not end where it did when it was found.
    pub fn finish(self) -> Result<Report> {
        let mut total = Counts::default();
        for ((report, file), cut) in self.files.iter().zip(&self.inputs.files).zip(&self.cut) {
            let all_text =
                *cut || file.compression != Compression::Plain || report.text_bytes == file.size;
            if report.stored_bytes != file.size || !all_text {
                return Err(changed(file));
            }
            total += &report.counts;
        }
        Ok(Report { files: self.files, total })
    }

    /// Checks that the piece begins where the file's last one ended, and moves on to its end.
    fn follow(&mut self, piece: &PieceCounts) -> Result<()> {
        let index = piece.file as usize;
        let report = &mut self.files[index];
        let mut follows = report.stored_bytes == piece.stored.start;
        if !piece.offsets.is_empty() {
            let (end, begin) = (report.text_bytes, piece.offsets.start);
            follows &= if self.cut[index] { end < begin } else { end == begin };
            report.text_bytes = piece.offsets.end;
            self.cut[index] = piece.cut;
        }
        report.stored_bytes = piece.stored.end;
        if follows { Ok(()) } else { Err(changed(&self.inputs.files[index])) }
    }
}
