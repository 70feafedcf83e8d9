//! Rows by month, and months without any.

use super::asking::groups;
use super::shape::Shape;
use super::{Check, Measure};
use crate::error::Result;
use crate::query::{Engine, quoted};

/// The rows of each month by the first date of what happened; dates of a year alone are in no month.
pub(super) async fn months(engine: &Engine, shape: &Shape<'_>) -> Result<Vec<Measure>> {
    let Some(event) = shape.events().into_iter().next() else { return Ok(Vec::new()) };
    let column = quoted(&event);
    let sql = format!(
        "SELECT month, count(*) AS n FROM (SELECT to_char(fhir_low_date({column}), '%Y-%m') AS month, \
         to_char(fhir_high_date({column}), '%Y-%m') AS last FROM {}) AS dated \
         WHERE month = last GROUP BY month ORDER BY month",
        shape.quoted_name()
    );
    let found = groups(engine, &sql).await?;
    let total = found.iter().map(|(_, n)| n).sum();
    let measure = |check, detail: String, numerator, denominator| Measure {
        table: shape.name().to_owned(),
        column: event.clone(),
        check,
        detail,
        numerator,
        denominator,
    };
    let numbers: Vec<_> = found.iter().filter_map(|(keys, _)| number(&keys[0])).collect();
    let mut measures: Vec<_> =
        found.iter().map(|(keys, n)| measure(Check::Volume, keys[0].clone(), *n, total)).collect();
    if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
        let span = (last - first + 1) as u64;
        let empty = span.saturating_sub(numbers.len() as u64);
        measures.push(measure(Check::Gaps, "months without rows".to_owned(), empty, span));
    }
    Ok(measures)
}

/// The months since year 0 of `2026-05`.
fn number(month: &str) -> Option<i64> {
    let (year, month) = month.split_once('-')?;
    Some(year.parse::<i64>().ok()? * 12 + month.parse::<i64>().ok()? - 1)
}
