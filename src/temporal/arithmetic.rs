//! Moving dates and times by amounts of time, and the first and the last moment that one of low precision can mean.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{LOWEST, Precision, Temporal, TemporalKind, month_length};
use crate::ucum;

const OUT_OF_RANGE: &str = "the result is outside of the years 1 to 9999";
const UNFIT: &str = "this unit of time cannot be added to this type: dates take years to days, times take hours to milliseconds";

const DAY: i64 = 86_400;

impl Temporal {
    /// Moved by an amount of time (FHIRPath, "Date/Time Arithmetic"): months keep the day where the month has it, only
    /// seconds and milliseconds count fractions, and a value less precise than the unit moves by what the amount makes
    /// of its own precision. `Err` says why it cannot be.
    pub fn plus(&self, amount: Decimal, unit: &str) -> Result<Self, &'static str> {
        let word = match unit {
            "a" | "mo" => {
                return Err("`a` and `mo` have no place in a calendar; `year` and `month` have");
            }
            _ => ucum::calendar(unit).or_else(|| ucum::calendar_of(unit)),
        };
        let word = word.ok_or("only an amount of time can be added to a date or time")?;
        let dated = matches!(word, "year" | "month" | "week" | "day");
        if (dated && self.kind == TemporalKind::Time) || (!dated && self.kind == TemporalKind::Date)
        {
            return Err(UNFIT);
        }
        self.moved(amount, word)
            .filter(|moved| (1..=9999).contains(&moved.fields[0]))
            .ok_or(OUT_OF_RANGE)
    }

    fn moved(&self, amount: Decimal, word: &str) -> Option<Self> {
        let mut moved = *self;
        let whole = amount.trunc().to_i64()?;
        match word {
            "year" => moved.add_months(whole.checked_mul(12)?)?,
            "month" if self.precision == Precision::Year => moved.add_months(whole / 12 * 12)?,
            "month" => moved.add_months(whole)?,
            "week" => moved.add_seconds(whole.checked_mul(7 * DAY)?)?,
            "day" => moved.add_seconds(whole.checked_mul(DAY)?)?,
            "hour" => moved.add_seconds(whole.checked_mul(3600)?)?,
            "minute" => moved.add_seconds(whole.checked_mul(60)?)?,
            "second" => moved.add_fraction(amount, 9)?,
            _ => moved.add_fraction(amount, 6)?,
        }
        Some(moved)
    }

    fn add_months(&mut self, months: i64) -> Option<()> {
        let total =
            (i64::from(self.fields[0]) * 12 + i64::from(self.fields[1] - 1)).checked_add(months)?;
        self.fields[0] = i32::try_from(total.div_euclid(12)).ok()?;
        self.fields[1] = total.rem_euclid(12) as i32 + 1;
        self.fields[2] = self.fields[2].min(month_length(self.fields[0], self.fields[1]));
        Some(())
    }

    /// Seconds (`nano_digits` 9) or milliseconds (6), with their fraction down to nanoseconds.
    fn add_fraction(&mut self, amount: Decimal, nano_digits: u32) -> Option<()> {
        const SECOND: i128 = 1_000_000_000;
        let nanos = amount.checked_mul(Decimal::from(10i64.pow(nano_digits)))?.trunc().to_i128()?;
        if self.precision < Precision::Second {
            return self.add_seconds(i64::try_from(nanos / SECOND).ok()?);
        }
        let fraction = nanos.rem_euclid(SECOND);
        if fraction != 0 || nano_digits == 6 {
            let needed = (9 - nano_digits + amount.normalize().scale()).clamp(3, 9);
            self.fraction_digits = self.fraction_digits.max(needed as u8);
        }
        let total = i128::from(self.nanos) + fraction;
        self.nanos = (total % SECOND) as u32;
        self.add_seconds(i64::try_from(nanos.div_euclid(SECOND) + total / SECOND).ok()?)
    }

    fn add_seconds(&mut self, seconds: i64) -> Option<()> {
        let unit = match self.precision {
            Precision::Year => return self.add_months((seconds / (365 * DAY)).checked_mul(12)?),
            Precision::Month => return self.add_months(seconds / (30 * DAY)),
            Precision::Day => DAY,
            Precision::Hour => 3600,
            Precision::Minute => 60,
            Precision::Second => 1,
        };
        let whole = seconds / unit * unit;
        if self.kind == TemporalKind::Time {
            let [.., hour, minute, second] = self.fields.map(i64::from);
            let clock = hour * 3600 + minute * 60 + second;
            let day = (clock + whole % DAY).rem_euclid(DAY) as i32;
            self.fields[3..].copy_from_slice(&[day / 3600, day / 60 % 60, day % 60]);
            return Some(());
        }
        // More than all the years there are would overflow the fields.
        if whole.unsigned_abs() > 10_000 * 366 * DAY.unsigned_abs() {
            return None;
        }
        let total = self.minutes_since_epoch() * 60 + i64::from(self.fields[5]) + whole;
        self.fields[5] = total.rem_euclid(60) as i32;
        self.set_minutes_since_epoch(total.div_euclid(60));
        Some(())
    }

    /// The first instant it can mean (`low`), or the last, at full precision (FHIRPath `lowBoundary`,
    /// `highBoundary`): dateTimes without a zone range over all zones, +14:00 to -12:00 (SQL on FHIR).
    #[must_use]
    pub fn boundary(&self, low: bool) -> Self {
        let mut edge = self.filled(low);
        if self.kind == TemporalKind::DateTime && self.offset.is_none() {
            edge.offset = Some(if low { 14 * 60 } else { -12 * 60 });
        }
        edge
    }

    /// The first or last moment it can mean, written with so many digits: 4, 6 and 8 for dates, up to 17 for
    /// dateTimes, 2 to 9 for times. `None` for other numbers of digits. No zone is added.
    pub fn boundary_of_digits(&self, low: bool, digits: i64) -> Option<Self> {
        let digits = if self.kind == TemporalKind::Time { digits.checked_add(8)? } else { digits };
        let precision = match digits {
            4 => Precision::Year,
            6 => Precision::Month,
            8 => Precision::Day,
            10 => Precision::Hour,
            12 => Precision::Minute,
            14 | 17 => Precision::Second,
            _ => return None,
        };
        let fits = match self.kind {
            TemporalKind::Date => precision <= Precision::Day,
            TemporalKind::Time => precision >= Precision::Hour,
            TemporalKind::DateTime => true,
        };
        let mut edge = self.filled(low);
        let cut = precision as usize + 1;
        edge.fields[cut..].copy_from_slice(&LOWEST[cut..]);
        edge.precision = precision;
        edge.fraction_digits = if digits == 17 { 3 } else { 0 };
        edge.nanos = if digits == 17 { edge.nanos / 1_000_000 * 1_000_000 } else { 0 };
        edge.offset = self.offset.filter(|_| precision >= Precision::Hour);
        fits.then_some(edge)
    }

    /// Every part that was not written at its least or greatest value; the zone as it is.
    fn filled(&self, low: bool) -> Self {
        let mut edge = *self;
        let highest = [9999, 12, 31, 23, 59, 59];
        let unwritten = self.precision as usize + 1;
        let last = if self.kind == TemporalKind::Date { 3 } else { 6 };
        for (i, top) in highest.iter().enumerate().take(last).skip(unwritten) {
            edge.fields[i] = if low { LOWEST[i] } else { *top };
        }
        if !low && unwritten <= 2 {
            edge.fields[2] = month_length(edge.fields[0], edge.fields[1]);
        }
        if self.kind == TemporalKind::Date {
            edge.precision = Precision::Day;
            return edge;
        }
        if self.fraction_digits < 3 {
            let unit = 10u32.pow(9 - u32::from(self.fraction_digits));
            edge.nanos = if low { self.nanos } else { self.nanos + unit - 1_000_000 };
            edge.fraction_digits = 3;
        }
        edge.precision = Precision::Second;
        edge
    }

    /// How many digits it is written with, zone not counted (FHIRPath `precision()`).
    pub fn digits(&self) -> i64 {
        let written = [4, 6, 8, 10, 12, 14][self.precision as usize];
        let not_dated = if self.kind == TemporalKind::Time { 8 } else { 0 };
        written - not_dated + i64::from(self.fraction_digits)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(text: &str, amount: &str, unit: &str, expected: &str) {
        let amount: Decimal = amount.parse().unwrap();
        let at = Temporal::literal(text).unwrap();
        let moved = at.plus(amount, unit).map_or_else(str::to_owned, |t| t.to_string());
        assert_eq!(moved, expected, "{text} + {amount} {unit}");
    }

    #[test]
    fn moments_move() {
        for (text, amount, unit, expected) in [
            ("2020-01-31", "1", "month", "2020-02-29"),
            ("2026-01-31", "1", "month", "2026-02-28"),
            ("2020-02-29", "1", "year", "2021-02-28"),
            ("2019-03-01", "-24", "months", "2017-03-01"),
            ("1973-12-25", "7.9", "day", "1974-01-01"),
            ("1973-12-25", "1", "wk", "1974-01-01"),
            ("2020", "1", "day", "2020"),
            ("2014", "23", "month", "2015"),
            ("2014", "24", "month", "2016"),
            ("2016", "365", "day", "2017"),
            ("2014", "-1", "month", "2014"),
            ("2026-02", "5", "week", "2026-03"),
            ("2026-02", "4", "week", "2026-02"),
            ("2026-02", "-1", "day", "2026-02"),
            ("2020-01-31T23:59:59.999Z", "2", "ms", "2020-02-01T00:00:00.001Z"),
            ("2020-01-31T23:59:59.999Z", "-999", "millisecond", "2020-01-31T23:59:59.000Z"),
            ("2020-01-31T23:30:00Z", "45", "minute", "2020-02-01T00:15:00Z"),
            ("1973-12-25T00:00:00.000+10:00", "42.53", "second", "1973-12-25T00:00:42.530+10:00"),
            ("2020-01-01T10", "90", "minute", "2020-01-01T11"),
            ("2020-01-01T10:30", "59", "s", "2020-01-01T10:30"),
            ("T23:30:00", "1", "h", "00:30:00"),
            ("T00:30:00", "-1", "hour", "23:30:00"),
            ("T01:00:00", "48", "hour", "01:00:00"),
            ("9999", "1", "year", OUT_OF_RANGE),
            ("0001-01-01", "-1", "day", OUT_OF_RANGE),
            ("2020-01-01", "99999999999999", "day", OUT_OF_RANGE),
            ("2020-01-01T00:00:00Z", "-9223372036854775808", "second", OUT_OF_RANGE),
            ("T10:00:00", "-86400", "second", "10:00:00"),
            ("2020-01-01", "1", "hour", UNFIT),
            ("T10:00", "1", "day", UNFIT),
            (
                "2020-01-01",
                "1",
                "a",
                "`a` and `mo` have no place in a calendar; `year` and `month` have",
            ),
            ("2020-01-01", "1", "mg", "only an amount of time can be added to a date or time"),
        ] {
            check(text, amount, unit, expected);
        }
    }

    #[test]
    fn boundaries_of_digits() {
        for (text, digits, low, high) in [
            ("2014", 6, "2014-01", "2014-12"),
            ("2014", 8, "2014-01-01", "2014-12-31"),
            ("2012-02", 8, "2012-02-01", "2012-02-29"),
            ("2014-05-06", 4, "2014", "2014"),
            ("2014-01-01T08", 17, "2014-01-01T08:00:00.000", "2014-01-01T08:59:59.999"),
            (
                "2014-01-01T08:05+08:00",
                14,
                "2014-01-01T08:05:00+08:00",
                "2014-01-01T08:05:59+08:00",
            ),
            ("2014-01-01T08:05+08:00", 8, "2014-01-01", "2014-01-01"),
            (
                "2014-01-01T08:05:01.123456Z",
                17,
                "2014-01-01T08:05:01.123Z",
                "2014-01-01T08:05:01.123Z",
            ),
            ("T10:30", 9, "10:30:00.000", "10:30:59.999"),
            ("T10:30", 2, "10", "10"),
        ] {
            let edge =
                |low| Temporal::literal(text).unwrap().boundary_of_digits(low, digits).unwrap();
            assert_eq!(
                (edge(true).to_string(), edge(false).to_string()),
                (low.into(), high.into())
            );
        }
        for (text, digits) in [("2014", 9), ("2014", 10), ("T10", 12), ("T10", -4), ("2014T", 20)] {
            let at = Temporal::literal(text).unwrap();
            assert_eq!(at.boundary_of_digits(true, digits), None, "{text} {digits}");
        }
    }
}
