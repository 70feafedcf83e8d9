//! As much of DER as an RSA key in PKCS#8 needs.

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The numbers of an RSA key in PKCS#8 (RFC 5208, RFC 8017 A.1.2) in their order: n, e, d, p, q, dp, dq, qi. `None` if
/// it is something else.
pub(super) fn rsa_numbers(pkcs8: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut document, _) = element(pkcs8, SEQUENCE)?;
    document = element(document, INTEGER)?.1; // version
    document = element(document, SEQUENCE)?.1; // algorithm
    let (key, _) = element(document, OCTET_STRING)?;
    let (mut numbers, _) = element(key, SEQUENCE)?;
    numbers = element(numbers, INTEGER)?.1; // version
    let mut found = Vec::new();
    while found.len() < 8 {
        let (number, rest) = element(numbers, INTEGER)?;
        // A zero before the first byte says that the number is not negative.
        found.push(number.strip_prefix(&[0]).unwrap_or(number));
        numbers = rest;
    }
    Some(found)
}

/// The content of the first element, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = length(rest)?;
    if *found == tag { rest.split_at_checked(length) } else { None }
}

/// A length, and what follows it: one byte, or the number of bytes that it takes.
fn length(der: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = der.split_first()?;
    let bytes = match first {
        ..=0x7f => return Some((usize::from(*first), rest)),
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return None,
    };
    let (length, rest) = rest.split_at_checked(bytes)?;
    Some((length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_rsa_key_gives_nothing() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0x05, 0x02],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x02, 0x01, 0x00],
            &[0x30, 0x03, 0x02, 0x01, 0x00],
        ] {
            assert_eq!(rsa_numbers(der), None, "{der:x?}");
        }
    }
}
