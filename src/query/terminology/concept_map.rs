//! A concept map's mappings: one row per target, and one per code of which the map says that it has none.

use std::collections::BTreeMap;

use super::canonical::Canonical;
use super::relation::Mapping;
use super::tables::Tables;
use super::value_set::is_true;
use crate::error::{Error, ErrorKind, Result};

/// What a row of the table says.
struct Target {
    source: Canonical,
    into: Option<Canonical>,
    code: String,
    display: Option<String>,
    to_code: Option<String>,
    to_display: Option<String>,
    relationship: Option<String>,
}

/// The version and the mappings of the stored concept map that a canonical names (term-13 to term-17).
///
/// Fails with [`ErrorKind::Definition`] as [`Canonical::pick`] does, and if the map has content that no row can hold.
pub(super) async fn mappings(
    tables: &Tables,
    canonical: &Canonical,
) -> Result<(Option<String>, Vec<Mapping>)> {
    let rows = tables
        .rows("concept_map", ["concept_map_id", "version"], &[("url", &canonical.url)])
        .await?;
    let stored = rows.into_iter().map(|[id, version]| (version, id.unwrap_or_default())).collect();
    let (version, id) = canonical.pick("concept map", "concept_map", stored)?;
    let name = Canonical { url: canonical.url.clone(), version: version.clone() }.to_string();
    let mappings = read(tables, &id).await.map_err(|e| e.at("concept map", name))?;
    Ok((version, mappings))
}

async fn read(tables: &Tables, id: &str) -> Result<Vec<Mapping>> {
    let columns = [
        "source_system",
        "target_system",
        "source_code",
        "source_display",
        "target_code",
        "target_display",
        "equivalence",
        "relationship",
        "no_map",
        "depends_on_count",
        "product_count",
        "source_version",
        "target_version",
    ];
    let mut unique: BTreeMap<[Option<String>; 7], Mapping> = BTreeMap::new();
    let some = |count: &Option<String>| count.as_deref().is_some_and(|count| count != "0");
    for row in tables.rows("concept_map_target", columns, &[("concept_map_id", id)]).await? {
        let [
            source,
            target,
            code,
            display,
            target_code,
            target_display,
            equivalence,
            relationship,
            no_map,
            depends,
            product,
            source_version,
            target_version,
        ] = row;
        if some(&depends) || some(&product) {
            return Err(undetermined("a target has `dependsOn` or `product`"));
        }
        let source = source.ok_or_else(|| undetermined("a group has no `source`"))?;
        let code = code.ok_or_else(|| undetermined("an element has no code"))?;
        let relationship = related(equivalence.as_deref(), relationship)?;
        let none = is_true(no_map.as_deref()) || relationship == Related::Unmatched;
        let relationship = match relationship {
            Related::As(text) if !none => Some(text),
            _ => None,
        };
        let (target_code, target_display) =
            if none { (None, None) } else { (target_code, target_display) };
        match (&target_code, &relationship) {
            // An element without targets, of which the map says nothing.
            (None, None) if !none => continue,
            (None, Some(_)) => return Err(undetermined("a target has no code")),
            _ => {}
        }
        let versioned = |canonical: String, version: Option<String>| {
            let Canonical { url, version: written } = Canonical::parse(&canonical);
            Canonical { url, version: written.or(version) }
        };
        let target = Target {
            source: versioned(source, source_version),
            into: target.map(|target| versioned(target, target_version)),
            code,
            display,
            to_code: target_code,
            to_display: target_display,
            relationship,
        };
        let (key, mapping) = target.mapping();
        unique
            .entry(key)
            .and_modify(|known| *known = known.clone().min(mapping.clone()))
            .or_insert(mapping);
    }
    Ok(unique.into_values().collect())
}

impl Target {
    /// The row, and what must not repeat of it (term-15).
    fn mapping(self) -> ([Option<String>; 7], Mapping) {
        let (system, version) = (Some(self.source.url), self.source.version);
        let (target_system, target_version) =
            self.into.map_or((None, None), |t| (Some(t.url), t.version));
        let code = Some(self.code);
        let key = [
            &system,
            &version,
            &code,
            &target_system,
            &target_version,
            &self.to_code,
            &self.relationship,
        ];
        let key = key.map(Clone::clone);
        let mapping = [
            system,
            version,
            code,
            self.display,
            target_system,
            target_version,
            self.to_code,
            self.to_display,
            self.relationship,
        ];
        (key, mapping)
    }
}

/// How source and target relate.
#[derive(PartialEq)]
enum Related {
    As(String),
    /// The map says that there is no target.
    Unmatched,
    Unsaid,
}

/// `relationship` of R5, or what `equivalence` of R4 is there; R4 tells how the target relates to the source, R5 how the
/// source relates to the target.
fn related(equivalence: Option<&str>, relationship: Option<String>) -> Result<Related> {
    let now = match (relationship, equivalence) {
        (Some(text), _) => return Ok(Related::As(text)),
        (None, None) => return Ok(Related::Unsaid),
        (None, Some(text)) => match text {
            "equivalent" | "equal" => "equivalent",
            "relatedto" | "inexact" => "related-to",
            "wider" | "subsumes" => "source-is-narrower-than-target",
            "narrower" | "specializes" => "source-is-broader-than-target",
            "disjoint" => "not-related-to",
            "unmatched" => return Ok(Related::Unmatched),
            _ => return Err(undetermined("a target has an equivalence that R4 does not know")),
        },
    };
    Ok(Related::As(now.to_owned()))
}

fn undetermined(why: &str) -> Error {
    Error::new(
        ErrorKind::Definition,
        format!("the mappings of the concept map cannot be determined: {why}"),
    )
    .hint("rows can hold maps from one code to one code, and no conditions")
}
