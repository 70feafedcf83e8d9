//! Delta commits: one version that takes files out of a table and others in, with what it takes to do it once.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake::kernel::{
    Action, Add, MetadataExt, Protocol, StructType, Transaction, new_metadata,
};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableError};
use serde_json::{Value, json};

use super::part::PartFile;
use super::place::Place;
use super::schema;
use super::table_file::TableFile;
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

/// What a version does, in the log as `kilnOperation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Replace,
    Merge,
    Append,
    /// Old rows went as whole files.
    Expire,
    /// The rows stay the same.
    Optimize,
}

/// A version of a table in the making.
pub(super) struct Draft<'a> {
    pub(super) table: &'a str,
    pub(super) place: &'a Place,
    pub(super) operation: Operation,
    /// The columns; none if they stay as they are.
    pub(super) schema: Option<&'a SchemaRef>,
    pub(super) run: &'a str,
    /// For whom; maintenance is for nobody and has no transaction.
    pub(super) info: Option<&'a CommitInfo>,
    /// What leaves the table.
    pub(super) leaving: &'a [TableFile],
    /// What comes.
    pub(super) coming: &'a [PartFile],
}

/// The transaction application of a pipeline.
pub(super) fn application(pipeline: &str) -> String {
    format!("{APPLICATION}{pipeline}")
}

/// What the applications of pipelines begin with.
pub(super) const APPLICATION: &str = "kiln:";

/// The version of the table if it has this transaction, or a later one, already.
pub(super) async fn has_transaction(
    table: &DeltaTable,
    place: &Place,
    pipeline: &str,
    transaction: i64,
) -> Result<Option<u64>> {
    let failed = |e| place.read_error(e);
    let (state, log_store) = (table.snapshot().map_err(failed)?, table.log_store());
    let last = state.transaction_version(log_store.as_ref(), application(pipeline));
    let done = last.await.map_err(failed)?.is_some_and(|last| last >= transaction);
    Ok(done.then(|| state.version()))
}

impl Draft<'_> {
    /// Writes the log entry: from here on readers see the new rows. The files that come lie in the table's folder.
    pub(super) async fn write(&self, existing: Option<&DeltaTable>) -> Result<Committed> {
        let state = self.state(existing)?;
        let actions = self.actions(state)?;
        let commit = CommitBuilder::from(self.properties()).with_actions(actions).build(
            state.map(|state| state as &dyn TableReference),
            self.place.log_store()?,
            self.operation.delta(),
        );
        let failed = |e| commit_error(self.place, e);
        let prepared = commit.into_prepared_commit_future().await.map_err(failed)?;
        durable::step();
        let written = prepared.await.map_err(failed)?;
        let version = written.version;
        self.place.sync_log(version)?;
        let warning = written.await.err().map(failed);
        Ok(Committed { version, already: false, rows_gone: 0, files_rewritten: 0, warning })
    }

    /// Refuses files of a name that the table has: moving them in would change the version that has the old one.
    pub(super) fn check_names(&self, active: &[TableFile]) -> Result<()> {
        let names: BTreeSet<_> = self.coming.iter().filter_map(|p| p.path.file_name()).collect();
        let Some(file) = active.iter().find(|f| names.contains(OsStr::new(&f.name))) else {
            return Ok(());
        };
        let message = format!("the table `{}` has a file `{}` already", self.table, file.name);
        Err(Error::new(ErrorKind::Warehouse, message)
            .hint("give each run an id of its own, and a transaction of its own"))
    }

    fn state<'t>(&self, table: Option<&'t DeltaTable>) -> Result<Option<&'t DeltaTableState>> {
        table.map(DeltaTable::snapshot).transpose().map_err(|e| self.place.read_error(e))
    }

    /// Protocol and metadata where they change, removes, adds.
    fn actions(&self, state: Option<&DeltaTableState>) -> Result<Vec<Action>> {
        let mut actions = vec![self.commit_info(state)];
        if let Some(schema) = self.schema {
            actions.extend(self.protocol(schema, state)?);
            actions.extend(self.metadata(&schema::to_delta(schema)?, state)?);
        }
        let changes = self.operation != Operation::Optimize;
        for file in self.leaving {
            let mut remove = file.remove.clone();
            remove.data_change = changes;
            actions.push(Action::Remove(remove));
        }
        for part in self.coming {
            actions.push(Action::Add(add(part, changes)?));
        }
        Ok(actions)
    }

    fn properties(&self) -> CommitProperties {
        // No retries: what another program commits in between would silently survive the change.
        // No cleanup of the log: old versions stay readable.
        let properties =
            CommitProperties::default().with_max_retries(0).with_cleanup_expired_logs(Some(false));
        let Some(info) = self.info else { return properties };
        let application = application(&info.pipeline);
        properties.with_application_transaction(Transaction::new_with_last_update(
            application,
            info.transaction,
            Some(now()),
        ))
    }

    fn commit_info(&self, state: Option<&DeltaTableState>) -> Action {
        let mut info = self.operation.delta().get_commit_info();
        info.timestamp = Some(now());
        info.read_version = state.map(DeltaTableState::version);
        info.is_blind_append = Some(false);
        info.engine_info = Some(format!("kiln/{}", env!("CARGO_PKG_VERSION")));
        let rows: u64 = self.coming.iter().map(|part| part.rows).sum();
        let bytes: u64 = self.coming.iter().map(|part| part.bytes).sum();
        info.info = HashMap::from([
            ("kilnOperation".to_owned(), Value::from(self.operation.name())),
            // Strings, as Spark writes them.
            (
                "operationMetrics".to_owned(),
                json!({
                    "numFiles": self.coming.len().to_string(),
                    "numOutputRows": rows.to_string(),
                    "numOutputBytes": bytes.to_string(),
                    "numRemovedFiles": self.leaving.len().to_string(),
                }),
            ),
        ]);
        if self.operation != Operation::Optimize {
            info.info.insert("run".to_owned(), Value::from(self.run));
        }
        if let Some(by) = self.info {
            info.info.insert("pipeline".to_owned(), Value::from(by.pipeline.as_str()));
            info.info.extend(by.source.clone().map(|s| ("source".to_owned(), Value::from(s))));
        }
        Action::CommitInfo(info)
    }

    /// The least protocol that these columns need, if the table does not have it yet: readers from
    /// before table features keep working on tables without a `timestamp_ntz`.
    fn protocol(
        &self,
        schema: &SchemaRef,
        state: Option<&DeltaTableState>,
    ) -> Result<Option<Action>> {
        let needs_feature = schema::has_timestamp_without_zone(schema);
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

    /// The table's metadata, if it is new, or if the columns, their comments, or what is said of the table changed.
    fn metadata(
        &self,
        columns: &StructType,
        state: Option<&DeltaTableState>,
    ) -> Result<Option<Action>> {
        let comment = self.schema.and_then(|schema| schema.metadata().get(schema::COMMENT));
        let described = |state: &DeltaTableState| {
            comment.is_none_or(|text| state.metadata().description() == Some(text))
        };
        let metadata = match state {
            None => new_metadata(columns, Vec::<String>::new(), [CHECKPOINT_INTERVAL])
                .and_then(|metadata| metadata.with_name(self.table.to_owned())),
            // The order of columns counts too, which `==` does not look at.
            Some(state) if state.schema().fields().eq(columns.fields()) && described(state) => {
                return Ok(None);
            }
            Some(state) => state.metadata().clone().with_schema(columns),
        };
        let metadata = match comment {
            Some(text) => metadata.and_then(|metadata| metadata.with_description(text.clone())),
            None => metadata,
        };
        metadata.map(|m| Some(Action::Metadata(m))).map_err(|e| self.no_action(&e))
    }

    fn no_action(&self, cause: &impl std::fmt::Display) -> Error {
        let message = format!("cannot describe the table `{}` to Delta: {cause}", self.table);
        Error::new(ErrorKind::Warehouse, message)
    }
}

/// Refuses a table that Kiln cannot change.
pub(super) fn check_writable(table: &str, place: &Place, state: &DeltaTableState) -> Result<()> {
    if state.metadata().partition_columns().is_empty() {
        return Ok(());
    }
    let message = format!("the table `{table}` is partitioned, so not of Kiln");
    Err(Error::new(ErrorKind::Warehouse, message)
        .at("path", place)
        .hint("move the table away or use another warehouse"))
}

impl Operation {
    /// As `kiln` shows it.
    fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Merge => "merge",
            Self::Append => "append",
            Self::Expire => "expire",
            Self::Optimize => "optimize",
        }
    }

    /// What it is to Delta: a write, so that no reader meets an operation that it does not know.
    fn delta(self) -> DeltaOperation {
        let mode = if self == Self::Append { SaveMode::Append } else { SaveMode::Overwrite };
        DeltaOperation::Write { mode, partition_by: None, predicate: None }
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

fn names(features: &Value) -> BTreeSet<String> {
    let names = features.as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn add(part: &PartFile, data_change: bool) -> Result<Add> {
    let name = part.path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| {
        Error::new(ErrorKind::Output, format!("`{}` is no file name", part.path.display()))
    })?;
    Ok(Add {
        path: name.to_owned(),
        size: part.bytes as i64,
        modification_time: now(),
        data_change,
        stats: Some(part.stats.clone()),
        ..Add::default()
    })
}

fn commit_error(place: &Place, error: DeltaTableError) -> Error {
    let message = format!("cannot commit to `{place}`: {error}");
    Error::new(ErrorKind::Output, message)
        .caused_by(error)
        .hint("the table is unchanged; check disk space and that no other program writes to it")
}

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
