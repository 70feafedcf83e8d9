//! What a table's Delta log tells of its past.

use deltalake::DeltaTable;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::TableVersion;
use super::commit::APPLICATION;
use super::place::Place;
use crate::error::Result;

/// Log entries that are read at once.
const READS: usize = 16;

/// One entry of the log.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) version: TableVersion,
    /// The pipelines whose transactions it notes.
    pub(super) pipelines: Vec<String>,
    /// The files that it adds.
    pub(super) files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    commit_info: Option<Map<String, Value>>,
    txn: Option<Application>,
    add: Option<Added>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Application {
    app_id: String,
}

#[derive(Deserialize)]
struct Added {
    path: String,
}

/// Every entry that is there, oldest first. Kiln keeps all.
pub(super) async fn entries(table: &DeltaTable, place: &Place) -> Result<Vec<Entry>> {
    let failed = |e| place.read_error(e);
    let newest = table.snapshot().map_err(failed)?.version();
    let log_store = table.log_store();
    let read = |version| {
        let log_store = log_store.clone();
        async move {
            let entry = log_store.read_commit_entry(version).await?;
            Ok(entry.map(|text| parse(version, &text)))
        }
    };
    let entries = stream::iter(0..=newest).map(read).buffered(READS);
    let entries: Vec<Option<Entry>> = entries.try_collect().await.map_err(failed)?;
    Ok(entries.into_iter().flatten().collect())
}

/// Lines that are no action are of a later Delta, and say nothing that is asked here.
fn parse(version: u64, text: &[u8]) -> Entry {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    let (mut info, mut pipelines, mut files) = (Map::new(), Vec::new(), Vec::new());
    for line in lines {
        info.extend(line.commit_info.unwrap_or_default());
        let application = line.txn.map(|txn| txn.app_id).unwrap_or_default();
        pipelines.extend(application.strip_prefix(APPLICATION).map(str::to_owned));
        files.extend(line.add.map(|add| add.path));
    }
    Entry { version: version_of(version, &info), pipelines, files }
}

fn version_of(version: u64, info: &Map<String, Value>) -> TableVersion {
    let text = |name: &str| info.get(name).and_then(Value::as_str).map(str::to_owned);
    TableVersion {
        version,
        committed: info.get("timestamp").and_then(Value::as_i64).unwrap_or_default(),
        operation: text("kilnOperation").or_else(|| text("operation")).unwrap_or_default(),
        run: text("run"),
        pipeline: text("pipeline"),
    }
}
