//! Loads the attachments that resources point at: into the resource, or into files beside it.
//!
//! A stored file is rewritten line by line, under a temporary name. Only the members of attachments that were loaded
//! change: `url` becomes `data`, or a path such as `attachments/9f86….pdf`, and `size` is set right. All else stays byte
//! for byte, and so does a file without any. What was rewritten before is recognised, so killing does no harm.

mod fetch;
mod find;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use url::{Origin, Url};

use self::fetch::{Content, Sought};
use self::find::Found;
use super::download::Downloads;
use super::download::content::media_type;
use super::download::folder::Folder;
use super::download::parts::Series;
use super::download::persist::{Miss, Persistence};
use super::download::target::Format;
use super::log::Log;
use super::settings::AttachmentSettings;
use super::state::StoredFile;
use super::transport::Transport;
use crate::clock::Clock;
use crate::durable::sync_folder;
use crate::error::{Error, ErrorKind, Result};

/// Loads attachments.
pub(super) struct Attachments {
    transport: Arc<Transport>,
    settings: AttachmentSettings,
    server: Url,
    /// Beside `export.json`.
    data: PathBuf,
    /// `attachments` in it.
    folder: PathBuf,
    parallel: usize,
    clock: Clock,
    log: Arc<Log>,
    /// Shared with the downloads.
    persistence: Arc<Persistence>,
}

/// Whether a part has lines; else it is one JSON document.
fn is_lines(part: &Path) -> bool {
    part.to_string_lossy().contains(".ndjson")
}

/// The folder, and how urls in resources begin that point into it.
const FOLDER: &str = "attachments";

impl Attachments {
    /// Attachments of what `downloads` store, if the settings want them, at the same pace. Makes the folder, and clears
    /// away what a killed process left in it.
    pub(super) fn new(
        downloads: &Downloads,
        persistence: Arc<Persistence>,
    ) -> Result<Option<Self>> {
        let settings = &downloads.settings;
        let Some(wanted) = settings.attachments.clone() else { return Ok(None) };
        let folder = downloads.folder.join(FOLDER);
        std::fs::create_dir_all(&folder)
            .map_err(|error| Error::io(ErrorKind::Output, "make", &folder, error))?;
        Folder::open(&folder)?;
        Ok(Some(Self {
            transport: Arc::clone(&downloads.transport),
            settings: wanted,
            server: settings.request.server.clone(),
            data: downloads.folder.clone(),
            folder,
            parallel: settings.parallel.max(1),
            clock: downloads.clock.clone(),
            log: Arc::clone(&downloads.log),
            persistence,
        }))
    }

    /// Loads the attachments of a stored `output` file, and returns it as it then is. The token goes to the server's and
    /// the file's own origin, if the file itself needed it (`credentials`). An attachment that cannot be loaded leaves
    /// its resource as it was, for a warning.
    ///
    /// # Errors
    /// The folder cannot be written; the server no longer lets us in.
    pub(super) async fn load(&self, mut file: StoredFile, credentials: bool) -> Result<StoredFile> {
        let origin = Url::parse(&file.url).ok().map(|url| url.origin());
        let source = Source { resource_type: file.resource_type.clone(), credentials, origin };
        let (mut tally, mut bytes) = (Tally::default(), 0);
        for part in &file.parts {
            bytes += self.part(part, &source, &mut tally).await?;
        }
        if file.parts.iter().any(|part| !is_lines(part)) {
            file.warnings.push(
                "attachments of a JSON document that is no NDJSON stay where they are".to_owned(),
            );
        }
        if tally.loaded > 0 {
            (file.bytes, file.attachments) = (bytes, tally.loaded);
        }
        if let Some(first) = tally.first_failure {
            let what =
                format!("{} attachments could not be loaded; the first: {first}", tally.failed);
            file.warnings.push(what);
        }
        Ok(file)
    }

    /// Rewrites a part, if it has attachments. Returns how long its text is.
    async fn part(&self, part: &Path, source: &Source, tally: &mut Tally) -> Result<u64> {
        let name = part.to_string_lossy();
        let Some(stem) = name.split_once(".ndjson").map(|(stem, _)| stem.to_owned()) else {
            return Ok(0);
        };
        let path = self.data.join(part);
        let (bytes, any) = survey(&path).await?;
        if !any {
            return Ok(bytes);
        }
        let format = Format { compress: name.ends_with(".zst"), part_bytes: u64::MAX };
        let mut series = Series::new(Arc::new(Folder::beside(&self.data)), stem, format);
        let before = tally.loaded;
        let lines = stream::iter(Lines::open(&path)?);
        let mut rewritten =
            lines.map(|line| async { self.line(line?, source).await }).buffered(self.parallel);
        while let Some((line, counts)) = rewritten.try_next().await? {
            tally.add(counts);
            series.write(&line)?;
        }
        let bytes = series.bytes();
        if tally.loaded > before {
            sync_folder(&self.folder)?;
            for staged in series.finish("ndjson")? {
                staged.publish(&self.data)?;
            }
            sync_folder(&self.data)?;
        }
        Ok(bytes)
    }

    /// A line with its attachments loaded.
    async fn line(&self, line: Vec<u8>, source: &Source) -> Result<(Vec<u8>, Tally)> {
        let (mut tally, mut edits) = (Tally::default(), Vec::new());
        for found in find::attachments(&line) {
            let Some(sought) = self.sought(&found, source) else { continue };
            let fetched = self.persistence.run(async || self.fetch(&sought).await).await;
            match fetched {
                Ok(content) => {
                    tally.loaded += 1;
                    edits.extend(self.edits(&found, content, sought.content_type.as_deref())?);
                }
                Err(Miss::Fatal(error)) => return Err(error),
                Err(Miss::Lasting(error)) if error.kind() == ErrorKind::Refused => {
                    return Err(error);
                }
                Err(
                    Miss::Busy(_, error)
                    | Miss::Passing(_, error)
                    | Miss::Gone(error)
                    | Miss::Lasting(error),
                ) => tally.fail(error.to_string()),
            }
        }
        Ok((edited(line, edits), tally))
    }

    /// Where an attachment is, if it is wanted and on a server. Absolute as the guide wants it, or relative to the server
    /// (Epic).
    fn sought(&self, found: &Found, source: &Source) -> Option<Sought> {
        let given = found.url.trim();
        let ours = given.starts_with(FOLDER) && given[FOLDER.len()..].starts_with('/');
        if ours
            || given.is_empty()
            || given.starts_with('#')
            || !self.wants(found.content_type.as_deref())
        {
            return None;
        }
        let base = Url::parse(&format!("{}/", self.server.as_str().trim_end_matches('/'))).ok()?;
        let url = base.join(given).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let origin = url.origin();
        let known = origin == self.server.origin() || source.origin.as_ref() == Some(&origin);
        Some(Sought {
            url,
            credentials: source.credentials && known,
            content_type: found.content_type.clone(),
            hash: found.hash.clone(),
            resource_type: source.resource_type.clone(),
        })
    }

    /// Whether the settings name the type; one that is not known is not among them.
    fn wants(&self, content_type: Option<&str>) -> bool {
        let kind = media_type(content_type.unwrap_or_default());
        let matches = |wanted: &String| match wanted.trim().to_ascii_lowercase().strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => kind.eq_ignore_ascii_case(wanted.trim()),
        };
        self.settings.types.is_empty()
            || (!kind.is_empty() && self.settings.types.iter().any(matches))
    }

    /// What changes in the line for an attachment that is here.
    fn edits(&self, found: &Found, content: Content, kind: Option<&str>) -> Result<Vec<Edit>> {
        let size = content.size.to_string();
        let mut edits: Vec<Edit> =
            found.size.iter().map(|place| (place.clone(), size.clone())).collect();
        edits.push(if content.size <= self.settings.inline_bytes {
            let data = STANDARD.encode(content.bytes()?);
            (found.member.clone(), format!("\"data\":\"{data}\""))
        } else {
            let name = format!("{}.{}", content.sha256, extension(kind));
            content.keep(&self.folder.join(&name))?;
            (found.value.clone(), format!("\"{FOLDER}/{name}\""))
        });
        Ok(edits)
    }
}

/// How long the text of a part is, and whether there are attachments in it.
async fn survey(path: &Path) -> Result<(u64, bool)> {
    let path = path.to_owned();
    let surveying = tokio::task::spawn_blocking(move || {
        Lines::open(&path)?.try_fold((0, false), |(bytes, any), line| {
            let line = line?;
            let any = any || !find::attachments(&line).is_empty();
            Ok((bytes + line.len() as u64, any))
        })
    });
    surveying.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// A place in a line, and what is to be there.
type Edit = (Range<usize>, String);

fn edited(line: Vec<u8>, mut edits: Vec<Edit>) -> Vec<u8> {
    if edits.is_empty() {
        return line;
    }
    edits.sort_by_key(|(place, _)| place.start);
    let (mut new, mut at) = (Vec::with_capacity(line.len()), 0);
    for (place, text) in edits {
        new.extend_from_slice(&line[at..place.start]);
        new.extend_from_slice(text.as_bytes());
        at = place.end;
    }
    new.extend_from_slice(&line[at..]);
    new
}

/// The file that attachments are of.
struct Source {
    resource_type: Option<String>,
    /// Whether it needed the token.
    credentials: bool,
    origin: Option<Origin>,
}

#[derive(Debug, Default)]
struct Tally {
    loaded: u64,
    failed: u64,
    first_failure: Option<String>,
}

impl Tally {
    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }

    fn add(&mut self, other: Self) {
        self.loaded += other.loaded;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// The lines of a stored part, with their line ends.
struct Lines {
    path: PathBuf,
    text: Box<dyn BufRead + Send>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(ErrorKind::Output, "read", path, error);
        let file = File::open(path).map_err(failed)?;
        let text: Box<dyn BufRead + Send> = if path.extension().is_some_and(|end| end == "zst") {
            Box::new(BufReader::new(zstd::stream::read::Decoder::new(file).map_err(failed)?))
        } else {
            Box::new(BufReader::new(file))
        };
        Ok(Self { path: path.to_owned(), text })
    }
}

impl Iterator for Lines {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.text.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(Error::io(ErrorKind::Output, "read", &self.path, error))),
        }
    }
}

/// The end of a file name for a MIME type. Never one that is taken for resources.
fn extension(kind: Option<&str>) -> &'static str {
    match media_type(kind.unwrap_or_default()).as_str() {
        "text/plain" => "txt",
        "text/html" | "application/xhtml+xml" => "html",
        "text/xml" | "application/xml" | "application/hl7-v3+xml" => "xml",
        "text/rtf" | "application/rtf" => "rtf",
        "text/csv" => "csv",
        "application/pdf" => "pdf",
        "application/dicom" => "dcm",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/tiff" => "tif",
        _ => "bin",
    }
}
