//! One SELECT whose rows become a table: what it reads, which columns it gives, and its rows as a stream.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::common::TableReference;
use datafusion::datasource::empty::EmptyTable;
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;

use super::{Engine, ResultSet, Results, error, statement};
use crate::error::{Error, ErrorKind, Result};

/// The key of a column's metadata that describes it; other metadata does not belong to the data.
const COMMENT: &str = "comment";

/// The rows of one SELECT, in types that a table can hold.
pub struct Rows {
    /// The columns. All may be null: what a query can prove of today's data need not hold tomorrow.
    pub schema: SchemaRef,
    set: ResultSet,
}

impl Rows {
    /// The next rows, or `None` after the last. Fails with [`ErrorKind::Query`].
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.set.next().await?.map(|batch| stored(&batch, &self.schema)).transpose()
    }
}

impl Engine {
    /// Plans and starts one SELECT.
    ///
    /// Fails with [`ErrorKind::Definition`] if `sql` is another statement, several, or wrong.
    pub async fn select(&self, sql: &str) -> Result<Rows> {
        let statements = VecDeque::from([one_select(sql)?]);
        let set = Results::new(self.context.clone(), sql, statements).next().await?;
        let set = set.ok_or_else(no_select)?;
        Ok(Rows { schema: stored_schema(&set.schema), set })
    }

    /// Makes a table without rows known, to check statements that read it.
    pub fn add_schema(&self, name: &str, schema: &SchemaRef) -> Result<()> {
        let failed = |e: datafusion::error::DataFusionError| {
            Error::new(ErrorKind::Definition, format!("cannot check against `{name}`: {e}"))
        };
        let table = Arc::new(EmptyTable::new(schema.clone()));
        self.context.register_table(TableReference::bare(name), table).map_err(failed)?;
        Ok(())
    }
}

/// The tables that a SELECT reads, as it names them; those that it makes itself by `WITH` do not count.
pub fn tables_read(sql: &str) -> Result<BTreeSet<String>> {
    let statement = one_select(sql)?;
    let read = resolve_table_references(&statement, true);
    let (tables, _) = read.map_err(|e| error::planning(&e, sql, &[]))?;
    Ok(tables.iter().map(|table| table.table().to_owned()).collect())
}

fn one_select(sql: &str) -> Result<Statement> {
    let mut statements = statement::parse(sql)?;
    let first = statements.pop_front().filter(|_| statements.is_empty());
    first.filter(statement::is_query).ok_or_else(no_select)
}

fn no_select() -> Error {
    Error::new(ErrorKind::Definition, "the rows of a table come from one SELECT, and no more")
        .hint("`WITH … AS (…)` before it takes the place of earlier statements")
}

fn stored_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let comment = field.metadata().get(COMMENT).map(|text| (COMMENT.to_owned(), text.clone()));
        Field::new(field.name(), stored_type(field.data_type()), true)
            .with_metadata(comment.into_iter().collect())
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The type that a Delta table holds such values in: the nearest wider one where there is one. What none holds (a map, a
/// union) stays as it is, and is refused by whoever makes the table.
fn stored_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null
        | DataType::Utf8View
        | DataType::LargeUtf8
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_) => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into()))
        }
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => decimal(*digits, *scale),
        DataType::Dictionary(_, values) => stored_type(values),
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            DataType::new_list(stored_type(item.data_type()), true)
        }
        DataType::Struct(fields) => {
            let field = |f: &Arc<Field>| Field::new(f.name(), stored_type(f.data_type()), true);
            DataType::Struct(fields.iter().map(field).collect::<Fields>())
        }
        other => other.clone(),
    }
}

/// At most 38 digits, and no scale below zero.
fn decimal(digits: u8, scale: i8) -> DataType {
    let digits = digits.saturating_add(scale.min(0).unsigned_abs()).min(38);
    DataType::Decimal128(digits, scale.clamp(0, i8::try_from(digits).unwrap_or(38)))
}

/// The batch in the types of the table; a value that does not fit ends the work, for a table with holes in it is wrong.
fn stored(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = |(field, array): (&Arc<Field>, &ArrayRef)| {
        cast_with_options(array, field.data_type(), &options).map_err(|_| {
            let (name, data_type) = (field.name(), field.data_type());
            let message = format!("a value of the column `{name}` does not fit {data_type}");
            Error::new(ErrorKind::Query, message).hint("CAST it in the query, to text if need be")
        })
    };
    let columns = schema.fields().iter().zip(batch.columns()).map(column);
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &rows).map_err(|_| {
        Error::new(ErrorKind::Query, "the query gives other columns than it was planned with")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        let fields = vec![Field::new("id", DataType::Utf8View, false)];
        Engine::over_schemas(&[("t".into(), Arc::new(Schema::new(fields)))]).unwrap()
    }

    #[test]
    fn the_tables_that_a_statement_reads() {
        for (sql, expected) in [
            ("SELECT 1", &[][..]),
            ("SELECT * FROM a JOIN \"B\" USING (id)", &["B", "a"]),
            ("WITH a AS (SELECT * FROM b) SELECT * FROM a", &["b"]),
            (
                "SELECT (SELECT max(x) FROM Inner_One) FROM b WHERE id IN (SELECT id FROM c)",
                &["b", "c", "inner_one"],
            ),
            ("SELECT * FROM a UNION ALL SELECT * FROM public.d", &["a", "d"]),
        ] {
            let found = tables_read(sql).unwrap();
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn one_select_is_taken_and_nothing_else() {
        let engine = engine();
        for (sql, refused) in [
            ("SELECT id FROM t", None),
            ("VALUES (1)", None),
            ("WITH a AS (SELECT 1 AS x) SELECT x FROM a;", None),
            ("SELECT 1; SELECT 2", Some("one SELECT")),
            ("CREATE VIEW v AS SELECT 1", Some("one SELECT")),
            ("EXPLAIN SELECT 1", Some("one SELECT")),
            ("DELETE FROM t", Some("`DELETE` is refused")),
            ("SELEC 1", Some("does not parse")),
            ("SELECT idd FROM t", Some("no column `idd`")),
            ("SELECT id FROM tt", Some("no table `tt`")),
        ] {
            let said = engine.select(sql).await.err().map(|e| e.to_string());
            match (said, refused) {
                (None, None) => {}
                (Some(said), Some(expected)) if said.contains(expected) => {}
                (said, _) => panic!("{sql}: {said:?}"),
            }
        }
    }

    #[tokio::test]
    async fn values_are_held_in_the_nearest_type_of_a_table() {
        use DataType::{Binary, Date32, Decimal128, Float64, Int16, Int32, Int64, Utf8};
        let engine = engine();
        let instant =
            |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        for (sql, data_type, text) in [
            ("arrow_cast('a', 'Utf8View')", Utf8, "a"),
            ("arrow_cast('a', 'LargeUtf8')", Utf8, "a"),
            ("arrow_cast('a', 'Dictionary(Int32, Utf8)')", Utf8, "a"),
            ("NULL", Utf8, ""),
            ("arrow_cast('a', 'BinaryView')", Binary, "61"),
            ("arrow_cast(200, 'UInt8')", Int16, "200"),
            ("arrow_cast(60000, 'UInt16')", Int32, "60000"),
            ("arrow_cast(4000000000, 'UInt32')", Int64, "4000000000"),
            ("arrow_cast(9223372036854775807, 'UInt64')", Int64, "9223372036854775807"),
            ("row_number() OVER ()", Int64, "1"),
            ("count(*)", Int64, "1"),
            ("1.5", Float64, "1.5"),
            ("DATE '2020-02-29'", Date32, "2020-02-29"),
            ("TIME '10:00:00'", Utf8, "10:00:00"),
            ("arrow_cast('1.50', 'Decimal256(50, 2)')", Decimal128(38, 2), "1.50"),
            ("TIMESTAMP '2020-01-01 10:00:00'", instant(None), "2020-01-01T10:00:00"),
            (
                "arrow_cast('2020-01-01T10:00:00Z', 'Timestamp(Nanosecond, Some(\"+02:00\"))')",
                instant(Some("UTC")),
                "2020-01-01T10:00:00Z",
            ),
            ("make_array(arrow_cast(1, 'UInt8'))", DataType::new_list(Int16, true), "[1]"),
        ] {
            let mut rows = engine.select(&format!("SELECT {sql} AS x")).await.unwrap();
            assert_eq!(rows.schema.field(0).data_type(), &data_type, "{sql}");
            let batch = rows.next().await.unwrap().unwrap();
            let shown = arrow::util::display::array_value_to_string(batch.column(0), 0).unwrap();
            assert_eq!(shown, text, "{sql}");
        }
        let mut rows =
            engine.select("SELECT arrow_cast('18446744073709551615', 'UInt64') x").await.unwrap();
        let error = rows.next().await.unwrap_err();
        assert_eq!(error.message(), "a value of the column `x` does not fit Int64");
    }
}
