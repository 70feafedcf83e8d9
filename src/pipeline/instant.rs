//! Instants of FHIR as numbers, fast: every resource of an export has one.

use jiff::Timestamp;

/// Microseconds since 1970 of an instant (FHIR R4, "instant"), cut below; none of what is no instant.
pub(super) fn microseconds(text: &str) -> Option<i64> {
    usual(text.as_bytes()).or_else(|| Some(text.parse::<Timestamp>().ok()?.as_microsecond()))
}

/// The form that servers write: `2026-01-31T23:59:59.123456+01:00`.
fn usual(text: &[u8]) -> Option<i64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if punctuation.iter().any(|(at, sign)| date_time[*at] != *sign) {
        return None;
    }
    let at = |from: usize, to: usize| number(&date_time[from..to]);
    let (year, month, day) = (at(0, 4)?, at(5, 7)?, at(8, 10)?);
    let (hour, minute, second) = (at(11, 13)?, at(14, 16)?, at(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) && !is_day(year, month, day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset(zone)?) * 1_000_000 + fraction)
}

/// The microseconds behind a point, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let taken = &digits[..length.min(6)];
    let missing = u32::try_from(6 - taken.len()).ok()?;
    (length > 0).then_some((number(taken)? * 10_i64.pow(missing), rest))
}

/// Seconds east of Greenwich.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum: i64, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

fn is_day(year: i64, month: i64, day: i64) -> bool {
    let (Ok(year), Ok(month), Ok(day)) =
        (i16::try_from(year), i8::try_from(month), i8::try_from(day))
    else {
        return false;
    };
    jiff::civil::Date::new(year, month, day).is_ok()
}

/// Days since 1970 of a day of the Gregorian calendar: years begin with March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_the_library() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-23T02:00:00.123+01:00",
            "2024-02-29T23:59:59.999999-05:30",
            "2000-02-29T00:00:00.5Z",
            "1969-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
            "2026-11-23T02:00:00.123456789Z",
            "2023-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T02:00:00",
            "2026-11-23",
            "2026-11-23T02:00:00.Z",
            "",
            "soon, perhaps, or later?",
        ] {
            let slow = text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond);
            if let Some(fast) = usual(text.as_bytes()) {
                assert_eq!(Some(fast), slow.map(|t| t.min(fast.max(t - 1))), "{text}");
            }
            assert_eq!(microseconds(text).is_some(), slow.is_some(), "{text}");
        }
        for day in (-700_000..100_000).step_by(97) {
            let seconds = i64::from(day) * 86_400 + 12_345;
            let text = Timestamp::from_second(seconds).unwrap().to_string();
            assert_eq!(usual(text.as_bytes()), Some(seconds * 1_000_000), "{text}");
        }
    }
}
