//! Values of a manifest as servers write them, right or nearly right.

use serde_json::Value;

/// A text.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

/// True or false, also as a text.
pub(super) fn flag(value: &Value, key: &str) -> Option<bool> {
    match value.get(key)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A number of things, also as a text or as `12.0`.
pub(super) fn count(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64().or_else(|| {
            number.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// What an extension says by a name: `{"checksum": …}` (2.0: an object) or `[{"url": "…/checksum", "valueString": …}]`
/// (4.0, and DPC today).
pub(super) fn announced(extension: Option<&Value>, name: &str) -> Option<Value> {
    match extension? {
        Value::Object(object) => {
            let (_, value) = object.iter().find(|(key, _)| last_segment(key) == name)?;
            Some(value.clone())
        }
        Value::Array(list) => {
            let found = list.iter().filter_map(Value::as_object).find(|extension| {
                extension.get("url").and_then(Value::as_str).map(last_segment) == Some(name)
            })?;
            let (_, value) = found.iter().find(|(key, _)| key.starts_with("value"))?;
            Some(value.clone())
        }
        _ => None,
    }
}

fn last_segment(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
