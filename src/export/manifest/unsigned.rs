//! Manifests without the signatures in their urls, for when nothing is to be loaded any more.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::export::digest::hex;

/// Puts a hash in place of each file url's query: a presigned url is a credential, and remembered no longer than it is
/// needed. The hash keeps apart files whose urls differ in nothing else.
pub(in crate::export) fn unsigned(page: &mut Value) {
    for section in ["output", "deleted", "error", "outcome"] {
        let entries = page.get_mut(section).and_then(Value::as_array_mut);
        for url in entries.into_iter().flatten().filter_map(|entry| entry.get_mut("url")) {
            if let Some((path, query)) = url.as_str().and_then(|text| text.split_once('?')) {
                *url = Value::String(format!("{path}?{}", hash(query)));
            }
        }
    }
}

/// Half of a SHA-256, which is enough to tell urls apart.
fn hash(query: &str) -> String {
    hex(&Sha256::digest(query.as_bytes())[..16])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queries_are_hashed_and_stay_different() {
        let urls = ["https://s3.example/a?sig=1", "https://s3.example/a?sig=2", "/b", "c?"];
        let entries: Vec<_> = urls.iter().map(|url| json!({ "url": url, "count": 1 })).collect();
        let mut page = json!({ "output": entries, "error": null, "link": [{ "url": "d?page=2" }] });
        unsigned(&mut page);
        let texts: Vec<_> = (0..4).map(|at| page["output"][at]["url"].as_str().unwrap()).collect();
        assert!(texts[..2].iter().all(|text| text.starts_with("https://s3.example/a?")));
        assert!(texts[0] != texts[1] && !texts[0].contains("sig"), "{texts:?}");
        assert_eq!(texts[2], "/b");
        assert_eq!(
            (&page["output"][0]["count"], &page["link"][0]["url"]),
            (&json!(1), &json!("d?page=2"))
        );
    }
}
