//! Generated resources: built from the element table, small, and often not as they should be.

use kiln::fhir::{Element, Type};

use super::choices::Choices;
use super::json::Json;

/// Urls of extensions and systems.
pub(super) const URLS: [&str; 3] = ["http://e.org/a", "http://e.org/b", "http://e.org/é"];

const TEXTS: [&str; 12] = [
    "a",
    "b",
    "official",
    "a'b",
    "\"",
    "back\\slash",
    "",
    "é\n😀",
    "1.5",
    "{\"value\":2.5}",
    "\u{1}",
    "A",
];
const NUMBERS: [&str; 14] = [
    "1",
    "2",
    "0",
    "1.50",
    "-3",
    "1.5",
    "1E2",
    "100.0",
    "1.0e-3",
    "-0",
    "12345678901234567890",
    "1234567890123456.123456789",
    "0.10",
    "9223372036854775807123456789012345.5",
];
const DATES: [&str; 4] = ["2020-05-17", "2020-05", "2020", "1970-01-01"];
/// Of years of their own, so that no time zone matters.
const INSTANTS: [&str; 2] = ["2015-02-07T13:28:17.239+02:00", "2018-03-04T10:00:00Z"];
const TIMES: [&str; 2] = ["12:34:00", "08:00:00"];

/// Of the many types that an extension can have.
const COMMON: [&str; 9] =
    ["string", "code", "boolean", "integer", "decimal", "Quantity", "Coding", "Age", "Period"];

/// Resources that others contain.
const CONTAINED: [&str; 3] = ["Observation", "Patient", "Organization"];

const DEEPEST: usize = 5;

/// A resource of that type.
pub(super) fn resource(of: Type, choices: &mut Choices<'_>) -> Json {
    let mut generator = Generator { choices };
    let count = 3 + generator.choices.below(7);
    generator.object(of, 0, count)
}

struct Generator<'c, 't> {
    choices: &'c mut Choices<'t>,
}

impl Generator<'_, '_> {
    fn object(&mut self, of: Type, depth: usize, members: usize) -> Json {
        let mut pairs = Vec::new();
        if of.is_resource() {
            pairs.push(("resourceType".to_owned(), Json::text(of.name())));
        }
        if of.name() == "Extension" && !self.choices.rarely(16) {
            pairs.push(("url".to_owned(), Json::text(self.choices.one(&URLS))));
        }
        let elements: Vec<_> = of.elements().filter(|e| is_wanted(e, depth)).collect();
        for _ in 0..members {
            if elements.is_empty() {
                break;
            }
            let element = self.choices.one(&elements);
            self.member(element, depth, &mut pairs);
            if self.choices.rarely(20) {
                // Once more under the same keys, or of another type of the choice.
                self.member(element, depth, &mut pairs);
            }
        }
        if self.choices.rarely(20) {
            let odd = self.choices.one(&["x", "\"x\\", "value", "_", "1.5"]);
            pairs.push((odd.to_owned(), Json::List(vec![self.number(), Json::Null])));
        }
        Json::Object(pairs)
    }

    fn member(&mut self, element: &Element, depth: usize, pairs: &mut Vec<(String, Json)>) {
        let of = self.type_of(element);
        let key = element.key(of);
        let count = if element.many { [2, 1, 3, 2, 0][self.choices.below(5)] } else { 1 };
        let extended = of.is_primitive() && self.choices.rarely(if element.many { 2 } else { 4 });
        let mut values: Vec<_> = (0..count).map(|_| self.value(of, depth)).collect();
        if extended {
            let mut beside: Vec<_> = (0..count).map(|_| self.beside(depth)).collect();
            for value in &mut values {
                if self.choices.rarely(3) {
                    *value = Json::Null;
                }
            }
            // One list may be shorter than the other.
            match self.choices.below(5) {
                3 => drop(beside.pop()),
                4 => drop(values.pop()),
                _ => {}
            }
            let beside = self.arranged(beside, element.many);
            let at = if self.choices.rarely(2) { 0 } else { pairs.len() };
            pairs.insert(at, (format!("_{key}"), beside));
            if self.choices.rarely(4) {
                return;
            }
        }
        let value = self.arranged(values, element.many);
        pairs.push((key, value));
    }

    fn type_of(&mut self, element: &Element) -> Type {
        let common: Vec<_> =
            element.types.iter().copied().filter(|t| COMMON.contains(&t.name())).collect();
        let from = if element.types.len() > 15 { &common } else { &element.types };
        self.choices.one(from)
    }

    /// A list or a single value, mostly as the definition says.
    fn arranged(&mut self, mut values: Vec<Json>, many: bool) -> Json {
        let odd = self.choices.rarely(16);
        if odd && self.choices.rarely(3) {
            return Json::List(vec![Json::List(values)]);
        }
        match (many != odd, values.pop()) {
            (false, last) => last.unwrap_or(Json::Null),
            (true, last) => Json::List(values.into_iter().chain(last).collect()),
        }
    }

    fn value(&mut self, of: Type, depth: usize) -> Json {
        if self.choices.rarely(24) {
            let odd = [Json::Null, Json::Object(vec![]), Json::Boolean(true), Json::text("a")];
            return match self.choices.below(5) {
                4 => self.number(),
                i => odd[i].clone(),
            };
        }
        match of.name() {
            "Resource" => {
                let of = Type::named(self.choices.one(&CONTAINED)).unwrap();
                self.object(of, depth + 2, 4)
            }
            _ if of.is_primitive() => self.primitive(of),
            _ => {
                let count = 1 + self.choices.below(4);
                self.object(of, depth + 1, count)
            }
        }
    }

    fn primitive(&mut self, of: Type) -> Json {
        match of.name() {
            "boolean" => Json::Boolean(!self.choices.rarely(2)),
            "decimal" | "integer" | "positiveInt" | "unsignedInt" => self.number(),
            "date" => Json::text(self.choices.one(&DATES)),
            "dateTime" | "instant" if self.choices.rarely(2) => {
                Json::text(self.choices.one(&DATES))
            }
            "dateTime" | "instant" => Json::text(self.choices.one(&INSTANTS)),
            "time" => Json::text(self.choices.one(&TIMES)),
            "uri" | "url" | "canonical" => Json::text(self.choices.one(&URLS)),
            _ => Json::text(self.choices.one(&TEXTS)),
        }
    }

    fn number(&mut self) -> Json {
        Json::Number(self.choices.one(&NUMBERS).to_owned())
    }

    /// What stands beside a primitive.
    fn beside(&mut self, depth: usize) -> Json {
        match self.choices.below(6) {
            0 | 1 => {
                let extension = self.object(Type::named("Extension").unwrap(), depth + 2, 1);
                Json::Object(vec![("extension".to_owned(), Json::List(vec![extension]))])
            }
            2 => Json::Object(vec![("id".to_owned(), Json::text("a"))]),
            3 | 4 => Json::Null,
            _ => Json::Object(vec![]),
        }
    }
}

/// Small things only, far down.
fn is_wanted(element: &Element, depth: usize) -> bool {
    let small = element.types.iter().any(|t| t.is_primitive());
    let heavy = ["contained", "text", "meta", "modifierExtension", "url", "resourceType"];
    let extra = element.name == "contained" && depth == 0;
    extra || (!heavy.contains(&element.name) && (small || depth < DEEPEST))
}
