//! What is told of a run: counts and durations, nothing of patients.

use serde::Serialize;

use crate::error::Error;
use crate::pipeline::report::RunReport;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Event {
    /// All is committed and done.
    Success,
    /// It failed; perhaps after the tables were committed.
    Failure,
    /// As success, but some lines were rejected.
    Rejects,
}

impl Event {
    pub(super) const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Rejects];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Rejects => "rejects",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }

    /// Whether someone who asks for this is told of `other`: rejects that were allowed are a success too.
    pub(super) fn is_met_by(self, other: Self) -> bool {
        self == other || (self, other) == (Self::Success, Self::Rejects)
    }
}

/// The JSON that is sent; `pipelines/README.md` documents it.
#[derive(Debug, Serialize)]
pub(super) struct Message<'m> {
    pub(super) event: Event,
    pipeline: &'m str,
    /// What the run is called in the history and in the tables; none if it failed before it had a name.
    run: Option<&'m str>,
    started: Option<&'m str>,
    seconds: Option<f64>,
    counts: Option<Counts>,
    tables: Vec<Rows<'m>>,
    models: Vec<Rows<'m>>,
    /// How many; what they say is in the report.
    warnings: usize,
    failure: Option<Failure<'m>>,
}

#[derive(Debug, Serialize)]
struct Counts {
    lines: u64,
    resources: u64,
    rejects: u64,
}

#[derive(Debug, Serialize)]
struct Rows<'m> {
    table: &'m str,
    rows: u64,
}

#[derive(Debug, Serialize)]
struct Failure<'m> {
    /// The exit code that `kiln run` ends with.
    code: u8,
    message: &'m str,
    hint: Option<&'m str>,
}

impl<'m> Message<'m> {
    pub(super) fn of(
        pipeline: &'m str,
        report: Option<&'m RunReport>,
        failure: Option<&'m Error>,
    ) -> Self {
        let counts = report.map(|report| Counts {
            lines: report.total.lines,
            resources: report.total.total_resources(),
            rejects: report.rejects.values().sum(),
        });
        let event = match (failure, &counts) {
            (Some(_), _) => Event::Failure,
            (None, Some(counts)) if counts.rejects > 0 => Event::Rejects,
            (None, _) => Event::Success,
        };
        let tables = report.iter().flat_map(|report| &report.tables);
        let models = report.iter().flat_map(|report| &report.models);
        Self {
            event,
            pipeline,
            run: report.map(|report| report.run.as_str()),
            started: report.map(|report| report.started.as_str()),
            seconds: report.map(|report| report.seconds),
            counts,
            tables: tables.map(|t| Rows { table: &t.table, rows: t.rows }).collect(),
            models: models.map(|m| Rows { table: &m.table, rows: m.rows }).collect(),
            warnings: report.map_or(0, |report| report.warnings.len()),
            // The places of an error may name files of a patient's; its message does not.
            failure: failure.map(|error| Failure {
                code: error.kind().exit_code(),
                message: error.message(),
                hint: error.remedy(),
            }),
        }
    }
}
