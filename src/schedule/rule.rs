//! Which instants a cron expression means in its time zone, also where clocks are put forward or back.
//!
//! croner calls an expression whose second, minute and hour are one number each a fixed time: in the gap of a day whose
//! clocks are put forward it gives the first instant after the gap, in an hour that comes twice the first of the two.
//! All others are intervals to it: what falls into the gap is left out, and an hour that comes twice has its slots twice.
//! People who write `30 2,14 * * *` mean two fixed times, so lists and ranges of numbers become one expression for
//! each time of the day here, and only what has `*` or `/` in second, minute or hour is an interval.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::{TimeZone, db};

use crate::settings::Mistakes;
use crate::suggest::nearest;

/// More times of a day than these are an interval.
const MAX_TIMES: usize = 100;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    written: String,
    zone_name: String,
    /// What any of them gives is a slot.
    crons: Vec<Cron>,
    zone: TimeZone,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        (&self.written, &self.zone_name) == (&other.written, &other.zone_name)
    }
}

impl Rule {
    /// Reads an expression and the name of a time zone; mistakes are added at `cron` and `timezone`.
    pub(super) fn check(
        written: &str,
        zone: Option<&str>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let zone_name = zone.unwrap_or("UTC");
        let crons = read(written);
        if let Err(message) = &crons {
            let hint = "write minute, hour, day of month, month and day of week, as `30 2 * * 1-5`; \
                        a field before them is the second";
            mistakes.hinted("cron", message, hint);
        }
        let zone = time_zone(zone_name, mistakes)?;
        let rule = Self {
            written: written.to_owned(),
            zone_name: zone_name.to_owned(),
            crons: crons.ok()?,
            zone,
        };
        if rule.after(Timestamp::UNIX_EPOCH).is_none() {
            mistakes.add("cron", format!("`{written}` never comes"));
            return None;
        }
        Some(rule)
    }

    /// The first slot after an instant.
    pub(super) fn after(&self, instant: Timestamp) -> Option<Timestamp> {
        let from = instant.to_zoned(self.zone.clone());
        let next =
            self.crons.iter().filter_map(|cron| cron.find_next_occurrence(&from, false).ok());
        // A slot that is not later would be found for ever.
        next.map(|slot| slot.timestamp()).filter(|slot| *slot > instant).min()
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in {}", self.written, self.zone_name)
    }
}

fn read(written: &str) -> Result<Vec<Cron>, String> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    let fields: Vec<_> = written.split_whitespace().collect();
    if !matches!(fields.len(), 5 | 6) && !written.trim().starts_with('@') {
        return Err(format!(
            "`{written}` has {} fields, and cron expressions have 5 or 6",
            fields.len()
        ));
    }
    let parse = |text: &str| {
        parser.parse(text).map_err(|e| format!("`{written}` is no cron expression: {}", plain(&e)))
    };
    let whole = parse(written)?;
    match fixed_times(&fields) {
        Some(times) => times.iter().map(|time| parse(time)).collect(),
        None => Ok(vec![whole]),
    }
}

/// What croner says, as the end of a sentence of ours.
fn plain(error: &croner::errors::CronError) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

/// An expression for each time of the day, if there are several that are all given by numbers.
fn fixed_times(fields: &[&str]) -> Option<Vec<String>> {
    let (second, rest) = match fields {
        [second, rest @ ..] if rest.len() == 5 => (*second, rest),
        rest => ("0", rest),
    };
    let [minute, hour, days @ ..] = rest else { return None };
    let (seconds, minutes, hours) = (numbers(second)?, numbers(minute)?, numbers(hour)?);
    let count = seconds.len() * minutes.len() * hours.len();
    if !(2..=MAX_TIMES).contains(&count) {
        return None;
    }
    let days = days.join(" ");
    let mut times = Vec::with_capacity(count);
    for hour in &hours {
        for minute in &minutes {
            times.extend(seconds.iter().map(|second| format!("{second} {minute} {hour} {days}")));
        }
    }
    Some(times)
}

/// The numbers of a field of numbers and ranges; none for any other.
fn numbers(field: &str) -> Option<Vec<u8>> {
    let mut numbers = Vec::new();
    for part in field.split(',') {
        match part.split_once('-') {
            Some((first, last)) => numbers.extend(first.parse::<u8>().ok()?..=last.parse().ok()?),
            None => numbers.push(part.parse().ok()?),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

fn time_zone(name: &str, mistakes: &mut Mistakes) -> Option<TimeZone> {
    match TimeZone::get(name) {
        Ok(zone) => Some(zone),
        Err(_) => {
            let known: Vec<_> = db().available().map(|zone| zone.to_string()).collect();
            let hint = match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name a zone of the IANA database, such as `America/New_York`".to_owned(),
            };
            mistakes.hinted("timezone", format!("there is no time zone `{name}`"), hint);
            None
        }
    }
}
