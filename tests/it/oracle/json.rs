//! JSON as it was written: keys in order and as often as they stand, numbers as text.

use super::choices::Choices;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Boolean(bool),
    /// The number as written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The value of a key; of duplicates the last.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(pairs) => pairs.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub(super) fn get_text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list; a value that is no list is its own only one.
    pub(super) fn elements(&self) -> Vec<&Self> {
        match self {
            Self::List(elements) => elements.iter().collect(),
            one => vec![one],
        }
    }

    /// Without white space, and no more escapes than are needed.
    pub(super) fn compact(&self) -> String {
        self.write(&mut |text| serde_json::to_string(text).unwrap(), &mut || "")
    }

    /// The same value, oddly written: white space, and characters as escapes.
    pub(super) fn odd(&self, choices: &[u8]) -> String {
        let tape: Vec<_> = choices.iter().map(|c| u16::from(*c)).collect();
        // The resource is longer than the tape: the choices are made again and again.
        let (mut texts, mut spaces) = (Choices::new(&[]), tape.iter().cycle());
        let mut space = || match spaces.next() {
            Some(n) => ["", "", "", "", " ", "\t", "\r ", "\n  "][usize::from(n % 8)],
            None => "",
        };
        let mut text = |text: &str| {
            let mut written = serde_json::to_string(text).unwrap();
            if texts.tape_is_over() {
                texts = Choices::new(&tape);
            }
            if texts.rarely(4) {
                let at = texts.below(text.chars().count());
                written = text.chars().enumerate().map(|(i, c)| escaped(c, i == at)).collect();
                written = format!("\"{written}\"");
            }
            written
        };
        self.write(&mut text, &mut space)
    }

    fn write(
        &self,
        text: &mut impl FnMut(&str) -> String,
        space: &mut impl FnMut() -> &'static str,
    ) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Boolean(b) => b.to_string(),
            Self::Number(number) => number.clone(),
            Self::Text(t) => text(t),
            Self::List(elements) => {
                let mut parts = Vec::new();
                for element in elements {
                    parts.push(format!("{}{}{}", space(), element.write(text, space), space()));
                }
                format!("[{}]", parts.join(","))
            }
            Self::Object(pairs) => {
                let mut parts = Vec::new();
                for (key, value) in pairs {
                    let (key, before) = (text(key), space());
                    let value = value.write(text, space);
                    parts.push(format!("{}{key}{before}:{}{value}{}", space(), space(), space()));
                }
                format!("{{{}}}", parts.join(","))
            }
        }
    }
}

fn escaped(c: char, always: bool) -> String {
    if always {
        let mut units = [0; 2];
        let escapes: Vec<_> =
            c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04x}")).collect();
        return escapes.concat();
    }
    let quoted = serde_json::to_string(&c).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}
