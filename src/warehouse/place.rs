//! Where a table lies: in a folder, or in an object store.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::{DeltaTableBuilder, DeltaTableError, ensure_table_uri};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use super::part::PartFile;
use super::table_file::TableFile;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// Objects that are loaded at once.
const LOADS: usize = 8;

/// Bytes that are sent at once; larger files are sent in parts of this size.
const SEND_BYTES: usize = 16 << 20;

/// Where a table lies, or could.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Folder(PathBuf),
    Objects(Objects),
}

/// A prefix in an object store.
#[derive(Clone)]
pub(super) struct Objects {
    /// Its root is that of the bucket.
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    url: Url,
}

/// Stores can hold secrets.
impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Objects").field(&self.url.as_str()).finish()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Objects(objects) => objects.url.fmt(f),
        }
    }
}

impl Place {
    /// Where the log is read and written; the table need not exist.
    pub(super) fn log_store(&self) -> Result<LogStoreRef> {
        match self {
            Self::Folder(folder) => {
                let text = folder.to_str().ok_or_else(|| {
                    Error::new(ErrorKind::Warehouse, format!("`{self}` is not valid UTF-8"))
                        .hint("Delta logs need a path of valid Unicode")
                })?;
                let builder = ensure_table_uri(text).and_then(DeltaTableBuilder::from_url);
                builder.and_then(|b| b.build_storage()).map_err(|e| self.read_error(e))
            }
            Self::Objects(objects) => Ok(objects.log_store()),
        }
    }

    /// Whether there is a Delta log with an entry.
    pub(super) async fn is_table(&self) -> Result<bool> {
        match self {
            Self::Folder(folder) => Ok(super::is_table(folder)),
            Self::Objects(objects) => {
                let log = objects.prefix.clone().join("_delta_log");
                let mut entries = objects.store.list(Some(&log));
                let first = entries.try_next().await.map_err(|e| self.store_error("read", e))?;
                Ok(first.is_some())
            }
        }
    }

    /// Where a file lies: in an object store, its place in the bucket.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Objects(objects) => PathBuf::from(objects.object(name).as_ref()),
        }
    }

    /// Brings part files to where the table is, durably: the log must not name a file that a power cut takes away.
    pub(super) async fn take_in(&self, parts: &[PartFile]) -> Result<()> {
        match self {
            Self::Folder(folder) => move_into(folder, parts),
            Self::Objects(objects) => {
                for part in parts {
                    durable::step();
                    self.send(objects, &part.path).await?;
                }
                Ok(())
            }
        }
    }

    /// delta-rs renames a log entry into place but does not make it durable.
    pub(super) fn sync_log(&self, version: u64) -> Result<()> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let log = folder.join("_delta_log");
        durable::sync_file(&log.join(format!("{version:020}.json")))?;
        durable::sync_folder(&log)
    }

    /// The files with paths on this machine: those of an object store are loaded into a folder.
    pub(super) async fn fetch(&self, files: Vec<TableFile>, into: &Path) -> Result<Vec<TableFile>> {
        let Self::Objects(objects) = self else { return Ok(files) };
        durable::create_folder(into)?;
        let load = |mut file: TableFile| async {
            let to = into.join(&file.name);
            self.load(objects, &objects.object(&file.name), &to).await?;
            file.path = to;
            Ok(file)
        };
        // Collected, because a stream of futures made by a closure that borrows is not `Send`.
        let loads: Vec<_> = files.into_iter().map(load).collect();
        stream::iter(loads).buffered(LOADS).try_collect().await
    }

    /// The Parquet files that are there, whether the table has them or not: their names and bytes.
    pub(super) async fn parquet_files(&self) -> Result<Vec<(String, u64)>> {
        let mut files = match self {
            Self::Folder(folder) => parquet_files(folder)?,
            Self::Objects(objects) => {
                let listed = objects.store.list_with_delimiter(Some(&objects.prefix)).await;
                let listed = listed.map_err(|e| self.store_error("read", e))?.objects.into_iter();
                let named = |object: object_store::ObjectMeta| {
                    Some((object.location.filename()?.to_owned(), object.size))
                };
                listed.filter_map(named).collect()
            }
        };
        files.retain(|(name, _)| Path::new(name).extension().is_some_and(|e| e == "parquet"));
        files.sort_unstable();
        Ok(files)
    }

    /// Removes a file.
    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        durable::step();
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                fs::remove_file(&path).map_err(|e| durable::output_error("remove", &path, e))
            }
            Self::Objects(objects) => {
                let removed = objects.store.delete(&objects.object(name)).await;
                removed.map_err(|e| self.store_error("remove from", e))
            }
        }
    }

    /// A store and a path in it, for files that are read in place.
    pub(super) fn objects(&self) -> Option<&Objects> {
        match self {
            Self::Folder(_) => None,
            Self::Objects(objects) => Some(objects),
        }
    }

    /// A failure to read the table or its log.
    pub(super) fn read_error(&self, error: DeltaTableError) -> Error {
        Error::new(ErrorKind::Warehouse, format!("cannot read `{self}`: {error}")).caused_by(error)
    }

    async fn send(&self, objects: &Objects, path: &Path) -> Result<()> {
        let failed = |e| self.store_error("write to", e);
        let unreadable = |e| Error::io(ErrorKind::Output, "read", path, e);
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        let mut file = File::open(path).map_err(unreadable)?;
        let to = objects.object(name);
        if file.metadata().map_err(unreadable)?.len() <= SEND_BYTES as u64 {
            let content = next_bytes(&mut file).map_err(unreadable)?;
            return objects.store.put(&to, content.into()).await.map(drop).map_err(failed);
        }
        let mut upload = objects.store.put_multipart(&to).await.map_err(failed)?;
        loop {
            let content = next_bytes(&mut file).map_err(unreadable)?;
            if content.is_empty() {
                return upload.complete().await.map(drop).map_err(failed);
            }
            if let Err(e) = upload.put_part(content.into()).await {
                // What was sent is paid for until it is given up.
                let _ = upload.abort().await;
                return Err(failed(e));
            }
        }
    }

    async fn load(&self, objects: &Objects, from: &ObjectPath, to: &Path) -> Result<()> {
        let failed = |e| self.store_error("read", e);
        let mut content = objects.store.get(from).await.map_err(failed)?.into_stream();
        let mut file = durable::create_file(to)?;
        while let Some(bytes) = content.try_next().await.map_err(failed)? {
            std::io::Write::write_all(&mut file, &bytes)
                .map_err(|e| durable::output_error("write", to, e))?;
        }
        Ok(())
    }

    fn store_error(&self, doing: &str, error: object_store::Error) -> Error {
        Error::new(ErrorKind::Output, format!("cannot {doing} `{self}`: {error}"))
            .caused_by(error)
            .hint("check the store's address, and that its keys may read and write there")
    }
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: ObjectPath, url: Url) -> Self {
        Self { store, prefix, url }
    }

    /// What lies below.
    pub(super) fn below(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{name}/", url.path().trim_end_matches('/')));
        Self { store: self.store.clone(), prefix: self.prefix.clone().join(name), url }
    }

    /// The names that lie below, as if the store had folders.
    pub(super) async fn folders(&self) -> Result<Vec<String>> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|e| Place::Objects(self.clone()).store_error("read", e))?;
        let names = listed.common_prefixes.into_iter();
        Ok(names.filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Loads objects of the bucket into a folder, under their own names.
    pub(super) async fn load_all(&self, paths: &[PathBuf], into: &Path) -> Result<Vec<PathBuf>> {
        durable::create_folder(into)?;
        let place = Place::Objects(self.clone());
        let load = |path: &PathBuf| {
            let (from, place) = (ObjectPath::from(path.to_string_lossy().as_ref()), place.clone());
            let to = into.join(path.file_name().unwrap_or_default());
            async move {
                place.load(self, &from, &to).await?;
                Ok(to)
            }
        };
        let loads: Vec<_> = paths.iter().map(load).collect();
        stream::iter(loads).buffered(LOADS).try_collect().await
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub(super) fn object(&self, name: &str) -> ObjectPath {
        self.prefix.clone().join(name)
    }

    fn log_store(&self) -> LogStoreRef {
        let table = PrefixStore::new(self.store.clone(), self.prefix.clone());
        let options = StorageConfig::default();
        default_logstore(Arc::new(table), self.store.clone(), &self.url, &options)
    }
}

fn next_bytes(file: &mut File) -> std::io::Result<Bytes> {
    let mut content = Vec::new();
    file.take(SEND_BYTES as u64).read_to_end(&mut content)?;
    Ok(content.into())
}

/// Renames part files into the table's folder.
fn move_into(folder: &Path, parts: &[PartFile]) -> Result<()> {
    durable::create_folder(&folder.join("_delta_log"))?;
    for part in parts {
        if let Some(name) = part.path.file_name() {
            durable::rename(&part.path, &folder.join(name))?;
        }
    }
    durable::sync_folder(folder)?;
    folder.parent().map_or(Ok(()), durable::sync_folder)
}

fn parquet_files(folder: &Path) -> Result<Vec<(String, u64)>> {
    let failed = |e| Error::io(ErrorKind::Input, "read", folder, e);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        if let (Ok(name), true) = (entry.file_name().into_string(), metadata.is_file()) {
            files.push((name, metadata.len()));
        }
    }
    Ok(files)
}
