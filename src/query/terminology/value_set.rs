//! A value set's members: those of its stored expansion, or those that its definition gives.

use super::canonical::Canonical;
use super::relation::{About, Coding, Members};
use super::tables::Tables;
use crate::error::{Error, ErrorKind, Result};

/// A value set as it is stored.
#[derive(Debug)]
pub(super) struct ValueSet {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) version: Option<String>,
    pub(super) expansion: Option<Expansion>,
    /// `compose.inactive`: `false` leaves inactive codes out.
    pub(super) inactive: Option<bool>,
}

/// What is said of a stored expansion.
#[derive(Debug)]
pub(super) struct Expansion {
    pub(super) identifier: Option<String>,
    total: Option<usize>,
    offset: Option<usize>,
    unclosed: bool,
}

impl ValueSet {
    /// The stored value set that a canonical names. Errors as [`Canonical::pick`].
    pub(super) async fn find(tables: &Tables, canonical: &Canonical) -> Result<Self> {
        let columns = [
            "value_set_id",
            "url",
            "version",
            "has_expansion",
            "expansion_identifier",
            "expansion_total",
            "expansion_offset",
            "expansion_unclosed",
            "compose_inactive",
        ];
        let rows = tables.rows("value_set", columns, &[("url", &canonical.url)]).await?;
        let stored = rows.into_iter().map(|row| (row[2].clone(), row)).collect();
        let (version, row) = canonical.pick("value set", "value_set", stored)?;
        let [id, url, _, has_expansion, identifier, total, offset, unclosed, inactive] = row;
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let expansion = is_true(has_expansion.as_deref()).then(|| Expansion {
            identifier,
            total: number(total),
            offset: number(offset),
            unclosed: is_true(unclosed.as_deref()),
        });
        Ok(Self {
            id: id.unwrap_or_default(),
            url: url.unwrap_or_default(),
            version,
            expansion,
            inactive: inactive.and_then(|text| text.parse().ok()),
        })
    }

    /// The name for messages: `url|version`.
    pub(super) fn name(&self) -> String {
        Canonical { url: self.url.clone(), version: self.version.clone() }.to_string()
    }
}

impl Expansion {
    /// The members of the expansion: its entries at any depth that are not abstract (term-8).
    ///
    /// Fails with [`ErrorKind::Definition`] if the expansion does not hold all members (term-24).
    pub(super) async fn members(&self, tables: &Tables, set: &ValueSet) -> Result<Members> {
        let columns = ["system", "version", "code", "display", "abstract", "inactive"];
        let rows =
            tables.rows("value_set_expansion", columns, &[("value_set_id", &set.id)]).await?;
        self.complete(rows.len()).map_err(|why| incomplete(set, &why))?;
        let mut members = Members::new();
        for [system, version, code, display, heading, inactive] in rows {
            let Some(code) = code.filter(|_| !is_true(heading.as_deref())) else { continue };
            let system = system.ok_or_else(|| incomplete(set, "a code without a system"))?;
            let about = About { display, inactive: inactive.and_then(|text| text.parse().ok()) };
            // Of two entries of one code, the one with a name and a status is shown, whatever the order of the rows.
            let known = members.entry(Coding { system, version, code }).or_default();
            known.display = known.display.take().into_iter().chain(about.display).min();
            known.inactive = known.inactive.max(about.inactive);
        }
        Ok(members)
    }

    fn complete(&self, listed: usize) -> Result<(), String> {
        if let Some(offset) = self.offset.filter(|offset| *offset > 0) {
            return Err(format!("it begins at the offset {offset}"));
        }
        if let Some(total) = self.total.filter(|total| *total > listed) {
            return Err(format!("it lists {listed} of {total} entries"));
        }
        if self.unclosed {
            return Err("it is marked as unclosed".to_owned());
        }
        Ok(())
    }
}

fn incomplete(set: &ValueSet, why: &str) -> Error {
    let message = format!(
        "the stored expansion of the value set `{}` does not hold all members: {why}",
        set.name()
    );
    Error::new(ErrorKind::Definition, message)
        .hint("load a complete expansion, or the value set without an expansion if the code systems it is made of are loaded")
}

/// Whether a text of a boolean column says so.
pub(super) fn is_true(text: Option<&str>) -> bool {
    text == Some("true")
}
