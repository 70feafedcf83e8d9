//! What a run reads: files that are there, or those of an export as they arrive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::definition::Pipeline;
use super::object_source::LoadedObjects;
use super::progress::Progress;
use super::report::ExportReport;
use super::roster::{self, Members};
use super::run::bases;
use super::source::{ExportSource, Increments, Source};
use super::synchronise::{Plan, complete_until};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{Clock, Complete, ExportJob, ExportRequest, Observer, Settings, StoredFile};
use crate::ingest::{self, Declared, Inputs};
use crate::sample::Sample;

/// A pass takes no more files once it has so many bytes: progress is by passes.
const PART_BYTES: u64 = 256 << 20;

/// Where the history of new members is, within an export.
pub(super) const NEW_MEMBERS: &str = "new-members";

/// The input of one run.
pub(super) struct Feed {
    /// Base urls of the source's server.
    pub(super) bases: Vec<String>,
    kind: Kind,
    /// What was waited for and is not taken yet.
    waited: Option<Inputs>,
}

enum Kind {
    Files {
        inputs: Option<Inputs>,
        /// What their manifests list as deleted.
        deleted: Vec<PathBuf>,
        members: Option<Members>,
        /// Objects that the files were loaded from.
        loaded: Option<LoadedObjects>,
    },
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
    deleted: Vec<PathBuf>,
    members: Option<Members>,
    /// Errors that the server reported besides those of the main export, and that are accepted.
    errors: u64,
    whole: Option<Box<(ExportJob, Complete)>>,
}

/// What an export tells its run.
enum Arrival {
    /// A file in a folder, in the order of the manifest.
    File(PathBuf, Box<StoredFile>),
    /// Who belongs to the group, and how many errors the server reported of that.
    Members(Members, u64),
    /// It is not going to be whole this time.
    Failed(Error),
    /// All files have come. Nothing is committed without this word.
    Whole(Box<(ExportJob, Complete)>),
}

/// What an export brought, once all of it is there.
pub(super) struct Brought {
    /// The instant up to which it is complete.
    pub(super) until: String,
    /// Errors that the server reported, and that are accepted.
    pub(super) errors: u64,
}

impl Kind {
    fn files(inputs: Inputs, members: Option<Members>, loaded: Option<LoadedObjects>) -> Self {
        let listed = inputs.manifests.iter().flat_map(|manifest| &manifest.deleted);
        let deleted = listed.map(|file| file.path.clone()).collect();
        Self::Files { inputs: Some(inputs), deleted, members, loaded }
    }
}

impl Feed {
    /// Finds the files, or begins to export (or goes on with what was begun). Within a runtime.
    pub(super) fn open(
        pipeline: &Pipeline,
        plan: &Plan,
        members: Option<BTreeSet<String>>,
        progress: &Progress,
    ) -> Result<Self> {
        let given = &pipeline.bases;
        let files = |inputs: Inputs| (bases(&inputs, given), Kind::files(inputs, None, None));
        let (bases, kind) = match &pipeline.source {
            Source::Paths(paths) => files(ingest::discover(paths)?),
            Source::Sample { patients, seed, folder } => {
                files(population(*patients, *seed, folder)?)
            }
            Source::Objects(source) => {
                let (loaded, inputs) = source.open()?;
                (bases(&inputs, given), Kind::files(inputs, None, Some(loaded)))
            }
            Source::Export(source) => {
                let server = source.settings.request.server.to_string();
                let given: Vec<_> = given.iter().cloned().chain([server]).collect();
                let running = Running::start(source, plan, members, progress)?;
                (bases(&Inputs::default(), &given), Kind::Export(Box::new(running)))
            }
        };
        Ok(Self { bases, kind, waited: None })
    }

    /// An export that is kept.
    pub(super) fn kept(
        folder: &Path,
        bases: Vec<String>,
        members: Option<Members>,
    ) -> Result<Self> {
        let asked = [folder.join(NEW_MEMBERS), folder.to_owned()];
        let there = asked.iter().filter(|path| path.is_dir());
        let paths: Vec<_> = there.map(|path| path.to_string_lossy().into_owned()).collect();
        let kind = Kind::files(ingest::discover(&paths)?, members, None);
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
            Kind::Files { inputs, .. } => inputs.take().map(Ok),
            Kind::Export(running) => running.next(),
        }
    }

    /// The files that say what was deleted; complete after the last part.
    pub(super) fn deleted(&self) -> Result<Option<Inputs>> {
        let files = match &self.kind {
            Kind::Files { deleted, .. } => deleted,
            Kind::Export(running) => &running.deleted,
        };
        let paths: Vec<_> = files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        if paths.is_empty() { Ok(None) } else { ingest::discover(&paths).map(Some) }
    }

    /// The members of the group, if they are followed.
    pub(super) fn members(&self) -> Option<&Members> {
        match &self.kind {
            Kind::Files { members, .. } => members.as_ref(),
            Kind::Export(running) => running.members.as_ref(),
        }
    }

    /// The folder of the export, if the source is one.
    pub(super) fn export(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Files { .. } => None,
            Kind::Export(running) => Some(&running.folder),
        }
    }

    /// Where the export or the loaded objects are kept, if the source has such.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Files { loaded, .. } => loaded.as_ref().map(LoadedObjects::folder),
            Kind::Export(running) => Some(&running.folder),
        }
    }

    /// What the export brought, if the source is one; after the last part.
    pub(super) fn brought(&self) -> Option<Brought> {
        let Kind::Export(running) = &self.kind else { return None };
        let (_, complete) = running.whole.as_deref()?;
        Some(Brought {
            until: complete_until(&complete.state, &complete.transaction_time),
            errors: running.errors + complete.errors,
        })
    }

    /// What was exported, if the source is an export; after the last part.
    pub(super) fn exported(&self) -> Option<ExportReport> {
        let Kind::Export(running) = &self.kind else { return None };
        let (_, complete) = running.whole.as_deref()?;
        Some(ExportReport {
            folder: running.folder.display().to_string(),
            transaction_time: complete.transaction_time.clone(),
            files: complete.state.stored.len(),
            bytes: complete.state.stored.iter().map(|file| file.bytes).sum(),
            warnings: complete.warnings.clone(),
        })
    }

    /// The export is done with: the tables have its data, or there was none. The server may forget the job, and the
    /// next run asks for another. What fails now is no failure of the run, whose tables are committed; it is told.
    pub(super) async fn done(self, run: &str) -> Vec<String> {
        match self.kind {
            Kind::Files { loaded, .. } => {
                // The next run removes what is left.
                let _ = loaded.map(LoadedObjects::done);
                Vec::new()
            }
            Kind::Export(running) => running.done(run).await,
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
    fn start(
        source: &ExportSource,
        plan: &Plan,
        members: Option<BTreeSet<String>>,
        progress: &Progress,
    ) -> Result<Self> {
        let folder = plan.export.clone().expect("a plan of an export has its folder");
        let mut settings = source.settings.clone();
        settings.request.since.clone_from(&plan.since);
        let follow = source.increments.as_ref().is_some_and(Increments::follow_members);
        let (to, arrivals) = channel();
        let performance = Performance {
            job: ExportJob::open(settings.clone(), &folder, Clock::System, progress.observer())?,
            settings,
            folder: folder.clone(),
            observer: progress.observer(),
            follow,
            before: members,
            ask_history: plan.since.is_some()
                && source.increments.as_ref().is_some_and(|i| i.history_of_new_members),
            to,
        };
        let (stop, stopped) = oneshot::channel();
        let runtime = Handle::current();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = performance.perform() => {}
                    _ = stopped => {}
                }
            });
        });
        let (stop, thread) = (Some(stop), Some(thread));
        let source = source.clone();
        let (deleted, members, errors, whole) = (Vec::new(), None, 0, None);
        Ok(Self { source, folder, arrivals, stop, thread, deleted, members, errors, whole })
    }

    /// Waits for a file, and takes those that arrived with it.
    fn next(&mut self) -> Option<Result<Inputs>> {
        let (mut files, mut bytes) = (Vec::new(), 0);
        while self.whole.is_none() && bytes < PART_BYTES {
            match self.arrival(files.is_empty()) {
                Ok(Arrival::File(folder, file)) if file.section == "output" => {
                    bytes += file.bytes;
                    files.push((folder, *file));
                }
                Ok(Arrival::File(folder, file)) if file.section == "deleted" => {
                    self.deleted.extend(file.parts.iter().map(|part| folder.join(part)));
                }
                Ok(Arrival::File(..)) => {}
                Ok(Arrival::Members(members, errors)) => {
                    (self.members, self.errors) = (Some(members), errors);
                }
                Ok(Arrival::Failed(error)) => {
                    return Some(Err(error.within("export", self.folder.display())));
                }
                Ok(Arrival::Whole(whole)) => self.whole = Some(whole),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Some(Err(broken_off())),
            }
        }
        files.retain(|(_, file)| !file.parts.is_empty());
        (!files.is_empty()).then(|| inputs(&files))
    }

    fn arrival(&self, wait: bool) -> Result<Arrival, TryRecvError> {
        if wait {
            return self.arrivals.recv().map_err(|_| TryRecvError::Disconnected);
        }
        self.arrivals.try_recv()
    }

    async fn done(mut self, run: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some((mut job, _)) = self.whole.take().map(|whole| *whole) {
            warnings.extend(job.finish().await.unwrap_or_else(|error| Some(error.to_string())));
        }
        let noted = self.source.exports().loaded(&self.folder, run, Timestamp::now());
        warnings.extend(noted.err().map(|error| error.to_string()));
        warnings
    }
}

/// What is asked of the server for one run, one job after the other: many servers take one at a time.
struct Performance {
    settings: Settings,
    folder: PathBuf,
    /// The main one.
    job: ExportJob,
    observer: Observer,
    /// Whether members are followed.
    follow: bool,
    /// Who they were at the last run, if there was one.
    before: Option<BTreeSet<String>>,
    /// Whether the history of new members is asked for.
    ask_history: bool,
    to: Sender<Arrival>,
}

impl Performance {
    async fn perform(mut self) {
        let before = self.before.take();
        let members = if self.follow { self.members(before).await.map(Some) } else { Ok(None) };
        let (folder, to) = (self.folder, self.to);
        // Nobody listens to an export whose run has failed; it is about to be stopped.
        let tell = |arrival| drop(to.send(arrival));
        let members = match members {
            Ok(members) => members,
            Err(error) => return tell(Arrival::Failed(error)),
        };
        if let Some((members, errors)) = members {
            tell(Arrival::Members(members, errors));
        }
        let mut job = self.job;
        let each = |file: &StoredFile| tell(Arrival::File(folder.clone(), Box::new(file.clone())));
        let complete = job.run(each).await;
        tell(match complete {
            Ok(complete) => Arrival::Whole(Box::new((job, complete))),
            Err(error) => Arrival::Failed(error),
        });
    }

    /// Who belongs to the group; hands on the history of those who are new, if it is asked for.
    async fn members(&self, before: Option<BTreeSet<String>>) -> Result<(Members, u64)> {
        let mut stored = Vec::new();
        let request = roster::request(&self.settings.request);
        let mut errors = self.ask("roster", request, |_, file| stored.push(file.clone())).await?;
        let folder = self.folder.join("roster");
        let output = stored.into_iter().filter(|file| file.section == "output");
        let files: Vec<_> = output.map(|file| (folder.clone(), file)).collect();
        let mut now = if files.is_empty() {
            BTreeSet::new()
        } else {
            roster::patients(inputs(&files)?, &ingest::Options::default(), 1)?
        };
        if errors > 0 {
            // Who is missing in a list that is not whole has not left.
            now.extend(before.iter().flatten().cloned());
        }
        let members = Members::since(before.as_ref(), now);
        if self.ask_history && !members.new.is_empty() {
            let request = roster::history(&self.settings.request, &members.new);
            let tell = |folder: &Path, file: &StoredFile| {
                drop(self.to.send(Arrival::File(folder.to_owned(), Box::new(file.clone()))));
            };
            errors += self.ask(NEW_MEMBERS, request, tell).await?;
        }
        Ok((members, errors))
    }

    /// Performs an export in a folder of its own; its job is deleted at once, so that the next may begin. Gives how many
    /// errors the server reported.
    async fn ask(
        &self,
        name: &str,
        request: ExportRequest,
        mut each: impl FnMut(&Path, &StoredFile),
    ) -> Result<u64> {
        let folder = self.folder.join(name);
        let settings = Settings { request, ..self.settings.clone() };
        let mut job = ExportJob::open(settings, &folder, Clock::System, self.observer.clone())?;
        let complete = job.run(|file| each(&folder, file)).await?;
        // A job that stays on the server is told by the main one, whose end is the same.
        drop(job.finish().await);
        Ok(complete.errors)
    }
}

/// The export panicked, or the program is being stopped.
fn broken_off() -> Error {
    Error::new(ErrorKind::TryLater, "the export broke off; nothing was committed")
        .hint("run again: it goes on")
}

/// The files, each in its folder, as input, with what the manifest says of them.
fn inputs(files: &[(PathBuf, StoredFile)]) -> Result<Inputs> {
    let of_file = |(folder, file): &(PathBuf, StoredFile)| {
        let path = |part: &PathBuf| folder.join(part).to_string_lossy().into_owned();
        file.parts.iter().map(path).collect::<Vec<_>>()
    };
    let paths: Vec<_> = files.iter().flat_map(of_file).collect();
    let mut inputs = ingest::discover(&paths)?;
    let parts = files.iter().flat_map(|(_, file)| file.parts.iter().map(move |_| file));
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
