//! What an export says was deleted: Bundles of DELETE requests (Bulk Data Access, "Response - Complete Status", `deleted`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pass::Pass;
use super::progress::Progress;
use crate::error::Result;
use crate::fhir::{Target, Unresolvable};
use crate::ingest::{Deletion, Inputs, Line, Options, Parser};

/// What was deleted.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    /// Ids by type.
    pub(super) ids: BTreeMap<String, BTreeSet<String>>,
    /// What names no resource that could be found, by reason.
    pub(super) not_understood: BTreeMap<&'static str, u64>,
}

/// Reads files of deletions. References below `bases` are to resources of the source.
pub(super) fn read(
    inputs: Inputs,
    bases: &[String],
    input: &Options,
    threads: usize,
) -> Result<Deletions> {
    let mut all = Deletions::default();
    // They are few beside the resources: progress is not about them.
    let progress = Progress::default();
    let pass = Pass { inputs: Arc::new(inputs), input, threads, progress: &progress };
    pass.run(
        || Parser::new(input),
        |parser, block, _| {
            let mut found = Deletions::default();
            parser.run(block, |line| {
                found.add(&line, bases);
                Ok(())
            })?;
            Ok(found)
        },
        |found| {
            all.extend(found);
            Ok(())
        },
    )?;
    Ok(all)
}

impl Deletions {
    fn add(&mut self, line: &Line<'_>, bases: &[String]) {
        let url = match line {
            Line::Deletion(Deletion { url, .. }) => *url,
            Line::Resource(_) => return self.miss("a resource, where deletions should be"),
            Line::Rejected(_) => return self.miss("a line that cannot be read"),
        };
        match url.map(|url| resource(url, bases)) {
            Some(Ok((of, id))) => {
                self.ids.entry(of.to_owned()).or_default().insert(id.to_owned());
            }
            Some(Err(why)) => self.miss(why.name()),
            None => self.miss("a request without a url"),
        }
    }

    fn miss(&mut self, why: &'static str) {
        *self.not_understood.entry(why).or_default() += 1;
    }

    fn extend(&mut self, other: Self) {
        for (of, ids) in other.ids {
            self.ids.entry(of).or_default().extend(ids);
        }
        for (why, count) in other.not_understood {
            *self.not_understood.entry(why).or_default() += count;
        }
    }

    /// How many, by type.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.ids.iter().map(|(of, ids)| (of.clone(), ids.len() as u64)).collect()
    }
}

/// Type and id in the url of a DELETE: relative, with a slash before it, absolute, with a version, or a search by `_id`.
fn resource<'u>(url: &'u str, bases: &[String]) -> Result<(&'u str, &'u str), Unresolvable> {
    let url = url.strip_prefix('/').unwrap_or(url);
    if let Some((of, id)) = url.split_once("?_id=")
        && !id.contains(['&', ',', '%'])
    {
        let of = of.rsplit('/').next().unwrap_or(of);
        return Ok((of, id));
    }
    match Target::of(url, bases) {
        Target::Resource { of, id } => Ok((of, id)),
        Target::Unresolvable(why) => Err(why),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ingest::discover;

    fn found(lines: &[Value]) -> Deletions {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deleted.ndjson");
        let text: Vec<_> = lines.iter().map(Value::to_string).collect();
        std::fs::write(&file, text.join("\n")).unwrap();
        let inputs = discover(&[file.to_string_lossy().into_owned()]).unwrap();
        read(inputs, &["https://ehr.example/fhir".to_owned()], &Options::default(), 2).unwrap()
    }

    #[test]
    fn every_form_of_a_deletion() {
        let request = |url: &str| json!({ "request": { "method": "DELETE", "url": url } });
        for (entry, expected) in [
            (request("Patient/a"), Ok("Patient/a")),
            (request("/Patient/a"), Ok("Patient/a")),
            (request("Patient/a/_history/3"), Ok("Patient/a")),
            (request("https://ehr.example/fhir/Patient/a"), Ok("Patient/a")),
            (request("https://ehr.example/fhir/Patient/a/_history/3"), Ok("Patient/a")),
            (request("Patient?_id=a"), Ok("Patient/a")),
            (
                json!({ "fullUrl": "https://ehr.example/fhir/Patient/a", "request": { "method": "DELETE" } }),
                Ok("Patient/a"),
            ),
            (request("https://other.example/fhir/Patient/a"), Err("on another server")),
            (request("Patient?identifier=x|1"), Err("conditional")),
            (request("Patient?_id=a,b"), Err("conditional")),
            (request("urn:uuid:0"), Err("urn")),
            (json!({ "request": { "method": "DELETE" } }), Err("a request without a url")),
            (
                json!({ "resource": { "resourceType": "Patient", "id": "a" } }),
                Err("a resource, where deletions should be"),
            ),
        ] {
            let bundle =
                json!({ "resourceType": "Bundle", "type": "transaction", "entry": [entry] });
            let found = found(&[bundle]);
            let ids: Vec<_> = found
                .ids
                .iter()
                .flat_map(|(of, ids)| ids.iter().map(move |id| format!("{of}/{id}")))
                .collect();
            let missed: Vec<_> = found.not_understood.keys().copied().collect();
            match expected {
                Ok(id) => assert_eq!((ids, missed), (vec![id.to_owned()], vec![]), "{entry}"),
                Err(why) => assert_eq!((ids, missed), (vec![], vec![why]), "{entry}"),
            }
        }
    }

    #[test]
    fn many_in_a_bundle_many_bundles_and_other_methods() {
        let entry = |method: &str, n: usize| json!({ "request": { "method": method, "url": format!("Observation/{n}") } });
        let bundle = |from: usize| {
            let entries: Vec<_> = (from..from + 3).map(|n| entry("DELETE", n)).collect();
            json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
        };
        let put = json!({ "resourceType": "Bundle", "entry": [entry("PUT", 99)] });
        let found = found(&[bundle(0), put, bundle(2), json!(7)]);
        assert_eq!(found.counts(), [("Observation".to_owned(), 5)].into());
        assert_eq!(found.not_understood, [("a line that cannot be read", 1)].into());
    }
}
