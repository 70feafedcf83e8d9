//! Measurement periods: a year, a quarter, a month, or two days.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;

/// Days from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day.
    pub start: Date,
    /// The last day.
    pub end: Date,
}

const FORMS: &str = "a period is a year `2026`, a quarter `2026-Q1`, a month `2026-01`, or its days \
                     `2026-01-01/2026-12-31`";

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let period = match text.split_once('/') {
            Some((start, end)) => day(start).zip(day(end)).map(|(start, end)| Self { start, end }),
            None => calendar(text),
        };
        let period = period.ok_or(FORMS)?;
        if period.end < period.start {
            return Err("the period ends before it begins".to_owned());
        }
        Ok(period)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end)
    }
}

/// `2026`, `2026-Q1`, `2026-01`.
fn calendar(text: &str) -> Option<Period> {
    let year = text.get(..4).filter(|y| digits(y)).and_then(|y| y.parse().ok())?;
    let (month, months) = match text.get(4..)? {
        "" => (1, 12),
        "-Q1" => (1, 3),
        "-Q2" => (4, 3),
        "-Q3" => (7, 3),
        "-Q4" => (10, 3),
        other => {
            let month = other.strip_prefix('-').filter(|m| m.len() == 2 && digits(m))?;
            (month.parse().ok()?, 1)
        }
    };
    let start = Date::new(year, month, 1).ok()?;
    let last = start.checked_add((months - 1).months()).ok()?;
    Some(Period { start, end: last.last_of_month() })
}

fn day(text: &str) -> Option<Date> {
    // Nothing that has a time or a zone besides the day.
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        let wrong = Err(FORMS.to_owned());
        for (text, expected) in [
            ("2026", Ok("2026-01-01 to 2026-12-31")),
            ("2026-Q1", Ok("2026-01-01 to 2026-03-31")),
            ("2024-Q4", Ok("2024-10-01 to 2024-12-31")),
            ("2024-02", Ok("2024-02-01 to 2024-02-29")),
            ("2026-12", Ok("2026-12-01 to 2026-12-31")),
            ("2025-07-01/2026-06-30", Ok("2025-07-01 to 2026-06-30")),
            ("2026-01-01/2026-01-01", Ok("2026-01-01 to 2026-01-01")),
            ("2026-01-02/2026-01-01", Err("the period ends before it begins".to_owned())),
            ("", wrong.clone()),
            ("26", wrong.clone()),
            ("2026-", wrong.clone()),
            ("2026-Q5", wrong.clone()),
            ("2026-q1", wrong.clone()),
            ("2026-13", wrong.clone()),
            ("2026-00", wrong.clone()),
            ("2026-1", wrong.clone()),
            ("2026-01-01", wrong.clone()),
            ("2026-02-30/2026-03-01", wrong.clone()),
            ("2026/2027", wrong.clone()),
            ("+202", wrong.clone()),
            ("202é", wrong.clone()),
            ("2026-01-01T00:00:00Z/2026-12-31", wrong.clone()),
        ] {
            let read = text.parse::<Period>().map(|period| period.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
    }
}
