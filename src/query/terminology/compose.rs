//! Members of a value set that has no stored expansion, from its definition and the loaded code systems.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;

use super::canonical::Canonical;
use super::code_system::CodeSystem;
use super::filter::Filter;
use super::relation::{About, Coding, Members};
use super::tables::Tables;
use super::value_set::ValueSet;
use crate::error::{Error, ErrorKind, Result};

/// Works out the members of value sets, and remembers which others it needed.
pub(super) struct Expander<'t> {
    tables: &'t Tables,
    /// By canonical; `None` is not loaded, or not completely.
    systems: BTreeMap<Canonical, Option<Arc<CodeSystem>>>,
    /// `url|version` of the imported value sets.
    pub(super) imported: BTreeSet<String>,
}

/// One `include` or `exclude`.
struct Component {
    system: Option<Canonical>,
    concepts: Vec<(String, Option<String>)>,
    filters: Vec<Filter>,
    imports: Vec<String>,
}

impl<'t> Expander<'t> {
    pub(super) fn new(tables: &'t Tables) -> Self {
        Self { tables, systems: BTreeMap::new(), imported: BTreeSet::new() }
    }

    /// The members of a value set: those of its stored expansion if it has one, otherwise those of its definition.
    ///
    /// `path` holds the value sets that import it. Fails with [`ErrorKind::Definition`] if the members cannot be
    /// determined.
    pub(super) fn members<'a>(
        &'a mut self,
        canonical: &'a Canonical,
        path: Vec<String>,
    ) -> BoxFuture<'a, Result<(ValueSet, Members)>> {
        Box::pin(async move {
            let set = ValueSet::find(self.tables, canonical).await?;
            let members = match &set.expansion {
                Some(expansion) => expansion.members(self.tables, &set).await?,
                None => {
                    self.compute(&set, path).await.map_err(|e| e.within("value set", set.name()))?
                }
            };
            Ok((set, members))
        })
    }

    async fn compute(&mut self, set: &ValueSet, mut path: Vec<String>) -> Result<Members> {
        let name = set.name();
        let again = path.contains(&name);
        path.push(name);
        if again {
            let message =
                format!("value sets import each other in a circle: {}", path.join(" imports "));
            return Err(Error::new(ErrorKind::Definition, message));
        }
        let components = components(self.tables, set).await?;
        if !components.iter().any(|(included, _)| *included) {
            let message = "the value set has neither an expansion nor a definition by its content";
            return Err(Error::new(ErrorKind::Definition, message)
                .hint("load it with its expansion, as a terminology server gives it"));
        }
        let mut members = Members::new();
        let mut excluded = Members::new();
        for (included, component) in &components {
            let selected = self.component(component, set.inactive, &path).await?;
            if *included { members.extend(selected) } else { excluded.extend(selected) }
        }
        if !excluded.is_empty() {
            members = common(members, &excluded, false);
        }
        if set.inactive == Some(false) {
            members.retain(|_, about| about.inactive != Some(true));
        }
        Ok(members)
    }

    /// What a component selects: the codes of its system that are in all value sets that it imports.
    async fn component(
        &mut self,
        component: &Component,
        inactive: Option<bool>,
        path: &[String],
    ) -> Result<Members> {
        let mut selected = match &component.system {
            Some(system) => Some(self.of_system(component, system, inactive).await?),
            None if component.filters.is_empty() && component.concepts.is_empty() => None,
            None => {
                return Err(Error::new(
                    ErrorKind::Definition,
                    "a component selects codes without naming their system",
                ));
            }
        };
        for import in &component.imports {
            let (set, members) = self.members(&Canonical::parse(import), path.to_vec()).await?;
            self.imported.insert(set.name());
            selected = Some(match selected {
                Some(selected) => common(selected, &members, true),
                None => members,
            });
        }
        selected.ok_or_else(|| {
            Error::new(ErrorKind::Definition, "a component names neither a system nor a value set")
        })
    }

    async fn of_system(
        &mut self,
        component: &Component,
        canonical: &Canonical,
        inactive: Option<bool>,
    ) -> Result<Members> {
        if component.concepts.is_empty() {
            let system = self.complete(canonical).await?;
            return self.filtered(&system, &component.filters).await;
        }
        if !component.filters.is_empty() {
            return Err(Error::new(
                ErrorKind::Definition,
                "a component has both a list of codes and filters",
            ));
        }
        if inactive == Some(false) {
            // Which of the listed codes are inactive, only the code system knows.
            self.complete(canonical).await?;
        }
        let system = self.loaded(canonical).await?;
        Ok(component
            .concepts
            .iter()
            .map(|concept| listed(concept, canonical, system.as_deref()))
            .collect())
    }

    /// The concepts that pass all filters; headings are no members.
    async fn filtered(&self, system: &CodeSystem, filters: &[Filter]) -> Result<Members> {
        let mut selected: BTreeSet<_> = (0..system.codes.len()).collect();
        for filter in filters {
            let passing = filter.select(self.tables, system).await;
            let passing = passing.map_err(|e| e.at("code system", system.name()))?;
            selected.retain(|concept| passing.contains(concept));
        }
        let chosen = selected.into_iter().filter(|concept| !system.headings.contains(concept));
        Ok(chosen.map(|concept| member(system, concept, None)).collect())
    }

    async fn complete(&mut self, canonical: &Canonical) -> Result<Arc<CodeSystem>> {
        if let Some(Some(system)) = self.systems.get(canonical) {
            return Ok(system.clone());
        }
        let system = Arc::new(CodeSystem::find(self.tables, canonical).await?);
        self.systems.insert(canonical.clone(), Some(system.clone()));
        Ok(system)
    }

    async fn loaded(&mut self, canonical: &Canonical) -> Result<Option<Arc<CodeSystem>>> {
        if let Some(system) = self.systems.get(canonical) {
            return Ok(system.clone());
        }
        let system = CodeSystem::find_loaded(self.tables, canonical).await?.map(Arc::new);
        self.systems.insert(canonical.clone(), system.clone());
        Ok(system)
    }
}

/// A code of a list: it needs no code system, but takes from it what the list does not say.
fn listed(
    (code, display): &(String, Option<String>),
    canonical: &Canonical,
    system: Option<&CodeSystem>,
) -> (Coding, About) {
    if let Some((system, concept)) = system.and_then(|s| Some((s, s.place(code)?))) {
        return member(system, concept, display.clone());
    }
    let version = canonical.version.clone().or_else(|| system.and_then(|s| s.version.clone()));
    let coding = Coding { system: canonical.url.clone(), version, code: code.clone() };
    (coding, About { display: display.clone(), inactive: None })
}

fn member(system: &CodeSystem, concept: usize, display: Option<String>) -> (Coding, About) {
    let coding = Coding {
        system: system.url.clone(),
        version: system.version.clone(),
        code: system.codes[concept].clone(),
    };
    let display = display.or_else(|| system.displays[concept].clone());
    (coding, About { display, inactive: system.inactive.contains(&concept).then_some(true) })
}

/// The members that are also among `others`, or with `wanted` false those that are not. A version that one side does not
/// give is any version.
fn common(members: Members, others: &Members, wanted: bool) -> Members {
    let mut versions: BTreeMap<(&str, &str), Vec<Option<&str>>> = BTreeMap::new();
    for other in others.keys() {
        versions.entry((&other.system, &other.code)).or_default().push(other.version.as_deref());
    }
    let is_common = |member: &Coding| {
        let known = versions.get(&(member.system.as_str(), member.code.as_str()));
        let same = |v: Option<&str>| {
            v.is_none() || member.version.is_none() || v == member.version.as_deref()
        };
        known.is_some_and(|known| known.iter().copied().any(same))
    };
    members.into_iter().filter(|(member, _)| is_common(member) == wanted).collect()
}

/// The components of a value set's definition in their order; `true` is an `include`.
async fn components(tables: &Tables, set: &ValueSet) -> Result<Vec<(bool, Component)>> {
    let id = [("value_set_id", set.id.as_str())];
    let mut components = BTreeMap::new();
    let key = |kind: Option<String>, component: Option<String>| {
        (kind.as_deref() != Some("exclude"), component.and_then(|c| c.parse::<usize>().ok()))
    };
    let columns = ["kind", "component", "system", "version"];
    for [kind, component, system, version] in tables.rows("value_set_compose", columns, &id).await?
    {
        let system = system.map(|url| Canonical {
            version: version.or(Canonical::parse(&url).version),
            url: Canonical::parse(&url).url,
        });
        let empty =
            Component { system, concepts: Vec::new(), filters: Vec::new(), imports: Vec::new() };
        components.insert(key(kind, component), empty);
    }
    let columns = ["kind", "component", "code", "display"];
    for [kind, component, code, display] in tables.rows("value_set_concept", columns, &id).await? {
        let (Some(component), Some(code)) = (components.get_mut(&key(kind, component)), code)
        else {
            continue;
        };
        component.concepts.push((code, display));
    }
    let columns = ["kind", "component", "property", "op", "value"];
    for [kind, component, property, op, value] in
        tables.rows("value_set_filter", columns, &id).await?
    {
        let Some(component) = components.get_mut(&key(kind, component)) else { continue };
        let [property, op, value] = [property, op, value].map(Option::unwrap_or_default);
        component.filters.push(Filter { property, op, value });
    }
    let columns = ["kind", "component", "canonical"];
    for [kind, component, canonical] in tables.rows("value_set_import", columns, &id).await? {
        let (Some(component), Some(url)) = (components.get_mut(&key(kind, component)), canonical)
        else {
            continue;
        };
        component.imports.push(url);
    }
    Ok(components.into_iter().map(|((included, _), component)| (included, component)).collect())
}
