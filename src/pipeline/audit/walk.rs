//! The walk over one resource: every object, list and value is held against the definition of its place.

use std::collections::HashSet;

use super::auditor::Auditor;
use super::finding::What;
use super::identities::key;
use super::places::{At, Content, Places};
use super::primitive::{Fault, Primitive};
use crate::fhir::{Target, Type, Unresolvable};
use crate::fhirpath::{Document, Json};
use crate::ingest::Origin;

/// Resources that are sent and not kept: an export's own messages have no identity.
const WITHOUT_ID: [&str; 2] = ["OperationOutcome", "Parameters"];

/// The walk, and what it needs to know on its way.
pub(super) struct Walk<'w, 'a, 's> {
    pub(super) doc: Document<'a>,
    pub(super) auditor: &'w mut Auditor<'s>,
    pub(super) origin: Origin,
    /// The resource that has the contained ones which `#id` means here.
    container: u32,
    /// The ids of its contained resources, once they were asked for.
    contained: Option<HashSet<&'a str>>,
}

impl<'w, 'a, 's> Walk<'w, 'a, 's> {
    /// A walk that has not begun.
    pub(super) fn new(doc: Document<'a>, auditor: &'w mut Auditor<'s>, origin: Origin) -> Self {
        Self { doc, auditor, origin, container: doc.root, contained: None }
    }

    /// The whole resource, of the type it says.
    pub(super) fn resource(&mut self, resource_type: &str) {
        let Some(of) = concrete(resource_type) else {
            return self.found_name(What::UnknownResourceType, Places::NOWHERE, resource_type);
        };
        let place = self.auditor.places.root(of);
        match self.doc.child(self.doc.root, "id") {
            None if WITHOUT_ID.contains(&resource_type) => {}
            None => self.found(What::NoId, place),
            Some(id) => self.identity(of, id, place),
        }
        self.object(self.doc.root, place);
    }

    fn identity(&mut self, of: Type, id: u32, place: At) {
        let Some(id) = self.doc.text(id) else { return };
        if self.auditor.identities.is_repeated(key(of.name(), id)) {
            let text = || format!("{of}/{id}");
            self.auditor.findings.add(What::SharedId, place, None, self.origin, text);
        }
    }

    fn object(&mut self, object: u32, place: At) {
        let is_resource = matches!(self.auditor.places.get(place).content, Content::Resource);
        let serial = self.auditor.next_object();
        let mut others = HashSet::new();
        for (key, value) in self.doc.entries(object) {
            if let Some(child) = self.auditor.places.child(place, key) {
                if self.auditor.places.meet(child, serial) {
                    self.found(What::DuplicateKey, child);
                }
                if key == "modifierExtension" {
                    self.found(What::Modified, child);
                }
                self.value(value, child, object);
            } else {
                if !others.insert(key) {
                    self.found_name(What::DuplicateKey, place, key);
                }
                if !(is_resource && key == "resourceType") {
                    self.found_name(What::UnknownElement, place, key);
                }
            }
        }
    }

    /// The value of a key of `object`.
    fn value(&mut self, value: u32, place: At, object: u32) {
        let many = self.auditor.places.get(place).many;
        match self.doc.json_at(value) {
            Json::Array => {
                if !many {
                    self.found(What::ListForOne, place);
                }
                self.list(value, place, object);
            }
            Json::Null => self.found(What::Null, place),
            _ => {
                if many {
                    self.found(What::OneForList, place);
                }
                self.item(value, place);
            }
        }
    }

    fn list(&mut self, list: u32, place: At, object: u32) {
        let doc = self.doc;
        let is_null = |at| doc.json_at(at) == Json::Null;
        let mut nulls = false;
        let mut empty = true;
        for item in doc.elements(list) {
            empty = false;
            if is_null(item) {
                nulls = true;
            } else {
                self.item(item, place);
            }
        }
        if empty {
            self.found(What::EmptyList, place);
        }
        if !nulls {
            return;
        }
        // A null holds the place of a value that has only extensions, or of extensions that a value does not have.
        let twin = self.auditor.places.get(place).twin.as_deref();
        let twin = twin.and_then(|twin| doc.child(object, twin));
        let mut beside = twin.map(|twin| doc.elements(twin));
        for item in doc.elements(list) {
            let other = beside.as_mut().and_then(Iterator::next);
            if is_null(item) && other.is_none_or(is_null) {
                self.found(What::Null, place);
            }
        }
    }

    /// One value that is not null, of a list or by itself.
    fn item(&mut self, item: u32, place: At) {
        let json = self.doc.json_at(item);
        match (self.auditor.places.get(place).content, json) {
            (Content::Primitive(of, primitive), _) => self.primitive(json, of, primitive, place),
            (Content::AnyResource, Json::Object) => self.inner_resource(item, place),
            (content, Json::Object) => {
                self.object(item, place);
                if self.is_empty(item, content) {
                    self.found(What::EmptyObject, place);
                } else if matches!(content, Content::Reference) {
                    self.reference(item, place);
                }
            }
            _ => {
                let of = self.auditor.places.get(place).expected();
                self.found(What::JsonType(json.into(), of), place);
            }
        }
    }

    fn primitive(&mut self, json: Json<'_>, of: Type, primitive: Primitive, place: At) {
        let what = match primitive.fault(json) {
            None => return,
            Some(Fault::JsonType) => What::JsonType(json.into(), of),
            Some(Fault::Empty) => What::EmptyText,
            Some(Fault::Value) => What::NoValue(of),
        };
        self.found(what, place);
    }

    /// Every element has a value or children besides its id (FHIR R4, constraint ele-1). The value of a companion
    /// stands beside it.
    fn is_empty(&self, object: u32, content: Content) -> bool {
        let with_value = matches!(content, Content::Companion);
        self.doc.entries(object).all(|(key, _)| key == "id" && !with_value)
    }

    /// A resource within this one. What is contained shares the container's other contained resources; what stands in
    /// a Bundle or in Parameters has its own.
    fn inner_resource(&mut self, resource: u32, place: At) {
        let name = self.doc.child(resource, "resourceType").and_then(|at| self.doc.text(at));
        let Some(of) = name.and_then(concrete) else {
            return match name {
                Some(name) => self.found_name(What::UnknownResourceType, place, name),
                None => self.found(What::UnknownResourceType, place),
            };
        };
        let typed = self.auditor.places.typed(place, of);
        if self.auditor.places.get(place).is_contained() {
            return self.object(resource, typed);
        }
        let outer = (std::mem::replace(&mut self.container, resource), self.contained.take());
        self.object(resource, typed);
        (self.container, self.contained) = outer;
    }

    fn reference(&mut self, object: u32, place: At) {
        let Some(at) = self.doc.child(object, "reference") else {
            return self.found(What::Unresolvable(Unresolvable::NotLiteral), place);
        };
        // What is no text, or empty, is told of at its own path.
        let Some(text) = self.doc.text(at).filter(|text| !text.is_empty()) else { return };
        if let Some(what) = self.unresolved(text) {
            self.auditor.findings.add(what, place, None, self.origin, || text.to_owned());
        }
    }

    /// Why there is no resource behind a reference, if there is none.
    fn unresolved(&mut self, text: &'a str) -> Option<What> {
        match Target::of(text, self.auditor.bases) {
            Target::Resource { of, id } => {
                let identities = self.auditor.identities;
                if identities.contains(key(of, id)) {
                    None
                } else if identities.has_type(of) {
                    Some(What::NotInInput)
                } else {
                    Some(concrete(of).map_or(What::UnknownTarget, What::TypeNotInInput))
                }
            }
            Target::Unresolvable(Unresolvable::Contained) => {
                let id = text.strip_prefix('#').unwrap_or(text);
                // `#` alone is the container itself.
                (!id.is_empty() && !self.has_contained(id)).then_some(What::NotContained)
            }
            Target::Unresolvable(reason) => Some(What::Unresolvable(reason)),
        }
    }

    fn has_contained(&mut self, id: &str) -> bool {
        let (doc, container) = (self.doc, self.container);
        let ids = || {
            let list = doc.child(container, "contained").into_iter();
            let resources = list.flat_map(|list| doc.elements(list));
            resources.filter_map(|resource| doc.text(doc.child(resource, "id")?)).collect()
        };
        self.contained.get_or_insert_with(ids).contains(id)
    }

    fn found(&mut self, what: What, place: At) {
        self.auditor.findings.add(what, place, None, self.origin, String::new);
    }

    /// A finding at a key, or a type, that the definitions do not have.
    fn found_name(&mut self, what: What, place: At, name: &str) {
        self.auditor.findings.add(what, place, Some(name), self.origin, || name.to_owned());
    }
}

/// A type of which there can be resources.
fn concrete(name: &str) -> Option<Type> {
    let of = Type::named(name).filter(|of| of.is_resource())?;
    (!matches!(name, "Resource" | "DomainResource")).then_some(of)
}
