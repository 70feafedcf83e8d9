//! Drugs that more than one disease or illness is treated with.
//!
//! Codes are public and well known; displays, rates and charges are our own and only roughly right.

use super::fhir::{Code, rxnorm};

/// A drug as it is prescribed.
pub(super) struct Drug {
    pub(super) code: Code,
    /// What one takes: "tablet", "puff".
    pub(super) form: &'static str,
    pub(super) per_day: i64,
    /// Submitted charge in cents for thirty days, or for one course.
    pub(super) cents: i64,
}

pub(super) const fn drug(code: Code, form: &'static str, per_day: i64, cents: i64) -> Drug {
    Drug { code, form, per_day, cents }
}

pub(super) const TABLET: &str = "tablet";
pub(super) const CAPSULE: &str = "capsule";
pub(super) const PUFF: &str = "puff";

pub(super) const ASPIRIN: Drug = drug(rxnorm("243670", "Aspirin 81 mg tablet"), TABLET, 1, 310);
pub(super) const IBUPROFEN: Drug =
    drug(rxnorm("310965", "Ibuprofen 200 mg tablet"), TABLET, 3, 720);
pub(super) const ACETAMINOPHEN: Drug =
    drug(rxnorm("313782", "Acetaminophen 325 mg tablet"), TABLET, 4, 650);
pub(super) const NAPROXEN: Drug =
    drug(rxnorm("198014", "Naproxen 500 mg tablet"), TABLET, 2, 1_140);
pub(super) const AMOXICILLIN: Drug =
    drug(rxnorm("308182", "Amoxicillin 250 mg capsule"), CAPSULE, 3, 1_280);
pub(super) const ALBUTEROL: Drug =
    drug(rxnorm("745679", "Albuterol inhaler 0.09 mg"), PUFF, 2, 4_890);
pub(super) const ATORVASTATIN: Drug =
    drug(rxnorm("617310", "Atorvastatin 20 mg tablet"), TABLET, 1, 1_390);
pub(super) const LISINOPRIL: Drug =
    drug(rxnorm("314076", "Lisinopril 10 mg tablet"), TABLET, 1, 810);
pub(super) const METOPROLOL: Drug =
    drug(rxnorm("866436", "Metoprolol ER 50 mg tablet"), TABLET, 1, 1_760);
