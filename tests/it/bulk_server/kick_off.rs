//! The kick-off request, read strictly: headers, method, every parameter.

use jiff::Timestamp;
use serde_json::Value;

use super::answer::{Answer, outcome};
use super::asked::Asked;
use super::jobs::Job;
use super::setup::Guide;
use super::sign_in::TYPES;
use super::{Shared, VENDOR_HEADER};

/// Parameters by name, as text; those of POST by their values.
type Parameters = Vec<(String, String)>;

const STU2: &[&str] = &[
    "_outputFormat",
    "_since",
    "_type",
    "_elements",
    "includeAssociatedData",
    "_typeFilter",
    "patient",
];
const STU3: &[&str] = &["_until", "organizeOutputBy", "allowPartialManifests"];

impl Shared {
    /// Begins a job, or says why not.
    pub(super) fn kick_off(&self, asked: &Asked) -> Answer {
        if let Err(refused) = self.authorized(asked) {
            return refused;
        }
        let invalid = |text: String| outcome(400, "error", "invalid", &text);
        if let Err(why) = headers(asked) {
            self.breach(format!("kick-off: {why}"));
            return invalid(why);
        }
        let get = asked.method == "GET";
        if get && self.setup.guide == Guide::Stu4 {
            return outcome(405, "error", "not-supported", "kick-off is POST");
        }
        let parameters = if get { Ok(asked.pairs()) } else { posted(asked, self.setup.guide) };
        match parameters.and_then(|p| self.checked(asked, p)) {
            Ok(parameters) => self.begin(asked, parameters),
            Err(why) => invalid(why),
        }
    }

    fn begin(&self, asked: &Asked, parameters: Parameters) -> Answer {
        let separate = asked.header("prefer").contains("separate-export-status")
            && self.setup.guide != Guide::Stu2;
        let mut record = self.record();
        record.jobs.push(Job { parameters, separate, began: self.now(), ..Job::default() });
        let location = format!("{}/jobs/{}", self.base(), record.jobs.len());
        let answer = Answer::new(202).header("content-location", &location);
        if separate {
            return answer.header("preference-applied", "respond-async, separate-export-status");
        }
        answer
    }

    fn checked(&self, asked: &Asked, parameters: Parameters) -> Result<Parameters, String> {
        let known = |name: &str| {
            STU2.contains(&name) || (self.setup.guide != Guide::Stu2 && STU3.contains(&name))
        };
        let lenient = asked.header("prefer").contains("handling=lenient");
        for (name, value) in &parameters {
            if !known(name) && !lenient {
                return Err(format!("parameter `{name}` is not supported"));
            }
            self.value(asked, name, value)?;
        }
        let types = parameters.iter().filter(|(name, _)| name == "_type").count();
        if types > 1 && asked.method == "GET" {
            return Err("`_type` comes more than once".into());
        }
        Ok(parameters)
    }

    fn value(&self, asked: &Asked, name: &str, value: &str) -> Result<(), String> {
        match name {
            "_since" | "_until" => {
                let instant: Timestamp =
                    value.parse().map_err(|_| format!("`{name}` is no instant: `{value}`"))?;
                if name == "_since" && instant > self.now() {
                    return Err("`_since` is in the future".into());
                }
            }
            "_type" => {
                for kind in value.split(',') {
                    if !TYPES.contains(&kind) {
                        return Err(format!("`{kind}` is no type"));
                    }
                    if !self.covers(asked, kind) {
                        return Err(format!("the token is not for `{kind}`"));
                    }
                }
            }
            "_outputFormat" if value != "application/fhir+ndjson" => {
                return Err("`_outputFormat` is not known".into());
            }
            "_typeFilter" if !value.contains('?') => return Err("`_typeFilter` has no `?`".into()),
            "patient" if asked.method == "GET" => return Err("`patient` needs POST".into()),
            _ => {}
        }
        Ok(())
    }

    /// Whether the headers of the own origin came, where the client has them.
    pub(super) fn foreign_headers(&self, asked: &Asked) {
        if asked.signed_in() {
            self.breach(format!("a token came to {}, which is not to have it", asked.url));
        }
        if asked.headers.contains_key(VENDOR_HEADER) {
            self.breach(format!("`{VENDOR_HEADER}` came to {}", asked.url));
        }
    }
}

fn headers(asked: &Asked) -> Result<(), String> {
    if asked.header("accept") != "application/fhir+json" {
        return Err(format!("`Accept` is `{}`", asked.header("accept")));
    }
    let prefer: Vec<_> = asked.header("prefer").split(',').map(str::trim).collect();
    if !prefer.contains(&"respond-async") {
        return Err(format!("`Prefer` is `{}`", asked.header("prefer")));
    }
    let known = ["respond-async", "handling=lenient", "separate-export-status"];
    match prefer.iter().find(|p| !known.contains(p)) {
        Some(unknown) => Err(format!("`Prefer: {unknown}` is not known")),
        None => Ok(()),
    }
}

/// A Parameters resource, each with the type that the operation's definition gives it.
fn posted(asked: &Asked, guide: Guide) -> Result<Parameters, String> {
    if asked.header("content-type") != "application/fhir+json" {
        return Err(format!("`Content-Type` is `{}`", asked.header("content-type")));
    }
    if !asked.query().is_empty() {
        return Err("parameters in the url of a POST".into());
    }
    let body: Value = serde_json::from_slice(&asked.body).map_err(|e| format!("no JSON: {e}"))?;
    if body["resourceType"] != "Parameters" {
        return Err("the body is no Parameters resource".into());
    }
    let none = Vec::new();
    let list = body["parameter"].as_array().unwrap_or(&none);
    list.iter().map(|parameter| one_posted(parameter, guide)).collect()
}

fn one_posted(parameter: &Value, guide: Guide) -> Result<(String, String), String> {
    let name = parameter["name"].as_str().ok_or("a parameter without name")?;
    let text = |key: &str| parameter[key].as_str().map(str::to_owned);
    let value = match name {
        "_since" | "_until" => text("valueInstant"),
        "patient" => parameter["valueReference"]["reference"].as_str().map(str::to_owned),
        "allowPartialManifests" => parameter["valueBoolean"].as_bool().map(|b| b.to_string()),
        "includeAssociatedData" if guide == Guide::Stu4 => {
            parameter["valueCoding"]["code"].as_str().map(str::to_owned)
        }
        _ => text("valueString").or_else(|| text("valueCode")),
    };
    let value = value.ok_or_else(|| format!("`{name}` has the wrong type: {parameter}"))?;
    if guide == Guide::Stu4 && name == "_type" && value.contains(',') {
        return Err("`_type` is a comma list".into());
    }
    Ok((name.to_owned(), value))
}
