//! The places of care: payers, and towns with a hospital, two clinics and their practitioners.

use jiff::civil::{DateTime, date};

use super::fhir::{code, hl7, identifier, named_reference, resource, telecom};
use super::json::{Json, object};
use super::people::{FAMILY_NAMES, GIVEN_NAMES, email};
use super::random::Draw;
use super::write::{Export, Kind};
use crate::error::Result;

/// How many neighbouring patients share a town.
pub(super) const PATIENTS_PER_TOWN: usize = 40;
/// Draw streams from here on belong to towns, those below to patients.
const TOWN_STREAMS: u64 = 1 << 62;
/// When the directory entries were last touched.
const ENTERED: DateTime = date(2024, 7, 1).at(9, 0, 0, 0);

/// A town and who gives care there.
pub(super) struct Town {
    pub(super) city: &'static str,
    pub(super) state: &'static str,
    pub(super) postal_code: String,
    area_code: &'static str,
    pub(super) hospital: Facility,
    pub(super) clinics: Vec<Facility>,
}

/// An organization with one location and its own practitioners.
pub(super) struct Facility {
    pub(super) organization: String,
    pub(super) location: String,
    pub(super) name: String,
    pub(super) practitioners: Vec<Practitioner>,
    street: String,
}

pub(super) struct Practitioner {
    pub(super) id: String,
    pub(super) name: String,
    family: &'static str,
    given: &'static str,
    female: bool,
    npi: String,
}

/// Who pays, and under which terms.
pub(super) struct Plan {
    pub(super) payer: &'static str,
    pub(super) payer_name: &'static str,
    pub(super) name: &'static str,
    /// Coverage type in the Source of Payment Typology.
    pub(super) typology: &'static str,
    /// Cents a member pays in a calendar year before the plan pays.
    pub(super) deductible: i64,
    /// Percent of the allowed amount a member pays after the deductible.
    pub(super) coinsurance: i64,
    /// Percent of the submitted charge the plan allows.
    pub(super) allowed: i64,
    /// Share of people below 65 in it, in permille; 0 for those from 65 on only.
    pub(super) share: i64,
}

/// The plan of everyone from 65 on.
pub(super) static MEDICARE: Plan = Plan {
    payer: "payer-medicare",
    payer_name: "Medicare",
    name: "Medicare Part A and B",
    typology: "1",
    deductible: 22_600,
    coinsurance: 20,
    allowed: 62,
    share: 0,
};

/// The plans of people below 65.
pub(super) static PLANS: [Plan; 3] = [
    Plan {
        payer: "payer-medicaid",
        payer_name: "State Medicaid",
        name: "Medicaid",
        typology: "2",
        deductible: 0,
        coinsurance: 0,
        allowed: 54,
        share: 270,
    },
    Plan {
        payer: "payer-northfield",
        payer_name: "Northfield Health Plan",
        name: "Northfield PPO",
        typology: "512",
        deductible: 75_000,
        coinsurance: 20,
        allowed: 78,
        share: 430,
    },
    Plan {
        payer: "payer-harbor",
        payer_name: "Harbor Mutual",
        name: "Harbor Select HMO",
        typology: "511",
        deductible: 30_000,
        coinsurance: 10,
        allowed: 71,
        share: 300,
    },
];

/// City, state, first three digits of the postal code, telephone area code.
const CITIES: [(&str, &str, &str, &str); 12] = [
    ("Worcester", "MA", "016", "508"),
    ("Springfield", "MA", "011", "413"),
    ("Burlington", "VT", "054", "802"),
    ("Concord", "NH", "033", "603"),
    ("Portland", "ME", "041", "207"),
    ("Hartford", "CT", "061", "860"),
    ("Providence", "RI", "029", "401"),
    ("Albany", "NY", "122", "518"),
    ("Scranton", "PA", "185", "570"),
    ("Trenton", "NJ", "086", "609"),
    ("Dayton", "OH", "454", "937"),
    ("Raleigh", "NC", "276", "919"),
];
pub(super) const STREETS: [&str; 12] = [
    "Maple St",
    "Main St",
    "Oak Ave",
    "Church St",
    "River Rd",
    "Elm St",
    "Prospect Ave",
    "Mill Ln",
    "Washington St",
    "Park Ave",
    "Lakeview Dr",
    "School St",
];

impl Town {
    /// Town number `index` of `seed`, whatever the size of the population.
    pub(super) fn new(seed: u64, index: usize) -> Self {
        let draw = &mut Draw::new(seed, TOWN_STREAMS + index as u64);
        let (city, state, prefix, area_code) = CITIES[index % CITIES.len()];
        let facility = |name: String, staff: usize, draw: &mut Draw| Facility {
            organization: draw.uuid(),
            location: draw.uuid(),
            name,
            practitioners: (0..staff).map(|_| Practitioner::new(draw)).collect(),
            street: format!("{} {}", draw.between(1, 900), draw.pick(&STREETS)),
        };
        Self {
            city,
            state,
            postal_code: format!("{prefix}{:02}", draw.between(1, 60)),
            area_code,
            hospital: facility(format!("{city} General Hospital"), 5, draw),
            clinics: vec![
                facility(format!("{city} Family Medicine"), 3, draw),
                facility(format!("{city} Community Health Center"), 3, draw),
            ],
        }
    }

    /// A telephone number of the town, in the range kept for fiction.
    pub(super) fn phone(&self, draw: &mut Draw) -> String {
        format!("{}-555-01{:02}", self.area_code, draw.between(0, 99))
    }

    /// Writes the organizations, locations and practitioners.
    pub(super) fn write(&self, export: &mut Export) -> Result<()> {
        self.write_facility(&self.hospital, true, export)?;
        self.clinics.iter().try_for_each(|clinic| self.write_facility(clinic, false, export))
    }

    fn write_facility(&self, of: &Facility, hospital: bool, export: &mut Export) -> Result<()> {
        export.put(Kind::Organization, &self.organization(of))?;
        export.put(Kind::Location, &self.location(of, hospital))?;
        of.practitioners
            .iter()
            .try_for_each(|one| export.put(Kind::Practitioner, &self.practitioner(one, of)))
    }

    fn organization(&self, of: &Facility) -> Json {
        let npi = npi(&of.organization);
        let body = object! {
            "identifier": [identifier("NPI", "http://hl7.org/fhir/sid/us-npi", npi)],
            "active": true,
            "type": [hl7("organization-type", "prov")],
            "name": of.name.clone(),
            "telecom": [telecom("phone", format!("{}-555-0100", self.area_code), "work")],
            "address": [self.address(&of.street, None)],
        };
        resource(Kind::Organization, &of.organization, "organization", ENTERED, body)
    }

    fn location(&self, of: &Facility, hospital: bool) -> Json {
        let kind = if hospital { ("HOSP", "Hospital") } else { ("OF", "Outpatient facility") };
        let role = code("http://terminology.hl7.org/CodeSystem/v3-RoleCode", kind.0, kind.1);
        let body = object! {
            "status": "active",
            "name": of.name.clone(),
            "mode": "instance",
            "type": [role.concept()],
            "telecom": [telecom("phone", format!("{}-555-0100", self.area_code), "work")],
            "address": self.address(&of.street, None),
            "managingOrganization": named_reference(Kind::Organization, &of.organization, &of.name),
        };
        resource(Kind::Location, &of.location, "location", ENTERED, body)
    }

    fn practitioner(&self, one: &Practitioner, of: &Facility) -> Json {
        let body = object! {
            "identifier": [identifier("NPI", "http://hl7.org/fhir/sid/us-npi", one.npi.clone())],
            "active": true,
            "name": [object! { "family": one.family, "given": [one.given], "prefix": ["Dr."] }],
            "telecom": [telecom("email", email(&format!("{} {}", one.given, one.family)), "work")],
            "address": [self.address(&of.street, Some("work"))],
            "gender": if one.female { "female" } else { "male" },
        };
        resource(Kind::Practitioner, &one.id, "practitioner", ENTERED, body)
    }

    fn address(&self, street: &str, usage: Option<&'static str>) -> Json {
        object! {
            "use": usage,
            "line": [street.to_owned()],
            "city": self.city,
            "state": self.state,
            "postalCode": self.postal_code.clone(),
            "country": "US",
        }
    }
}

impl Practitioner {
    fn new(draw: &mut Draw) -> Self {
        let female = draw.chance(520);
        let given = *draw.pick(&GIVEN_NAMES[usize::from(female)]);
        let family = *draw.pick(&FAMILY_NAMES);
        let id = draw.uuid();
        Self { npi: npi(&id), id, name: format!("Dr. {given} {family}"), family, given, female }
    }
}

/// Writes the payers' organizations.
pub(super) fn write_payers(export: &mut Export) -> Result<()> {
    PLANS.iter().chain([&MEDICARE]).try_for_each(|plan| {
        let body = object! {
            "active": true,
            "type": [hl7("organization-type", "pay")],
            "name": plan.payer_name,
        };
        export.put(
            Kind::Organization,
            &resource(Kind::Organization, plan.payer, "organization", ENTERED, body),
        )
    })
}

/// A National Provider Identifier with its check digit (Luhn over `80840` and nine digits).
fn npi(id: &str) -> String {
    let hash = id.bytes().fold(7_u64, |hash, byte| (hash * 31 + u64::from(byte)) % 100_000_000);
    let digits = format!("1{hash:08}");
    let sum: u32 = format!("80840{digits}")
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn town_names_do_not_depend_on_the_population() {
        assert_eq!(Town::new(1, 3).hospital.name, "Concord General Hospital");
        assert_eq!(Town::new(1, 3).hospital.location, Town::new(1, 3).hospital.location);
    }

    #[test]
    fn npi_has_the_standard_s_check_digit() {
        let value = npi("any");
        let sum: u32 = format!("80840{value}")
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, byte)| {
                let digit = u32::from(byte - b'0') * if place % 2 == 1 { 2 } else { 1 };
                digit / 10 + digit % 10
            })
            .sum();
        assert_eq!(sum % 10, 0);
    }
}
