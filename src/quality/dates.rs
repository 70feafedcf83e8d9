//! Dates that cannot be. A partial date counts only where all that it may mean is impossible.

use super::asking::{Ask, ask};
use super::shape::Shape;
use super::{Check, Measure};
use crate::error::Result;
use crate::query::{Engine, quoted};

/// Births before this are taken for mistakes.
const FIRST_BIRTH: &str = "1900-01-01";

/// What one row says by itself.
pub(super) fn within(shape: &Shape<'_>, today: i32) -> Vec<Ask> {
    let mut asked = Vec::new();
    // Where the source is, it may be tomorrow already.
    let future = |column: &str| {
        let column = quoted(column);
        format!("fhir_low_date({column}) > CAST({} AS DATE)", sql_day(today + 1))
    };
    let (birth, death) = (shape.date("birth"), shape.date("death"));
    for (column, what) in [(&birth, "birth in the future"), (&death, "death in the future")] {
        if let Some(column) = column {
            asked.push(impossible(column, what, &future(column), &[column]));
        }
    }
    if let Some(birth) = &birth {
        let early = format!("fhir_high_date({}) < DATE '{FIRST_BIRTH}'", quoted(birth));
        asked.push(impossible(birth, "birth before 1900", &early, &[birth]));
    }
    if let (Some(birth), Some(death)) = (&birth, &death) {
        let dead = before("fhir_high_date", death, "fhir_low_date", birth);
        asked.push(impossible(death, "death before birth", &dead, &[birth, death]));
    }
    for event in shape.events() {
        asked.push(impossible(&event, "in the future", &future(&event), &[&event]));
    }
    for (start, end) in shape.spans() {
        let ended = before("fhir_high", &end, "fhir_low", &start);
        asked.push(impossible(&end, "end before start", &ended, &[&start, &end]));
    }
    asked
}

/// Events before the birth of their patient.
pub(super) async fn before_birth(engine: &Engine, shape: &Shape<'_>) -> Result<Vec<Measure>> {
    let birth = ["birth", "birth_date"].into_iter().find(|column| shape.patients_have(column));
    let events = shape.events();
    let Some(birth) = birth.filter(|_| shape.has("patient_id") && shape.name() != "patient") else {
        return Ok(Vec::new());
    };
    if events.is_empty() || !shape.patients_have("id") {
        return Ok(Vec::new());
    }
    let columns: Vec<_> = events.iter().map(|event| format!("here.{}", quoted(event))).collect();
    let from = format!(
        "(SELECT {}, born.birth AS patient_birth FROM {} AS here JOIN (SELECT id, min(fhir_low_date({birth})) AS birth \
         FROM patient GROUP BY id) AS born ON here.patient_id = born.id) AS lived",
        columns.join(", "),
        shape.quoted_name()
    );
    let asked = events.iter().map(|event| {
        let early = format!("fhir_high_date({}) < patient_birth", quoted(event));
        impossible(event, "before birth", &early, &[event, "patient_birth"])
    });
    ask(engine, shape.name(), &from, asked.collect()).await
}

fn before(edge: &str, column: &str, other_edge: &str, other: &str) -> String {
    format!("{edge}({}) < {other_edge}({})", quoted(column), quoted(other))
}

fn impossible(column: &str, what: &str, condition: &str, needed: &[&str]) -> Ask {
    let known: Vec<_> = needed.iter().map(|c| format!("{} IS NOT NULL", quoted(c))).collect();
    Ask {
        check: Check::ImpossibleDates,
        column: column.to_owned(),
        detail: what.to_owned(),
        numerator: format!("count(*) FILTER (WHERE {condition})"),
        denominator: format!("count(*) FILTER (WHERE {})", known.join(" AND ")),
    }
}

/// A day since 1970-01-01 as SQL reads it.
fn sql_day(day: i32) -> String {
    let (year, month, day) = crate::temporal::civil(day.into());
    format!("'{year:04}-{month:02}-{day:02}'")
}
