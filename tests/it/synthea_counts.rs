//! What the Synthea export must give, counted by plain `serde_json` without any code of Kiln.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// The number of rows of each table that is written by default and of whose type the `.ndjson.gz` files in `dir` hold
/// resources.
pub(crate) fn expected_counts(dir: &Path) -> BTreeMap<String, u64> {
    let mut expected = BTreeMap::new();
    for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(kind) = name.strip_suffix(".ndjson.gz").filter(|kind| *kind != "ImagingStudy")
        else {
            continue;
        };
        let (all, snake) = (resources(dir, kind), snake(kind));
        let mut put = |table: &str, rows: usize| {
            assert_eq!(expected.insert(table.to_owned(), rows as u64), None, "{table}");
        };
        put(&snake, all.len());
        for (part, path) in parts(kind) {
            put(&format!("{snake}_{part}"), all.iter().map(|it| reached(it, path)).sum());
        }
        if !matches!(kind, "Claim" | "ExplanationOfBenefit") {
            put(&format!("{snake}_coding"), all.iter().map(codings).sum());
        }
        if kind == "Observation" {
            let of_category = |code: &str| all.iter().filter(|it| has_category(it, code)).count();
            let of_code = |code: &str| all.iter().filter(|it| has_code(it, code)).count();
            put("laboratory_result", of_category("laboratory"));
            // Blood pressures have a table of their own.
            put("vital_sign", of_category("vital-signs") - of_code("85354-9"));
            put("smoking_status", of_code("72166-2"));
            put("blood_pressure", of_code("85354-9"));
        }
    }
    expected
}

/// The tables with one row for each element that a path of lists reaches, by the end of their names.
fn parts(kind: &str) -> &'static [(&'static str, &'static str)] {
    match kind {
        "AllergyIntolerance" => &[("reaction", "reaction")],
        "CarePlan" => &[("activity", "activity")],
        "CareTeam" => &[("participant", "participant")],
        "Claim" => &[
            ("diagnosis", "diagnosis"),
            ("item", "item"),
            ("procedure", "procedure"),
            ("supporting_info", "supportingInfo"),
        ],
        "Device" => &[("udi", "udiCarrier")],
        "DiagnosticReport" => {
            &[("media", "media"), ("presented_form", "presentedForm"), ("result", "result")]
        }
        "Encounter" => &[
            ("diagnosis", "diagnosis"),
            ("identifier", "identifier"),
            ("location", "location"),
            ("participant", "participant"),
            ("reason", "reasonReference"),
        ],
        "ExplanationOfBenefit" => &[
            ("adjudication", "adjudication"),
            ("benefit", "benefitBalance.financial"),
            ("care_team", "careTeam"),
            ("diagnosis", "diagnosis"),
            ("item", "item"),
            ("item_adjudication", "item.adjudication"),
            ("item_detail", "item.detail"),
            ("procedure", "procedure"),
            ("supporting_info", "supportingInfo"),
            ("total", "total"),
        ],
        "MedicationRequest" => &[("dosage", "dosageInstruction"), ("reason", "reasonReference")],
        "Observation" => &[
            ("component", "component"),
            ("member", "hasMember"),
            ("reference_range", "referenceRange"),
        ],
        "Organization" => {
            &[("address", "address"), ("identifier", "identifier"), ("telecom", "telecom")]
        }
        "Patient" => &[
            ("address", "address"),
            ("communication", "communication"),
            ("contact", "contact"),
            ("identifier", "identifier"),
            ("name", "name"),
            ("telecom", "telecom"),
        ],
        "Practitioner" => &[
            ("address", "address"),
            ("identifier", "identifier"),
            ("name", "name"),
            ("qualification", "qualification"),
            ("telecom", "telecom"),
        ],
        "Procedure" => &[("reason", "reasonReference")],
        _ => &[],
    }
}

/// How many elements a path of lists reaches.
fn reached(it: &Value, path: &str) -> usize {
    match path.split_once('.') {
        None => list(it, path).len(),
        Some((first, rest)) => list(it, first).iter().map(|inner| reached(inner, rest)).sum(),
    }
}

/// How many codings an element has at any depth: those of CodeableConcepts, `Encounter.class`, and the values of race
/// and ethnicity; what is contained is another resource.
fn codings(it: &Value) -> usize {
    let of = |(key, inner): (&String, &Value)| match key.as_str() {
        "contained" | "meta" => 0,
        "extension" => list(it, key).iter().map(race_or_ethnicity).sum(),
        "coding" => inner.as_array().map_or(0, Vec::len),
        "class" => 1,
        _ => codings(inner),
    };
    match it {
        Value::Object(object) => object.iter().map(of).sum(),
        Value::Array(items) => items.iter().map(codings).sum(),
        _ => 0,
    }
}

fn race_or_ethnicity(extension: &Value) -> usize {
    let url = extension["url"].as_str().unwrap_or_default();
    let parts = list(extension, "extension").iter();
    let coded =
        parts.filter(|part| matches!(part["url"].as_str(), Some("ombCategory" | "detailed")));
    if url.ends_with("us-core-race") || url.ends_with("us-core-ethnicity") {
        coded.count()
    } else {
        0
    }
}

fn has_category(it: &Value, code: &str) -> bool {
    list(it, "category").iter().flat_map(|of| list(of, "coding")).any(|of| of["code"] == code)
}

fn has_code(it: &Value, code: &str) -> bool {
    list(&it["code"], "coding").iter().any(|of| of["code"] == code)
}

/// `CarePlan` as `care_plan`.
fn snake(kind: &str) -> String {
    let mut name = String::new();
    for c in kind.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// What `SELECT CAST(<expression> AS VARCHAR) FROM <table>` must print, by (table, expression).
pub(crate) fn expected_sums(dir: &Path) -> BTreeMap<(String, String), String> {
    let by_table = [
        ("patient", patient(&resources(dir, "Patient"))),
        ("patient_address", patient_address(&resources(dir, "Patient"))),
        ("condition", condition(&resources(dir, "Condition"))),
        ("encounter", encounter(&resources(dir, "Encounter"))),
        ("observation", observation(&resources(dir, "Observation"))),
        ("observation_component", observation_component(&resources(dir, "Observation"))),
        ("medication_request", medication_request(&resources(dir, "MedicationRequest"))),
        ("procedure", procedure(&resources(dir, "Procedure"))),
        ("immunization", immunization(&resources(dir, "Immunization"))),
        ("diagnostic_report", diagnostic_report(&resources(dir, "DiagnosticReport"))),
        ("allergy_intolerance", allergy_intolerance(&resources(dir, "AllergyIntolerance"))),
        ("explanation_of_benefit_item", benefit_item(&resources(dir, "ExplanationOfBenefit"))),
        ("claim", claim(&resources(dir, "Claim"))),
        ("organization", organization(&resources(dir, "Organization"))),
        ("practitioner", practitioner(&resources(dir, "Practitioner"))),
    ];
    let mut sums = BTreeMap::new();
    for (table, checks) in by_table {
        for (expression, value) in checks {
            sums.insert((table.to_owned(), expression.to_owned()), value);
        }
    }
    sums
}

type Checks = Vec<(&'static str, String)>;

fn patient(all: &[Value]) -> Checks {
    let births: BTreeSet<&str> = texts(all, "/birthDate").collect();
    let race = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race";
    let with_race = all.iter().filter(|it| list(it, "extension").iter().any(|e| e["url"] == race));
    let order: i64 = all.iter().filter_map(|it| it["multipleBirthInteger"].as_i64()).sum();
    vec![
        ("count(DISTINCT id)", distinct(texts(all, "/id"))),
        ("min(birth_date)", births.first().map_or_else(String::new, |day| (*day).to_owned())),
        ("max(birth_date)", births.last().map_or_else(String::new, |day| (*day).to_owned())),
        ("count(race_code)", with_race.count().to_string()),
        ("count(DISTINCT family_name)", distinct(texts(all, "/name/0/family"))),
        ("sum(multiple_birth_order)", order.to_string()),
    ]
}

fn patient_address(all: &[Value]) -> Checks {
    let addresses: Vec<&Value> = all.iter().flat_map(|it| list(it, "address")).collect();
    let zips = addresses.iter().filter_map(|it| it["postalCode"].as_str());
    let prefixes: Vec<&str> = zips.filter_map(|zip| zip.get(..3)).collect();
    vec![
        ("count(zip3)", prefixes.len().to_string()),
        ("count(DISTINCT zip3)", distinct(prefixes.into_iter())),
    ]
}

fn condition(all: &[Value]) -> Checks {
    vec![
        ("count(DISTINCT patient_id)", distinct(texts(all, "/subject/reference"))),
        ("count(DISTINCT code)", distinct(texts(all, "/code/coding/0/code"))),
        ("count(abatement_start_date)", texts(all, "/abatementDateTime").count().to_string()),
        ("count(DISTINCT onset_start_date)", distinct(days(all, "/onsetDateTime"))),
    ]
}

fn encounter(all: &[Value]) -> Checks {
    let lasting = all.iter().filter(|it| instant(it, "/period/start") < instant(it, "/period/end"));
    let disposition = "/hospitalization/dischargeDisposition/coding/0/code";
    vec![
        ("max(period_end_date)", days(all, "/period/end").max().unwrap_or_default().to_owned()),
        (
            "sum(CASE WHEN period_start_at < period_end_at THEN 1 ELSE 0 END)",
            lasting.count().to_string(),
        ),
        ("count(discharge_disposition_code)", texts(all, disposition).count().to_string()),
        (
            "count(DISTINCT practitioner_id)",
            distinct(texts(all, "/participant/0/individual/reference")),
        ),
    ]
}

fn observation(all: &[Value]) -> Checks {
    let quantities: Vec<&Value> =
        all.iter().filter_map(|it| it.pointer("/valueQuantity/value")).collect();
    let concepts = texts(all, "/valueCodeableConcept/coding/0/code");
    vec![
        ("count(value_quantity)", quantities.len().to_string()),
        ("sum(value_quantity)", exact_sum(quantities.into_iter(), 9)),
        ("count(value_concept_code)", concepts.count().to_string()),
        ("count(DISTINCT code)", distinct(texts(all, "/code/coding/0/code"))),
        (
            "min(effective_start_date)",
            days(all, "/effectiveDateTime").min().unwrap_or_default().to_owned(),
        ),
    ]
}

fn observation_component(all: &[Value]) -> Checks {
    let components = all.iter().flat_map(|it| list(it, "component"));
    let values = components.filter_map(|it| it.pointer("/valueQuantity/value"));
    let parents = all.iter().filter(|it| !list(it, "component").is_empty());
    vec![
        ("sum(value_quantity)", exact_sum(values, 9)),
        ("count(DISTINCT observation_id)", parents.count().to_string()),
    ]
}

fn medication_request(all: &[Value]) -> Checks {
    let active = texts(all, "/status").filter(|status| *status == "active");
    vec![
        (
            "count(reason_condition_id)",
            texts(all, "/reasonReference/0/reference").count().to_string(),
        ),
        ("sum(CASE WHEN status = 'active' THEN 1 ELSE 0 END)", active.count().to_string()),
    ]
}

fn procedure(all: &[Value]) -> Checks {
    vec![
        (
            "count(reason_condition_id)",
            texts(all, "/reasonReference/0/reference").count().to_string(),
        ),
        ("count(performed_end_at)", texts(all, "/performedPeriod/end").count().to_string()),
    ]
}

fn immunization(all: &[Value]) -> Checks {
    let primary = all.iter().filter(|it| it["primarySource"] == true);
    vec![
        ("sum(CASE WHEN primary_source THEN 1 ELSE 0 END)", primary.count().to_string()),
        ("count(DISTINCT vaccine_code)", distinct(texts(all, "/vaccineCode/coding/0/code"))),
    ]
}

/// The ids of the results are joined by commas, so their total length tells that none is missing.
fn diagnostic_report(all: &[Value]) -> Checks {
    let prefix = "Observation/".len();
    let joined = |it: &Value| -> usize {
        let ids = list(it, "result").iter().filter_map(|result| result["reference"].as_str());
        ids.map(|id| id.len() - prefix + 1).sum::<usize>().saturating_sub(1)
    };
    let characters: usize = all.iter().map(joined).sum();
    vec![("sum(character_length(result_ids))", characters.to_string())]
}

fn allergy_intolerance(all: &[Value]) -> Checks {
    vec![
        ("count(DISTINCT code)", distinct(texts(all, "/code/coding/0/code"))),
        ("count(DISTINCT patient_id)", distinct(texts(all, "/patient/reference"))),
    ]
}

fn benefit_item(all: &[Value]) -> Checks {
    let items: Vec<&Value> = all.iter().flat_map(|it| list(it, "item")).collect();
    let nets = items.iter().copied().filter_map(|it| it.pointer("/net/value"));
    let sequences: i64 = items.iter().filter_map(|it| it["sequence"].as_i64()).sum();
    let paid_for = all.iter().filter(|it| !list(it, "item").is_empty());
    let coinsurances = adjudicated(&items, "line_coinsrnc_amt");
    vec![
        ("sum(net_amount)", exact_sum(nets, 2)),
        ("sum(sequence)", sequences.to_string()),
        ("count(DISTINCT explanation_of_benefit_id)", paid_for.count().to_string()),
        ("count(coinsurance_amount)", coinsurances.len().to_string()),
        ("sum(coinsurance_amount)", exact_sum(coinsurances.into_iter(), 16)),
        (
            "sum(paid_to_provider_amount)",
            exact_sum(adjudicated(&items, "line_prvdr_pmt_amt").into_iter(), 16),
        ),
    ]
}

fn claim(all: &[Value]) -> Checks {
    let totals = all.iter().filter_map(|it| it.pointer("/total/value"));
    vec![
        ("sum(total_amount)", exact_sum(totals, 2)),
        ("count(prescription_id)", texts(all, "/prescription/reference").count().to_string()),
        (
            "count(DISTINCT procedure_id)",
            distinct(texts(all, "/procedure/0/procedureReference/reference")),
        ),
    ]
}

fn organization(all: &[Value]) -> Checks {
    vec![
        ("count(phone)", texts(all, "/telecom/0/value").count().to_string()),
        ("count(DISTINCT name)", distinct(texts(all, "/name"))),
    ]
}

fn practitioner(all: &[Value]) -> Checks {
    vec![
        ("count(DISTINCT npi)", distinct(texts(all, "/identifier/0/value"))),
        ("max(family_name)", texts(all, "/name/0/family").max().unwrap_or_default().to_owned()),
    ]
}

/// The resources of one type; none if the export has no such file.
pub(crate) fn resources(dir: &Path, kind: &str) -> Vec<Value> {
    let path = dir.join(format!("{kind}.ndjson.gz"));
    if !path.exists() {
        return Vec::new();
    }
    let file = File::open(&path).expect("the export is readable");
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let lines = lines.map(|line| line.expect("the export is valid gzip and UTF-8"));
    let filled = lines.filter(|line| !line.trim().is_empty());
    let exact = filled.map(|line| decimals_as_text(&line));
    exact.map(|line| serde_json::from_str(&line).expect("a line is one JSON value")).collect()
}

/// The line with each decimal in quotes: as an f64, `serde_json` reads some one unit too low or high.
fn decimals_as_text(line: &str) -> String {
    let in_number = |c: char| matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9');
    let mut text = String::with_capacity(line.len() + 64);
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '-' | '0'..='9' => rest.find(|c| !in_number(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let quote = if first != '"' && token.contains('.') { "\"" } else { "" };
        text.extend([quote, token, quote]);
        rest = after;
    }
    text
}

/// The length in bytes of the JSON string that `text` starts with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn list<'a>(it: &'a Value, element: &str) -> &'a [Value] {
    it[element].as_array().map_or(&[], Vec::as_slice)
}

fn texts<'a>(all: &'a [Value], pointer: &'a str) -> impl Iterator<Item = &'a str> {
    all.iter().filter_map(move |it| it.pointer(pointer)?.as_str())
}

/// The calendar day as written: the first ten characters.
fn days<'a>(all: &'a [Value], pointer: &'a str) -> impl Iterator<Item = &'a str> {
    texts(all, pointer).filter_map(|at| at.get(..10))
}

fn instant(it: &Value, pointer: &str) -> jiff::Timestamp {
    let text = it.pointer(pointer).and_then(Value::as_str).expect("every encounter has a period");
    text.parse().expect("Synthea writes full instants")
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<BTreeSet<_>>().len().to_string()
}

/// The amounts of a Blue Button adjudication category, one for each line that has it.
fn adjudicated<'a>(items: &[&'a Value], variable: &str) -> Vec<&'a Value> {
    let code = format!("https://bluebutton.cms.gov/resources/variables/{variable}");
    let of_item = |item: &&'a Value| {
        let mut found = list(item, "adjudication").iter();
        found.find(|it| it.pointer("/category/coding/0/code").is_some_and(|c| *c == code))
    };
    items.iter().filter_map(of_item).filter_map(|it| it.pointer("/amount/value")).collect()
}

/// The sum of decimals, added as integers of 10^-`scale` and printed with `scale` digits.
fn exact_sum<'a>(values: impl Iterator<Item = &'a Value>, scale: usize) -> String {
    let sum: i128 = values.map(|value| scaled(value, scale)).sum();
    let digits = format!("{:0width$}", sum.abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if sum < 0 { "-" } else { "" })
}

/// A decimal (text, see [`decimals_as_text`]) or a whole number as an integer of 10^-`scale`.
fn scaled(value: &Value, scale: usize) -> i128 {
    let number = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    assert!(fraction.len() <= scale, "a number has more digits than its column");
    format!("{whole}{fraction:0<scale$}").parse().expect("Synthea writes no exponents")
}
