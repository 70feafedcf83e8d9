//! Warehouses by their addresses: folders, and prefixes in object stores.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use url::Url;

use super::place::{Objects, Place};
use super::{OWN_FOLDER, TableSnapshot, Warehouse, check_name, is_table};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::objects::{self, StoreSettings};

impl fmt::Display for Warehouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.objects {
            None => self.root.display().fmt(f),
            Some(objects) => Place::Objects(objects.clone()).fmt(f),
        }
    }
}

impl Warehouse {
    /// The warehouse at a path, as [`Warehouse::create_or_open`], or at the url of an object store (`s3://…`). What Kiln
    /// keeps beside tables in a store, the lock and the staging area too, lies in the folder `state`, which is made with
    /// the first change: all that write to the warehouse have to use the same.
    pub fn open_location(location: &str, state: &Path, store: &StoreSettings) -> Result<Self> {
        if !objects::is_url(location) {
            return Self::create_or_open(Path::new(location));
        }
        let (store, prefix) = objects::open(location, store)?;
        Self::in_store(location, state, store, prefix)
    }

    /// The warehouse below a prefix of a store.
    pub(super) fn in_store(
        url: &str,
        state: &Path,
        store: Arc<dyn ObjectStore>,
        prefix: ObjectPath,
    ) -> Result<Self> {
        let url = Url::parse(url).map_err(|e| {
            Error::new(ErrorKind::Definition, format!("`{url}` is no url: {e}"))
                .hint("write `s3://bucket/prefix`")
        })?;
        let root = match state.as_os_str() {
            none if none.is_empty() => PathBuf::new(),
            _ => std::path::absolute(state)
                .map_err(|e| Error::io(ErrorKind::Output, "find", state, e))?,
        };
        Ok(Self { root, objects: Some(Objects::new(store, prefix, url)) })
    }

    /// Where Kiln keeps what is not a table: `_kiln` in the warehouse, or the state folder of one in an object store.
    pub fn state_folder(&self) -> PathBuf {
        if self.objects.is_some() { self.root.clone() } else { self.root.join(OWN_FOLDER) }
    }

    /// The names of the tables, sorted.
    pub async fn table_names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for name in self.folders().await? {
            if self.place(&name)?.is_table().await? {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Copies of a table's files on this machine: the files themselves, or what is loaded of them into a folder.
    pub async fn local_files(&self, table: &TableSnapshot, into: &Path) -> Result<Vec<PathBuf>> {
        let Some(objects) = &self.objects else { return Ok(table.files.clone()) };
        objects.load_all(&table.files, into).await
    }

    /// The sorted names of what may be tables.
    pub(super) async fn folders(&self) -> Result<Vec<String>> {
        let mut names = match &self.objects {
            Some(objects) => objects.folders().await?,
            None => self.local_folders(|folder| folder.join("_delta_log").is_dir())?,
        };
        names.retain(|name| name != OWN_FOLDER && is_table_name(name));
        names.sort_unstable();
        Ok(names)
    }

    /// The names of the tables, sorted. In an object store, [`Warehouse::table_names`] has to be asked.
    pub fn tables(&self) -> Result<Vec<String>> {
        if self.objects.is_some() {
            let message = format!("the tables of `{self}` are not on this machine");
            return Err(Error::new(ErrorKind::Input, message));
        }
        let mut names = self.local_folders(is_table)?;
        names.sort_unstable();
        Ok(names)
    }

    fn local_folders(&self, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
        let failed = |e| Error::io(ErrorKind::Input, "read", &self.root, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let (Ok(name), true) = (entry.file_name().into_string(), is_wanted(&entry.path())) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The folder of what Kiln keeps, made if it is not there.
    pub(super) fn make_own_folder(&self) -> Result<PathBuf> {
        let folder = self.state_folder();
        if folder.as_os_str().is_empty() {
            let message = format!("`{self}` can only be read without a folder for the state");
            return Err(Error::new(ErrorKind::Usage, message)
                .hint("name the folder that its pipelines have as `state` with `--state DIR`"));
        }
        durable::create_folder(&folder)?;
        Ok(folder)
    }

    /// Where a table lies. Names are those of SQL on FHIR, with `_` in front for Kiln's own; a
    /// name can therefore not lead out of the warehouse.
    pub(super) fn place(&self, table: &str) -> Result<Place> {
        check_name("table", table, is_letter)?;
        if table == OWN_FOLDER {
            return Err(Error::new(ErrorKind::Definition, "`_kiln` cannot be the name of a table"));
        }
        Ok(match &self.objects {
            None => Place::Folder(self.root.join(table)),
            Some(objects) => Place::Objects(objects.below(table)),
        })
    }
}

fn is_table_name(name: &str) -> bool {
    check_name("table", name, is_letter).is_ok()
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
