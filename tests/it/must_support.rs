//! Every element that US Core 7 says must be supported is in a column of a shipped table, which says so by its tag.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::shared::shared;

/// The tag of a column that holds such an element.
const TAG: &str = "us-core/element";

#[test]
fn every_must_support_element_has_a_column() {
    let Some(list) = shared("data/fhir-r4/us-core-7-must-support.txt") else { return };
    let (held, mut missing, mut asked) = (held(), Vec::new(), 0);
    for (resource, element) in elements(&fs::read_to_string(list).unwrap()) {
        asked += 1;
        if !held.get(&resource).is_some_and(|held| held.contains(&element)) {
            missing.push(format!("{resource}: {element}"));
        }
    }
    assert!(asked > 300, "{asked} elements are asked for");
    assert!(missing.is_empty(), "no column has {missing:#?}");
}

/// `Type | profile | element element* … | USCDI+: element …`, without the `*` of those that must be there.
fn elements(list: &str) -> BTreeSet<(String, String)> {
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .flat_map(|line| {
            let mut parts = line.split('|').map(str::trim);
            let resource = parts.next().unwrap().to_owned();
            let words = parts.skip(1).flat_map(str::split_whitespace).filter(|w| *w != "USCDI+:");
            let element = |word: &str| (resource.clone(), word.trim_end_matches('*').to_owned());
            words.map(element).collect::<Vec<_>>()
        })
        .collect()
}

/// The tagged elements of the us-core tables, by resource.
fn held() -> BTreeMap<String, BTreeSet<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/us-core");
    let mut held = BTreeMap::<_, BTreeSet<_>>::new();
    for entry in fs::read_dir(folder).unwrap() {
        let view: Value =
            serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let resource = view["resource"].as_str().unwrap().to_owned();
        collect(&view["select"], held.entry(resource).or_default());
    }
    held
}

fn collect(selects: &Value, held: &mut BTreeSet<String>) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for select in list(selects) {
        let columns = list(&select["column"]);
        let tags = columns.iter().flat_map(|column| list(&column["tag"]));
        let ours = tags.filter(|tag| tag["name"] == TAG);
        held.extend(ours.map(|tag| tag["value"].as_str().unwrap().to_owned()));
        collect(&select["select"], held);
        collect(&select["unionAll"], held);
    }
}
