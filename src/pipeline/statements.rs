//! The SQL of a pipeline, planned over the tables that its views and models will make, before anything is read.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;

use super::model::{self, Model};
use super::rejects::{REJECTS_TABLE, SCHEMA};
use super::{Pipeline, table_schema};
use crate::error::{Error, ErrorKind, Result};
use crate::load::Load;
use crate::query::{Engine, tables_read};
use crate::suggest;

/// What the statements of a pipeline come to.
#[derive(Debug, Default)]
pub struct Planned {
    /// The models' tables and their columns, in the order in which they are made; without those that are wrong.
    pub models: Vec<(String, SchemaRef)>,
    /// What is wrong with models and queries, and with the tables that loads ask for.
    pub mistakes: Vec<Error>,
}

impl Pipeline {
    /// Plans every model and query over the tables that the views and the models before it will make; gives what is
    /// wrong with each.
    pub async fn check_queries(&self) -> Result<Vec<Error>> {
        self.plan().await.map(|planned| planned.mistakes)
    }

    /// Plans every model and query. One that reads a model which is wrong is not looked at: it would be wrong for that
    /// model's sake.
    pub async fn plan(&self) -> Result<Planned> {
        let mut tables: Vec<_> =
            self.views.iter().map(|v| (v.name.clone(), table_schema(v))).collect();
        tables.push((REJECTS_TABLE.to_owned(), SCHEMA.clone()));
        let engine = Engine::over_schemas(&tables)?;
        let mut planned = Planned::default();
        let mut wrong = BTreeSet::new();
        for model in &self.models {
            match planned_model(model, &engine, &wrong).await {
                Some(Ok(schema)) => {
                    engine.add_schema(&model.name, &schema)?;
                    planned.models.push((model.name.clone(), schema));
                }
                failed => {
                    wrong.insert(model.name.clone());
                    planned.mistakes.extend(failed.and_then(Result::err));
                }
            }
        }
        for query in &self.queries {
            if reads_any(&query.sql, &wrong) {
                continue;
            }
            let checked = engine.check(&query.sql).await;
            planned.mistakes.extend(checked.err().map(|e| e.within("query", &query.name)));
        }
        planned.mistakes.extend(self.unknown_loads());
        Ok(planned)
    }

    /// Tables that loads ask for and that nothing makes.
    fn unknown_loads(&self) -> Vec<Error> {
        let views = self.views.iter().map(|view| view.name.as_str());
        let made: Vec<_> = views
            .chain(self.models.iter().map(|model| model.name.as_str()))
            .chain([REJECTS_TABLE])
            .collect();
        let asked = self.loads.iter().flat_map(|load| load.tables().iter().map(move |t| (load, t)));
        let unknown = asked.filter(|(_, table)| !made.contains(&table.as_str()));
        let mistake = |(load, table): (&Load, &String)| {
            let message = format!("the pipeline makes no table `{table}`");
            let error = Error::new(ErrorKind::Definition, message).at("load", load.name());
            error.hint(match suggest::nearest(table, made.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its tables are: {}", made.join(", ")),
            })
        };
        unknown.map(mistake).collect()
    }
}

/// The columns of a model's table; `None` if it reads a model that is wrong.
async fn planned_model(
    model: &Model,
    engine: &Engine,
    wrong: &BTreeSet<String>,
) -> Option<Result<SchemaRef>> {
    if reads_any(&model.sql, wrong) {
        return None;
    }
    let columns = model::columns(model, engine).await;
    Some(columns.map_err(|e| e.within("model", &model.name)))
}

fn reads_any(sql: &str, tables: &BTreeSet<String>) -> bool {
    tables_read(sql).is_ok_and(|read| !read.is_disjoint(tables))
}
