//! Quality measures: a query that gives one row for each patient becomes populations, a rate, and a MeasureReport.
//!
//! The query says which criteria each patient meets ([`Measure`]); which populations follow from them is the same for all
//! measures ([`Scoring`]). What comes out is an [`Evaluation`]: a [`Summary`] for people, lists of patients, FHIR
//! MeasureReports, and a [`Comparison`] with the results that a test deck expects.

mod definition;
mod evaluation;
mod expected;
mod file;
mod list;
mod need;
mod period;
mod population;
mod report;
mod rows;
mod summary;
mod suppress;
#[cfg(test)]
mod tests;

pub use definition::{Improvement, Measure};
pub use evaluation::{Evaluation, Patient, Stratifier, evaluate};
pub use expected::{Compared, Comparison, Difference, Expected};
pub use list::write_patients;
pub use period::Period;
pub use population::{Counts, Population, PopulationSet, Scoring};
pub use report::{write_individual, write_summary};
pub use summary::{Group, Summary};
