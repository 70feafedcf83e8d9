//! What is done to the healthy: screenings and vaccines on a schedule, allergies asked for.
//!
//! Codes are public and well known; displays, rates and charges are our own and only roughly right.

use super::fhir::{Code, cvx, loinc, snomed};
use super::illnesses::Treatment;

/// A procedure done to healthy people of some age.
pub(super) struct Screening {
    pub(super) treatment: &'static Treatment,
    /// What its result is reported as, if separately, and in which Observation category.
    pub(super) result: Option<(Code, &'static str)>,
    pub(super) women_only: bool,
    pub(super) ages: (i64, i64),
    /// Months until it is due again.
    pub(super) every: i64,
}

pub(super) struct Vaccine {
    pub(super) code: Code,
    pub(super) schedule: Schedule,
    /// Submitted charge in cents.
    pub(super) cents: i64,
}

/// When a vaccine is due.
pub(super) enum Schedule {
    /// At these ages in months; never caught up after another six.
    Months(&'static [i64]),
    /// Every so many months, from an age in months on, not before a year.
    Every { months: i64, from: i64, since: i16 },
}

static SPIROMETRY: Treatment =
    Treatment { code: snomed("127783003", "Spirometry"), minutes: 25, cents: 11_250 };
static DEPRESSION_SCREENING: Treatment =
    Treatment { code: snomed("171207006", "Depression screening"), minutes: 10, cents: 2_400 };
static MAMMOGRAPHY: Treatment =
    Treatment { code: snomed("71651007", "Mammography"), minutes: 25, cents: 24_780 };
static COLONOSCOPY: Treatment =
    Treatment { code: snomed("73761001", "Colonoscopy"), minutes: 45, cents: 184_300 };
static OCCULT_BLOOD: Treatment = Treatment {
    code: snomed("104435004", "Stool occult blood screening"),
    minutes: 5,
    cents: 3_180,
};
static BONE_DENSITY: Treatment =
    Treatment { code: snomed("312681000", "Bone density scan"), minutes: 30, cents: 19_900 };
static CERVICAL_SMEAR: Treatment =
    Treatment { code: snomed("90226004", "Cervical cytology"), minutes: 15, cents: 8_640 };

pub(super) static SCREENINGS: [Screening; 7] = [
    Screening {
        treatment: &DEPRESSION_SCREENING,
        result: None,
        women_only: false,
        ages: (12, 110),
        every: 12,
    },
    Screening {
        treatment: &MAMMOGRAPHY,
        result: Some((loinc("24606-6", "Screening mammogram"), "imaging")),
        women_only: true,
        ages: (40, 74),
        every: 24,
    },
    Screening {
        treatment: &CERVICAL_SMEAR,
        result: Some((loinc("10524-7", "Cervical cytology"), "laboratory")),
        women_only: true,
        ages: (21, 65),
        every: 36,
    },
    Screening {
        treatment: &COLONOSCOPY,
        result: None,
        women_only: false,
        ages: (45, 75),
        every: 120,
    },
    Screening {
        treatment: &OCCULT_BLOOD,
        result: Some((loinc("29771-3", "Occult blood in stool"), "laboratory")),
        women_only: false,
        ages: (50, 75),
        every: 12,
    },
    Screening {
        treatment: &BONE_DENSITY,
        result: None,
        women_only: true,
        ages: (65, 85),
        every: 60,
    },
    Screening {
        treatment: &SPIROMETRY,
        result: None,
        women_only: false,
        ages: (55, 75),
        every: 48,
    },
];

const fn vaccine(code: Code, months: &'static [i64], cents: i64) -> Vaccine {
    Vaccine { code, schedule: Schedule::Months(months), cents }
}

/// The childhood schedule of the CDC in outline, boosters, and the yearly vaccines.
pub(super) static VACCINES: [Vaccine; 17] = [
    vaccine(cvx("08", "Hepatitis B, pediatric"), &[0, 1, 6], 4_120),
    vaccine(cvx("119", "Rotavirus, monovalent"), &[2, 4], 13_980),
    vaccine(cvx("20", "DTaP"), &[2, 4, 6, 15, 48], 5_640),
    vaccine(cvx("49", "Hib (PRP-OMP)"), &[2, 4, 12], 4_470),
    vaccine(cvx("133", "Pneumococcal conjugate, 13-valent"), &[2, 4, 6, 12], 22_310),
    vaccine(cvx("10", "Polio, inactivated"), &[2, 4, 6, 48], 5_190),
    vaccine(cvx("03", "MMR"), &[12, 48], 9_480),
    vaccine(cvx("21", "Varicella"), &[12, 48], 14_760),
    vaccine(cvx("83", "Hepatitis A, pediatric"), &[12, 18], 5_230),
    vaccine(cvx("115", "Tdap"), &[132], 6_010),
    vaccine(cvx("165", "HPV, 9-valent"), &[132, 138], 27_640),
    vaccine(cvx("114", "Meningococcal conjugate"), &[132, 192], 15_820),
    vaccine(cvx("187", "Zoster, recombinant"), &[600, 604], 18_940),
    vaccine(cvx("33", "Pneumococcal polysaccharide, 23-valent"), &[780], 12_470),
    Vaccine {
        code: cvx("140", "Influenza, preservative free"),
        schedule: Schedule::Every { months: 11, from: 6, since: 2000 },
        cents: 3_290,
    },
    Vaccine {
        code: cvx("113", "Td, adult"),
        schedule: Schedule::Every { months: 120, from: 252, since: 2000 },
        cents: 4_380,
    },
    Vaccine {
        code: cvx("208", "COVID-19, mRNA, 30 mcg"),
        schedule: Schedule::Every { months: 12, from: 192, since: 2021 },
        cents: 12_960,
    },
];

/// What people are allergic to: code, category, reaction.
pub(super) static ALLERGIES: [(Code, &str, Code); 6] = [
    (snomed("91936005", "Allergy to penicillin"), "medication", snomed("271807003", "Skin rash")),
    (snomed("91935009", "Allergy to peanut"), "food", snomed("39579001", "Anaphylaxis")),
    (snomed("300913006", "Allergy to shellfish"), "food", snomed("126485001", "Urticaria")),
    (snomed("418689008", "Allergy to grass pollen"), "environment", snomed("76067001", "Sneezing")),
    (
        snomed("232350006", "Allergy to house dust mite"),
        "environment",
        snomed("56018004", "Wheezing"),
    ),
    (
        snomed("232347008", "Allergy to animal dander"),
        "environment",
        snomed("76067001", "Sneezing"),
    ),
];
