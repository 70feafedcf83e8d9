//! What people read: errors with places and hints, findings, and the account of a run. The only place that prints.

use std::error::Error as _;
use std::fmt::{self, Write};
use std::io::{self, Write as _};
use std::path::Path;

use arrow::array::RecordBatch;

use super::args::AuditFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::export::Complete;
use crate::flatten::{Severity, View};
use crate::load::LoadReport;
use crate::pipeline::{
    AuditFinding, AuditReport, Finding, Outcome, Plan, RunReport, UnresolvedReferences,
    unresolved_references,
};
use crate::query::Format;
use crate::warehouse::{Optimized, Removed};

/// An error, its places and what to do about it.
pub(super) fn error(error: &Error) {
    note(format_args!("error: {}", error.message()));
    for (what, place) in error.places() {
        note(format_args!("  {what}: {place}"));
    }
    if let Some(hint) = error.remedy() {
        note(format_args!("  hint: {hint}"));
    }
}

/// A line for people, on standard error; if nobody reads it, so be it.
fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A number and its noun.
fn many(count: impl Into<u64>, one: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Whether an error only says that nobody reads any more (`| head`).
pub(super) fn is_closed_pipe(error: &Error) -> bool {
    let source = error.source().and_then(|s| s.downcast_ref::<io::Error>());
    source.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Findings, each with its file, path, and place in the expression.
pub(super) fn findings(findings: &[Finding]) {
    for finding in findings {
        note(format_args!("{}", finding_text(finding).trim_end()));
    }
}

/// A finding as one line, for logs: where, what, and what to do about it.
pub(super) fn finding_line(finding: &Finding) -> String {
    let Finding { file, problem, .. } = finding;
    let path = if problem.path.is_empty() { String::new() } else { format!(": {}", problem.path) };
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{file}{path}: {}{hint}", problem.message).replace('\n', " ")
}

fn finding_text(finding: &Finding) -> String {
    let problem = &finding.problem;
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut text = format!("{severity}: {}\n", problem.message);
    let place = finding.place.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
    let path = if problem.path.is_empty() { String::new() } else { format!(": {}", problem.path) };
    let _ = writeln!(text, "  at: {}{place}{path}", finding.file);
    if let Some((expression, span)) = &problem.expression {
        let line = expression.replace(['\n', '\t'], " ");
        let before = line.get(..span.start.min(line.len())).map_or(0, |t| t.chars().count());
        let width = line.get(span.clone()).map_or(1, |t| t.chars().count().max(1));
        let _ = writeln!(text, "      {line}\n      {}{}", " ".repeat(before), "^".repeat(width));
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(text, "  hint: {hint}");
    }
    text
}

/// What pipelines will do.
pub(super) fn plans(plans: &[Plan]) -> Result<()> {
    plans.iter().try_for_each(|plan| text(&format!("{plan}\n")))
}

/// What loads did.
pub(super) fn loads(reports: &[LoadReport]) {
    for report in reports {
        note(format_args!("{}:", report.name));
        for table in &report.tables {
            let rows = match table.rows {
                0 => "nothing new".to_owned(),
                rows => many(rows, "row"),
            };
            note(format_args!("  {} version {}: {rows}", table.table, table.version));
            for (column, count) in &table.impossible {
                let values = many(*count, "value");
                note(format_args!("    {column}: {values} changed that the target cannot hold"));
            }
        }
    }
}

/// That a check found nothing to refuse.
pub(super) fn checked(files: usize, warnings: usize) -> Result<()> {
    let files = many(files as u64, "file");
    match warnings {
        0 => text(&format!("{files} checked: nothing is wrong\n")),
        _ => text(&format!("{files} checked: {}\n", many(warnings as u64, "warning"))),
    }
}

/// What an audit found.
pub(super) fn audited(report: &AuditReport, format: AuditFormat) -> Result<()> {
    warnings(&report.warnings);
    match format {
        AuditFormat::Table => text(&audit_table(report))?,
        AuditFormat::Json => {
            let json = serde_json::to_string_pretty(report).expect("a report is plain data");
            text(&format!("{json}\n"))?;
        }
    }
    let elsewhere = report.findings.iter().any(AuditFinding::is_elsewhere);
    if elsewhere {
        hint(&format!("{ELSEWHERE}: `--base https://…`"));
    }
    Ok(())
}

/// A line a finding, in aligned columns, and a last one that says what was read.
fn audit_table(report: &AuditReport) -> String {
    let mut rows = vec![["", "count", "what", "path", "first"].map(str::to_owned)];
    rows.extend(report.findings.iter().map(|f| {
        let entry = f.first.entry.map_or_else(String::new, |entry| format!(" entry {entry}"));
        let first = format!("{}:{}{entry}", f.first.file.display(), f.first.line);
        [f.severity.name().to_owned(), f.count.to_string(), f.what.clone(), f.path.clone(), first]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [severity, count, what, path] = [0, 1, 2, 3].map(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for [a, b, c, d, e] in rows.iter().skip(usize::from(report.findings.is_empty())) {
        let _ = writeln!(text, "{a:severity$}  {b:>count$}  {c:what$}  {d:path$}  {e}");
    }
    let read =
        format!("{} in {}", many(report.resources, "resource"), many(report.files as u64, "file"));
    let found = match (report.errors, report.notes) {
        (0, 0) => "nothing is wrong".to_owned(),
        (errors, notes) => format!("{}, {}", many(errors, "error"), many(notes, "note")),
    };
    let _ = writeln!(text, "{read} checked: {found}");
    text
}

/// That data has more errors than a strict check lets pass: none.
pub(super) fn too_wrong(errors: u64) -> Error {
    let message = format!("the data has {}", many(errors, "error"));
    Error::new(ErrorKind::Rejects, message).hint("without `--strict` they are only told")
}

/// A piece of advice.
pub(super) fn hint(text: &str) {
    note(format_args!("hint: {text}"));
}

/// A line of progress.
pub(super) fn plain(text: &str) {
    note(format_args!("{text}"));
}

/// A text on standard output.
pub(super) fn text(text: &str) -> Result<()> {
    let mut to = io::stdout().lock();
    to.write_all(text.as_bytes()).and_then(|()| to.flush()).map_err(|e| {
        Error::new(ErrorKind::Output, format!("cannot write to standard output: {e}")).caused_by(e)
    })
}

/// Rows on standard output.
pub(super) fn rows(batch: &RecordBatch, format: Format) -> Result<()> {
    if format == Format::Parquet {
        let error = Error::new(ErrorKind::Usage, "`parquet` is written to a file only");
        return Err(error.hint("choose `table`, `csv`, `ndjson` or `json`"));
    }
    let mut encoder = format.encoder(Box::new(io::stdout()), None);
    let mut written = encoder.begin(&batch.schema()).and_then(|()| encoder.batch(batch));
    written = written.and_then(|()| encoder.end()).and_then(|()| encoder.finish());
    written.map_err(|e| {
        Error::new(ErrorKind::Output, format!("cannot write to standard output: {e}")).caused_by(e)
    })
}

/// The heading of a query's result.
pub(super) fn heading(name: &str) -> Result<()> {
    text(&format!("\n{name}\n"))
}

/// What `kiln sample` wrote.
pub(super) fn sampled(folder: &Path, resources: usize, files: usize, bytes: u64) -> Result<()> {
    let megabytes = bytes as f64 / 1e6;
    let (resources, files) = (many(resources as u64, "resource"), many(files as u64, "file"));
    text(&format!("{resources} in {files}, {megabytes:.1} MB, in `{}`\n", folder.display()))
}

/// An export that is whole.
pub(super) fn exported(complete: &Complete, folder: &Path) -> Result<()> {
    warnings(&complete.warnings);
    let stored = &complete.state.stored;
    let lines = |section: &str| -> u64 {
        stored.iter().filter(|file| file.section == section).map(|file| file.lines).sum()
    };
    let bytes: u64 = stored.iter().map(|file| file.bytes).sum();
    let mut account = format!(
        "{} in {}, {:.1} MB, as of {}, in {}",
        many(lines("output"), "resource"),
        many(stored.len() as u64, "file"),
        bytes as f64 / 1e6,
        complete.transaction_time,
        folder.display()
    );
    for (section, what) in [("deleted", "Bundle of deletions"), ("error", "message of the server")]
    {
        match lines(section) {
            0 => {}
            count => drop(write!(account, "; {}", many(count, what))),
        }
    }
    text(&format!("{account}\n"))
}

/// A key pair that was made.
pub(super) fn keys_made(kid: &str, private: &Path, public: &Path) -> Result<()> {
    let (private, public) = (private.display(), public.display());
    text(&format!("key {kid}\nprivate: {private} (keep it)\npublic:  {public} (register it)\n"))
}

/// What `kiln optimize` made of tables.
pub(super) fn optimized(tables: &[Optimized]) -> Result<()> {
    let lines = tables.iter().map(|done| {
        let before = stored(done.files_before, done.bytes_before);
        match done.version {
            Some(_) => {
                let after = stored(done.files_after, done.bytes_after);
                format!("{}: {before} → {after}\n", done.table)
            }
            None => format!("{}: {before}, nothing to do\n", done.table),
        }
    });
    text(&lines.collect::<String>())
}

/// What `kiln vacuum` removed; the files only where they are still there.
pub(super) fn vacuumed(removed: &[Removed], dry_run: bool) -> Result<()> {
    let mut account = String::new();
    for of_table in removed {
        let what = of_table.table.as_deref().unwrap_or("left by runs that were killed");
        let done = if dry_run { "would be removed" } else { "removed" };
        let files = stored(of_table.files.len(), of_table.bytes);
        let _ = writeln!(account, "{what}: {files} {done}");
        for path in of_table.files.iter().filter(|_| dry_run) {
            let _ = writeln!(account, "  {path}");
        }
    }
    if removed.is_empty() {
        account.push_str("nothing to remove\n");
    }
    text(&account)
}

fn stored(files: usize, bytes: u64) -> String {
    format!("{}, {:.1} MB", many(files as u64, "file"), bytes as f64 / 1e6)
}

/// A report as JSON.
pub(super) fn json(report: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(report).expect("a report is plain data");
    text(&format!("{json}\n"))
}

/// The account of a run.
pub(super) fn run(report: &RunReport) {
    let total = &report.total;
    let resources = total.total_resources();
    note(format_args!(
        "run {} of `{}`: {} in {:.1} s",
        report.run, report.pipeline, report.outcome, report.seconds
    ));
    synchronised(report);
    note(format_args!(
        "{} lines = {} resources + {} Bundles + {} rejects + {} blanks",
        total.lines,
        resources - total.resources_in_bundles,
        total.bundles,
        total.rejected_lines,
        total.blanks
    ));
    if total.bundles > 0 {
        note(format_args!(
            "{} resources from Bundles, {resources} in all",
            total.resources_in_bundles
        ));
    }
    note(format_args!("{}", tables(report).trim_end()));
    for model in &report.models {
        let rows = many(model.rows, "row");
        note(format_args!("  {}: {rows} made in {:.2} s", model.table, model.seconds));
    }
    for stage in &report.stages {
        match stage.mb_per_second {
            Some(rate) => note(format_args!(
                "  {:8} {:8.2} s of thread time, {rate:.0} MB/s each",
                stage.name, stage.seconds
            )),
            None => note(format_args!("  {:8} {:8.2} s", stage.name, stage.seconds)),
        }
    }
    let unresolved = report.tables.iter().flat_map(|t| &t.unresolved_references);
    suggest_base(unresolved, "`base = [\"https://…\"]` under `[source]`");
    rejects(report.rejects.iter());
    warnings(&report.warnings);
}

/// What a run asked for, and what it says of changes.
fn synchronised(report: &RunReport) {
    if let Some(since) = &report.since {
        note(format_args!("asked for what has changed since {since}"));
    }
    if let Some(until) = &report.synchronised_until {
        note(format_args!("the tables have all changes up to {until}"));
    }
    if !report.deleted.is_empty() {
        let deleted = report.deleted.iter().map(|(of, count)| format!("{count} {of}"));
        note(format_args!("deleted: {}", deleted.collect::<Vec<_>>().join(", ")));
    }
    if let Some(members) = report.members {
        let (now, new, departed) = (members.now, members.new, members.departed);
        note(format_args!("members: {now}; {new} new, {departed} departed"));
    }
    loads(&report.loads);
}

fn warnings(warnings: &[String]) {
    for warning in warnings {
        note(format_args!("warning: {warning}"));
    }
}

/// A line for each table, but for those of whose types nothing came: these are counted.
fn tables(report: &RunReport) -> String {
    let (quiet, changed): (Vec<_>, Vec<_>) =
        report.tables.iter().partition(|table| table.resources == 0 && table.rows_gone == 0);
    let width = changed.iter().map(|t| t.table.len()).max().unwrap_or(0);
    let mut text = String::new();
    for table in changed {
        let _ = write!(
            text,
            "  {:width$} {:>10} rows of {} {}",
            table.table, table.rows, table.resources, table.resource
        );
        if table.without_rows > 0 {
            let _ = write!(text, ", {} without rows", table.without_rows);
        }
        if table.passed_over > 0 {
            let _ = write!(text, ", {} passed over", table.passed_over);
        }
        if table.rows_gone > 0 {
            let _ = write!(text, "; {} gone", many(table.rows_gone, "row"));
        }
        if table.failed > 0 {
            let _ = write!(text, ", {} failed", table.failed);
        }
        if table.without_id > 0 {
            let _ = write!(text, ", {} without an id", table.without_id);
        }
        let nulled: u64 = table.cast_failures.values().sum();
        if nulled > 0 {
            let columns: Vec<_> =
                table.cast_failures.iter().map(|(c, n)| format!("{c} {n}")).collect();
            let _ = write!(
                text,
                "; {} did not fit and became null ({})",
                many(nulled, "value"),
                columns.join(", ")
            );
        }
        text.push('\n');
        for line in without_key(&table.unresolved_references) {
            let _ = writeln!(text, "  {:width$}   {line}", "");
        }
    }
    if !quiet.is_empty() {
        let _ = writeln!(text, "  nothing came for {}", many(quiet.len() as u64, "table"));
    }
    text
}

/// For each path that asked for keys: how many references have none, and why.
fn without_key(unresolved: &[UnresolvedReferences]) -> impl Iterator<Item = String> {
    unresolved.iter().map(|place| {
        let reasons: Vec<_> = place.reasons.iter().map(|(why, n)| format!("{why} {n}")).collect();
        format!(
            "{} without a key: `{}` ({})",
            many(place.reasons.values().sum::<u64>(), "reference"),
            place.path,
            reasons.join(", ")
        )
    })
}

const ELSEWHERE: &str = "if that other server is the source's own, name its base url";

/// What to do where references are below another base than the known ones.
fn suggest_base<'u>(unresolved: impl IntoIterator<Item = &'u UnresolvedReferences>, option: &str) {
    if unresolved.into_iter().any(UnresolvedReferences::is_elsewhere) {
        hint(&format!("{ELSEWHERE}: {option}"));
    }
}

fn rejects<'r>(by_reason: impl Iterator<Item = (&'r String, &'r u64)>) {
    for (reason, count) in by_reason {
        note(format_args!("rejected {count}: {reason}"));
    }
}

/// The account of a pass without a warehouse.
pub(super) fn flattened(outcome: &Outcome, views: &[View]) {
    for (view, counts) in views.iter().zip(&outcome.counts) {
        note(format_args!(
            "{}: {} of {}{}",
            view.name,
            many(counts.rows, "row"),
            many(counts.with_rows + counts.without_rows + counts.failed, "resource"),
            if counts.failed > 0 { format!(", {} failed", counts.failed) } else { String::new() }
        ));
        for (column, nulled) in
            view.columns.iter().zip(&counts.cast_failures).filter(|(_, n)| **n > 0)
        {
            note(format_args!(
                "  {} of `{}` did not fit and became null",
                many(*nulled, "value"),
                column.name
            ));
        }
        let unresolved = unresolved_references(view, counts);
        without_key(&unresolved).for_each(|line| note(format_args!("  {line}")));
        suggest_base(&unresolved, "`--base https://…`");
    }
    rejects(outcome.rejects.by_reason.iter());
    warnings(&outcome.warnings);
    for reject in &outcome.rejects.first {
        note(format_args!(
            "  {}:{} (byte {}): {}",
            reject.file.display(),
            reject.line,
            reject.byte_offset,
            reject.reason
        ));
    }
}
