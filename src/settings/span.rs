//! Spans of time as people write them: `30d`, `1h30m`, `250ms`, or seconds.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A span of time as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span(pub String);

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// How long that is; none if it is no span.
    pub fn duration(&self) -> Option<Duration> {
        let mut rest = self.0.trim();
        if let Ok(seconds) = rest.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let mut milliseconds = 0_u64;
        while !rest.is_empty() {
            let number = rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, after) = rest.split_at(number);
            let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(unit);
            let (_, worth) = UNITS.iter().find(|(name, _)| *name == unit)?;
            let part = digits.parse::<u64>().ok()?.checked_mul(*worth)?;
            milliseconds = milliseconds.checked_add(part)?;
            rest = after;
        }
        Some(Duration::from_millis(milliseconds)).filter(|_| !self.0.trim().is_empty())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time: \"30d\", \"5m\", \"250ms\", or seconds")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Ok(Span(text.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
                Ok(Span(seconds.to_string()))
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
                Ok(Span(seconds.to_string()))
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Span, E> {
                Ok(Span(seconds.to_string()))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, milliseconds) in [
            ("30d", Some(30 * 86_400_000)),
            ("5m", Some(300_000)),
            ("250ms", Some(250)),
            ("1h30m", Some(5_400_000)),
            ("90", Some(90_000)),
            ("0.5", Some(500)),
            (" 2s ", Some(2000)),
            ("0", Some(0)),
            ("-1", None),
            ("", None),
            ("soon", None),
            ("5 m", None),
            ("5weeks", None),
            ("m", None),
            ("NaN", None),
            ("inf", None),
            ("99999999999999999999d", None),
        ] {
            let expected = milliseconds.map(Duration::from_millis);
            assert_eq!(Span(text.to_owned()).duration(), expected, "{text}");
        }
    }
}
