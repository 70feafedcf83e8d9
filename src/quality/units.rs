//! Units of measured values: missing ones, and codes that come in several.

use std::collections::BTreeMap;

use super::asking::{Ask, ask, groups};
use super::shape::Shape;
use super::{Check, Measure};
use crate::error::Result;
use crate::query::Engine;

/// Longer units are cut: what is no UCUM code may be anything.
const UNIT_CHARACTERS: usize = 40;

/// The UCUM code of a unit, else its text.
fn unit(shape: &Shape<'_>) -> Option<(&'static str, &'static str)> {
    let measured = shape.has("value_quantity") && shape.has("code");
    match (measured, shape.has("value_unit_code"), shape.has("value_unit")) {
        (true, true, true) => Some(("coalesce(value_unit_code, value_unit)", "value_unit")),
        (true, true, false) => Some(("value_unit_code", "value_unit_code")),
        (true, false, true) => Some(("value_unit", "value_unit")),
        _ => None,
    }
}

/// Values without a unit.
pub(super) fn missing(shape: &Shape<'_>) -> Vec<Ask> {
    let ask = |(unit, column): (&str, &str)| Ask {
        check: Check::Units,
        column: column.to_owned(),
        detail: "no unit".to_owned(),
        numerator: format!("count(*) FILTER (WHERE value_quantity IS NOT NULL AND {unit} IS NULL)"),
        denominator: "count(value_quantity)".to_owned(),
    };
    unit(shape).map(ask).into_iter().collect()
}

/// Values in another unit than most of their code, and the units of each LOINC code that has several.
pub(super) async fn usual(engine: &Engine, shape: &Shape<'_>) -> Result<Vec<Measure>> {
    let Some((unit, column)) = unit(shape) else { return Ok(Vec::new()) };
    let system = if shape.has("code_system") { "code_system" } else { "''" };
    let counted = format!(
        "SELECT {system} AS system, code, {unit} AS unit, count(*) AS n FROM {} \
         WHERE value_quantity IS NOT NULL AND code IS NOT NULL AND {unit} IS NOT NULL GROUP BY 1, 2, 3",
        shape.quoted_name()
    );
    let from = format!(
        "(SELECT max(n) AS most, sum(n) AS n FROM ({counted}) AS counted GROUP BY system, code) AS by_code"
    );
    let asked = Ask {
        check: Check::Units,
        column: column.to_owned(),
        detail: "not the usual unit of the code".to_owned(),
        numerator: "sum(n - most)".to_owned(),
        denominator: "sum(n)".to_owned(),
    };
    let mut measures = ask(engine, shape.name(), &from, vec![asked]).await?;
    let found = groups(engine, &format!("{counted} ORDER BY system, code, n DESC, unit")).await?;
    measures.extend(of_loinc(shape.name(), column, &found));
    Ok(measures)
}

/// Other codes may be of any kind, so only LOINC's are shown.
fn of_loinc(table: &str, column: &str, found: &[(Vec<String>, u64)]) -> Vec<Measure> {
    let mut codes: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for (keys, n) in found.iter().filter(|(keys, _)| keys[0] == "http://loinc.org") {
        codes.entry(&keys[1]).or_default().push((&keys[2], *n));
    }
    let several = codes.into_iter().filter(|(_, units)| units.len() > 1);
    let measures = several.flat_map(|(code, units)| {
        let denominator = units.iter().map(|(_, n)| n).sum();
        units.into_iter().map(move |(unit, numerator)| {
            let unit: String = unit.chars().take(UNIT_CHARACTERS).collect();
            Measure {
                table: table.to_owned(),
                column: column.to_owned(),
                check: Check::Unit,
                detail: format!("{code} in {unit}"),
                numerator,
                denominator,
            }
        })
    });
    measures.collect()
}
