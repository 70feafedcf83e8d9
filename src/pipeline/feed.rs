//! What a run reads: files that are there, or those of an export as they arrive.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::object_source::LoadedObjects;
use super::progress::Progress;
use super::report::ExportReport;
use super::run::bases;
use super::source::{ExportSource, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{Clock, Complete, ExportJob, StoredFile};
use crate::ingest::{self, Declared, Inputs};
use crate::sample::Sample;

/// A pass takes no more files once it has so many bytes: progress is by passes.
const PART_BYTES: u64 = 256 << 20;

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
    Objects(Option<Inputs>, LoadedObjects),
    Export(Box<Running>),
}

/// An export that is being performed.
struct Running {
    source: ExportSource,
    folder: PathBuf,
    arrivals: Receiver<Arrival>,
    /// Dropped, it stops the export.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    whole: Option<Box<(ExportJob, Complete)>>,
}

/// What an export tells its run.
enum Arrival {
    /// A file, in the order of the manifest.
    File(Box<StoredFile>),
    /// It is not going to be whole this time.
    Failed(Error),
    /// All files have come. Nothing is committed without this word.
    Whole(Box<(ExportJob, Complete)>),
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
            Source::Objects(source) => {
                let (loaded, inputs) = source.open()?;
                (bases(&inputs, given), Kind::Objects(Some(inputs), loaded))
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
            Kind::Files(inputs) | Kind::Objects(inputs, _) => inputs.take().map(Ok),
            Kind::Export(running) => running.next(),
        }
    }

    /// Where the export or the loaded objects are kept, if the source has such.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Files(_) => None,
            Kind::Objects(_, loaded) => Some(loaded.folder()),
            Kind::Export(running) => Some(&running.folder),
        }
    }

    /// The export is done with: the tables have its data, or there was none. The server may forget the job, and the
    /// next run asks for another. Says what was exported.
    pub(super) async fn done(self, run: &str) -> Result<Option<ExportReport>> {
        match self.kind {
            Kind::Files(_) => Ok(None),
            Kind::Objects(_, loaded) => {
                // The tables are committed: what fails now is no failure of the run, and the next removes the rest.
                let _ = loaded.done();
                Ok(None)
            }
            Kind::Export(running) => running.done(run).await.map(Some),
        }
    }
}

impl Drop for Running {
    /// A run that fails does not leave its export working on; the next one goes on with it.
    fn drop(&mut self) {
        drop(self.stop.take());
        // Only then is the folder free for the next. A panic has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Running {
    fn start(source: &ExportSource, progress: &Progress) -> Result<Self> {
        let folder = source.current_folder(Timestamp::now())?;
        let settings = source.settings.clone();
        let job = ExportJob::open(settings, &folder, Clock::System, progress.observer())?;
        let ((to, arrivals), (stop, stopped)) = (channel(), oneshot::channel());
        let runtime = Handle::current();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = perform(job, to) => {}
                    _ = stopped => {}
                }
            });
        });
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { source: source.clone(), folder, arrivals, stop, thread, whole: None })
    }

    /// Waits for a file, and takes those that arrived with it.
    fn next(&mut self) -> Option<Result<Inputs>> {
        let (mut files, mut bytes) = (Vec::new(), 0);
        while self.whole.is_none() && bytes < PART_BYTES {
            match self.arrival(files.is_empty()) {
                Ok(Arrival::File(file)) if file.section == "output" && !file.parts.is_empty() => {
                    bytes += file.bytes;
                    files.push(*file);
                }
                Ok(Arrival::File(_)) => {}
                Ok(Arrival::Failed(error)) => {
                    return Some(Err(error.within("export", self.folder.display())));
                }
                Ok(Arrival::Whole(whole)) => self.whole = Some(whole),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Some(Err(broken_off())),
            }
        }
        (!files.is_empty()).then(|| inputs(&self.folder, &files))
    }

    fn arrival(&self, wait: bool) -> Result<Arrival, TryRecvError> {
        if wait {
            return self.arrivals.recv().map_err(|_| TryRecvError::Disconnected);
        }
        self.arrivals.try_recv()
    }

    async fn done(mut self, run: &str) -> Result<ExportReport> {
        let whole = self.whole.take().ok_or_else(broken_off)?;
        let (mut job, complete) = *whole;
        let mut warnings = complete.warnings;
        // The tables are committed: what fails now is no failure of the run.
        warnings.extend(job.finish().await.unwrap_or_else(|error| Some(error.to_string())));
        drop(job);
        let noted = self.source.exports().loaded(&self.folder, run, Timestamp::now());
        warnings.extend(noted.err().map(|error| error.to_string()));
        Ok(ExportReport {
            folder: self.folder.display().to_string(),
            transaction_time: complete.transaction_time,
            files: complete.state.stored.len(),
            bytes: complete.state.stored.iter().map(|file| file.bytes).sum(),
            warnings,
        })
    }
}

async fn perform(mut job: ExportJob, to: Sender<Arrival>) {
    // Nobody listens to an export whose run has failed; it is about to be stopped.
    let tell = |arrival| drop(to.send(arrival));
    let complete = job.run(|file| tell(Arrival::File(Box::new(file.clone())))).await;
    tell(match complete {
        Ok(complete) => Arrival::Whole(Box::new((job, complete))),
        Err(error) => Arrival::Failed(error),
    });
}

/// The export panicked, or the program is being stopped.
fn broken_off() -> Error {
    Error::new(ErrorKind::TryLater, "the export broke off; nothing was committed")
        .hint("run again: it goes on")
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
