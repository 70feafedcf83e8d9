//! The list of patients: one row for each patient and population the patient is in.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::evaluation::{Evaluation, Patient};
use super::expected::{Comparison, Difference};
use super::file;
use super::population::Population;
use crate::error::Result;
use crate::query::Format;

/// Rows that are written at a time.
const BATCH_ROWS: usize = 8_192;

/// Writes the list as CSV, which only its owner can read: `patient_id`, `population` (its code) and a column for each
/// stratifier. With a comparison there is also `difference`: `unexpected`, `missing` (the patient is not in the
/// population, but should be), or nothing where all is as expected.
pub fn write_patients(
    path: &Path,
    evaluation: &Evaluation,
    comparison: Option<&Comparison>,
) -> Result<()> {
    let rows = rows(evaluation, comparison);
    let schema = schema(evaluation, comparison.is_some());
    file::write_private(path, |to| encode(&rows, &schema, to))
}

/// A cell of each column.
type Row<'e> = Vec<Option<&'e str>>;

fn schema(evaluation: &Evaluation, compared: bool) -> SchemaRef {
    let mut names = vec!["patient_id".to_owned(), "population".to_owned()];
    names.extend(evaluation.stratifiers.iter().map(|name| format!("stratum_{name}")));
    names.extend(compared.then(|| "difference".to_owned()));
    let fields: Vec<_> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    Arc::new(Schema::new(fields))
}

/// Sorted by patient and population.
fn rows<'e>(evaluation: &'e Evaluation, comparison: Option<&'e Comparison>) -> Vec<Row<'e>> {
    let differences = comparison.map(|comparison| &comparison.differences);
    let differs = |patient: &str, population| {
        let difference = differences?.get(&(patient.to_owned(), population))?;
        Some(difference.name())
    };
    let row = |id: &'e str, patient: Option<&'e Patient>, population: Population| {
        let mut row = vec![Some(id), Some(population.code())];
        let stratum = |i: usize| patient.and_then(|patient| patient.strata[i].as_deref());
        row.extend((0..evaluation.stratifiers.len()).map(stratum));
        row.extend(comparison.is_some().then(|| differs(id, population)));
        row
    };
    let mut keyed = Vec::new();
    for patient in &evaluation.patients {
        let of = |p: Population| ((patient.id.as_str(), p), row(&patient.id, Some(patient), p));
        keyed.extend(patient.populations.iter().map(of));
    }
    let missing = differences.into_iter().flatten().filter(|(_, d)| **d == Difference::Missing);
    keyed.extend(
        missing.map(|((id, p), _)| ((id.as_str(), *p), row(id, patient(evaluation, id), *p))),
    );
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, row)| row).collect()
}

fn patient<'e>(evaluation: &'e Evaluation, id: &str) -> Option<&'e Patient> {
    let found = evaluation.patients.binary_search_by(|patient| patient.id.as_str().cmp(id));
    found.ok().map(|i| &evaluation.patients[i])
}

fn encode(rows: &[Row<'_>], schema: &SchemaRef, to: &mut (dyn Write + Send)) -> io::Result<()> {
    let mut encoder = Format::Csv.encoder(Box::new(to), None);
    encoder.begin(schema)?;
    for chunk in rows.chunks(BATCH_ROWS) {
        let column = |i: usize| -> ArrayRef {
            Arc::new(chunk.iter().map(|row| row[i]).collect::<StringArray>())
        };
        let columns = (0..schema.fields().len()).map(column).collect();
        encoder.batch(&RecordBatch::try_new(schema.clone(), columns).map_err(io::Error::other)?)?;
    }
    encoder.end()?;
    encoder.finish()
}
