//! Small cells: counts that are not shown, so that nobody can be recognised, and those that would give them away.

use super::evaluation::Stratifier;
use super::population::{Counts, Population, PopulationSet, Scoring};

/// What is hidden of one group of patients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hidden {
    pub(super) counts: PopulationSet,
    pub(super) rate: bool,
}

impl Hidden {
    /// What is hidden of a group by itself: counts from 1 to `limit - 1`, and the numerator if so few are not in it.
    fn of(counts: &Counts, limit: u64) -> Self {
        let small = |count: u64| (1..limit).contains(&count);
        let mut hidden: PopulationSet = Population::ALL
            .into_iter()
            .filter(|population| small(counts.of(*population)))
            .collect();
        if small(counts.eligible() - counts.performance_met()) {
            hidden.insert(Population::Numerator);
        }
        Self { counts: hidden, rate: false }
    }
}

/// What is hidden of all patients together, and of each stratum of each stratifier.
///
/// The rules are those of `pipelines/public-health`: where what is hidden in a column of strata is a single one, or fewer than
/// `limit` patients together, and the sum is shown, the smallest of the shown ones is hidden too. A rate is hidden with any
/// count that it is made of.
pub(super) fn hide(
    all: &Counts,
    stratifiers: &[Stratifier],
    scoring: Scoring,
    limit: u64,
) -> (Hidden, Vec<Vec<Hidden>>) {
    let total = Hidden::of(all, limit);
    let within = |stratifier: &Stratifier| {
        let mut strata: Vec<_> =
            stratifier.strata.iter().map(|(_, counts)| Hidden::of(counts, limit)).collect();
        for population in scoring.allowed().iter().filter(|p| !total.counts.contains(**p)) {
            complement(stratifier, &mut strata, *population, limit);
        }
        strata.into_iter().map(with_rate).collect()
    };
    let strata = stratifiers.iter().map(within).collect();
    (with_rate(total), strata)
}

fn complement(stratifier: &Stratifier, strata: &mut [Hidden], population: Population, limit: u64) {
    let count = |i: usize| stratifier.strata[i].1.of(population);
    let (hidden, shown): (Vec<_>, Vec<_>) =
        (0..strata.len()).partition(|i| strata[*i].counts.contains(population));
    let few = hidden.len() == 1 || hidden.iter().map(|i| count(*i)).sum::<u64>() < limit;
    if hidden.is_empty() || !few {
        return;
    }
    let smallest = shown.into_iter().filter(|i| count(*i) > 0).min_by_key(|i| count(*i));
    if let Some(i) = smallest {
        strata[i].counts.insert(population);
    }
}

fn with_rate(hidden: Hidden) -> Hidden {
    let of_rate = |population| population != Population::InitialPopulation;
    Hidden { rate: hidden.counts.iter().any(of_rate), ..hidden }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `patients` in all of initial population and denominator, so many of them in the numerator and excluded.
    fn counts(patients: u64, numerator: u64, excluded: u64) -> Counts {
        use Population::{Denominator, DenominatorExclusion, InitialPopulation, Numerator};
        let mut counts = Counts::default();
        for i in 0..patients {
            let mut set: PopulationSet = [InitialPopulation, Denominator].into_iter().collect();
            if i < numerator {
                set.insert(Numerator);
            } else if i < numerator + excluded {
                set.insert(DenominatorExclusion);
            }
            counts.add(set);
        }
        counts
    }

    fn shown(hidden: Hidden) -> String {
        let codes: Vec<_> = hidden.counts.iter().map(Population::code).collect();
        format!("{}{}", codes.join(" "), if hidden.rate { " rate" } else { "" })
    }

    #[test]
    fn a_group_by_itself() {
        for (patients, numerator, excluded, expected) in [
            (100, 50, 0, ""),
            (0, 0, 0, ""),
            (100, 0, 0, ""),
            (100, 5, 0, "numerator rate"),
            (100, 95, 0, "numerator rate"),
            (100, 89, 0, ""),
            (100, 100, 0, ""),
            (100, 50, 5, "denominator-exclusion rate"),
            (10, 0, 0, "initial-population denominator numerator rate"),
            (11, 0, 0, ""),
        ] {
            let (all, _) =
                hide(&counts(patients, numerator, excluded), &[], Scoring::Proportion, 11);
            assert_eq!(shown(all), expected, "{patients} {numerator} {excluded}");
        }
    }

    /// Patients and numerators of strata; what is hidden of each.
    #[test]
    fn strata_do_not_give_away_what_is_hidden() {
        type Case<'c> = (&'c [(u64, u64)], &'c [&'c str]);
        let cases: &[Case<'_>] = &[
            (&[(50, 20), (60, 30)], &["", ""]),
            // A single small one: the next smallest of each population goes with it.
            (
                &[(5, 0), (50, 20), (60, 30)],
                &[
                    "initial-population denominator numerator rate",
                    "initial-population denominator numerator rate",
                    "",
                ],
            ),
            // Two small ones of 11 or more together hide each other.
            (
                &[(6, 0), (7, 0), (60, 30)],
                &[
                    "initial-population denominator numerator rate",
                    "initial-population denominator numerator rate",
                    "numerator rate",
                ],
            ),
            // Nothing else is there to hide.
            (&[(5, 0)], &["initial-population denominator numerator rate"]),
        ];
        for (groups, expected) in cases {
            let strata =
                groups.iter().map(|(n, numerator)| (None, counts(*n, *numerator, 0))).collect();
            let (n, numerator) = groups.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
            let stratifier = Stratifier { name: "s".to_owned(), strata };
            let (_, hidden) =
                hide(&counts(n, numerator, 0), &[stratifier], Scoring::Proportion, 11);
            assert_eq!(
                hidden[0].iter().copied().map(shown).collect::<Vec<_>>(),
                *expected,
                "{groups:?}"
            );
        }
    }
}
