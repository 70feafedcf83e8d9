//! "Did you mean": the nearest of the names that exist.

/// The candidate nearest to `name`, if it is near enough to be what was meant.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = name.chars().count().div_ceil(3);
    let length = name.chars().count();
    candidates
        .into_iter()
        // So many edits cannot make up for more letters; the name may be a very long one.
        .filter(|c| c.chars().count().abs_diff(length) <= limit)
        .map(|c| (distance(name, c), c))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| c)
}

/// At most three of `candidates` that are spelt like `name`, the nearest first.
pub fn several<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Vec<&'c str> {
    let name = name.to_lowercase();
    let tolerance = (name.chars().count() / 3).max(1);
    let mut near: Vec<_> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = distance(&name, &lower);
            let part = name.len() >= 3 && (lower.contains(&name) || name.contains(&lower));
            (distance <= tolerance || part).then_some((distance, candidate))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// Edits from one word to the other: insertions, deletions, replacements and swaps of neighbours; case counts nothing.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let edit = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { edit.min(rows[i - 2][j - 2] + 1) } else { edit }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_if_near_enough() {
        for (name, expected) in [
            ("brithDate", Some("birthDate")),
            ("Name", Some("name")),
            ("zzz", None),
            ("gendre", Some("gender")),
            ("birthDateOfThePatient", None),
        ] {
            assert_eq!(nearest(name, ["birthDate", "name", "gender"]), expected, "{name}");
        }
    }

    #[test]
    fn several_names_nearest_first() {
        let tables = ["patient", "observation", "observation_component", "condition", "_rejects"];
        for (name, expected) in [
            ("pateint", vec!["patient"]),
            ("Patients", vec!["patient"]),
            ("observations", vec!["observation"]),
            ("observ", vec!["observation", "observation_component"]),
            ("component", vec!["observation_component"]),
            ("rejects", vec!["_rejects"]),
            ("x", vec![]),
            ("encounter", vec![]),
        ] {
            assert_eq!(several(name, tables), expected, "{name}");
        }
    }
}
