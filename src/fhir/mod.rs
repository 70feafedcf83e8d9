//! The FHIR R4 element table: which elements a type has, of which types, and whether they repeat; and what the text of
//! a Reference points at.
//!
//! `elements.txt` is made by `generate.py` from HL7's definitions; its format is described there. The table
//! is read once, on first use (under a millisecond), and everything in it lives for ever.

mod reference;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

pub use reference::{Target, Unresolvable, base, relative_id};

/// A FHIR type: a resource, a datatype, a primitive, or a backbone element named by its path
/// (`Patient.contact`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type(u16);

/// One element of a type, as the definitions give it.
#[derive(Debug)]
pub struct Element {
    /// The name without `[x]`.
    pub name: &'static str,
    /// Whether it is a choice of types (`value[x]`).
    pub choice: bool,
    /// Whether it may repeat (max cardinality above one).
    pub many: bool,
    /// Its types: one, but for choices.
    pub types: Vec<Type>,
}

impl Element {
    /// The JSON key under which a value of type `of` stands: `valueQuantity`, or just the name.
    pub fn key(&self, of: Type) -> String {
        if !self.choice {
            return self.name.to_owned();
        }
        let mut letters = of.name().chars();
        let head = letters.next().map(|c| c.to_ascii_uppercase());
        self.name.chars().chain(head).chain(letters).collect()
    }
}

struct Entry {
    name: &'static str,
    parent: Option<Type>,
    elements: Vec<Element>,
}

struct Table {
    entries: Vec<Entry>,
    by_name: HashMap<&'static str, Type>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("elements.txt")));

impl Table {
    fn read(text: &'static str) -> Self {
        let name_of = |line: &'static str| line.split(' ').next().unwrap_or_default();
        let by_name: HashMap<_, _> =
            text.lines().enumerate().map(|(i, line)| (name_of(line), Type(i as u16))).collect();
        let entries = text.lines().map(|line| Entry::read(line, &by_name)).collect();
        Self { entries, by_name }
    }
}

impl Entry {
    fn read(line: &'static str, by_name: &HashMap<&'static str, Type>) -> Self {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let parent = words.next().and_then(|p| by_name.get(p).copied());
        let elements = words.map(|word| Element::read(word, by_name)).collect();
        Self { name, parent, elements }
    }
}

impl Element {
    fn read(word: &'static str, by_name: &HashMap<&'static str, Type>) -> Self {
        let end = word.find(['*', ':']).unwrap_or(word.len());
        let (name, rest) = word.split_at(end);
        let types = rest[1..].split('|').filter_map(|t| by_name.get(t).copied()).collect();
        let plain = name.trim_end_matches("[x]");
        Self { name: plain, choice: plain.len() < name.len(), many: rest.starts_with('*'), types }
    }
}

impl Type {
    /// The type of that name, if R4 has it.
    pub fn named(name: &str) -> Option<Self> {
        TABLE.by_name.get(name).copied()
    }

    /// Its name, as FHIR spells it.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The type it specialises.
    pub fn parent(self) -> Option<Self> {
        self.entry().parent
    }

    /// Whether it is `other` or a specialisation of it.
    pub fn is_a(self, other: Self) -> bool {
        self == other || self.parent().is_some_and(|p| p.is_a(other))
    }

    /// Whether it is a resource, abstract ones included.
    pub fn is_resource(self) -> bool {
        Self::named("Resource").is_some_and(|resource| self.is_a(resource))
    }

    /// Whether its value is a JSON string, number or boolean. FHIR spells primitives in lower case.
    pub fn is_primitive(self) -> bool {
        self.name().starts_with(|c: char| c.is_ascii_lowercase())
    }

    /// The element `name` (without `[x]`), own or inherited.
    pub fn element(self, name: &str) -> Option<&'static Element> {
        let own = self.entry().elements.iter().find(|e| e.name == name);
        own.or_else(|| self.parent()?.element(name))
    }

    /// Its elements: own first, then inherited.
    pub fn elements(self) -> impl Iterator<Item = &'static Element> {
        std::iter::successors(Some(self), |t| t.parent()).flat_map(|t| t.entry().elements.iter())
    }

    /// The element whose values stand under a JSON key, and their type: `name`, or `valueQuantity` of a choice.
    pub fn at_key(self, key: &str) -> Option<(&'static Element, Type)> {
        match self.element(key).filter(|element| !element.choice) {
            Some(element) => Some((element, *element.types.first()?)),
            None => self.choice_key(key),
        }
    }

    /// The choice element and type that a JSON key such as `valueQuantity` stands for.
    pub fn choice_key(self, key: &str) -> Option<(&'static Element, Type)> {
        self.elements().filter(|e| e.choice && key.starts_with(e.name)).find_map(|e| {
            let of = e.types.iter().copied().find(|t| e.key(*t) == key)?;
            Some((e, of))
        })
    }

    fn entry(self) -> &'static Entry {
        &TABLE.entries[usize::from(self.0)]
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All concrete resource types, for suggestions.
pub fn resource_types() -> impl Iterator<Item = Type> {
    types().filter(|t| t.is_resource() && !matches!(t.name(), "Resource" | "DomainResource"))
}

/// All types, for suggestions.
pub fn types() -> impl Iterator<Item = Type> {
    (0..TABLE.entries.len()).map(|i| Type(i as u16))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_own_and_inherited() {
        let check = |of: &str, element: &str, types: &str, many: bool| {
            let found = Type::named(of).unwrap().element(element).unwrap();
            let names: Vec<_> = found.types.iter().map(|t| t.name()).collect();
            assert_eq!((names.join("|").as_str(), found.many), (types, many), "{of}.{element}");
        };
        check("Patient", "birthDate", "date", false);
        check("Patient", "name", "HumanName", true);
        check("Patient", "contact", "Patient.contact", true);
        check("Patient", "id", "id", false);
        check("Patient", "extension", "Extension", true);
        check("Patient.contact", "name", "HumanName", false);
        check("Patient", "deceased", "boolean|dateTime", false);
        check("code", "extension", "Extension", true);
        check("Questionnaire.item", "item", "Questionnaire.item", true);
        check("Age", "value", "decimal", false);
        assert!(Type::named("Patient").unwrap().element("nmae").is_none());
    }

    #[test]
    fn choices_have_a_key_for_each_type() {
        let observation = Type::named("Observation").unwrap();
        let (element, of) = observation.choice_key("valueCodeableConcept").unwrap();
        assert_eq!((element.name, of.name()), ("value", "CodeableConcept"));
        assert_eq!(element.key(Type::named("dateTime").unwrap()), "valueDateTime");
        assert!(observation.choice_key("valueAge").is_none());
    }

    #[test]
    fn primitives_resources_and_specialisation() {
        let named = |n| Type::named(n).unwrap();
        assert!(named("positiveInt").is_a(named("integer")) && named("code").is_primitive());
        assert!(named("Patient").is_resource() && !named("Quantity").is_resource());
        assert!(!named("Patient.contact").is_primitive() && named("xhtml").is_primitive());
        assert!(
            resource_types().any(|t| t.name() == "Bundle")
                && resource_types().all(|t| t.name() != "Resource")
        );
    }
}
