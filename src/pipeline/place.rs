//! Where in a JSON text something stands: from a JSON path, and a byte of an expression there, to line and column.

use std::collections::HashMap;

/// A place for people: line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// The places of all members and elements of one JSON text, which is known to be valid.
pub(super) struct Places<'t> {
    text: &'t str,
    spots: HashMap<String, Spot>,
    /// Members that occur more than once, and where the second begins.
    repeated: Vec<(String, usize)>,
}

#[derive(Clone, Copy)]
struct Spot {
    /// Of a member its key, of an element its value.
    start: usize,
    value: usize,
}

impl<'t> Places<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let places = Self { text, spots: HashMap::new(), repeated: Vec::new() };
        let mut scan = Scan { bytes: text.as_bytes(), at: 0, places };
        scan.value("", None);
        scan.places
    }

    /// The place of `path`, or of the nearest part of it that is there. With `within`, the place of that byte of the
    /// text that stands there.
    pub(super) fn find(&self, path: &str, within: Option<usize>) -> Place {
        let mut path = path;
        let mut exact = true;
        let spot = loop {
            match self.spots.get(path) {
                Some(spot) => break *spot,
                None if path.is_empty() => break Spot { start: 0, value: 0 },
                None => path = &path[..path.rfind(['.', '[']).unwrap_or(0)],
            }
            exact = false;
        };
        match within.filter(|_| exact) {
            Some(byte) => self.at(self.within_string(spot.value, byte)),
            None => self.at(spot.start),
        }
    }

    /// Members that occur more than once, and where again: of those JSON keeps the last only.
    pub(super) fn repeated(&self) -> impl Iterator<Item = (&str, Place)> {
        self.repeated.iter().map(|(path, start)| (path.as_str(), self.at(*start)))
    }

    /// What is written as the value of `path`, if that is a number.
    pub(super) fn number(&self, path: &str) -> Option<&'t str> {
        let rest = &self.text[self.spots.get(path)?.value..];
        let in_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = rest.find(|c| !in_number(c)).unwrap_or(rest.len());
        (end > 0).then_some(&rest[..end])
    }

    fn at(&self, offset: usize) -> Place {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let (mut line, mut last) = (0, &before[..0]);
        for text in before.split(|b| *b == b'\n') {
            (line, last) = (line + 1, text);
        }
        // In UTF-8 all bytes of a character but its first begin with 10.
        let column = last.iter().filter(|b| **b & 0xC0 != 0x80).count() + 1;
        Place { line, column }
    }

    /// The offset of a byte of the string that begins at `quote`, whose escapes are longer than what they stand for.
    fn within_string(&self, quote: usize, byte: usize) -> usize {
        let bytes = self.text.as_bytes();
        let (mut at, mut seen) = (quote + 1, 0);
        while seen < byte && bytes.get(at).is_some_and(|b| *b != b'"') {
            let (written, meant) = match (bytes[at], bytes.get(at + 1)) {
                (b'\\', Some(b'u')) => self.unicode(at),
                (b'\\', _) => (2, 1),
                _ => (1, 1),
            };
            at += written;
            seen += meant;
        }
        at
    }

    /// Lengths of a `\u` escape (of two, for a surrogate pair) and of its character.
    fn unicode(&self, at: usize) -> (usize, usize) {
        let unit = self.text.get(at + 2..at + 6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match unit {
            Some(0xD800..=0xDBFF) => (12, 4),
            unit => (6, unit.and_then(char::from_u32).map_or(1, char::len_utf8)),
        }
    }
}

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    places: Places<'t>,
}

impl Scan<'_> {
    /// Goes past the value that comes next; `key` is where the key of a member begins.
    fn value(&mut self, path: &str, key: Option<usize>) {
        self.blanks();
        let spot = Spot { start: key.unwrap_or(self.at), value: self.at };
        if self.places.spots.insert(path.to_owned(), spot).is_some() && key.is_some() {
            self.note_repeated(path, spot.start);
        }
        match self.bytes.get(self.at) {
            Some(b'{') => self.members(path),
            Some(b'[') => self.elements(path),
            Some(b'"') => drop(self.string()),
            _ => self.skip(|b| !matches!(b, b',' | b'}' | b']')),
        }
    }

    fn note_repeated(&mut self, path: &str, start: usize) {
        let repeated = &mut self.places.repeated;
        // What is within a repeated member is repeated by that.
        if !repeated.iter().any(|(outer, _)| path.starts_with(outer)) {
            repeated.push((path.to_owned(), start));
        }
    }

    fn members(&mut self, path: &str) {
        self.at += 1;
        while self.more(b'}') {
            let start = self.at;
            let name = self.string();
            self.skip(|b| b != b':');
            self.at += 1;
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            self.value(&path, Some(start));
        }
    }

    fn elements(&mut self, path: &str) {
        self.at += 1;
        let mut index = 0;
        while self.more(b']') {
            self.value(&format!("{path}[{index}]"), None);
            index += 1;
        }
    }

    /// Goes to the next part of a list or object, or past its end.
    fn more(&mut self, end: u8) -> bool {
        self.skip(|b| b.is_ascii_whitespace() || b == b',');
        let found = self.bytes.get(self.at).is_some_and(|b| *b != end);
        self.at += usize::from(!found);
        found
    }

    /// Goes past a string, and gives it.
    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(b) = self.bytes.get(self.at).filter(|b| **b != b'"') {
            self.at += if *b == b'\\' { 2 } else { 1 };
        }
        self.at = (self.at + 1).min(self.bytes.len());
        serde_json::from_slice(&self.bytes[start..self.at]).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.skip(|b| b.is_ascii_whitespace());
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.bytes.get(self.at).is_some_and(|b| wanted(*b)) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{ "resource": "Patient",
  "select": [
    {"column": [{"name": "é", "path": "a 'b'"}, [1, {"x": null}]],
     "a.b" : {}, "list": [ ] },
    { "path" :
       "\"\u00e9\ud83d\ude00\n+x", "n":-1.50E+2}
  ]
}
"#;

    #[test]
    fn paths_lead_to_lines_and_columns() {
        let places = Places::of(TEXT);
        for (path, within, line, column) in [
            ("", None, 1, 1),
            ("resource", None, 1, 3),
            ("missing", None, 1, 1),
            ("select", None, 2, 3),
            ("select[0]", None, 3, 5),
            ("select[0].column[0].path", None, 3, 31),
            ("select[0].column[0].path", Some(0), 3, 40),
            ("select[0].column[0].path", Some(2), 3, 42),
            ("select[0].column[0].path", Some(99), 3, 45),
            ("select[0].column[1][1].x", None, 3, 54),
            ("select[0].a.b", None, 4, 6),
            ("select[0].list", None, 4, 18),
            ("select[0].list[0].name", Some(3), 4, 18),
            ("select[1].path", None, 5, 7),
            ("select[1].path", Some(1), 6, 11),
            ("select[1].path", Some(3), 6, 17),
            ("select[1].path", Some(7), 6, 29),
            ("select[1].path", Some(8), 6, 31),
            ("select[1].column[0]", None, 5, 5),
        ] {
            let found = places.find(path, within);
            assert_eq!((found.line, found.column), (line, column), "{path} {within:?}");
        }
        assert_eq!(places.number("select[1].n"), Some("-1.50E+2"));
        assert_eq!(places.number("resource"), None);
    }

    #[test]
    fn members_that_are_written_twice() {
        let text = "{\"a\": 1,\n \"b\": [{\"c\": 1}],\n \"b\": [{\"c\": 2, \"d\": 1, \"d\": 2}], \"a\": 2}";
        let places = Places::of(text);
        let found: Vec<_> = places.repeated().map(|(p, at)| (p, at.line, at.column)).collect();
        assert_eq!(found, [("b", 3, 2), ("a", 3, 35)]);
        assert_eq!(Places::of(TEXT).repeated().count(), 0);
    }
}
