//! The report as one HTML page that needs nothing else: no script, no link, nothing from outside.

use super::listing::percent;
use super::{Check, Measure};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2430;--pale:#6b7480;--line:#d9dee5;--ground:#fff;--bar:#2f6fb3;--bad:#b3402f}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--pale:#98a2b0;--line:#343c48;--ground:#14181e;--bar:#6aa5e0;--bad:#e07a66}}\
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:68rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .3rem;border-bottom:1px solid var(--line)}h3{font-size:.95rem;margin:1rem 0 .2rem}\
p,caption{color:var(--pale)}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.15rem .6rem .15rem 0;vertical-align:top;overflow-wrap:anywhere}\
th{font-weight:600;border-bottom:1px solid var(--line)}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
svg .t{fill:var(--line)}svg .b{fill:var(--bar)}svg .f{fill:var(--bad)}tr.f td:first-child{color:var(--bad)}";

/// The parts of a table's section, and the checks that are in them.
const PARTS: [(&str, &[Check]); 6] = [
    ("Completeness", &[Check::Completeness]),
    ("Codes of public systems", &[Check::Coded]),
    ("Code systems", &[Check::System]),
    (
        "References, dates and duplicates",
        &[Check::Orphans, Check::ImpossibleDates, Check::Duplicates],
    ),
    ("Units", &[Check::Units, Check::Unit]),
    ("Months", &[Check::Gaps]),
];

/// The page; `of` is what was looked at and when. Counts from 1 to 10 are hidden unless `exact`.
pub fn page(measures: &[Measure], of: &str, exact: bool) -> String {
    let mut tables: Vec<&str> = measures.iter().map(|measure| measure.table.as_str()).collect();
    tables.dedup();
    let sections = tables.into_iter().map(|table| {
        let own: Vec<_> = measures.iter().filter(|measure| measure.table == table).collect();
        section(table, &own, exact)
    });
    let note = if exact { "" } else { " Counts from 1 to 10 are shown as &lt;11." };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Data quality</title>\
         <style>{STYLE}</style></head>\n<body><h1>Data quality</h1><p>{}.{note}</p>\n{}</body></html>\n",
        escaped(of),
        sections.collect::<String>()
    )
}

fn section(table: &str, measures: &[&Measure], exact: bool) -> String {
    let parts = PARTS.iter().map(|(title, checks)| {
        let rows: Vec<_> = measures.iter().filter(|m| checks.contains(&m.check)).collect();
        if rows.is_empty() {
            return String::new();
        }
        let rows: String = rows.into_iter().map(|measure| row(measure, exact)).collect();
        format!(
            "<h3>{title}</h3><table><tr><th>column</th><th>what</th><th>count</th><th>of</th>\
             <th>share</th><th></th></tr>{rows}</table>\n"
        )
    });
    let parts: String = parts.collect();
    let months: Vec<_> = measures.iter().filter(|m| m.check == Check::Volume).copied().collect();
    format!("<h2>{}</h2>\n{}{parts}", escaped(table), volume(&months, exact))
}

fn row(measure: &Measure, exact: bool) -> String {
    let shown = measure.shown(exact);
    let what = if measure.detail.is_empty() { measure.check.name() } else { &measure.detail };
    let fault = measure.is_fault();
    format!(
        "<tr{}><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td>{}</td></tr>\n",
        if fault { " class=\"f\"" } else { "" },
        escaped(&measure.column),
        escaped(what),
        escaped(&shown.numerator),
        escaped(&shown.denominator),
        shown.share.map_or_else(String::new, percent),
        shown.share.map_or_else(String::new, bar),
    )
}

fn bar(share: f64) -> String {
    format!(
        "<svg width=\"120\" height=\"10\" role=\"img\" aria-label=\"{}\"><rect class=\"t\" width=\"120\" \
         height=\"10\"/><rect class=\"b\" width=\"{:.1}\" height=\"10\"/></svg>",
        percent(share),
        share.clamp(0.0, 1.0) * 120.0
    )
}

/// A bar for each month from the first to the last; those that are hidden are as low as can be seen.
fn volume(months: &[&Measure], exact: bool) -> String {
    let (Some(first), Some(last)) = (months.first(), months.last()) else { return String::new() };
    let (Some(begin), Some(end)) = (position(&first.detail), position(&last.detail)) else {
        return String::new();
    };
    let most = months.iter().map(|m| m.numerator).max().unwrap_or(1).max(1) as f64;
    let step = 660.0 / (end - begin + 1) as f64;
    let bars = months.iter().filter_map(|month| {
        let hidden = month.shown(exact).numerator.starts_with('<');
        let height = if hidden { 1.0 } else { (month.numerator as f64 / most * 60.0).max(1.0) };
        let x = (position(&month.detail)? - begin) as f64 * step;
        Some(format!(
            "<rect class=\"b\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{height:.1}\"/>",
            60.0 - height,
            (step * 0.9).max(0.3)
        ))
    });
    let (first, last) = (escaped(&first.detail), escaped(&last.detail));
    format!(
        "<p>Rows by month, {first} to {last}</p><svg viewBox=\"0 0 660 61\" width=\"100%\" height=\"61\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"rows by month\"><rect class=\"t\" y=\"60\" \
         width=\"660\" height=\"1\"/>{}</svg>\n",
        bars.collect::<String>()
    )
}

fn position(month: &str) -> Option<i64> {
    let (year, month) = month.split_once('-')?;
    Some(year.parse::<i64>().ok()? * 12 + month.parse::<i64>().ok()?)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
