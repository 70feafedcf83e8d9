//! What a run reads: files that are there, or those of an export as they arrive.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::definition::{ExportSource, Source};
use super::exports::Exports;
use super::flow::Progress;
use super::report::ExportReport;
use super::run::bases;
use crate::error::Result;
use crate::export::{Clock, Complete, ExportJob, Observer, StoredFile};
use crate::ingest::{self, Declared, Inputs};
use crate::sample::Sample;

/// So many bytes of an export are worth a pass, unless no more come.
const PART_BYTES: u64 = 64 << 20;

/// The input of one run.
pub(super) struct Feed {
    /// Base urls of the source's server.
    pub(super) bases: Vec<String>,
    kind: Kind,
    /// What was waited for and is not taken yet.
    waited: Option<Inputs>,
}

enum Kind {
    Files(Option<Inputs>),
    Export(Box<Running>),
}

/// An export that is being performed.
struct Running {
    source: ExportSource,
    folder: PathBuf,
    arrived: Receiver<Result<StoredFile>>,
    task: JoinHandle<Option<(ExportJob, Complete)>>,
}

impl Feed {
    /// Finds the files, or begins to export (or goes on with what was begun). Within a runtime.
    pub(super) fn open(source: &Source, given: &[String], progress: &Progress) -> Result<Self> {
        let files = |inputs: Inputs| (bases(&inputs, given), Kind::Files(Some(inputs)));
        let (bases, kind) = match source {
            Source::Paths(paths) => files(ingest::discover(paths)?),
            Source::Sample { patients, seed, folder } => {
                files(population(*patients, *seed, folder)?)
            }
            Source::Export(source) => {
                let server = source.settings.request.server.to_string();
                let given: Vec<_> = given.iter().cloned().chain([server]).collect();
                let running = Running::start(source, progress)?;
                (bases(&Inputs::default(), &given), Kind::Export(Box::new(running)))
            }
        };
        Ok(Self { bases, kind, waited: None })
    }

    /// Waits for the first part.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.waited = self.next().transpose()?;
        Ok(())
    }

    /// The next part of the input, waited for if need be; `None` after the last.
    pub(super) fn next(&mut self) -> Option<Result<Inputs>> {
        if let Some(inputs) = self.waited.take() {
            return Some(Ok(inputs));
        }
        match &mut self.kind {
            Kind::Files(inputs) => inputs.take().map(Ok),
            Kind::Export(running) => running.next(),
        }
    }

    /// The tables have the data of all parts: the server may forget the job. Says what was exported.
    pub(super) async fn committed(self, run: &str) -> Result<Option<ExportReport>> {
        let Kind::Export(running) = self.kind else { return Ok(None) };
        running.committed(run).await.map(Some)
    }
}

impl Drop for Running {
    /// A run that fails does not leave its export working on; the next one goes on with it.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    fn start(source: &ExportSource, progress: &Progress) -> Result<Self> {
        let exports = Exports { folder: &source.folder, keep: source.keep };
        let folder = exports.current(Timestamp::now())?;
        let observer = observer(progress);
        let mut job = ExportJob::open(source.settings.clone(), &folder, Clock::System, observer)?;
        let (to, arrived) = channel();
        let task = tokio::spawn(async move {
            let complete = job.run(|file| {
                // Nobody listens to an export whose run has failed; it is about to be stopped.
                let _ = to.send(Ok(file.clone()));
            });
            match complete.await {
                Ok(complete) => Some((job, complete)),
                Err(error) => {
                    let _ = to.send(Err(error));
                    None
                }
            }
        });
        Ok(Self { source: source.clone(), folder, arrived, task })
    }

    /// Waits until enough has arrived for a pass, or all.
    fn next(&mut self) -> Option<Result<Inputs>> {
        let mut files = Vec::new();
        let mut bytes = 0;
        while bytes < PART_BYTES {
            match self.arrived.recv() {
                Ok(Ok(file)) if file.section == "output" && !file.parts.is_empty() => {
                    bytes += file.bytes;
                    files.push(file);
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => break,
            }
        }
        (!files.is_empty()).then(|| inputs(&self.folder, &files))
    }

    async fn committed(mut self, run: &str) -> Result<ExportReport> {
        let ended = (&mut self.task).await.ok().flatten();
        let (mut job, complete) =
            ended.expect("an export that failed or panicked has failed the run by its missing end");
        let mut warnings = complete.warnings;
        warnings.extend(job.finish().await?);
        drop(job);
        let exports = Exports { folder: &self.source.folder, keep: self.source.keep };
        exports.loaded(&self.folder, run, Timestamp::now())?;
        Ok(ExportReport {
            folder: self.folder.display().to_string(),
            transaction_time: complete.transaction_time,
            files: complete.state.stored.len(),
            bytes: complete.state.stored.iter().map(|file| file.bytes).sum(),
            warnings,
        })
    }
}

/// Keeps the progress up to date.
fn observer(progress: &Progress) -> Observer {
    let export = progress.export.clone();
    Arc::new(move |event| {
        let mut standing = export.lock().expect("nothing panics while it is held");
        standing.get_or_insert_default().update(event, Timestamp::now());
    })
}

/// The files as input, with what the manifest says of them.
fn inputs(folder: &Path, files: &[StoredFile]) -> Result<Inputs> {
    let path = |part: &PathBuf| folder.join(part).to_string_lossy().into_owned();
    let paths: Vec<_> = files.iter().flat_map(|file| file.parts.iter().map(path)).collect();
    let mut inputs = ingest::discover(&paths)?;
    let parts = files.iter().flat_map(|file| file.parts.iter().map(move |_| file));
    for (input, file) in inputs.files.iter_mut().zip(parts) {
        let resource_type = file.resource_type.clone().unwrap_or_default();
        input.declared = Some(Declared { resource_type, count: None });
    }
    Ok(inputs)
}

/// The population of a sample, written unless it is there.
fn population(patients: usize, seed: u64, folder: &Path) -> Result<Inputs> {
    let folder = folder.join(format!("{patients}-{seed}"));
    // The manifest is written last: with it, the population is whole.
    if !folder.join("manifest.json").exists() {
        let _ = std::fs::remove_dir_all(&folder);
        Sample { patients, seed, ..Sample::default() }.write(&folder)?;
    }
    ingest::discover(&[folder.to_string_lossy().into_owned()])
}
