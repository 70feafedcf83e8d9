//! A synthetic population in the shape of a Bulk Data export, for the demo, tests and benchmarks.
//!
//! ```text
//! network (payers, towns) ─┐
//! people, coverage (who) ──┼─► history (when) ─► visit (what) ─► write (NDJSON, manifest)
//! diseases, illnesses, … ──┘                       └─► observations, treatments, claims
//! ```
//! The tables (`diseases`, `illnesses`, `drugs`, `measures`, `prevention`) are data. A patient
//! depends on the seed and its own number only, so a larger population begins with the smaller one.

use std::path::Path;

use self::network::{PATIENTS_PER_TOWN, Town};
use self::write::Export;
use crate::error::Result;

mod claims;
mod coverage;
mod diseases;
mod drugs;
mod fhir;
mod history;
mod illnesses;
mod json;
mod measures;
mod network;
mod observations;
mod people;
mod prevention;
mod random;
#[cfg(test)]
mod tests;
mod treatments;
mod visit;
mod write;

/// What to make. The same values give the same bytes on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Number of patients.
    pub patients: usize,
    /// Seed of all draws: another seed, another population.
    pub seed: u64,
    /// Into how many files each resource type is split; types with few resources get fewer.
    pub files_per_type: usize,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Files, the manifest included.
    pub files: usize,
    /// Resources of all types.
    pub resources: usize,
    /// Bytes in all files.
    pub bytes: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { patients: 100, seed: 1, files_per_type: 3 }
    }
}

impl Sample {
    /// Writes the population into `out`: `<Type>.<number>.ndjson` files and `manifest.json`.
    ///
    /// Memory does not grow with the number of patients.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Output`] when `out` holds files already or cannot be written.
    pub fn write(&self, out: &Path) -> Result<Written> {
        let mut export = Export::create(out)?;
        if self.patients > 0 {
            network::write_payers(&mut export)?;
        }
        let mut town = Town::new(self.seed, 0);
        let mut file = 0;
        for index in 0..self.patients {
            if self.file_of(index) != file {
                file = self.file_of(index);
                export.roll()?;
            }
            if index % PATIENTS_PER_TOWN == 0 {
                town = Town::new(self.seed, index / PATIENTS_PER_TOWN);
                town.write(&mut export)?;
            }
            history::write(self.seed, index, &town, &mut export)?;
        }
        export.finish(fhir::TRANSACTION_TIME)
    }

    /// Into which file of each type the resources of patient `index` go.
    fn file_of(&self, index: usize) -> usize {
        index * self.files_per_type.max(1) / self.patients
    }
}
