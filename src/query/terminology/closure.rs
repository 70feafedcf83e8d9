//! The transitive closure of code systems: which code is an ancestor of which, and how far.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result as Planned};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};

use super::canonical::Canonical;
use super::code_system::{CodeSystem, Stored};
use super::functions::literal;
use super::tables::Tables;
use super::{Terminology, of};
use crate::error::Result;

/// The name of the table function.
pub(super) const CLOSURE: &str = "code_system_closure";

/// The columns of the closure.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("system", DataType::Utf8, false),
        Field::new("version", DataType::Utf8, true),
        Field::new("ancestor", DataType::Utf8, false),
        Field::new("descendant", DataType::Utf8, false),
        Field::new("distance", DataType::UInt32, false),
    ]))
});

/// Rows that are handed on at a time.
const ROWS: usize = 8192;

/// `code_system_closure()` and `code_system_closure('url')`.
#[derive(Debug)]
pub(super) struct ClosureFunction;

impl TableFunctionImpl for ClosureFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> Planned<Arc<dyn TableProvider>> {
        let system = match args.exprs() {
            [] => None,
            [url] => match literal(url) {
                Some(url) => Some(Canonical::parse(&url)),
                None => return plan_err!("{CLOSURE} takes the url of a code system as text"),
            },
            _ => return plan_err!("{CLOSURE} takes one code system, or all without an argument"),
        };
        let session = args.session().as_any();
        let Some(state) = session.downcast_ref::<SessionState>() else {
            return plan_err!("{CLOSURE} has no session to read tables from");
        };
        let context = SessionContext::new_with_state(state.clone());
        table(&context, &of(&context), system)
    }
}

/// The closure of one code system, or of all that are complete, as a table that is worked out when it is read.
pub(super) fn table(
    context: &SessionContext,
    terminology: &Terminology,
    system: Option<Canonical>,
) -> Planned<Arc<dyn TableProvider>> {
    let tables = (!terminology.empty).then(|| Arc::new(terminology.tables(context)));
    let pairs = Arc::new(Pairs { tables, system });
    Ok(Arc::new(StreamingTable::try_new(SCHEMA.clone(), vec![pairs])?))
}

/// The rows of the closure; without tables there are none.
struct Pairs {
    tables: Option<Arc<Tables>>,
    system: Option<Canonical>,
}

impl std::fmt::Debug for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pairs").field("system", &self.system).finish_non_exhaustive()
    }
}

impl PartitionStream for Pairs {
    fn schema(&self) -> &SchemaRef {
        &SCHEMA
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (tables, system) = (self.tables.clone(), self.system.clone());
        let batches = stream::once(batches(tables, system)).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(SCHEMA.clone(), batches))
    }
}

/// The rows of a closure. One code system is in memory at a time.
async fn batches(
    tables: Option<Arc<Tables>>,
    system: Option<Canonical>,
) -> Planned<BoxStream<'static, Planned<RecordBatch>>> {
    let Some(tables) = tables else { return Ok(stream::empty().boxed()) };
    let systems = systems(&tables, system.as_ref()).await.map_err(external)?;
    let load = move |stored: Stored| {
        let tables = tables.clone();
        async move { CodeSystem::load(&tables, &stored).await.map(pairs).map_err(external) }
    };
    Ok(stream::iter(systems).then(load).try_flatten().boxed())
}

/// The code systems that are asked for: one that is named has to be complete, of all only those that are complete count.
pub(super) async fn systems(tables: &Tables, named: Option<&Canonical>) -> Result<Vec<Stored>> {
    if let Some(canonical) = named {
        return Ok(vec![Stored::complete(tables, canonical).await?]);
    }
    let mut all = Stored::all(tables, None).await?;
    all.retain(Stored::is_complete);
    Ok(all)
}

/// The pairs of a code system, some thousand at a time: ancestors of one concept after the other.
fn pairs(system: CodeSystem) -> impl futures::Stream<Item = Planned<RecordBatch>> + Send {
    let mut concepts = 0..system.codes.len();
    stream::iter(std::iter::from_fn(move || {
        let mut found: Vec<(usize, usize, u32)> = Vec::new();
        while found.len() < ROWS {
            let Some(concept) = concepts.next() else { break };
            let above = if system.parts {
                [(concept, 0)].into()
            } else {
                CodeSystem::reached(&system.parents, concept)
            };
            found.extend(
                above.into_iter().map(|(ancestor, distance)| (ancestor, concept, distance)),
            );
        }
        (!found.is_empty()).then(|| batch(&system, &found))
    }))
}

fn batch(system: &CodeSystem, pairs: &[(usize, usize, u32)]) -> Planned<RecordBatch> {
    let codes = |place: fn(&(usize, usize, u32)) -> usize| -> ArrayRef {
        Arc::new(pairs.iter().map(|pair| Some(&system.codes[place(pair)])).collect::<StringArray>())
    };
    let same = |text: Option<&String>| -> ArrayRef {
        Arc::new(pairs.iter().map(|_| text).collect::<StringArray>())
    };
    let columns = vec![
        same(Some(&system.url)),
        same(system.version.as_ref()),
        codes(|pair| pair.0),
        codes(|pair| pair.1),
        Arc::new(pairs.iter().map(|pair| pair.2).collect::<UInt32Array>()),
    ];
    Ok(RecordBatch::try_new(SCHEMA.clone(), columns)?)
}

/// What is below one code, itself included, in the named code system or in all that are complete.
pub(super) async fn below(
    tables: &Tables,
    system: Option<&Canonical>,
    ancestor: &str,
) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for stored in systems(tables, system).await? {
        let system = CodeSystem::load(tables, &stored).await?;
        let Some(start) = system.place(ancestor) else { continue };
        let none = vec![BTreeSet::new(); system.codes.len()];
        let edges = if system.parts { &none } else { &system.children };
        let found = CodeSystem::reached(edges, start);
        let found: Vec<_> =
            found.into_iter().map(|(place, distance)| (start, place, distance)).collect();
        batches.push(batch(&system, &found).map_err(|e| super::failed(&system.name(), &e))?);
    }
    Ok(batches)
}

fn external(error: crate::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
