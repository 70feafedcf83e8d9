//! Text to tokens, each with its span in bytes.
//!
//! The lexical rules are those of the FHIRPath grammar (N1, section "Lexical Elements").

use std::ops::Range;

use super::SyntaxError;

/// What a token is; its text is found by its span.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name, plain or in backticks (then without them, unescaped).
    Name(String),
    /// A string literal, unescaped.
    String(String),
    /// A number without a point.
    Integer,
    /// A number with a point.
    Decimal,
    /// A date or dateTime literal, or with `@T` a time; without the `@`.
    Temporal,
    /// `%name`, `` %`name` `` or `%'name'`.
    Variable(String),
    /// `$this`, `$index`, `$total`.
    Special,
    /// An operator or a bracket.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// Longer symbols first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 21] = [
    "<=", ">=", "!=", "!~", "=", "~", "<", ">", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-",
    "*", "/", "|",
];

/// All tokens of `text`, closed by [`Kind::End`], and what in them works though hardly as meant.
pub(super) fn tokens(text: &str) -> Result<(Vec<Token>, Vec<SyntaxError>), SyntaxError> {
    let mut lexer = Lexer { text, at: 0, doubts: Vec::new() };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank()?;
        let start = lexer.at;
        let kind = lexer.token()?;
        let end = kind == Kind::End;
        found.push(Token { kind, span: start..lexer.at });
        if end {
            return Ok((found, lexer.doubts));
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    doubts: Vec<SyntaxError>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        self.at += self.rest().find(|c| !keep(c)).unwrap_or(self.rest().len());
        &self.text[start..self.at]
    }

    fn error(&self, start: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(message, start..self.at.max(start + 1).min(self.text.len().max(start + 1)))
    }

    /// White space, `// …` and `/* … */`.
    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest().starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let start = self.at;
                match self.rest().find("*/") {
                    Some(end) => self.at += end + 2,
                    None => return Err(self.error(start, "comment is not closed")),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        let Some(first) = self.peek() else { return Ok(Kind::End) };
        match first {
            'a'..='z' | 'A'..='Z' | '_' => Ok(Kind::Name(self.name().to_owned())),
            '0'..='9' => Ok(self.number()),
            '\'' => self.quoted('\'').map(Kind::String),
            '`' => self.quoted('`').map(Kind::Name),
            '@' => self.temporal(),
            '%' => self.variable(),
            '$' => self.special(),
            '&' => Ok(self.symbol("&")),
            _ => {
                if let Some(symbol) = SYMBOLS.iter().find(|s| self.rest().starts_with(**s)) {
                    return Ok(self.symbol(symbol));
                }
                self.at += first.len_utf8();
                Err(self.error(start, format!("`{first}` has no meaning here")))
            }
        }
    }

    fn symbol(&mut self, symbol: &'static str) -> Kind {
        self.at += symbol.len();
        Kind::Symbol(symbol)
    }

    fn name(&mut self) -> &str {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn number(&mut self) -> Kind {
        self.take_while(|c| c.is_ascii_digit());
        let mut after = self.rest().chars();
        if after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
            return Kind::Decimal;
        }
        // `45L` is a Long; whole numbers are all of 64 bits here.
        let mut after = self.rest().chars();
        if after.next() == Some('L') && !after.next().is_some_and(|c| c.is_ascii_alphanumeric()) {
            self.at += 1;
        }
        Kind::Integer
    }

    fn quoted(&mut self, quote: char) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(text),
                '\\' => text.push(self.escape(start)?),
                c => text.push(c),
            }
        }
        Err(self.error(start, "text is not closed"))
    }

    fn escape(&mut self, start: usize) -> Result<char, SyntaxError> {
        let escaped = self.peek().ok_or_else(|| self.error(start, "text is not closed"))?;
        self.at += escaped.len_utf8();
        Ok(match escaped {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => '\u{c}',
            'u' => return Ok(self.unicode()),
            '\'' | '"' | '`' | '\\' | '/' => escaped,
            _ => {
                self.needless_backslash(escaped);
                escaped
            }
        })
    }

    /// What stands behind `\u`: four hexadecimal digits, or two such escapes that are a surrogate pair.
    fn unicode(&mut self) -> char {
        let first = self.hex(self.at);
        let low = first.filter(|h| (0xD800..0xDC00).contains(h)).and_then(|high| {
            let low = self.rest().get(4..).filter(|r| r.starts_with("\\u"))?;
            let low = self.hex(self.text.len() - low.len() + 2)?;
            (0xDC00..0xE000)
                .contains(&low)
                .then(|| 0x1_0000 + ((high - 0xD800) << 10) + low - 0xDC00)
        });
        let Some(found) = low.or(first).and_then(char::from_u32) else {
            self.needless_backslash('u');
            return 'u';
        };
        self.at += if low.is_some() { 10 } else { 4 };
        found
    }

    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if all { u32::from_str_radix(digits, 16).ok() } else { None }
    }

    /// A backslash before anything else is dropped (N1, "String"), which pattern writers do not expect.
    fn needless_backslash(&mut self, before: char) {
        let start = self.at - before.len_utf8() - 1;
        let doubt = SyntaxError::new(
            format!("`\\{before}` is no escape: the backslash is dropped"),
            start..self.at,
        );
        self.doubts.push(doubt.hint(format!("write `\\\\{before}` for a backslash")));
    }

    fn temporal(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let taken = self
            .take_while(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 'Z' | '+' | '.'))
            .len();
        // A method call may follow: the point belongs to the literal only before a digit.
        while self.text[..self.at].ends_with('.') {
            self.at -= 1;
        }
        if taken == 0 {
            Err(self.error(start, "`@` wants a date, a dateTime or a time"))
        } else {
            Ok(Kind::Temporal)
        }
    }

    fn variable(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let name = match self.peek() {
            Some(quote @ ('`' | '\'')) => self.quoted(quote)?,
            _ => self.name().to_owned(),
        };
        if name.is_empty() {
            Err(self.error(start, "`%` wants a name"))
        } else {
            Ok(Kind::Variable(name))
        }
    }

    fn special(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        self.at += 1;
        match self.name() {
            "this" | "index" | "total" => Ok(Kind::Special),
            _ => Err(self.error(start, "only `$this`, `$index` and `$total` exist")),
        }
    }
}
