//! Stores one file from its body, if it is whole and as announced.
//!
//! | announced | compared with |
//! |---|---|
//! | `Content-Length` | the body |
//! | `fileSize`, `file_length` | the body, or its text: the guide says "size of the file", which for a compressed one is either |
//! | `checksum` | SHA-256 of the body, or of its text, for the same reason: servers sum up what they keep, which may be compressed otherwise than what they send |
//! | `count` | lines that are not blank; in `output` as `count_must_fit` says, in `deleted` for a warning; in `error` it is ignored, since it is wrong on the reference server (F15); for a JSON document it says nothing |

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Receiver;

use super::super::state::StoredFile;
use super::body::{Arriving, Piece, Text};
use super::content::other_than_announced;
use super::folder::{Folder, Slot, type_name};
use super::lines::{Ending, Lines};
use super::parts::Series;
use super::target::{Blocks, Format, Stored, Target};
use super::{Section, Wanted};
use crate::error::Error;
use crate::export::digest::hex;

/// What is stored, and how.
pub(super) struct Plan {
    pub(super) file: Wanted,
    pub(super) folder: Arc<Folder>,
    pub(super) format: Format,
    pub(super) count_must_fit: bool,
    /// `Content-Length`
    pub(super) length: Option<u64>,
    /// `Content-Encoding: gzip`: the file is the text, and gzip only how it travels.
    pub(super) gzip_travels: bool,
    /// `Content-Type`
    pub(super) content_type: String,
}

/// Why a file is not stored.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not whole, or not what was announced; says in which way.
    Damaged(String),
    /// Nothing can be written.
    Disk(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

/// Of text, at a time.
const BUFFER: usize = 64 << 10;

/// Stores the file whose body comes through `pieces`. Blocks; nothing is left of a file that is not good.
pub(super) fn store(plan: &Plan, pieces: Receiver<Piece>) -> Result<StoredFile, Fault> {
    let mut text = Arriving::new(pieces).text().map_err(|error| unreadable(&error))?;
    let mut target = plan.target();
    let (ending, text_sum) = copy(plan, &mut text, &mut target)?;
    let sums = Sums::of(text, text_sum);
    if ending == Ending::Cut {
        return Err(Fault::Damaged("the file ends in the middle of a JSON value".to_owned()));
    }
    let stored = target.finish(ending == Ending::Document)?;
    let warnings = plan.verify(&sums, ending, &stored)?;
    plan.publish(stored, ending, &sums, warnings)
}

/// All of the text into the target. Returns how it ends, its length and its SHA-256.
fn copy(plan: &Plan, text: &mut Text, target: &mut Target) -> Result<(Ending, Sum), Fault> {
    let mut buffer = vec![0; BUFFER];
    let mut lines = Lines::default();
    let (mut length, mut sha256) = (0, Sha256::new());
    loop {
        let read = text.fill(&mut buffer).map_err(|error| unreadable(&error))?;
        if length == 0
            && let Some(what) =
                other_than_announced(&plan.file, &plan.content_type, &buffer[..read])
        {
            return Err(Fault::Damaged(what));
        }
        length += read as u64;
        if text.is_gzip() {
            sha256.update(&buffer[..read]);
        }
        lines.feed(&buffer[..read], target)?;
        if read < buffer.len() {
            return Ok((lines.finish(target)?, Sum { length, sha256: sha256.finalize().into() }));
        }
    }
}

fn unreadable(error: &io::Error) -> Fault {
    Fault::Damaged(match error.kind() {
        io::ErrorKind::UnexpectedEof => "the gzip data end too early".to_owned(),
        io::ErrorKind::ConnectionAborted => error.to_string(),
        _ => format!("the gzip data are damaged, or followed by something else: {error}"),
    })
}

/// Length and SHA-256.
#[derive(Debug, Clone, Copy)]
struct Sum {
    length: u64,
    sha256: [u8; 32],
}

/// Of a file as it came, and decoded.
#[derive(Debug)]
struct Sums {
    body: Sum,
    text: Sum,
}

impl Sums {
    fn of(text: Text, decoded: Sum) -> Self {
        let gzip = text.is_gzip();
        let (length, sha256) = text.body();
        let body = Sum { length, sha256 };
        Self { body, text: if gzip { decoded } else { body } }
    }

    fn either(&self, fits: impl Fn(Sum) -> bool) -> bool {
        fits(self.body) || fits(self.text)
    }
}

impl Plan {
    fn target(&self) -> Target {
        let (folder, slot) = (Arc::clone(&self.folder), Slot::of(&self.file));
        if self.file.organized {
            return Target::Blocks(Box::new(Blocks::new(folder, slot, self.format.clone())));
        }
        let stem = slot.stem(&type_name(self.file.resource_type.as_deref()));
        Target::Plain(Box::new(Series::new(folder, stem, self.format.clone())))
    }

    /// Compares with what was announced. Returns warnings.
    fn verify(&self, sums: &Sums, ending: Ending, stored: &Stored) -> Result<Vec<String>, Fault> {
        if let Some(length) = self.length.filter(|length| *length != sums.body.length) {
            let came = sums.body.length;
            return Err(Fault::Damaged(format!("{came} bytes came, of {length} announced")));
        }
        if let Some(size) = self.file.size.filter(|size| !sums.either(|sum| sum.length == *size)) {
            let came = sums.text.length;
            return Err(Fault::Damaged(format!("the manifest says {size} bytes, {came} came")));
        }
        let mut warnings = Vec::new();
        warnings.extend(self.verify_checksum(sums)?);
        warnings.extend(self.verify_count(ending, stored)?);
        Ok(warnings)
    }

    fn verify_checksum(&self, sums: &Sums) -> Result<Option<String>, Fault> {
        let Some(checksum) = &self.file.checksum else { return Ok(None) };
        let Some(expected) = sha256_of(checksum) else {
            return Ok(Some(
                "the checksum in the manifest is not SHA-256, and was not compared".to_owned(),
            ));
        };
        if sums.either(|sum| sum.sha256 == expected) {
            return Ok(None);
        }
        Err(Fault::Damaged("the file does not have the checksum in the manifest".to_owned()))
    }

    fn verify_count(&self, ending: Ending, stored: &Stored) -> Result<Option<String>, Fault> {
        let (Some(count), Ending::Lines(lines)) = (self.file.count, ending) else {
            return Ok(None);
        };
        let fits = match stored.blocks {
            Some(blocks) => blocks.may_be(count),
            None => count == lines,
        };
        if fits || self.file.section == Section::Error {
            return Ok(None);
        }
        let what = format!("the manifest says {count} resources, the file has {lines}");
        if self.count_must_fit && self.file.section == Section::Output {
            Err(Fault::Damaged(what))
        } else {
            Ok(Some(what))
        }
    }

    fn publish(
        &self,
        stored: Stored,
        ending: Ending,
        sums: &Sums,
        warnings: Vec<String>,
    ) -> Result<StoredFile, Fault> {
        let lines = match (stored.blocks, ending) {
            (Some(blocks), _) => blocks.resources,
            (None, Ending::Lines(lines)) => lines,
            (None, _) => 1,
        };
        let sum = if self.gzip_travels { sums.text } else { sums.body };
        Ok(StoredFile {
            section: self.file.section.name().to_owned(),
            index: self.file.index,
            resource_type: self.file.resource_type.clone(),
            url: super::without_query(&self.file.url),
            parts: self.folder.publish(Slot::of(&self.file), stored.parts)?,
            lines,
            bytes: stored.bytes,
            sha256: hex(&sum.sha256),
            attachments: 0,
            warnings,
        })
    }
}

/// The digest in a checksum such as `sha256:9f86…`, in hex or base64; the name may be missing.
fn sha256_of(checksum: &str) -> Option<[u8; 32]> {
    let digest = match checksum.split_once([':', '=']) {
        Some((name, digest)) if is_sha256(name) => digest,
        Some((_, "")) | None => checksum,
        Some(_) => return None,
    };
    let digest = digest.trim();
    let bytes = from_hex(digest).or_else(|| STANDARD.decode(digest).ok())?;
    bytes.try_into().ok()
}

fn is_sha256(name: &str) -> bool {
    matches!(name.trim().to_ascii_lowercase().as_str(), "sha256" | "sha-256")
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    text.len().is_multiple_of(2).then(|| text.chunks(2).map(byte).collect())?
}
