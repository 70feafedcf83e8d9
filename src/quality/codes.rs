//! Codes: how many are of a public system, and of which systems they are.

use super::asking::{Ask, groups};
use super::shape::{Code, Shape};
use super::{Check, Measure};
use crate::error::Result;
use crate::query::Engine;

/// How the urls of public code systems begin. What is not here is a system of the source's own.
const PUBLIC: [&str; 22] = [
    "http://loinc.org",
    "http://snomed.info/sct",
    "http://www.nlm.nih.gov/research/umls/",
    "http://hl7.org/fhir/",
    "http://terminology.hl7.org/",
    "http://unitsofmeasure.org",
    "http://www.ama-assn.org/go/cpt",
    "http://www.cms.gov/",
    "https://www.cms.gov/",
    "https://bluebutton.cms.gov/",
    "http://nucc.org/provider-taxonomy",
    "http://www.ada.org/cdt",
    "http://www.whocc.no/atc",
    "http://fdasis.nlm.nih.gov",
    "http://dicom.nema.org/",
    "http://varnomen.hgvs.org",
    "https://nahdo.org/sopt",
    "https://www.usps.com/",
    "urn:iso:std:",
    "urn:ietf:",
    "urn:oid:2.16.840.1.113883.5.",
    "urn:oid:2.16.840.1.113883.6.",
];

/// What stands for codes without a system.
const NONE: &str = "(none)";

/// Longer systems are cut: what is no url may be anything.
const SYSTEM_CHARACTERS: usize = 120;

/// Whether a system is public.
pub(super) fn is_public(system: &str) -> bool {
    PUBLIC.iter().any(|beginning| system.starts_with(beginning))
}

/// Rows with a code of a public system, among those with a code or its text.
pub(super) fn coded(shape: &Shape<'_>) -> Vec<Ask> {
    let ask = |Code { name, value, system, text }: Code| {
        let public = PUBLIC.map(|beginning| format!("starts_with({system}, '{beginning}')"));
        let said = text.map_or_else(String::new, |text| format!(" OR {text} IS NOT NULL"));
        Ask {
            check: Check::Coded,
            column: name,
            detail: String::new(),
            numerator: format!(
                "count(*) FILTER (WHERE {value} IS NOT NULL AND ({}))",
                public.join(" OR ")
            ),
            denominator: format!("count(*) FILTER (WHERE {value} IS NOT NULL{said})"),
        }
    };
    shape.codes().into_iter().map(ask).collect()
}

/// The codes of each system, among all codes of a column; in coding tables, for each element.
pub(super) async fn systems(engine: &Engine, shape: &Shape<'_>) -> Result<Vec<Measure>> {
    let element = if shape.has("element") && shape.has("system") { "element" } else { "''" };
    let of = |(i, code): (usize, &Code)| {
        let Code { value, system, .. } = code;
        format!(
            "SELECT '{i}' AS i, {element} AS element, {system} AS system, count(*) AS n FROM {} \
             WHERE {value} IS NOT NULL GROUP BY 1, 2, 3",
            shape.quoted_name()
        )
    };
    let codes = shape.codes();
    if codes.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<_> = codes.iter().enumerate().map(of).collect();
    let sql = format!("{} ORDER BY i, element, n DESC, system", parts.join(" UNION ALL "));
    let found = groups(engine, &sql).await?;
    let total = |i: &str, element: &str| {
        let same = found.iter().filter(|(keys, _)| keys[0] == i && keys[1] == element);
        same.map(|(_, n)| n).sum()
    };
    let measure = |(keys, n): &(Vec<String>, u64)| {
        let [i, element, system] = &keys[..] else { return None };
        let system: String = match system.as_str() {
            "" => NONE.to_owned(),
            system => system.chars().take(SYSTEM_CHARACTERS).collect(),
        };
        let within = if element.is_empty() { String::new() } else { format!("{element}: ") };
        Some(Measure {
            table: shape.name().to_owned(),
            column: codes.get(i.parse::<usize>().ok()?)?.name.clone(),
            check: Check::System,
            detail: within + &system,
            numerator: *n,
            denominator: total(i, element),
        })
    };
    Ok(found.iter().filter_map(measure).collect())
}
