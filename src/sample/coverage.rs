//! Who insures a patient, and from when to when.

use jiff::civil::Date;

use super::fhir::{
    code, hl7, hl7_coding, named_reference, plus_days, plus_months, reference, resource,
};
use super::json::{Json, object};
use super::network::{MEDICARE, PLANS, Plan};
use super::people::Person;
use super::random::Draw;
use super::write::{Export, Kind};
use crate::error::Result;

/// A time under one plan.
pub(super) struct Enrollment {
    pub(super) plan: &'static Plan,
    /// Id of the Coverage.
    pub(super) coverage: String,
    pub(super) start: Date,
    /// The last day.
    end: Option<Date>,
}

/// One plan, and from the month of the 65th birthday Medicare.
pub(super) fn draw_enrollments(person: &Person, draw: &mut Draw) -> Vec<Enrollment> {
    let retires = plus_months(person.birth, 65 * 12).first_of_month();
    let plan = draw.weighted(&PLANS, |plan| plan.share).unwrap_or(&PLANS[0]);
    let start = person.history_start();
    let mut enrollments = Vec::new();
    if retires > start {
        let end = (retires <= person.history_end()).then(|| plus_days(retires, -1));
        let coverage = draw.uuid();
        enrollments.push(Enrollment { plan, coverage, start, end });
    }
    if retires <= person.history_end() {
        let start = retires.max(start);
        enrollments.push(Enrollment { plan: &MEDICARE, coverage: draw.uuid(), start, end: None });
    }
    enrollments
}

/// Writes the Coverages of `person`.
pub(super) fn write(
    person: &Person,
    enrollments: &[Enrollment],
    draw: &mut Draw,
    export: &mut Export,
) -> Result<()> {
    for (index, enrollment) in enrollments.iter().enumerate() {
        let body = coverage(person, enrollment, index, draw);
        let updated = enrollment.end.unwrap_or(enrollment.start).at(6, 0, 0, 0);
        let id = &enrollment.coverage;
        export.put(Kind::Coverage, &resource(Kind::Coverage, id, "coverage", updated, body))?;
    }
    Ok(())
}

fn coverage(person: &Person, enrollment: &Enrollment, index: usize, draw: &mut Draw) -> Json {
    let plan = enrollment.plan;
    let member = format!("{}{}", ["K", "M"][index.min(1)], draw.digits(9));
    let kind = code("https://nahdo.org/sopt", plan.typology, plan.payer_name);
    let class = object! {
        "type": object! { "coding": [hl7_coding("coverage-class", "plan", "Plan")] },
        "value": plan.payer.trim_start_matches("payer-"),
        "name": plan.name,
    };
    object! {
        "identifier": [object! {
            "type": hl7("v2-0203", "MB"),
            "system": "https://kiln.example/member-id",
            "value": member.clone(),
        }],
        // Without a `period.end` the plan was in force when the export was taken, or until death.
        "status": if enrollment.end.is_some() || person.death.is_some() { "cancelled" } else { "active" },
        "type": kind.concept(),
        "subscriberId": member,
        "beneficiary": reference(Kind::Patient, &person.id),
        "relationship": hl7("subscriber-relationship", "self"),
        "period": object! {
            "start": enrollment.start.to_string(),
            "end": enrollment.end.map(|day| day.to_string()),
        },
        "payor": [named_reference(Kind::Organization, plan.payer, plan.payer_name)],
        "class": [class],
    }
}
