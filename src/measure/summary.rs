//! The summary of an evaluation: counts and rate of all patients and of each stratum, as text, rows and JSON.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use super::evaluation::{Evaluation, Stratifier};
use super::population::{Counts, Population, Scoring};
use super::suppress::{Hidden, hide};
use crate::query::TerminologyUsed;

/// What people and programs read of an evaluation. No patients are named.
#[derive(Debug, Clone)]
pub struct Summary<'e> {
    evaluation: &'e Evaluation,
    /// All patients first, then the strata of each stratifier.
    groups: Vec<Group>,
    /// Smaller counts are hidden.
    limit: Option<u64>,
}

/// A group of patients and its counts.
#[derive(Debug, Clone)]
pub struct Group {
    /// The stratifier and the stratum; `None` for all patients.
    stratum: Option<(String, Option<String>)>,
    counts: Counts,
    hidden: Hidden,
}

impl<'e> Summary<'e> {
    /// The summary; counts below `limit` that are not 0, and what would give them away, are not shown.
    pub fn new(evaluation: &'e Evaluation, limit: Option<u64>) -> Self {
        let (all, stratifiers) = (evaluation.counts(), evaluation.strata());
        let (hidden, strata) =
            hide(&all, &stratifiers, evaluation.measure.scoring, limit.unwrap_or(0));
        let mut groups = vec![Group { stratum: None, counts: all, hidden }];
        for (Stratifier { name, strata }, hidden) in stratifiers.into_iter().zip(strata) {
            let group = |((value, counts), hidden)| Group {
                stratum: Some((name.clone(), value)),
                counts,
                hidden,
            };
            groups.extend(strata.into_iter().zip(hidden).map(group));
        }
        Self { evaluation, groups, limit }
    }

    /// Aligned text for people.
    pub fn text(&self) -> String {
        let measure = &self.evaluation.measure;
        let library = &measure.library;
        let title = library.says("title").unwrap_or(&library.name);
        let version = library.version.as_ref().map_or_else(String::new, |v| format!(" {v}"));
        let mut text = format!("{title} ({}{version}), {}\n", library.name, self.evaluation.period);
        for group in &self.groups {
            text.push('\n');
            if let Some((name, value)) = &group.stratum {
                let _ = writeln!(text, "{name}: {}", value.as_deref().unwrap_or("(not known)"));
            }
            for (population, count) in self.cells(group) {
                let _ = writeln!(text, "{:<22} {count:>10}", population.code());
            }
            if self.has_rate() {
                let rate = group
                    .counts
                    .score()
                    .map_or("–".to_owned(), |r| format!("{:.1} %", r * 100.0));
                let rate = if group.hidden.rate { "not shown".to_owned() } else { rate };
                let _ = writeln!(text, "{:<22} {rate:>10}", "rate");
            }
        }
        text
    }

    /// A row for each group and population, and one for the rate: `stratifier`, `stratum`, `population`, `count`, `rate`.
    pub fn rows(&self) -> RecordBatch {
        let mut rows: Vec<[Option<String>; 5]> = Vec::new();
        for group in &self.groups {
            let of = group.stratum.as_ref();
            let (name, value) =
                (of.map(|(name, _)| name.clone()), of.and_then(|(_, value)| value.clone()));
            for (population, count) in self.cells(group) {
                let code = population.code().to_owned();
                rows.push([name.clone(), value.clone(), Some(code), Some(count), None]);
            }
            if self.has_rate() {
                let rate = group.rate().map(|rate| rate.to_string());
                rows.push([name, value, Some("rate".to_owned()), None, rate]);
            }
        }
        let names = ["stratifier", "stratum", "population", "count", "rate"];
        let fields = names.map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
        let column = |i: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|row| row[i].as_ref()).collect::<StringArray>())
        };
        let columns = (0..names.len()).map(column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .expect("the columns are built after the schema")
    }

    /// One JSON object, with the terminology that was used. A hidden count is null.
    pub fn json(&self) -> Value {
        let Evaluation { measure, period, evaluated, terminology, warnings, .. } = self.evaluation;
        json!({
            "measure": measure.library.name,
            "title": measure.library.says("title"),
            "canonical": measure.canonical(),
            "scoring": measure.scoring.code(),
            "improvement_notation": measure.improvement.map(super::Improvement::code),
            "period": { "start": period.start.to_string(), "end": period.end.to_string() },
            "patients": self.limit.is_none().then_some(evaluated),
            "suppressed_below": self.limit,
            "groups": self.groups.iter().map(|group| self.group_json(group)).collect::<Vec<_>>(),
            "terminology": terminology.iter().map(terminology_json).collect::<Vec<_>>(),
            "warnings": warnings,
        })
    }

    fn group_json(&self, group: &Group) -> Value {
        let population = |population: &Population| {
            let shown = !group.hidden.counts.contains(*population);
            let count = shown.then(|| group.counts.of(*population));
            json!({ "population": population.code(), "count": count })
        };
        let populations: Vec<_> = self.evaluation.populations.iter().map(population).collect();
        let mut json = json!({ "populations": populations, "rate": group.rate() });
        if let Some((name, value)) = &group.stratum {
            json["stratifier"] = json!(name);
            json["stratum"] = json!(value);
        }
        json
    }

    /// The counts as they are shown.
    fn cells(&self, group: &Group) -> Vec<(Population, String)> {
        let limit = self.limit.unwrap_or(0);
        let shown = |population: Population| match group.counts.of(population) {
            count if !group.hidden.counts.contains(population) => count.to_string(),
            count if count < limit => format!("<{limit}"),
            _ => "not shown".to_owned(),
        };
        self.evaluation
            .populations
            .iter()
            .map(|population| (*population, shown(*population)))
            .collect()
    }

    fn has_rate(&self) -> bool {
        self.evaluation.measure.scoring == Scoring::Proportion
    }
}

impl Group {
    /// The rate, if there is one that is shown.
    fn rate(&self) -> Option<f64> {
        self.counts.score().filter(|_| !self.hidden.rate)
    }
}

fn terminology_json(used: &TerminologyUsed) -> Value {
    json!({
        "canonical": used.canonical,
        "resource": used.resource,
        "version": used.version,
        "expansion": used.expansion,
        "code_systems": used.code_systems,
        "value_sets": used.value_sets,
        "rows": used.rows,
    })
}
