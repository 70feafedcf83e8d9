//! What the server says of itself, and its groups.

use serde_json::{Value, json};

use super::answer::Answer;
use super::asked::Asked;
use super::setup::SignIn;
use super::sign_in::TYPES;
use super::{Shared, outcome};

impl Shared {
    pub(super) fn metadata(asked: &Asked) -> Answer {
        let canonical = |what: &str| format!("http://hl7.org/fhir/uv/bulkdata/{what}");
        let operation = |name: &str| json!([{ "name": "export", "definition": canonical(&format!("OperationDefinition/{name}")) }]);
        let resource = |kind: &&str| match *kind {
            "Patient" => json!({ "type": kind, "operation": operation("patient-export") }),
            "Group" => json!({ "type": kind, "operation": operation("group-export") }),
            _ => json!({ "type": kind }),
        };
        let body = json!({
            "resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
            "fhirVersion": "4.0.1",
            "software": { "name": "Faulty Bulk Data", "version": "0.9", "releaseDate": "2026-01-02" },
            "instantiates": [canonical("CapabilityStatement/bulk-data")],
            "rest": [{
                "mode": "server", "operation": operation("export"),
                "resource": TYPES.iter().map(resource).collect::<Vec<_>>(),
            }],
        });
        if asked.header("accept").contains("json") {
            Answer::json(200, &body).header("content-type", "application/fhir+json")
        } else {
            outcome(406, "error", "not-supported", "only JSON is spoken here")
        }
    }

    pub(super) fn smart_configuration(&self, asked: &Asked) -> Answer {
        if asked.signed_in() {
            self.breach("a token came to `.well-known/smart-configuration`");
        }
        let methods = match self.setup.sign_in {
            SignIn::Nobody | SignIn::Bearer(_) => {
                return outcome(404, "error", "not-found", "nobody signs in here");
            }
            SignIn::Smart(_) => json!(["private_key_jwt"]),
            SignIn::Basic => json!(["client_secret_basic"]),
        };
        let body = json!({
            "token_endpoint": self.token_url(),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
            "scopes_supported": ["system/*.read"],
            "capabilities": ["client-confidential-asymmetric", "permission-v1"],
        });
        Answer::json(200, &body)
    }

    /// Search by `name` or `identifier`; a searchset.
    pub(super) fn groups(&self, asked: &Asked) -> Answer {
        if let Err(refused) = self.authorized(asked) {
            return refused;
        }
        let pairs = asked.pairs();
        let fits = |group: &&Value| {
            pairs.iter().all(|(key, value)| match key.as_str() {
                "name" => group["name"] == **value,
                "identifier" => {
                    let identifier = &group["identifier"][0];
                    let text = |key: &str| identifier[key].as_str().unwrap_or_default().to_owned();
                    *value == format!("{}|{}", text("system"), text("value"))
                }
                _ => true,
            })
        };
        let entries: Vec<_> =
            self.setup.groups.iter().filter(fits).map(|g| json!({ "resource": g })).collect();
        let bundle = json!({
            "resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries,
        });
        Answer::json(200, &bundle).header("content-type", "application/fhir+json")
    }
}
