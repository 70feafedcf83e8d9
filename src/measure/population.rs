//! The populations of a measure, and the rules by which criteria become members of them.

/// A population of `http://terminology.hl7.org/CodeSystem/measure-population`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Population {
    InitialPopulation,
    Denominator,
    DenominatorExclusion,
    DenominatorException,
    Numerator,
    NumeratorExclusion,
}

impl Population {
    /// All of them, in the order in which reports have them.
    pub const ALL: [Self; 6] = [
        Self::InitialPopulation,
        Self::Denominator,
        Self::DenominatorExclusion,
        Self::DenominatorException,
        Self::Numerator,
        Self::NumeratorExclusion,
    ];

    /// The code, as reports and lists have it.
    pub fn code(self) -> &'static str {
        match self {
            Self::InitialPopulation => "initial-population",
            Self::Denominator => "denominator",
            Self::DenominatorExclusion => "denominator-exclusion",
            Self::DenominatorException => "denominator-exception",
            Self::Numerator => "numerator",
            Self::NumeratorExclusion => "numerator-exclusion",
        }
    }

    /// The display of the code.
    pub fn display(self) -> &'static str {
        match self {
            Self::InitialPopulation => "Initial Population",
            Self::Denominator => "Denominator",
            Self::DenominatorExclusion => "Denominator Exclusion",
            Self::DenominatorException => "Denominator Exception",
            Self::Numerator => "Numerator",
            Self::NumeratorExclusion => "Numerator Exclusion",
        }
    }

    /// The column of a measure file that has its criterion.
    pub fn column(self) -> String {
        self.code().replace('-', "_")
    }

    /// The population of a code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|population| population.code() == code)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some of the populations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PopulationSet(u8);

impl PopulationSet {
    /// Whether it has this one.
    pub fn contains(self, population: Population) -> bool {
        self.0 & population.bit() != 0
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds one.
    pub fn insert(&mut self, population: Population) {
        self.0 |= population.bit();
    }

    /// Those that it has, in the order of reports.
    pub fn iter(self) -> impl Iterator<Item = Population> {
        Population::ALL.into_iter().filter(move |population| self.contains(*population))
    }
}

impl FromIterator<Population> for PopulationSet {
    fn from_iter<I: IntoIterator<Item = Population>>(populations: I) -> Self {
        let mut set = Self::default();
        populations.into_iter().for_each(|population| set.insert(population));
        set
    }
}

/// How a measure is scored (`Measure.scoring`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// The share of the denominator that is in the numerator.
    Proportion,
    /// Only the number of patients.
    Cohort,
}

impl Scoring {
    /// The code of `http://terminology.hl7.org/CodeSystem/measure-scoring`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Proportion => "proportion",
            Self::Cohort => "cohort",
        }
    }

    /// The criteria that a measure file must have.
    pub(super) fn required(self) -> &'static [Population] {
        use Population::{Denominator, InitialPopulation, Numerator};
        match self {
            Self::Proportion => &[InitialPopulation, Denominator, Numerator],
            Self::Cohort => &[InitialPopulation],
        }
    }

    /// The criteria that it may have.
    pub(super) fn allowed(self) -> &'static [Population] {
        match self {
            Self::Proportion => &Population::ALL,
            Self::Cohort => &[Population::InitialPopulation],
        }
    }

    /// The populations of a patient who meets these criteria (Quality Measure IG, proportion measures): exclusions come
    /// before the numerator, the numerator before exceptions, and nobody is anywhere without the initial population.
    pub fn populations(self, criteria: PopulationSet) -> PopulationSet {
        use Population::{
            Denominator, DenominatorException, DenominatorExclusion, InitialPopulation, Numerator,
            NumeratorExclusion,
        };
        let meets = |population| criteria.contains(population);
        let initial = meets(InitialPopulation);
        let denominator = initial && meets(Denominator);
        let excluded = denominator && meets(DenominatorExclusion);
        let numerator = denominator && !excluded && meets(Numerator);
        let member = |population| match population {
            InitialPopulation => initial,
            Denominator => denominator,
            DenominatorExclusion => excluded,
            DenominatorException => denominator && !excluded && !numerator && meets(population),
            Numerator => numerator,
            NumeratorExclusion => numerator && meets(population),
        };
        self.allowed().iter().copied().filter(|population| member(*population)).collect()
    }
}

/// Patients by population.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; 6]);

impl Counts {
    /// Counts a patient of these populations.
    pub fn add(&mut self, populations: PopulationSet) {
        populations.iter().for_each(|population| self.0[population as usize] += 1);
    }

    /// The patients of one population.
    pub fn of(&self, population: Population) -> u64 {
        self.0[population as usize]
    }

    /// The denominator without its exclusions and exceptions.
    pub fn eligible(&self) -> u64 {
        let out =
            self.of(Population::DenominatorExclusion) + self.of(Population::DenominatorException);
        self.of(Population::Denominator) - out
    }

    /// The numerator without its exclusions.
    pub fn performance_met(&self) -> u64 {
        self.of(Population::Numerator) - self.of(Population::NumeratorExclusion)
    }

    /// The measure score of a proportion: none if nobody is eligible.
    pub fn score(&self) -> Option<f64> {
        let eligible = self.eligible();
        (eligible > 0).then(|| self.performance_met() as f64 / eligible as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters of populations: i, d, x (exclusion), e (exception), n, y (numerator exclusion).
    fn set(letters: &str) -> PopulationSet {
        letters.chars().map(|c| Population::ALL["idxeny".find(c).expect("a letter")]).collect()
    }

    #[test]
    fn criteria_become_populations() {
        for (criteria, expected) in [
            ("", ""),
            ("i", "i"),
            ("dxeny", ""),
            ("in", "i"),
            ("ix", "i"),
            ("id", "id"),
            ("idn", "idn"),
            ("idx", "idx"),
            ("idxn", "idx"),
            ("idxeny", "idx"),
            ("ide", "ide"),
            ("iden", "idn"),
            ("ideny", "idny"),
            ("idny", "idny"),
            ("idy", "id"),
            ("iey", "i"),
        ] {
            assert_eq!(Scoring::Proportion.populations(set(criteria)), set(expected), "{criteria}");
        }
    }

    #[test]
    fn a_cohort_counts_patients_only() {
        for (criteria, expected) in [("", ""), ("i", "i"), ("dn", "")] {
            assert_eq!(Scoring::Cohort.populations(set(criteria)), set(expected), "{criteria}");
        }
    }

    #[test]
    fn scores() {
        let cases: &[(&[&str], Option<f64>)] = &[
            (&[], None),
            (&["i"], None),
            (&["id"], Some(0.0)),
            (&["idn"], Some(1.0)),
            (&["idx", "ide"], None),
            (&["idn", "id", "idx", "ide"], Some(0.5)),
            (&["idn", "idn", "idny", "id", "idx"], Some(0.5)),
        ];
        for (patients, expected) in cases {
            let mut counts = Counts::default();
            patients.iter().for_each(|patient| counts.add(set(patient)));
            assert_eq!(counts.score(), *expected, "{patients:?}");
        }
    }

    #[test]
    fn codes_are_read_as_they_are_written() {
        for population in Population::ALL {
            assert_eq!(Population::of_code(population.code()), Some(population));
        }
        assert_eq!(Population::of_code("initial_population"), None);
    }
}
