//! Data quality of a warehouse: counts over its tables, and the rules that a pipeline or a person sets for them.
//!
//! All is counted by SQL. Findings name tables, columns, code systems, LOINC codes and units; no value of a patient.

mod asking;
mod codes;
mod dates;
mod duplicates;
mod listing;
mod page;
mod references;
mod rule;
mod shape;
#[cfg(test)]
mod tests;
mod units;
mod volume;

use std::collections::BTreeMap;

use serde::Serialize;

pub use listing::{csv, table};
pub use page::page;
pub use rule::{Broken, Level, Rule, RuleTable, unknown_names};

use crate::error::{Error, ErrorKind, Result};
use crate::query::{Engine, Table};
use asking::{Ask, ask};
use shape::Shape;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Rows with a value in the column.
    Completeness,
    /// Rows with a code of a public system, among rows with a code or its text.
    Coded,
    /// Codes of one system, among all codes of the column.
    System,
    /// References to ids that the table of that name has not.
    Orphans,
    /// Dates that cannot be: births after deaths, events before births or in the future, ends before starts.
    ImpossibleDates,
    /// Rows beyond the first of the same id, of the same patient, code and time, or of the same person.
    Duplicates,
    /// Values without a unit, or in another unit than most values of their code.
    Units,
    /// Values of a LOINC code in one unit, where it has several.
    Unit,
    /// Rows of a month.
    Volume,
    /// Months without rows between the first month and the last.
    Gaps,
}

impl Check {
    /// Its name in rules and listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::Coded => "coded",
            Self::System => "system",
            Self::Orphans => "orphans",
            Self::ImpossibleDates => "impossible_dates",
            Self::Duplicates => "duplicates",
            Self::Units => "units",
            Self::Unit => "unit",
            Self::Volume => "volume",
            Self::Gaps => "gaps",
        }
    }
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// The table.
    pub table: String,
    /// The column it is about.
    pub column: String,
    /// What is counted.
    pub check: Check,
    /// Which of several: a code system, a month, what is wrong with a date. May be empty.
    pub detail: String,
    /// How many.
    pub numerator: u64,
    /// Among how many.
    pub denominator: u64,
}

impl Measure {
    /// The share; `None` among nothing.
    pub fn share(&self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }
}

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The columns whose completeness counts, by table; of tables that are not here, all columns.
    pub must_support: BTreeMap<String, Vec<String>>,
    /// Columns whose completeness counts besides, with `*` for anything.
    pub complete: Vec<(String, String)>,
    /// Only these checks; all if there are none.
    pub checks: Vec<Check>,
    /// Only the tables of these rules; all if there are none.
    pub tables: Vec<String>,
}

impl Scope {
    /// Only what rules are about.
    pub fn of(rules: &[Rule]) -> Self {
        let checks = rules.iter().map(|rule| rule.check).collect();
        let tables = rules.iter().map(|rule| rule.table.clone()).collect();
        Self { checks, tables, ..Self::default() }.with(rules)
    }

    /// Also the columns that rules of completeness are about.
    #[must_use]
    pub fn with(mut self, rules: &[Rule]) -> Self {
        let rules = rules.iter().filter(|rule| rule.check == Check::Completeness);
        self.complete.extend(rules.map(|rule| (rule.table.clone(), rule.column.clone())));
        self
    }

    fn has_table(&self, name: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|pattern| rule::matches(pattern, name))
    }

    fn is_complete(&self, table: &str, column: &str) -> bool {
        let mut named = self.complete.iter();
        named.any(|(t, c)| rule::matches(t, table) && rule::matches(c, column))
    }

    fn wants(&self, checks: &[Check]) -> bool {
        self.checks.is_empty() || checks.iter().any(|check| self.checks.contains(check))
    }
}

/// Counts everything in the scope, table by table. Dates more than a day behind `today` (days since 1970-01-01) are in the
/// future. Fails as queries do.
pub async fn measure(engine: &Engine, scope: &Scope, today: i32) -> Result<Vec<Measure>> {
    let tables: Vec<_> =
        engine.tables().await.into_iter().filter(|table| !table.name.starts_with('_')).collect();
    let mut measures = Vec::new();
    for table in tables.iter().filter(|table| scope.has_table(&table.name)) {
        let shape = Shape::of(table, &tables);
        measures.extend(of_table(engine, scope, &shape, today).await?);
    }
    Ok(measures)
}

/// Today in UTC, as [`measure`] takes it.
pub fn today() -> i32 {
    let seconds = jiff::Timestamp::now().as_second();
    i32::try_from(seconds.div_euclid(86_400)).unwrap_or(i32::MAX)
}

/// Gives what broken rules only warn of; fails with [`ErrorKind::Rejects`] and names all others that are broken.
pub fn judge(rules: &[Rule], measures: &[Measure]) -> Result<Vec<String>> {
    let broken: Vec<_> = rules.iter().flat_map(|rule| rule.broken(measures)).collect();
    let of = |level| broken.iter().filter(move |broken| broken.level == level);
    let stops: Vec<_> = of(Level::Stop).map(ToString::to_string).collect();
    if stops.is_empty() {
        return Ok(of(Level::Warn).map(|broken| format!("data quality: {broken}")).collect());
    }
    let message = match stops.len() {
        1 => "the data break a rule of quality".to_owned(),
        n => format!("the data break {n} rules of quality"),
    };
    let error = Error::new(ErrorKind::Rejects, message);
    Err(stops.into_iter().fold(error, |error, broken| error.at("rule", broken)))
}

/// Fails with [`ErrorKind::Usage`] if rules name tables or columns that are not there.
pub fn check_names(rules: &[Rule], tables: &[Table]) -> Result<()> {
    let columns = |table: &Table| table.columns.iter().map(|c| c.name.clone()).collect();
    let tables: Vec<_> = tables.iter().map(|t| (t.name.clone(), columns(t))).collect();
    let mistakes = unknown_names(rules, &tables);
    let Some(first) = mistakes.first() else { return Ok(()) };
    let said: Vec<_> = mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
    let error = Error::new(ErrorKind::Usage, said.join("; "));
    Err(first.hint.iter().fold(error, Error::hint))
}

async fn of_table(
    engine: &Engine,
    scope: &Scope,
    shape: &Shape<'_>,
    today: i32,
) -> Result<Vec<Measure>> {
    let mut asked = Vec::new();
    if scope.wants(&[Check::Completeness]) {
        asked.extend(completeness(shape.table, scope));
    }
    if scope.wants(&[Check::Coded]) {
        asked.extend(codes::coded(shape));
    }
    if scope.wants(&[Check::ImpossibleDates]) {
        asked.extend(dates::within(shape, today));
    }
    if scope.wants(&[Check::Duplicates]) {
        asked.extend(duplicates::ids(shape));
    }
    if scope.wants(&[Check::Units]) {
        asked.extend(units::missing(shape));
    }
    // One pass over the table answers all of these.
    let mut measures = ask(engine, shape.name(), &shape.quoted_name(), asked).await?;
    if shape.table.rows == Some(0) {
        return Ok(measures);
    }
    if scope.wants(&[Check::System]) {
        measures.extend(codes::systems(engine, shape).await?);
    }
    if scope.wants(&[Check::Orphans]) {
        measures.extend(references::orphans(engine, shape).await?);
    }
    if scope.wants(&[Check::ImpossibleDates]) {
        measures.extend(dates::before_birth(engine, shape).await?);
    }
    if scope.wants(&[Check::Duplicates]) {
        measures.extend(duplicates::rows(engine, shape).await?);
    }
    if scope.wants(&[Check::Units, Check::Unit]) {
        let all = units::usual(engine, shape).await?;
        measures.extend(all.into_iter().filter(|measure| scope.wants(&[measure.check])));
    }
    if scope.wants(&[Check::Volume, Check::Gaps]) {
        measures.extend(volume::months(engine, shape).await?);
    }
    Ok(measures)
}

/// How many rows have a value in each column that counts.
fn completeness(table: &Table, scope: &Scope) -> Vec<Ask> {
    let listed = scope.must_support.get(&table.name).filter(|columns| !columns.is_empty());
    let counts = |name: &String| {
        let counts = listed.is_none_or(|listed| listed.contains(name));
        !name.starts_with('_') && (counts || scope.is_complete(&table.name, name))
    };
    let columns = table.columns.iter().map(|column| &column.name).filter(|name| counts(name));
    let ask = |column: &String| Ask {
        check: Check::Completeness,
        column: column.clone(),
        detail: String::new(),
        numerator: format!("count({})", crate::query::quoted(column)),
        denominator: "count(*)".to_owned(),
    };
    columns.map(ask).collect()
}
