//! Keeps the state on disk, for one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fingerprint::{differences, fingerprint};
use super::{ExportState, StoredFile, VERSION};
use crate::durable::{Readers, create_folder, output_error, write_whole};
use crate::error::{Error, ErrorKind, Result};
use crate::export::request::ExportRequest;

pub(super) const STATE: &str = "export.json";
const JOURNAL: &str = "export.journal";
const LOCK: &str = "export.lock";

/// The state of the export in a folder, which no other process may touch meanwhile.
#[derive(Debug)]
pub(in crate::export) struct Store {
    folder: PathBuf,
    /// Locked as long as this lives.
    lock: File,
    /// What is remembered; on disk after [`Self::save`].
    pub(in crate::export) state: ExportState,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
struct Note {
    /// Which job's file it is.
    job: u32,
    file: StoredFile,
}

impl Store {
    /// Takes hold of a folder, and of what was remembered there.
    ///
    /// # Errors
    /// Of kind `Output` if another process holds it or it cannot be written, of kind `Usage` if another request was
    /// begun there.
    pub(in crate::export) fn open(folder: &Path, request: &ExportRequest) -> Result<Self> {
        create_folder(folder)?;
        let lock = lock(folder)?;
        let asked = fingerprint(request);
        let state = match load(folder)? {
            Some(state) => {
                refuse_another(&state, &asked, folder)?;
                state
            }
            None => ExportState::new(asked),
        };
        let mut store = Self { folder: folder.to_owned(), lock, state };
        store.fold_journal()?;
        Ok(store)
    }

    /// Where it is.
    pub(in crate::export) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes all of it.
    pub(in crate::export) fn save(&self) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.state).expect("plain data");
        text.push(b'\n');
        write_whole(&self.folder.join(STATE), &text, Readers::Owner)
    }

    /// Remembers that a file is whole.
    pub(in crate::export) fn stored(&mut self, file: StoredFile) -> Result<()> {
        let note = Note { job: self.state.job, file };
        let mut line = serde_json::to_vec(&note).expect("plain data");
        line.push(b'\n');
        let path = self.folder.join(JOURNAL);
        // No fsync: being killed loses nothing, and after a power cut the file is only loaded once more.
        let mut journal = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|e| output_error("open", &path, e))?;
        journal.write_all(&line).map_err(|e| output_error("write", &path, e))?;
        self.state.stored.push(note.file);
        Ok(())
    }

    /// Writes all of it, after which no journal is needed.
    pub(in crate::export) fn save_and_fold(&mut self) -> Result<()> {
        self.save()?;
        let path = self.folder.join(JOURNAL);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(output_error("remove", &path, e)),
            _ => Ok(()),
        }
    }

    /// Takes over what the journal of an earlier start says.
    fn fold_journal(&mut self) -> Result<()> {
        let path = self.folder.join(JOURNAL);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(output_error("read", &path, e)),
        };
        // A last line that is cut off was being written when the process was killed; lines of another job are stale.
        let notes =
            text.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice::<Note>(l).ok());
        for Note { file, .. } in notes.filter(|note| note.job == self.state.job).collect::<Vec<_>>()
        {
            let known = |f: &StoredFile| (&f.section, f.index) == (&file.section, file.index);
            match self.state.stored.iter_mut().find(|f| known(f)) {
                Some(earlier) => *earlier = file,
                None => self.state.stored.push(file),
            }
        }
        self.save_and_fold()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Explicitly: a child process may have inherited the file. That it fails would mean it is not held.
        let _ = self.lock.unlock();
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| output_error("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::Output, "another process is at work on this export")
                .at("folder", folder.display())
                .hint("wait for it to end, or choose another folder"))
        }
        Err(TryLockError::Error(e)) => Err(output_error("lock", &path, e)),
    }
}

pub(super) fn load(folder: &Path) -> Result<Option<ExportState>> {
    let path = folder.join(STATE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(output_error("read", &path, e)),
    };
    let unreadable = |message: String| {
        Error::new(ErrorKind::Output, message)
            .at("file", path.display())
            .hint("choose another folder; or move this file away, and the export begins anew")
    };
    let state: ExportState = serde_json::from_slice(&text).map_err(|e| {
        unreadable("the state of the export cannot be understood".to_owned()).caused_by(e)
    })?;
    if state.version != VERSION {
        let version = state.version;
        return Err(unreadable(format!(
            "the state of the export has the form {version}, of another Kiln"
        )));
    }
    Ok(Some(state))
}

fn refuse_another(state: &ExportState, asked: &serde_json::Value, folder: &Path) -> Result<()> {
    let differences = differences(&state.request, asked);
    if differences.is_empty() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Usage, "another export was begun in this folder")
        .at("folder", folder.display());
    let error =
        differences.iter().fold(error, |error, difference| error.at("difference", difference));
    Err(error.hint("choose another folder, or ask for the same as before to go on with it"))
}
