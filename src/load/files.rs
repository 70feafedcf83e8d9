//! File drops: one file a table, and a manifest that is written last, in a folder or below a prefix of an object store.
//!
//! ```text
//! <path>/<run>/<table>.csv …      one drop
//! <path>/<run>/manifest.json      what is in it; a drop without one is not whole
//! <path>/latest                   the name of the newest drop that is whole
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rows::{self, FileRows, hexadecimal};
use super::stream::{Stream, stream};
use super::{Encoder, FileFormat, LoadedTable, TableVersion, broken};
use crate::clock::Clock;
use crate::durable::{self, Readers};
use crate::error::{Error, ErrorKind, Result};
use crate::objects::{self, StoreSettings};

/// A folder or a prefix, and what is written there.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// The folder, or the url of the prefix.
    pub(super) path: String,
    pub(super) format: FileFormat,
    pub(super) store: StoreSettings,
}

/// Names of a drop's last files.
const MANIFEST: &str = "manifest.json";
const LATEST: &str = "latest";

/// Bytes that are written at a time: a part of an upload.
const CHUNK: usize = 8 << 20;

/// What a drop holds.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// The run that wrote it.
    run: String,
    /// When it was whole, RFC 3339.
    time: String,
    format: String,
    tables: Vec<ManifestTable>,
}

/// One file of a drop.
#[derive(Debug, Serialize, Deserialize)]
struct ManifestTable {
    table: String,
    /// The Delta version.
    version: u64,
    file: String,
    rows: u64,
    bytes: u64,
    sha256: String,
    columns: Vec<ManifestColumn>,
    /// Distinguishes this content from that of another table with the same name and version.
    content: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ManifestColumn {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

/// Where a drop is written.
enum Place {
    Folder(PathBuf),
    Store(Arc<dyn ObjectStore>, ObjectPath),
}

impl Files {
    /// Writes a drop named by the run, unless the newest one has these versions.
    pub(super) async fn load(
        &self,
        tables: &[TableVersion],
        run: &str,
        encoder: Encoder,
    ) -> Result<Vec<LoadedTable>> {
        let place = if objects::is_url(&self.path) {
            let (store, prefix) = objects::open(&self.path, &self.store)?;
            Place::Store(store, prefix)
        } else {
            Place::Folder(PathBuf::from(&self.path))
        };
        if place.newest().await?.is_some_and(|newest| newest.is_of(tables, self.format)) {
            return Ok(tables.iter().map(LoadedTable::present).collect());
        }
        place.begin(run)?;
        let mut written = Vec::new();
        for table in tables {
            let file = format!("{}.{}", table.name, extension(self.format));
            let wrote = self.write(&place, run, &file, table, encoder).await;
            written.push(wrote.map_err(|e| e.within("table", &table.name))?);
        }
        let loaded = tables.iter().zip(&written);
        let loaded = loaded.map(|(table, file)| LoadedTable::written(table, file.rows)).collect();
        let manifest = Manifest {
            run: run.to_owned(),
            time: Clock::System.now().to_string(),
            format: extension(self.format).to_owned(),
            tables: written,
        };
        let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        place.conclude(run, &json).await?;
        Ok(loaded)
    }

    async fn write(
        &self,
        place: &Place,
        run: &str,
        file: &str,
        table: &TableVersion,
        encoder: Encoder,
    ) -> Result<ManifestTable> {
        let schema = rows::plain(&table.schema);
        let mut chunks = encode(table.clone(), schema.clone(), self.format, encoder);
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        let mut to = place.create(run, file).await?;
        while let Some(chunk) = chunks.next().await {
            digest.update(&chunk);
            bytes += chunk.len() as u64;
            to.write(chunk).await?;
        }
        let rows = chunks.end().await?;
        to.finish().await?;
        let column = |field: &Arc<arrow::datatypes::Field>| ManifestColumn {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
            comment: field.metadata().get("comment").cloned(),
        };
        Ok(ManifestTable {
            table: table.name.clone(),
            version: table.version,
            file: file.to_owned(),
            rows,
            bytes,
            sha256: hexadecimal(&digest.finalize()),
            columns: schema.fields().iter().map(column).collect(),
            content: content(table),
        })
    }
}

impl Manifest {
    /// Whether it lists these versions, and no other table.
    fn is_of(&self, tables: &[TableVersion], format: FileFormat) -> bool {
        let has = |table: &TableVersion| {
            self.tables.iter().any(|t| {
                (&t.table, t.version, &t.content) == (&table.name, table.version, &content(table))
            })
        };
        self.format == extension(format)
            && self.tables.len() == tables.len()
            && tables.iter().all(has)
    }
}

fn content(table: &TableVersion) -> String {
    let columns = rows::schema_fingerprint(&rows::plain(&table.schema));
    rows::fingerprint([columns, rows::files_fingerprint(table)])
}

fn extension(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Csv => "csv",
        FileFormat::Ndjson => "ndjson",
        FileFormat::Parquet => "parquet",
    }
}

/// Encodes all rows of a version on a thread; gives their number.
fn encode(
    table: TableVersion,
    schema: SchemaRef,
    format: FileFormat,
    encoder: Encoder,
) -> Stream<u64> {
    stream(CHUNK, move |to| {
        let failed = |e| broken("encode the rows", e);
        let mut sink = encoder(format, Box::new(to), &schema).map_err(failed)?;
        let mut rows = 0;
        for file in &table.files {
            for batch in FileRows::open(file, &schema)? {
                let batch = batch?;
                rows += batch.num_rows() as u64;
                sink(Some(&batch)).map_err(failed)?;
            }
        }
        sink(None).map_err(failed)?;
        Ok(rows)
    })
}

/// A file of a drop that is being written.
enum Writing {
    File(PathBuf, std::fs::File),
    Upload(WriteMultipart),
}

impl Writing {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match self {
            Self::File(path, file) => {
                file.write_all(&chunk).map_err(|e| durable::output_error("write", path, e))
            }
            Self::Upload(upload) => {
                // Parts that wait for the network are held in memory.
                upload.wait_for_capacity(4).await.map_err(|e| store_error(&e))?;
                upload.put(chunk);
                Ok(())
            }
        }
    }

    async fn finish(self) -> Result<()> {
        match self {
            Self::File(path, _) => durable::sync_file(&path),
            Self::Upload(upload) => {
                durable::step();
                upload.finish().await.map(|_| ()).map_err(|e| store_error(&e))
            }
        }
    }
}

impl Place {
    /// The manifest of the newest drop, if there is one that can be read.
    async fn newest(&self) -> Result<Option<Manifest>> {
        let Some(run) = self.read(&[LATEST]).await? else { return Ok(None) };
        let run = String::from_utf8_lossy(&run).trim().to_owned();
        let manifest = self.read(&[&run, MANIFEST]).await?;
        Ok(manifest.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    async fn read(&self, parts: &[&str]) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => {
                let path = below(folder, parts);
                match std::fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(e) => Err(durable::output_error("read", &path, e)),
                }
            }
            Self::Store(store, prefix) => match store.get(&object(prefix, parts)).await {
                Ok(found) => {
                    found.bytes().await.map(|b| Some(b.to_vec())).map_err(|e| store_error(&e))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(store_error(&e)),
            },
        }
    }

    /// A folder for the drop: what an earlier try of the run left in it goes.
    fn begin(&self, run: &str) -> Result<()> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let drop = folder.join(run);
        durable::remove_folder(&drop)?;
        durable::create_folder(&drop)
    }

    async fn create(&self, run: &str, file: &str) -> Result<Writing> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(run).join(file);
                let created = durable::create_file(&path)?;
                Ok(Writing::File(path, created))
            }
            Self::Store(store, prefix) => {
                let begun = store.put_multipart(&object(prefix, &[run, file])).await;
                let upload = begun.map_err(|e| store_error(&e))?;
                Ok(Writing::Upload(WriteMultipart::new_with_chunk_size(upload, CHUNK)))
            }
        }
    }

    /// Writes the manifest, then says that the drop is the newest.
    async fn conclude(&self, run: &str, manifest: &[u8]) -> Result<()> {
        let latest = format!("{run}\n").into_bytes();
        match self {
            Self::Folder(folder) => {
                let drop = folder.join(run);
                durable::write_whole(&drop.join(MANIFEST), manifest, Readers::Usual)?;
                durable::write_whole(&folder.join(LATEST), &latest, Readers::Usual)
            }
            Self::Store(store, prefix) => {
                let last = [(object(prefix, &[run, MANIFEST]), manifest.to_vec())];
                for (path, content) in last.into_iter().chain([(object(prefix, &[LATEST]), latest)])
                {
                    durable::step();
                    store.put(&path, content.into()).await.map_err(|e| store_error(&e))?;
                }
                Ok(())
            }
        }
    }
}

fn below(folder: &Path, parts: &[&str]) -> PathBuf {
    parts.iter().fold(folder.to_owned(), |path, part| path.join(part))
}

fn object(prefix: &ObjectPath, parts: &[&str]) -> ObjectPath {
    prefix.parts().chain(parts.iter().map(|part| (*part).into())).collect()
}

/// An error of the object store, without what it may say of headers.
fn store_error(error: &object_store::Error) -> Error {
    let (kind, what) = match error {
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => {
            (ErrorKind::Refused, "the object store refuses to be written to")
        }
        object_store::Error::NotFound { .. } => {
            (ErrorKind::Refused, "the object store has no such bucket")
        }
        _ => (ErrorKind::TryLater, "the object store cannot be written to"),
    };
    Error::new(kind, what)
        .hint("check the url and `store`: region, endpoint, keys; or the variables `AWS_…`")
}
