//! Rust sources as far as rules over them need it: without comments, strings and tests, cut into tokens.

use std::fmt::Write;

/// What counts as code.
pub(crate) fn bare(text: &str) -> String {
    without_tests(&without_comments_and_strings(text))
}

pub(crate) type Token<'c> = (usize, &'c str);

/// Names, `::` and single signs, each with its line from 1.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (i, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let in_name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                c if in_name(c) => rest.find(|c| !in_name(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            found.push((i + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    found
}

pub(crate) const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// The code with spaces for all that is for tests only; lines stay lines.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(TEST_ATTRIBUTE) {
        out.push_str(&rest[..at]);
        let length = item_length(&rest[at..]);
        blank(&rest[at..at + length], &mut out);
        rest = &rest[at + length..];
    }
    out + rest
}

/// Up to the `;` or the closing brace that ends an item.
fn item_length(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

fn blank(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
}

/// The code with spaces for comments and what is in quotes; lines stay lines.
pub(crate) fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment_length(rest).or_else(|| literal_length(rest, &out));
        let length = skipped.unwrap_or(first.len_utf8());
        let (token, after) = rest.split_at(length);
        match (skipped, token.as_bytes()[0]) {
            (None, _) => out.push_str(token),
            (Some(_), b'/') => blank(token, &mut out),
            // A line with nothing but a string is code.
            (Some(_), _) => {
                let inner: String = token.chars().skip(1).collect();
                out.push('"');
                let _ =
                    inner.chars().try_for_each(|c| out.write_char(if c == '\n' { c } else { '"' }));
            }
        }
        rest = after;
    }
    out
}

fn comment_length(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") if depth == 1 => return Some(at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    Some(text.len())
}

/// The length of a string, raw string or character at the start of the text, if there is one.
fn literal_length(text: &str, before: &str) -> Option<usize> {
    let in_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if let Some(raw) = text.strip_prefix('r').filter(|_| !in_name || before.ends_with(['b', 'c'])) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let end = raw[hashes + 1..].find(&close).map(|at| at + hashes + 1 + close.len());
            return Some(1 + end.unwrap_or(raw.len()));
        }
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if quote == '\'' && !text.starts_with("'\\") {
        // Only a character has its closing quote right behind it; all else is a lifetime.
        let (at, _) = text.char_indices().nth(2)?;
        return text[at..].starts_with('\'').then_some(at + 1);
    }
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    Some(end.map_or(text.len(), |(at, _)| at + 1))
}
