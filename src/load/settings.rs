//! What `[[load]]` of a pipeline may say, checked.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::duckdb::DuckDb;
use super::files::Files;
use super::postgres::{Impossible, Mode, Postgres};
use super::{FileFormat, Load, Target};
use crate::objects::{self, StoreSettings};
use crate::settings::{Mistake, Mistakes, Secret};
use crate::suggest;

/// `[[load]]` of a pipeline as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadTable {
    /// Names it in reports; the target by default.
    pub name: Option<String>,
    /// `postgres`, `duckdb` or `files`.
    pub to: String,
    /// Which tables, views' and models'; all by default. `_rejects` only if it is named.
    #[serde(default)]
    pub tables: Vec<String>,
    /// PostgreSQL: the connection url, usually a secret.
    pub url: Option<Secret>,
    /// PostgreSQL: the schema of the tables; `public` by default.
    pub schema: Option<String>,
    /// PostgreSQL: `swap` (default) or `merge`.
    pub mode: Option<String>,
    /// PostgreSQL: what happens to NUL bytes and other values that it cannot hold: `refuse` (default), `remove`, `null`.
    pub impossible: Option<String>,
    /// PostgreSQL: columns that get an index where a table has them, besides `_key` and those that end in `_id`.
    #[serde(default)]
    pub indexes: Vec<String>,
    /// DuckDB: the file. Files: the folder, or `s3://bucket/prefix`.
    pub path: Option<String>,
    /// DuckDB: its shared library or its program, if they are not found.
    pub driver: Option<PathBuf>,
    /// Files: `csv`, `ndjson` or `parquet` (default).
    pub format: Option<String>,
    /// How the object store of `path` is reached.
    pub store: Option<StoreSettings>,
}

/// The targets, with the keys that each understands besides `name`, `to` and `tables`.
const TARGETS: [(&str, &[&str]); 3] = [
    ("postgres", &["url", "schema", "mode", "impossible", "indexes"]),
    ("duckdb", &["path", "driver"]),
    ("files", &["path", "format", "store"]),
];

impl LoadTable {
    /// Checks it; relative paths begin at `folder`. Paths of mistakes are below the load (`url`, not `load[0].url`).
    pub fn check(&self, folder: &Path) -> Result<Load, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let Some((_, keys)) = TARGETS.iter().find(|(name, _)| *name == self.to) else {
            let message = format!("`{}` is no target of loads", self.to);
            mistakes.hinted("to", message, one_of(&self.to, TARGETS.map(|(name, _)| name)));
            return Err(mistakes.0);
        };
        for key in self.written().into_iter().filter(|key| !keys.contains(key)) {
            mistakes.add(key, format!("a load to `{}` has no `{key}`", self.to));
        }
        let target = match self.to.as_str() {
            "postgres" => self.postgres(folder, &mut mistakes).map(Target::Postgres),
            "duckdb" => self.duckdb(folder, &mut mistakes).map(Target::DuckDb),
            _ => self.files(folder, &mut mistakes).map(Target::Files),
        };
        let name = self.name.clone().unwrap_or_else(|| self.to.clone());
        match target {
            Some(target) if mistakes.0.is_empty() => {
                Ok(Load { name, tables: self.tables.clone(), target })
            }
            _ => Err(mistakes.0),
        }
    }

    /// The keys that are written of those that not every target has.
    fn written(&self) -> Vec<&'static str> {
        let keys = [
            ("url", self.url.is_some()),
            ("schema", self.schema.is_some()),
            ("mode", self.mode.is_some()),
            ("impossible", self.impossible.is_some()),
            ("indexes", !self.indexes.is_empty()),
            ("path", self.path.is_some()),
            ("driver", self.driver.is_some()),
            ("format", self.format.is_some()),
            ("store", self.store.is_some()),
        ];
        keys.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect()
    }

    fn postgres(&self, folder: &Path, mistakes: &mut Mistakes) -> Option<Postgres> {
        let mode = choice(
            "mode",
            self.mode.as_deref(),
            [("swap", Mode::Swap), ("merge", Mode::Merge)],
            mistakes,
        );
        let policies = [
            ("refuse", Impossible::Refuse),
            ("remove", Impossible::Remove),
            ("null", Impossible::Null),
        ];
        let impossible = choice("impossible", self.impossible.as_deref(), policies, mistakes);
        let schema = self.schema.clone().unwrap_or_else(|| "public".to_owned());
        if schema.is_empty() || schema.len() > 63 || schema.contains('\0') {
            mistakes.add("schema", "the name of a schema has 1 to 63 bytes");
        }
        let Some(url) = self.url.clone() else {
            mistakes.hinted(
                "url",
                "a load to `postgres` needs the connection url",
                "`url = { env = \"RESEARCH_DATABASE\" }`, and in that variable `postgresql://user:password@host/database`",
            );
            return None;
        };
        Some(Postgres {
            url: url.at(folder),
            schema,
            mode: mode?,
            impossible: impossible?,
            indexes: self.indexes.clone(),
        })
    }

    fn duckdb(&self, folder: &Path, mistakes: &mut Mistakes) -> Option<DuckDb> {
        let path = self.target_path("research.duckdb", mistakes)?;
        if objects::is_url(&path) {
            mistakes.add("path", "a DuckDB file is written to a folder of this machine");
        }
        let driver = self.driver.as_ref().map(|driver| beside(folder, driver));
        Some(DuckDb { path: folder.join(path), driver })
    }

    fn files(&self, folder: &Path, mistakes: &mut Mistakes) -> Option<Files> {
        let formats = [
            ("parquet", FileFormat::Parquet),
            ("csv", FileFormat::Csv),
            ("ndjson", FileFormat::Ndjson),
        ];
        let format = choice("format", self.format.as_deref(), formats, mistakes);
        let path = self.target_path("drop", mistakes)?;
        let is_url = objects::is_url(&path);
        if self.store.is_some() && !is_url {
            mistakes.add("store", "`store` belongs to a path that begins with `s3://`");
        }
        let path = if is_url { path } else { folder.join(path).to_string_lossy().into_owned() };
        Some(Files { path, format: format?, store: self.store.clone().unwrap_or_default() })
    }

    fn target_path(&self, example: &str, mistakes: &mut Mistakes) -> Option<String> {
        let path = self.path.clone().filter(|path| !path.is_empty());
        if path.is_none() {
            let message = format!("a load to `{}` needs a `path`", self.to);
            mistakes.hinted("path", message, format!("`path = \"{example}\"`"));
        }
        path
    }
}

/// A program or library that is named without a folder is looked for by the system.
fn beside(folder: &Path, file: &Path) -> PathBuf {
    if file.components().count() == 1 { file.to_owned() } else { folder.join(file) }
}

/// What a word stands for; the first of the choices without one.
fn choice<T: Copy, const N: usize>(
    key: &str,
    word: Option<&str>,
    choices: [(&'static str, T); N],
    mistakes: &mut Mistakes,
) -> Option<T> {
    let Some(word) = word else { return Some(choices[0].1) };
    let found = choices.iter().find(|(name, _)| *name == word);
    if found.is_none() {
        let hint = one_of(word, choices.map(|(name, _)| name));
        mistakes.hinted(key, format!("`{word}` is no `{key}`"), hint);
    }
    found.map(|(_, meaning)| *meaning)
}

fn one_of<const N: usize>(word: &str, names: [&'static str; N]) -> String {
    match suggest::nearest(word, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("one of {}", names.map(|name| format!("`{name}`")).join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_written() {
        for (text, mistakes) in [
            ("to = \"postgres\"\nurl = { env = \"DB\" }", &[][..]),
            ("to = \"postgres\"", &["url"]),
            (
                "to = \"postgres\"\nurl = \"x\"\nmode = \"swop\"\nimpossible = \"no\"",
                &["mode", "impossible"],
            ),
            ("to = \"postgres\"\nurl = \"x\"\npath = \"y\"\nformat = \"csv\"", &["path", "format"]),
            ("to = \"duckdb\"\npath = \"a.duckdb\"", &[]),
            ("to = \"duckdb\"\npath = \"s3://a/b\"", &["path"]),
            ("to = \"files\"\npath = \"drop\"\nformat = \"csv\"", &[]),
            ("to = \"files\"\npath = \"drop\"\nstore = { region = \"x\" }", &["store"]),
            ("to = \"files\"\npath = \"s3://b/p\"\nstore = { region = \"x\" }", &[]),
            ("to = \"files\"", &["path"]),
            ("to = \"oracle\"", &["to"]),
        ] {
            let written: LoadTable = toml::from_str(text).unwrap();
            let found = written.check(Path::new("/p")).err().unwrap_or_default();
            let found: Vec<_> = found.iter().map(|m| m.path.as_str()).collect();
            assert_eq!(found, mistakes, "{text}");
        }
    }
}
