//! Dates and times of every precision, as FHIR writes and FHIRPath compares them.

mod arithmetic;

use std::cmp::Ordering;
use std::fmt;

/// How much of a [`Temporal`] was written. Seconds and fractions are one precision (FHIRPath N1, "Comparison").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// `2020`
    Year,
    /// `2020-05`
    Month,
    /// `2020-05-17`
    Day,
    /// `T10` (FHIRPath only)
    Hour,
    /// `T10:30` (FHIRPath only)
    Minute,
    /// `T10:30:00`, with or without a fraction
    Second,
}

/// Which of FHIRPath's three types it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemporalKind {
    /// `2020-05-17`
    Date,
    /// `2020-05-17T10:30:00Z`; may be as short as a year
    DateTime,
    /// `10:30:00`
    Time,
}

/// A date, dateTime or time with the precision it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Temporal {
    /// Date, DateTime or Time.
    pub kind: TemporalKind,
    /// The smallest unit that was written.
    pub precision: Precision,
    /// Year, month, day, hour, minute, second; what was not written is its lowest value.
    pub fields: [i32; 6],
    /// Nanoseconds of the second.
    pub nanos: u32,
    /// Digits of the written fraction.
    pub fraction_digits: u8,
    /// Minutes east of UTC, if a zone was written.
    pub offset: Option<i16>,
}

const LOWEST: [i32; 6] = [1, 1, 1, 0, 0, 0];

impl Temporal {
    /// What stands behind `@` in an expression. `@2020-05-17` is a date, `@2020T` a dateTime, `@T10:30` a time.
    pub fn literal(text: &str) -> Option<Self> {
        if let Some(time) = text.strip_prefix('T') {
            return Self::time(time);
        }
        if text.contains('T') {
            Self::date_time(text.strip_suffix('T').unwrap_or(text))
        } else {
            Self::date(text)
        }
    }

    /// A FHIR `date`: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub fn date(text: &str) -> Option<Self> {
        let (fields, precision) = calendar(text.as_bytes())?;
        Some(Self {
            kind: TemporalKind::Date,
            precision,
            fields,
            nanos: 0,
            fraction_digits: 0,
            offset: None,
        })
    }

    /// A FHIR `dateTime` or `instant`.
    pub fn date_time(text: &str) -> Option<Self> {
        let Some((date, rest)) = text.split_once('T') else {
            return Some(Self { kind: TemporalKind::DateTime, ..Self::date(text)? });
        };
        let (mut fields, precision) = calendar(date.as_bytes())?;
        if precision != Precision::Day {
            return None;
        }
        let zone = rest.find(['Z', '+', '-']);
        let (time, zone) = rest.split_at(zone.unwrap_or(rest.len()));
        let clock = clock(time)?;
        fields[3..].copy_from_slice(&clock.fields);
        Some(Self {
            kind: TemporalKind::DateTime,
            precision: clock.precision,
            fields,
            nanos: clock.nanos,
            fraction_digits: clock.digits,
            offset: if zone.is_empty() { None } else { Some(offset(zone)?) },
        })
    }

    /// A FHIR `time`: `hh:mm:ss` with an optional fraction; `hh` and `hh:mm` as FHIRPath allows.
    pub fn time(text: &str) -> Option<Self> {
        let clock = clock(text)?;
        let mut fields = LOWEST;
        fields[3..].copy_from_slice(&clock.fields);
        Some(Self {
            kind: TemporalKind::Time,
            precision: clock.precision,
            fields,
            nanos: clock.nanos,
            fraction_digits: clock.digits,
            offset: None,
        })
    }

    /// The date in it, as precise as it was written.
    #[must_use]
    pub fn date_part(&self) -> Self {
        let [year, month, day, ..] = self.fields;
        Self {
            kind: TemporalKind::Date,
            precision: self.precision.min(Precision::Day),
            fields: [year, month, day, 0, 0, 0],
            nanos: 0,
            fraction_digits: 0,
            offset: None,
        }
    }

    /// The time of day in it, if one was written; the zone is not part of it.
    pub fn time_part(&self) -> Option<Self> {
        let [.., hour, minute, second] = self.fields;
        let [year, month, day, ..] = LOWEST;
        let fields = [year, month, day, hour, minute, second];
        let time = Self { kind: TemporalKind::Time, fields, offset: None, ..*self };
        (self.precision >= Precision::Hour).then_some(time)
    }

    /// Compares by FHIRPath's rules: `None` (empty) where the precisions differ before a difference shows, or where
    /// only one side has a zone (N1, "Comparison" and "Equality").
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if (self.kind == TemporalKind::Time) != (other.kind == TemporalKind::Time) {
            return None;
        }
        let timed = |t: &Self| t.kind != TemporalKind::Time && t.precision >= Precision::Hour;
        if timed(self) && timed(other) && self.offset.is_some() != other.offset.is_some() {
            return None;
        }
        let (a, b) = if self.offset == other.offset || !timed(self) || !timed(other) {
            (*self, *other)
        } else {
            (self.utc(), other.utc())
        };
        let shared = a.precision.min(b.precision) as usize;
        let order = a.fields[..=shared].cmp(&b.fields[..=shared]);
        match order {
            Ordering::Equal if a.precision != b.precision => None,
            Ordering::Equal => Some(a.nanos.cmp(&b.nanos)),
            _ => Some(order),
        }
    }

    /// The same instant in UTC; unchanged without a zone.
    fn utc(&self) -> Self {
        let Some(offset) = self.offset.filter(|o| *o != 0) else { return *self };
        let minutes = self.minutes_since_epoch() - i64::from(offset);
        let mut moved = *self;
        moved.set_minutes_since_epoch(minutes);
        moved.offset = Some(0);
        moved
    }

    fn minutes_since_epoch(&self) -> i64 {
        let [.., hour, minute, _] = self.fields;
        i64::from(self.days_since_epoch()) * 1440 + i64::from(hour) * 60 + i64::from(minute)
    }

    fn set_minutes_since_epoch(&mut self, minutes: i64) {
        let (year, month, day) = civil(minutes.div_euclid(1440));
        let rest = minutes.rem_euclid(1440) as i32;
        self.fields = [year, month, day, rest / 60, rest % 60, self.fields[5]];
    }

    /// Days from 1970-01-01 to its date, whatever its zone.
    pub fn days_since_epoch(&self) -> i32 {
        let [year, month, day, ..] = self.fields;
        days(year, month, day)
    }

    /// Microseconds since 1970-01-01T00:00 of the wall time as written, and whether a fraction below that was cut.
    /// `None` unless the time is written to the second.
    pub fn wall_micros(&self) -> Option<i64> {
        if self.precision != Precision::Second {
            return None;
        }
        let seconds = self.minutes_since_epoch() * 60 + i64::from(self.fields[5]);
        Some(seconds * 1_000_000 + i64::from(self.nanos / 1000))
    }

    /// Microseconds since the epoch in UTC. `None` without a zone or below the precision of a second.
    pub fn instant_micros(&self) -> Option<i64> {
        Some(self.wall_micros()? - i64::from(self.offset?) * 60_000_000)
    }
}

impl fmt::Display for Temporal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second] = self.fields;
        if self.kind != TemporalKind::Time {
            write!(f, "{year:04}")?;
            if self.precision >= Precision::Month {
                write!(f, "-{month:02}")?;
            }
            if self.precision >= Precision::Day {
                write!(f, "-{day:02}")?;
            }
            if self.precision >= Precision::Hour {
                f.write_str("T")?;
            }
        }
        if self.precision >= Precision::Hour {
            write!(f, "{hour:02}")?;
        }
        if self.precision >= Precision::Minute {
            write!(f, ":{minute:02}")?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{second:02}")?;
        }
        if self.fraction_digits > 0 {
            let digits = usize::from(self.fraction_digits.min(9));
            write!(f, ".{}", &format!("{:09}", self.nanos)[..digits])?;
        }
        match self.offset {
            Some(0) => f.write_str("Z"),
            Some(o) => write!(
                f,
                "{}{:02}:{:02}",
                if o < 0 { '-' } else { '+' },
                o.abs() / 60,
                o.abs() % 60
            ),
            None => Ok(()),
        }
    }
}

/// Two or four digits at the head of `text`.
fn digits(text: &[u8], count: usize) -> Option<i32> {
    let head = text.get(..count)?;
    head.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i32::from(b - b'0')))
}

fn calendar(text: &[u8]) -> Option<([i32; 6], Precision)> {
    let mut fields = LOWEST;
    fields[0] = digits(text, 4)?;
    let precision = match text.len() {
        4 => Precision::Year,
        7 => Precision::Month,
        10 => Precision::Day,
        _ => return None,
    };
    if precision >= Precision::Month {
        fields[1] = text[4..].strip_prefix(b"-").and_then(|t| digits(t, 2))?;
    }
    if precision >= Precision::Day {
        fields[2] = text[7..].strip_prefix(b"-").and_then(|t| digits(t, 2))?;
    }
    let real = fields[0] > 0
        && (1..=12).contains(&fields[1])
        && (1..=month_length(fields[0], fields[1])).contains(&fields[2]);
    real.then_some((fields, precision))
}

struct Clock {
    fields: [i32; 3],
    precision: Precision,
    nanos: u32,
    digits: u8,
}

fn clock(text: &str) -> Option<Clock> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let bytes = whole.as_bytes();
    let mut fields = [0; 3];
    let precision = match bytes.len() {
        2 => Precision::Hour,
        5 => Precision::Minute,
        8 => Precision::Second,
        _ => return None,
    };
    for (i, field) in fields.iter_mut().enumerate().take(bytes.len().div_ceil(3)) {
        if i > 0 && bytes[i * 3 - 1] != b':' {
            return None;
        }
        *field = digits(&bytes[i * 3..], 2)?;
    }
    // 60 is a leap second.
    if fields[0] > 23 || fields[1] > 59 || fields[2] > 60 {
        return None;
    }
    let (nanos, digits) = match fraction {
        None => (0, 0),
        Some(_) if precision != Precision::Second => return None,
        Some(text) => fraction_nanos(text)?,
    };
    Some(Clock { fields, precision, nanos, digits })
}

/// Nanoseconds of a written fraction and its number of digits; digits beyond the ninth are dropped.
fn fraction_nanos(text: &str) -> Option<(u32, u8)> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = &text[..text.len().min(9)];
    let value: u32 = kept.parse().ok()?;
    Some((value * 10u32.pow(9 - kept.len() as u32), kept.len() as u8))
}

fn offset(zone: &str) -> Option<i16> {
    if zone == "Z" {
        return Some(0);
    }
    let bytes = zone.as_bytes();
    let (hours, minutes) = (digits(&bytes[1..], 2)?, digits(bytes.get(4..)?, 2)?);
    if bytes[0] == b'Z' || bytes.len() != 6 || bytes[3] != b':' || hours > 14 || minutes > 59 {
        return None;
    }
    let total = (hours * 60 + minutes) as i16;
    Some(if bytes[0] == b'-' { -total } else { total })
}

fn month_length(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, counting in 400-year eras from March.
fn days(year: i32, month: i32, day: i32) -> i32 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days`]: year, month and day of a day since 1970-01-01.
pub(crate) fn civil(days: i64) -> (i32, i32, i32) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as i32, day as i32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        for text in [
            "2020",
            "2020-05",
            "2020-02-29",
            "2020-05-17T10:30:00Z",
            "2020-05-17T10:30:00.120+05:30",
            "2020-05-17T10:30:00-11:00",
            "2020-05-17T10:30",
        ] {
            assert_eq!(Temporal::date_time(text).unwrap().to_string(), text);
        }
        for text in [
            "2021-02-29",
            "2020-13",
            "20",
            "2020-5-1",
            "2020-05-17T25:00:00Z",
            "2020-05T10:00",
            "2020-05-17T10:30:00Z01:00",
            "0000",
            "",
        ] {
            assert!(Temporal::date_time(text).is_none(), "{text}");
        }
    }

    #[test]
    fn days_and_back() {
        for (text, n) in [
            ("1970-01-01", 0),
            ("2000-03-01", 11_017),
            ("1969-12-31", -1),
            ("1600-02-29", -135_081),
        ] {
            assert_eq!(Temporal::date(text).unwrap().days_since_epoch(), n, "{text}");
        }
        for n in (-800_000..800_000).step_by(97) {
            let (y, m, d) = civil(n);
            assert_eq!(i64::from(days(y, m, d)), n);
        }
    }

    #[test]
    fn comparison_is_empty_where_precision_or_zone_decides() {
        let check = |a: &str, b: &str, expected: Option<Ordering>| {
            let (x, y) = (Temporal::date_time(a).unwrap(), Temporal::date_time(b).unwrap());
            assert_eq!(x.compare(&y), expected, "{a} {b}");
        };
        check("2020", "2020-01-01", None);
        check("2020", "2021-01-01", Some(Ordering::Less));
        check("2020-01-01T10:00:00+02:00", "2020-01-01T08:00:00Z", Some(Ordering::Equal));
        check("2020-01-01T00:30:00+02:00", "2020-01-01T00:00:00Z", Some(Ordering::Less));
        check("2020-01-01T10:00:00", "2020-01-01T10:00:00Z", None);
        check("2020-01-01T10:00:00.0Z", "2020-01-01T10:00:00Z", Some(Ordering::Equal));
        check("2020-01-01T10:00:00.5Z", "2020-01-01T10:00:00Z", Some(Ordering::Greater));
    }

    #[test]
    fn instants_and_boundaries() {
        let t = |s| Temporal::date_time(s).unwrap();
        assert_eq!(t("1970-01-01T01:00:00.000001+01:00").instant_micros(), Some(1));
        assert_eq!(t("1970-01-01T00:00:00").instant_micros(), None);
        assert_eq!(t("2010-10-10").boundary(true).to_string(), "2010-10-10T00:00:00.000+14:00");
        assert_eq!(t("2010-10-10").boundary(false).to_string(), "2010-10-10T23:59:59.999-12:00");
        assert_eq!(Temporal::date("1970-06").unwrap().boundary(false).to_string(), "1970-06-30");
        assert_eq!(Temporal::time("12:34:00").unwrap().boundary(false).to_string(), "12:34:00.999");
    }
}
