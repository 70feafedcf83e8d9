//! The FHIR R4 data types the sample's resources share: codings, references, quantities, times.

use jiff::civil::{Date, DateTime, date};
use jiff::{Span, ToSpan as _};

use super::json::{Decimal, Json, object};
use super::write::Kind;

/// The day the sample population is looked at; nothing is dated later.
pub(super) const AS_OF: Date = date(2025, 12, 31);
/// The export's `transactionTime`: the end of [`AS_OF`].
pub(super) const TRANSACTION_TIME: &str = "2025-12-31T23:59:59.000Z";

const CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-";
const CARIN: &str = "http://hl7.org/fhir/us/carin-bb/StructureDefinition/C4BB-";
const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem/";

/// A code of a code system, with our own short display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    system: &'static str,
    pub(super) value: &'static str,
    pub(super) display: &'static str,
}

pub(super) const fn code(system: &'static str, value: &'static str, display: &'static str) -> Code {
    Code { system, value, display }
}

pub(super) const fn snomed(value: &'static str, display: &'static str) -> Code {
    code("http://snomed.info/sct", value, display)
}

pub(super) const fn loinc(value: &'static str, display: &'static str) -> Code {
    code("http://loinc.org", value, display)
}

pub(super) const fn rxnorm(value: &'static str, display: &'static str) -> Code {
    code("http://www.nlm.nih.gov/research/umls/rxnorm", value, display)
}

pub(super) const fn icd10(value: &'static str, display: &'static str) -> Code {
    code("http://hl7.org/fhir/sid/icd-10-cm", value, display)
}

pub(super) const fn cvx(value: &'static str, display: &'static str) -> Code {
    code("http://hl7.org/fhir/sid/cvx", value, display)
}

impl Code {
    /// The code as a Coding.
    pub(super) fn coding(self) -> Json {
        object! { "system": self.system, "code": self.value, "display": self.display }
    }

    /// The code as a `CodeableConcept` with text.
    pub(super) fn concept(self) -> Json {
        object! { "coding": [self.coding()], "text": self.display }
    }
}

/// A `CodeableConcept` of several codings for the same thing.
pub(super) fn concept_of(codes: &[Code]) -> Json {
    let codings: Vec<Json> = codes.iter().map(|code| code.coding()).collect();
    object! { "coding": codings, "text": codes.first().map(|code| code.display) }
}

/// A `CodeableConcept` from a code system under terminology.hl7.org, without display.
pub(super) fn hl7(system: &str, value: &'static str) -> Json {
    object! { "coding": [object! { "system": format!("{TERMINOLOGY}{system}"), "code": value }] }
}

/// A Coding from a code system under terminology.hl7.org.
pub(super) fn hl7_coding(system: &str, value: &'static str, display: &'static str) -> Json {
    object! { "system": format!("{TERMINOLOGY}{system}"), "code": value, "display": display }
}

/// A reference to a resource of this export.
pub(super) fn reference(kind: Kind, id: &str) -> Json {
    object! { "reference": format!("{}/{id}", kind.name()) }
}

/// A reference with the name of what it points to.
pub(super) fn named_reference(kind: Kind, id: &str, display: &str) -> Json {
    object! { "reference": format!("{}/{id}", kind.name()), "display": display.to_owned() }
}

/// An identifier with a type of HL7 table 0203 (`MR`, `NPI`, …).
pub(super) fn identifier(kind: &'static str, system: &'static str, value: String) -> Json {
    object! { "type": hl7("v2-0203", kind), "system": system, "value": value }
}

/// A Quantity in a UCUM unit.
pub(super) fn quantity(value: Decimal, unit: &'static str, ucum: &'static str) -> Json {
    object! { "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": ucum }
}

/// An amount of US dollars, from cents.
pub(super) fn dollars(cents: i64) -> Json {
    object! { "value": Decimal(cents, 2), "currency": "USD" }
}

/// A contact point in use `usage`.
pub(super) fn telecom(system: &'static str, value: String, usage: &'static str) -> Json {
    object! { "system": system, "value": value, "use": usage }
}

pub(super) fn period(start: DateTime, end: Option<DateTime>) -> Json {
    object! { "start": stamp(start), "end": end.map(stamp) }
}

/// A local time as a dateTime; the whole population lives five hours behind UTC.
pub(super) fn stamp(time: DateTime) -> String {
    format!("{time}-05:00")
}

/// A local time as an instant in UTC, not after the export.
fn instant(time: DateTime) -> String {
    let utc = later(time, 5.hours()).min(AS_OF.at(23, 59, 0, 0));
    format!("{utc}.000Z")
}

/// `time` plus `span`; the years 1900 to 2030 are far from jiff's limits.
pub(super) fn later(time: DateTime, span: Span) -> DateTime {
    time.saturating_add(span)
}

/// `day` plus a number of days, which may be negative.
pub(super) fn plus_days(day: Date, days: i64) -> Date {
    day.saturating_add(days.days())
}

/// `day` plus a number of months, which may be negative.
pub(super) fn plus_months(day: Date, months: i64) -> Date {
    day.saturating_add(months.months())
}

/// Whole days from `earlier` to `later`.
pub(super) fn days_between(earlier: Date, later: Date) -> i64 {
    earlier.duration_until(later).as_hours() / 24
}

/// Completed years of age.
pub(super) fn age_on(birth: Date, day: Date) -> i64 {
    months_on(birth, day).div_euclid(12)
}

/// Completed months of age.
pub(super) fn months_on(birth: Date, day: Date) -> i64 {
    let months = i64::from(day.year() - birth.year()) * 12 + i64::from(day.month() - birth.month());
    if day.day() < birth.day() { months - 1 } else { months }
}

/// A resource: its head (`resourceType`, `id`, `meta`) before the members of `body`.
///
/// `profile` is the end of a US Core or (`C4BB-…`) CARIN profile URL; empty for none.
pub(super) fn resource(
    kind: Kind,
    id: &str,
    profile: &'static str,
    updated: DateTime,
    body: Json,
) -> Json {
    let url = match profile.strip_prefix("C4BB-") {
        _ if profile.is_empty() => None,
        Some(name) => Some(format!("{CARIN}{name}")),
        None => Some(format!("{CORE}{profile}")),
    };
    let meta = object! { "lastUpdated": instant(updated), "profile": url.map(|url| [url]) };
    let mut members = vec![
        ("resourceType", Json::from(kind.name())),
        ("id", Json::from(id.to_owned())),
        ("meta", meta),
    ];
    if let Json::Object(rest) = body {
        members.extend(rest);
    }
    Json::Object(members)
}
