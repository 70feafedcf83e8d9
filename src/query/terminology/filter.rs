//! The filters of a value set's definition: which concepts of a code system each of them selects.

use std::collections::BTreeSet;

use regex::Regex;

use super::code_system::CodeSystem;
use super::tables::Tables;
use crate::error::{Error, ErrorKind, Result};

/// One `compose.include.filter`.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) property: String,
    pub(super) op: String,
    pub(super) value: String,
}

/// Whether a value of a property is one that is asked for.
type Matches = Box<dyn Fn(&str) -> bool + Send>;

/// The property of hierarchies: the concept itself.
const ITSELF: [&str; 2] = ["concept", "code"];

impl Filter {
    /// The concepts that the filter selects.
    ///
    /// Fails with [`ErrorKind::Definition`] if the operator is unknown, if no concept has the property, or if the value
    /// is no code of the system.
    pub(super) async fn select(
        &self,
        tables: &Tables,
        system: &CodeSystem,
    ) -> Result<BTreeSet<usize>> {
        let all = 0..system.codes.len();
        match self.op.as_str() {
            "is-a" | "descendent-of" | "is-not-a" | "generalizes" | "child-of"
            | "descendent-leaf" => self.hierarchy(system),
            "exists" => {
                let with: BTreeSet<_> =
                    self.values(tables, system).await?.into_iter().map(|(c, _)| c).collect();
                match self.value.as_str() {
                    "true" => Ok(with),
                    "false" => Ok(all.filter(|concept| !with.contains(concept)).collect()),
                    _ => Err(self.wrong("the value of `exists` is `true` or `false`")),
                }
            }
            "=" | "in" | "regex" => {
                let matches = self.matches()?;
                let values = self.values(tables, system).await?;
                Ok(values
                    .into_iter()
                    .filter(|(_, v)| matches(v))
                    .map(|(concept, _)| concept)
                    .collect())
            }
            "not-in" => {
                let matches = self.matches()?;
                let values = self.values(tables, system).await?;
                let with: BTreeSet<_> =
                    values.into_iter().filter(|(_, v)| matches(v)).map(|(c, _)| c).collect();
                Ok(all.filter(|concept| !with.contains(concept)).collect())
            }
            _ => Err(self.wrong("the operator is not known")),
        }
    }

    fn hierarchy(&self, system: &CodeSystem) -> Result<BTreeSet<usize>> {
        if !ITSELF.contains(&self.property.as_str()) {
            return Err(self.wrong("a hierarchy is of the property `concept`"));
        }
        if system.parts {
            return Err(self.wrong("the hierarchy of the code system is one of parts"));
        }
        let start = system.place(&self.value);
        let start = start.ok_or_else(|| self.wrong("the code system has no such code"))?;
        let below = || CodeSystem::reached(&system.children, start).into_keys();
        Ok(match self.op.as_str() {
            "is-a" => below().collect(),
            "descendent-of" => below().filter(|concept| *concept != start).collect(),
            "is-not-a" => {
                let below: BTreeSet<_> = below().collect();
                (0..system.codes.len()).filter(|concept| !below.contains(concept)).collect()
            }
            "generalizes" => CodeSystem::reached(&system.parents, start).into_keys().collect(),
            "child-of" => system.children[start].clone(),
            _ => below().filter(|c| *c != start && system.children[*c].is_empty()).collect(),
        })
    }

    /// What a value of the property has to be.
    fn matches(&self) -> Result<Matches> {
        let value = self.value.clone();
        Ok(match self.op.as_str() {
            "=" => Box::new(move |text| text == value),
            "regex" => {
                let whole = Regex::new(&format!("^(?:{value})$"));
                let whole = whole.map_err(|_| {
                    self.wrong("the pattern is no regular expression that can be used")
                })?;
                Box::new(move |text| whole.is_match(text))
            }
            _ => Box::new(move |text| value.split(',').any(|one| one.trim() == text)),
        })
    }

    /// The values of the property with the concepts that have them.
    async fn values(&self, tables: &Tables, system: &CodeSystem) -> Result<Vec<(usize, String)>> {
        let code = |concept: usize| system.codes[concept].clone();
        let related = |edges: &[BTreeSet<usize>]| -> Vec<_> {
            let of = |(concept, others): (usize, &BTreeSet<usize>)| {
                others.iter().map(|other| (concept, code(*other))).collect::<Vec<_>>()
            };
            edges.iter().enumerate().flat_map(of).collect()
        };
        Ok(match self.property.as_str() {
            "concept" | "code" => {
                (0..system.codes.len()).map(|concept| (concept, code(concept))).collect()
            }
            "display" => {
                let displays = system.displays.iter().enumerate();
                displays
                    .filter_map(|(concept, display)| Some((concept, display.clone()?)))
                    .collect()
            }
            "parent" => related(&system.parents),
            "child" => related(&system.children),
            "inactive" => {
                let state = |concept| system.inactive.contains(&concept).to_string();
                (0..system.codes.len()).map(|concept| (concept, state(concept))).collect()
            }
            property => {
                let values = system.property(tables, property).await?;
                if values.is_empty() {
                    return Err(self.wrong("no concept of the code system has this property"));
                }
                values
            }
        })
    }

    fn wrong(&self, why: &str) -> Error {
        let Self { property, op, value } = self;
        let message = format!("the filter `{property} {op} {value}` cannot be evaluated: {why}");
        Error::new(ErrorKind::Definition, message)
            .hint("load the value set with its expansion, as a terminology server gives it")
    }
}
