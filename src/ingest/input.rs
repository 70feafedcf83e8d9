//! What the user named becomes an ordered list of files: arguments as given, directories by path.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::manifest::{MANIFEST_NAME, Manifest};
use crate::error::{Error, ErrorKind, Result};

/// How a file's text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON value a line (`.ndjson`, `.jsonl`).
    Lines,
    /// One JSON value in the whole file (`.json`): a Bundle, a resource, or an array of resources.
    Document,
}

/// How a file's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// `.gz`, of one or more members.
    Gzip,
    /// `.zst`, of one or more frames.
    Zstd,
}

/// What a Bulk Data manifest says of a file. Not to be trusted for the type of its resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// `output.type`: the resource type the server says the file holds.
    pub resource_type: String,
    /// `output.count`: the number of resources the server says the file holds.
    pub count: Option<u64>,
}

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// The path as found, not canonical.
    pub path: PathBuf,
    /// Size in bytes as stored, when it was found. A file of another size when read is an error.
    pub size: u64,
    /// How its text is laid out.
    pub format: Format,
    /// How its bytes are packed.
    pub compression: Compression,
    /// What its manifest declares, if it came from one.
    pub declared: Option<Declared>,
}

/// Everything to read, in the order in which rows will come out.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The files; other types refer to them by index.
    pub files: Vec<InputFile>,
    /// Files met in a directory that were passed over for their name, or for not being in its manifest.
    pub ignored: Vec<PathBuf>,
    /// The manifests that chose the files of their directory.
    pub manifests: Vec<Manifest>,
}

impl Inputs {
    /// The base urls of the servers that the manifests name.
    pub fn bases(&self) -> impl Iterator<Item = &str> {
        self.manifests.iter().filter_map(|manifest| manifest.base.as_deref())
    }

    /// Bytes to read, as stored.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// Finds the files that `inputs` name: files, directories, manifests and glob patterns.
///
/// Directories are walked in the order of their paths, without names that start with `.` or `_`; one
/// with a Bulk Data manifest gives exactly the files of its `output`. A file met twice is taken once.
///
/// # Errors
/// Of kind `Input`, if something is missing, unreadable or not what its name says, or if one of
/// `inputs` yields no file at all.
pub fn discover(inputs: &[String]) -> Result<Inputs> {
    let mut discovery = Discovery::default();
    for input in inputs {
        let before = discovery.met;
        discovery.argument(input)?;
        if discovery.met == before {
            return Err(nothing_to_read(input));
        }
    }
    if discovery.met == 0 {
        return Err(Error::new(ErrorKind::Input, "nothing to read: no input was given")
            .hint("name a file, a directory or a pattern such as `export/*.ndjson.gz`"));
    }
    Ok(discovery.inputs)
}

/// What Bulk Data clients, ours among them, keep beside the files they export; no resources in it.
const BOOKKEEPING: [&str; 6] =
    ["log.ndjson", EXPORT_STATE, "export.journal", "export.lock", "loaded.json", "attempt.json"];

/// What Kiln's own client remembers of an export; the manifest comes beside it when all files are there.
const EXPORT_STATE: &str = "export.json";

fn is_bookkeeping(path: &Path) -> bool {
    path.file_name().is_some_and(|name| BOOKKEEPING.iter().any(|own| name == *own))
}

/// The state of one [`discover`].
#[derive(Default)]
struct Discovery {
    inputs: Inputs,
    /// Canonical paths of the files taken, and of the directories entered (links may form rings).
    seen: HashSet<PathBuf>,
    /// The canonical paths of directories, so that a file in one needs no walk over its whole path.
    canonical: HashMap<PathBuf, PathBuf>,
    /// Files met so far, those taken before included.
    met: usize,
}

impl Discovery {
    fn argument(&mut self, input: &str) -> Result<()> {
        let path = Path::new(input);
        match Found::at(path) {
            Ok(found) if found.metadata.is_dir() => self.directory(path),
            Ok(found) => self.named_file(&found),
            Err(_) if input.contains(['*', '?', '[']) => self.pattern(input),
            Err(error) => Err(Error::io(ErrorKind::Input, "find", path, error)),
        }
    }

    /// A file the user named: a manifest, or read whatever it is called.
    fn named_file(&mut self, found: &Found<'_>) -> Result<()> {
        if let Some(manifest) = Manifest::read_if_one(found.path)? {
            return self.manifest(manifest);
        }
        let (format, compression) = kind_by_name(found.path);
        self.take(found, format.unwrap_or(Format::Lines), compression, None)
    }

    fn pattern(&mut self, pattern: &str) -> Result<()> {
        let options =
            glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
        let paths = glob::glob_with(pattern, options).map_err(|error| {
            Error::new(
                ErrorKind::Input,
                format!("`{pattern}` is not a valid pattern: {}", error.msg),
            )
            .hint("write `[[]` for a bracket that is part of a name")
        })?;
        for path in paths {
            let path = path.map_err(|error| {
                let place = error.path().to_owned();
                Error::io(ErrorKind::Input, "search", &place, error.into())
            })?;
            self.matched(&path)?;
        }
        Ok(())
    }

    fn directory(&mut self, directory: &Path) -> Result<()> {
        let canonical = canonical(directory)?;
        self.canonical.insert(directory.to_owned(), canonical.clone());
        if !self.seen.insert(canonical) {
            return Ok(());
        }
        let manifest = directory.join(MANIFEST_NAME);
        if manifest.is_file()
            && let Some(manifest) = Manifest::read_if_one(&manifest)?
        {
            return self.manifest(manifest);
        }
        if directory.join(EXPORT_STATE).is_file() {
            let message = format!("the export in `{}` is not whole", directory.display());
            return Err(Error::new(ErrorKind::Input, message)
                .hint("let `kiln export` go on with it, or name the files that are to be read"));
        }
        for path in visible(directory)? {
            self.matched(&path)?;
        }
        Ok(())
    }

    /// A path that a directory or a pattern yielded: only what has a known name is taken.
    fn matched(&mut self, path: &Path) -> Result<()> {
        let found = Found::at(path).map_err(cannot_find(path))?;
        if found.metadata.is_dir() {
            return self.directory(path);
        }
        match kind_by_name(path) {
            _ if is_bookkeeping(path) => Ok(()),
            (Some(format), compression) => self.take(&found, format, compression, None),
            _ => {
                self.inputs.ignored.push(path.to_owned());
                Ok(())
            }
        }
    }

    fn manifest(&mut self, manifest: Manifest) -> Result<()> {
        for listed in &manifest.output {
            let (format, compression) = kind_by_name(&listed.path);
            let declared =
                Declared { resource_type: listed.resource_type.clone(), count: listed.count };
            Found::at(&listed.path)
                .map_err(cannot_find(&listed.path))
                .and_then(|found| {
                    self.take(&found, format.unwrap_or(Format::Lines), compression, Some(declared))
                })
                .map_err(|error| error.at("manifest", manifest.path.display()))?;
        }
        let listed: HashSet<_> = manifest.files().map(|file| file.path.as_path()).collect();
        let beside = visible(manifest.path.parent().unwrap_or(Path::new(".")))?;
        let unlisted = beside
            .into_iter()
            .filter(|path| !listed.contains(path.as_path()) && *path != manifest.path)
            .filter(|path| !is_bookkeeping(path));
        self.inputs.ignored.extend(unlisted);
        self.inputs.manifests.push(manifest);
        Ok(())
    }

    fn take(
        &mut self,
        found: &Found<'_>,
        format: Format,
        compression: Compression,
        declared: Option<Declared>,
    ) -> Result<()> {
        self.met += 1;
        let canonical = self.canonical_of(found)?;
        if !self.seen.insert(canonical) {
            return Ok(());
        }
        found.probe(compression)?;
        self.inputs.files.push(InputFile {
            path: found.path.to_owned(),
            size: found.metadata.len(),
            format,
            compression,
            declared,
        });
        Ok(())
    }

    /// The canonical path of a file: its name in the canonical path of its directory, unless it is a link.
    fn canonical_of(&mut self, found: &Found<'_>) -> Result<PathBuf> {
        let (Some(parent), Some(name), false) =
            (found.path.parent(), found.path.file_name(), found.is_link)
        else {
            return canonical(found.path);
        };
        let directory = match self.canonical.entry(parent.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(canonical(or_here(parent))?),
        };
        Ok(directory.join(name))
    }
}

/// What there is at a path.
struct Found<'p> {
    path: &'p Path,
    /// Of what a link leads to.
    metadata: Metadata,
    is_link: bool,
}

impl<'p> Found<'p> {
    fn at(path: &'p Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let is_link = metadata.is_symlink();
        let metadata = if is_link { fs::metadata(path)? } else { metadata };
        Ok(Self { path, metadata, is_link })
    }

    /// Checks that the file can be read and is packed as its name says.
    fn probe(&self, compression: Compression) -> Result<()> {
        if !self.metadata.is_file() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("`{}` is not a regular file", self.path.display()),
            )
            .hint("save the stream to a file first: its parts are read at the same time"));
        }
        // What everybody may read need not be tried: opening is half of what a small file costs.
        let for_everybody = self.metadata.permissions().mode() & 0o444 == 0o444;
        if compression == Compression::Plain && for_everybody {
            return Ok(());
        }
        let file = File::open(self.path)
            .map_err(|error| Error::io(ErrorKind::Input, "open", self.path, error))?;
        check_start(self.path, file, compression)
    }
}

/// Checks that a file begins as files of its compression do.
fn check_start(path: &Path, file: File, compression: Compression) -> Result<()> {
    let (magic, name): (&[u8], _) = match compression {
        Compression::Plain => return Ok(()),
        Compression::Gzip => (&[0x1f, 0x8b], "gzip"),
        Compression::Zstd => (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    };
    let mut start = Vec::new();
    file.take(magic.len() as u64)
        .read_to_end(&mut start)
        .map_err(|error| Error::io(ErrorKind::Input, "read", path, error))?;
    // A zstd stream may begin with a skippable frame (RFC 8878, 3.1.2); the decoder judges those.
    let skippable =
        compression == Compression::Zstd && matches!(start[..], [0x50..=0x5f, 0x2a, 0x4d, 0x18]);
    if start != magic && !skippable {
        return Err(Error::new(
            ErrorKind::Input,
            format!("`{}` is not {name} data", path.display()),
        )
        .hint("fetch it again if its transfer broke off, or rename it if it is not compressed"));
    }
    Ok(())
}

/// Whether a file of this name is input, where it is found in a folder.
pub fn is_input(path: &Path) -> bool {
    kind_by_name(path).0.is_some()
}

/// The format a name stands for, if any, and the compression.
fn kind_by_name(path: &Path) -> (Option<Format>, Compression) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let (stem, compression) = match name.rsplit_once('.') {
        Some((stem, "gz")) => (stem, Compression::Gzip),
        Some((stem, "zst")) => (stem, Compression::Zstd),
        _ => (name.as_str(), Compression::Plain),
    };
    let format = match stem.rsplit_once('.') {
        Some((_, "ndjson" | "jsonl")) => Some(Format::Lines),
        Some((_, "json")) => Some(Format::Document),
        _ => None,
    };
    (format, compression)
}

/// The paths in a directory, sorted, without names that start with `.` or `_`.
fn visible(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = or_here(directory);
    let cannot = |error| Error::io(ErrorKind::Input, "list", listed, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(listed).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        if !name.to_string_lossy().starts_with(['.', '_']) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// The parent of a bare file name is the empty path, which the system does not know.
fn or_here(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

fn canonical(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(cannot_find(path))
}

fn cannot_find(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::io(ErrorKind::Input, "find", path, error)
}

fn nothing_to_read(input: &str) -> Error {
    Error::new(ErrorKind::Input, format!("nothing to read in `{input}`")).hint(
        "a directory or pattern must hold `.ndjson`, `.jsonl` or `.json` files, plain or `.gz` or `.zst`; \
         a file of another name can be named itself",
    )
}
