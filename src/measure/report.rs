//! FHIR R4 MeasureReport: the summary of all patients, and one of type individual for each.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::evaluation::{Evaluation, Patient};
use super::file;
use super::population::{Counts, Scoring};
use crate::error::{Error, ErrorKind, Result};

const POPULATION: &str = "http://terminology.hl7.org/CodeSystem/measure-population";
const IMPROVEMENT: &str = "http://terminology.hl7.org/CodeSystem/measure-improvement-notation";
const DATA_USAGE: &str = "http://terminology.hl7.org/CodeSystem/measure-data-usage";

/// Where a report refers to supplemental data: R5's `MeasureReport.supplementalData`, as R4 has it.
const SUPPLEMENTAL_DATA: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-MeasureReport.supplementalDataElement.reference";
const CRITERIA: &str =
    "http://hl7.org/fhir/us/davinci-deqm/StructureDefinition/extension-criteriaReference";

/// Writes the MeasureReport of type summary, with all counts, as one JSON file.
///
/// Fails with [`ErrorKind::Definition`] if the measure has no canonical, with [`ErrorKind::Output`] if the file cannot be
/// written.
pub fn write_summary(path: &Path, evaluation: &Evaluation, date: Timestamp) -> Result<()> {
    let report = summary(evaluation, date)?;
    file::write(path, |to| {
        serde_json::to_writer_pretty(&mut *to, &report)?;
        to.write_all(b"\n")
    })
}

/// Writes a MeasureReport of type individual for each patient of the initial population, as NDJSON that only its owner can
/// read. Supplemental data are contained Observations. Errors as [`write_summary`].
pub fn write_individual(path: &Path, evaluation: &Evaluation, date: Timestamp) -> Result<()> {
    let frame = frame(evaluation, date)?;
    file::write_private(path, |to| {
        for patient in &evaluation.patients {
            serde_json::to_writer(&mut *to, &individual(&frame, evaluation, patient))?;
            to.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// What all reports of an evaluation have.
fn frame(evaluation: &Evaluation, date: Timestamp) -> Result<Value> {
    let measure = &evaluation.measure;
    let canonical = measure.canonical().ok_or_else(|| {
        Error::new(
            ErrorKind::Definition,
            "a MeasureReport names its measure, and the file does not",
        )
        .hint("add `-- @measure: CANONICAL` to the file")
    })?;
    let mut frame = json!({
        "resourceType": "MeasureReport",
        "status": "complete",
        "measure": canonical,
        "date": date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "period": {
            "start": evaluation.period.start.to_string(),
            "end": evaluation.period.end.to_string(),
        },
    });
    if let Some(improvement) = measure.improvement {
        let code = improvement.code();
        frame["improvementNotation"] =
            json!({ "coding": [{ "system": IMPROVEMENT, "code": code }] });
    }
    Ok(frame)
}

pub(super) fn summary(evaluation: &Evaluation, date: Timestamp) -> Result<Value> {
    let mut report = frame(evaluation, date)?;
    report["id"] = json!(id(evaluation, ""));
    report["type"] = json!("summary");
    let mut group = counted(evaluation, &evaluation.counts());
    let strata = evaluation.strata();
    let stratifier = |stratifier: &super::Stratifier| {
        let stratum = |(value, counts): &_| stratum(evaluation, Option::as_deref(value), counts);
        let strata: Vec<_> = stratifier.strata.iter().map(stratum).collect();
        json!({ "code": [{ "text": stratifier.name }], "stratum": strata })
    };
    if !strata.is_empty() {
        group["stratifier"] = strata.iter().map(stratifier).collect();
    }
    report["group"] = json!([group]);
    Ok(report)
}

fn individual(frame: &Value, evaluation: &Evaluation, patient: &Patient) -> Value {
    let mut counts = Counts::default();
    counts.add(patient.populations);
    let subject = json!({ "reference": format!("Patient/{}", patient.id) });
    let mut group = counted(evaluation, &counts);
    let stratifier = |(name, value): (&String, &Option<String>)| {
        let stratum = stratum(evaluation, value.as_deref(), &counts);
        json!({ "code": [{ "text": name }], "stratum": [stratum] })
    };
    if !patient.strata.is_empty() {
        group["stratifier"] =
            evaluation.stratifiers.iter().zip(&patient.strata).map(stratifier).collect();
    }
    let mut report = frame.clone();
    report["id"] = json!(id(evaluation, &patient.id));
    report["type"] = json!("individual");
    report["subject"] = subject;
    report["group"] = json!([group]);
    supply(&mut report, evaluation, patient);
    report
}

/// Adds the supplemental data of a patient: an Observation each, which the report refers to.
fn supply(report: &mut Value, evaluation: &Evaluation, patient: &Patient) {
    let (mut contained, mut references) = (Vec::new(), Vec::new());
    for (element, value) in evaluation.supplemental.iter().zip(&patient.supplemental) {
        let Some(value) = value else { continue };
        // Ids of FHIR have no underscores.
        let id = format!("sde-{}", element.replace('_', "-"));
        contained.push(json!({
            "resourceType": "Observation",
            "id": id,
            "status": "final",
            "code": {
                "coding": [{ "system": DATA_USAGE, "code": "supplemental-data" }],
                "text": element,
            },
            "subject": report["subject"],
            "valueString": value,
        }));
        references.push(json!({
            "url": SUPPLEMENTAL_DATA,
            "valueReference": {
                "reference": format!("#{id}"),
                "extension": [{ "url": CRITERIA, "valueString": id }],
            },
        }));
    }
    if !contained.is_empty() {
        report["contained"] = Value::Array(contained);
        report["extension"] = Value::Array(references);
    }
}

fn stratum(evaluation: &Evaluation, value: Option<&str>, counts: &Counts) -> Value {
    let mut stratum = counted(evaluation, counts);
    stratum["value"] = match value {
        Some(value) => json!({ "text": value }),
        None => json!({ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
            "code": "unknown",
        }] }),
    };
    stratum
}

/// `population` and `measureScore`, of a group or of a stratum.
fn counted(evaluation: &Evaluation, counts: &Counts) -> Value {
    let population = |population: &super::Population| {
        let coding = json!({ "system": POPULATION, "code": population.code(), "display": population.display() });
        json!({ "code": { "coding": [coding] }, "count": counts.of(*population) })
    };
    let populations: Vec<_> = evaluation.populations.iter().map(population).collect();
    let mut counted = json!({ "population": populations });
    let score = counts.score().filter(|_| evaluation.measure.scoring == Scoring::Proportion);
    if let Some(score) = score {
        counted["measureScore"] = json!({ "value": score });
    }
    counted
}

/// The same for the same measure, period and patient, so that a report takes the place of the one before it.
fn id(evaluation: &Evaluation, patient: &str) -> String {
    let measure = evaluation.measure.canonical().unwrap_or_default();
    let period = evaluation.period;
    let text = format!("{measure} {} {} {patient}", period.start, period.end);
    let digest = Sha256::digest(text.as_bytes());
    let half = digest[..16].iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{half:032x}")
}
