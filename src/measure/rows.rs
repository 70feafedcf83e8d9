//! What the query of a measure gives: its columns, checked, and its rows.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};

use super::evaluation::Patient;
use super::population::{Population, PopulationSet, Scoring};
use crate::error::{Error, ErrorKind, Result};
use crate::query::Results;
use crate::suggest;

const PATIENT: &str = "patient_id";
const STRATUM: &str = "stratum_";
const SUPPLEMENTAL: &str = "sde_";

/// Where the columns are that a measure has.
#[derive(Debug)]
pub(super) struct Columns {
    patient: usize,
    criteria: Vec<(Population, usize)>,
    strata: Vec<(String, usize)>,
    supplemental: Vec<(String, usize)>,
}

impl Columns {
    /// Finds and checks them: all that the scoring needs, none twice, none that a measure does not have, of the right types.
    pub(super) fn of(schema: &Schema, scoring: Scoring) -> Result<Self> {
        let mut columns =
            Self { patient: 0, criteria: Vec::new(), strata: Vec::new(), supplemental: Vec::new() };
        let mut names = HashSet::new();
        for (i, field) in schema.fields().iter().enumerate() {
            if !names.insert(field.name()) {
                return Err(wrong(format!("two columns are named `{}`", field.name())));
            }
            columns.take(i, field.name(), field.data_type(), scoring)?;
        }
        let needed = scoring.required().iter().map(|population| population.column());
        match [PATIENT.to_owned()].into_iter().chain(needed).find(|name| !names.contains(name)) {
            Some(missing) => {
                Err(wrong(format!("a {} measure needs the column `{missing}`", scoring.code())))
            }
            None => Ok(columns),
        }
    }

    fn take(&mut self, i: usize, name: &str, of: &DataType, scoring: Scoring) -> Result<()> {
        let mut allowed = scoring.allowed().iter().copied();
        if let Some(population) = allowed.find(|p| p.column() == name) {
            self.criteria.push((population, i));
            return typed(name, matches!(of, DataType::Boolean | DataType::Null), "boolean");
        }
        if name == PATIENT {
            self.patient = i;
        } else if let Some(stratifier) = name.strip_prefix(STRATUM) {
            self.strata.push((stratifier.to_owned(), i));
        } else if let Some(element) = name.strip_prefix(SUPPLEMENTAL) {
            self.supplemental.push((element.to_owned(), i));
        } else {
            return Err(unknown(name, scoring));
        }
        typed(name, is_text(of), "text")
    }

    /// The populations that have a criterion, in the order of reports.
    pub(super) fn populations(&self) -> Vec<Population> {
        let set: PopulationSet = self.criteria.iter().map(|(population, _)| *population).collect();
        set.iter().collect()
    }

    /// What the columns of strata are named behind `stratum_`.
    pub(super) fn stratifiers(&self) -> Vec<String> {
        self.strata.iter().map(|(name, _)| name.clone()).collect()
    }

    /// What the columns of supplemental data are named behind `sde_`.
    pub(super) fn supplemental(&self) -> Vec<String> {
        self.supplemental.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The patients of a batch, also those of no population.
    fn patients(&self, batch: &RecordBatch, scoring: Scoring) -> Result<Vec<Option<Patient>>> {
        let ids = text(batch, self.patient)?;
        let strata = texts(batch, &self.strata)?;
        let supplemental = texts(batch, &self.supplemental)?;
        let patient = |row: usize| {
            let id = cell(&ids, row)?;
            let criteria = self.criteria.iter().filter(|(_, i)| is_true(batch, *i, row));
            Some(Patient {
                id,
                populations: scoring
                    .populations(criteria.map(|(population, _)| *population).collect()),
                strata: strata.iter().map(|column| cell(column, row)).collect(),
                supplemental: supplemental.iter().map(|column| cell(column, row)).collect(),
            })
        };
        Ok((0..batch.num_rows()).map(patient).collect())
    }
}

/// What was read.
pub(super) struct Read {
    pub(super) columns: Columns,
    /// Those of the initial population, by id.
    pub(super) patients: Vec<Patient>,
    /// All rows.
    pub(super) rows: u64,
}

/// Runs the query to its end. A patient may have one row only.
pub(super) async fn read(mut results: Results, scoring: Scoring) -> Result<Read> {
    let set = results.next().await?;
    let mut set = set.ok_or_else(|| wrong("the measure gives no rows"))?;
    let columns = Columns::of(&set.schema, scoring)?;
    let (mut patients, mut seen, mut nulls) = (Vec::new(), HashMap::new(), 0_u64);
    while let Some(batch) = set.next().await? {
        for patient in columns.patients(&batch, scoring)? {
            let Some(patient) = patient else {
                nulls += 1;
                continue;
            };
            *seen.entry(patient.id.clone()).or_insert(0_u64) += 1;
            if !patient.populations.is_empty() {
                patients.push(patient);
            }
        }
    }
    let repeated = seen.values().filter(|rows| **rows > 1).count() as u64;
    refuse(nulls, repeated)?;
    patients.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Read { columns, patients, rows: seen.len() as u64 })
}

/// Refuses rows that are of no patient, and patients with several rows; which, is not said.
fn refuse(nulls: u64, repeated: u64) -> Result<()> {
    let failed = |message: String| Error::new(ErrorKind::Query, message);
    match (nulls, repeated) {
        (0, 0) => Ok(()),
        (0, 1) => {
            Err(failed("1 patient has several rows, but a measure has one row for each".to_owned()))
        }
        (0, n) => Err(failed(format!(
            "{n} patients have several rows, but a measure has one row for each"
        ))),
        (1, _) => Err(failed(format!("`{PATIENT}` is null in 1 row"))),
        (n, _) => Err(failed(format!("`{PATIENT}` is null in {n} rows"))),
    }
}

fn text(batch: &RecordBatch, i: usize) -> Result<StringArray> {
    let array = cast(batch.column(i), &DataType::Utf8);
    // The error may show a value.
    let failed = |_| Error::new(ErrorKind::Query, "a column of text cannot be read");
    Ok(array.map_err(failed)?.as_string::<i32>().clone())
}

fn texts(batch: &RecordBatch, columns: &[(String, usize)]) -> Result<Vec<StringArray>> {
    columns.iter().map(|(_, i)| text(batch, *i)).collect()
}

fn cell(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_owned())
}

/// Whether a criterion holds; null is that it does not.
fn is_true(batch: &RecordBatch, i: usize, row: usize) -> bool {
    let criterion: Option<&BooleanArray> = batch.column(i).as_boolean_opt();
    criterion.is_some_and(|criterion| criterion.is_valid(row) && criterion.value(row))
}

fn is_text(of: &DataType) -> bool {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn typed(name: &str, right: bool, wanted: &str) -> Result<()> {
    if right { Ok(()) } else { Err(wrong(format!("the column `{name}` of a measure is {wanted}"))) }
}

fn unknown(name: &str, scoring: Scoring) -> Error {
    let known: Vec<_> =
        scoring.allowed().iter().map(|p| p.column()).chain([PATIENT.to_owned()]).collect();
    let error = wrong(format!("a {} measure has no column `{name}`", scoring.code()));
    match suggest::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("strata are named `stratum_…`, supplemental data `sde_…`"),
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Definition, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    /// Columns as `name` (boolean), `name:text`, `name:int`, `name:null`.
    fn columns(names: &str, scoring: Scoring) -> Result<Columns> {
        let field = |column: &str| {
            let (name, of) = column.split_once(':').unwrap_or((column, "boolean"));
            let of = match of {
                "text" => DataType::Utf8View,
                "int" => DataType::Int64,
                "null" => DataType::Null,
                _ => DataType::Boolean,
            };
            Field::new(name, of, true)
        };
        let fields: Vec<_> = names.split(' ').map(field).collect();
        Columns::of(&Schema::new(fields), scoring)
    }

    #[test]
    fn columns_that_are_refused() {
        use Scoring::{Cohort, Proportion};
        for (names, scoring, expected) in [
            ("initial_population", Cohort, "a cohort measure needs the column `patient_id`"),
            ("patient_id:text", Cohort, "a cohort measure needs the column `initial_population`"),
            (
                "patient_id:text initial_population denominator",
                Proportion,
                "a proportion measure needs the column `numerator`",
            ),
            (
                "patient_id:int initial_population",
                Cohort,
                "the column `patient_id` of a measure is text",
            ),
            (
                "patient_id:text initial_population:text",
                Cohort,
                "the column `initial_population` of a measure is boolean",
            ),
            (
                "patient_id:text stratum_age:int",
                Cohort,
                "the column `stratum_age` of a measure is text",
            ),
            ("patient_id:text patient_id:text", Cohort, "two columns are named `patient_id`"),
            ("patient_id:text numerator", Cohort, "a cohort measure has no column `numerator`"),
            (
                "patient_id:text denominator_exlusion",
                Proportion,
                "a proportion measure has no column `denominator_exlusion`",
            ),
        ] {
            assert_eq!(columns(names, scoring).unwrap_err().message(), expected, "{names}");
        }
    }

    #[test]
    fn columns_in_any_order() {
        let names = "sde_sex:text numerator denominator:null stratum_age:text patient_id:text \
                     stratum_sex:null initial_population";
        let columns = columns(names, Scoring::Proportion).unwrap();
        let codes: Vec<_> = columns.populations().into_iter().map(Population::code).collect();
        assert_eq!(codes, ["initial-population", "denominator", "numerator"]);
        assert_eq!(columns.stratifiers(), ["age", "sex"]);
        assert_eq!(columns.supplemental(), ["sex"]);
    }
}
