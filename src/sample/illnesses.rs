//! Illnesses and injuries that pass, where they are treated and how.
//!
//! Codes are public and well known; displays, rates and charges are our own and only roughly right.

use jiff::civil::{Date, date};

use self::Setting::{Clinic, Emergency, Ward};
use super::drugs::{ACETAMINOPHEN, AMOXICILLIN, ASPIRIN, Drug, IBUPROFEN, NAPROXEN, TABLET, drug};
use super::fhir::{Code, icd10, rxnorm, snomed};

/// An illness or injury that passes.
pub(super) struct Illness {
    pub(super) code: Code,
    pub(super) diagnosis: Code,
    pub(super) setting: Setting,
    pub(super) ages: (i64, i64),
    /// How often, against the others.
    pub(super) weight: i64,
    /// Days until it is over.
    pub(super) days: i64,
    /// Not before this day.
    pub(super) since: Date,
    pub(super) drugs: &'static [Drug],
    pub(super) treatments: &'static [&'static Treatment],
}

/// Where an illness is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    Clinic,
    Emergency,
    Ward,
}

/// A procedure.
pub(super) struct Treatment {
    pub(super) code: Code,
    pub(super) minutes: i64,
    /// Submitted charge in cents.
    pub(super) cents: i64,
}

static CHEST_XRAY: Treatment =
    Treatment { code: snomed("399208008", "Chest X-ray"), minutes: 20, cents: 18_450 };
static ELECTROCARDIOGRAM: Treatment =
    Treatment { code: snomed("29303009", "Electrocardiogram"), minutes: 15, cents: 9_720 };
static SUTURE: Treatment =
    Treatment { code: snomed("288086009", "Suture of open wound"), minutes: 25, cents: 31_600 };
static IMMOBILIZATION: Treatment =
    Treatment { code: snomed("274474001", "Bone immobilization"), minutes: 40, cents: 58_300 };
static APPENDECTOMY: Treatment =
    Treatment { code: snomed("80146002", "Appendectomy"), minutes: 70, cents: 1_486_000 };
static CORONARY_STENT: Treatment = Treatment {
    code: snomed("415070008", "Percutaneous coronary intervention"),
    minutes: 95,
    cents: 2_912_500,
};
static HIP_REPLACEMENT: Treatment =
    Treatment { code: snomed("52734007", "Total hip replacement"), minutes: 120, cents: 3_105_000 };
static ECHOCARDIOGRAM: Treatment =
    Treatment { code: snomed("40701008", "Echocardiogram"), minutes: 40, cents: 72_900 };

const fn illness(
    code: Code,
    diagnosis: Code,
    setting: Setting,
    ages: (i64, i64),
    weight: i64,
    days: i64,
) -> Illness {
    Illness {
        code,
        diagnosis,
        setting,
        ages,
        weight,
        days,
        since: date(1900, 1, 1),
        drugs: &[],
        treatments: &[],
    }
}

pub(super) static ILLNESSES: [Illness; 17] = [
    Illness {
        drugs: &[IBUPROFEN],
        ..illness(
            snomed("444814009", "Viral sinusitis"),
            icd10("J01.90", "Acute sinusitis"),
            Clinic,
            (4, 110),
            90,
            14,
        )
    },
    illness(
        snomed("195662009", "Acute viral pharyngitis"),
        icd10("J02.9", "Acute pharyngitis"),
        Clinic,
        (3, 110),
        70,
        10,
    ),
    Illness {
        drugs: &[ACETAMINOPHEN],
        treatments: &[&CHEST_XRAY],
        ..illness(
            snomed("10509002", "Acute bronchitis"),
            icd10("J20.9", "Acute bronchitis"),
            Clinic,
            (2, 110),
            60,
            18,
        )
    },
    Illness {
        drugs: &[AMOXICILLIN],
        ..illness(
            snomed("65363002", "Otitis media"),
            icd10("H66.90", "Otitis media"),
            Clinic,
            (0, 9),
            160,
            12,
        )
    },
    Illness {
        drugs: &[AMOXICILLIN],
        ..illness(
            snomed("43878008", "Streptococcal sore throat"),
            icd10("J02.0", "Streptococcal pharyngitis"),
            Clinic,
            (3, 25),
            60,
            10,
        )
    },
    Illness {
        drugs: &[drug(rxnorm("309309", "Ciprofloxacin 500 mg tablet"), TABLET, 2, 1_530)],
        ..illness(
            snomed("68566005", "Urinary tract infection"),
            icd10("N39.0", "Urinary tract infection"),
            Clinic,
            (16, 110),
            35,
            8,
        )
    },
    Illness {
        drugs: &[NAPROXEN],
        ..illness(
            snomed("279039007", "Low back pain"),
            icd10("M54.50", "Low back pain, unspecified"),
            Clinic,
            (22, 90),
            60,
            35,
        )
    },
    Illness {
        drugs: &[IBUPROFEN],
        ..illness(
            snomed("44465007", "Sprain of ankle"),
            icd10("S93.409A", "Sprain of ankle"),
            Emergency,
            (8, 70),
            30,
            24,
        )
    },
    Illness {
        drugs: &[ACETAMINOPHEN],
        treatments: &[&IMMOBILIZATION],
        ..illness(
            snomed("65966004", "Fracture of forearm"),
            icd10("S52.90XA", "Fracture of forearm"),
            Emergency,
            (4, 90),
            14,
            75,
        )
    },
    Illness {
        treatments: &[&SUTURE],
        ..illness(
            snomed("284549007", "Laceration of hand"),
            icd10("S61.419A", "Laceration of hand"),
            Emergency,
            (4, 85),
            20,
            20,
        )
    },
    Illness {
        treatments: &[&ELECTROCARDIOGRAM, &CHEST_XRAY],
        ..illness(
            snomed("29857009", "Chest pain"),
            icd10("R07.9", "Chest pain, unspecified"),
            Emergency,
            (35, 95),
            22,
            3,
        )
    },
    Illness {
        treatments: &[&APPENDECTOMY],
        ..illness(
            snomed("74400008", "Appendicitis"),
            icd10("K35.80", "Acute appendicitis"),
            Ward,
            (8, 60),
            10,
            21,
        )
    },
    Illness {
        drugs: &[AMOXICILLIN],
        treatments: &[&CHEST_XRAY],
        ..illness(
            snomed("233604007", "Pneumonia"),
            icd10("J18.9", "Pneumonia, unspecified organism"),
            Ward,
            (50, 110),
            30,
            28,
        )
    },
    Illness {
        drugs: &[ASPIRIN],
        treatments: &[&ELECTROCARDIOGRAM, &CORONARY_STENT],
        ..illness(
            snomed("22298006", "Myocardial infarction"),
            icd10("I21.9", "Acute myocardial infarction"),
            Ward,
            (50, 110),
            12,
            60,
        )
    },
    Illness {
        treatments: &[&ECHOCARDIOGRAM],
        ..illness(
            snomed("230690007", "Stroke"),
            icd10("I63.9", "Cerebral infarction"),
            Ward,
            (55, 110),
            10,
            90,
        )
    },
    Illness {
        treatments: &[&HIP_REPLACEMENT],
        ..illness(
            snomed("5913000", "Fracture of neck of femur"),
            icd10("S72.009A", "Fracture of neck of femur"),
            Ward,
            (66, 110),
            6,
            120,
        )
    },
    Illness {
        since: date(2020, 3, 1),
        ..illness(
            snomed("840539006", "COVID-19"),
            icd10("U07.1", "COVID-19"),
            Clinic,
            (5, 110),
            40,
            12,
        )
    },
];

/// What someone dies of who dies outside a hospital bed.
pub(super) static CARDIAC_ARREST: Illness = Illness {
    treatments: &[&ELECTROCARDIOGRAM],
    ..illness(
        snomed("410429000", "Cardiac arrest"),
        icd10("I46.9", "Cardiac arrest, cause unspecified"),
        Emergency,
        (0, 110),
        0,
        1,
    )
};
