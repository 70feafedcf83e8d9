//! What a visit costs and who pays: a Claim as sent, an `ExplanationOfBenefit` as answered.

use jiff::civil::Date;

use super::fhir::{
    AS_OF, Code, code, concept_of, dollars, hl7, hl7_coding, named_reference, plus_days, reference,
    resource,
};
use super::history::Chart;
use super::illnesses::Setting;
use super::json::{Json, object};
use super::network::Plan;
use super::visit::Visit;
use super::write::Kind;
use crate::error::Result;

/// Something to be paid for.
pub(super) struct Charge {
    pub(super) code: Code,
    /// Submitted amount.
    pub(super) cents: i64,
    /// Paid in full by every plan (checks, screenings, vaccines).
    pub(super) preventive: bool,
}

/// What the plan makes of a charge, in cents: `allowed = deductible + coinsurance + paid`.
#[derive(Clone, Copy, Default)]
struct Decision {
    submitted: i64,
    allowed: i64,
    deductible: i64,
    coinsurance: i64,
    paid: i64,
}

/// A claim on its way to the plan.
struct Bill<'a> {
    kind: &'static str,
    /// Id of the `MedicationRequest`, for a pharmacy.
    prescription: Option<&'a str>,
    charges: &'a [Charge],
    visit: &'a Visit<'a>,
    plan: &'static Plan,
    coverage: String,
    claim: String,
    created: Date,
}

/// Permille of claims that are denied.
const DENIED: i64 = 25;

/// Bills a visit.
pub(super) fn write(visit: &mut Visit, chart: &mut Chart) -> Result<()> {
    let kind = match visit.purpose.setting() {
        Setting::Clinic => "professional",
        Setting::Emergency | Setting::Ward => "institutional",
    };
    submit(kind, None, &visit.charges, visit, chart)
}

/// Bills the filling of a prescription.
pub(super) fn write_pharmacy(
    prescription: &str,
    code: Code,
    cents: i64,
    visit: &Visit,
    chart: &mut Chart,
) -> Result<()> {
    let charge = Charge { code, cents, preventive: false };
    submit("pharmacy", Some(prescription), &[charge], visit, chart)
}

fn submit(
    kind: &'static str,
    prescription: Option<&str>,
    charges: &[Charge],
    visit: &Visit,
    chart: &mut Chart,
) -> Result<()> {
    let enrollment = chart.person.enrollment_on(visit.day());
    let created = plus_days(visit.end.date(), chart.draw.between(0, 3)).min(AS_OF);
    let (plan, coverage) = (enrollment.plan, enrollment.coverage.clone());
    let claim = chart.draw.uuid();
    let bill = Bill { kind, prescription, charges, visit, plan, coverage, claim, created };
    let decisions = bill.decide(chart);
    bill.write_claim(chart)?;
    // What was sent at the end of the year is not answered yet.
    let answered = plus_days(created, chart.draw.between(4, 35));
    if answered > AS_OF {
        return Ok(());
    }
    bill.write_benefit(&decisions, answered, chart)
}

impl Bill<'_> {
    fn decide(&self, chart: &mut Chart) -> Vec<Decision> {
        let denied = chart.draw.chance(DENIED);
        let year = self.visit.day().year();
        if chart.deductible.0 != year {
            chart.deductible = (year, 0);
        }
        let decide = |charge: &Charge| {
            let submitted = charge.cents;
            if denied {
                return Decision { submitted, ..Decision::default() };
            }
            let left = (self.plan.deductible - chart.deductible.1).max(0);
            let decision = charge.decide(self.plan, left);
            chart.deductible.1 += decision.deductible;
            decision
        };
        self.charges.iter().map(decide).collect()
    }

    fn write_claim(&self, chart: &mut Chart) -> Result<()> {
        let total = self.charges.iter().map(|charge| charge.cents).sum();
        let items = self.charges.iter().enumerate().map(|(index, charge)| {
            object! {
                "sequence": index as i64 + 1,
                "diagnosisSequence": self.diagnosis_sequence(),
                "productOrService": charge.code.concept(),
                "servicedDate": self.visit.day().to_string(),
                "net": dollars(charge.cents),
                "encounter": [self.visit.reference()],
            }
        });
        let body = object! {
            "status": "active",
            "type": hl7("claim-type", self.kind),
            "use": "claim",
            "patient": reference(Kind::Patient, &chart.person.id),
            "billablePeriod": self.billable_period(),
            "created": self.created.to_string(),
            "insurer": named_reference(Kind::Organization, self.plan.payer, self.plan.payer_name),
            "provider": self.provider(),
            "priority": hl7("processpriority", "normal"),
            "prescription": self.prescription.map(|id| reference(Kind::MedicationRequest, id)),
            "careTeam": [self.care_team()],
            "diagnosis": self.diagnoses(),
            "insurance": [object! {
                "sequence": 1_i64,
                "focal": true,
                "coverage": reference(Kind::Coverage, &self.coverage),
            }],
            "item": items.collect::<Vec<Json>>(),
            "total": dollars(total),
        };
        let updated = self.created.at(17, 0, 0, 0);
        chart.export.put(Kind::Claim, &resource(Kind::Claim, &self.claim, "", updated, body))
    }

    fn write_benefit(&self, decisions: &[Decision], on: Date, chart: &mut Chart) -> Result<()> {
        let id = chart.draw.uuid();
        let number = chart.draw.digits(11);
        let sum = Decision::sum(decisions);
        let denied = sum.allowed == 0 && sum.submitted > 0;
        let identifier_type = code(
            "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBIdentifierType",
            "uc",
            "Unique claim id",
        );
        let items: Vec<Json> =
            decisions.iter().enumerate().map(|(i, one)| self.item(i, one)).collect();
        let totals: Vec<Json> = sum.amounts().to_vec();
        let body = object! {
            "identifier": [object! {
                "type": identifier_type.concept(),
                "system": "https://kiln.example/claim-number",
                "value": number,
            }],
            "status": "active",
            "type": hl7("claim-type", self.kind),
            "use": "claim",
            "patient": reference(Kind::Patient, &chart.person.id),
            "billablePeriod": self.billable_period(),
            "created": on.to_string(),
            "insurer": named_reference(Kind::Organization, self.plan.payer, self.plan.payer_name),
            "provider": self.provider(),
            "payee": object! { "type": hl7("payeetype", "provider") },
            "prescription": self.prescription.map(|id| reference(Kind::MedicationRequest, id)),
            "claim": reference(Kind::Claim, &self.claim),
            "outcome": "complete",
            "disposition": denied.then_some("Denied: service not covered"),
            "careTeam": [self.care_team()],
            "diagnosis": self.diagnoses(),
            "insurance": [object! {
                "focal": true,
                "coverage": reference(Kind::Coverage, &self.coverage),
            }],
            "item": items,
            "total": totals,
            "payment": object! {
                "type": hl7("ex-paymenttype", "complete"),
                "date": (!denied).then(|| on.to_string()),
                "amount": dollars(sum.paid),
            },
        };
        let kind = Kind::ExplanationOfBenefit;
        let updated = on.at(17, 0, 0, 0);
        chart.export.put(kind, &resource(kind, &id, profile(self), updated, body))
    }

    fn item(&self, index: usize, decision: &Decision) -> Json {
        let charge = &self.charges[index];
        let place = match self.visit.purpose.setting() {
            _ if self.prescription.is_some() => ("01", "Pharmacy"),
            Setting::Clinic => ("11", "Office"),
            Setting::Emergency => ("23", "Emergency room"),
            Setting::Ward => ("21", "Inpatient hospital"),
        };
        let place_of_service = code(
            "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set",
            place.0,
            place.1,
        );
        object! {
            "sequence": index as i64 + 1,
            "careTeamSequence": [1_i64],
            "diagnosisSequence": self.diagnosis_sequence(),
            "productOrService": charge.code.concept(),
            "servicedPeriod": self.billable_period(),
            "locationCodeableConcept": place_of_service.concept(),
            "quantity": object! { "value": 1_i64 },
            "unitPrice": dollars(decision.submitted),
            "net": dollars(decision.submitted),
            "encounter": [self.visit.reference()],
            "adjudication": decision.amounts().to_vec(),
        }
    }

    fn provider(&self) -> Json {
        let facility = self.visit.facility;
        named_reference(Kind::Organization, &facility.organization, &facility.name)
    }

    fn care_team(&self) -> Json {
        let role = if self.prescription.is_some() { "prescribing" } else { "rendering" };
        let system = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBClaimCareTeamRole";
        object! {
            "sequence": 1_i64,
            "provider": self.visit.performer(),
            "role": code(system, role, role).concept(),
        }
    }

    fn diagnoses(&self) -> Vec<Json> {
        let kind = |index| if index == 0 { "principal" } else { "secondary" };
        let numbered = self.visit.diagnoses.iter().enumerate();
        let diagnosis = numbered.map(|(index, one)| {
            object! {
                "sequence": index as i64 + 1,
                "diagnosisCodeableConcept": concept_of(&[one.billed]),
                "type": [hl7("ex-diagnosistype", kind(index))],
            }
        });
        diagnosis.collect()
    }

    fn diagnosis_sequence(&self) -> Vec<i64> {
        if self.visit.diagnoses.is_empty() { Vec::new() } else { vec![1] }
    }

    fn billable_period(&self) -> Json {
        object! {
            "start": self.visit.start.date().to_string(),
            "end": self.visit.end.date().to_string(),
        }
    }
}

impl Charge {
    /// What `plan` pays while the member still has `left` cents of deductible to go.
    fn decide(&self, plan: &Plan, left: i64) -> Decision {
        let submitted = self.cents;
        let allowed = submitted * plan.allowed / 100;
        let deductible = if self.preventive { 0 } else { allowed.min(left) };
        let share = if self.preventive { 0 } else { plan.coinsurance };
        let coinsurance = (allowed - deductible) * share / 100;
        let paid = allowed - deductible - coinsurance;
        Decision { submitted, allowed, deductible, coinsurance, paid }
    }
}

impl Decision {
    fn sum(decisions: &[Self]) -> Self {
        decisions.iter().fold(Self::default(), |sum, one| Self {
            submitted: sum.submitted + one.submitted,
            allowed: sum.allowed + one.allowed,
            deductible: sum.deductible + one.deductible,
            coinsurance: sum.coinsurance + one.coinsurance,
            paid: sum.paid + one.paid,
        })
    }

    /// The amounts by category, as CARIN Blue Button names them; `adjudication` and `total` share
    /// the form.
    fn amounts(&self) -> [Json; 7] {
        let patient = self.deductible + self.coinsurance;
        [
            amount("submitted", "Submitted amount", self.submitted, false),
            amount("eligible", "Allowed amount", self.allowed, false),
            amount("discount", "Discount", self.submitted - self.allowed, true),
            amount("deductible", "Deductible", self.deductible, false),
            amount("coinsurance", "Coinsurance", self.coinsurance, true),
            amount("paidbypatient", "Paid by patient", patient, true),
            amount("benefit", "Paid by plan", self.paid, false),
        ]
    }
}

/// One amount, its category from CARIN's code system or HL7's.
fn amount(category: &'static str, display: &'static str, cents: i64, carin: bool) -> Json {
    let coding = if carin {
        let system = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBAdjudication";
        code(system, category, display).coding()
    } else {
        hl7_coding("adjudication", category, display)
    };
    object! { "category": object! { "coding": [coding] }, "amount": dollars(cents) }
}

/// The end of the CARIN profile's URL.
fn profile(bill: &Bill) -> &'static str {
    match (bill.kind, bill.visit.purpose.setting()) {
        ("pharmacy", _) => "C4BB-ExplanationOfBenefit-Pharmacy",
        (_, Setting::Clinic) => "C4BB-ExplanationOfBenefit-Professional-NonClinician",
        (_, Setting::Emergency) => "C4BB-ExplanationOfBenefit-Outpatient-Institutional",
        (_, Setting::Ward) => "C4BB-ExplanationOfBenefit-Inpatient-Institutional",
    }
}
