//! What a test deck expects of each patient, and where an evaluation differs from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema};
use serde::Serialize;

use super::evaluation::Evaluation;
use super::population::Population;
use crate::error::{Error, ErrorKind, Result};

/// The patients and populations of a deck: whether the patient should be in the population.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(BTreeMap<(String, Population), bool>);

/// An evaluation and what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The counts by population.
    pub populations: Vec<Compared>,
    /// Which patients differ. PHI.
    pub differences: BTreeMap<(String, Population), Difference>,
    /// Patients of the initial population of whom nothing is expected.
    pub not_expected: u64,
}

/// Patients by what was expected and what was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The code of the population.
    pub population: &'static str,
    /// Patients of whom something is expected.
    pub patients: u64,
    /// Those who should be in the population.
    pub expected: u64,
    /// Those who are.
    pub found: u64,
    /// Those who are not, but should be.
    pub missing: u64,
    /// Those who are, but should not be.
    pub unexpected: u64,
}

/// How a patient differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Is not in the population, but should be.
    Missing,
    /// Is in the population, but should not be.
    Unexpected,
}

impl Difference {
    /// As lists have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unexpected => "unexpected",
        }
    }
}

const COLUMNS: [&str; 4] = ["patient_id", "group", "population", "count"];

impl Expected {
    /// Reads a CSV file with the columns `patient_id`, `group`, `population`, `count` in any order: codes of populations, and
    /// 0 or 1. Fails with [`ErrorKind::Input`] if it is anything else, with the line.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).map_err(|e| Error::io(ErrorKind::Input, "read", path, e))?;
        Self::parse(&bytes).map_err(|e| e.within("file", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        // Editors of Windows begin a text with a mark of its encoding.
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut expected = Self(BTreeMap::new());
        let (mut groups, mut line) = (BTreeSet::new(), 1);
        for batch in batches(bytes)? {
            let columns = columns(&batch);
            for row in 0..batch.num_rows() {
                line += 1;
                let cells = columns.map(|column| column.is_valid(row).then(|| column.value(row)));
                let group = expected.take(cells).map_err(|e| e.at("row", line))?;
                groups.insert(group.to_owned());
            }
        }
        if groups.is_empty() {
            return Err(wrong("the file expects nothing"));
        }
        if groups.len() > 1 {
            return Err(wrong(format!("the file is of {} groups", groups.len()))
                .hint("a measure file is one group: leave the rows of the others out"));
        }
        Ok(expected)
    }

    /// Takes a row; gives its group.
    fn take<'c>(
        &mut self,
        [patient, group, population, count]: [Option<&'c str>; 4],
    ) -> Result<&'c str> {
        let patient = patient.ok_or_else(|| wrong("a row has no patient"))?;
        let population = population.and_then(Population::of_code).ok_or_else(|| {
            let codes = Population::ALL.map(Population::code).join(", ");
            wrong("a row has no population that is known").hint(format!("one of {codes}"))
        })?;
        let is_in = match count {
            Some("0") => false,
            Some("1") => true,
            _ => {
                return Err(
                    wrong("a count is neither 0 nor 1").hint("patients are counted, not events")
                );
            }
        };
        match self.0.insert((patient.to_owned(), population), is_in) {
            None => Ok(group.unwrap_or_default()),
            Some(_) => Err(wrong("a patient has two rows for one population")),
        }
    }

    /// Where `evaluation` differs. Whoever is not in its initial population is in no population.
    pub fn compare(&self, evaluation: &Evaluation) -> Comparison {
        let found = evaluation.patients.iter();
        let found: BTreeMap<_, _> = found.map(|p| (p.id.as_str(), p.populations)).collect();
        let mut counts: BTreeMap<Population, Compared> = BTreeMap::new();
        let mut differences = BTreeMap::new();
        for ((patient, population), should_be) in &self.0 {
            let is_in = found.get(patient.as_str()).is_some_and(|set| set.contains(*population));
            let compared = counts.entry(*population).or_default();
            if let Some(difference) = compared.add(*should_be, is_in) {
                differences.insert((patient.clone(), *population), difference);
            }
        }
        let named: BTreeSet<_> = self.0.keys().map(|(patient, _)| patient.as_str()).collect();
        let not_expected = found.keys().filter(|patient| !named.contains(*patient)).count() as u64;
        let coded = |(population, compared)| Compared {
            population: Population::code(population),
            ..compared
        };
        let populations = counts.into_iter().map(coded).collect();
        Comparison { populations, differences, not_expected }
    }
}

impl Compared {
    /// Counts a patient; gives the difference if there is one.
    fn add(&mut self, should_be: bool, is_in: bool) -> Option<Difference> {
        self.patients += 1;
        self.expected += u64::from(should_be);
        self.found += u64::from(is_in);
        self.missing += u64::from(should_be && !is_in);
        self.unexpected += u64::from(is_in && !should_be);
        match (should_be, is_in) {
            (true, false) => Some(Difference::Missing),
            (false, true) => Some(Difference::Unexpected),
            _ => None,
        }
    }
}

impl Comparison {
    /// How many counts of a patient and population were compared.
    pub fn compared(&self) -> u64 {
        self.populations.iter().map(|compared| compared.patients).sum()
    }

    /// Fails with [`ErrorKind::Rejects`] if anything differs.
    pub fn conclude(&self) -> Result<()> {
        match self.differences.len() {
            0 => Ok(()),
            n => {
                let message = format!("{n} of {} counts are not as expected", self.compared());
                Err(Error::new(ErrorKind::Rejects, message)
                    .hint("`--patients FILE.csv` lists who differs, in the column `difference`"))
            }
        }
    }
}

/// All rows, all columns as text, those of [`COLUMNS`] among them. Errors of the reader may show content and are not passed on.
fn batches(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
    let format = Format::default().with_header(true);
    let unreadable = |_| wrong("the file is no CSV file with a header");
    let (inferred, _) = format.infer_schema(bytes, Some(0)).map_err(unreadable)?;
    let text = |field: &Arc<Field>| Field::new(field.name(), DataType::Utf8, true);
    let schema = Schema::new(inferred.fields().iter().map(text).collect::<Vec<_>>());
    if let Some(missing) = COLUMNS.iter().find(|name| schema.index_of(name).is_err()) {
        return Err(wrong(format!("the file has no column `{missing}`"))
            .hint(format!("its columns are {}", COLUMNS.join(", "))));
    }
    let reader = ReaderBuilder::new(Arc::new(schema)).with_header(true).build(bytes);
    reader.map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)
}

fn columns(batch: &RecordBatch) -> [&StringArray; 4] {
    COLUMNS.map(|name| batch[name].as_string())
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, message)
}
