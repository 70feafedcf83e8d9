//! The places of a resource that have been met, each with what the definitions have there: a tree that grows with the
//! data, so that a place is looked up in the element table once.

use std::collections::HashMap;

use super::primitive::Primitive;
use crate::fhir::Type;

/// A place in the tree.
pub(super) type At = u32;

/// The tree is planted anew beyond so many places: data that recurs in ever other ways must not fill the memory.
const MOST: usize = 100_000;

/// What the definitions have at a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// A value.
    Primitive(Type, Primitive),
    /// What stands beside a value: its id and extensions (`_birthDate`).
    Companion,
    /// An object.
    Complex,
    /// An object that is a Reference.
    Reference,
    /// A resource of the type that it says itself.
    AnyResource,
    /// A resource, its type known.
    Resource,
}

/// One place.
pub(super) struct Place {
    parent: At,
    /// How it is reached from its parent, as it is shown in paths.
    step: String,
    of: Type,
    /// What is there.
    pub(super) content: Content,
    /// Whether it is a list.
    pub(super) many: bool,
    /// The key of the value that it is the companion of, or the other way round.
    pub(super) twin: Option<String>,
    children: HashMap<String, At>,
    /// The object in which it was met last.
    last_met: u64,
}

/// The tree of places.
pub(super) struct Places {
    places: Vec<Place>,
    roots: HashMap<Type, At>,
}

impl Places {
    /// The place of whatever has no type that is known.
    pub(super) const NOWHERE: At = 0;

    /// No place but [`Self::NOWHERE`].
    pub(super) fn new() -> Self {
        let nothing = Type::named("Resource").expect("the element table has it");
        let nowhere = Place::new(Self::NOWHERE, String::new(), nothing, false);
        Self { places: vec![nowhere], roots: HashMap::new() }
    }

    /// Forgets all places if they are too many. Places got earlier must not be used any more.
    pub(super) fn trim(&mut self) {
        if self.places.len() > MOST {
            *self = Self::new();
        }
    }

    /// The place of resources of a type.
    pub(super) fn root(&mut self, of: Type) -> At {
        if let Some(at) = self.roots.get(&of) {
            return *at;
        }
        let place = Place::resource(Self::NOWHERE, of.name().to_owned(), of);
        let at = self.plant(place);
        self.roots.insert(of, at);
        at
    }

    /// The place of resources of a type within a place for resources of any.
    pub(super) fn typed(&mut self, at: At, of: Type) -> At {
        if let Some(child) = self.get(at).children.get(of.name()) {
            return *child;
        }
        let child = self.plant(Place::resource(at, format!("({of})"), of));
        self.places[at as usize].children.insert(of.name().to_owned(), child);
        child
    }

    /// The place of a JSON key in an object at a place; nothing if R4 has no such element there.
    pub(super) fn child(&mut self, at: At, key: &str) -> Option<At> {
        let place = self.get(at);
        if let Some(child) = place.children.get(key) {
            return Some(*child);
        }
        let child = place.below(at, key)?;
        let child = self.plant(child);
        self.places[at as usize].children.insert(key.to_owned(), child);
        Some(child)
    }

    /// The place itself.
    pub(super) fn get(&self, at: At) -> &Place {
        &self.places[at as usize]
    }

    /// Notes that the place is met in an object, and tells whether it has been already.
    pub(super) fn meet(&mut self, at: At, object: u64) -> bool {
        std::mem::replace(&mut self.places[at as usize].last_met, object) == object
    }

    /// The keys that lead to a place, without indexes: `Patient.name.given`, `Claim.contained(Coverage).payor`.
    pub(super) fn path(&self, mut at: At) -> String {
        let mut steps = Vec::new();
        while at != Self::NOWHERE {
            steps.push(self.get(at).step.as_str());
            at = self.get(at).parent;
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            if !path.is_empty() && !step.starts_with('(') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }

    fn plant(&mut self, place: Place) -> At {
        self.places.push(place);
        (self.places.len() - 1) as At
    }
}

impl Place {
    fn new(parent: At, step: String, of: Type, many: bool) -> Self {
        let content = match of.name() {
            "Reference" => Content::Reference,
            _ if of.is_resource() => Content::AnyResource,
            _ if of.is_primitive() => Content::Primitive(of, Primitive::of(of)),
            _ => Content::Complex,
        };
        let primitive = matches!(content, Content::Primitive(..));
        let twin = primitive.then(|| format!("_{step}"));
        Self { parent, step, of, content, many, twin, children: HashMap::new(), last_met: 0 }
    }

    fn resource(parent: At, step: String, of: Type) -> Self {
        Self { content: Content::Resource, ..Self::new(parent, step, of, false) }
    }

    /// The type of what stands there.
    pub(super) fn expected(&self) -> Type {
        match self.content {
            Content::Companion => Type::named("Element").expect("the element table has it"),
            _ => self.of,
        }
    }

    /// Whether it is for resources that share their container's contained resources.
    pub(super) fn is_contained(&self) -> bool {
        self.step == "contained"
    }

    fn below(&self, at: At, key: &str) -> Option<Self> {
        if let Some(twin) = key.strip_prefix('_') {
            let value = self.element(at, twin)?;
            value.twin.as_ref()?;
            let (step, twin) = (key.to_owned(), Some(twin.to_owned()));
            return Some(Self { step, twin, content: Content::Companion, ..value });
        }
        self.element(at, key)
    }

    fn element(&self, at: At, key: &str) -> Option<Self> {
        let (element, of) = self.of.at_key(key)?;
        Some(Self::new(at, key.to_owned(), of, element.many))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_places() {
        let mut places = Places::new();
        let mut check = |of: &str, keys: &str, expected: Option<(&str, bool)>| {
            let mut at = Some(places.root(Type::named(of).unwrap()));
            for key in keys.split('.') {
                at = at.and_then(|at| match Type::named(key).filter(|of| of.is_resource()) {
                    Some(inner) => Some(places.typed(at, inner)),
                    None => places.child(at, key),
                });
            }
            let found = at.map(|at| (places.path(at), places.get(at).many));
            let expected = expected.map(|(path, many)| (path.to_owned(), many));
            assert_eq!(found, expected, "{of}.{keys}");
        };
        check("Patient", "name.given", Some(("Patient.name.given", true)));
        check("Patient", "_birthDate.extension", Some(("Patient._birthDate.extension", true)));
        check("Patient", "contact.name", Some(("Patient.contact.name", false)));
        check(
            "Observation",
            "valueQuantity.value",
            Some(("Observation.valueQuantity.value", false)),
        );
        check("Observation", "value", None);
        check("Observation", "_valueQuantity", None);
        check("Observation", "_valueString.id", Some(("Observation._valueString.id", false)));
        check("Patient", "__active", None);
        check("Patient", "_name", None);
        check("Claim", "contained.Coverage.payor", Some(("Claim.contained(Coverage).payor", true)));
        check("Questionnaire", "item.item.linkId", Some(("Questionnaire.item.item.linkId", false)));
    }
}
