//! The manifest as it stands beside the data: the standard's form, whose urls are the names of the stored files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::export::state::{ExportState, StoredFile};

/// What no longer holds once files are stored by us: they are several of one, or one type each.
const OF_THE_SERVER: [&str; 5] =
    ["link", "outcome", "outputOrganizedBy", "outputOrganizedByDetail", "outputFormat"];

/// The manifest of the files in `folder`. Keys of the server's that nobody knows are kept.
///
/// # Errors
/// If a stored file cannot be read: its lines are counted where it was cut into parts.
pub(in crate::export) fn local(
    state: &ExportState,
    transaction_time: &str,
    folder: &Path,
) -> Result<Value> {
    let mut manifest: Map<String, Value> =
        state.pages.first().and_then(Value::as_object).cloned().unwrap_or_default();
    for key in OF_THE_SERVER {
        manifest.remove(key);
    }
    manifest.insert("transactionTime".to_owned(), json!(transaction_time));
    if let Some(request) = &state.kick_off_url {
        manifest.insert("request".to_owned(), json!(request));
    }
    manifest.insert("requiresAccessToken".to_owned(), json!(false));
    for section in ["output", "deleted", "error"] {
        let mut stored: Vec<&StoredFile> =
            state.stored.iter().filter(|file| file.section == section).collect();
        stored.sort_by_key(|file| file.index);
        let entries: Vec<_> =
            stored.into_iter().map(|file| entries(file, folder)).collect::<Result<_>>()?;
        manifest.insert(section.to_owned(), Value::Array(entries.concat()));
    }
    Ok(Value::Object(manifest))
}

/// An entry for each part of a file.
fn entries(file: &StoredFile, folder: &Path) -> Result<Vec<Value>> {
    let single = file.parts.len() == 1;
    file.parts
        .iter()
        .map(|part| {
            let lines = if single { file.lines } else { lines(&folder.join(part))? };
            let name = part.to_string_lossy();
            let mut entry = json!({ "url": name, "count": lines });
            if let Some(type_name) = type_of(file, &name) {
                entry["type"] = json!(type_name);
            }
            Ok(entry)
        })
        .collect()
}

/// `type`: of a file that held several types, each part has one, and its name begins with it.
fn type_of(file: &StoredFile, part: &str) -> Option<String> {
    let by_name = || part.split(['.', '/']).next().map(str::to_owned);
    match file.section.as_str() {
        "deleted" => Some("Bundle".to_owned()),
        "error" => Some("OperationOutcome".to_owned()),
        _ => file.resource_type.clone().or_else(by_name),
    }
}

/// Opens a stored part: its text, whatever it is compressed with.
pub(in crate::export) fn text_of(path: &Path) -> Result<Box<dyn Read>> {
    let failed = |error| Error::io(ErrorKind::Output, "read", path, error);
    let file = File::open(path).map_err(failed)?;
    if path.extension().is_some_and(|extension| extension == "zst") {
        Ok(Box::new(zstd::stream::read::Decoder::new(file).map_err(failed)?))
    } else {
        Ok(Box::new(file))
    }
}

/// Lines of a stored part: each ends in a line end, none is blank.
fn lines(path: &Path) -> Result<u64> {
    let mut text = text_of(path)?;
    let mut buffer = vec![0; 1 << 18];
    let mut lines = 0;
    loop {
        match text.read(&mut buffer) {
            Ok(0) => return Ok(lines),
            Ok(read) => lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(ErrorKind::Output, "read", path, error)),
        }
    }
}
