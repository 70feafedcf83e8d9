//! Delta commits: one version that replaces a table's files, with what it takes to do it once.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake::kernel::{
    Action, Add, MetadataExt, Protocol, StructType, Transaction, new_metadata,
};
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, ensure_table_uri};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::part::PartFile;
use super::{TableSnapshot, is_table, schema};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// Who commits, so that the same work is never committed twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The pipeline's name; the Delta transaction's application is `kiln:<pipeline>`.
    pub pipeline: String,
    /// The source of the rows: every file has rows of one source, in the column `_source`; null for one without a name.
    pub source: Option<String>,
    /// The transaction's number: grows from run to run of a pipeline, and a run that finishes
    /// what a crashed one began has that one's number.
    pub transaction: i64,
}

/// What became of a commit.
#[derive(Debug)]
pub struct Committed {
    /// The table's version that has the rows.
    pub version: u64,
    /// The table had this transaction before; nothing was changed.
    pub already: bool,
    /// Rows that went, where they were counted (not where whole files went).
    pub rows_gone: u64,
    /// Files that were read and written again without the rows that went.
    pub files_rewritten: usize,
    /// The commit stands, but a checkpoint of the log could not be written. The next one will be.
    pub warning: Option<Error>,
}

/// New content for a table.
pub(super) struct Replacement<'a> {
    pub(super) table: &'a str,
    pub(super) folder: &'a Path,
    pub(super) schema: &'a SchemaRef,
    pub(super) run: &'a str,
    pub(super) info: &'a CommitInfo,
}

/// A commit that waits for its files to be in the table's folder.
pub(super) struct PreparedCommit<'a> {
    replacement: &'a Replacement<'a>,
    existing: Option<DeltaTable>,
    actions: Vec<Action>,
}

/// The table in a folder, none if it has no log.
pub(super) async fn open(folder: &Path) -> Result<Option<DeltaTable>> {
    if !is_table(folder) {
        return Ok(None);
    }
    let failed = |e: DeltaTableError| {
        Error::new(ErrorKind::Warehouse, format!("cannot read `{}`: {e}", folder.display()))
            .caused_by(e)
            .hint("the Delta log is damaged, or made by a program with features unknown to Kiln")
    };
    builder(folder)?.load().await.map(Some).map_err(failed)
}

/// Files and schema of an open table.
pub(super) async fn snapshot(table: &DeltaTable, folder: &Path) -> Result<TableSnapshot> {
    let failed = |e| read_error(folder, e);
    let state = table.snapshot().map_err(failed)?;
    let log_store = table.log_store();
    let views = state.snapshot().file_views(log_store.as_ref(), None);
    let files = views.map_ok(|view| folder.join(view.path().as_ref()));
    let mut files: Vec<PathBuf> = files.try_collect().await.map_err(failed)?;
    files.sort_unstable();
    Ok(TableSnapshot { version: state.version(), schema: state.snapshot().arrow_schema(), files })
}

impl Replacement<'_> {
    /// The version to report if the table has this transaction, or a later one, already.
    pub(super) async fn already_committed(
        &self,
        existing: Option<&DeltaTable>,
    ) -> Result<Option<Committed>> {
        let Some(table) = existing else { return Ok(None) };
        let failed = |e| read_error(self.folder, e);
        let (state, log_store) = (table.snapshot().map_err(failed)?, table.log_store());
        let last = state.transaction_version(log_store.as_ref(), self.application());
        let done = last.await.map_err(failed)?.is_some_and(|last| last >= self.info.transaction);
        Ok(done.then(|| Committed {
            version: state.version(),
            already: true,
            rows_gone: 0,
            files_rewritten: 0,
            warning: None,
        }))
    }

    /// Works out the log entry: protocol and metadata where they change, removes, adds.
    pub(super) async fn prepare(
        &self,
        existing: Option<DeltaTable>,
        parts: &[PartFile],
    ) -> Result<PreparedCommit<'_>> {
        let columns = schema::to_delta(self.schema)?;
        let state = existing.as_ref().map(|table| table.snapshot());
        let state = state.transpose().map_err(|e| read_error(self.folder, e))?;
        let mut actions = vec![self.commit_info(state, parts)];
        actions.extend(self.protocol(state)?);
        actions.extend(self.metadata(state, &columns)?);
        if let Some(table) = &existing {
            actions.extend(self.removes(table, parts).await?);
        }
        for part in parts {
            actions.push(add(part)?);
        }
        Ok(PreparedCommit { replacement: self, existing, actions })
    }

    fn application(&self) -> String {
        format!("kiln:{}", self.info.pipeline)
    }

    fn commit_info(&self, state: Option<&DeltaTableState>, parts: &[PartFile]) -> Action {
        let mut info = operation().get_commit_info();
        info.timestamp = Some(now());
        info.read_version = state.map(DeltaTableState::version);
        info.is_blind_append = Some(false);
        info.engine_info = Some(format!("kiln/{}", env!("CARGO_PKG_VERSION")));
        let rows: u64 = parts.iter().map(|part| part.rows).sum();
        let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        info.info = HashMap::from([
            ("run".to_owned(), Value::from(self.run)),
            ("pipeline".to_owned(), Value::from(self.info.pipeline.as_str())),
            // Strings, as Spark writes them.
            (
                "operationMetrics".to_owned(),
                json!({
                    "numFiles": parts.len().to_string(),
                    "numOutputRows": rows.to_string(),
                    "numOutputBytes": bytes.to_string(),
                }),
            ),
        ]);
        Action::CommitInfo(info)
    }

    /// The least protocol that these columns need, if the table does not have it yet: readers from
    /// before table features keep working on tables without a `timestamp_ntz`.
    fn protocol(&self, state: Option<&DeltaTableState>) -> Result<Option<Action>> {
        let needs_feature = schema::has_timestamp_without_zone(self.schema);
        let protocol = match state {
            None if needs_feature => with_timestamp_ntz(&json!({})),
            None => json!({ "minReaderVersion": 1, "minWriterVersion": 2 }),
            Some(state) => {
                let current = json!(state.protocol());
                let missing = !names(&current["writerFeatures"]).contains(TIMESTAMP_NTZ);
                if !needs_feature || !missing {
                    return Ok(None);
                }
                with_timestamp_ntz(&current)
            }
        };
        let protocol: Protocol =
            serde_json::from_value(protocol).map_err(|e| self.no_action(&e))?;
        Ok(Some(Action::Protocol(protocol)))
    }

    /// The table's metadata, if it is new or the columns or their comments changed.
    fn metadata(
        &self,
        state: Option<&DeltaTableState>,
        columns: &StructType,
    ) -> Result<Option<Action>> {
        let metadata = match state {
            None => new_metadata(columns, Vec::<String>::new(), [CHECKPOINT_INTERVAL])
                .and_then(|metadata| metadata.with_name(self.table.to_owned())),
            Some(state) if !state.metadata().partition_columns().is_empty() => {
                let message = format!("the table `{}` is partitioned, so not of Kiln", self.table);
                return Err(Error::new(ErrorKind::Warehouse, message)
                    .at("path", self.folder.display())
                    .hint("move the table away or use another warehouse"));
            }
            Some(state) if state.schema().as_ref() == columns => return Ok(None),
            Some(state) => state.metadata().clone().with_schema(columns),
        };
        metadata.map(|m| Some(Action::Metadata(m))).map_err(|e| self.no_action(&e))
    }

    async fn removes(&self, table: &DeltaTable, parts: &[PartFile]) -> Result<Vec<Action>> {
        let failed = |e| read_error(self.folder, e);
        let state = table.snapshot().map_err(failed)?;
        let log_store = table.log_store();
        let views = state.snapshot().file_views(log_store.as_ref(), None);
        let removes: Vec<_> =
            views.map_ok(|view| view.remove_action(true)).try_collect().await.map_err(failed)?;
        let names: HashSet<_> = parts.iter().filter_map(|part| part.path.file_name()).collect();
        // Moving the new file in would change the version that has the old one.
        if let Some(remove) =
            removes.iter().find(|r| names.contains(r.path.as_ref() as &std::ffi::OsStr))
        {
            let message =
                format!("the table `{}` has a file `{}` already", self.table, remove.path);
            return Err(Error::new(ErrorKind::Warehouse, message)
                .hint("give each run an id of its own, and a transaction of its own"));
        }
        Ok(removes.into_iter().map(Action::Remove).collect())
    }

    fn no_action(&self, cause: &impl std::fmt::Display) -> Error {
        let message = format!("cannot describe the table `{}` to Delta: {cause}", self.table);
        Error::new(ErrorKind::Warehouse, message)
    }
}

impl PreparedCommit<'_> {
    /// Writes the log entry: from here on readers see the new rows.
    pub(super) async fn write(self) -> Result<Committed> {
        let Replacement { folder, info, .. } = self.replacement;
        let transaction = Transaction::new_with_last_update(
            self.replacement.application(),
            info.transaction,
            Some(now()),
        );
        // No retries: what another program commits in between would silently survive the replace.
        // No cleanup of the log: old versions stay readable.
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transaction(transaction);
        let state = self.existing.as_ref().map(DeltaTable::snapshot).transpose();
        let state = state.map_err(|e| read_error(folder, e))?;
        let commit = CommitBuilder::from(properties).with_actions(self.actions).build(
            state.map(|state| state as &dyn TableReference),
            log_store(folder)?,
            operation(),
        );
        let failed = |e| commit_error(folder, e);
        let written = commit.into_prepared_commit_future().await.map_err(failed)?;
        let written = written.await.map_err(failed)?;
        let version = written.version;
        sync_log(folder, version)?;
        let warning = written.await.err().map(failed);
        Ok(Committed { version, already: false, rows_gone: 0, files_rewritten: 0, warning })
    }
}

/// A table property: opening a table reads no more than so many log entries. delta-rs writes a
/// checkpoint every 100 versions otherwise, which makes a commit several times slower by then.
const CHECKPOINT_INTERVAL: (&str, &str) = ("delta.checkpointInterval", "10");

const TIMESTAMP_NTZ: &str = "timestampNtz";

/// A protocol with the feature added. Naming features turns the older versions' implied ones into
/// named ones (Delta protocol, "Table Features"); versions 3 and up of old writers are not Kiln's.
fn with_timestamp_ntz(current: &Value) -> Value {
    let (mut reader, mut writer) =
        (names(&current["readerFeatures"]), names(&current["writerFeatures"]));
    if writer.is_empty() {
        writer.extend(["appendOnly".to_owned(), "invariants".to_owned()]);
    }
    reader.insert(TIMESTAMP_NTZ.to_owned());
    writer.insert(TIMESTAMP_NTZ.to_owned());
    json!({
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": reader,
        "writerFeatures": writer,
    })
}

fn names(features: &Value) -> std::collections::BTreeSet<String> {
    let names = features.as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn add(part: &PartFile) -> Result<Action> {
    let name = part.path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| {
        Error::new(ErrorKind::Output, format!("`{}` is no file name", part.path.display()))
    })?;
    Ok(Action::Add(Add {
        path: name.to_owned(),
        size: part.bytes as i64,
        modification_time: now(),
        data_change: true,
        stats: Some(part.stats.clone()),
        ..Add::default()
    }))
}

fn operation() -> DeltaOperation {
    DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None }
}

fn log_store(folder: &Path) -> Result<LogStoreRef> {
    let builder = builder(folder)?;
    builder.build_storage().map_err(|e| read_error(folder, e))
}

/// delta-rs renames the entry into place but does not make it durable.
fn sync_log(folder: &Path, version: u64) -> Result<()> {
    let log = folder.join("_delta_log");
    durable::sync_file(&log.join(format!("{version:020}.json")))?;
    durable::sync_folder(&log)
}

fn builder(folder: &Path) -> Result<DeltaTableBuilder> {
    let text = folder.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Warehouse, format!("`{}` is not valid UTF-8", folder.display()))
            .hint("Delta logs need a path of valid Unicode")
    })?;
    ensure_table_uri(text).and_then(DeltaTableBuilder::from_url).map_err(|e| read_error(folder, e))
}

fn read_error(folder: &Path, error: DeltaTableError) -> Error {
    let message = format!("cannot read `{}`: {error}", folder.display());
    Error::new(ErrorKind::Warehouse, message).caused_by(error)
}

fn commit_error(folder: &Path, error: DeltaTableError) -> Error {
    let message = format!("cannot commit to `{}`: {error}", folder.display());
    Error::new(ErrorKind::Output, message)
        .caused_by(error)
        .hint("the table is unchanged; check disk space and that no other program writes to it")
}

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
