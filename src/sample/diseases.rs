//! Diseases that stay: who gets them, what they do to measures, what is taken against them.
//!
//! Codes are public and well known; displays, rates and charges are our own and only roughly right.

use super::drugs::{
    ALBUTEROL, ASPIRIN, ATORVASTATIN, CAPSULE, Drug, LISINOPRIL, METOPROLOL, NAPROXEN, PUFF,
    TABLET, drug,
};
use super::fhir::{Code, icd10, rxnorm, snomed};
use super::measures::{
    BLOOD_COUNT, COAGULATION, CREATININE, DIASTOLIC, FILTRATION, GLUCOSE, GLYCATED, HBA1C, HDL,
    HEART_STRAIN, INR, KIDNEY, LDL, LIPIDS, METABOLIC, Measure, NATRIURETIC_PEPTIDE, OXYGEN, Panel,
    SYSTOLIC, THYROID, TRIGLYCERIDES, TSH, URINE_ALBUMIN,
};

/// A disease that stays.
pub(super) struct Disease {
    pub(super) code: Code,
    pub(super) diagnosis: Code,
    /// First and last age of onset.
    pub(super) onset: (i64, i64),
    /// Permille who ever get it: men, women.
    pub(super) lifetime: [i64; 2],
    /// Months between reviews; 0 for none of its own.
    pub(super) review: i64,
    /// First choice first; a patient takes one or two.
    pub(super) drugs: &'static [Drug],
    pub(super) panels: &'static [&'static Panel],
    pub(super) effects: &'static [Effect],
}

/// How a disease moves a measure: from its range at diagnosis to that under treatment.
pub(super) struct Effect(pub(super) &'static Measure, pub(super) (i64, i64), pub(super) (i64, i64));

const NO_EFFECTS: &[Effect] = &[];

pub(super) static DISEASES: [Disease; 15] = [
    Disease {
        code: snomed("59621000", "Essential hypertension"),
        diagnosis: icd10("I10", "Essential hypertension"),
        onset: (32, 74),
        lifetime: [520, 470],
        review: 6,
        drugs: &[
            LISINOPRIL,
            drug(rxnorm("197361", "Amlodipine 5 mg tablet"), TABLET, 1, 890),
            drug(rxnorm("310798", "Hydrochlorothiazide 25 mg tablet"), TABLET, 1, 540),
        ],
        panels: &[&METABOLIC],
        effects: &[
            Effect(&SYSTOLIC, (142, 172), (118, 148)),
            Effect(&DIASTOLIC, (86, 104), (72, 92)),
        ],
    },
    Disease {
        code: snomed("44054006", "Type 2 diabetes mellitus"),
        diagnosis: icd10("E11.9", "Type 2 diabetes without complications"),
        onset: (36, 72),
        lifetime: [240, 210],
        review: 6,
        drugs: &[
            drug(rxnorm("861007", "Metformin 500 mg tablet"), TABLET, 2, 980),
            drug(rxnorm("106892", "Insulin isophane/regular 70/30"), "unit", 20, 13_450),
        ],
        panels: &[&GLYCATED, &METABOLIC, &KIDNEY],
        effects: &[
            Effect(&HBA1C, (70, 114), (60, 100)),
            Effect(&GLUCOSE, (138, 262), (104, 208)),
            Effect(&TRIGLYCERIDES, (130, 280), (110, 230)),
            Effect(&URINE_ALBUMIN, (60, 900), (60, 1_400)),
        ],
    },
    Disease {
        code: snomed("55822004", "Hyperlipidemia"),
        diagnosis: icd10("E78.5", "Hyperlipidemia, unspecified"),
        onset: (34, 70),
        lifetime: [460, 430],
        review: 12,
        drugs: &[ATORVASTATIN, drug(rxnorm("312961", "Simvastatin 20 mg tablet"), TABLET, 1, 940)],
        panels: &[&LIPIDS],
        effects: &[
            Effect(&LDL, (152, 212), (68, 128)),
            Effect(&HDL, (32, 52), (36, 56)),
            Effect(&TRIGLYCERIDES, (140, 260), (110, 190)),
        ],
    },
    Disease {
        code: snomed("195967001", "Asthma"),
        diagnosis: icd10("J45.909", "Asthma, uncomplicated"),
        onset: (3, 35),
        lifetime: [95, 120],
        review: 12,
        drugs: &[ALBUTEROL, drug(rxnorm("895994", "Fluticasone inhaler 0.044 mg"), PUFF, 2, 9_870)],
        panels: &[],
        effects: &[Effect(&OXYGEN, (92, 97), (94, 99))],
    },
    Disease {
        code: snomed("370143000", "Major depressive disorder"),
        diagnosis: icd10("F32.9", "Major depressive disorder, single episode"),
        onset: (15, 60),
        lifetime: [100, 185],
        review: 6,
        drugs: &[
            drug(rxnorm("312941", "Sertraline 50 mg tablet"), TABLET, 1, 1_120),
            drug(rxnorm("310385", "Fluoxetine 20 mg capsule"), CAPSULE, 1, 970),
        ],
        panels: &[],
        effects: NO_EFFECTS,
    },
    Disease {
        code: snomed("197480006", "Anxiety disorder"),
        diagnosis: icd10("F41.9", "Anxiety disorder, unspecified"),
        onset: (14, 50),
        lifetime: [90, 150],
        review: 12,
        drugs: &[drug(rxnorm("349332", "Escitalopram 10 mg tablet"), TABLET, 1, 1_050)],
        panels: &[],
        effects: NO_EFFECTS,
    },
    Disease {
        code: snomed("433144002", "Chronic kidney disease stage 3"),
        diagnosis: icd10("N18.30", "Chronic kidney disease, stage 3"),
        onset: (58, 82),
        lifetime: [150, 140],
        review: 6,
        drugs: &[],
        panels: &[&METABOLIC, &KIDNEY],
        effects: &[
            Effect(&CREATININE, (128, 190), (130, 215)),
            Effect(&FILTRATION, (38, 58), (32, 57)),
            Effect(&URINE_ALBUMIN, (300, 2_400), (300, 2_900)),
        ],
    },
    Disease {
        code: snomed("53741008", "Coronary artery disease"),
        diagnosis: icd10("I25.10", "Coronary artery disease of native vessel"),
        onset: (50, 80),
        lifetime: [220, 130],
        review: 6,
        drugs: &[
            drug(rxnorm("309362", "Clopidogrel 75 mg tablet"), TABLET, 1, 1_630),
            ASPIRIN,
            METOPROLOL,
        ],
        panels: &[&LIPIDS, &BLOOD_COUNT],
        effects: NO_EFFECTS,
    },
    Disease {
        code: snomed("49436004", "Atrial fibrillation"),
        diagnosis: icd10("I48.91", "Atrial fibrillation, unspecified"),
        onset: (60, 86),
        lifetime: [150, 120],
        review: 6,
        drugs: &[
            drug(rxnorm("855332", "Warfarin 5 mg tablet"), TABLET, 1, 1_240),
            drug(rxnorm("1364445", "Apixaban 5 mg tablet"), TABLET, 2, 56_800),
        ],
        panels: &[&COAGULATION],
        effects: &[Effect(&INR, (10, 12), (19, 32))],
    },
    Disease {
        code: snomed("84114007", "Heart failure"),
        diagnosis: icd10("I50.9", "Heart failure, unspecified"),
        onset: (62, 88),
        lifetime: [120, 100],
        review: 6,
        drugs: &[drug(rxnorm("313988", "Furosemide 40 mg tablet"), TABLET, 1, 690), METOPROLOL],
        panels: &[&METABOLIC, &HEART_STRAIN],
        effects: &[
            Effect(&NATRIURETIC_PEPTIDE, (900, 4_800), (420, 2_600)),
            Effect(&OXYGEN, (90, 95), (92, 97)),
        ],
    },
    Disease {
        code: snomed("13645005", "Chronic obstructive pulmonary disease"),
        diagnosis: icd10("J44.9", "Chronic obstructive pulmonary disease"),
        onset: (50, 78),
        lifetime: [110, 95],
        review: 6,
        drugs: &[
            drug(rxnorm("896209", "Fluticasone/salmeterol inhaler"), PUFF, 2, 21_400),
            ALBUTEROL,
        ],
        panels: &[],
        effects: &[Effect(&OXYGEN, (89, 94), (90, 96))],
    },
    Disease {
        code: snomed("40930008", "Hypothyroidism"),
        diagnosis: icd10("E03.9", "Hypothyroidism, unspecified"),
        onset: (28, 70),
        lifetime: [25, 110],
        review: 12,
        drugs: &[drug(rxnorm("966222", "Levothyroxine 0.075 mg tablet"), TABLET, 1, 1_180)],
        panels: &[&THYROID],
        effects: &[Effect(&TSH, (620, 1_480), (90, 470))],
    },
    Disease {
        code: snomed("396275006", "Osteoarthritis"),
        diagnosis: icd10("M19.90", "Osteoarthritis, unspecified site"),
        onset: (48, 80),
        lifetime: [230, 310],
        review: 0,
        drugs: &[NAPROXEN],
        panels: &[],
        effects: NO_EFFECTS,
    },
    Disease {
        code: snomed("64859006", "Osteoporosis"),
        diagnosis: icd10("M81.0", "Age-related osteoporosis"),
        onset: (58, 84),
        lifetime: [40, 190],
        review: 12,
        drugs: &[drug(rxnorm("904419", "Alendronic acid 10 mg tablet"), TABLET, 1, 1_460)],
        panels: &[],
        effects: NO_EFFECTS,
    },
    Disease {
        code: snomed("235595009", "Gastroesophageal reflux disease"),
        diagnosis: icd10("K21.9", "Gastroesophageal reflux without esophagitis"),
        onset: (25, 70),
        lifetime: [180, 190],
        review: 0,
        drugs: &[drug(rxnorm("198051", "Omeprazole 20 mg capsule"), CAPSULE, 1, 1_010)],
        panels: &[],
        effects: NO_EFFECTS,
    },
];
