//! Canonical urls, with or without `|version`, and which of several stored versions one of them names.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// A canonical url as a reference writes it: `url` or `url|version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Canonical {
    pub(super) url: String,
    pub(super) version: Option<String>,
}

impl Canonical {
    pub(super) fn parse(text: &str) -> Self {
        let (url, version) = match text.trim().split_once('|') {
            Some((url, version)) => (url, Some(version).filter(|v| !v.is_empty())),
            None => (text.trim(), None),
        };
        Self { url: url.to_owned(), version: version.map(str::to_owned) }
    }

    /// The one of the stored versions that is meant: the pinned one, or the only one there is.
    ///
    /// Fails with [`ErrorKind::Definition`] if none is stored, or several and none is pinned (term-20). `kind` and
    /// `table` are for the message.
    pub(super) fn pick<T>(
        &self,
        kind: &str,
        table: &str,
        mut stored: Vec<(Option<String>, T)>,
    ) -> Result<(Option<String>, T)> {
        let listed = versions(&stored);
        if let Some(version) = &self.version {
            stored.retain(|(v, _)| v.as_ref() == Some(version));
        }
        let distinct: BTreeSet<_> = stored.iter().map(|(version, _)| version).collect();
        if distinct.len() > 1 {
            let message =
                format!("several versions of the {kind} `{}` are loaded: {listed}", self.url);
            return Err(Error::new(ErrorKind::Definition, message)
                .hint(format!("pin one of them, as in `{}|VERSION`", self.url)));
        }
        if stored.len() > 1 {
            let message = format!("the {kind} `{self}` is loaded more than once");
            let hint = format!(
                "keep one of the resources with this url and version: `{table}` lists their ids"
            );
            return Err(Error::new(ErrorKind::Definition, message).hint(hint));
        }
        stored.pop().ok_or_else(|| {
            let error = Error::new(ErrorKind::Definition, format!("the {kind} `{self}` is not loaded"));
            if listed.is_empty() {
                error.hint(format!("bring it in with a pipeline that has `schemas = [\"terminology\"]`; `{table}` lists what is loaded"))
            } else {
                error.hint(format!("versions that are loaded: {listed}"))
            }
        })
    }
}

impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        self.version.iter().try_for_each(|version| write!(f, "|{version}"))
    }
}

/// The versions for a message, sorted.
fn versions<T>(stored: &[(Option<String>, T)]) -> String {
    let named = |v: &Option<String>| {
        v.as_ref().map_or("one without a version".to_owned(), |v| format!("`{v}`"))
    };
    let sorted: BTreeSet<_> = stored.iter().map(|(version, _)| named(version)).collect();
    sorted.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_version_is_picked_or_the_reason_is_given() {
        for (canonical, stored, expected) in [
            ("u", &[Some("1")][..], Ok(Some("1"))),
            ("u", &[None], Ok(None)),
            ("u|2", &[Some("1"), Some("2")], Ok(Some("2"))),
            ("u|", &[Some("1")], Ok(Some("1"))),
            ("u", &[], Err("the value set `u` is not loaded")),
            ("u|3", &[Some("1")], Err("the value set `u|3` is not loaded")),
            ("u|3", &[None], Err("the value set `u|3` is not loaded")),
            (
                "u",
                &[Some("2"), Some("1"), None],
                Err(
                    "several versions of the value set `u` are loaded: `1`, `2`, one without a version",
                ),
            ),
            ("u|1", &[Some("1"), Some("1")], Err("the value set `u|1` is loaded more than once")),
        ] {
            let stored = stored.iter().map(|v| (v.map(str::to_owned), ())).collect();
            let picked = Canonical::parse(canonical).pick("value set", "value_set", stored);
            let picked = picked.map(|(version, ())| version).map_err(|e| e.message().to_owned());
            let expected = expected.map(|v| v.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(picked, expected, "{canonical}");
        }
    }
}
