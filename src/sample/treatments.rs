//! What a visit does about it: prescriptions, procedures, screenings and vaccinations.

use jiff::Span;
use jiff::civil::Date;

use super::claims::{self, Charge};
use super::drugs::Drug;
use super::fhir::{
    age_on, code, days_between, hl7, later, months_on, period, plus_days, plus_months, reference,
    resource, stamp,
};
use super::history::{Chart, Purpose};
use super::illnesses::Treatment;
use super::json::{Json, object};
use super::observations;
use super::prevention::{SCREENINGS, Schedule, VACCINES, Vaccine};
use super::visit::Visit;
use super::write::Kind;
use crate::error::Result;

/// A prescription older than this is renewed at the next visit.
const RENEWAL_DAYS: i64 = 300;
/// From here on a badly controlled disease takes its second drug, in permille of control.
const SECOND_DRUG: i64 = 580;

/// Writes everything done in a visit and charges for it.
pub(super) fn write(visit: &mut Visit, chart: &mut Chart) -> Result<()> {
    match visit.purpose {
        Purpose::Ill(illness) | Purpose::Dying(illness) => {
            for treatment in illness.treatments {
                write_procedure(treatment, false, visit, chart)?;
            }
            if let (Some(drug), Purpose::Ill(_)) = (illness.drugs.first(), visit.purpose) {
                prescribe(drug, Course::Short, visit, chart)?;
            }
            return Ok(());
        }
        Purpose::Wellness => write_screenings(visit, chart)?,
        Purpose::Review => {}
    }
    write_vaccinations(visit, chart)?;
    renew_prescriptions(visit, chart)
}

/// How long a drug is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Short,
    /// Until further notice, for the problem with this index.
    Standing(usize),
}

fn renew_prescriptions(visit: &Visit, chart: &mut Chart) -> Result<()> {
    for index in 0..chart.problems.len() {
        let problem = &chart.problems[index];
        let days = days_between(problem.onset, visit.day());
        if days < 0 {
            continue;
        }
        let drugs = problem.disease.drugs;
        let wanted = if problem.control > SECOND_DRUG && days > 300 { 2 } else { 1 };
        for (number, drug) in drugs.iter().enumerate().take(wanted) {
            let last = chart.problems[index].prescribed[number];
            if last.is_none_or(|day| days_between(day, visit.day()) > RENEWAL_DAYS) {
                chart.problems[index].prescribed[number] = Some(visit.day());
                prescribe(drug, Course::Standing(index), visit, chart)?;
            }
        }
    }
    Ok(())
}

/// Writes a `MedicationRequest` and, when it was filled, the pharmacy's claim.
fn prescribe(drug: &Drug, course: Course, visit: &Visit, chart: &mut Chart) -> Result<()> {
    let id = chart.draw.uuid();
    let body = prescription(drug, course, visit, chart);
    let resource = resource(Kind::MedicationRequest, &id, "medicationrequest", visit.end, body);
    chart.export.put(Kind::MedicationRequest, &resource)?;
    if chart.draw.chance(600) {
        let months = if course == Course::Short { 1 } else { 3 };
        claims::write_pharmacy(&id, drug.code, drug.cents * months, visit, chart)?;
    }
    Ok(())
}

fn prescription(drug: &Drug, course: Course, visit: &Visit, chart: &mut Chart) -> Json {
    // Some systems send the drug as a contained Medication.
    let contained = chart.draw.chance(25);
    let medication = object! {
        "resourceType": "Medication", "id": "drug", "code": drug.code.concept(),
    };
    let condition = match course {
        Course::Standing(index) => chart.problems[index].condition.clone(),
        Course::Short => visit.diagnoses.last().map(|diagnosis| diagnosis.condition.clone()),
    };
    let days = if course == Course::Short { 10 } else { 30 };
    let count = object! { "value": drug.per_day * days, "unit": drug.form };
    let community = "medicationrequest-category";
    object! {
        "contained": contained.then_some([medication]),
        "status": status(course, visit.day(), chart),
        "intent": "order",
        "category": chart.draw.chance(900).then(|| [hl7(community, "community")]),
        "reportedBoolean": chart.draw.chance(600).then_some(false),
        "medicationCodeableConcept": (!contained).then(|| drug.code.concept()),
        "medicationReference": contained.then(|| object! { "reference": "#drug" }),
        "subject": reference(Kind::Patient, &chart.person.id),
        "encounter": visit.reference(),
        "authoredOn": stamp(visit.start),
        "requester": visit.performer(),
        "reasonReference": condition.map(|id| [reference(Kind::Condition, &id)]),
        "dosageInstruction": chart.draw.chance(920).then(|| [dosage(drug, chart)]),
        "dispenseRequest": chart.draw.chance(850).then(|| object! {
            "numberOfRepeatsAllowed": if course == Course::Short { 0_i64 } else { 11 },
            "quantity": count,
            "expectedSupplyDuration": object! {
                "value": days, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d",
            },
        }),
    }
}

/// A standing order is active for a year, if the patient lives.
fn status(course: Course, day: Date, chart: &mut Chart) -> &'static str {
    let lasts = if course == Course::Short { 10 } else { RENEWAL_DAYS + 65 };
    let running = plus_days(day, lasts) > chart.person.history_end();
    match (running, chart.person.death) {
        (true, None) => "active",
        (true, Some(_)) => "stopped",
        _ if chart.draw.chance(50) => "stopped",
        _ => "completed",
    }
}

fn dosage(drug: &Drug, chart: &mut Chart) -> Json {
    let Drug { form, per_day, .. } = *drug;
    let dose = object! { "doseQuantity": object! { "value": 1_i64, "unit": form } };
    let route = code("http://snomed.info/sct", "26643006", "Oral route").concept();
    object! {
        "text": format!("Take 1 {form}, {per_day} a day"),
        "timing": object! {
            "repeat": object! { "frequency": per_day, "period": 1_i64, "periodUnit": "d" },
        },
        "asNeededBoolean": chart.draw.chance(100).then_some(true),
        "route": matches!(form, "tablet" | "capsule").then_some(route),
        "doseAndRate": chart.draw.chance(900).then_some([dose]),
    }
}

fn write_screenings(visit: &mut Visit, chart: &mut Chart) -> Result<()> {
    let age = age_on(chart.person.birth, visit.day());
    for (index, screening) in SCREENINGS.iter().enumerate() {
        let last = chart.screened[index];
        let due =
            last.is_none_or(|day| plus_months(day, screening.every) <= plus_days(visit.day(), 30));
        let meant = (screening.ages.0..=screening.ages.1).contains(&age)
            && (chart.person.female || !screening.women_only);
        // Before the history some had it elsewhere, so not everyone starts with all of them.
        if meant && due && chart.draw.chance(480) {
            chart.screened[index] = Some(visit.day());
            write_procedure(screening.treatment, true, visit, chart)?;
            if let Some((code, category)) = screening.result {
                observations::write_result(code, category, visit, chart)?;
            }
        }
    }
    Ok(())
}

fn write_procedure(
    treatment: &Treatment,
    preventive: bool,
    visit: &mut Visit,
    chart: &mut Chart,
) -> Result<()> {
    let id = chart.draw.uuid();
    let start = later(visit.start, Span::new().minutes(5));
    let end = later(start, Span::new().minutes(treatment.minutes)).min(visit.end.max(start));
    let whole = chart.draw.chance(700);
    let reason = visit.diagnoses.last().filter(|_| !preventive);
    let reason = reason.map(|diagnosis| [reference(Kind::Condition, &diagnosis.condition)]);
    let body = object! {
        "status": "completed",
        "code": treatment.code.concept(),
        "subject": reference(Kind::Patient, &chart.person.id),
        "encounter": visit.reference(),
        "performedPeriod": whole.then(|| period(start, Some(end))),
        // Others only note the day.
        "performedDateTime": (!whole).then(|| visit.day().to_string()),
        "performer": chart.draw.chance(800).then(|| [object! { "actor": visit.performer() }]),
        "location": chart.draw.chance(500).then(|| {
            reference(Kind::Location, &visit.facility.location)
        }),
        "reasonReference": reason,
    };
    visit.charges.push(Charge { code: treatment.code, cents: treatment.cents, preventive });
    chart.export.put(Kind::Procedure, &resource(Kind::Procedure, &id, "procedure", visit.end, body))
}

fn write_vaccinations(visit: &mut Visit, chart: &mut Chart) -> Result<()> {
    for (index, vaccine) in VACCINES.iter().enumerate() {
        if !vaccine.is_due(chart.person.birth, chart.vaccinated[index], visit.day()) {
            continue;
        }
        chart.vaccinated[index] = Some(visit.day());
        let given = chart.draw.chance(match vaccine.schedule {
            Schedule::Months(_) => 950,
            Schedule::Every { .. } => 480,
        });
        if given || chart.draw.chance(80) {
            write_vaccination(vaccine, given, visit, chart)?;
        }
    }
    Ok(())
}

fn write_vaccination(
    vaccine: &Vaccine,
    given: bool,
    visit: &mut Visit,
    chart: &mut Chart,
) -> Result<()> {
    let id = chart.draw.uuid();
    let objection =
        code("http://terminology.hl7.org/CodeSystem/v3-ActReason", "PATOBJ", "Patient objection");
    let lot = format!(
        "{}{}",
        ["AC", "UT", "W0"][chart.draw.between(0, 2) as usize],
        chart.draw.digits(4)
    );
    let body = object! {
        "status": if given { "completed" } else { "not-done" },
        "statusReason": (!given).then(|| objection.concept()),
        "vaccineCode": vaccine.code.concept(),
        "patient": reference(Kind::Patient, &chart.person.id),
        "encounter": visit.reference(),
        "occurrenceDateTime": stamp(visit.start),
        "primarySource": chart.draw.chance(900).then_some(true),
        "location": chart.draw.chance(600).then(|| {
            reference(Kind::Location, &visit.facility.location)
        }),
        "lotNumber": (given && chart.draw.chance(800)).then_some(lot),
    };
    if given {
        visit.charges.push(Charge { code: vaccine.code, cents: vaccine.cents, preventive: true });
    }
    chart.export.put(
        Kind::Immunization,
        &resource(Kind::Immunization, &id, "immunization", visit.end, body),
    )
}

impl Vaccine {
    /// Whether a dose is due on `day` for someone born on `birth` whose last dose was on `last`.
    fn is_due(&self, birth: Date, last: Option<Date>, day: Date) -> bool {
        let months = months_on(birth, day);
        match self.schedule {
            // The latest dose whose age has come, unless it was given then or is long past.
            Schedule::Months(ages) => {
                let dose = ages.iter().rev().find(|age| **age <= months);
                dose.is_some_and(|age| {
                    let since = plus_months(birth, *age);
                    months <= age + 14 && last.is_none_or(|given| given < since)
                })
            }
            Schedule::Every { months: interval, from, since } => {
                let season = interval != 11 || day.month() >= 9 || day.month() == 1;
                let again = last.is_none_or(|given| plus_months(given, interval) <= day);
                months >= from && day.year() >= since && season && again
            }
        }
    }
}
