//! Counts as text: a list for people, and CSV. Counts from 1 to 10 are hidden unless they are asked for.

use std::fmt::Write;

use super::{Check, Measure};

/// Counts below this, but for 0, are not shown: few people are easily known (the rule of CMS for its own data).
const SMALLEST: u64 = 11;

/// A count as it is shown.
pub(super) struct Shown {
    pub(super) numerator: String,
    pub(super) denominator: String,
    /// The share, unless it gives away what is hidden.
    pub(super) share: Option<f64>,
}

impl Measure {
    pub(super) fn shown(&self, exact: bool) -> Shown {
        let small = |n: u64| !exact && self.check != Check::Gaps && (1..SMALLEST).contains(&n);
        let rest = self.denominator.saturating_sub(self.numerator);
        let number = |n: u64| if small(n) { format!("<{SMALLEST}") } else { n.to_string() };
        // Of 1,000 rows 997 are as telling as 3; a whole that is hidden hides its parts.
        let numerator = if small(rest) && !small(self.numerator) && !small(self.denominator) {
            format!(">{}", self.denominator - SMALLEST)
        } else if small(self.denominator) && self.numerator > 0 {
            format!("<{SMALLEST}")
        } else {
            number(self.numerator)
        };
        let hidden = small(self.numerator) || small(rest) || small(self.denominator);
        let share = self.share().filter(|_| !hidden);
        Shown { numerator, denominator: number(self.denominator), share }
    }

    /// Whether someone should look at it: something is missing, or there is something that should not be.
    pub(super) fn is_fault(&self) -> bool {
        match self.check {
            Check::Completeness | Check::Coded => self.numerator < self.denominator,
            Check::System => {
                !super::codes::is_public(self.detail.rsplit(": ").next().unwrap_or(""))
            }
            Check::Volume => false,
            _ => self.numerator > 0,
        }
    }
}

/// A share in percent, rounded so that neither all nor nothing is said of less or more.
pub(super) fn percent(share: f64) -> String {
    let rounded = (share * 1000.0).round() / 10.0;
    let inner = if share > 0.0 && share < 1.0 { rounded.clamp(0.1, 99.9) } else { rounded };
    format!("{inner:.1} %")
}

/// One row for each count: `table,column,check,detail,numerator,denominator,value`.
pub fn csv(measures: &[Measure], exact: bool) -> String {
    let mut text = String::from("table,column,check,detail,numerator,denominator,value\n");
    for measure in measures {
        let Shown { numerator, denominator, share } = measure.shown(exact);
        let share = share.map_or_else(String::new, |share| format!("{share:.6}"));
        let fields = [
            &measure.table,
            &measure.column,
            measure.check.name(),
            &measure.detail,
            &numerator,
            &denominator,
            &share,
        ];
        text.push_str(&fields.map(field).join(","));
        text.push('\n');
    }
    text
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// What someone should look at, table by table.
pub fn table(measures: &[Measure]) -> String {
    let faults: Vec<_> = measures.iter().filter(|measure| measure.is_fault()).collect();
    let width = |of: fn(&Measure) -> &str| {
        faults.iter().map(|measure| of(measure).chars().count()).max().unwrap_or(0)
    };
    let (column, check) = (width(|m| &m.column), width(|m| m.check.name()));
    let mut text = String::new();
    let mut last = "";
    for measure in &faults {
        if measure.table != last {
            last = &measure.table;
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{last}\n{}", never_filled(last, &faults));
        }
        if is_never_filled(measure) {
            continue;
        }
        let share = measure.share().map_or_else(String::new, percent);
        let counts = format!("{} of {}", measure.numerator, measure.denominator);
        let line = format!(
            "  {:<column$}  {:<check$}  {share:>8}  {counts:>20}  {}",
            printable(&measure.column),
            measure.check.name(),
            printable(&measure.detail)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let (all, found) = (measures.len(), faults.len());
    let _ = writeln!(text, "\n{found} of {all} counts need a look");
    text
}

/// Names of columns that one line tells of; there may be hundreds.
const NAMED: usize = 12;

fn is_never_filled(measure: &Measure) -> bool {
    measure.check == Check::Completeness && measure.numerator == 0
}

/// One line for all columns of a table that have no value in any row.
fn never_filled(table: &str, faults: &[&Measure]) -> String {
    let empty = faults.iter().filter(|m| m.table == table && is_never_filled(m));
    let names: Vec<_> = empty.map(|m| printable(&m.column)).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match &names[..names.len().min(NAMED)] {
        [] => String::new(),
        some => format!("  never filled: {}{more}\n", some.join(", ")),
    }
}

/// Without what moves the cursor of a terminal: systems and units are as the data have them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
