//! A source in an object store: its objects are loaded into a folder of the pipeline and read there as files.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use futures::{StreamExt, TryStreamExt, stream};
use glob::{MatchOptions, Pattern};
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use tokio::runtime::Handle;

use crate::durable::{self, Readers};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{self, Inputs, is_input};
use crate::objects::{self, StoreSettings};

/// So many objects are loaded at a time.
const AT_A_TIME: usize = 8;

/// Held while a run uses the folder.
const LOCK: &str = ".lock";

/// Objects below prefixes of an object store.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    /// Objects, prefixes or patterns, in this order.
    pub urls: Vec<String>,
    /// How the store is reached.
    pub store: StoreSettings,
    /// Where the objects are loaded to. PHI lies there.
    pub folder: PathBuf,
    /// Whether they stay there when the tables have them.
    pub keep: bool,
}

/// The loaded objects, which are this run's alone until it is dropped.
pub(super) struct LoadedObjects {
    folder: PathBuf,
    keep: bool,
    lock: File,
}

/// An object that is wanted, and where it goes.
struct Wanted {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    url: String,
    path: PathBuf,
}

impl ObjectSource {
    /// Loads what is not there yet, and gives it as input. Within a runtime.
    pub(super) fn open(&self) -> Result<(LoadedObjects, Inputs)> {
        durable::create_folder(&self.folder)?;
        let loaded = LoadedObjects {
            folder: self.folder.clone(),
            keep: self.keep,
            lock: lock(&self.folder.join(LOCK))?,
        };
        let runtime = Handle::current();
        // A thread of its own, because one of the runtime may not wait for the runtime.
        let load = || runtime.block_on(self.load());
        let paths = thread::scope(|scope| scope.spawn(load).join());
        let paths = paths.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((loaded, ingest::discover(&paths)?))
    }

    /// Gives the paths to read, in the order of the urls.
    async fn load(&self) -> Result<Vec<String>> {
        let (mut paths, mut wanted) = (Vec::new(), BTreeMap::new());
        for url in &self.urls {
            let (read, found) = self.find(url).await?;
            paths.extend(read.into_iter().map(|path| path.to_string_lossy().into_owned()));
            wanted.extend(found.into_iter().map(|object| (object.path.clone(), object)));
        }
        let expected: HashSet<_> =
            wanted.keys().flat_map(|path| [path.clone(), mark(path)]).collect();
        remove_others(&self.folder, &expected)?;
        let missing = wanted.into_values().filter(|object| !object.is_there());
        stream::iter(missing)
            .map(|object| async move { object.load().await })
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await?;
        Ok(paths)
    }

    /// The objects that a url names, and the paths to read for them.
    async fn find(&self, url: &str) -> Result<(Vec<PathBuf>, Vec<Wanted>)> {
        let (base, pattern) = split_pattern(url);
        let (store, prefix) = objects::open(base, &self.store)?;
        let (bucket, _) = objects::location(base)?;
        let folder = self.folder.join(&bucket);
        let failed = |e| objects::failed("list", url, &e);
        let listed: Vec<ObjectMeta> =
            store.list(Some(&prefix)).try_collect().await.map_err(failed)?;
        let wanted = |meta: ObjectMeta| Wanted {
            store: store.clone(),
            url: format!("s3://{bucket}/{}", meta.location),
            path: folder.join(meta.location.as_ref()),
            meta,
        };
        if listed.is_empty() && pattern.is_none() && !prefix.as_ref().is_empty() {
            // No prefix, but perhaps an object.
            let meta = store
                .get_opts(&prefix, GetOptions::new().with_head(true))
                .await
                .map_err(failed)?
                .meta;
            let object = wanted(meta);
            return Ok((vec![object.path.clone()], vec![object]));
        }
        let matcher = pattern.map(|of| matcher(url, of)).transpose()?;
        let is_wanted = |meta: &ObjectMeta| {
            is_read(&prefix, &meta.location) && matcher.as_ref().is_none_or(|m| m(&meta.location))
        };
        let mut found: Vec<_> = listed.into_iter().filter(is_wanted).map(wanted).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        if found.is_empty() {
            let message = format!("nothing to read in `{url}`");
            let hint = "objects whose names end in `.ndjson`, `.jsonl` or `.json`, plain or `.gz` or `.zst`, are read";
            return Err(Error::new(ErrorKind::Input, message).hint(hint));
        }
        let read = match pattern {
            Some(_) => found.iter().map(|object| object.path.clone()).collect(),
            None => vec![folder.join(prefix.as_ref())],
        };
        Ok((read, found))
    }
}

impl LoadedObjects {
    /// Where they lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tables have them: they go, unless they are kept.
    pub(super) fn done(self) -> Result<()> {
        if self.keep { Ok(()) } else { durable::remove_folder(&self.folder) }
    }
}

impl Drop for LoadedObjects {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked when the file is closed.
        let _ = self.lock.unlock();
    }
}

impl Wanted {
    /// Whether the object is there as it is in the store.
    fn is_there(&self) -> bool {
        let size = fs::metadata(&self.path).is_ok_and(|found| found.len() == self.meta.size);
        let marked = fs::read_to_string(mark(&self.path));
        size && marked.is_ok_and(|marked| Some(marked) == self.meta.e_tag)
    }

    /// Loads it, whole or not at all.
    async fn load(&self) -> Result<()> {
        let written = |path: &Path, e| durable::output_error("write", path, e);
        let failed = |e| objects::failed("load", &self.url, &e);
        durable::create_folder(self.path.parent().unwrap_or(&self.path))?;
        // The mark goes first: it is never of another content than that which is there.
        let _ = fs::remove_file(mark(&self.path));
        let part = beside(&self.path, "part");
        let mut file = durable::create_file(&part)?;
        let same = GetOptions { if_match: self.meta.e_tag.clone(), ..GetOptions::default() };
        let found = self.store.get_opts(&self.meta.location, same).await.map_err(failed)?;
        let (mut stream, mut size) = (found.into_stream(), 0);
        while let Some(bytes) = stream.try_next().await.map_err(failed)? {
            file.write_all(&bytes).map_err(|e| written(&part, e))?;
            size += bytes.len() as u64;
        }
        if size != self.meta.size {
            let message =
                format!("`{}` has {size} bytes; the list says {}", self.url, self.meta.size);
            return Err(Error::new(ErrorKind::TryLater, message)
                .hint("run again: it may have been written just now"));
        }
        file.sync_all().map_err(|e| written(&part, e))?;
        durable::rename(&part, &self.path)?;
        match &self.meta.e_tag {
            Some(tag) => durable::write_whole(&mark(&self.path), tag.as_bytes(), Readers::Usual),
            None => Ok(()),
        }
    }
}

/// Where the entity tag of a loaded object is. Names that begin with a dot are not read.
fn mark(path: &Path) -> PathBuf {
    beside(path, "etag")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{ending}"))
}

fn lock(path: &Path) -> Result<File> {
    let file = durable::create_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::Error(e)) => Err(durable::output_error("lock", path, e)),
        Err(fs::TryLockError::WouldBlock) => {
            let message = "another run is loading the objects of this source";
            Err(Error::new(ErrorKind::Output, message)
                .at("file", path.display())
                .hint("wait until it has ended"))
        }
    }
}

/// Removes files that are no longer in the store, and what killed runs left.
fn remove_others(folder: &Path, expected: &HashSet<PathBuf>) -> Result<()> {
    let cannot = |e| Error::io(ErrorKind::Output, "list", folder, e);
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        if entry.file_type().map_err(cannot)?.is_dir() {
            remove_others(&path, expected)?;
        } else if !expected.contains(&path) && entry.file_name() != LOCK {
            durable::step();
            fs::remove_file(&path).map_err(|e| durable::output_error("remove", &path, e))?;
        }
    }
    Ok(())
}

/// The part of a url before its first part with a pattern, and the pattern.
pub(super) fn split_pattern(url: &str) -> (&str, Option<&str>) {
    let Some(first) = url.find(['*', '?', '[']) else { return (url, None) };
    let end = url[..first].rfind('/').map_or(0, |slash| slash + 1);
    (&url[..end], Some(url))
}

/// Whether a key fits a pattern; `*` does not go beyond a `/`, `**` does.
fn matcher(url: &str, pattern: &str) -> Result<impl Fn(&ObjectPath) -> bool> {
    let key = pattern.trim_start_matches("s3://").split_once('/').map_or("", |(_, key)| key);
    let compiled = Pattern::new(key).map_err(|e| {
        Error::new(ErrorKind::Definition, format!("`{url}` is not a valid pattern: {}", e.msg))
    })?;
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
    Ok(move |location: &ObjectPath| compiled.matches_with(location.as_ref(), options))
}

/// Whether an object is read: as in folders, names that begin with `.` or `_` are not.
fn is_read(prefix: &ObjectPath, location: &ObjectPath) -> bool {
    let Some(mut below) = location.prefix_match(prefix) else { return false };
    is_input(Path::new(location.filename().unwrap_or_default()))
        && !below.any(|part| part.as_ref().starts_with(['.', '_']))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_keys() {
        for (url, base, matching, other) in [
            ("s3://b/p/*.ndjson", "s3://b/p/", "p/a.ndjson", "p/q/a.ndjson"),
            ("s3://b/p/**/*.ndjson.gz", "s3://b/p/", "p/q/r/a.ndjson.gz", "p/q/a.ndjson"),
            ("s3://b/20??/a.ndjson", "s3://b/", "2026/a.ndjson", "202/a.ndjson"),
            ("s3://b/*.json", "s3://b/", "a.json", "p/a.json"),
        ] {
            let (found, pattern) = split_pattern(url);
            assert_eq!(found, base, "{url}");
            let fits = matcher(url, pattern.unwrap()).unwrap();
            assert!(fits(&ObjectPath::from(matching)), "{url} {matching}");
            assert!(!fits(&ObjectPath::from(other)), "{url} {other}");
        }
        assert_eq!(split_pattern("s3://b/p"), ("s3://b/p", None));
        assert!(matcher("s3://b/a[", "s3://b/a[").is_err());
    }

    #[test]
    fn objects_are_read_by_their_names() {
        let prefix = ObjectPath::from("p/_q");
        for (key, expected) in [
            ("p/_q/Patient.ndjson", true),
            ("p/_q/r/Patient.000.NDJSON.GZ", true),
            ("p/_q/manifest.json", true),
            ("p/_q/notes.txt", false),
            ("p/_q/.hidden.ndjson", false),
            ("p/_q/_old/a.ndjson", false),
            ("p/r/a.ndjson", false),
        ] {
            assert_eq!(is_read(&prefix, &ObjectPath::from(key)), expected, "{key}");
        }
    }
}
