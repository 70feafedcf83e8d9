//! Finds the group that is named, rather than given by its id (requirement 10a).

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::export::request::Level;
use crate::export::session::{Reply, Session};
use crate::export::transport::Request;

/// Pages of a search that are read: more groups than that nobody tells apart by name.
const MOST_PAGES: usize = 50;

/// So many ids of candidates are told.
const MOST_CANDIDATES: usize = 10;

/// The id of the group, at the group levels.
///
/// # Errors
/// Of kind `Refused` if no group has the name, or several have. Candidates are told by id alone: names of groups may be
/// those of patients or diseases.
pub(in crate::export) async fn group_id(session: Session<'_>) -> Result<Option<String>> {
    let name = match &session.settings.request.level {
        Level::System | Level::Patient => return Ok(None),
        Level::Group(id) => return Ok(Some(id.clone())),
        Level::GroupNamed(name) => name,
    };
    // R4 searches groups by identifier, R5 by name too; a server without either gives them all.
    let searches = if name.contains('|') {
        ["identifier", ""].as_slice()
    } else {
        &["name", "identifier", ""]
    };
    let mut refused = None;
    let mut candidates = Vec::new();
    for search in searches {
        match search_groups(session, search, name).await? {
            Ok(groups) => {
                let found: Vec<_> = groups.iter().filter(|group| is_named(group, name)).collect();
                if !found.is_empty() {
                    return the_only(&found, name).map(Some);
                }
                (candidates, refused) = (groups, None);
            }
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) => Err(error.hint(
            "the server does not let groups be searched: name the group by its id, `group = \"…\"`",
        )),
        None => Err(none(name, &candidates)),
    }
}

/// The groups a search gives; what the server says if it refuses the search.
async fn search_groups(
    session: Session<'_>,
    parameter: &str,
    name: &str,
) -> Result<Result<Vec<Value>, Error>> {
    let mut url = session.settings.request.below("Group");
    if parameter.is_empty() {
        url.query_pairs_mut().append_pair("_count", "200");
    } else {
        url.query_pairs_mut().append_pair(parameter, name);
    }
    let mut groups = Vec::new();
    for _ in 0..MOST_PAGES {
        let request = search_request(&url);
        let reply = session.ask_again(&request).await?;
        if !reply.status.is_success() {
            return Ok(Err(reply.refusal(&request)));
        }
        let bundle: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        groups.extend(resources(&bundle));
        match next(&bundle, &reply, &url) {
            Some(next) => url = next,
            None => break,
        }
    }
    Ok(Ok(groups))
}

fn search_request(url: &Url) -> Request {
    let headers =
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/fhir+json"))]);
    Request { method: Method::GET, url: url.clone(), headers, body: None, credentials: true }
}

/// The next page of the search, at the same server.
fn next(bundle: &Value, reply: &Reply, url: &Url) -> Option<Url> {
    let links = bundle["link"].as_array()?;
    let next = links.iter().find(|link| link["relation"] == "next")?["url"].as_str()?;
    reply.url.join(next).ok().filter(|next| next.origin() == url.origin() && next != url)
}

fn resources(bundle: &Value) -> impl Iterator<Item = Value> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    let groups = entries.iter().map(|entry| &entry["resource"]);
    groups.filter(|resource| resource["resourceType"] == "Group").cloned()
}

/// Whether a group has the name or identifier: compared by us, since servers ignore parameters they do not know.
pub(super) fn is_named(group: &Value, name: &str) -> bool {
    let identifiers = group["identifier"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_identifier = identifiers.iter().any(|identifier| {
        let value = identifier["value"].as_str().unwrap_or_default();
        let system = identifier["system"].as_str().unwrap_or_default();
        match name.split_once('|') {
            Some(("", wanted)) => value == wanted,
            Some((wanted_system, wanted)) => system == wanted_system && value == wanted,
            None => value == name,
        }
    });
    has_identifier || group["name"].as_str() == Some(name)
}

fn the_only(found: &[&Value], name: &str) -> Result<String> {
    let mut ids: Vec<_> = found.iter().filter_map(|group| group["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        _ => {
            Err(Error::new(ErrorKind::Refused, format!("{} groups are named `{name}`", ids.len()))
                .hint(format!("name one by its id, `group = \"…\"`: {}", listed(&ids))))
        }
    }
}

fn none(name: &str, candidates: &[Value]) -> Error {
    let ids: Vec<_> = candidates.iter().filter_map(|group| group["id"].as_str()).collect();
    let hint = if ids.is_empty() {
        "the server shows this client no group at all: have one made, or access given".to_owned()
    } else {
        format!("there are the groups with the ids {}", listed(&ids))
    };
    Error::new(ErrorKind::Refused, format!("no group is named `{name}`")).hint(hint)
}

fn listed(ids: &[&str]) -> String {
    let shown: Vec<_> = ids.iter().take(MOST_CANDIDATES).map(|id| format!("`{id}`")).collect();
    let more = ids.len().saturating_sub(MOST_CANDIDATES);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
