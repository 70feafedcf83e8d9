//! Fills tables anew: from the exports that are kept, or, where these do not reach back to a full one, by a full export.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::execution::Execution;
use super::{Done, RunOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::export::ExportState;
use crate::ingest::{self, discover};
use crate::pipeline::definition::{Mode, Pipeline};
use crate::pipeline::feed::Feed;
use crate::pipeline::roster::{self, Members};
use crate::pipeline::source::{ExportSource, Source};
use crate::pipeline::synchronise::{Kind, Plan};
use crate::suggest;

/// Fills these tables of a pipeline anew, or all if none is named. Gives the runs that it took.
///
/// # Errors
/// Of kind `Usage` for a table that the pipeline does not make, of kind `Definition` if nobody knows what the table is made
/// of: files that were merged are not remembered.
pub async fn rebuild(
    mut pipeline: Pipeline,
    tables: &[String],
    options: &RunOptions<'_>,
) -> Result<Vec<Done>> {
    check_tables(&pipeline, tables)?;
    let kept = match &pipeline.source {
        Source::Export(source) => chain(source)?,
        _ if pipeline.mode == Mode::Merge => {
            let message = "the files that were merged into the tables are not remembered";
            return Err(Error::new(ErrorKind::Definition, message)
                .hint("remove the tables' folders, and merge all files again"));
        }
        _ => Vec::new(),
    };
    let by_export = matches!(pipeline.source, Source::Export(_));
    if by_export && kept.is_empty() {
        // Exports are of all types of the pipeline, so all tables may have what comes.
        let options = RunOptions { full: true, ..options.copy() };
        return Ok(vec![super::run(&pipeline, &options).await?]);
    }
    if !tables.is_empty() {
        pipeline.views.retain(|view| tables.contains(&view.name));
    }
    if !by_export {
        return Ok(vec![super::run(&pipeline, options).await?]);
    }
    replay(&pipeline, &kept, options).await
}

fn check_tables(pipeline: &Pipeline, tables: &[String]) -> Result<()> {
    let names = || pipeline.views.iter().map(|view| view.name.as_str());
    let Some(unknown) = tables.iter().find(|table| !names().any(|name| name == *table)) else {
        return Ok(());
    };
    let error =
        Error::new(ErrorKind::Usage, format!("the pipeline has no schema that makes `{unknown}`"));
    Err(match suggest::nearest(unknown, names()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("its tables are: {}", names().collect::<Vec<_>>().join(", "))),
    })
}

/// The kept exports from the last full one on; none if that is gone. Older ones are removed first, so none is missing.
fn chain(source: &ExportSource) -> Result<Vec<PathBuf>> {
    let mut kept = source.exports().kept()?;
    let mut full = None;
    for (i, export) in kept.iter().enumerate() {
        let state = ExportState::read(export)?.filter(|state| state.since().is_none());
        if state.is_some_and(|state| state.is_of(&source.settings.request)) {
            full = Some(i);
        }
    }
    Ok(full.map(|full| kept.split_off(full)).unwrap_or_default())
}

/// Loads exports again, one run each.
async fn replay(
    pipeline: &Pipeline,
    exports: &[PathBuf],
    options: &RunOptions<'_>,
) -> Result<Vec<Done>> {
    let Source::Export(source) = &pipeline.source else { return Ok(Vec::new()) };
    let bases = super::bases(&ingest::Inputs::default(), &{
        let server = source.settings.request.server.to_string();
        pipeline.bases.iter().cloned().chain([server]).collect::<Vec<_>>()
    });
    let (mut done, mut members) = (Vec::new(), None);
    for export in exports {
        let since = ExportState::read(export)?.and_then(|state| state.since().map(str::to_owned));
        let kind = if since.is_some() { Kind::Increment } else { Kind::Full };
        let now = members_of(export)?.map(|now| Members::since(members.as_ref(), now));
        members = now.as_ref().map(|now| now.now.clone()).or(members);
        let feed = Feed::kept(export, bases.clone(), now)?;
        let plan = Plan { since, ..Plan::to(kind) };
        let ran = Execution::again(pipeline, options, plan)?.replay(feed).await?;
        let refused = ran.refused.is_some();
        done.push(ran);
        if refused {
            break;
        }
    }
    Ok(done)
}

/// Who belonged to the group at the time of an export, if that was asked.
fn members_of(export: &Path) -> Result<Option<BTreeSet<String>>> {
    let folder = export.join("roster");
    if !folder.is_dir() {
        return Ok(None);
    }
    let inputs = discover(&[folder.to_string_lossy().into_owned()])?;
    roster::patients(inputs, &ingest::Options::default(), 1).map(Some)
}
