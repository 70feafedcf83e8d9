//! What is measured: laboratory panels and vital signs, with units and usual ranges.

use super::fhir::{Code, loinc};

/// Something measured as a number.
pub(super) struct Measure {
    pub(super) code: Code,
    pub(super) unit: &'static str,
    pub(super) ucum: &'static str,
    /// Decimal places reported.
    pub(super) scale: u32,
    /// Usual values of a healthy adult, in units of the last decimal place.
    pub(super) usual: (i64, i64),
}

/// Measures ordered together and reported in one `DiagnosticReport`.
pub(super) struct Panel {
    pub(super) code: Code,
    pub(super) measures: &'static [&'static Measure],
    /// Submitted charge in cents.
    pub(super) cents: i64,
}

const fn measure(
    code: Code,
    unit: &'static str,
    ucum: &'static str,
    scale: u32,
    usual: (i64, i64),
) -> Measure {
    Measure { code, unit, ucum, scale, usual }
}

const MG_DL: &str = "mg/dL";
const MMOL_L: &str = "mmol/L";

pub(super) static HBA1C: Measure =
    measure(loinc("4548-4", "Hemoglobin A1c"), "%", "%", 1, (49, 56));
pub(super) static GLUCOSE: Measure = measure(loinc("2345-7", "Glucose"), MG_DL, MG_DL, 0, (74, 99));
pub(super) static CREATININE: Measure =
    measure(loinc("2160-0", "Creatinine"), MG_DL, MG_DL, 2, (65, 115));
pub(super) static UREA: Measure =
    measure(loinc("3094-0", "Urea nitrogen"), MG_DL, MG_DL, 0, (8, 20));
pub(super) static SODIUM: Measure =
    measure(loinc("2951-2", "Sodium"), MMOL_L, MMOL_L, 0, (136, 144));
pub(super) static POTASSIUM: Measure =
    measure(loinc("2823-3", "Potassium"), MMOL_L, MMOL_L, 1, (36, 50));
pub(super) static CALCIUM: Measure =
    measure(loinc("17861-6", "Calcium"), MG_DL, MG_DL, 1, (87, 102));
pub(super) static FILTRATION: Measure = measure(
    loinc("33914-3", "Estimated glomerular filtration rate"),
    "mL/min/{1.73_m2}",
    "mL/min/{1.73_m2}",
    0,
    (72, 115),
);
pub(super) static CHOLESTEROL: Measure =
    measure(loinc("2093-3", "Total cholesterol"), MG_DL, MG_DL, 0, (150, 198));
pub(super) static TRIGLYCERIDES: Measure =
    measure(loinc("2571-8", "Triglycerides"), MG_DL, MG_DL, 0, (60, 148));
pub(super) static HDL: Measure =
    measure(loinc("2085-9", "HDL cholesterol"), MG_DL, MG_DL, 0, (42, 72));
pub(super) static LDL: Measure =
    measure(loinc("13457-7", "LDL cholesterol, calculated"), MG_DL, MG_DL, 0, (78, 128));
pub(super) static TSH: Measure =
    measure(loinc("3016-3", "Thyrotropin"), "mIU/L", "m[IU]/L", 2, (60, 400));
pub(super) static HEMOGLOBIN: Measure =
    measure(loinc("718-7", "Hemoglobin"), "g/dL", "g/dL", 1, (122, 166));
pub(super) static LEUKOCYTES: Measure =
    measure(loinc("6690-2", "Leukocytes"), "10*3/uL", "10*3/uL", 1, (43, 105));
pub(super) static PLATELETS: Measure =
    measure(loinc("777-3", "Platelets"), "10*3/uL", "10*3/uL", 0, (155, 380));
pub(super) static URINE_ALBUMIN: Measure =
    measure(loinc("14959-1", "Urine albumin to creatinine ratio"), "mg/g", "mg/g", 1, (40, 260));
pub(super) static INR: Measure = measure(loinc("6301-6", "INR"), "{INR}", "{INR}", 1, (9, 11));
pub(super) static NATRIURETIC_PEPTIDE: Measure =
    measure(loinc("33762-6", "NT-proBNP"), "pg/mL", "pg/mL", 0, (30, 120));

pub(super) static METABOLIC: Panel = Panel {
    code: loinc("51990-0", "Basic metabolic panel"),
    measures: &[&GLUCOSE, &UREA, &CREATININE, &SODIUM, &POTASSIUM, &CALCIUM, &FILTRATION],
    cents: 4_810,
};
pub(super) static LIPIDS: Panel = Panel {
    code: loinc("57698-3", "Lipid panel"),
    measures: &[&CHOLESTEROL, &TRIGLYCERIDES, &HDL, &LDL],
    cents: 5_230,
};
pub(super) static BLOOD_COUNT: Panel = Panel {
    code: loinc("58410-2", "Complete blood count"),
    measures: &[&HEMOGLOBIN, &LEUKOCYTES, &PLATELETS],
    cents: 3_640,
};
pub(super) static GLYCATED: Panel =
    Panel { code: loinc("4548-4", "Hemoglobin A1c"), measures: &[&HBA1C], cents: 3_870 };
pub(super) static KIDNEY: Panel = Panel {
    code: loinc("14959-1", "Urine albumin to creatinine ratio"),
    measures: &[&URINE_ALBUMIN],
    cents: 3_010,
};
pub(super) static THYROID: Panel =
    Panel { code: loinc("3016-3", "Thyrotropin"), measures: &[&TSH], cents: 6_150 };
pub(super) static COAGULATION: Panel =
    Panel { code: loinc("34528-0", "Prothrombin time panel"), measures: &[&INR], cents: 2_290 };
pub(super) static HEART_STRAIN: Panel =
    Panel { code: loinc("33762-6", "NT-proBNP"), measures: &[&NATRIURETIC_PEPTIDE], cents: 9_480 };

pub(super) static SYSTOLIC: Measure =
    measure(loinc("8480-6", "Systolic blood pressure"), "mm[Hg]", "mm[Hg]", 0, (104, 130));
pub(super) static DIASTOLIC: Measure =
    measure(loinc("8462-4", "Diastolic blood pressure"), "mm[Hg]", "mm[Hg]", 0, (64, 82));
pub(super) static HEIGHT: Measure =
    measure(loinc("8302-2", "Body height"), "cm", "cm", 1, (1480, 1960));
pub(super) static WEIGHT: Measure =
    measure(loinc("29463-7", "Body weight"), "kg", "kg", 1, (450, 1100));
pub(super) static BODY_MASS_INDEX: Measure =
    measure(loinc("39156-5", "Body mass index"), "kg/m2", "kg/m2", 1, (185, 249));
pub(super) static HEART_RATE: Measure =
    measure(loinc("8867-4", "Heart rate"), "/min", "/min", 0, (58, 92));
pub(super) static BREATHS: Measure =
    measure(loinc("9279-1", "Respiratory rate"), "/min", "/min", 0, (12, 18));
pub(super) static TEMPERATURE: Measure =
    measure(loinc("8310-5", "Body temperature"), "Cel", "Cel", 1, (363, 372));
pub(super) static OXYGEN: Measure =
    measure(loinc("2708-6", "Oxygen saturation in arterial blood"), "%", "%", 0, (95, 99));
