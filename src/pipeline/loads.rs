//! The loads of a pipeline: the newest versions of its tables, and how file drops are encoded.

use std::io::{self, Write};
use std::path::Path;

use arrow::datatypes::SchemaRef;

use super::definition::Pipeline;
use super::rejects::REJECTS_TABLE;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::load::{FileFormat, Load, LoadReport, RowSink, TableVersion};
use crate::query::Format;
use crate::suggest;
use crate::warehouse::TableSnapshot;

/// Brings the targets of the loads with these names (of all, if none is given) to the newest versions of the tables.
///
/// A load that fails does not keep the others from theirs: the first error comes when all were tried.
pub async fn load(pipeline: &Pipeline, only: &[String], run: &str) -> Result<Vec<LoadReport>> {
    let names: Vec<_> = pipeline.loads.iter().map(Load::name).collect();
    if let Some(name) = only.iter().find(|name| !names.contains(&name.as_str())) {
        let error = Error::new(ErrorKind::Usage, format!("the pipeline has no load `{name}`"));
        return Err(match suggest::nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("its loads are: {}", names.join(", "))),
        });
    }
    let (mut reports, mut first_error) = (Vec::new(), None);
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    for load in pipeline.loads.iter().filter(|load| wanted(load.name())) {
        // Files of a warehouse in an object store are loaded here first, and leave when they are loaded there.
        let copies = pipeline.warehouse()?.state_folder().join("loads");
        let loaded = match versions(pipeline, load.tables(), &copies).await {
            Ok(tables) => load.load(&tables, run, encoder).await,
            Err(error) => Err(error.within("load", load.name())),
        };
        durable::remove_folder(&copies)?;
        match loaded {
            Ok(report) => reports.push(report),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(reports), Err)
}

/// The tables that are asked for, as they are now; all tables of views and models, if none is named.
async fn versions(
    pipeline: &Pipeline,
    asked: &[String],
    copies: &Path,
) -> Result<Vec<TableVersion>> {
    let views = pipeline.views.iter().map(|view| view.name.clone());
    let made: Vec<_> = views.chain(pipeline.models.iter().map(|m| m.name.clone())).collect();
    let names = if asked.is_empty() { &made } else { asked };
    let warehouse = pipeline.warehouse()?;
    let mut versions = Vec::new();
    for name in names {
        if name != REJECTS_TABLE && !made.contains(name) {
            let message = format!("the pipeline makes no table `{name}`");
            return Err(Error::new(ErrorKind::Definition, message)
                .hint(format!("its tables are: {}", made.join(", "))));
        }
        let snapshot = warehouse.snapshot(name).await?;
        let files = warehouse.local_files(&snapshot, &copies.join(name)).await?;
        let TableSnapshot { version, schema, .. } = snapshot;
        versions.push(TableVersion { name: name.clone(), version, schema, files });
    }
    Ok(versions)
}

/// Files of drops are written as `kiln query` writes results.
pub fn encoder(
    format: FileFormat,
    to: Box<dyn Write + Send>,
    schema: &SchemaRef,
) -> io::Result<RowSink> {
    let format = match format {
        FileFormat::Csv => Format::Csv,
        FileFormat::Ndjson => Format::Ndjson,
        FileFormat::Parquet => Format::Parquet,
    };
    let mut encoder = format.encoder(to, None);
    encoder.begin(schema)?;
    Ok(Box::new(move |batch| match batch {
        Some(batch) => encoder.batch(batch),
        None => encoder.end().and_then(|()| encoder.finish()),
    }))
}
