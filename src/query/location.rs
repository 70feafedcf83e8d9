//! Where the tables of a warehouse are: in folders, or below a prefix of an object store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::{DeltaTableBuilder, DeltaTableError, ensure_table_uri};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::objects::{self, StoreSettings};

/// The logs of the tables of a warehouse, by name.
pub(super) type Logs = BTreeMap<String, LogStoreRef>;

/// The tables of the warehouse at this path or url. Errors as [`super::Engine::open`].
pub(super) async fn logs(location: &str, settings: &StoreSettings) -> Result<Logs> {
    let logs = if objects::is_url(location) {
        let (store, prefix) = objects::open(location, settings)?;
        store_logs(location, &store, &prefix).await?
    } else {
        folder_logs(Path::new(location))?
    };
    if logs.is_empty() {
        let message = format!("the warehouse `{location}` holds no tables");
        return Err(Error::new(ErrorKind::Input, message)
            .hint("run a pipeline into it first, or name another one with `--warehouse`"));
    }
    Ok(logs)
}

/// The tables below a prefix of a store.
pub(super) async fn store_logs(
    location: &str,
    store: &Arc<dyn ObjectStore>,
    prefix: &ObjectPath,
) -> Result<Logs> {
    let failed = |e: object_store::Error| {
        Error::new(ErrorKind::Input, format!("cannot read the warehouse `{location}`: {e}"))
            .caused_by(e)
            .hint("check the url, and that the store's keys may read there")
    };
    let mut logs = Logs::new();
    for path in store.list_with_delimiter(Some(prefix)).await.map_err(failed)?.common_prefixes {
        let Some(name) = path.filename().filter(|name| is_table_name(name)) else { continue };
        let entry = store.list(Some(&path.clone().join("_delta_log"))).try_next().await;
        if entry.map_err(failed)?.is_some() {
            let url = Url::parse(&format!("{}/{name}/", location.trim_end_matches('/')));
            let url = url.map_err(|e| {
                Error::new(ErrorKind::Input, format!("`{location}` is no url: {e}"))
            })?;
            let table = Arc::new(PrefixStore::new(store.clone(), path.clone()));
            let options = StorageConfig::default();
            logs.insert(name.to_owned(), default_logstore(table, store.clone(), &url, &options));
        }
    }
    Ok(logs)
}

/// The folders of a warehouse that are Delta tables.
fn folder_logs(warehouse: &Path) -> Result<Logs> {
    let unreadable = |e| {
        Error::io(ErrorKind::Input, "read the warehouse", warehouse, e)
            .hint("name the folder that `kiln run` wrote to with `--warehouse`")
    };
    let root = warehouse.canonicalize().map_err(unreadable)?;
    let mut logs = Logs::new();
    for entry in root.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if is_table_name(name) && has_version(&path) {
            logs.insert(name.to_owned(), folder_log(name, &path)?);
        }
    }
    Ok(logs)
}

fn folder_log(name: &str, folder: &Path) -> Result<LogStoreRef> {
    let unreadable = |e: DeltaTableError| unreadable(name, e).at("folder", folder.display());
    let path = folder.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Input, "the warehouse has a path that is not UTF-8")
            .at("folder", folder.display())
    })?;
    let builder = ensure_table_uri(path).and_then(DeltaTableBuilder::from_url);
    builder.and_then(|builder| builder.build_storage()).map_err(unreadable)
}

/// A table that cannot be opened.
pub(super) fn unreadable(name: &str, error: DeltaTableError) -> Error {
    let message = format!("cannot open the table `{name}`: {error}");
    Error::new(ErrorKind::Warehouse, message).caused_by(error)
}

fn is_table_name(name: &str) -> bool {
    !name.starts_with("_kiln") && !name.starts_with('.')
}

/// Whether a folder has a Delta log with an entry. A log without one is what a run leaves that is killed before its
/// first commit: there is no table yet.
fn has_version(folder: &Path) -> bool {
    let is_entry = |name: &Path| name.extension().is_some_and(|e| e == "json" || e == "parquet");
    let log = folder.join("_delta_log").read_dir();
    log.is_ok_and(|entries| entries.flatten().any(|entry| is_entry(&entry.path())))
}
