//! The results of a text of statements, in their order, each a stream of record batches.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use futures::StreamExt;

use super::terminology::{self, Failure};
use super::{catalog, error, statement};
use crate::error::Result;

/// What the statements of one text give. A statement runs when its turn comes, so a view made by
/// one can be read by the next.
pub struct Results {
    context: SessionContext,
    sql: String,
    statements: VecDeque<Statement>,
}

/// The rows of one statement.
pub struct ResultSet {
    /// The columns; their names may repeat, as SQL allows.
    pub schema: SchemaRef,
    stream: SendableRecordBatchStream,
    sql: String,
}

impl Results {
    pub(super) fn new(context: SessionContext, sql: &str, statements: VecDeque<Statement>) -> Self {
        Self { context, sql: sql.to_owned(), statements }
    }

    /// How many result sets are still to come.
    pub fn remaining(&self) -> usize {
        self.statements.iter().filter(|s| statement::gives_rows(s)).count()
    }

    /// Starts the next statement that gives rows, after running those before it that do not.
    pub async fn next(&mut self) -> Result<Option<ResultSet>> {
        while let Some(statement) = self.statements.pop_front() {
            let gives_rows = statement::gives_rows(&statement);
            let frame = self.plan(statement).await?;
            if gives_rows {
                let stream = frame.execute_stream().await.map_err(|e| self.explain(&e))?;
                let (schema, sql) = (stream.schema(), self.sql.clone());
                return Ok(Some(ResultSet { schema, stream, sql }));
            }
        }
        Ok(None)
    }

    async fn plan(&self, statement: Statement) -> Result<DataFrame> {
        let ddl = !statement::gives_rows(&statement);
        let plan = self.context.state().statement_to_plan(statement).await;
        let plan = plan.map_err(|e| self.explain(&e))?;
        // The parser's list of allowed statements is the gate; this is the second lock.
        let options = SQLOptions::new()
            .with_allow_ddl(ddl)
            .with_allow_dml(false)
            .with_allow_statements(false);
        options.verify_plan(&plan).map_err(|e| self.explain(&e))?;
        terminology::of(&self.context).prepare(&self.context, &plan).await.map_err(
            |e| match e {
                Failure::Plan(e) => self.explain(&e),
                Failure::Terminology(error) => error,
            },
        )?;
        self.context.execute_logical_plan(plan).await.map_err(|e| self.explain(&e))
    }

    fn explain(&self, e: &DataFusionError) -> crate::error::Error {
        error::planning(e, &self.sql, &catalog::table_names(&self.context))
    }
}

impl ResultSet {
    /// The next rows, or `None` after the last. Fails with [`crate::error::ErrorKind::Query`].
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.stream.next().await.transpose().map_err(|e| error::running(&e, &self.sql))
    }
}
