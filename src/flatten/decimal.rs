//! Decimals of a fixed scale, from their text: exact or not at all.

/// The digits of a decimal at a fixed scale: exact, or `None` if digits would be lost or it is too large.
pub(super) fn fixed_point(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let mut value: i128 = 0;
    let mut places: i32 = 0;
    let mut after_point = false;
    for b in digits.bytes() {
        match b {
            b'.' if !after_point => after_point = true,
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i128::from(b - b'0'))?;
                places += i32::from(after_point);
            }
            _ => return None,
        }
    }
    if digits.is_empty() || digits == "." {
        return None;
    }
    let shift = i32::from(scale).checked_sub(places)?.checked_add(exponent)?;
    let value = shifted(value, shift)?;
    let fits = value.checked_abs()? < 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    fits.then_some(if negative { -value } else { value })
}

/// Times a power of ten; `None` if digits other than zero would fall off.
fn shifted(value: i128, places: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let factor = 10i128.checked_pow(places.unsigned_abs())?;
    if places >= 0 {
        value.checked_mul(factor)
    } else {
        (value % factor == 0).then(|| value / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_nothing() {
        for (text, expected) in [
            ("1.50", Some(1500)),
            ("-0.001", Some(-1)),
            ("0.0006", None),
            ("1.0E-3", Some(1)),
            ("12e2", Some(1_200_000)),
            ("1.5000000000000000000", Some(1500)),
            ("9999999.999", Some(9_999_999_999)),
            ("10000000", None),
            ("0e99", Some(0)),
            ("1e400", None),
            ("", None),
            ("1.2.3", None),
        ] {
            assert_eq!(fixed_point(text, 10, 3), expected, "{text}");
        }
    }
}
