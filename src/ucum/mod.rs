//! Units of quantities: which can be converted into which, exactly (UCUM's common atoms, FHIRPath's calendar words).
//!
//! Only quantities whose units differ as text come here. A unit that is not understood equals only itself.

mod measured;

use std::cmp::Ordering;
use std::fmt;

use rust_decimal::Decimal;

pub(crate) use measured::{Analyte, Conversion};

/// A quantity within an evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantityRef<'a> {
    /// The number.
    pub value: Decimal,
    /// A UCUM code, or a calendar word such as `day`.
    pub unit: &'a str,
}

impl fmt::Display for QuantityRef<'_> {
    /// As FHIRPath's `toString()`: `4 days`, `53 'km'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match calendar(self.unit) {
            Some(word) => {
                let plural = if self.value == Decimal::ONE { "" } else { "s" };
                write!(f, "{} {word}{plural}", self.value)
            }
            None => write!(f, "{} '{}'", self.value, self.unit),
        }
    }
}

/// Compares quantities of different units; `None` where the units cannot be converted into each other.
pub(crate) fn compare(a: QuantityRef<'_>, b: QuantityRef<'_>) -> Option<Ordering> {
    let (from, to) = pair(a.unit, b.unit, false)?;
    let left = Scaled::of(a.value, &[from.num, to.den], from.ten)?;
    let right = Scaled::of(b.value, &[to.num, from.den], to.ten)?;
    left.compare(&right)
}

/// The number of `q` in another unit, where that is the same amount without a doubt: a calendar year is no `'a'`.
pub(crate) fn converted(q: QuantityRef<'_>, unit: &str) -> Option<Decimal> {
    in_units(q.value, &pair(q.unit, unit, false)?)
}

/// As [`converted`], where the author asks for it (`toQuantity(unit)`) or `~` does: a year counts as an `'a'`.
pub(crate) fn converted_roughly(q: QuantityRef<'_>, unit: &str) -> Option<Decimal> {
    in_units(q.value, &pair(q.unit, unit, true)?)
}

/// Whether a unit is the larger one of two, as far as they can be converted.
pub(crate) fn is_larger(unit: &str, than: &str) -> Option<bool> {
    let one = QuantityRef { value: Decimal::ONE, unit };
    Some(converted_roughly(one, than)? >= Decimal::ONE)
}

/// Whether two quantities of these units can be compared.
pub(crate) fn comparable(a: &str, b: &str) -> bool {
    a == b || pair(a, b, false).is_some()
}

/// Years and months of the calendar have no fixed length: sums of them want the same unit on both sides.
pub(crate) fn is_uneven(unit: &str) -> bool {
    matches!(calendar(unit), Some("year" | "month"))
}

/// The unit of a product, or of a quotient (`sign` -1); `None` for calendar words and what is no unit.
pub(crate) fn product(a: &str, b: &str, sign: i32) -> Option<String> {
    if calendar(a).or(calendar(b)).is_some() {
        return None;
    }
    let mut all: Vec<(&str, i32)> = Vec::new();
    let right = terms(b)?.into_iter().map(|(atom, power)| (atom, power * sign));
    for (atom, power) in terms(a)?.into_iter().chain(right).filter(|(atom, _)| *atom != "1") {
        match all.iter_mut().find(|(known, _)| *known == atom) {
            Some((_, sum)) => *sum += power,
            None => all.push((atom, power)),
        }
    }
    let mut text = String::new();
    for above in [true, false] {
        for (atom, power) in all.iter().filter(|(_, p)| *p != 0 && (*p > 0) == above) {
            text.push_str(if !above {
                "/"
            } else if text.is_empty() {
                ""
            } else {
                "."
            });
            text.push_str(atom);
            if power.abs() > 1 || atom.ends_with(['*', '^']) {
                text.push_str(&power.abs().to_string());
            }
        }
    }
    Some(if text.is_empty() { "1".to_owned() } else { text })
}

/// Calendar words in the singular, and the UCUM unit of the same (or for years and months: about the same) length.
const CALENDAR: [(&str, &str); 8] = [
    ("year", "a"),
    ("month", "mo"),
    ("week", "wk"),
    ("day", "d"),
    ("hour", "h"),
    ("minute", "min"),
    ("second", "s"),
    ("millisecond", "ms"),
];

/// The calendar word in the singular, if the unit is one.
pub(crate) fn calendar(unit: &str) -> Option<&'static str> {
    let word = unit.strip_suffix('s').filter(|w| w.len() > 1).unwrap_or(unit);
    CALENDAR.iter().find(|(known, _)| *known == word).map(|(known, _)| *known)
}

/// The calendar word for a UCUM unit of time.
pub(crate) fn calendar_of(ucum: &str) -> Option<&'static str> {
    CALENDAR.iter().find(|(_, unit)| *unit == ucum).map(|(word, _)| *word)
}

fn ucum_of(word: &str) -> &'static str {
    CALENDAR.iter().find(|(known, _)| *known == word).map_or("1", |(_, unit)| *unit)
}

/// Both units on one scale, if they measure the same. Between the calendar and UCUM years and months are only `rough`.
fn pair(a: &str, b: &str, rough: bool) -> Option<(Unit, Unit)> {
    let uneven = |unit: &str| is_uneven(unit) || matches!(unit, "a" | "mo");
    let (from, to) = match (calendar(a), calendar(b)) {
        (None, None) => (Unit::of(a)?, Unit::of(b)?),
        (Some(x), Some(y)) => of_calendar(x, y)?,
        _ if !rough && (uneven(a) || uneven(b)) => return None,
        (Some(x), None) => match calendar_of(b) {
            Some(y) => of_calendar(x, y)?,
            None => (Unit::of(ucum_of(x))?, Unit::of(b)?),
        },
        (None, Some(y)) => (Unit::of(a)?, Unit::of(ucum_of(y))?),
    };
    (from.dimensions == to.dimensions).then_some((from, to))
}

/// FHIRPath's factors: 12 months or 365 days a year, 30 days a month.
fn of_calendar(a: &str, b: &str) -> Option<(Unit, Unit)> {
    let months = is_uneven(a) && is_uneven(b);
    let unit = |word| match (word, months) {
        ("year", true) => Some(Unit::plain(12)),
        ("month", true) => Some(Unit::plain(1)),
        ("year", false) => Unit::of("365.d"),
        ("month", false) => Unit::of("30.d"),
        _ => Unit::of(ucum_of(word)),
    };
    Some((unit(a)?, unit(b)?))
}

fn in_units(value: Decimal, (from, to): &(Unit, Unit)) -> Option<Decimal> {
    let above = Scaled::of(value, &[from.num, to.den], from.ten - to.ten)?.decimal()?;
    let below = Decimal::try_from_i128_with_scale(from.den.checked_mul(to.num)?, 0).ok()?;
    above.checked_div(below).map(|d| d.normalize())
}

/// A whole number times a power of ten: no digit is rounded off.
struct Scaled {
    mantissa: i128,
    ten: i32,
}

impl Scaled {
    fn of(value: Decimal, factors: &[i128], ten: i32) -> Option<Self> {
        let value = value.normalize();
        let mantissa = factors.iter().try_fold(value.mantissa(), |m, f| m.checked_mul(*f))?;
        Some(Self { mantissa, ten: ten - value.scale() as i32 })
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        let least = self.ten.min(other.ten);
        let raise = |n: &Self| n.mantissa.checked_mul(ten_to(n.ten - least)?);
        Some(raise(self)?.cmp(&raise(other)?))
    }

    fn decimal(&self) -> Option<Decimal> {
        let raised = self.mantissa.checked_mul(ten_to(self.ten.max(0))?)?;
        Decimal::try_from_i128_with_scale(raised, u32::try_from(-self.ten.min(0)).ok()?).ok()
    }
}

fn ten_to(power: i32) -> Option<i128> {
    10i128.checked_pow(u32::try_from(power).ok()?)
}

/// A unit in base units: `num / den * 10^ten`, and the powers of [`BASE`].
#[derive(Clone, Copy)]
struct Unit {
    num: i128,
    den: i128,
    ten: i32,
    dimensions: [i32; BASE.len()],
}

/// UCUM counts amounts of substance as plain numbers; here they are a dimension, so that `mol` is no `1`.
const BASE: [&str; 8] = ["m", "g", "s", "mol", "[iU]", "A", "K", "cd"];

/// An atom: whether it takes prefixes, and what it is: a number, a power of ten, and a unit.
type Atom = (&'static str, bool, i128, i32, &'static str);

const ATOMS: [Atom; 38] = [
    ("L", true, 1, -3, "m3"),
    ("l", true, 1, -3, "m3"),
    ("t", true, 1, 6, "g"),
    ("eq", true, 1, 0, "mol"),
    ("osm", true, 1, 0, "mol"),
    ("kat", true, 1, 0, "mol/s"),
    ("U", true, 1, -6, "mol/min"),
    ("[IU]", true, 1, 0, "[iU]"),
    ("Hz", true, 1, 0, "/s"),
    ("N", true, 1, 3, "g.m/s2"),
    ("Pa", true, 1, 3, "g/m/s2"),
    ("J", true, 1, 3, "g.m2/s2"),
    ("W", true, 1, 3, "g.m2/s3"),
    ("C", true, 1, 0, "A.s"),
    ("V", true, 1, 3, "g.m2/s3/A"),
    ("bar", true, 1, 5, "Pa"),
    ("m[Hg]", true, 133_322, 0, "Pa"),
    ("m[H2O]", true, 980_665, -2, "Pa"),
    ("cal", true, 4184, -3, "J"),
    ("min", false, 60, 0, "s"),
    ("h", false, 3600, 0, "s"),
    ("d", false, 86_400, 0, "s"),
    ("wk", false, 604_800, 0, "s"),
    ("mo", false, 2_629_800, 0, "s"),
    ("a", false, 31_557_600, 0, "s"),
    ("%", false, 1, -2, "1"),
    ("[ppth]", false, 1, -3, "1"),
    ("[ppm]", false, 1, -6, "1"),
    ("[ppb]", false, 1, -9, "1"),
    ("10*", false, 1, 1, "1"),
    ("10^", false, 1, 1, "1"),
    ("[in_i]", false, 254, -4, "m"),
    ("[ft_i]", false, 3048, -4, "m"),
    ("[yd_i]", false, 9144, -4, "m"),
    ("[mi_i]", false, 1_609_344, -3, "m"),
    ("[lb_av]", false, 45_359_237, -5, "g"),
    ("[oz_av]", false, 28_349_523_125, -9, "g"),
    ("[foz_us]", false, 295_735_295_625, -16, "m3"),
];

const PREFIXES: [(&str, i32); 20] = [
    ("da", 1),
    ("Y", 24),
    ("Z", 21),
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
];

impl Unit {
    fn plain(num: i128) -> Self {
        Self { num, den: 1, ten: 0, dimensions: [0; BASE.len()] }
    }

    fn of(text: &str) -> Option<Self> {
        let mut whole = Self::plain(1);
        for (atom, power) in terms(text)? {
            let unit = Self::atom(atom)?;
            let times = |a: i128, b: i128| a.checked_mul(b.checked_pow(power.unsigned_abs())?);
            let (num, den) = if power < 0 { (unit.den, unit.num) } else { (unit.num, unit.den) };
            whole.num = times(whole.num, num)?;
            whole.den = times(whole.den, den)?;
            whole.ten = unit.ten.checked_mul(power)?.checked_add(whole.ten)?;
            for (sum, dimension) in whole.dimensions.iter_mut().zip(unit.dimensions) {
                *sum = dimension.checked_mul(power)?.checked_add(*sum)?;
            }
        }
        Some(whole)
    }

    fn atom(code: &str) -> Option<Self> {
        if code.bytes().all(|b| b.is_ascii_digit()) {
            return code.parse().ok().filter(|n| *n > 0).map(Self::plain);
        }
        Self::listed(code, false).or_else(|| {
            PREFIXES.iter().find_map(|(prefix, ten)| {
                let unit = Self::listed(code.strip_prefix(prefix)?, true)?;
                Some(Self { ten: unit.ten + ten, ..unit })
            })
        })
    }

    fn listed(code: &str, metric: bool) -> Option<Self> {
        if let Some(base) = BASE.iter().position(|b| *b == code) {
            let mut unit = Self::plain(1);
            unit.dimensions[base] = 1;
            return Some(unit);
        }
        let (.., factor, ten, of) = ATOMS.iter().find(|a| a.0 == code && (a.1 || !metric))?;
        let unit = Self::of(of)?;
        Some(Self { num: unit.num.checked_mul(*factor)?, ten: unit.ten + ten, ..unit })
    }
}

/// The atoms of a unit and their powers: `mg/dL` is `mg` and `dL` to the -1. Annotations (`{cells}`) say nothing;
/// brackets around several atoms are not understood.
fn terms(text: &str) -> Option<Vec<(&str, i32)>> {
    let mut found = Vec::new();
    let (mut start, mut sign, mut inside) = (0, 1, false);
    for (at, c) in text.char_indices().chain([(text.len(), '.')]) {
        match c {
            '(' | ')' => return None,
            '[' | '{' => inside = true,
            ']' | '}' => inside = false,
            '.' | '/' if !inside => {
                let term = text[start..at].split('{').next().unwrap_or_default();
                if !term.is_empty() {
                    found.push(powered(term, sign)?);
                }
                (start, sign) = (at + 1, if c == '/' { -1 } else { 1 });
            }
            _ => {}
        }
    }
    (!inside && !text.is_empty()).then_some(found)
}

/// `m2` is `m` to the 2, `10*-3` is `10*` to the -3; a plain number has no power.
fn powered(term: &str, sign: i32) -> Option<(&str, i32)> {
    let name = term.trim_end_matches(|c: char| c.is_ascii_digit());
    if name.is_empty() || name == term {
        return Some((term, sign));
    }
    let name = name.strip_suffix(['-', '+']).unwrap_or(name);
    let power: i32 = term[name.len()..].parse().ok()?;
    // Real units need no more, and sums of greater powers could overflow.
    (!name.is_empty() && power.unsigned_abs() < 100).then_some((name, power * sign))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn conversions() {
        for (value, from, to, expected) in [
            ("1", "g", "mg", Some("1000")),
            ("1", "g/L", "mg/dL", Some("100")),
            ("52", "cm", "m", Some("0.52")),
            ("1", "wk", "d", Some("7")),
            ("1", "a", "d", Some("365.25")),
            ("120", "mm[Hg]", "kPa", Some("15.998640")),
            ("4.5", "10*3/uL", "10*9/L", Some("4.5")),
            ("4500", "{cells}/uL", "10*9/L", Some("4.5")),
            ("1", "meq/L", "mmol/L", Some("1")),
            ("1", "kat", "U", Some("60000000")),
            ("1", "[lb_av]", "kg", Some("0.45359237")),
            ("5", "%", "1", Some("0.05")),
            ("1", "km/h", "m/s", Some("0.2777777777777777777777777778")),
            ("1", "24.h", "d", Some("1")),
            ("1", "mg", "cm", None),
            ("1", "cm2", "cm", None),
            ("23", "Cel", "[degF]", None),
            ("1", "mL/(min)", "mL/min", None),
            ("1", "", "1", None),
            ("1", "10*-2147483648", "1", None),
            ("1", "m99.m99", "m99", None),
        ] {
            let q = QuantityRef { value: value.parse().unwrap(), unit: from };
            let expected: Option<Decimal> = expected.map(|e| e.parse().unwrap());
            assert_eq!(converted(q, to), expected, "{value} {from} in {to}");
        }
    }

    #[test]
    fn units_of_products() {
        for (a, b, sign, expected) in [
            ("cm", "cm", 1, Some("cm2")),
            ("cm", "cm2", 1, Some("cm3")),
            ("m/s", "s", 1, Some("m")),
            ("cm2", "cm", -1, Some("cm")),
            ("m", "s", -1, Some("m/s")),
            ("1", "s", -1, Some("/s")),
            ("cm", "cm", -1, Some("1")),
            ("day", "m", 1, None),
        ] {
            assert_eq!(product(a, b, sign).as_deref(), expected, "{a} {b} {sign}");
        }
    }
}
