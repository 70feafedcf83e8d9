//! What a measure comes to: who is in which population, and the counts by stratum.

use std::collections::BTreeMap;

use super::definition::Measure;
use super::period::Period;
use super::population::{Counts, Population, PopulationSet};
use super::rows;
use crate::error::Result;
use crate::query::{Engine, TerminologyUsed};

/// A measure that was evaluated over a period.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// What was evaluated.
    pub measure: Measure,
    /// Over which days.
    pub period: Period,
    /// The populations that it has, in the order of reports.
    pub populations: Vec<Population>,
    /// What it is stratified by.
    pub stratifiers: Vec<String>,
    /// Which supplemental data there are.
    pub supplemental: Vec<String>,
    /// The patients of the initial population, sorted by id. PHI.
    pub patients: Vec<Patient>,
    /// How many patients the query gave, also those of no population.
    pub evaluated: u64,
    /// Which value sets, concept maps and code systems decided.
    pub terminology: Vec<TerminologyUsed>,
    /// What the tables lack, so that the counts may be too small.
    pub warnings: Vec<String>,
}

/// A patient of the initial population.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    /// The id of the Patient resource.
    pub id: String,
    /// The populations that the patient is in.
    pub populations: PopulationSet,
    /// The stratum by each stratifier; `None` if it is not known.
    pub strata: Vec<Option<String>>,
    /// The value of each supplemental data element.
    pub supplemental: Vec<Option<String>>,
}

/// The strata of one stratifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stratifier {
    /// The column behind `stratum_`.
    pub name: String,
    /// By value, sorted; those whose stratum is not known come last.
    pub strata: Vec<(Option<String>, Counts)>,
}

/// The parameters of a measure file that are the period.
const START: &str = "measurement_period_start";
const END: &str = "measurement_period_end";

/// Evaluates a measure over the tables of `engine`; `values` are the parameters besides the period.
///
/// Fails as [`Engine::prepare`]; with [`crate::error::ErrorKind::Definition`] if the columns are not those of a measure;
/// with [`crate::error::ErrorKind::Query`] if `patient_id` is null or not unique, and if the query fails while running.
pub async fn evaluate(
    engine: &Engine,
    measure: Measure,
    period: Period,
    values: &BTreeMap<String, String>,
) -> Result<Evaluation> {
    let days = [(START, period.start), (END, period.end)];
    let days = days.into_iter().map(|(name, day)| (name.to_owned(), day.to_string()));
    // What is said by hand comes before the period.
    let values: BTreeMap<_, _> = days.chain(values.clone()).collect();
    let results = engine.prepare(&measure.shelf, &measure.library, &values).await?;
    let read = rows::read(results, measure.scoring).await?;
    let mut warnings = Vec::new();
    for need in &measure.needs {
        warnings.extend(need.unmet(engine, &measure.shelf).await?);
    }
    Ok(Evaluation {
        populations: read.columns.populations(),
        stratifiers: read.columns.stratifiers(),
        supplemental: read.columns.supplemental(),
        patients: read.patients,
        evaluated: read.rows,
        terminology: engine.terminology_used(),
        warnings,
        measure,
        period,
    })
}

impl Evaluation {
    /// The counts of all patients.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.patients.iter().for_each(|patient| counts.add(patient.populations));
        counts
    }

    /// The counts by each stratifier.
    pub fn strata(&self) -> Vec<Stratifier> {
        self.stratifiers.iter().enumerate().map(|(i, name)| self.stratifier(i, name)).collect()
    }

    fn stratifier(&self, i: usize, name: &str) -> Stratifier {
        let mut strata: BTreeMap<_, Counts> = BTreeMap::new();
        for patient in &self.patients {
            let stratum = patient.strata[i].as_ref();
            strata.entry((stratum.is_none(), stratum)).or_default().add(patient.populations);
        }
        let strata =
            strata.into_iter().map(|((_, value), counts)| (value.cloned(), counts)).collect();
        Stratifier { name: name.to_owned(), strata }
    }
}
