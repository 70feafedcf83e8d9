//! Understands the url of a kick-off request, as people copy it from elsewhere.

use url::Url;

use super::{ExportRequest, Level};
use crate::settings::{Mistake, Mistakes};

impl ExportRequest {
    /// The request that `text` is the url of: `[base]/$export`, `[base]/Patient/$export`, `[base]/Group/id/$export`
    /// with their query; `$export` may be left out. Of a server whose base alone is given, all patients are exported.
    ///
    /// # Errors
    /// Mistakes in the url itself; what it asks for is checked with the settings.
    pub fn from_url(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut found = Mistakes::default();
        let Ok(mut url) = Url::parse(text.trim()) else {
            let hint = "write the whole url, with `https://`";
            found.hinted("server", "this is no url", hint);
            return Err(found.0);
        };
        if url.cannot_be_a_base() {
            found.add("server", "this is not a url of a server");
            return Err(found.0);
        }
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        url.set_query(None);
        url.set_fragment(None);
        let level = take_level(&mut url);
        let mut request = Self::new(url, level);
        for (name, value) in pairs {
            request.take(&name, value, &mut found);
        }
        if found.0.is_empty() { Ok(request) } else { Err(found.0) }
    }

    /// Takes a parameter of the query over.
    fn take(&mut self, name: &str, value: String, found: &mut Mistakes) {
        match name {
            "_type" => self.types.extend(list(&value)),
            "_typeFilter" => self.type_filters.extend(filters(&value)),
            "_since" => self.since = Some(value),
            "_until" => self.until = Some(value),
            "_elements" => self.elements.extend(list(&value)),
            "includeAssociatedData" => self.associated_data.extend(list(&value)),
            "patient" => self.patients.extend(list(&value).map(|p| patient(&p))),
            "_outputFormat" => self.output_format = Some(value),
            "organizeOutputBy" => self.organize_by = Some(value),
            "allowPartialManifests" => match value.as_str() {
                "true" => self.partial_manifests = true,
                "false" => self.partial_manifests = false,
                _ => found.add("allow_partial_manifests", "this is neither true nor false"),
            },
            _ => drop(self.parameters.insert(name.to_owned(), value)),
        }
    }
}

/// `Patient/id` of what may be the id alone.
pub(in crate::export) fn patient(text: &str) -> String {
    let text = text.trim();
    if text.contains('/') { text.to_owned() } else { format!("Patient/{text}") }
}

/// Cuts the operation off the path, and says what it is of.
fn take_level(url: &mut Url) -> Level {
    let path = url.path().trim_end_matches('/').to_owned();
    let mut segments: Vec<&str> = path.split('/').collect();
    let operation = segments.pop_if(|last| matches!(*last, "$export" | "%24export")).is_some();
    let group = |s: &[&str]| s.len() >= 3 && s[s.len() - 2] == "Group";
    let level = match segments.as_slice() {
        [.., "Patient"] => {
            segments.pop();
            Level::Patient
        }
        s if group(s) => {
            let id = segments.pop().unwrap_or_default().to_owned();
            segments.pop();
            Level::Group(id)
        }
        _ if operation => Level::System,
        _ => Level::Patient,
    };
    url.set_path(&segments.join("/"));
    level
}

fn list(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty())
}

/// The filters of a comma list (Bulk Data Access 2.0): a comma begins a filter only where a type and `?` follow it.
fn filters(value: &str) -> Vec<String> {
    let mut filters: Vec<String> = Vec::new();
    for piece in value.split(',') {
        let begins = piece.split_once('?').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic())
        });
        match filters.last_mut() {
            Some(last) if !begins => {
                last.push(',');
                last.push_str(piece);
            }
            _ => filters.push(piece.to_owned()),
        }
    }
    filters.into_iter().map(|f| f.replace("%2C", ",").replace("%2c", ",")).collect()
}
