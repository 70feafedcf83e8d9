//! Who the patients are: birth and death, names, addresses, and who insures them.

use jiff::civil::{Date, DateTime};

use super::coverage::{self, Enrollment};
use super::fhir::{
    AS_OF, age_on, code, hl7, identifier, plus_days, plus_months, resource, stamp, telecom,
};
use super::json::{Json, object};
use super::network::{STREETS, Town};
use super::random::Draw;
use super::write::{Export, Kind};
use crate::error::Result;

/// Months that the written history goes back from [`AS_OF`].
pub(super) const HISTORY_MONTHS: i64 = 120;

/// A patient's unchanging facts; everything clinical is in [`super::history`].
pub(super) struct Person {
    pub(super) id: String,
    pub(super) birth: Date,
    pub(super) death: Option<DateTime>,
    pub(super) female: bool,
    pub(super) name: String,
    /// In order of time, without gaps, from the start of the history to its end.
    enrollments: Vec<Enrollment>,
}

/// Ages on [`AS_OF`] with their weights: first, last, weight.
const AGES: [(i64, i64, i64); 7] =
    [(0, 4, 6), (5, 17, 15), (18, 34, 21), (35, 49, 19), (50, 64, 19), (65, 79, 14), (80, 96, 6)];
/// Up to which age on [`AS_OF`], permille who died within the history.
const DEATHS: [(i64, i64); 4] = [(39, 8), (64, 60), (79, 220), (130, 480)];

/// Given names: male, female.
pub(super) const GIVEN_NAMES: [[&str; 16]; 2] = [
    [
        "James", "Luis", "Michael", "David", "José", "Wei", "Omar", "Daniel", "Samuel", "Ethan",
        "Noah", "Raj", "Marcus", "Peter", "Tomás", "Andre",
    ],
    [
        "Mary", "Maria", "Linda", "Zoë", "Aisha", "Mei", "Grace", "Olivia", "Sofía", "Hannah",
        "Denise", "Priya", "Ruth", "Carmen", "Chloé", "Joan",
    ],
];
pub(super) const FAMILY_NAMES: [&str; 28] = [
    "Smith",
    "Johnson",
    "García",
    "Nguyễn",
    "O'Neill",
    "Brown",
    "Martínez",
    "Kim",
    "Patel",
    "Miller",
    "Davis",
    "Wilson",
    "Anderson",
    "Lee",
    "López",
    "Clark",
    "Lewis",
    "Young",
    "Allen",
    "van der Berg",
    "Wright",
    "Hill",
    "Adams",
    "Baker",
    "Rivera",
    "Campbell",
    "Müller",
    "Ahmed",
];
/// OMB race categories with their weights.
const RACES: [(&str, &str, i64); 5] = [
    ("2106-3", "White", 62),
    ("2054-5", "Black or African American", 15),
    ("2028-9", "Asian", 9),
    ("1002-5", "American Indian or Alaska Native", 2),
    ("2131-1", "Other Race", 12),
];
const LANGUAGES: [(&str, &str, i64); 4] = [
    ("en-US", "English", 82),
    ("es", "Spanish", 13),
    ("vi", "Vietnamese", 2),
    ("zh", "Chinese", 3),
];

impl Person {
    /// Draws a person.
    pub(super) fn new(draw: &mut Draw) -> Self {
        let id = draw.uuid();
        let age =
            draw.weighted(&AGES, |band| band.2).map_or(40, |band| draw.between(band.0, band.1));
        let birth = plus_days(plus_months(AS_OF, -12 * age), -draw.between(20, 364));
        let female = draw.chance(512);
        let given = *draw.pick(&GIVEN_NAMES[usize::from(female)]);
        let family = *draw.pick(&FAMILY_NAMES);
        let mut person = Self {
            id,
            birth,
            death: None,
            female,
            name: format!("{given} {family}"),
            enrollments: vec![],
        };
        person.death = person.draw_death(age, draw);
        person.enrollments = coverage::draw_enrollments(&person, draw);
        person
    }

    /// The first day of the written history.
    pub(super) fn history_start(&self) -> Date {
        self.birth.max(plus_months(AS_OF, -HISTORY_MONTHS))
    }

    /// The last day of the written history: death, or the day before [`AS_OF`].
    pub(super) fn history_end(&self) -> Date {
        self.death.map_or(plus_days(AS_OF, -1), DateTime::date)
    }

    /// The plan that covers `day`.
    pub(super) fn enrollment_on(&self, day: Date) -> &Enrollment {
        let covered = self.enrollments.iter().rev().find(|one| one.start <= day);
        covered.unwrap_or(&self.enrollments[0])
    }

    fn draw_death(&self, age: i64, draw: &mut Draw) -> Option<DateTime> {
        let permille =
            DEATHS.iter().find(|(up_to, _)| age <= *up_to).map_or(0, |(_, permille)| *permille);
        if !draw.chance(permille) {
            return None;
        }
        let day = plus_days(AS_OF, -draw.between(20, 3400));
        // An infant's death would fall before its birth; such a child lives.
        let hour = draw.between(0, 18) as i8;
        (day > plus_days(self.birth, 60)).then(|| day.at(hour, draw.between(0, 59) as i8, 0, 0))
    }

    /// Writes the Patient and the Coverages.
    pub(super) fn write(&self, town: &Town, draw: &mut Draw, export: &mut Export) -> Result<()> {
        let updated = self.history_end().at(18, 0, 0, 0);
        let patient = self.patient(town, draw);
        export
            .put(Kind::Patient, &resource(Kind::Patient, &self.id, "patient", updated, patient))?;
        coverage::write(self, &self.enrollments, draw, export)
    }

    fn patient(&self, town: &Town, draw: &mut Draw) -> Json {
        let adult = age_on(self.birth, AS_OF) >= 18;
        let record_number = draw.digits(8);
        let mut identifiers = vec![identifier("MR", "https://kiln.example/mrn", record_number)];
        if draw.chance(400) {
            // 9xx is never issued as a social security number.
            let number = format!(
                "9{:02}-{:02}-{}",
                draw.between(0, 99),
                draw.between(10, 99),
                draw.digits(4)
            );
            identifiers.push(identifier("SS", "http://hl7.org/fhir/sid/us-ssn", number));
        }
        let (deceased, deceased_at) = match self.death {
            // Some registries only know that the patient died.
            Some(_) if draw.chance(150) => (Some(true), None),
            death => (None, death.map(stamp)),
        };
        object! {
            "extension": self.extensions(draw),
            "identifier": identifiers,
            "active": (!draw.chance(100)).then_some(true),
            "name": self.names(adult, draw),
            "telecom": contacts(&self.name, adult, town, draw),
            "gender": if self.female { "female" } else { "male" },
            "birthDate": self.birth.to_string(),
            "_birthDate": self.birth_time(draw),
            "deceasedBoolean": deceased,
            "deceasedDateTime": deceased_at,
            "address": self.addresses(town, draw),
            "maritalStatus": (adult && draw.chance(850))
                .then(|| hl7("v3-MaritalStatus", draw.pick::<&'static str>(&["M", "S", "D", "W"]))),
            "multipleBirthBoolean": draw.chance(30).then_some(true),
            "communication": draw.chance(900).then(|| [language(draw)]),
        }
    }

    /// US Core race, ethnicity and birth sex; not every registration asks for them.
    fn extensions(&self, draw: &mut Draw) -> Vec<Json> {
        let mut extensions = Vec::new();
        if draw.chance(960) {
            let &(value, display, _) = draw.weighted(&RACES, |race| race.2).unwrap_or(&RACES[0]);
            extensions.push(category("us-core-race", value, display));
        }
        if draw.chance(930) {
            let (value, display) = if draw.chance(180) {
                ("2135-2", "Hispanic or Latino")
            } else {
                ("2186-5", "Not Hispanic or Latino")
            };
            extensions.push(category("us-core-ethnicity", value, display));
        }
        extensions.push(object! {
            "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex",
            "valueCode": if self.female { "F" } else { "M" },
        });
        extensions
    }

    /// The time of birth, which FHIR puts beside the date, for a few of those born in the history.
    fn birth_time(&self, draw: &mut Draw) -> Option<Json> {
        (self.birth == self.history_start() || draw.chance(40)).then(|| {
            let time = self.birth.at(draw.between(0, 5) as i8, draw.between(0, 59) as i8, 0, 0);
            let extension = object! {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                "valueDateTime": stamp(time),
            };
            object! { "extension": [extension] }
        })
    }

    fn names(&self, adult: bool, draw: &mut Draw) -> Vec<Json> {
        let (given, family) = self.name.split_once(' ').unwrap_or((&self.name, ""));
        let middle = draw.pick(&GIVEN_NAMES[usize::from(self.female)]);
        let middle = (draw.chance(500) && *middle != given).then(|| (*middle).to_owned());
        let mut names = vec![object! {
            "use": "official",
            "text": draw.chance(300).then(|| self.name.clone()),
            "family": family.to_owned(),
            "given": [Some(given.to_owned()), middle].into_iter().flatten().collect::<Vec<_>>(),
            "suffix": (!self.female && draw.chance(40)).then_some(["Jr."]),
        }];
        if self.female && adult && draw.chance(250) {
            names.push(object! {
                "use": "maiden",
                "family": *draw.pick(&FAMILY_NAMES),
                "given": [given.to_owned()],
                "period": object! { "end": plus_months(self.birth, 12 * 18 - 1).year().to_string() },
            });
        }
        if draw.chance(60) {
            let short: String = given.chars().take(3).collect();
            names.push(
                object! { "use": "nickname", "text": format!("\"{short}\""), "given": [short] },
            );
        }
        names
    }

    fn addresses(&self, town: &Town, draw: &mut Draw) -> Vec<Json> {
        let mut lines = vec![format!("{} {}", draw.between(1, 999), draw.pick(&STREETS))];
        if draw.chance(150) {
            lines.push(format!("Apt {}", draw.between(1, 40)));
        }
        let moved = draw.chance(150).then(|| draw.between(2, 28));
        let since = moved
            .map(|months| plus_months(self.history_end(), -months))
            .filter(|day| *day > self.birth);
        let mut addresses = vec![object! {
            "use": draw.chance(900).then_some("home"),
            "line": lines,
            "city": town.city,
            "state": town.state,
            "postalCode": town.postal_code.clone(),
            "country": "US",
            "period": since.map(|day| object! { "start": day.to_string() }),
        }];
        if let Some(day) = since {
            addresses.push(object! {
                "use": "old",
                "line": [format!("{} {}", draw.between(1, 999), draw.pick(&STREETS))],
                "city": "Lowell",
                "state": "MA",
                // Nine-digit codes and missing countries are as common as the tidy form above.
                "postalCode": format!("01850-{}", draw.digits(4)),
                "period": object! { "end": plus_days(day, -1).to_string() },
            });
        }
        addresses
    }
}

fn contacts(name: &str, adult: bool, town: &Town, draw: &mut Draw) -> Vec<Json> {
    let mut contacts = Vec::new();
    if draw.chance(920) {
        contacts.push(telecom("phone", town.phone(draw), "home"));
    }
    if draw.chance(500) {
        contacts.push(telecom("phone", town.phone(draw), "mobile"));
    }
    if adult && draw.chance(600) {
        contacts.push(telecom("email", email(name), "home"));
    }
    contacts
}

/// A mail address at a domain kept for examples (RFC 2606).
pub(super) fn email(name: &str) -> String {
    let local = name.to_lowercase().replace(' ', ".");
    let plain: String = local.chars().filter_map(unaccented).collect();
    format!("{plain}@example.org")
}

/// The plain letter for those of [`GIVEN_NAMES`] and [`FAMILY_NAMES`]; none for an apostrophe.
fn unaccented(letter: char) -> Option<char> {
    match letter {
        'á' => Some('a'),
        'é' | 'ë' | 'ễ' => Some('e'),
        'í' => Some('i'),
        'ó' => Some('o'),
        'ü' => Some('u'),
        'a'..='z' | '.' => Some(letter),
        _ => None,
    }
}

fn category(extension: &str, value: &'static str, display: &'static str) -> Json {
    let coding = code("urn:oid:2.16.840.1.113883.6.238", value, display).coding();
    object! {
        "url": format!("http://hl7.org/fhir/us/core/StructureDefinition/{extension}"),
        "extension": [
            object! { "url": "ombCategory", "valueCoding": coding },
            object! { "url": "text", "valueString": display },
        ],
    }
}

fn language(draw: &mut Draw) -> Json {
    let &(value, display, _) = draw.weighted(&LANGUAGES, |one| one.2).unwrap_or(&LANGUAGES[0]);
    object! {
        "language": object! { "coding": [code("urn:ietf:bcp:47", value, display).coding()] },
        "preferred": draw.chance(700).then_some(true),
    }
}
