//! One visit: the Encounter, what is found, and everything done there.

use jiff::Span;
use jiff::civil::{Date, DateTime};

use super::claims::{self, Charge};
use super::fhir::{
    Code, age_on, code, concept_of, days_between, hl7, later, named_reference, period, plus_days,
    reference, resource, snomed, stamp,
};
use super::history::{Chart, Purpose};
use super::illnesses::{Illness, Setting};
use super::json::{Json, object};
use super::network::{Facility, Practitioner};
use super::prevention::ALLERGIES;
use super::write::Kind;
use super::{observations, treatments};
use crate::error::Result;

/// A visit while its resources are written; the Encounter itself comes last.
pub(super) struct Visit<'a> {
    pub(super) encounter: String,
    pub(super) purpose: Purpose,
    pub(super) start: DateTime,
    pub(super) end: DateTime,
    pub(super) facility: &'a Facility,
    pub(super) practitioner: &'a Practitioner,
    pub(super) diagnoses: Vec<Diagnosis>,
    pub(super) charges: Vec<Charge>,
}

/// What the visit was about: a Condition and how it is billed.
pub(super) struct Diagnosis {
    pub(super) condition: String,
    pub(super) clinical: Code,
    pub(super) billed: Code,
}

const WELL_CHILD: Code = snomed("410620009", "Well child visit");
const CHECK_UP: Code = snomed("86013001", "Periodic health examination");
const FOLLOW_UP: Code = snomed("185349003", "Check-up visit");
const PROBLEM: Code = snomed("185347001", "Visit for a problem");
const EMERGENCY: Code = snomed("50849002", "Emergency room visit");
const ADMISSION: Code = snomed("183452005", "Inpatient stay");

/// Writes a visit from `start` on and returns its end.
pub(super) fn write(chart: &mut Chart, start: DateTime, purpose: Purpose) -> Result<DateTime> {
    let mut visit = Visit::new(chart, start, purpose);
    visit.charges.push(visit.room_charge(chart));
    visit.record_problems(chart)?;
    if let Purpose::Ill(illness) | Purpose::Dying(illness) = purpose {
        visit.record_illness(illness, chart)?;
    }
    observations::write(&mut visit, chart)?;
    treatments::write(&mut visit, chart)?;
    visit.write_encounter(chart)?;
    claims::write(&mut visit, chart)?;
    Ok(visit.end)
}

impl<'a> Visit<'a> {
    fn new(chart: &mut Chart<'a>, start: DateTime, purpose: Purpose) -> Self {
        let setting = purpose.setting();
        let facility = if setting == Setting::Clinic { chart.clinic } else { chart.hospital };
        let habit = setting == Setting::Clinic && chart.draw.chance(850);
        let practitioner = match facility.practitioners.get(chart.doctor) {
            Some(doctor) if habit => doctor,
            _ => chart.draw.pick(&facility.practitioners),
        };
        let end = end_of(start, purpose, chart);
        let encounter = chart.draw.uuid();
        let (diagnoses, charges) = (Vec::new(), Vec::new());
        Self { encounter, purpose, start, end, facility, practitioner, diagnoses, charges }
    }

    pub(super) fn day(&self) -> Date {
        self.start.date()
    }

    /// The reference to the visit's Encounter.
    pub(super) fn reference(&self) -> Json {
        reference(Kind::Encounter, &self.encounter)
    }

    /// The reference to the visit's practitioner, by name.
    pub(super) fn performer(&self) -> Json {
        named_reference(Kind::Practitioner, &self.practitioner.id, &self.practitioner.name)
    }

    fn code(&self, chart: &Chart) -> Code {
        match (self.purpose, self.purpose.setting()) {
            (Purpose::Wellness, _) if age_on(chart.person.birth, self.day()) < 18 => WELL_CHILD,
            (Purpose::Wellness, _) => CHECK_UP,
            (Purpose::Review, _) => FOLLOW_UP,
            (_, Setting::Clinic) => PROBLEM,
            (_, Setting::Emergency) => EMERGENCY,
            (_, Setting::Ward) => ADMISSION,
        }
    }

    /// What the visit itself costs, by the day on a ward.
    fn room_charge(&self, chart: &mut Chart) -> Charge {
        let nights = days_between(self.start.date(), self.end.date()).max(1);
        let cents = match self.purpose.setting() {
            Setting::Clinic => chart.draw.bell(9_800, 19_900),
            Setting::Emergency => chart.draw.bell(64_000, 188_000),
            Setting::Ward => nights * chart.draw.bell(210_000, 340_000),
        };
        let preventive = matches!(self.purpose, Purpose::Wellness);
        Charge { code: self.code(chart), cents, preventive }
    }

    /// Records the diseases that have begun, and links those recorded before.
    fn record_problems(&mut self, chart: &mut Chart) -> Result<()> {
        for index in 0..chart.problems.len() {
            let problem = &chart.problems[index];
            if problem.onset > self.day() {
                continue;
            }
            let (clinical, billed, onset) =
                (problem.disease.code, problem.disease.diagnosis, problem.onset);
            let condition = if let Some(known) = &problem.condition {
                known.clone()
            } else {
                let new = self.write_problem(clinical, billed, onset, chart)?;
                chart.problems[index].condition = Some(new.clone());
                new
            };
            if matches!(self.purpose, Purpose::Review) || onset == self.day() {
                self.diagnoses.push(Diagnosis { condition, clinical, billed });
            }
        }
        Ok(())
    }

    /// A problem list entry. What began before the history is only known roughly.
    fn write_problem(
        &self,
        clinical: Code,
        billed: Code,
        onset: Date,
        chart: &mut Chart,
    ) -> Result<String> {
        let id = chart.draw.uuid();
        let exact = days_between(onset, self.day()) < 90;
        let age = age_on(chart.person.birth, onset);
        let (mut date, mut at_age, mut words) = (None, None, None);
        match chart.draw.between(0, 9) {
            _ if exact => date = Some(onset.to_string()),
            0..=4 => date = Some(onset.year().to_string()),
            5..=6 => date = Some(onset.strftime("%Y-%m").to_string()),
            7 => at_age = Some(years(age)),
            8 => words = Some("Many years ago"),
            _ => {}
        }
        let body = object! {
            "clinicalStatus": hl7("condition-clinical", "active"),
            "verificationStatus": hl7("condition-ver-status", "confirmed"),
            "category": [hl7("condition-category", "problem-list-item")],
            "code": condition_code(clinical, billed, chart),
            "subject": reference(Kind::Patient, &chart.person.id),
            "encounter": self.reference(),
            "onsetDateTime": date,
            "onsetAge": at_age,
            "onsetString": words,
            "recordedDate": chart.draw.chance(900).then(|| stamp(self.start)),
            "recorder": chart.draw.chance(500).then(|| self.performer()),
        };
        let profile = "condition-problems-health-concerns";
        chart
            .export
            .put(Kind::Condition, &resource(Kind::Condition, &id, profile, self.end, body))?;
        Ok(id)
    }

    fn record_illness(&mut self, illness: &Illness, chart: &mut Chart) -> Result<()> {
        let id = chart.draw.uuid();
        let over = plus_days(self.end.date(), illness.days + chart.draw.between(0, 6));
        let over = Some(over).filter(|day| *day <= chart.person.history_end());
        let status = if over.is_some() { "resolved" } else { "active" };
        let body = object! {
            "clinicalStatus": hl7("condition-clinical", status),
            "verificationStatus": hl7("condition-ver-status", "confirmed"),
            "category": [hl7("condition-category", "encounter-diagnosis")],
            "severity": chart.draw.chance(150).then(|| snomed("6736007", "Moderate").concept()),
            "code": condition_code(illness.code, illness.diagnosis, chart),
            "subject": reference(Kind::Patient, &chart.person.id),
            "encounter": self.reference(),
            "onsetDateTime": stamp(self.start),
            "abatementDateTime": over.map(|day| day.to_string()),
            "recordedDate": stamp(self.start),
        };
        let profile = "condition-encounter-diagnosis";
        let updated = over.map_or(self.end, |day| day.at(12, 0, 0, 0));
        chart
            .export
            .put(Kind::Condition, &resource(Kind::Condition, &id, profile, updated, body))?;
        self.diagnoses.push(Diagnosis {
            condition: id,
            clinical: illness.code,
            billed: illness.diagnosis,
        });
        Ok(())
    }

    fn write_encounter(&self, chart: &mut Chart) -> Result<()> {
        let setting = self.purpose.setting();
        let number = chart.draw.digits(7);
        let role = hl7("v3-ParticipationType", "PPRF");
        let reasons: Vec<Json> = self.diagnoses.iter().map(|one| one.clinical.concept()).collect();
        let body = object! {
            "identifier": chart.draw.chance(700).then(|| {
                [object! { "system": "https://kiln.example/visit", "value": number }]
            }),
            "status": "finished",
            "class": class(setting).coding(),
            "type": [self.code(chart).concept()],
            "subject": named_reference(Kind::Patient, &chart.person.id, &chart.person.name),
            "participant": [object! {
                "type": [role],
                "period": period(self.start, Some(self.end)),
                "individual": self.performer(),
            }],
            // Some visits were never closed in the system they come from.
            "period": period(self.start, (!chart.draw.chance(20)).then_some(self.end)),
            "reasonCode": reasons,
            "hospitalization": (setting != Setting::Clinic).then(|| self.discharge(chart)),
            "location": chart.draw.chance(900).then(|| [object! {
                "location": named_reference(Kind::Location, &self.facility.location, &self.facility.name),
            }]),
            "serviceProvider": named_reference(
                Kind::Organization, &self.facility.organization, &self.facility.name,
            ),
        };
        chart.export.put(
            Kind::Encounter,
            &resource(Kind::Encounter, &self.encounter, "encounter", self.end, body),
        )
    }

    fn discharge(&self, chart: &mut Chart) -> Json {
        let (value, display) = match self.purpose {
            Purpose::Dying(_) => ("exp", "Expired"),
            Purpose::Ill(illness) if illness.days >= 90 && chart.draw.chance(500) => {
                ("snf", "Skilled nursing facility")
            }
            _ => ("home", "Home"),
        };
        let system = "http://terminology.hl7.org/CodeSystem/discharge-disposition";
        object! { "dischargeDisposition": code(system, value, display).concept() }
    }
}

/// SNOMED CT, mostly with ICD-10-CM beside it; now and then only one of them.
fn condition_code(clinical: Code, billed: Code, chart: &mut Chart) -> Json {
    match chart.draw.between(0, 9) {
        0 => concept_of(&[billed]),
        1..=3 => concept_of(&[clinical]),
        _ => concept_of(&[clinical, billed]),
    }
}

/// An Age, which is a Quantity in years.
fn years(age: i64) -> Json {
    object! {
        "value": age, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a",
    }
}

impl Purpose {
    pub(super) fn setting(self) -> Setting {
        match self {
            Self::Wellness | Self::Review => Setting::Clinic,
            Self::Ill(illness) | Self::Dying(illness) => illness.setting,
        }
    }
}

fn class(setting: Setting) -> Code {
    let system = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    match setting {
        Setting::Clinic => code(system, "AMB", "ambulatory"),
        Setting::Emergency => code(system, "EMER", "emergency"),
        Setting::Ward => code(system, "IMP", "inpatient encounter"),
    }
}

/// Clinic visits take minutes, emergencies hours, stays days, but nothing outlasts the patient.
fn end_of(start: DateTime, purpose: Purpose, chart: &mut Chart) -> DateTime {
    if let (Purpose::Dying(_), Some(death)) = (purpose, chart.person.death) {
        return death;
    }
    let draw = &mut chart.draw;
    match purpose.setting() {
        Setting::Clinic => later(start, Span::new().minutes(draw.between(2, 9) * 5)),
        Setting::Emergency => later(start, Span::new().minutes(draw.between(60, 239))),
        Setting::Ward => {
            let left = days_between(start.date(), plus_days(chart.person.history_end(), -1));
            let nights = draw.between(1, 9).min(left).max(0);
            plus_days(start.date(), nights).at(20, 30, 0, 0)
        }
    }
}

/// Writes the allergies known when the history begins.
pub(super) fn write_allergies(chart: &mut Chart) -> Result<()> {
    let first = plus_days(chart.person.history_start(), 20);
    if first >= chart.person.history_end() {
        return Ok(());
    }
    for (allergen, category, reaction) in &ALLERGIES {
        if !chart.draw.chance(70) {
            continue;
        }
        let id = chart.draw.uuid();
        let body = allergy(*allergen, category, *reaction, first, chart);
        let resource = resource(
            Kind::AllergyIntolerance,
            &id,
            "allergyintolerance",
            first.at(10, 0, 0, 0),
            body,
        );
        chart.export.put(Kind::AllergyIntolerance, &resource)?;
    }
    Ok(())
}

fn allergy(
    allergen: Code,
    category: &'static str,
    reaction: Code,
    recorded: Date,
    chart: &mut Chart,
) -> Json {
    let draw = &mut chart.draw;
    let known_for_years = age_on(chart.person.birth, recorded) > 3 && draw.chance(400);
    let onset = (recorded.year() - draw.between(1, 3) as i16).to_string();
    object! {
        "clinicalStatus": hl7("allergyintolerance-clinical", "active"),
        "verificationStatus": hl7(
            "allergyintolerance-verification",
            if draw.chance(200) { "unconfirmed" } else { "confirmed" },
        ),
        "type": draw.chance(800).then_some("allergy"),
        "category": [category],
        "criticality": draw.chance(700).then(|| *draw.pick(&["low", "high", "unable-to-assess"])),
        "code": allergen.concept(),
        "patient": reference(Kind::Patient, &chart.person.id),
        "onsetDateTime": known_for_years.then_some(onset),
        "recordedDate": recorded.to_string(),
        "note": draw.chance(150).then(|| {
            [object! { "text": "Reported by a \"relative\".\nNot verified." }]
        }),
        "reaction": draw.chance(750).then(|| [object! {
            "manifestation": [reaction.concept()],
            "severity": draw.chance(500).then_some("moderate"),
        }]),
    }
}
