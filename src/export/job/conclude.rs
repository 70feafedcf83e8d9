//! The end of an export: the manifest beside the data, and what the server reported in its `error` files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Complete, ExportJob};
use crate::durable::{Readers, write_whole};
use crate::error::{Error, ErrorKind, Result};
use crate::export::manifest::{local, text_of, unsigned};
use crate::export::outcome::{Outcome, shown};
use crate::export::settings::Settings;
use crate::export::state::ExportState;

/// A line of an `error` file that is longer is not read: it would be no OperationOutcome worth reading.
const LONGEST_LINE: u64 = 16 << 20;

/// So many texts of errors are told.
const MOST_TEXTS: usize = 5;

/// Everything is stored: writes the manifest, and says what is well to know.
///
/// # Errors
/// Of kind `Incomplete`, if the server reported errors that the settings do not accept. The data are stored all the
/// same.
pub(super) fn conclude(job: &mut ExportJob) -> Result<Complete> {
    let mut warnings = job.transport.authorizer().warnings();
    let transaction_time = transaction_time(&job.store.state, &mut warnings)?;
    if !job.store.state.complete {
        remove_superseded(job)?;
        let folder = job.store.folder();
        let manifest = local(&job.store.state, &transaction_time, folder)?;
        let text = format!("{manifest:#}\n");
        write_whole(&folder.join("manifest.json"), text.as_bytes(), Readers::Usual)?;
        job.store.state.complete = true;
        // Nothing is loaded from these urls any more.
        job.store.state.pages.iter_mut().for_each(unsigned);
        job.store.state.stored.sort_by_key(|file| (order_of(&file.section), file.index));
        job.store.save_and_fold()?;
        job.log.event("export_complete", totals(&job.store.state, job.clock.now()))?;
    }
    let state = &job.store.state;
    for file in &state.stored {
        warnings.extend(file.warnings.iter().map(|warning| format!("{}: {warning}", file.url)));
    }
    if !state.stored.iter().any(|file| file.section == "output") {
        warnings.push(
            "the export has no files: the server found nothing, or shows this client nothing"
                .to_owned(),
        );
    }
    let reported = Reported::read(state, job.store.folder())?;
    reported.judge(&job.settings, &mut warnings)?;
    let errors = reported.errors;
    Ok(Complete { transaction_time, errors, warnings, state: state.clone() })
}

/// The instant up to which the export is complete, as written: the earliest, should pages differ.
fn transaction_time(state: &ExportState, warnings: &mut Vec<String>) -> Result<String> {
    let mut times: Vec<&str> =
        state.pages.iter().filter_map(|page| page["transactionTime"].as_str()).collect();
    times.dedup();
    if times.len() > 1 {
        warnings.push(
            "the manifest's pages have different transaction times: the earliest counts".to_owned(),
        );
        times.sort_by_key(|text| lenient(text));
    }
    if let Some(time) = times.first() {
        if lenient(time).is_none() {
            warnings.push(format!("the transaction time `{}` is no instant", shown(time)));
        }
        return Ok((*time).to_owned());
    }
    warnings.push(
        "the manifest has no transaction time: the time of the kick-off stands for it".to_owned(),
    );
    state.kicked_off.clone().ok_or_else(|| {
        Error::new(
            ErrorKind::Incomplete,
            "neither manifest nor kick-off says what time the export is of",
        )
    })
}

/// An instant as servers write it, with a space instead of `T`, or without a colon in its zone.
fn lenient(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok()
}

fn order_of(section: &str) -> usize {
    ["output", "deleted", "error"].iter().position(|name| *name == section).unwrap_or(3)
}

/// Removes the parts of a job that was lost, which this one does not have too.
fn remove_superseded(job: &mut ExportJob) -> Result<()> {
    for part in std::mem::take(&mut job.store.state.superseded) {
        if job.store.state.stored.iter().any(|file| file.parts.contains(&part)) {
            continue;
        }
        let path = job.store.folder().join(&part);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(ErrorKind::Output, "remove", &path, e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// `export_complete` of the log.
fn totals(state: &ExportState, now: Timestamp) -> Value {
    let output = || state.stored.iter().filter(|file| file.section == "output");
    let began = state.began.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    json!({
        "files": state.stored.len(),
        "resources": output().map(|file| file.lines).sum::<u64>(),
        "bytes": state.stored.iter().map(|file| file.bytes).sum::<u64>(),
        "attachments": state.stored.iter().map(|file| file.attachments).sum::<u64>(),
        "duration": began.map(|began| now.duration_since(began).as_millis()),
    })
}

/// What the server reported in its `error` files (requirement 37).
#[derive(Debug, Default)]
struct Reported {
    /// By severity.
    severities: BTreeMap<String, u64>,
    /// Of errors.
    texts: Vec<String>,
    errors: u64,
    /// Lines that are no OperationOutcome.
    unreadable: u64,
}

impl Reported {
    fn read(state: &ExportState, folder: &Path) -> Result<Self> {
        let mut reported = Self::default();
        for file in state.stored.iter().filter(|file| file.section == "error") {
            for part in &file.parts {
                reported.read_part(&folder.join(part))?;
            }
        }
        Ok(reported)
    }

    fn read_part(&mut self, path: &Path) -> Result<()> {
        let failed = |error| Error::io(ErrorKind::Output, "read", path, error);
        let mut text = BufReader::new(text_of(path)?);
        loop {
            let mut line = Vec::new();
            let read =
                text.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(failed)?;
            if read == 0 {
                return Ok(());
            }
            if !line.trim_ascii().is_empty() {
                self.count(&line);
            }
        }
    }

    fn count(&mut self, line: &[u8]) {
        let Some(outcome) = Outcome::parse(line) else {
            self.unreadable += 1;
            return;
        };
        for issue in &outcome.issues {
            let severity = issue.severity.as_deref().unwrap_or("error");
            *self.severities.entry(severity.to_owned()).or_default() += 1;
        }
        if outcome.has_errors() {
            self.errors += 1;
            if self.texts.len() < MOST_TEXTS {
                self.texts.push(outcome.to_string());
            }
        }
    }

    /// Notes are warnings; errors are too, where they are accepted, else a failure.
    fn judge(&self, settings: &Settings, warnings: &mut Vec<String>) -> Result<()> {
        if self.unreadable > 0 {
            let count = self.unreadable;
            warnings
                .push(format!("{count} lines of the server's error files are no OperationOutcome"));
        }
        let severities: Vec<_> =
            self.severities.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
        if !severities.is_empty() {
            let listed = severities.join(", ");
            warnings.push(format!(
                "the server reported of the export: {listed} (see its `error` files)"
            ));
        }
        if self.errors == 0 || settings.accept_errors {
            warnings.extend(self.texts.iter().map(|text| format!("the server reported: {text}")));
            return Ok(());
        }
        let message =
            format!("the server could not export everything: it reported {} errors", self.errors);
        let error = Error::new(ErrorKind::Incomplete, message);
        let error = self.texts.iter().fold(error, |error, text| error.at("reported", text));
        Err(error.hint(
            "what came is stored; `accept_errors = true` takes it as it is, another folder begins another export",
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::export::request::{ExportRequest, Level};

    /// F25: notes are told, errors fail, unless they are accepted.
    #[test]
    fn severity_decides() {
        let outcome = |severity: &str| {
            json!({"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "x", "diagnostics": "Why"}]})
                .to_string()
        };
        for (lines, warnings, fails) in [
            (vec![], 0, false),
            (vec![outcome("information")], 1, false),
            (vec![outcome("warning"), outcome("information")], 1, false),
            (vec![outcome("error")], 1, true),
            (vec![outcome("information"), outcome("fatal")], 1, true),
            (vec!["<html>".to_owned()], 1, false),
        ] {
            for accept in [false, true] {
                let mut reported = Reported::default();
                for line in &lines {
                    reported.count(line.as_bytes());
                }
                let server = url::Url::parse("https://ehr.example").unwrap();
                let mut settings = Settings::new(ExportRequest::new(server, Level::Patient));
                settings.accept_errors = accept;
                let mut told = Vec::new();
                let judged = reported.judge(&settings, &mut told);
                assert_eq!(judged.is_err(), fails && !accept, "{lines:?} {accept}");
                let texts = usize::from(fails && accept);
                assert_eq!(told.len(), warnings + texts, "{lines:?} {accept}: {told:?}");
                if let Err(error) = judged {
                    assert_eq!(error.kind(), ErrorKind::Incomplete);
                    assert!(error.to_string().contains("Why"), "{error}");
                }
            }
        }
    }
}
