//! The Bulk Data manifest (`manifest.json`): which files beside it make up an export.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// The name under which exports keep the manifest.
pub(super) const MANIFEST_NAME: &str = "manifest.json";

/// Explicitly named `.json` files beyond this size are taken for data without looking for a manifest.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// A manifest found on disk, its urls resolved to files beside it.
///
/// See Bulk Data Access, "Response - Complete Status".
#[derive(Debug)]
pub struct Manifest {
    /// Where the manifest is.
    pub path: PathBuf,
    /// The server's base url, from `request`: absolute references below it are to resources of this server.
    pub base: Option<String>,
    /// `transactionTime`: the instant up to which the export is complete, as written.
    pub transaction_time: String,
    /// `output`: the files of resources, in the manifest's order.
    pub output: Vec<ListedFile>,
    /// `deleted`: Bundles of deletions since the last export; listed, not read as resources.
    pub deleted: Vec<ListedFile>,
    /// `error`: `OperationOutcome`s of the export itself; listed, not read as resources.
    pub errors: Vec<ListedFile>,
}

/// One file a manifest lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// The last segment of the url, beside the manifest. Need not exist unless it is `output`.
    pub path: PathBuf,
    /// `type`, as declared.
    pub resource_type: String,
    /// `count`, as declared.
    pub count: Option<u64>,
}

impl Manifest {
    /// Reads `path` if it is a manifest: a `.json` file with `transactionTime` and `output`.
    ///
    /// # Errors
    /// Of kind `Input`, if a file called `manifest.json` is not JSON, or if a manifest names files
    /// that cannot be told apart.
    pub(super) fn read_if_one(path: &Path) -> Result<Option<Self>> {
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json")) {
            return Ok(None);
        }
        let cannot = |error| Error::io(ErrorKind::Input, "read", path, error);
        let metadata = fs::metadata(path).map_err(cannot)?;
        if !metadata.is_file() || metadata.len() > MAX_MANIFEST_BYTES {
            return Ok(None);
        }
        let text = fs::read(path).map_err(cannot)?;
        match serde_json::from_slice(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text)) {
            Ok(written) => Self::resolve(path, written),
            Err(error)
                if !error.is_data()
                    && path.file_name().is_some_and(|name| name == MANIFEST_NAME) =>
            {
                Err(Error::new(ErrorKind::Input, "the manifest is not valid JSON")
                    .at("file", path.display())
                    .at("line", error.line())
                    .at("column", error.column())
                    .hint("fetch it again, or remove it to read every file of the directory"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Every file the manifest lists.
    pub(super) fn files(&self) -> impl Iterator<Item = &ListedFile> {
        self.output.iter().chain(&self.deleted).chain(&self.errors)
    }

    fn resolve(path: &Path, written: Written) -> Result<Option<Self>> {
        let (Some(transaction_time), Some(output)) = (written.transaction_time, written.output)
        else {
            return Ok(None);
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut urls = HashMap::new();
        let mut list = |files: Vec<WrittenFile>| {
            files
                .into_iter()
                .map(|file| file.resolve(directory, &mut urls))
                .collect::<Result<Vec<_>>>()
        };
        let in_manifest = |error: Error| error.at("manifest", path.display());
        Ok(Some(Self {
            path: path.to_owned(),
            base: written.request.as_deref().and_then(base).map(str::to_owned),
            transaction_time,
            output: list(output).map_err(in_manifest)?,
            deleted: list(written.deleted.unwrap_or_default()).map_err(in_manifest)?,
            errors: list(written.error.unwrap_or_default()).map_err(in_manifest)?,
        }))
    }
}

/// The manifest as written; the two `Option`s tell it from other JSON.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "transactionTime")]
    transaction_time: Option<String>,
    request: Option<String>,
    output: Option<Vec<WrittenFile>>,
    deleted: Option<Vec<WrittenFile>>,
    error: Option<Vec<WrittenFile>>,
}

#[derive(Deserialize)]
struct WrittenFile {
    #[serde(rename = "type", default)]
    resource_type: String,
    url: String,
    count: Option<u64>,
}

impl WrittenFile {
    /// Finds the file beside the manifest; `urls` tells two urls that end alike from one listed twice.
    fn resolve(self, directory: &Path, urls: &mut HashMap<String, String>) -> Result<ListedFile> {
        let name = file_name(&self.url).ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                format!("the url `{}` does not end in a file name", self.url),
            )
        })?;
        let path = directory.join(&name);
        let earlier = urls.entry(name).or_insert_with(|| self.url.clone());
        if *earlier != self.url {
            let message =
                format!("the urls `{earlier}` and `{}` end in the same file name", self.url);
            return Err(Error::new(ErrorKind::Input, message)
                .hint("give the files names of their own and list these in the manifest"));
        }
        Ok(ListedFile { path, resource_type: self.resource_type, count: self.count })
    }
}

/// What stands before `/$export`, `/Patient/$export` or `/Group/id/$export` in the url of a kick-off request (Bulk Data
/// Access, "Endpoint"); none if it is no such url.
fn base(request: &str) -> Option<&str> {
    let (path, _) = request.split_once("/$export")?;
    let of_patients = path.strip_suffix("/Patient");
    let of_group = || {
        let (rest, _) = path.rsplit_once('/')?;
        rest.strip_suffix("/Group")
    };
    Some(of_patients.or_else(of_group).unwrap_or(path))
}

/// The last path segment of a url, percent-decoded (RFC 3986, 2.1); none if it is no plain file name.
fn file_name(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let segment = path.rsplit('/').next().unwrap_or_default();
    let mut name = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        name.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    let name = String::from_utf8(name).ok()?;
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    plain.then_some(name)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::{base, file_name};

    #[test]
    fn the_base_stands_before_the_operation() {
        for (request, expected) in [
            ("https://x.org/fhir/$export?_type=Patient", Some("https://x.org/fhir")),
            ("https://x.org/fhir/Patient/$export", Some("https://x.org/fhir")),
            ("https://x.org/r4/Group/g-1/$export?_since=2020", Some("https://x.org/r4")),
            ("https://x.org/Group/$export", Some("https://x.org/Group")),
            ("https://x.org/fhir", None),
            ("", None),
        ] {
            assert_eq!(base(request), expected, "{request}");
        }
    }

    #[test]
    fn the_file_name_is_the_last_segment_of_the_url() {
        for (url, name) in [
            ("https://example.org/bulk/1/Patient.ndjson", Some("Patient.ndjson")),
            (
                "https://example.org/f/Patient.000.ndjson.gz?sig=a/b#c",
                Some("Patient.000.ndjson.gz"),
            ),
            ("Patient.ndjson", Some("Patient.ndjson")),
            ("file:///data/a%20b.ndjson", Some("a b.ndjson")),
            ("https://example.org/bulk/", None),
            ("https://example.org/..", None),
            ("https://example.org/%2e%2e", None),
            ("https://example.org/a%2Fb", None),
            ("https://example.org/a%zz", None),
            ("", None),
        ] {
            assert_eq!(file_name(url).as_deref(), name, "{url}");
        }
    }
}
