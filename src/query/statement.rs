//! From SQL text to statements, and which statements a read-only session accepts.

use std::collections::VecDeque;

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;

use super::error;
use crate::error::{Error, ErrorKind, Result};

/// Parses `sql`. All statements are checked before the first runs, so that a file whose last
/// line is wrong has no effect.
pub(super) fn parse(sql: &str) -> Result<VecDeque<Statement>> {
    let statements = DFParser::parse_sql(sql).map_err(|e| error::planning(&e, sql, &[]))?;
    if statements.is_empty() {
        return Err(Error::new(ErrorKind::Definition, "there is no statement to run"));
    }
    statements.iter().try_for_each(check)?;
    Ok(statements)
}

/// Whether running `statement` gives rows; `CREATE` does not.
pub(super) fn gives_rows(statement: &Statement) -> bool {
    !creates(statement)
}

/// One statement as the parser gives it.
pub(super) type Parsed = Statement;

/// Whether it is a SELECT, VALUES, or the like, and nothing around it.
pub(super) fn is_query(statement: &Statement) -> bool {
    sql(statement).is_some_and(|sql| matches!(sql, Sql::Query(_)))
}

/// The syntax tree of a statement that is plain SQL.
pub(super) fn sql(statement: &Statement) -> Option<&Sql> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        _ => None,
    }
}

/// As [`sql`], to be changed.
pub(super) fn sql_mut(statement: &mut Statement) -> Option<&mut Sql> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        _ => None,
    }
}

fn check(statement: &Statement) -> Result<()> {
    if reads(statement) || creates(statement) {
        return Ok(());
    }
    // Only the verb: the rest of the statement may hold patient data.
    let text = statement.to_string();
    let verb = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    Err(Error::new(
        ErrorKind::Definition,
        format!("`{verb}` is refused: the query session only reads"),
    )
    .hint(
        "SELECT, VALUES, EXPLAIN, SHOW and DESCRIBE are allowed, and CREATE VIEW and CREATE \
             TABLE … AS, which last as long as the session; `--output` writes a result to a file",
    ))
}

fn reads(statement: &Statement) -> bool {
    match statement {
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::Statement(sql) => matches!(
            **sql,
            Sql::Query(_)
                | Sql::ExplainTable { .. }
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
                | Sql::ShowFunctions { .. }
                | Sql::ShowVariable { .. }
                | Sql::ShowCreate { .. }
        ),
        _ => false,
    }
}

/// `CREATE VIEW` and `CREATE TABLE` live in memory; `CREATE EXTERNAL TABLE` is another statement.
fn creates(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(sql) => matches!(**sql, Sql::CreateView(_) | Sql::CreateTable(_)),
        _ => false,
    }
}
