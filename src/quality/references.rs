//! References to nothing: keys that the table they name has not.

use super::asking::{Ask, ask};
use super::shape::Shape;
use super::{Check, Measure};
use crate::error::Result;
use crate::query::{Engine, quoted};

pub(super) async fn orphans(engine: &Engine, shape: &Shape<'_>) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for reference in shape.references() {
        let column = quoted(&reference.name);
        let from = format!(
            "(SELECT there.id AS found FROM {} AS here LEFT JOIN (SELECT DISTINCT id FROM {}) AS there \
             ON here.{column} = there.id WHERE here.{column} IS NOT NULL) AS looked_up",
            shape.quoted_name(),
            quoted(&reference.to)
        );
        let asked = Ask {
            check: Check::Orphans,
            column: reference.name,
            detail: format!("not in {}", reference.to),
            numerator: "count(*) - count(found)".to_owned(),
            denominator: "count(*)".to_owned(),
        };
        measures.extend(ask(engine, shape.name(), &from, vec![asked]).await?);
    }
    Ok(measures)
}
