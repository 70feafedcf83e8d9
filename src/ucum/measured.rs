//! Conversions of measured values: also temperatures, and between mass and amount of substance where the analyte is known.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Unit, in_units, pair};

/// How values of one unit become values of another.
#[derive(Clone, Copy)]
pub(crate) struct Conversion {
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Same,
    Linear(Unit, Unit),
    /// `(value + before) * times / by - after`
    Shifted {
        before: Decimal,
        times: Decimal,
        by: Decimal,
        after: Decimal,
    },
}

/// What was measured, as far as conversions need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Analyte {
    /// Grams a mole.
    Mass(Decimal),
    /// Glycated haemoglobin: a share (NGSP, %) or mmol/mol (IFCC).
    GlycatedHaemoglobin,
}

/// LOINC codes of common laboratory values, by molar mass in g/mol with its decimals. Triglycerides count as triolein,
/// urea nitrogen as two nitrogen atoms a molecule of urea, phosphate as phosphorus, haemoglobin as its monomer.
const MOLAR_MASSES: [(i64, u32, &[&str]); 12] = [
    (
        180_156,
        3,
        &[
            "2345-7", "2339-0", "1558-6", "2340-8", "41653-7", "2350-7", "14749-6", "15074-8",
            "14743-9", "14771-0",
        ],
    ),
    (
        38_665,
        2,
        &[
            "2093-3", "2085-9", "2089-1", "13457-7", "18262-6", "13458-5", "43396-1", "14647-2",
            "14646-4", "22748-8", "39469-2", "70204-3",
        ],
    ),
    (8_857, 1, &["2571-8", "3043-7", "14927-8"]),
    (11_312, 2, &["2160-0", "38483-4", "2161-8", "14682-9", "14683-7"]),
    (58_466, 2, &["1975-2", "1968-7", "1971-1", "14631-6", "14629-0"]),
    (40_078, 3, &["17861-6", "49765-1", "2000-8"]),
    (28_014, 3, &["3094-0", "6299-2", "14937-7"]),
    (60_056, 3, &["3091-6", "22664-7"]),
    (16_811, 2, &["3084-1", "14933-6"]),
    (30_974, 3, &["2777-1", "14879-1"]),
    (24_305, 3, &["19123-9", "2601-3"]),
    (16_114, 0, &["718-7", "59260-0"]),
];

/// HbA1c by NGSP (%), by IFCC (mmol/mol), by HPLC.
const GLYCATED: [&str; 3] = ["4548-4", "59261-8", "17856-6"];

impl Analyte {
    /// By its LOINC code, or by a number as text: its molar mass.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if GLYCATED.contains(&text) {
            return Some(Self::GlycatedHaemoglobin);
        }
        if let Some((mass, scale, _)) = MOLAR_MASSES.iter().find(|m| m.2.contains(&text)) {
            return Some(Self::Mass(Decimal::new(*mass, *scale)));
        }
        Self::of_mass(text.parse().ok()?)
    }

    pub(crate) fn of_mass(grams: Decimal) -> Option<Self> {
        (grams > Decimal::ZERO && grams < Decimal::from(100_000_000)).then_some(Self::Mass(grams))
    }
}

impl Conversion {
    /// `None` where a unit is not understood, or the units do not measure the same.
    ///
    /// `mmol/mol` and `%` are not converted by arithmetic: what is measured so, HbA1c, is on two scales.
    pub(crate) fn between(from: &str, to: &str, of: Option<Analyte>) -> Option<Self> {
        if from == to {
            return Some(Self { kind: Kind::Same });
        }
        let glycated = of == Some(Analyte::GlycatedHaemoglobin);
        let kind = match (from, to) {
            ("mmol/mol", "%") | ("%", "mmol/mol") if !glycated => return None,
            ("mmol/mol", "%") => of_ifcc(),
            ("%", "mmol/mol") => of_ngsp(),
            _ => temperature(from, to)
                .or_else(|| Some(linear(pair(from, to, false)?)))
                .or_else(|| by_mass(from, to, of?))?,
        };
        Some(Self { kind })
    }

    /// The value in the other unit, exact to 28 digits before it becomes a double.
    pub(crate) fn apply(&self, value: f64) -> Option<f64> {
        let exact = || self.exact(value.to_string().parse().ok()?)?.to_f64();
        exact().or_else(|| self.roughly(value)).filter(|v| v.is_finite())
    }

    fn exact(&self, value: Decimal) -> Option<Decimal> {
        match &self.kind {
            Kind::Same => Some(value),
            Kind::Linear(from, to) => in_units(value, &(*from, *to)),
            Kind::Shifted { before, times, by, after } => value
                .checked_add(*before)?
                .checked_mul(*times)?
                .checked_div(*by)?
                .checked_sub(*after),
        }
    }

    /// For values of more digits or greater powers than a decimal has.
    fn roughly(&self, value: f64) -> Option<f64> {
        match &self.kind {
            Kind::Same => Some(value),
            Kind::Linear(from, to) => {
                let factor = |unit: &Unit| unit.num as f64 / unit.den as f64;
                let ten = 10f64.powi(from.ten - to.ten);
                Some(value * (factor(from) / factor(to)) * ten)
            }
            Kind::Shifted { before, times, by, after } => {
                let (before, after) = (before.to_f64()?, after.to_f64()?);
                Some((value + before) * (times.to_f64()? / by.to_f64()?) - after)
            }
        }
    }
}

fn linear((from, to): (Unit, Unit)) -> Kind {
    Kind::Linear(from, to)
}

/// Degrees: `K = (value + before) * times / by`.
fn kelvins(unit: &str) -> Option<(Decimal, Decimal, Decimal)> {
    match unit {
        "Cel" => Some((Decimal::new(27_315, 2), Decimal::ONE, Decimal::ONE)),
        "[degF]" => Some((Decimal::new(45_967, 2), Decimal::from(5), Decimal::from(9))),
        "K" => Some((Decimal::ZERO, Decimal::ONE, Decimal::ONE)),
        _ => None,
    }
}

fn temperature(from: &str, to: &str) -> Option<Kind> {
    let ((before, up, down), (after, by, times)) = (kelvins(from)?, kelvins(to)?);
    Some(Kind::Shifted { before, times: up * times, by: down * by, after })
}

/// NGSP = 0.09148 IFCC + 2.152, the master equation of the two reference systems.
fn of_ifcc() -> Kind {
    let (slope, offset) = master_equation();
    Kind::Shifted { before: Decimal::ZERO, times: slope, by: Decimal::ONE, after: -offset }
}

fn of_ngsp() -> Kind {
    let (slope, offset) = master_equation();
    Kind::Shifted { before: -offset, times: Decimal::ONE, by: slope, after: Decimal::ZERO }
}

fn master_equation() -> (Decimal, Decimal) {
    (Decimal::new(9_148, 5), Decimal::new(2_152, 3))
}

/// Between units of mass and of amount of substance. Equivalents and enzyme units are no moles.
fn by_mass(from: &str, to: &str, of: Analyte) -> Option<Kind> {
    let Analyte::Mass(grams) = of else { return None };
    let (from_unit, to_unit) = (Unit::of(from)?, Unit::of(to)?);
    let one_counts = from.contains("mol") != to.contains("mol");
    let equivalents = [from, to].iter().any(|unit| unit.contains("eq"));
    if !one_counts || equivalents {
        return None;
    }
    let (from, to) = (from_unit.in_grams(grams)?, to_unit.in_grams(grams)?);
    (from.dimensions == to.dimensions).then(|| linear((from, to)))
}

impl Unit {
    /// The unit with its moles as so many grams each.
    fn in_grams(self, grams: Decimal) -> Option<Self> {
        let (gram, mole) = (Self::of("g")?.dimensions, Self::of("mol")?.dimensions);
        let at = |dimensions: [i32; super::BASE.len()]| dimensions.iter().position(|d| *d == 1);
        let (gram, mole) = (at(gram)?, at(mole)?);
        let power = self.dimensions[mole];
        let factor = grams.normalize();
        let raised = factor.mantissa().checked_pow(power.unsigned_abs())?;
        let mut unit = self;
        if power < 0 {
            unit.den = unit.den.checked_mul(raised)?;
        } else {
            unit.num = unit.num.checked_mul(raised)?;
        }
        unit.ten -= factor.scale() as i32 * power;
        unit.dimensions[gram] += power;
        unit.dimensions[mole] = 0;
        Some(unit)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The factors stand in tables of conventional and SI units (glucose 0.0555, cholesterol 0.0259, creatinine 88.4 …).
    #[test]
    fn laboratory_values_convert() {
        for (value, from, to, of, expected) in [
            (5.6, "mg/dL", "g/L", "", Some(0.056)),
            (0.1, "mg", "ug", "", Some(100.0)),
            (7.3, "10*3/uL", "10*9/L", "", Some(7.3)),
            (7300.0, "/uL", "10*9/L", "", Some(7.3)),
            (120.0, "mm[Hg]", "kPa", "", Some(15.99864)),
            (98.6, "[degF]", "Cel", "", Some(37.0)),
            (37.0, "Cel", "[degF]", "", Some(98.6)),
            (-40.0, "Cel", "[degF]", "", Some(-40.0)),
            (0.0, "Cel", "K", "", Some(273.15)),
            (70.0, "[in_i]", "cm", "", Some(177.8)),
            (150.0, "[lb_av]", "kg", "", Some(68.038_855_5)),
            (2.5, "h", "min", "", Some(150.0)),
            (1e300, "g", "mg", "", Some(1e303)),
            (48.0, "mmol/mol", "%", "", None),
            (48.0, "mmol/mol", "%", "2345-7", None),
            (48.0, "mmol/mol", "%", "4548-4", Some(6.54304)),
            (6.54304, "%", "mmol/mol", "4548-4", Some(48.0)),
            (100.0, "mg/dL", "mmol/L", "", None),
            (100.0, "mg/dL", "mmol/L", "no code", None),
            (180.156, "mg/dL", "mmol/L", "2345-7", Some(10.0)),
            (180.156, "mg/dL", "mmol/L", "180.156", Some(10.0)),
            (10.0, "mmol/L", "mg/dL", "2345-7", Some(180.156)),
            (1.1312, "mg/dL", "umol/L", "2160-0", Some(100.0)),
            (28.014, "mg/dL", "mmol/L", "3094-0", Some(10.0)),
            (40.078, "mg/dL", "meq/L", "17861-6", None),
            (5.0, "mmol/L", "mmol/L", "2345-7", Some(5.0)),
            (1.0, "mg", "mL", "2345-7", None),
            (1.0, "furlong", "m", "", None),
            (f64::NAN, "g", "mg", "", None),
        ] {
            let found = Conversion::between(from, to, Analyte::of(of)).and_then(|c| c.apply(value));
            let close = match (found, expected) {
                (Some(a), Some(b)) => (a - b).abs() <= b.abs() * 1e-12,
                (a, b) => a == b,
            };
            assert!(close, "{value} {from} in {to} of {of}: {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_loinc_code_stands_once() {
        let mut codes: Vec<_> = MOLAR_MASSES.iter().flat_map(|m| m.2).chain(&GLYCATED).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
