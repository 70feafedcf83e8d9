//! A population with its history: what is born, changes, dies and comes back, and who is in the group.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Type and id of a resource.
pub(super) type Key = (String, String);

/// The whole of it, at any time: later versions stand behind earlier ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Population {
    resources: BTreeMap<Key, Vec<Version>>,
    /// Ids of the patients in the group.
    members: BTreeSet<String>,
}

/// A version of a resource.
#[derive(Debug, Clone)]
pub(super) struct Version {
    /// `meta.lastUpdated`
    pub(super) updated: Timestamp,
    /// From when on exports have it. Later than `updated` where a transaction was open for a while.
    pub(super) visible: Timestamp,
    /// None: it is deleted.
    pub(super) content: Option<Value>,
}

/// When something happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) updated: Timestamp,
    pub(super) visible: Timestamp,
}

impl When {
    pub(super) fn at(instant: Timestamp) -> Self {
        Self { updated: instant, visible: instant }
    }
}

/// What an export sees of a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'p> {
    pub(super) key: &'p Key,
    pub(super) version: &'p Version,
    /// The version before.
    pub(super) before: Option<&'p Version>,
}

impl Population {
    /// What an export at `instant` sees, deleted ones too, in the order of their keys.
    pub(super) fn seen(&self, instant: Timestamp) -> impl Iterator<Item = Seen<'_>> {
        self.resources.iter().filter_map(move |(key, versions)| {
            let at = versions.iter().rposition(|version| version.visible <= instant)?;
            let before = at.checked_sub(1).map(|at| &versions[at]);
            Some(Seen { key, version: &versions[at], before })
        })
    }

    /// The latest content of a resource; none if it is deleted, or never was.
    pub(super) fn latest(&self, kind: &str, id: &str) -> Option<&Value> {
        self.resources.get(&(kind.to_owned(), id.to_owned()))?.last()?.content.as_ref()
    }

    /// Keys of a type whose latest version is there, or is deleted.
    pub(super) fn keys(&self, kind: &str, deleted: bool) -> Vec<Key> {
        let is = |versions: &&Vec<Version>| {
            versions.last().is_some_and(|version| version.content.is_none() == deleted)
        };
        let of_kind = self.resources.iter().filter(|((of, _), _)| of == kind);
        of_kind.filter(|(_, versions)| is(versions)).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn is_member(&self, patient: &str) -> bool {
        self.members.contains(patient)
    }

    /// The content before the last deletion.
    pub(super) fn last_content(&self, key: &Key) -> Option<&Value> {
        self.resources.get(key)?.iter().rev().find_map(|version| version.content.as_ref())
    }

    /// A resource comes, comes back or changes.
    pub(super) fn put(&mut self, mut resource: Value, when: When) {
        let key = key_of(&resource);
        let when = self.after_all_before(&key, when);
        resource["meta"]["lastUpdated"] = json!(when.updated.to_string());
        self.push(key, when, Some(resource));
    }

    /// A resource is deleted; a patient with all that is theirs.
    pub(super) fn delete(&mut self, key: &Key, when: When) {
        if key.0 == "Patient" {
            for child in self.of_patient(&key.1) {
                self.delete(&child, When::at(when.updated));
            }
        }
        let when = self.after_all_before(key, when);
        self.push(key.clone(), when, None);
    }

    /// A patient enters the group, or leaves it.
    pub(super) fn set_member(&mut self, patient: &str, is: bool) {
        if is {
            self.members.insert(patient.to_owned());
        } else {
            self.members.remove(patient);
        }
    }

    /// Keys of what is there of a patient, without the patient.
    fn of_patient(&self, patient: &str) -> Vec<Key> {
        let kinds = ["Condition", "Observation"];
        let children = kinds.iter().flat_map(|kind| self.keys(kind, false));
        let theirs = |key: &Key| {
            self.latest(&key.0, &key.1).is_some_and(|child| patient_of(child) == patient)
        };
        children.filter(theirs).collect()
    }

    fn push(&mut self, key: Key, when: When, content: Option<Value>) {
        let When { updated, visible } = when;
        self.resources.entry(key).or_default().push(Version { updated, visible, content });
    }

    /// Later than the version before, in both respects.
    fn after_all_before(&self, key: &Key, when: When) -> When {
        let last = self.resources.get(key).and_then(|versions| versions.last());
        let Some(last) = last else { return when };
        When {
            updated: when.updated.max(last.updated + SignedDuration::from_millis(1)),
            visible: when.visible.max(last.visible),
        }
    }
}

pub(super) fn key_of(resource: &Value) -> Key {
    let text = |key: &str| resource[key].as_str().unwrap().to_owned();
    (text("resourceType"), text("id"))
}

/// The id of the patient that a resource is, or is about.
pub(super) fn patient_of(resource: &Value) -> &str {
    let reference = match resource["resourceType"].as_str() {
        Some("Patient") => &resource["id"],
        _ => &resource["subject"]["reference"],
    };
    reference.as_str().unwrap().rsplit('/').next().unwrap()
}
