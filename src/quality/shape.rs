//! What the columns of a table are, by the naming conventions of the shipped schemas (`schemas/README.md`).

use crate::query::{Table, quoted};

/// A table with what its columns say of themselves.
pub(super) struct Shape<'a> {
    pub(super) table: &'a Table,
    /// All tables of the warehouse.
    tables: &'a [Table],
}

/// The columns of a code, quoted.
pub(super) struct Code {
    /// As it is named.
    pub(super) name: String,
    pub(super) value: String,
    pub(super) system: String,
    pub(super) text: Option<String>,
}

/// A column that refers to a table.
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) to: String,
}

/// Dates of what happened, by what the columns begin with; the first that a table has is its time.
const EVENTS: [&str; 16] = [
    "effective_start",
    "effective",
    "performed_start",
    "performed",
    "occurrence_start",
    "occurrence",
    "onset_start",
    "onset",
    "authored",
    "period_start",
    "billable_start",
    "created",
    "recorded",
    "issued",
    "serviced_start",
    "date",
];

/// Tables whose `period_start` is no event: it may lie ahead, or before a birth.
const STANDING: [&str; 6] =
    ["coverage", "care_plan", "practitioner_role", "goal", "patient", "group_member"];

impl<'a> Shape<'a> {
    pub(super) fn of(table: &'a Table, tables: &'a [Table]) -> Self {
        Self { table, tables }
    }

    pub(super) fn name(&self) -> &'a str {
        &self.table.name
    }

    pub(super) fn quoted_name(&self) -> String {
        quoted(self.name())
    }

    pub(super) fn has(&self, column: &str) -> bool {
        has(self.table, column)
    }

    /// The table of patients, if it has the column.
    pub(super) fn patients_have(&self, column: &str) -> bool {
        self.tables.iter().any(|table| table.name == "patient" && has(table, column))
    }

    /// Codes with the system they are of: `code` and `code_system`, `x_code` and `x_system`; `system` in coding tables.
    pub(super) fn codes(&self) -> Vec<Code> {
        let code = |name: &String| {
            let stem = name.strip_suffix("_code");
            let (system, text) = match stem {
                Some(stem) => (format!("{stem}_system"), format!("{stem}_text")),
                None if name == "code" && self.has("code_system") => {
                    ("code_system".to_owned(), "code_text".to_owned())
                }
                None if name == "code" => ("system".to_owned(), "text".to_owned()),
                None => return None,
            };
            let whole = self.is_text(name) && self.is_text(&system);
            whole.then(|| Code {
                name: name.clone(),
                value: quoted(name),
                system: quoted(&system),
                text: Some(text).filter(|text| self.has(text)).map(|text| quoted(&text)),
            })
        };
        self.table.columns.iter().filter_map(|column| code(&column.name)).collect()
    }

    /// Columns `<what>_id`, where `<what>` is a table with ids or ends with the name of one.
    pub(super) fn references(&self) -> Vec<Reference> {
        let target = |name: &String| {
            let what = name.strip_suffix("_id")?;
            let cuts = what.match_indices('_').map(|(at, _)| &what[at + 1..]);
            let to = std::iter::once(what).chain(cuts).find(|name| {
                self.tables.iter().any(|table| table.name == **name && has(table, "id"))
            })?;
            Some(Reference { name: name.clone(), to: to.to_owned() })
        };
        self.table.columns.iter().filter_map(|column| target(&column.name)).collect()
    }

    /// The column of a date: as written, else the calendar day, else the instant.
    pub(super) fn date(&self, stem: &str) -> Option<String> {
        let names = [stem.to_owned(), format!("{stem}_date"), format!("{stem}_at")];
        names.into_iter().find(|name| self.type_of(name).is_some_and(is_moment))
    }

    /// The columns with the times of what happened.
    pub(super) fn events(&self) -> Vec<String> {
        let standing = STANDING.iter().any(|name| self.name().starts_with(name));
        let stems = EVENTS.iter().filter(|stem| !(standing && **stem == "period_start"));
        let mut events: Vec<String> = Vec::new();
        for column in stems.filter_map(|stem| self.date(stem)) {
            if !events.contains(&column) {
                events.push(column);
            }
        }
        events
    }

    /// Starts with their ends, for columns `x_start` and `x_end`.
    pub(super) fn spans(&self) -> Vec<(String, String)> {
        let mut spans: Vec<(String, String)> = Vec::new();
        for column in &self.table.columns {
            let stem = column.name.strip_suffix("_date").or(column.name.strip_suffix("_at"));
            let Some(stem) = stem.unwrap_or(&column.name).strip_suffix("_start") else { continue };
            let (start, end) =
                (self.date(&format!("{stem}_start")), self.date(&format!("{stem}_end")));
            if let Some(span) = start.zip(end).filter(|span| !spans.contains(span)) {
                spans.push(span);
            }
        }
        spans
    }

    fn type_of(&self, column: &str) -> Option<&str> {
        let mut columns = self.table.columns.iter();
        columns.find(|c| c.name == column).map(|c| c.sql_type.as_str())
    }

    fn is_text(&self, column: &str) -> bool {
        self.type_of(column) == Some("string")
    }
}

fn has(table: &Table, column: &str) -> bool {
    table.columns.iter().any(|c| c.name == column)
}

fn is_moment(sql_type: &str) -> bool {
    matches!(sql_type, "string" | "date") || sql_type.starts_with("timestamp")
}
