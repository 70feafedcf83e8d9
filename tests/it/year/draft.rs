//! What an export holds, before it is served: selected as it was asked for, and then made as untidy as servers are.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::draws::Draws;
use super::population::{Key, Population, Seen, patient_of};

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// Whether it is of the group.
    pub(super) group: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) types: Vec<String>,
    pub(super) elements: Vec<String>,
    /// Ids.
    pub(super) patients: Vec<String>,
}

/// What an export is for: the steps of the guide's pattern of group rosters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The ids of the members.
    Roster,
    /// All of some patients.
    History,
    /// Everything, or what has changed.
    Data,
}

/// The export that comes of it.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) transaction_time: Timestamp,
    pub(super) output: Vec<Part>,
    /// Bundles.
    pub(super) deleted: Vec<Value>,
    /// `OperationOutcome`s.
    pub(super) errors: Vec<Value>,
}

/// A file of `output`.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) kind: String,
    pub(super) lines: Vec<Value>,
}

impl Asked {
    pub(super) fn kind(&self) -> Kind {
        if self.types == ["Patient"] && self.elements == ["id"] {
            Kind::Roster
        } else if self.patients.is_empty() {
            Kind::Data
        } else {
            Kind::History
        }
    }

    fn wants(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind)
    }

    /// Whether resources of a patient are exported.
    fn is_about(&self, patient: &str, population: &Population) -> bool {
        (!self.group || population.is_member(patient))
            && (self.patients.is_empty() || self.patients.iter().any(|asked| asked == patient))
    }

    /// The resources that belong to the export.
    pub(super) fn select<'p>(&self, population: &'p Population, now: Timestamp) -> Vec<Seen<'p>> {
        let new = |seen: &Seen<'_>| self.since.is_none_or(|since| seen.version.updated > since);
        let about = |seen: &Seen<'_>| {
            let content = seen.version.content.as_ref();
            content.is_some_and(|content| self.is_about(patient_of(content), population))
        };
        let seen = population.seen(now).filter(|seen| self.wants(&seen.key.0));
        seen.filter(new).filter(about).collect()
    }

    /// What has been deleted, of whomever: that of patients outside the group is unknown to the client.
    pub(super) fn deleted(&self, population: &Population, now: Timestamp) -> Vec<Key> {
        let Some(since) = self.since else { return Vec::new() };
        let gone = |seen: &Seen<'_>| seen.version.content.is_none() && seen.version.updated > since;
        let seen = population.seen(now).filter(|seen| self.wants(&seen.key.0));
        seen.filter(gone).map(|seen| seen.key.clone()).collect()
    }

    /// A resource with what was asked of it.
    fn cut(&self, resource: &Value) -> Value {
        if self.elements.is_empty() { resource.clone() } else { subsetted(resource) }
    }
}

impl Draft {
    /// The export as the guide wants it: one file a type, and one of Bundles.
    pub(super) fn tidy(asked: &Asked, population: &Population, now: Timestamp) -> Self {
        let mut draft = Self {
            transaction_time: now,
            output: Vec::new(),
            deleted: Vec::new(),
            errors: Vec::new(),
        };
        for seen in asked.select(population, now) {
            draft.add(asked.cut(seen.version.content.as_ref().unwrap()));
        }
        let deleted = asked.deleted(population, now);
        if !deleted.is_empty() {
            let urls = deleted.iter().map(|(kind, id)| format!("{kind}/{id}"));
            draft.deleted.push(bundle(urls));
        }
        draft
    }

    /// Puts a resource at the end of the file of its type.
    pub(super) fn add(&mut self, resource: Value) {
        let kind = resource["resourceType"].as_str().unwrap().to_owned();
        match self.output.iter_mut().find(|part| part.kind == kind) {
            Some(part) => part.lines.push(resource),
            None => self.output.push(Part { kind, lines: vec![resource] }),
        }
    }
}

/// Makes an export untidy, in ways that must not matter.
pub(super) struct Mess<'m> {
    pub(super) asked: &'m Asked,
    pub(super) population: &'m Population,
    pub(super) now: Timestamp,
    pub(super) base: &'m str,
    pub(super) draws: &'m mut Draws,
}

impl Mess<'_> {
    pub(super) fn make(mut self, draft: &mut Draft) {
        if self.asked.kind() != Kind::Roster {
            self.copies(draft);
            self.deletions(draft);
        }
        self.cut_files(draft);
        if self.draws.percent(20) {
            // The time at which the job ended, not that of what it shows.
            let minutes = 1 + self.draws.below(120);
            draft.transaction_time += SignedDuration::from_mins(i64::try_from(minutes).unwrap());
        }
    }

    /// Second copies, older ones, and ones that are not whole, before or behind those that count.
    fn copies(&mut self, draft: &mut Draft) {
        let selected = self.asked.select(self.population, self.now);
        for seen in &selected {
            let whole = seen.version.content.clone().unwrap();
            let before = seen.before.and_then(|before| before.content.clone());
            if self.draws.percent(6) {
                self.insert(draft, whole.clone());
            }
            if let Some(before) = before.filter(|_| self.draws.percent(12)) {
                self.insert(draft, before);
            }
            if self.draws.percent(4) {
                self.insert(draft, subsetted(&whole));
            }
        }
        if self.asked.since.is_some() {
            let everything = Asked { since: None, ..self.asked.clone() };
            let known = everything.select(self.population, self.now);
            if !known.is_empty() && self.draws.percent(20) {
                let referenced = self.draws.pick(&known).version.content.clone().unwrap();
                self.insert(draft, subsetted(&referenced));
            }
        }
    }

    fn insert(&mut self, draft: &mut Draft, resource: Value) {
        let kind = resource["resourceType"].as_str().unwrap().to_owned();
        match draft.output.iter_mut().find(|part| part.kind == kind) {
            Some(part) => {
                let place = self.draws.below(part.lines.len() + 1);
                part.lines.insert(place, resource);
            }
            None => draft.add(resource),
        }
    }

    /// Bundles with references of all forms; also of what nobody knows, and of what came back.
    fn deletions(&mut self, draft: &mut Draft) {
        let Some(since) = self.asked.since else { return };
        let mut keys = self.asked.deleted(self.population, self.now);
        for seen in self.asked.select(self.population, self.now) {
            let came_back = |before: &super::population::Version| {
                before.content.is_none() && before.updated > since
            };
            if seen.before.is_some_and(came_back) && self.draws.percent(30) {
                keys.push(seen.key.clone());
            }
        }
        if self.draws.percent(10) {
            keys.push(("Observation".to_owned(), "never-was".to_owned()));
        }
        let urls: Vec<_> = keys.iter().map(|key| self.reference(key)).collect();
        let size = 1 + self.draws.below(4);
        draft.deleted = urls.chunks(size).map(|urls| bundle(urls.iter().cloned())).collect();
    }

    fn reference(&mut self, (kind, id): &Key) -> String {
        match self.draws.below(4) {
            0 => format!("{}/{kind}/{id}", self.base),
            1 => format!("/{kind}/{id}"),
            2 => format!("{kind}/{id}/_history/2"),
            _ => format!("{kind}/{id}"),
        }
    }

    /// Files of a type are several, in any order.
    fn cut_files(&mut self, draft: &mut Draft) {
        for part in std::mem::take(&mut draft.output) {
            let files = 1 + self.draws.below(3);
            let size = part.lines.len().div_ceil(files).max(1);
            for lines in part.lines.chunks(size) {
                let place = self.draws.below(draft.output.len() + 1);
                let part = Part { kind: part.kind.clone(), lines: lines.to_vec() };
                draft.output.insert(place, part);
            }
        }
    }
}

/// A Bundle that deletes.
pub(super) fn bundle(urls: impl IntoIterator<Item = String>) -> Value {
    let entry = |url: String| json!({ "request": { "method": "DELETE", "url": url } });
    let entries: Vec<_> = urls.into_iter().map(entry).collect();
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
}

/// A resource with its identity alone, marked as not whole.
pub(super) fn subsetted(resource: &Value) -> Value {
    let system = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
    let mut part = json!({
        "resourceType": resource["resourceType"],
        "id": resource["id"],
        "meta": resource["meta"],
    });
    part["meta"]["tag"] = json!([{ "system": system, "code": "SUBSETTED" }]);
    part
}
