//! SQL models: tables made of other tables after the views' are committed, in the order of what they read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Pipeline;
use crate::error::Result;
use crate::settings::Mistake;
use crate::warehouse::{CommitInfo, Staging};

/// `[[model]]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelTable {
    /// The table that it makes.
    name: String,
    /// For people; the table's comment.
    description: Option<String>,
    /// The query…
    sql: Option<String>,
    /// …or the file it is in.
    file: Option<String>,
}

/// A table made by a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The table's name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The query.
    pub sql: String,
}

/// What became of a model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelReport {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Its Delta version.
    pub version: u64,
    /// How long it took.
    pub seconds: f64,
}

impl ModelTable {
    /// Reads the query; `folder` is where relative paths begin. Paths of mistakes are below the model.
    pub(super) fn check(self, _folder: &Path) -> Result<Model, Vec<Mistake>> {
        todo!()
    }
}

/// Puts models in the order in which they can be made; cycles, names used twice or by views, and names that `_` begins are
/// mistakes (with paths such as `model[1].name`).
pub(super) fn order(models: Vec<Model>, _views: &[&str]) -> Result<Vec<Model>, Vec<Mistake>> {
    Ok(models)
}

/// Makes all models of a pipeline, one after the other, each in one commit that replaces its table.
pub(super) async fn make(
    _pipeline: &Pipeline,
    _staging: &Staging,
    _run: &str,
    _info: &CommitInfo,
) -> Result<Vec<ModelReport>> {
    todo!()
}
