//! Rows that are there more than once: each beyond the first counts.

use super::asking::{Ask, ask};
use super::shape::Shape;
use super::{Check, Measure};
use crate::error::Result;
use crate::query::{Engine, quoted};

/// Rows of an id that another row has.
pub(super) fn ids(shape: &Shape<'_>) -> Vec<Ask> {
    let ask = Ask {
        check: Check::Duplicates,
        column: "id".to_owned(),
        detail: "same id".to_owned(),
        numerator: "count(id) - count(DISTINCT id)".to_owned(),
        denominator: "count(id)".to_owned(),
    };
    Some(ask).filter(|_| shape.has("id")).into_iter().collect()
}

/// Rows of the same patient, code and time; patients of the same name, birth and sex. Only resources count: parts of
/// one may repeat.
pub(super) async fn rows(engine: &Engine, shape: &Shape<'_>) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    let mut count = async |column: &str, detail: &str, key: &[&str]| -> Result<()> {
        let key: Vec<_> = key.iter().map(|column| quoted(column)).collect();
        let known: Vec<_> = key.iter().map(|column| format!("{column} IS NOT NULL")).collect();
        let from = format!(
            "(SELECT count(DISTINCT id) AS n FROM {} WHERE {} GROUP BY {}) AS alike",
            shape.quoted_name(),
            known.join(" AND "),
            key.join(", ")
        );
        let asked = Ask {
            check: Check::Duplicates,
            column: column.to_owned(),
            detail: detail.to_owned(),
            numerator: "sum(n - 1)".to_owned(),
            denominator: "sum(n)".to_owned(),
        };
        measures.extend(ask(engine, shape.name(), &from, vec![asked]).await?);
        Ok(())
    };
    // Claims of one type on one day are many.
    let last = if shape.name() == "encounter" { "type_code" } else { "vaccine_code" };
    let codes = ["code", "medication_code", last];
    let code = codes.into_iter().find(|code| shape.has(code));
    let (event, birth) = (shape.events().into_iter().next(), shape.date("birth"));
    let resource = shape.has("id");
    if let (Some(code), Some(event)) = (code, &event)
        && resource
        && shape.has("patient_id")
    {
        let what = "same patient, code and time";
        count(code, what, &["patient_id", code, event.as_str()]).await?;
    }
    let named = ["family_name", "given_names", "gender"].iter().all(|column| shape.has(column));
    if let (true, true, Some(birth)) = (resource, named, &birth) {
        let person = ["family_name", "given_names", birth.as_str(), "gender"];
        count("family_name", "same name, birth and sex", &person).await?;
    }
    Ok(measures)
}
