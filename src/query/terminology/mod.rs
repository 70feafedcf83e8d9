//! Terminology in SQL: value sets, concept maps and the hierarchies of code systems as relations.
//!
//! The rules are those of the page "Terminology in SQL" of SQL on FHIR 3.0 (term-1 to term-24).

mod canonical;
mod closure;
mod code_system;
mod compose;
mod concept_map;
mod filter;
mod functions;
mod joins;
mod relation;
mod tables;
#[cfg(test)]
mod tests;
mod value_set;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use super::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::objects::StoreSettings;
use canonical::Canonical;
use compose::Expander;
use functions::Asked;
use tables::Tables;

/// What a session knows of terminology: an extension of its configuration.
#[derive(Default)]
pub(super) struct Terminology {
    /// The session over another warehouse whose tables are read in place of the session's own.
    elsewhere: Mutex<Option<SessionContext>>,
    /// By canonical as it was written: one content for the life of the session (term-19).
    resolved: Mutex<BTreeMap<String, Resolved>>,
    /// The code systems whose hierarchies were asked for.
    hierarchies: Mutex<BTreeMap<String, TerminologyUsed>>,
    /// What calls of functions asked for.
    answers: Mutex<BTreeMap<Asked, Arc<dyn TableProvider>>>,
    /// Nothing is looked up: statements are checked before there is data.
    empty: bool,
}

/// A canonical and its content.
#[derive(Clone)]
struct Resolved {
    used: TerminologyUsed,
    batch: RecordBatch,
}

/// What a canonical was resolved to: what a record of a job says of it (term-21, term-22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminologyUsed {
    /// As it was asked for.
    pub canonical: String,
    /// `ValueSet`, `ConceptMap` or `CodeSystem`.
    pub resource: &'static str,
    /// Business version of what was found.
    pub version: Option<String>,
    /// `expansion.identifier`, if the members are those of a stored expansion.
    pub expansion: Option<String>,
    /// `url|version` of the code systems that the members are of, as far as versions are recorded.
    pub code_systems: Vec<String>,
    /// `url|version` of the value sets that it imports, at any depth.
    pub value_sets: Vec<String>,
    /// Members, mappings or concepts.
    pub rows: usize,
}

impl Engine {
    /// Reads terminology from the tables of another warehouse, a folder or a url, in place of this one's own.
    ///
    /// Errors as [`Engine::open_location`].
    pub async fn with_terminology(self, location: &str, store: &StoreSettings) -> Result<Self> {
        let other = Self::open_location(location, store).await?;
        let terminology = of(&self.context);
        *locked(&terminology.elsewhere) = Some(other.context);
        Ok(self)
    }

    /// Makes the content of a value set or concept map known as the relation `label`: `url` or `url|version`.
    ///
    /// Fails with [`ErrorKind::Definition`] if it is not loaded, if several versions are and none is pinned, if its
    /// members cannot be determined (term-20), or if the session already has a table of that name.
    pub async fn relate(&self, canonical: &str, label: &str) -> Result<()> {
        let resolved = of(&self.context).resolve(&self.context, canonical).await?;
        let reference = TableReference::bare(label);
        if self.context.table_exist(reference.clone()).unwrap_or(false) {
            let message = format!("there is a table `{label}` already");
            return Err(Error::new(ErrorKind::Definition, message).hint("take another label"));
        }
        let table = MemTable::try_new(resolved.batch.schema(), vec![vec![resolved.batch]]);
        let made = table.and_then(|table| self.context.register_table(reference, Arc::new(table)));
        made.map(|_| ()).map_err(|e| failed(canonical, &e))
    }

    /// What was resolved in this session so far: value sets and concept maps by canonical, then the code systems whose
    /// hierarchies were asked for by `subsumes`.
    pub fn terminology_used(&self) -> Vec<TerminologyUsed> {
        let terminology = of(&self.context);
        let resolved = locked(&terminology.resolved);
        let hierarchies = locked(&terminology.hierarchies);
        resolved.values().map(|r| &r.used).chain(hierarchies.values()).cloned().collect()
    }
}

impl Terminology {
    /// For a session that checks statements before there is data: every canonical has an empty content.
    pub(super) fn empty() -> Self {
        Self { empty: true, ..Self::default() }
    }

    /// The content of a canonical, which is looked up once.
    async fn resolve(&self, context: &SessionContext, canonical: &str) -> Result<Resolved> {
        if let Some(resolved) = locked(&self.resolved).get(canonical) {
            return Ok(resolved.clone());
        }
        let resolved = self.look_up(context, canonical).await?;
        let mut all = locked(&self.resolved);
        Ok(all.entry(canonical.to_owned()).or_insert(resolved).clone())
    }

    async fn look_up(&self, context: &SessionContext, canonical: &str) -> Result<Resolved> {
        if self.empty {
            return Ok(nothing(canonical));
        }
        let tables = self.tables(context);
        let parsed = Canonical::parse(canonical);
        // The tables of value sets may be the only ones, or those of concept maps.
        let of_map = [("url", parsed.url.as_str())];
        let is_map = tables.has("concept_map")
            && !tables.rows("concept_map", ["url"], &of_map).await?.is_empty();
        if is_map {
            map(&tables, canonical, &parsed).await
        } else {
            set(&tables, canonical, &parsed).await
        }
    }

    /// Looks up what the calls of a plan ask for, before it is optimised.
    pub(super) async fn prepare(
        &self,
        context: &SessionContext,
        plan: &LogicalPlan,
    ) -> Result<(), Failure> {
        for asked in functions::asked(plan).map_err(Failure::Plan)? {
            if self.answered(&asked).is_none() {
                let table = self.look_up_answer(context, &asked).await?;
                locked(&self.answers).insert(asked, table);
            }
        }
        Ok(())
    }

    async fn look_up_answer(
        &self,
        context: &SessionContext,
        asked: &Asked,
    ) -> Result<Arc<dyn TableProvider>, Failure> {
        let batches = match asked {
            Asked::Members(canonical) => {
                let resolved = self.resolve(context, canonical).await?;
                if resolved.used.resource != VALUE_SET {
                    let message = format!("`{canonical}` is no value set but a concept map");
                    return Err(Error::new(ErrorKind::Definition, message).into());
                }
                vec![resolved.batch]
            }
            Asked::Pairs { .. } if self.empty => {
                vec![RecordBatch::new_empty(closure::SCHEMA.clone())]
            }
            Asked::Pairs { system, ancestor } => {
                let (tables, system) =
                    (self.tables(context), system.as_deref().map(Canonical::parse));
                self.record_hierarchies(&tables, system.as_ref()).await?;
                let Some(ancestor) = ancestor else {
                    return closure::table(context, self, system).map_err(Failure::Plan);
                };
                closure::below(&tables, system.as_ref(), ancestor).await?
            }
        };
        let schema = batches.first().map_or_else(|| closure::SCHEMA.clone(), RecordBatch::schema);
        let table = MemTable::try_new(schema, vec![batches]).map_err(Failure::Plan)?;
        Ok(Arc::new(table))
    }

    /// Keeps which code systems a hierarchy is of: the one that is named, or all that are complete.
    async fn record_hierarchies(&self, tables: &Tables, system: Option<&Canonical>) -> Result<()> {
        for stored in closure::systems(tables, system).await? {
            let name = Canonical { url: stored.url, version: stored.version.clone() }.to_string();
            let rows = tables.count("code_system_concept", "code_system_id", &stored.id).await?;
            let used = TerminologyUsed {
                canonical: system.map_or_else(|| name.clone(), Canonical::to_string),
                resource: "CodeSystem",
                version: stored.version,
                expansion: None,
                code_systems: vec![name.clone()],
                value_sets: Vec::new(),
                rows,
            };
            locked(&self.hierarchies).insert(name, used);
        }
        Ok(())
    }

    /// The tables that terminology is read from.
    fn tables(&self, context: &SessionContext) -> Tables {
        let elsewhere = locked(&self.elsewhere).clone();
        Tables::new(elsewhere.unwrap_or_else(|| context.clone()))
    }

    fn answered(&self, asked: &Asked) -> Option<Arc<dyn TableProvider>> {
        locked(&self.answers).get(asked).cloned()
    }

    /// Whether any statement of the session asked for terminology by a function.
    fn is_asked(&self) -> bool {
        !locked(&self.answers).is_empty()
    }
}

impl std::fmt::Debug for Terminology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminology").field("empty", &self.empty).finish_non_exhaustive()
    }
}

/// Why a plan cannot have its terminology.
pub(super) enum Failure {
    /// The plan is wrong.
    Plan(DataFusionError),
    /// What it names cannot be resolved.
    Terminology(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Terminology(error)
    }
}

const VALUE_SET: &str = "ValueSet";
const CONCEPT_MAP: &str = "ConceptMap";

async fn set(tables: &Tables, canonical: &str, parsed: &Canonical) -> Result<Resolved> {
    let mut expander = Expander::new(tables);
    let (set, members) = expander.members(parsed, Vec::new()).await?;
    let used = TerminologyUsed {
        canonical: canonical.to_owned(),
        resource: VALUE_SET,
        version: set.version,
        expansion: set.expansion.and_then(|expansion| expansion.identifier),
        code_systems: relation::code_systems(&members),
        value_sets: expander.imported.into_iter().collect(),
        rows: members.len(),
    };
    let batch = relation::value_set_batch(&members).map_err(|e| failed(canonical, &e.into()))?;
    Ok(Resolved { used, batch })
}

async fn map(tables: &Tables, canonical: &str, parsed: &Canonical) -> Result<Resolved> {
    let (version, mappings) = concept_map::mappings(tables, parsed).await?;
    let used = TerminologyUsed {
        canonical: canonical.to_owned(),
        resource: CONCEPT_MAP,
        version,
        expansion: None,
        code_systems: Vec::new(),
        value_sets: Vec::new(),
        rows: mappings.len(),
    };
    let batch = relation::concept_map_batch(&mappings).map_err(|e| failed(canonical, &e.into()))?;
    Ok(Resolved { used, batch })
}

/// What a canonical is before there is data: its url says whether it is of a concept map.
fn nothing(canonical: &str) -> Resolved {
    let is_map = canonical.contains("/ConceptMap/");
    let (resource, schema): (_, &SchemaRef) = if is_map {
        (CONCEPT_MAP, &relation::CONCEPT_MAP)
    } else {
        (VALUE_SET, &relation::VALUE_SET)
    };
    let used = TerminologyUsed {
        canonical: canonical.to_owned(),
        resource,
        version: None,
        expansion: None,
        code_systems: Vec::new(),
        value_sets: Vec::new(),
        rows: 0,
    };
    Resolved { used, batch: RecordBatch::new_empty(schema.clone()) }
}

/// Makes the functions of terminology known to a session.
pub(super) fn register(context: &SessionContext) {
    for function in functions::functions() {
        context.register_udf(function);
    }
    context.register_udtf(closure::CLOSURE, Arc::new(closure::ClosureFunction));
    let terminology = of(context);
    context.add_analyzer_rule(Arc::new(joins::CallsToJoins {
        terminology,
        made: AtomicUsize::new(0),
    }));
}

/// The terminology of a session.
pub(super) fn of(context: &SessionContext) -> Arc<Terminology> {
    context.state().config().get_extension().unwrap_or_default()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(canonical: &str, e: &DataFusionError) -> Error {
    Error::new(ErrorKind::Definition, format!("cannot make a relation of `{canonical}`: {e}"))
}
