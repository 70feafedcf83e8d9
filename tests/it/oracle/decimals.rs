//! Decimals of any length, by school arithmetic on their digits.

/// A number: its digits without zeros at either end, times a power of ten. Equal numbers are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// The number in a valid JSON number.
    pub(super) fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let mut exponent: i64 = exponent.parse().unwrap();
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        exponent -= fraction.len() as i64;
        let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
        let significant = digits.trim_end_matches('0');
        exponent += (digits.len() - significant.len()) as i64;
        let digits = significant.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        Self { negative: whole.starts_with('-'), digits, exponent }
    }

    /// The whole number that it is, if it fits.
    pub(super) fn whole(&self) -> Option<i32> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = "0".repeat(usize::try_from(self.exponent).ok().filter(|e| *e < 20)?);
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}{zeros}", self.digits).parse().ok()
    }
}

#[test]
fn equal_numbers_are_equal_however_written() {
    for (a, b, same) in [
        ("1.50", "1.5", true),
        ("1E2", "100.0", true),
        ("-0", "0.00", true),
        ("0.1", "1", false),
        ("-1", "1", false),
        ("12345678901234567890123456789012", "12345678901234567890123456789013", false),
    ] {
        assert_eq!(Decimal::of(a) == Decimal::of(b), same, "{a} {b}");
    }
    assert_eq!(Decimal::of("-1.2E3").whole(), Some(-1200));
    assert_eq!(Decimal::of("1.5").whole(), None);
    assert_eq!(Decimal::of("2147483648").whole(), None);
}
