//! What a visit finds: vital signs, smoking, questionnaires, and laboratory panels with reports.

use jiff::Span;

use super::claims::Charge;
use super::fhir::{
    Code, age_on, concept_of, hl7, hl7_coding, later, loinc, months_on, quantity, reference,
    resource, snomed, stamp,
};
use super::history::{Chart, Purpose};
use super::illnesses::Setting;
use super::json::{Decimal, Json, object};
use super::measures::{
    BLOOD_COUNT, BODY_MASS_INDEX, BREATHS, CHOLESTEROL, DIASTOLIC, HEART_RATE, HEIGHT, LIPIDS,
    METABOLIC, Measure, OXYGEN, Panel, SYSTOLIC, TEMPERATURE, WEIGHT,
};
use super::visit::Visit;
use super::write::Kind;
use crate::error::Result;

const BLOOD_PRESSURE: Code = loinc("85354-9", "Blood pressure");
const PULSE_OXIMETRY: Code = loinc("59408-5", "Oxygen saturation by pulse oximetry");
const SMOKING_STATUS: Code = loinc("72166-2", "Tobacco smoking status");
const PHQ_9: Code = loinc("44261-6", "PHQ-9 total score");
const SMOKING: [Code; 3] = [
    snomed("266919005", "Never smoked"),
    snomed("8517006", "Former smoker"),
    snomed("449868002", "Smokes every day"),
];
/// Median heights in millimetres at 0, 1, 2, … 18 years.
const GROWTH: [i64; 19] = [
    500, 755, 870, 950, 1025, 1090, 1155, 1215, 1275, 1330, 1385, 1435, 1495, 1560, 1615, 1650,
    1675, 1690, 1700,
];

/// What one Observation says, besides whom it is about; most of it is optional.
struct Finding {
    profile: &'static str,
    category: (&'static str, &'static str),
    code: Json,
    value: Value,
    interpretation: Option<&'static str>,
    range: Option<(i64, i64)>,
}

enum Value {
    Quantity(&'static Measure, i64),
    /// Below what the method can see.
    Below(&'static Measure, i64),
    Concept(Code),
    Score(i64),
    Absent(&'static str),
    Components(Vec<(&'static Measure, i64)>),
}

const VITAL_SIGNS: (&str, &str) = ("vital-signs", "Vital signs");
const LABORATORY: (&str, &str) = ("laboratory", "Laboratory");
const IMAGING: (&str, &str) = ("imaging", "Imaging");
const NEGATIVE: Code = snomed("260385009", "Negative");
const POSITIVE: Code = snomed("10828004", "Positive");

/// Writes all findings of a visit and charges for the panels.
pub(super) fn write(visit: &mut Visit, chart: &mut Chart) -> Result<()> {
    write_vital_signs(visit, chart)?;
    if matches!(visit.purpose, Purpose::Wellness) {
        write_habits(visit, chart)?;
    }
    for panel in panels_of(visit, chart) {
        visit.charges.push(Charge { code: panel.code, cents: panel.cents, preventive: false });
        write_panel(panel, visit, chart)?;
    }
    Ok(())
}

fn write_vital_signs(visit: &Visit, chart: &mut Chart) -> Result<()> {
    let months = months_on(chart.person.birth, visit.day());
    if months >= 36 || visit.purpose.setting() != Setting::Clinic {
        write_blood_pressure(visit, chart, months / 12)?;
    }
    if matches!(visit.purpose, Purpose::Wellness | Purpose::Review) {
        write_size(visit, chart, months)?;
    }
    if !matches!(visit.purpose, Purpose::Review) {
        write_vital(&HEART_RATE, "heart-rate", visit, chart)?;
    }
    if matches!(visit.purpose, Purpose::Ill(_) | Purpose::Dying(_)) {
        write_vital(&BREATHS, "respiratory-rate", visit, chart)?;
        write_vital(&TEMPERATURE, "body-temperature", visit, chart)?;
        write_vital(&OXYGEN, "pulse-oximetry", visit, chart)?;
    }
    Ok(())
}

fn write_blood_pressure(visit: &Visit, chart: &mut Chart, age: i64) -> Result<()> {
    let (systolic, diastolic) = if age < 16 {
        (chart.draw.bell(82, 106) + age, chart.draw.bell(48, 66) + age / 2)
    } else {
        (chart.value(&SYSTOLIC, visit.day()), chart.value(&DIASTOLIC, visit.day()))
    };
    // A pair that could not be measured is as real as one that could.
    let value = if chart.draw.chance(8) {
        Value::Absent("not-performed")
    } else {
        Value::Components(vec![(&SYSTOLIC, systolic), (&DIASTOLIC, diastolic)])
    };
    let code = BLOOD_PRESSURE.concept();
    put(Finding::vital("blood-pressure", code, value), visit, chart).map(drop)
}

/// Height, weight and body mass index, which agree.
fn write_size(visit: &Visit, chart: &mut Chart, months: i64) -> Result<()> {
    let height = height_at(months, chart.height);
    let years = months / 12;
    let adult = chart.build + years.clamp(18, 60) / 4 - 8;
    let child = 158 + (years - 5).abs() * 4 + (adult - 240) / 10;
    let index = if years >= 18 { adult } else { child } + chart.draw.bell(-6, 6);
    let weight = index * height * height / 1_000_000;
    if matches!(visit.purpose, Purpose::Wellness) {
        let value = Value::Quantity(&HEIGHT, height);
        put(Finding::vital("body-height", HEIGHT.code.concept(), value), visit, chart)?;
    }
    let value = Value::Quantity(&WEIGHT, weight);
    put(Finding::vital("body-weight", WEIGHT.code.concept(), value), visit, chart)?;
    if matches!(visit.purpose, Purpose::Wellness) && months >= 24 {
        let value = Value::Quantity(&BODY_MASS_INDEX, index);
        put(Finding::vital("bmi", BODY_MASS_INDEX.code.concept(), value), visit, chart)?;
    }
    Ok(())
}

/// Height in millimetres: the growth curve, scaled to the adult height.
fn height_at(months: i64, adult: i64) -> i64 {
    let year = (months / 12).clamp(0, 18) as usize;
    let (from, to) = (GROWTH[year], GROWTH[(year + 1).min(18)]);
    (from + (to - from) * (months % 12) / 12) * adult / GROWTH[18]
}

fn write_vital(
    measure: &'static Measure,
    profile: &'static str,
    visit: &Visit,
    chart: &mut Chart,
) -> Result<()> {
    let years = age_on(chart.person.birth, visit.day());
    let mut value = chart.value(measure, visit.day());
    if measure.code == HEART_RATE.code {
        value += (12 - years).max(0) * 4;
    } else if measure.code == BREATHS.code {
        value += (12 - years).max(0);
    } else if measure.code == TEMPERATURE.code && chart.draw.chance(350) {
        value += chart.draw.between(8, 20);
    }
    // US Core's pulse oximetry carries both codes.
    let code = if measure.code == OXYGEN.code {
        concept_of(&[PULSE_OXIMETRY, OXYGEN.code])
    } else {
        measure.code.concept()
    };
    put(Finding::vital(profile, code, Value::Quantity(measure, value)), visit, chart).map(drop)
}

/// Smoking from 12 years on, and the depression score of those in treatment.
fn write_habits(visit: &Visit, chart: &mut Chart) -> Result<()> {
    let age = age_on(chart.person.birth, visit.day());
    if age >= 12 {
        let state = if age < 16 { 0 } else { chart.smoking };
        let finding = Finding {
            profile: "smokingstatus",
            category: ("social-history", "Social history"),
            code: SMOKING_STATUS.concept(),
            value: Value::Concept(SMOKING[state]),
            interpretation: None,
            range: None,
        };
        put(finding, visit, chart)?;
    }
    let depressed =
        chart.active(visit.day()).any(|problem| problem.disease.code.value == "370143000");
    if age < 12 || !(depressed || chart.draw.chance(250)) {
        return Ok(());
    }
    let score = if depressed { chart.draw.bell(3, 19) } else { chart.draw.between(0, 4) };
    let finding = Finding {
        profile: "observation-screening-assessment",
        category: ("survey", "Survey"),
        code: PHQ_9.concept(),
        value: Value::Score(score),
        interpretation: None,
        range: None,
    };
    put(finding, visit, chart).map(drop)
}

/// The panels ordered: those of the diseases at a review, of age at a check-up, of a stay.
fn panels_of(visit: &Visit, chart: &mut Chart) -> Vec<&'static Panel> {
    let age = age_on(chart.person.birth, visit.day());
    let mut panels: Vec<&'static Panel> = Vec::new();
    match (visit.purpose, visit.purpose.setting()) {
        (Purpose::Review, _) => {
            for problem in chart.active(visit.day()) {
                panels.extend(problem.disease.panels);
            }
        }
        (Purpose::Wellness, _) if age >= 20 && chart.draw.chance(400) => panels.push(&LIPIDS),
        (Purpose::Wellness, _) if age >= 20 && chart.draw.chance(350) => panels.push(&METABOLIC),
        (_, Setting::Ward) => panels.extend([&BLOOD_COUNT, &METABOLIC]),
        _ => {}
    }
    panels.sort_by_key(|panel| panel.code.value);
    panels.dedup_by_key(|panel| panel.code.value);
    // Long panels are not repeated at every review.
    panels.retain(|panel| panel.measures.len() == 1 || chart.draw.chance(600));
    panels
}

fn write_panel(panel: &'static Panel, visit: &Visit, chart: &mut Chart) -> Result<()> {
    let mut values: Vec<i64> =
        panel.measures.iter().map(|measure| chart.value(measure, visit.day())).collect();
    // Friedewald: total cholesterol = LDL + HDL + triglycerides / 5.
    if let ([total, .., _], true) = (panel.measures, values.len() == 4)
        && total.code == CHOLESTEROL.code
    {
        values[0] = values[3] + values[2] + values[1] / 5;
    }
    let mut results = Vec::new();
    for (measure, value) in panel.measures.iter().copied().zip(values) {
        let finding = Finding::laboratory(measure, value, chart);
        results.push(put(finding, visit, chart)?);
    }
    if panel.measures.len() > 1 {
        write_report(panel, &results, visit, chart)?;
    }
    Ok(())
}

fn write_report(panel: &Panel, results: &[String], visit: &Visit, chart: &mut Chart) -> Result<()> {
    let id = chart.draw.uuid();
    let service = hl7_coding("v2-0074", "LAB", "Laboratory");
    let results: Vec<Json> = results.iter().map(|id| reference(Kind::Observation, id)).collect();
    let issued = later(visit.start, Span::new().minutes(25));
    let body = object! {
        "status": "final",
        "category": [object! { "coding": [service] }],
        "code": panel.code.concept(),
        "subject": reference(Kind::Patient, &chart.person.id),
        "encounter": visit.reference(),
        "effectiveDateTime": stamp(visit.start),
        "issued": format!("{issued}.412-05:00"),
        "performer": [visit.performer()],
        "result": results,
    };
    let resource = resource(Kind::DiagnosticReport, &id, "diagnosticreport-lab", visit.end, body);
    chart.export.put(Kind::DiagnosticReport, &resource)
}

impl Finding {
    fn vital(profile: &'static str, code: Json, value: Value) -> Self {
        Self { profile, category: VITAL_SIGNS, code, value, interpretation: None, range: None }
    }

    fn laboratory(measure: &'static Measure, value: i64, chart: &mut Chart) -> Self {
        let (low, high) = measure.usual;
        let value_of = match chart.draw.between(0, 999) {
            0..6 => Value::Absent("error"),
            6..16 if measure.scale == 1 => Value::Below(measure, low / 2),
            _ => Value::Quantity(measure, value.max(1)),
        };
        let interpretation = match (&value_of, value) {
            (Value::Quantity(..), value) if value < low => Some("L"),
            (Value::Quantity(..), value) if value > high => Some("H"),
            (Value::Quantity(..), _) if chart.draw.chance(500) => Some("N"),
            (Value::Below(..), _) => Some("L"),
            _ => None,
        };
        let range = chart.draw.chance(800).then_some(measure.usual);
        let (profile, code) = ("observation-lab", measure.code.concept());
        Self { profile, category: LABORATORY, code, value: value_of, interpretation, range }
    }

    /// Where the unit of a reference range comes from.
    fn measure(&self) -> Option<&'static Measure> {
        match self.value {
            Value::Quantity(measure, _) | Value::Below(measure, _) => Some(measure),
            _ => None,
        }
    }

    fn reference_range(&self) -> Option<Json> {
        let ((low, high), measure) = (self.range?, self.measure()?);
        let bound = |value| quantity(Decimal(value, measure.scale), measure.unit, measure.ucum);
        Some(object! { "low": bound(low), "high": bound(high) })
    }
}

impl Value {
    fn quantity(&self) -> Option<Json> {
        match self {
            Self::Quantity(measure, value) => Some(measured(measure, *value)),
            Self::Below(measure, limit) => Some(object! {
                "value": Decimal(*limit, measure.scale), "comparator": "<", "unit": measure.unit,
            }),
            _ => None,
        }
    }

    fn components(&self) -> Vec<Json> {
        let Self::Components(parts) = self else { return Vec::new() };
        let part = |(measure, value): &(&'static Measure, i64)| {
            object! { "code": measure.code.concept(), "valueQuantity": measured(measure, *value) }
        };
        parts.iter().map(part).collect()
    }
}

fn measured(measure: &Measure, value: i64) -> Json {
    quantity(Decimal(value, measure.scale), measure.unit, measure.ucum)
}

/// Writes the result of a screening: nearly always negative.
pub(super) fn write_result(
    code: Code,
    category: &'static str,
    visit: &Visit,
    chart: &mut Chart,
) -> Result<()> {
    let found = if chart.draw.chance(40) { POSITIVE } else { NEGATIVE };
    let (profile, category) = match category {
        "laboratory" => ("observation-lab", LABORATORY),
        _ => ("observation-clinical-result", IMAGING),
    };
    let (code, value) = (code.concept(), Value::Concept(found));
    let finding = Finding { profile, category, code, value, interpretation: None, range: None };
    put(finding, visit, chart).map(drop)
}

/// Writes one Observation and returns its id.
fn put(finding: Finding, visit: &Visit, chart: &mut Chart) -> Result<String> {
    let id = chart.draw.uuid();
    let laboratory = finding.category == LABORATORY;
    let issued = later(visit.start, Span::new().minutes(20));
    let (category, display) = finding.category;
    let category = object! { "coding": [hl7_coding("observation-category", category, display)] };
    let range = finding.reference_range();
    let body = object! {
        "status": if laboratory && chart.draw.chance(15) { "corrected" } else { "final" },
        "category": [category],
        "code": finding.code,
        "subject": reference(Kind::Patient, &chart.person.id),
        "encounter": chart.draw.chance(990).then(|| visit.reference()),
        "effectiveDateTime": stamp(visit.start),
        "issued": chart.draw.chance(850).then(|| format!("{issued}.107-05:00")),
        "performer": (laboratory || chart.draw.chance(200)).then(|| [visit.performer()]),
        "valueQuantity": finding.value.quantity(),
        "valueCodeableConcept": match &finding.value {
            Value::Concept(code) => Some(code.concept()),
            _ => None,
        },
        "valueInteger": match finding.value {
            Value::Score(score) => Some(score),
            _ => None,
        },
        "dataAbsentReason": match finding.value {
            Value::Absent(reason) => Some(hl7("data-absent-reason", reason)),
            _ => None,
        },
        "interpretation": finding.interpretation.map(|letter| {
            [hl7("v3-ObservationInterpretation", letter)]
        }),
        "referenceRange": range.map(|range| [range]),
        "component": finding.value.components(),
    };
    let resource = resource(Kind::Observation, &id, finding.profile, visit.end, body);
    chart.export.put(Kind::Observation, &resource)?;
    Ok(id)
}
