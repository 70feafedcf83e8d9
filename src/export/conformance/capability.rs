//! The CapabilityStatement, as far as exports care (requirement 60).

use serde::Serialize;
use serde_json::Value;

use crate::export::request::ExportRequest;

/// What is read of it.
#[derive(Debug, Default)]
pub(super) struct Capability {
    /// Whether there was one.
    pub(super) known: bool,
    pub(super) fhir_version: Option<String>,
    pub(super) software: Option<String>,
    pub(super) declares_bulk_data: bool,
    pub(super) operations: Vec<&'static str>,
    pub(super) types: Vec<OfferedType>,
}

/// A type that is offered for export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferedType {
    /// Its name.
    pub name: String,
    /// The parameters that `_typeFilter` may use.
    pub search_params: Vec<String>,
}

/// The canonical url that `instantiates` names, maybe with `|version`.
const BULK_DATA: &str = "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data";

/// The end of the extension's url; the guide writes what is before it in two ways.
const NOT_SUPPORTED: &str = "/operation-not-supported";

/// Each level: the type whose operation it is, and the name of its definition.
const LEVELS: [(&str, Option<&str>, &str); 3] = [
    ("system", None, "export"),
    ("patient", Some("Patient"), "patient-export"),
    ("group", Some("Group"), "group-export"),
];

impl Capability {
    /// Of the JSON that the server gives, of whatever shape.
    pub(super) fn of(json: &Value) -> Self {
        let text = |json: &Value| json.as_str().map(str::to_owned);
        let software = &json["software"];
        let software: Vec<_> = [&software["name"], &software["version"]]
            .into_iter()
            .filter_map(Value::as_str)
            .collect();
        let instantiates = list(&json["instantiates"]).iter().filter_map(Value::as_str);
        let mut canonicals = instantiates.map(|url| url.split('|').next().unwrap_or_default());
        let levels = LEVELS.into_iter().filter(|(_, of, definition)| offers(json, *of, definition));
        let resources = list(&json["rest"]).iter().flat_map(|rest| list(&rest["resource"]));
        Self {
            known: json["resourceType"] == "CapabilityStatement",
            fhir_version: text(&json["fhirVersion"]),
            software: (!software.is_empty()).then(|| software.join(" ")),
            declares_bulk_data: canonicals.any(|url| url == BULK_DATA),
            operations: levels.map(|(level, ..)| level).collect(),
            types: resources.filter(|r| is_supported(r)).filter_map(OfferedType::of).collect(),
        }
    }

    /// Types and search parameters that are asked for and not offered, in words.
    pub(super) fn unoffered(&self, request: &ExportRequest) -> Vec<String> {
        if self.types.is_empty() {
            return Vec::new();
        }
        let offered = |name: &str| self.types.iter().find(|offered| offered.name == name);
        let types = request.types.iter().filter(|name| offered(name).is_none());
        let types = types.map(|name| format!("the type `{name}` is not offered"));
        let filters = request.type_filters.iter().filter_map(|filter| filter.split_once('?'));
        let parameters = filters.flat_map(|(name, query)| {
            let used = query.split('&').filter_map(|part| part.split(['=', ':', '.']).next());
            used.filter(|used| !used.starts_with('_')).map(move |used| (name, used))
        });
        let missing = parameters.filter_map(|(name, used)| {
            let known = offered(name)?.search_params.iter().any(|parameter| parameter == used);
            (!known).then(|| format!("`_typeFilter` uses `{used}`, which `{name}` does not offer"))
        });
        types.chain(missing).collect()
    }
}

impl OfferedType {
    fn of(resource: &Value) -> Option<Self> {
        let name = resource["type"].as_str()?.to_owned();
        let parameters = list(&resource["searchParam"]).iter().filter(|p| is_supported(p));
        let names = parameters.filter_map(|parameter| parameter["name"].as_str());
        Some(Self { name, search_params: names.map(str::to_owned).collect() })
    }
}

/// The elements of an array; none of anything else.
fn list(json: &Value) -> &[Value] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether nothing says that exports cannot use it.
fn is_supported(element: &Value) -> bool {
    let urls = list(&element["extension"]).iter().filter_map(|extension| extension["url"].as_str());
    !urls.into_iter().any(|url| url.contains("/bulkdata/") && url.ends_with(NOT_SUPPORTED))
}

/// Whether an operation of the server (`of` no type) or of a type exports: by its name, or by its definition, which
/// some servers list in another place than they should.
fn offers(json: &Value, of: Option<&str>, definition: &str) -> bool {
    list(&json["rest"]).iter().any(|rest| {
        let own = list(&rest["operation"]);
        let resources = list(&rest["resource"]).iter();
        let typed =
            resources.flat_map(|r| list(&r["operation"]).iter().map(move |o| (&r["type"], o)));
        let here = |operation: &&Value| {
            let name = operation["name"].as_str().unwrap_or_default().trim_start_matches('$');
            name == "export" && defines(operation).is_none_or(|name| name == definition)
                || defines(operation) == Some(definition)
        };
        match of {
            None => own.iter().any(|operation| here(&operation)),
            Some(of) => {
                own.iter().any(|operation| defines(operation) == Some(definition))
                    || typed.filter(|(name, _)| *name == of).any(|(_, operation)| here(&operation))
            }
        }
    })
}

/// The last part of `definition`, if it is one of the guide's three; other definitions say nothing.
fn defines(operation: &Value) -> Option<&str> {
    let name = operation["definition"].as_str()?.split('|').next()?.rsplit('/').next()?;
    LEVELS.iter().any(|(_, _, known)| *known == name).then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_by_name_and_by_definition() {
        let named = |name: &str| json!({ "name": name });
        let defined = |name: &str| {
            let url = format!("http://hl7.org/fhir/uv/bulkdata/OperationDefinition/{name}|2.0.0");
            json!({ "name": "export", "definition": url })
        };
        let other =
            json!({ "name": "export", "definition": "https://a.example/OperationDefinition/x" });
        let rest = |system: &Value, patient: &Value, group: &Value| {
            json!({ "rest": [{ "operation": [system], "resource": [
                { "type": "Patient", "operation": [patient] },
                { "type": "Group", "operation": [group] },
                { "type": "Observation", "operation": [named("export")] } ] }] })
        };
        let none = json!(null);
        for (statement, levels) in [
            (rest(&named("export"), &named("export"), &named("$export")), "system patient group"),
            (rest(&defined("export"), &defined("patient-export"), &other), "system patient group"),
            (rest(&none, &none, &defined("group-export")), "group"),
            (rest(&defined("group-export"), &none, &none), "group"),
            (rest(&none, &named("everything"), &none), ""),
            (json!({}), ""),
            (json!({ "rest": {} }), ""),
        ] {
            assert_eq!(Capability::of(&statement).operations.join(" "), levels, "{statement}");
        }
    }

    #[test]
    fn what_exports_cannot_use_is_left_out() {
        let no = json!([{ "url":
            "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/operation-not-supported" }]);
        let statement = json!({ "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
            "software": { "name": "S" }, "instantiates": [format!("{BULK_DATA}|2.0.0")],
            "rest": [{ "resource": [
                { "type": "Patient", "searchParam": [
                    { "name": "gender" }, { "name": "phone", "extension": no } ] },
                { "type": "Binary", "extension": no } ] }] });
        let found = Capability::of(&statement);
        let patient =
            OfferedType { name: "Patient".to_owned(), search_params: vec!["gender".to_owned()] };
        assert_eq!(found.types, [patient]);
        assert_eq!((found.known, found.declares_bulk_data), (true, true));
        assert_eq!(found.software.unwrap(), "S");
    }
}
