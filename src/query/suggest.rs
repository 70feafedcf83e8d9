//! The names someone may have meant.

/// At most three of `candidates` that are spelt like `name`, the nearest first.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let tolerance = (name.chars().count() / 3).max(1);
    let mut near: Vec<_> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = edits(&name, &lower);
            let part = name.len() >= 3 && (lower.contains(&name) || name.contains(&lower));
            (distance <= tolerance || part).then_some((distance, candidate))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_names_first() {
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
            assert_eq!(nearest(name, tables), expected, "{name}");
        }
    }
}
