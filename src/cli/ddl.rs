//! What a view's table looks like: for people, as `CREATE TABLE`, and as a page of documentation.

use std::fmt::Write;

use super::args::Dialect;
use crate::flatten::{CellType, Column, View};

/// Columns, types and descriptions of a view, aligned.
pub(super) fn columns(view: &View) -> String {
    let width = |of: fn(&Column) -> usize| view.columns.iter().map(of).max().unwrap_or(0);
    let (name, sql) = (width(|c| c.name.len()), width(|c| sql_type(c, Dialect::Postgres).len()));
    let mut text = format!("{} ({})", view.name, view.resource);
    if let Some(description) = &view.description {
        let _ = write!(text, ": {description}");
    }
    text.push('\n');
    for column in &view.columns {
        let described = column.description.as_deref().unwrap_or_default();
        let of = sql_type(column, Dialect::Postgres);
        let line = format!("  {:name$}  {of:sql$}  {described}", column.name);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A `CREATE TABLE` statement with comments.
pub(super) fn create_table(view: &View, dialect: Dialect) -> String {
    let columns: Vec<_> = view
        .columns
        .iter()
        .map(|c| format!("    {} {}", quoted(&c.name), sql_type(c, dialect)))
        .collect();
    let table = quoted(&view.name);
    let mut text = format!("CREATE TABLE {table} (\n{}\n);\n", columns.join(",\n"));
    if let Some(description) = &view.description {
        let _ = writeln!(text, "COMMENT ON TABLE {table} IS {};", literal(description));
    }
    for column in &view.columns {
        if let Some(description) = &column.description {
            let _ = writeln!(
                text,
                "COMMENT ON COLUMN {table}.{} IS {};",
                quoted(&column.name),
                literal(description)
            );
        }
    }
    text
}

/// What the page of all tables begins with.
const PAGE: &str = "# Tables of the shipped schemas

Made by `kiln schema --markdown`; a test keeps it fresh. [How names, keys, codes and dates are written](README.md).
";

/// The documentation of all tables, by pack, as one page of Markdown.
pub(super) fn page<'v>(packs: impl IntoIterator<Item = (&'v str, Vec<View>)>) -> String {
    let mut text = PAGE.to_owned();
    for (pack, views) in packs {
        let links: Vec<_> = views.iter().map(|v| format!("[{0}](#{0})", v.name)).collect();
        let _ = write!(text, "\n## {pack}\n\n{}\n", links.join(" · "));
        for view in &views {
            text.push_str(&section(view));
        }
    }
    text
}

fn section(view: &View) -> String {
    let description = view.description.as_deref().unwrap_or_default();
    let mut text = format!("\n### {}\n\nOf {}. {description}\n\n", view.name, view.resource);
    text.push_str("| column | type | |\n| --- | --- | --- |\n");
    for column in &view.columns {
        let described = column.description.as_deref().unwrap_or_default().replace('|', "\\|");
        let of = sql_type(column, Dialect::Postgres);
        let _ = writeln!(text, "| `{}` | {of} | {described} |", column.name);
    }
    text
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn sql_type(column: &Column, dialect: Dialect) -> String {
    let text = match dialect {
        Dialect::Postgres => "text",
        Dialect::Duckdb => "VARCHAR",
    };
    let of = match column.cell {
        CellType::Text => text.to_owned(),
        CellType::Boolean => "boolean".to_owned(),
        CellType::Int32 => "integer".to_owned(),
        CellType::Int64 => "bigint".to_owned(),
        CellType::Double => "double precision".to_owned(),
        CellType::Decimal(precision, scale) => format!("decimal({precision}, {scale})"),
        CellType::Date => "date".to_owned(),
        CellType::Instant => "timestamp with time zone".to_owned(),
        CellType::Timestamp => "timestamp".to_owned(),
    };
    if column.collection { format!("{of}[]") } else { of }
}
