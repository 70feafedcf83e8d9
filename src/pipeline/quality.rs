//! The rules of a pipeline for its data: asked when the tables are committed, before models and loads.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::schemas::SHIPPED;
use super::{Pipeline, table_schema};
use crate::error::Result;
use crate::flatten::View;
use crate::quality::{self, Rule, RuleTable, Scope};
use crate::settings::Mistake;

/// `[quality]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QualityTable {
    #[serde(default)]
    pub(super) rule: Vec<RuleTable>,
}

/// What rules name that the views do not make.
pub(super) fn unknown_names(rules: &[Rule], views: &[View]) -> Vec<Mistake> {
    let columns = |view: &View| {
        let schema = table_schema(view);
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let tables: Vec<_> = views.iter().map(|view| (view.name.clone(), columns(view))).collect();
    quality::unknown_names(rules, &tables)
}

/// Counts what the rules are about. Gives what they only warn of; fails with [`crate::error::ErrorKind::Rejects`] if a run
/// must stop.
pub(super) async fn judge(pipeline: &Pipeline) -> Result<Vec<String>> {
    let rules = &pipeline.quality;
    let scope = Scope::of(rules);
    let engine = pipeline.engine().await?;
    let measures = quality::measure(&engine, &scope, quality::today()).await?;
    quality::judge(rules, &measures).map_err(|e| {
        e.hint("the tables are committed, but models and loads were not made; the rules are under `[quality]`")
    })
}

/// The columns of each shipped schema that hold must-support elements: those with the tag `us-core/element`.
pub fn must_support() -> BTreeMap<String, Vec<String>> {
    let (mut folders, mut tables) = (vec![&SHIPPED], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        for file in folder.files() {
            let Some(table) = file.path().file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            let Ok(view) = serde_json::from_slice::<Value>(file.contents()) else { continue };
            let mut columns = Vec::new();
            tagged(&view["select"], &mut columns);
            if !columns.is_empty() {
                tables.insert(table.to_owned(), columns);
            }
        }
    }
    tables
}

/// The names of tagged columns of a list of selects, and of those within them.
fn tagged(selects: &Value, columns: &mut Vec<String>) {
    for select in selects.as_array().into_iter().flatten() {
        let is_tagged = |column: &&Value| {
            let tags = column["tag"].as_array().into_iter().flatten();
            tags.into_iter().any(|tag| tag["name"] == "us-core/element")
        };
        let named = select["column"].as_array().into_iter().flatten().filter(is_tagged);
        columns.extend(named.filter_map(|column| column["name"].as_str()).map(str::to_owned));
        tagged(&select["select"], columns);
        tagged(&select["unionAll"], columns);
    }
}
