//! Annotations: `@key: value` in the comments of SQL (StructureDefinition-SQLQuery, SQL Annotations).

use std::collections::BTreeMap;

use super::parameter::Parameter;
use super::{Dependency, Library, LibraryType, OURS};
use crate::error::{Error, ErrorKind, Result};

/// An annotation, and the line it is on, from 1.
struct Annotation<'t> {
    line: usize,
    key: &'t str,
    value: &'t str,
}

/// Reads the annotations of `text`.
pub(super) fn read(text: &str, stem: &str) -> Result<Library> {
    let mut library = Library {
        name: String::new(),
        url: String::new(),
        kind: LibraryType::Query,
        version: None,
        parameters: Vec::new(),
        dependencies: Vec::new(),
        about: BTreeMap::new(),
        sql: text.to_owned(),
    };
    for annotation in annotations(text) {
        take(&mut library, &annotation).map_err(|e| e.at("line", annotation.line))?;
    }
    if library.name.is_empty() {
        library.name = stem.replace('-', "_");
    }
    if !is_identifier(&library.name) {
        return Err(wrong(format!("`{}` cannot be the name of a query", library.name))
            .hint("begin with a letter, go on with letters, digits and `_`"));
    }
    if library.url.is_empty() {
        library.url = format!("{OURS}{}", library.name);
    }
    Ok(library)
}

/// Whether there is any annotation that makes a text a SQLQuery or SQLView.
pub(super) fn any(text: &str) -> bool {
    annotations(text)
        .iter()
        .any(|a| matches!(a.key, "name" | "param" | "relatedDependency" | "type"))
}

fn take(library: &mut Library, annotation: &Annotation<'_>) -> Result<()> {
    let value = annotation.value;
    match annotation.key {
        "name" => value.clone_into(&mut library.name),
        "url" => value.clone_into(&mut library.url),
        "version" => library.version = Some(value.to_owned()),
        "type" => library.kind = kind(value)?,
        "param" => {
            let parameter = Parameter::parse(value)?;
            if library.parameters.iter().any(|p| p.name == parameter.name) {
                return Err(wrong(format!("the parameter `{}` is declared twice", parameter.name)));
            }
            library.parameters.push(parameter);
        }
        "relatedDependency" => {
            let dependency = dependency(value)?;
            if library.dependencies.iter().any(|d| d.label.eq_ignore_ascii_case(&dependency.label))
            {
                return Err(wrong(format!("the label `{}` is used twice", dependency.label)));
            }
            library.dependencies.push(dependency);
        }
        key => library.about.entry(key.to_owned()).or_default().push(value.to_owned()),
    }
    Ok(())
}

fn kind(value: &str) -> Result<LibraryType> {
    match value {
        "sql-query" => Ok(LibraryType::Query),
        "sql-view" => Ok(LibraryType::View),
        other => {
            Err(wrong(format!("`{other}` is no type of a library"))
                .hint("`sql-query` or `sql-view`"))
        }
    }
}

/// `URL [as label]`; without a label it is the last part of the url.
fn dependency(value: &str) -> Result<Dependency> {
    let (canonical, label) = match value.split_once(char::is_whitespace) {
        None => {
            let url = value.split('|').next().unwrap_or_default();
            (value, url.rsplit('/').next().unwrap_or_default().replace('-', "_"))
        }
        Some((canonical, rest)) => match rest.trim().split_once(char::is_whitespace) {
            Some((word, label)) if word.eq_ignore_ascii_case("as") => {
                (canonical, label.trim().to_owned())
            }
            _ => return Err(wrong("a dependency is written `CANONICAL as label`")),
        },
    };
    if !is_identifier(&label) {
        return Err(wrong(format!("`{label}` cannot be a label"))
            .hint("begin with a letter, go on with letters, digits and `_`"));
    }
    Ok(Dependency { canonical: canonical.to_owned(), label })
}

/// `^[A-Za-z_][A-Za-z0-9_]*$`
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Definition, message)
}

/// The text without its annotations, and without the comments of which nothing else is left.
pub(super) fn without(text: &str) -> String {
    let (mut kept, mut end) = (String::new(), 0);
    for comment in comments(text) {
        kept.push_str(&text[end..comment.start]);
        end = comment.start + comment.text.len();
        let lines: Vec<_> =
            comment.text.lines().filter(|line| annotation(line).is_none()).collect();
        let rest = lines.join("\n");
        if !rest.trim_matches(DECORATION).is_empty() {
            kept.push_str(if comment.text.starts_with("/*") { "/*" } else { "" });
            kept.push_str(rest.strip_prefix("/*").unwrap_or(&rest));
            kept.push_str(if comment.text.ends_with("*/") && !rest.ends_with("*/") {
                " */"
            } else {
                ""
            });
        } else if kept.trim_end_matches([' ', '\t']).is_empty() || kept.ends_with('\n') {
            // The line held nothing else.
            end += text[end..].bytes().next().map_or(0, |next| usize::from(next == b'\n'));
        }
    }
    kept + &text[end..]
}

/// The annotations of all comments, in their order.
fn annotations(text: &str) -> Vec<Annotation<'_>> {
    let comments = comments(text).into_iter();
    let lines = comments.flat_map(|comment| (comment.line..).zip(comment.text.lines()));
    let of = |(line, text)| annotation(text).map(|(key, value)| Annotation { line, key, value });
    lines.filter_map(of).collect()
}

/// What stands around the text of a comment.
const DECORATION: [char; 6] = [' ', '\t', '\n', '*', '-', '/'];

/// Key and value, if a line of a comment is an annotation.
fn annotation(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_start_matches(DECORATION).trim_end();
    let (key, value) = text.strip_prefix('@')?.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_key.then(|| (key, value.trim_end_matches("*/").trim()))
}

/// A comment of SQL with its signs, where it begins, and the line that is on, from 1.
struct Comment<'t> {
    start: usize,
    line: usize,
    text: &'t str,
}

/// The comments of SQL; text in quotes is none.
fn comments(text: &str) -> Vec<Comment<'_>> {
    let (mut found, mut start, mut line) = (Vec::new(), 0, 1);
    while let Some(c) = text[start..].chars().next() {
        let rest = &text[start..];
        let (length, is_comment) = if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), true)
        } else if matches!(c, '\'' | '"') {
            (rest[1..].find(c).map_or(rest.len(), |end| end + 2), false)
        } else {
            (c.len_utf8(), false)
        };
        if is_comment {
            found.push(Comment { start, line, text: &rest[..length] });
        }
        line += rest[..length].matches('\n').count();
        start += length;
    }
    found
}
