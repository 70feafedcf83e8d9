//! Decimals in PostgreSQL's binary format: digits of base 10,000.

const NEGATIVE: u16 = 0x4000;

/// Writes a decimal with so many digits after its point.
pub(super) fn put_numeric(value: i128, scale: usize, to: &mut Vec<u8>) {
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let aligned = format!(
        "{}{whole}{fraction}{}",
        "0".repeat((4 - whole.len() % 4) % 4),
        "0".repeat((4 - scale % 4) % 4)
    );
    let group = |digits: &[u8]| digits.iter().fold(0, |n, d| n * 10 + i16::from(*d - b'0'));
    let groups: Vec<i16> = aligned.as_bytes().chunks(4).map(group).collect();
    let zeros = groups.iter().take_while(|g| **g == 0).count();
    let end = groups.iter().rposition(|g| *g != 0).map_or(zeros, |last| last + 1);
    let weight = (whole.len().div_ceil(4) as i16) - 1 - (zeros as i16);
    let groups = &groups[zeros..end.max(zeros)];
    let sign = if value < 0 { NEGATIVE } else { 0 };
    to.extend_from_slice(&(groups.len() as i16).to_be_bytes());
    to.extend_from_slice(&(if groups.is_empty() { 0 } else { weight }).to_be_bytes());
    to.extend_from_slice(&sign.to_be_bytes());
    to.extend_from_slice(&(scale as u16).to_be_bytes());
    for group in groups {
        to.extend_from_slice(&group.to_be_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_base_ten_thousand() {
        // Number of digits, weight, sign, scale, digits.
        for (value, scale, expected) in [
            (0_i128, 2, &[0, 0, 0, 2][..]),
            (150, 2, &[2, 0, 0, 2, 1, 5000]),
            (-1, 4, &[1, -1, 0x4000, 4, 1]),
            (10_000, 0, &[1, 1, 0, 0, 1]),
            (123_456_789, 3, &[3, 1, 0, 3, 12, 3456, 7890]),
            (1, 9, &[1, -3, 0, 9, 1000]),
        ] {
            let mut bytes = Vec::new();
            put_numeric(value, scale, &mut bytes);
            let found: Vec<_> =
                bytes.chunks(2).map(|c| i16::from_be_bytes(c.try_into().unwrap())).collect();
            assert_eq!(found, expected, "{value} with {scale} digits after its point");
        }
    }
}
