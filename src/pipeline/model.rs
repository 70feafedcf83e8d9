//! SQL models: tables made of other tables after the views' are committed, in the order of what they read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::Pipeline;
use crate::error::Result;
use crate::query::{Engine, Rows, tables_read};
use crate::settings::{Mistake, Mistakes};
use crate::warehouse::{
    Change, CommitInfo, ParquetOptions, PartFile, Staging, TableWriter, check_columns,
};

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
    pub(super) fn check(self, folder: &Path) -> Result<Model, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !self.name.starts_with(|c: char| c.is_ascii_alphabetic())
            || !self.name.chars().all(plain)
        {
            let message = format!("`{}` cannot be the name of a table", self.name);
            mistakes.hinted(
                "name",
                message,
                "begin with a letter, go on with letters, digits and `_`",
            );
        }
        let sql = match (self.sql, self.file) {
            (Some(sql), None) => sql,
            (None, Some(file)) => std::fs::read_to_string(folder.join(&file)).unwrap_or_else(|e| {
                mistakes.add("file", format!("`{file}` cannot be read: {e}"));
                String::new()
            }),
            _ => {
                mistakes.add("", "a model has either `sql` or a `file`");
                String::new()
            }
        };
        if !mistakes.0.is_empty() {
            return Err(mistakes.0);
        }
        Ok(Model { name: self.name, description: self.description, sql })
    }
}

/// Puts models in the order in which they can be made, otherwise as written; cycles and names used twice or by views are
/// mistakes (with paths such as `model[1].name`).
pub(super) fn order(models: Vec<Model>, views: &[&str]) -> Result<Vec<Model>, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    for (i, model) in models.iter().enumerate() {
        let same = |name: &str| name.eq_ignore_ascii_case(&model.name);
        let path = format!("model[{i}].name");
        if views.iter().any(|view| same(view)) {
            mistakes.hinted(
                path,
                format!("a view makes a table `{}`", model.name),
                "rename the model",
            );
        } else if models[..i].iter().any(|earlier| same(&earlier.name)) {
            mistakes.hinted(
                path,
                format!("two models make a table `{}`", model.name),
                "rename one",
            );
        }
    }
    if !mistakes.0.is_empty() {
        return Err(mistakes.0);
    }
    let reads = reads(&models);
    let mut ordered: Vec<usize> = Vec::with_capacity(models.len());
    while ordered.len() < models.len() {
        let left = || (0..models.len()).filter(|i| !ordered.contains(i));
        match left().find(|i| reads[i].iter().all(|read| ordered.contains(read))) {
            Some(next) => ordered.push(next),
            None => return Err(vec![cycle(&models, &reads, left().next().unwrap_or(0))]),
        }
    }
    let mut models: Vec<_> = models.into_iter().map(Some).collect();
    Ok(ordered.into_iter().filter_map(|i| models[i].take()).collect())
}

/// Which models each model reads. One whose SQL does not parse reads none: that is said when it is planned.
fn reads(models: &[Model]) -> BTreeMap<usize, Vec<usize>> {
    let of = |model: &Model| {
        let tables = tables_read(&model.sql).unwrap_or_default();
        (0..models.len()).filter(|i| tables.contains(&models[*i].name)).collect()
    };
    models.iter().map(of).enumerate().collect()
}

/// The cycle that begins at or behind a model that cannot be made: every model left reads another one left.
fn cycle(models: &[Model], reads: &BTreeMap<usize, Vec<usize>>, start: usize) -> Mistake {
    let stuck = stuck(reads);
    let mut path = vec![start];
    let first = loop {
        let last = path.last().copied().unwrap_or(start);
        let next = reads[&last].iter().copied().find(|i| stuck.contains(i)).unwrap_or(start);
        match path.iter().position(|i| *i == next) {
            Some(first) => break first,
            None => path.push(next),
        }
    };
    let cycle = &path[first..];
    let names: Vec<_> =
        cycle.iter().chain(&cycle[..1]).map(|i| format!("`{}`", models[*i].name)).collect();
    let message = if cycle.len() == 1 {
        format!("the model {} reads the table that it makes", names[0])
    } else {
        format!("models read each other in a circle: {}", names.join(" reads "))
    };
    Mistake {
        path: format!("model[{}]", cycle[0]),
        message,
        hint: Some("a model reads the tables of views, and of models that do not need it".into()),
    }
}

/// The models that can never be made, for what they read.
fn stuck(reads: &BTreeMap<usize, Vec<usize>>) -> BTreeSet<usize> {
    let mut stuck: BTreeSet<usize> = reads.keys().copied().collect();
    while let Some(free) =
        stuck.iter().copied().find(|i| reads[i].iter().all(|read| !stuck.contains(read)))
    {
        stuck.remove(&free);
    }
    stuck
}

/// The columns of a model's table, in a session that knows what it reads. The query runs over tables without rows, so that
/// what only running shows is shown too.
pub(super) async fn columns(model: &Model, engine: &Engine) -> Result<SchemaRef> {
    let mut rows = engine.select(&model.sql).await?;
    check_columns(&rows.schema)?;
    while rows.next().await?.is_some() {}
    Ok(rows.schema.clone())
}

/// Makes all models of a pipeline, one after the other, each in one commit that replaces its table.
///
/// Each reads the tables as they are committed by then. One that fails ends the work; the models before it stay.
pub(super) async fn make(
    pipeline: &Pipeline,
    staging: &Staging,
    run: &str,
    info: &CommitInfo,
) -> Result<Vec<ModelReport>> {
    let mut reports = Vec::with_capacity(pipeline.models.len());
    if pipeline.models.is_empty() {
        return Ok(reports);
    }
    // A model may read tables of several sources: its rows are of none.
    let info = CommitInfo { source: None, ..info.clone() };
    for model in &pipeline.models {
        // A session keeps the versions that it opened, and a model may read the one before.
        let engine = pipeline.engine().await?;
        let made = make_one(model, &engine, staging, &info).await;
        reports.push(made.map_err(|e| e.within("model", &model.name).within("run", run))?);
    }
    Ok(reports)
}

async fn make_one(
    model: &Model,
    engine: &Engine,
    staging: &Staging,
    info: &CommitInfo,
) -> Result<ModelReport> {
    let started = Instant::now();
    let rows = engine.select(&model.sql).await?;
    check_columns(&rows.schema)?;
    let schema = rows.schema.clone();
    let writer = staging.writer(&model.name, schema.clone(), &ParquetOptions::default())?;
    let parts = write(rows, writer).await?;
    let described = described(model, &schema);
    let done = staging.commit(&model.name, &described, &parts, Change::Replace, info).await?;
    Ok(ModelReport {
        table: model.name.clone(),
        rows: parts.iter().map(|part| part.rows).sum(),
        version: done.version,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The columns, with what the model is for as the comment of the table.
fn described(model: &Model, columns: &SchemaRef) -> SchemaRef {
    let comment = model.description.iter().map(|text| ("comment".to_owned(), text.clone()));
    Arc::new(columns.as_ref().clone().with_metadata(comment.collect()))
}

/// Batch by batch: no more of the table is in memory than the writer's open row group.
async fn write(mut rows: Rows, writer: TableWriter) -> Result<Vec<PartFile>> {
    let mut number = 0;
    while let Some(batch) = rows.next().await? {
        writer.push(number, vec![batch])?;
        number += 1;
    }
    writer.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn models(written: &[(&str, &str)]) -> Vec<Model> {
        let model = |(name, sql): &(&str, &str)| Model {
            name: (*name).to_owned(),
            description: None,
            sql: (*sql).to_owned(),
        };
        written.iter().map(model).collect()
    }

    #[test]
    fn models_are_made_in_the_order_of_what_they_read() {
        let a = "SELECT * FROM patient";
        for (written, expected) in [
            (&[][..], Ok(&[][..])),
            (&[("a", a), ("b", a)], Ok(&["a", "b"])),
            (&[("b", "SELECT * FROM a"), ("a", a)], Ok(&["a", "b"])),
            (
                &[
                    ("d", "SELECT * FROM b, c"),
                    ("c", "SELECT * FROM a"),
                    ("b", "SELECT * FROM a"),
                    ("a", a),
                ],
                Ok(&["a", "c", "b", "d"]),
            ),
            // A name of WITH is no table.
            (
                &[("a", "WITH b AS (SELECT 1) SELECT * FROM b"), ("b", "SELECT * FROM a")],
                Ok(&["a", "b"]),
            ),
            (&[("a", "SELEC"), ("b", "SELECT * FROM a")], Ok(&["a", "b"])),
            (&[("patient", a)], Err("model[0].name: a view makes a table `patient`")),
            (&[("a", a), ("A", a)], Err("model[1].name: two models make a table `A`")),
            (
                &[("a", "SELECT * FROM a")],
                Err("model[0]: the model `a` reads the table that it makes"),
            ),
            (
                &[
                    ("x", "SELECT * FROM b"),
                    ("y", a),
                    ("b", "SELECT * FROM y, c"),
                    ("c", "SELECT * FROM b"),
                ],
                Err("model[2]: models read each other in a circle: `b` reads `c` reads `b`"),
            ),
        ] {
            let found = order(models(written), &["patient"]);
            let found = found.map(|m| m.into_iter().map(|m| m.name).collect::<Vec<_>>());
            let found = found.map_err(|m| format!("{}: {}", m[0].path, m[0].message));
            let expected =
                expected.map(|names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect());
            assert_eq!(found, expected.map_err(str::to_owned), "{written:?}");
        }
    }

    #[test]
    fn a_model_has_a_name_and_a_query() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.sql"), "SELECT 2").unwrap();
        for (toml, expected) in [
            ("name = 'a'\nsql = 'SELECT 1'", Ok("SELECT 1")),
            ("name = 'a'\nfile = 'a.sql'", Ok("SELECT 2")),
            ("name = 'a'\nfile = 'b.sql'", Err("file")),
            ("name = 'a'", Err("")),
            ("name = 'a'\nfile = 'a.sql'\nsql = 'SELECT 1'", Err("")),
            ("name = '_a'\nsql = 'SELECT 1'", Err("name")),
            ("name = 'a-b'\nsql = 'SELECT 1'", Err("name")),
            ("name = ''\nsql = 'SELECT 1'", Err("name")),
        ] {
            let table: ModelTable = toml::from_str(toml).unwrap();
            let found = table.check(folder.path()).map(|m| m.sql).map_err(|m| m[0].path.clone());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{toml}");
        }
    }
}
