//! The engine's errors in our words: a wrong query with its place and the names that were meant, a
//! failed run without the values it failed on.

use std::borrow::Cow;

use arrow::error::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError};

use super::catalog::quoted;
use crate::error::{Error, ErrorKind};
use crate::suggest::several;

/// More of a line than this is not shown around a mistake, on either side of it.
const CONTEXT: usize = 60;
/// More names than this are not listed in a hint.
const LISTED: usize = 20;

/// What to do about two columns of one name.
pub(super) const NAME_APART: &str = "name them apart with AS";

/// An error met before the first row: the query is wrong ([`ErrorKind::Definition`]) unless it
/// is of a kind that only running can bring.
pub(super) fn planning(e: &DataFusionError, sql: &str, tables: &[String]) -> Error {
    let first = e.iter().next().unwrap_or(e);
    let error = match first.find_root() {
        DataFusionError::SQL(parser, _) => return syntax(&parser.to_string(), sql),
        DataFusionError::SchemaError(schema, _) => wrong_schema(schema, sql),
        DataFusionError::Plan(message) => wrong_plan(message, tables),
        DataFusionError::NotImplemented(message) if is_subquery(message) => Error::new(
            ErrorKind::Definition,
            "`EXISTS (SELECT …)` and `IN (SELECT …)` can stand in WHERE and HAVING only",
        )
        .hint("elsewhere, LEFT JOIN the SELECT DISTINCT of its keys and ask whether they are null"),
        DataFusionError::NotImplemented(message) | DataFusionError::Configuration(message) => {
            Error::new(ErrorKind::Definition, clean(message))
        }
        DataFusionError::Execution(message) if message.contains("already exists") => {
            Error::new(ErrorKind::Definition, clean(message))
                .hint("CREATE OR REPLACE … replaces it")
        }
        _ => return running(first, sql),
    };
    match first.diagnostic().and_then(|diagnostic| diagnostic.span) {
        Some(span) => error.at("line", place(sql, span.start.line, span.start.column)),
        None => error,
    }
}

/// Whether the engine met a subquery where it cannot make a join of it.
fn is_subquery(message: &str) -> bool {
    let unsupported = "physical plan does not support logical expression ";
    let what = message.to_ascii_lowercase();
    what.strip_prefix(unsupported)
        .is_some_and(|what| what.starts_with("exists") || what.starts_with("insubquery"))
}

/// An error met between the first row and the last. The message keeps no value that the query
/// itself did not hold: it may come from a patient's record.
pub(super) fn running(e: &DataFusionError, sql: &str) -> Error {
    let root = e.iter().next().unwrap_or(e).find_root();
    let bare = bare_message(root);
    if bare.contains("Object at location ") && bare.contains(" not found") {
        return Error::new(
            ErrorKind::Query,
            "the query failed: a data file of a table is not there",
        )
        .hint("`kiln vacuum` removes the files of old versions; the current one keeps its own");
    }
    let message = clean(&mask(&bare, sql));
    let error = Error::new(ErrorKind::Query, format!("the query failed: {message}"));
    if message.contains("cannot cast") || message.contains("error parsing") {
        return error.hint("TRY_CAST gives null where a value does not fit the type");
    }
    match root {
        DataFusionError::ResourcesExhausted(_) => error.hint("read fewer columns or rows at once"),
        DataFusionError::ObjectStore(_) => error.hint("a data file of the table may be missing"),
        _ => error,
    }
}

/// The message of `e` without the words for its kind.
fn bare_message(e: &DataFusionError) -> Cow<'_, str> {
    let DataFusionError::ArrowError(e, _) = e else { return e.message() };
    match &**e {
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::ArithmeticOverflow(message) => message.into(),
        other => other.to_string().into(),
    }
}

/// A syntax error; the parser writes the place at the end of its message, and none for the end
/// of the text.
fn syntax(message: &str, sql: &str) -> Error {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let (what, at) = message.rsplit_once(" at Line: ").unwrap_or((message, ""));
    let (line, column) = at
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)))
        .unwrap_or_else(|| end(sql));
    let what = what.replace("EOF", "the end of the text");
    Error::new(ErrorKind::Definition, format!("the SQL does not parse: {}", clean(&what)))
        .at("line", place(sql, line, column))
}

fn wrong_schema(e: &SchemaError, sql: &str) -> Error {
    match e {
        SchemaError::FieldNotFound { field, valid_fields } => {
            unknown_column(field, valid_fields, sql)
        }
        SchemaError::AmbiguousReference { field } => Error::new(
            ErrorKind::Definition,
            format!("the column `{}` is in more than one table", field.name),
        )
        .hint("write the table before it, as in `patient.id`"),
        other => Error::new(ErrorKind::Definition, clean(&other.to_string())),
    }
}

fn unknown_column(field: &Column, valid: &[Column], sql: &str) -> Error {
    let of = field.relation.as_ref().map_or_else(String::new, |t| format!(" in `{}`", t.table()));
    let error =
        Error::new(ErrorKind::Definition, format!("there is no column `{}`{of}", field.name));
    if sql.contains(&format!("\"{}\"", field.name)) && several(&field.name, names(valid)).is_empty()
    {
        return error.hint(format!("text is written in single quotes: '{}'", field.name));
    }
    match did_you_mean(&field.name, "columns", &names(valid)) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn wrong_plan(message: &str, tables: &[String]) -> Error {
    let missing = message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
    if let Some(name) = missing.and_then(|name| name.rsplit('.').next()) {
        let error = Error::new(ErrorKind::Definition, format!("there is no table `{name}`"));
        let tables: Vec<_> = tables.iter().map(String::as_str).collect();
        return match did_you_mean(name, "tables", &tables) {
            Some(hint) => error.hint(hint),
            None => error,
        };
    }
    if message.contains("unique expression names") {
        return Error::new(ErrorKind::Definition, "two columns of a SELECT have the same name")
            .hint(NAME_APART);
    }
    let error = Error::new(ErrorKind::Definition, clean(message));
    match message.split_once("Did you mean '").and_then(|(_, rest)| rest.split_once('\'')) {
        Some((name, _)) => error.hint(format!("did you mean `{name}`?")),
        None => error,
    }
}

/// The names near to `name`, and all there are.
fn did_you_mean(name: &str, what: &str, all: &[&str]) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let near: Vec<_> =
        several(name, all.iter().copied()).iter().map(|n| format!("`{}`", quoted(n))).collect();
    let question = if near.is_empty() {
        String::new()
    } else {
        format!("did you mean {}? ", near.join(" or "))
    };
    let listed: Vec<_> = all.iter().take(LISTED).map(|n| quoted(n)).collect();
    let more = if all.len() > LISTED { ", …" } else { "" };
    Some(format!("{question}{what}: {}{more}", listed.join(", ")))
}

fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|c| c.name.as_str()).collect()
}

/// The first line of `message` as one of our sentences.
fn clean(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().replace("datafusion.public.", "");
    let line = line.trim_end_matches('.');
    let mut letters = line.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(line.chars().skip(1)).collect()
        }
        _ => line.to_owned(),
    }
}

/// `message` with `…` for what is quoted and for numbers, where they do not stand in `sql`. From the
/// first quote to the last: a value may hold quotes itself.
fn mask(message: &str, sql: &str) -> String {
    let values = regex::Regex::new(r#"(?s)'.*'|".*"|[-+]?\b\d[\d.:TZ+-]*"#)
        .expect("the pattern is constant and valid");
    values
        .replace_all(message, |found: &regex::Captures<'_>| {
            let text = &found[0];
            let known = sql.contains(text.trim_matches(['\'', '"']));
            if known { text.to_owned() } else { "…".to_owned() }
        })
        .into_owned()
}

/// The position after the last character of `sql`, counted from 1.
fn end(sql: &str) -> (u64, u64) {
    let text = sql.trim_end();
    let last = text.lines().last().unwrap_or_default();
    (text.lines().count().max(1) as u64, last.chars().count() as u64 + 1)
}

/// `line, column`, and below it the line with the word at that column underlined.
fn place(sql: &str, line: u64, column: u64) -> String {
    let text: Vec<char> = sql
        .lines()
        .nth(line.saturating_sub(1) as usize)
        .unwrap_or_default()
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .collect();
    let at = (column.saturating_sub(1) as usize).min(text.len());
    let word = |c: &&char| c.is_alphanumeric() || matches!(**c, '_' | '.');
    let length = text[at..].iter().take_while(word).count().max(1);
    let (from, to) = (at.saturating_sub(CONTEXT), (at + length + CONTEXT).min(text.len()));
    let shown: String = text[from..to].iter().collect();
    let mark = format!("{}{}", " ".repeat(at - from), "^".repeat(length));
    format!("{line}, column {column}\n  {shown}\n  {mark}")
}
