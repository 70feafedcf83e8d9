//! Rules: how much of something must, or may, be in the data.

use std::fmt;

use serde::Deserialize;

use super::{Check, Measure};
use crate::settings::{Mistake, Mistakes};
use crate::suggest;

/// `[[quality.rule]]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTable {
    check: String,
    table: String,
    #[serde(default = "all")]
    column: String,
    min: Option<Written>,
    max: Option<Written>,
    #[serde(default)]
    level: Level,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a number such as 10, or a share such as \"95%\"")]
enum Written {
    Count(u64),
    Text(String),
}

fn all() -> String {
    "*".to_owned()
}

/// What becomes of a run whose data break a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It ends.
    #[default]
    Stop,
    /// It says so.
    Warn,
}

/// A rule that can be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What is counted.
    pub check: Check,
    /// The tables, with `*` for anything.
    pub table: String,
    /// The columns, with `*` for anything.
    pub column: String,
    /// What becomes of the run.
    pub level: Level,
    min: Option<Limit>,
    max: Option<Limit>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Count(u64),
    /// From 0 to 1.
    Share(f64),
}

/// A rule that the data break, and by which count. Displayed as one sentence without values.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken<'m> {
    measure: &'m Measure,
    limit: Limit,
    least: bool,
    /// What becomes of the run.
    pub level: Level,
}

/// The checks that rules may be about.
const RULED: [Check; 6] = [
    Check::Completeness,
    Check::Orphans,
    Check::ImpossibleDates,
    Check::Duplicates,
    Check::Coded,
    Check::Units,
];

impl RuleTable {
    /// Reads it; paths of mistakes are below the rule.
    pub fn check(self) -> Result<Rule, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let check = RULED.into_iter().find(|check| check.name() == self.check);
        if check.is_none() {
            let names = RULED.map(Check::name);
            mistakes.hinted(
                "check",
                format!("there is no check `{}`", self.check),
                match suggest::nearest(&self.check, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the checks are: {}", names.join(", ")),
                },
            );
        }
        for (key, pattern) in [("table", &self.table), ("column", &self.column)] {
            if pattern.is_empty() {
                mistakes.add(key, "the name is empty");
            }
        }
        if self.min.is_none() && self.max.is_none() {
            mistakes.hinted("", "a rule needs a `min` or a `max`", "such as `min = \"95%\"`");
        }
        let min = self.min.and_then(|limit| limit.read("min", &mut mistakes));
        let max = self.max.and_then(|limit| limit.read("max", &mut mistakes));
        match check.filter(|_| mistakes.0.is_empty()) {
            Some(check) => {
                let (table, column, level) = (self.table, self.column, self.level);
                Ok(Rule { check, table, column, level, min, max })
            }
            None => Err(mistakes.0),
        }
    }
}

impl Written {
    fn read(self, key: &str, mistakes: &mut Mistakes) -> Option<Limit> {
        let limit = match &self {
            Self::Count(count) => Some(Limit::Count(*count)),
            Self::Text(text) => limit(text),
        };
        if let (None, Self::Text(text)) = (limit, self) {
            mistakes.add(key, format!("`{text}` is neither a number nor a share such as `95%`"));
        }
        limit
    }
}

fn limit(text: &str) -> Option<Limit> {
    match text.trim().strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.trim().parse().ok()?;
            (0.0..=100.0).contains(&percent).then_some(Limit::Share(percent / 100.0))
        }
        None => text.trim().parse().ok().map(Limit::Count),
    }
}

impl std::str::FromStr for Rule {
    type Err = String;

    /// `completeness patient.birth_date min 95%`, `orphans * max 0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [check, place, bound @ ("min" | "max"), limit] = words[..] else {
            return Err(format!(
                "`{text}` is no rule: one is written `completeness patient.birth_date min 95%`"
            ));
        };
        let (table, column) = place.split_once('.').unwrap_or((place, "*"));
        let limit = Some(Written::Text(limit.to_owned()));
        let (min, max) = if bound == "min" { (limit, None) } else { (None, limit) };
        let (check, table) = (check.to_owned(), table.to_owned());
        let table =
            RuleTable { check, table, column: column.to_owned(), min, max, level: Level::Stop };
        table.check().map_err(|mistakes| {
            let said = mistakes.into_iter().map(|mistake| match mistake.hint {
                Some(hint) => format!("{} ({hint})", mistake.message),
                None => mistake.message,
            });
            said.collect::<Vec<_>>().join("; ")
        })
    }
}

impl fmt::Display for Rule {
    /// As it is written on the command line, with both limits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.check.name(), self.table, self.column)?;
        for (bound, limit) in [("min", self.min), ("max", self.max)] {
            if let Some(limit) = limit {
                write!(f, " {bound} {limit}")?;
            }
        }
        Ok(())
    }
}

impl Rule {
    /// The counts that break it. What was counted among nothing breaks no share.
    pub fn broken<'m>(&self, measures: &'m [Measure]) -> Vec<Broken<'m>> {
        let about = measures.iter().filter(|m| m.check == self.check && self.is_about(m));
        let bounds = |measure| {
            [(self.min, true), (self.max, false)].into_iter().filter_map(move |(limit, least)| {
                let limit = limit?;
                let broken = limit.is_broken(measure, least);
                broken.then_some(Broken { measure, limit, least, level: self.level })
            })
        };
        about.flat_map(bounds).collect()
    }

    fn is_about(&self, measure: &Measure) -> bool {
        matches(&self.table, &measure.table) && matches(&self.column, &measure.column)
    }
}

impl Limit {
    fn is_broken(self, measure: &Measure, least: bool) -> bool {
        let (found, limit) = match self {
            Self::Count(count) => (measure.numerator as f64, count as f64),
            Self::Share(share) => match measure.share() {
                Some(found) => (found, share),
                None => return false,
            },
        };
        if least { found < limit } else { found > limit }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{} %", share * 100.0),
        }
    }
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measure { table, column, check, detail, .. } = self.measure;
        write!(f, "{} of `{table}.{column}`", check.name())?;
        if !detail.is_empty() {
            write!(f, " ({detail})")?;
        }
        match (self.limit, self.measure.share()) {
            // Rounded away from the limit's side, so that 94.99 % is not shown as 95 %.
            (Limit::Share(_), Some(share)) if self.least => {
                write!(f, ": {:.2} %", (share * 10_000.0).floor() / 100.0)?;
            }
            (Limit::Share(_), Some(share)) => {
                write!(f, ": {:.2} %", (share * 10_000.0).ceil() / 100.0)?;
            }
            _ => write!(f, ": {}", self.measure.numerator)?,
        }
        write!(f, ", {} {}", if self.least { "at least" } else { "at most" }, self.limit)
    }
}

/// Whether a name is as a pattern says, in which `*` stands for anything.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}

/// What rules name that is not there, among tables and their columns; paths begin with the rule's number.
pub fn unknown_names(rules: &[Rule], tables: &[(String, Vec<String>)]) -> Vec<Mistake> {
    let mut mistakes = Mistakes::default();
    for (i, rule) in rules.iter().enumerate() {
        let meant: Vec<_> = tables.iter().filter(|(name, _)| matches(&rule.table, name)).collect();
        let has = |(_, columns): &&(String, Vec<String>)| {
            columns.iter().any(|column| matches(&rule.column, column))
        };
        let (key, message, candidates): (_, _, Vec<_>) = if meant.is_empty() {
            let known = tables.iter().map(|(name, _)| name.as_str()).collect();
            ("table", format!("there is no table `{}`", rule.table), known)
        } else if meant.iter().any(has) {
            continue;
        } else {
            let known = meant.iter().flat_map(|(_, columns)| columns).map(String::as_str).collect();
            ("column", format!("`{}` has no column `{}`", rule.table, rule.column), known)
        };
        let asked = if key == "table" { &rule.table } else { &rule.column };
        let path = format!("[{i}].{key}");
        match suggest::nearest(asked, candidates) {
            Some(near) => mistakes.hinted(path, message, format!("did you mean `{near}`?")),
            None => mistakes.add(path, message),
        }
    }
    mistakes.0
}
