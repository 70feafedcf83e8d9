//! What a pipeline will do, in words: what `kiln check` prints.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::definition::{MaxRejects, Mode, Pipeline};
use super::notify::Notification;
use super::retention::Retention;
use super::source::{ExportSource, Source};
use super::statements::Planned;
use super::table_schema;
use crate::export::{AuthSettings, ExportRequest, Level};
use crate::quality;
use crate::query::tables_read;
use crate::settings::Secret;

/// What a pipeline will do. Names where secrets are, never what they are, and no patients.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The pipeline.
    pub pipeline: String,
    /// What there is to say, in the order in which it happens.
    pub sections: Vec<Section>,
}

/// One thing that a pipeline does.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    /// What it is about.
    pub about: &'static str,
    /// Line by line.
    pub lines: Vec<String>,
}

impl fmt::Display for Plan {
    /// Two aligned columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.pipeline)?;
        let width = self.sections.iter().map(|s| s.about.len()).max().unwrap_or(0);
        for section in &self.sections {
            for (i, line) in section.lines.iter().enumerate() {
                let about = if i == 0 { section.about } else { "" };
                writeln!(f, "  {about:width$}  {line}")?;
            }
        }
        Ok(())
    }
}

impl Pipeline {
    /// What it will do, where its statements come to this.
    pub fn describe(&self, planned: &Planned) -> Plan {
        let sections = [
            ("about", self.description.iter().cloned().collect()),
            ("source", self.source_lines()),
            ("tables", self.table_lines()),
            ("warehouse", vec![absolute(&self.warehouse)]),
            ("rejects", vec![self.reject_line()]),
            ("quality", self.quality.iter().map(quality_line).collect()),
            ("models", self.model_lines(planned)),
            ("loads", self.loads.iter().map(|l| named(l.name(), l.tables())).collect()),
            ("schedule", lines_of(self.schedule.as_ref())),
            ("notify", self.notifications.iter().map(Notification::describe).collect()),
            ("retention", retention_lines(&self.retention)),
            ("queries", self.queries.iter().map(|q| q.name.clone()).collect()),
            ("needs", self.need_lines()),
        ];
        let sections = sections.into_iter().map(|(about, lines)| Section { about, lines });
        let sections = sections.filter(|section: &Section| !section.lines.is_empty()).collect();
        Plan { pipeline: self.name.clone(), sections }
    }

    fn source_lines(&self) -> Vec<String> {
        let mut lines = match &self.source {
            Source::Paths(paths) => paths.iter().map(|path| place(path)).collect(),
            Source::Sample { patients, seed, folder } => {
                let folder = absolute(folder);
                vec![format!("a sample of {patients} patients, seed {seed}, in {folder}")]
            }
            Source::Objects(source) => source.urls.clone(),
            Source::Export(export) => export_lines(export),
        };
        if let Some(name) = &self.source_name {
            lines.push(format!("called {name}: keys begin with {name}/"));
        }
        if self.mode == Mode::Merge {
            lines.push("rows are merged by key".to_owned());
        }
        lines.extend(self.bases.iter().map(|base| format!("references below {base} have keys")));
        lines
    }

    fn table_lines(&self) -> Vec<String> {
        let width = self.views.iter().map(|view| view.name.len()).max().unwrap_or(0);
        let line = |view: &crate::flatten::View| {
            let columns = table_schema(view).fields().len();
            format!("{:width$}  {columns:>3} columns of {}", view.name, view.resource)
        };
        self.views.iter().map(line).collect()
    }

    fn reject_line(&self) -> String {
        let max = match self.max_rejects {
            MaxRejects::Count(count) => format!("at most {count} lines"),
            MaxRejects::Share(share) => format!("at most {} % of the lines", share * 100.0),
        };
        let excerpts = if self.input.keep_excerpts { "; excerpts are kept (PHI)" } else { "" };
        format!("{max}{excerpts}")
    }

    fn model_lines(&self, planned: &Planned) -> Vec<String> {
        let width = planned.models.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let models = self.models.iter().filter_map(|model| {
            let (_, schema) = planned.models.iter().find(|(name, _)| *name == model.name)?;
            let tables = tables_read(&model.sql).unwrap_or_default();
            let tables = match tables.into_iter().collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "no table".to_owned(),
                tables => tables,
            };
            let columns = schema.fields().len();
            Some(format!("{:width$}  {columns:>3} columns, reads {tables}", model.name))
        });
        models.collect()
    }

    fn need_lines(&self) -> Vec<String> {
        let line = |needed: &super::Needed| format!("${} ({})", needed.variable, needed.path);
        self.needs.iter().map(line).collect()
    }
}

fn quality_line(rule: &quality::Rule) -> String {
    match rule.level {
        quality::Level::Stop => format!("stops unless {rule}"),
        quality::Level::Warn => format!("warns unless {rule}"),
    }
}

fn export_lines(export: &ExportSource) -> Vec<String> {
    let settings = &export.settings;
    let request = &settings.request;
    let level = match &request.level {
        Level::System => "everything".to_owned(),
        Level::Patient => "all patients".to_owned(),
        Level::Group(id) => format!("group {id}"),
        Level::GroupNamed(name) => format!("the group named {name}"),
    };
    let mut lines = vec![format!("export of {level} from {}", request.server)];
    lines.extend(request_lines(request));
    lines.extend(since_line(export));
    lines.push(sign_in(&settings.auth));
    let headers = settings.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("header {name} from {}", kept(value))));
    if settings.accept_errors {
        lines.push("errors of the server are accepted".to_owned());
    }
    if settings.restart_lost_job {
        lines.push("a job that the server lost is begun anew".to_owned());
    }
    let (folder, keep) = (absolute(&export.folder), export.keep);
    lines.push(format!("kept in {folder}, {keep} of them once loaded"));
    lines
}

fn request_lines(request: &ExportRequest) -> Vec<String> {
    let list = |what: &str, values: &[String]| {
        (!values.is_empty()).then(|| format!("{what} {}", values.join(", ")))
    };
    let mut lines: Vec<_> = list("types", &request.types).into_iter().collect();
    lines.extend(request.type_filters.iter().map(|filter| format!("filter {filter}")));
    lines.extend(list("elements", &request.elements));
    lines.extend(list("with", &request.associated_data));
    if !request.patients.is_empty() {
        lines.push(format!("patients as listed: {}", request.patients.len()));
    }
    lines.extend(request.since.iter().map(|since| format!("since {since}")));
    lines.extend(request.until.iter().map(|until| format!("until {until}")));
    lines
}

/// What `since = "auto"` comes to.
fn since_line(export: &ExportSource) -> Option<String> {
    let increments = export.increments.as_ref()?;
    let overlap = match increments.overlap {
        Duration::ZERO => String::new(),
        overlap => format!(" and {} before it", span(overlap)),
    };
    let mut line = format!("only what changed since the last run{overlap}");
    for (applies, says) in [
        (increments.advance_with_errors, "also after an export with errors"),
        (increments.history_of_new_members, "all of new members"),
        (increments.remove_departed, "rows of members who left go"),
    ] {
        if applies {
            line += "; ";
            line += says;
        }
    }
    Some(line)
}

fn sign_in(auth: &AuthSettings) -> String {
    match auth {
        AuthSettings::None => "without signing in".to_owned(),
        AuthSettings::Smart { client_id, key, .. } => {
            format!("signs in as {client_id} (SMART) by the key in {}", kept(key))
        }
        AuthSettings::Basic { client_id, client_secret, .. } => {
            format!("signs in as {client_id} (Basic) by the secret in {}", kept(client_secret))
        }
        AuthSettings::Bearer { token } => format!("signs in by the token in {}", kept(token)),
    }
}

/// Where a secret is.
fn kept(secret: &Secret) -> String {
    match secret {
        Secret::Env { env } => format!("${env}"),
        Secret::File { file } => absolute(file),
        Secret::Inline(_) => "the pipeline itself".to_owned(),
    }
}

fn named(name: &str, tables: &[String]) -> String {
    if tables.is_empty() {
        format!("{name}: all tables")
    } else {
        format!("{name}: {}", tables.join(", "))
    }
}

fn lines_of(schedule: Option<&impl fmt::Display>) -> Vec<String> {
    let text = schedule.map_or_else(String::new, ToString::to_string);
    text.split("; ").filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn retention_lines(retention: &Retention) -> Vec<String> {
    let keeps = |what: &str, time: Option<Duration>| {
        time.map(|time| format!("{what} of the last {}", span(time)))
    };
    let mut lines: Vec<_> = keeps("versions", retention.versions).into_iter().collect();
    lines.extend(keeps("runs", retention.runs));
    lines.extend(keeps("rejects", retention.rejects));
    let many = |files| format!("tables with more than {files} small files are compacted");
    lines.extend(retention.small_files.map(many));
    lines
}

/// A span as people write it in settings.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{}s", time.as_secs_f64())
}

/// A path or pattern from the root, a url as it is.
fn place(path: &str) -> String {
    if path.contains("://") { path.to_owned() } else { absolute(Path::new(path)) }
}

fn absolute(path: &Path) -> String {
    // Without `.` and without what `..` takes back, as far as that is no matter of links.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.components().collect::<PathBuf>().display().to_string()
}
