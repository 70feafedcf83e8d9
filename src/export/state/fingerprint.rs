//! What tells one export from another: everything that decides which resources come.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::export::digest::hex;
use crate::export::request::{ExportRequest, Level};

/// The request for `export.json`. How it is sent is not part of it; of patients there is only a hash.
pub(super) fn fingerprint(request: &ExportRequest) -> Value {
    let level = match &request.level {
        Level::System => "system".to_owned(),
        Level::Patient => "patient".to_owned(),
        Level::Group(id) => format!("Group/{id}"),
        Level::GroupNamed(name) => format!("group named {name}"),
    };
    json!({
        "server": request.server.as_str(),
        "level": level,
        "types": request.types,
        "type_filters": request.type_filters,
        "since": request.since,
        "until": request.until,
        "elements": request.elements,
        "patients": patients(request),
        "include_associated_data": request.associated_data,
        "output_format": request.output_format,
        "organize_output_by": request.organize_by,
        "lenient": request.lenient,
        "parameters": request.parameters,
    })
}

fn patients(request: &ExportRequest) -> Value {
    if request.patients.is_empty() {
        return Value::Null;
    }
    let mut hash = Sha256::new();
    for patient in &request.patients {
        hash.update(patient);
        hash.update("\n");
    }
    let hex = hex(&hash.finalize());
    json!(format!("{} patients, sha256 {hex}", request.patients.len()))
}

/// How two requests differ, for people: `types was ["Patient"], is ["Patient","Group"]`.
pub(super) fn differences(was: &Value, is: &Value) -> Vec<String> {
    let keys = is.as_object().into_iter().flat_map(serde_json::Map::keys);
    keys.filter(|key| was.get(key) != is.get(key))
        .map(|key| {
            let side = |value: &Value| value.get(key).unwrap_or(&Value::Null).to_string();
            format!("`{key}` was {}, is {}", side(was), side(is))
        })
        .collect()
}
