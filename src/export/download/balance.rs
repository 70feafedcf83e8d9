//! Tells whether a JSON object or array is whole, from its brackets and strings, without keeping it.

/// What the text read so far amounts to. A text that was cut off is never whole: the bracket that opened it is still
/// open. Whether a whole one is valid JSON is the parser's question.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Balance {
    depth: u64,
    in_string: bool,
    escaped: bool,
    seen: Seen,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Blank,
    Open,
    Whole,
    /// Not one object or array.
    Other,
}

impl Balance {
    /// Reads on.
    pub(super) fn feed(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            text = if self.in_string { self.string(text) } else { self.structure(text) };
        }
    }

    /// Whether there is nothing but white space so far.
    pub(super) fn is_blank(self) -> bool {
        self.seen == Seen::Blank
    }

    /// Whether an object or array has begun and not ended.
    pub(super) fn is_open(self) -> bool {
        self.seen == Seen::Open
    }

    /// Whether it is one object or array, from the first bracket to the last.
    pub(super) fn is_whole(self) -> bool {
        self.seen == Seen::Whole
    }

    /// Within a string: up to its end, or to what a backslash escapes.
    fn string<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        if std::mem::take(&mut self.escaped) {
            return &text[1..];
        }
        let Some(at) = memchr::memchr2(b'"', b'\\', text) else { return &[] };
        self.in_string = text[at] == b'\\';
        self.escaped = self.in_string;
        &text[at + 1..]
    }

    /// Outside of strings: up to the beginning of the next.
    fn structure<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'{' | b'[' => self.open(),
                b'}' | b']' => self.close(),
                other => {
                    if self.depth == 0 {
                        self.seen = Seen::Other;
                    }
                    if *other == b'"' {
                        self.in_string = true;
                        return &text[at + 1..];
                    }
                }
            }
        }
        &[]
    }

    fn open(&mut self) {
        self.depth += 1;
        self.seen = match self.seen {
            Seen::Blank | Seen::Open => Seen::Open,
            Seen::Whole | Seen::Other => Seen::Other,
        };
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.seen = match self.seen {
            Seen::Open if self.depth == 0 => Seen::Whole,
            Seen::Open => Seen::Open,
            _ => Seen::Other,
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// However the text is cut into pieces.
    #[test]
    fn whole_open_or_neither() {
        for (text, expected) in [
            ("", Seen::Blank),
            (" \t\r\n", Seen::Blank),
            ("{", Seen::Open),
            (r#"{"a":"}"#, Seen::Open),
            (r#"{"a":"\"}"#, Seen::Open),
            (r#"{"a":"\\"}"#, Seen::Whole),
            (r#" {"a":[{"b":"]\"}{"},1.50]} "#, Seen::Whole),
            ("[\n{},\n{}\n]\n", Seen::Whole),
            ("{}{}", Seen::Other),
            ("{}}", Seen::Other),
            ("}", Seen::Other),
            ("12", Seen::Other),
            (r#""{}""#, Seen::Other),
            ("oops {}", Seen::Other),
        ] {
            for size in [1, 2, 3, 100] {
                let mut balance = Balance::default();
                text.as_bytes().chunks(size).for_each(|piece| balance.feed(piece));
                assert_eq!(balance.seen, expected, "{text}, by {size}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_never_whole() {
        let text = r#"{"resourceType":"Patient","name":[{"family":"a\"}]"}],"n":1.50}"#;
        for end in 1..text.len() {
            let mut balance = Balance::default();
            balance.feed(&text.as_bytes()[..end]);
            assert!(balance.is_open(), "{}", &text[..end]);
        }
    }
}
