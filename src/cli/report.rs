//! What people read: errors with places and hints, findings, and the account of a run. The only place that prints.
#![allow(clippy::print_stderr)]

use std::error::Error as _;
use std::fmt::Write;
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::Error;
use crate::flatten::{Severity, View};
use crate::pipeline::{Finding, Outcome, RunReport};

/// An error, its places and what to do about it.
pub(super) fn error(error: &Error) {
    eprintln!("error: {}", error.message());
    for (what, place) in error.places() {
        eprintln!("  {what}: {place}");
    }
    if let Some(hint) = error.remedy() {
        eprintln!("  hint: {hint}");
    }
}

/// Whether an error only says that nobody reads any more (`| head`).
pub(super) fn is_closed_pipe(error: &Error) -> bool {
    let source = error.source().and_then(|s| s.downcast_ref::<io::Error>());
    source.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Findings, each with its file, path, and place in the expression.
pub(super) fn findings(findings: &[Finding]) {
    for finding in findings {
        eprint!("{}", finding_text(finding));
    }
}

fn finding_text(finding: &Finding) -> String {
    let problem = &finding.problem;
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut text = format!("{severity}: {}\n", problem.message);
    let place = if problem.path.is_empty() { String::new() } else { format!(": {}", problem.path) };
    let _ = writeln!(text, "  at: {}{place}", finding.file);
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

/// That a check found nothing to refuse.
pub(super) fn checked(files: usize, warnings: usize) {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    match warnings {
        0 => text(&format!("{files} checked: nothing is wrong\n")),
        _ => text(&format!("{files} checked: {warnings} warnings\n")),
    }
}

/// A piece of advice.
pub(super) fn hint(text: &str) {
    eprintln!("hint: {text}");
}

/// A line of progress.
pub(super) fn plain(text: &str) {
    eprintln!("{text}");
}

/// A text on standard output.
pub(super) fn text(text: &str) {
    // A reader who has had enough (`| head`) is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
}

/// The heading of a query's result.
pub(super) fn heading(name: &str) {
    text(&format!("\n{name}\n"));
}

/// What `kiln sample` wrote.
pub(super) fn sampled(folder: &Path, resources: usize, files: usize, bytes: u64) {
    let megabytes = bytes as f64 / 1e6;
    let folder = folder.display();
    text(&format!(
        "{resources} resources in {files} files, {megabytes:.1} MB, in `{folder}`
"
    ));
}

/// The account of a run.
pub(super) fn run(report: &RunReport) {
    let total = &report.total;
    let resources = total.total_resources();
    eprintln!(
        "run {} of `{}`: {} in {:.1} s",
        report.run, report.pipeline, report.outcome, report.seconds
    );
    eprintln!(
        "{} lines = {} resources + {} Bundles + {} rejects + {} blanks",
        total.lines,
        resources - total.resources_in_bundles,
        total.bundles,
        total.rejected_lines,
        total.blanks
    );
    if total.bundles > 0 {
        eprintln!("{} resources from Bundles, {resources} in all", total.resources_in_bundles);
    }
    eprint!("{}", tables(report));
    for stage in &report.stages {
        match stage.mb_per_second {
            Some(rate) => eprintln!(
                "  {:8} {:8.2} s of thread time, {rate:.0} MB/s each",
                stage.name, stage.seconds
            ),
            None => eprintln!("  {:8} {:8.2} s", stage.name, stage.seconds),
        }
    }
    rejects(report.rejects.iter());
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
}

fn tables(report: &RunReport) -> String {
    let width = report.tables.iter().map(|t| t.table.len()).max().unwrap_or(0);
    let mut text = String::new();
    for table in &report.tables {
        let _ = write!(
            text,
            "  {:width$} {:>10} rows of {} {}",
            table.table, table.rows, table.resources, table.resource
        );
        if table.without_rows > 0 {
            let _ = write!(text, ", {} without rows", table.without_rows);
        }
        if table.failed > 0 {
            let _ = write!(text, ", {} failed", table.failed);
        }
        let nulled: u64 = table.cast_failures.values().sum();
        if nulled > 0 {
            let columns: Vec<_> =
                table.cast_failures.iter().map(|(c, n)| format!("{c} {n}")).collect();
            let _ =
                write!(text, "; {nulled} values did not fit and are null ({})", columns.join(", "));
        }
        text.push('\n');
    }
    text
}

fn rejects<'r>(by_reason: impl Iterator<Item = (&'r String, &'r u64)>) {
    for (reason, count) in by_reason {
        eprintln!("rejected {count}: {reason}");
    }
}

/// The account of a pass without a warehouse.
pub(super) fn flattened(outcome: &Outcome, views: &[View]) {
    for (view, counts) in views.iter().zip(&outcome.counts) {
        eprintln!(
            "{}: {} rows of {} resources",
            view.name,
            counts.rows,
            counts.with_rows + counts.without_rows
        );
        for (column, nulled) in
            view.columns.iter().zip(&counts.cast_failures).filter(|(_, n)| **n > 0)
        {
            eprintln!("  {nulled} values of `{}` did not fit and are null", column.name);
        }
    }
    rejects(outcome.rejects.by_reason.iter());
    for reject in &outcome.rejects.first {
        eprintln!(
            "  {}:{} (byte {}): {}",
            reject.file.display(),
            reject.line,
            reject.byte_offset,
            reject.reason
        );
    }
}
