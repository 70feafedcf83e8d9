//! Measures: annotated SQL files, those that come with Kiln and others, and what they say of themselves.

use std::path::Path;

use include_dir::{Dir, File, include_dir};

use super::need::Need;
use super::population::Scoring;
use crate::error::{Error, ErrorKind, Result};
use crate::query::{Library, Shelf};
use crate::suggest;

/// The measures that come with Kiln; folders hold the views that they share.
static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/pipelines/measures");

/// A measure that can be evaluated.
#[derive(Debug, Clone)]
pub struct Measure {
    /// The query that gives one row for each patient.
    pub library: Library,
    /// What the query may depend on.
    pub shelf: Shelf,
    /// How it is scored (`@scoring`).
    pub scoring: Scoring,
    /// Which direction is good (`@improvement_notation`).
    pub improvement: Option<Improvement>,
    /// What it cannot do without (`@needs`).
    pub(super) needs: Vec<Need>,
}

/// Which direction of the score is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Improvement {
    /// More is better.
    Increase,
    /// Less is better.
    Decrease,
}

impl Improvement {
    /// The code of `http://terminology.hl7.org/CodeSystem/measure-improvement-notation`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Increase => "increase",
            Self::Decrease => "decrease",
        }
    }
}

impl Measure {
    /// The shipped measure of a name, or the file: what has a slash or a dot is a path. A file may depend on the SQLViews
    /// of its folder and the folders in it, and on those that are shipped.
    ///
    /// Fails with [`ErrorKind::Definition`] if there is no such measure or its annotations are wrong, and with
    /// [`ErrorKind::Input`] if the file cannot be read.
    pub fn find(name: &str) -> Result<Self> {
        if name.contains(['/', '.', '\\']) {
            Self::read(Path::new(name))
        } else {
            Self::shipped(name)
        }
    }

    /// The names of the shipped measures, sorted.
    pub fn shipped_names() -> Vec<&'static str> {
        let files = SHIPPED.files().filter(|file| is_sql(file));
        let mut names: Vec<_> =
            files.filter_map(|file| file.path().file_stem()?.to_str()).collect();
        names.sort_unstable();
        names
    }

    fn read(path: &Path) -> Result<Self> {
        let library = Library::read(path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let shelf = Shelf::read(folder.unwrap_or(Path::new(".")))?.or(shipped(&SHIPPED)?);
        Self::new(library, shelf).map_err(|e| e.within("file", path.display()))
    }

    fn shipped(name: &str) -> Result<Self> {
        let libraries = shipped(&SHIPPED)?;
        let stem = |library: &&Library| library.name == name;
        let library = libraries.iter().find(stem).filter(|_| Self::shipped_names().contains(&name));
        let library = library.ok_or_else(|| unknown(name))?.clone();
        Self::new(library, Shelf::of(libraries)).map_err(|e| e.within("measure", name))
    }

    /// A measure of a query; fails with [`ErrorKind::Definition`] if its annotations are not a measure's.
    pub fn new(library: Library, shelf: Shelf) -> Result<Self> {
        let scoring = scoring(library.says("scoring"))?;
        let improvement = library.says("improvement_notation").map(improvement).transpose()?;
        let needs = Need::of(&library)?;
        Ok(Self { library, shelf, scoring, improvement, needs })
    }

    /// The canonical url of the Measure that it computes (`@measure`), with the version.
    pub fn canonical(&self) -> Option<String> {
        let url = self.library.says("measure")?;
        Some(match &self.library.version {
            Some(version) if !url.contains('|') => format!("{url}|{version}"),
            _ => url.to_owned(),
        })
    }
}

/// All shipped files below a folder.
fn shipped(folder: &Dir<'static>) -> Result<Vec<Library>> {
    let mut libraries = Vec::new();
    for file in folder.files().filter(|file| is_sql(file)) {
        let stem = file.path().file_stem().unwrap_or_default().to_string_lossy();
        let library = Library::from_sql(file.contents_utf8().unwrap_or_default(), &stem);
        libraries.push(library.map_err(|e| e.within("measure", file.path().display()))?);
    }
    for folder in folder.dirs() {
        libraries.extend(shipped(folder)?);
    }
    Ok(libraries)
}

/// Whether it is a measure or a view; a folder may also explain itself.
fn is_sql(file: &File<'_>) -> bool {
    file.path().extension().is_some_and(|extension| extension == "sql")
}

fn unknown(name: &str) -> Error {
    let names = Measure::shipped_names();
    let error = wrong(format!("there is no shipped measure `{name}`"));
    error.hint(match suggest::nearest(name, names.iter().copied()) {
        Some(near) => {
            format!("did you mean `{near}`? A file is named with its path: `./{name}.sql`")
        }
        None => format!("one of {}, or a file with its path: `./{name}.sql`", names.join(", ")),
    })
}

fn scoring(said: Option<&str>) -> Result<Scoring> {
    match said {
        Some("proportion") => Ok(Scoring::Proportion),
        Some("cohort") => Ok(Scoring::Cohort),
        Some(other) => {
            Err(wrong(format!("measures with the scoring `{other}` cannot be evaluated"))
                .hint("`proportion` and `cohort` can"))
        }
        None => Err(wrong("the file does not say how the measure is scored")
            .hint("add `-- @scoring: proportion`")),
    }
}

fn improvement(said: &str) -> Result<Improvement> {
    match said {
        "increase" => Ok(Improvement::Increase),
        "decrease" => Ok(Improvement::Decrease),
        other => {
            Err(wrong(format!("`{other}` is no improvement notation"))
                .hint("`increase` or `decrease`"))
        }
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Definition, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn measure(annotations: &str) -> Result<Measure> {
        let library = Library::from_sql(&format!("{annotations}\nSELECT 1 AS n"), "m")?;
        Measure::new(library, Shelf::default())
    }

    #[test]
    fn annotations_that_are_refused() {
        for (annotations, expected) in [
            ("", "the file does not say how the measure is scored"),
            ("-- @scoring: ratio", "measures with the scoring `ratio` cannot be evaluated"),
            (
                "-- @scoring: cohort\n-- @improvement_notation: up",
                "`up` is no improvement notation",
            ),
        ] {
            assert_eq!(measure(annotations).unwrap_err().message(), expected);
        }
    }

    #[test]
    fn canonicals() {
        for (annotations, expected) in [
            ("", None),
            ("-- @measure: http://m", Some("http://m")),
            ("-- @measure: http://m\n-- @version: 1.0", Some("http://m|1.0")),
            ("-- @measure: http://m|2\n-- @version: 1.0", Some("http://m|2")),
        ] {
            let measure = measure(&format!("-- @scoring: cohort\n{annotations}")).unwrap();
            assert_eq!(measure.canonical().as_deref(), expected, "{annotations}");
        }
    }

    #[test]
    fn every_shipped_measure_is_one() {
        for name in Measure::shipped_names() {
            let measure = Measure::find(name).unwrap();
            assert_eq!(measure.library.name, name);
            assert!(measure.canonical().is_some() && measure.improvement.is_some(), "{name}");
            let parameters: Vec<_> =
                measure.library.parameters.iter().map(|p| p.name.as_str()).collect();
            assert_eq!(
                parameters,
                ["measurement_period_start", "measurement_period_end"],
                "{name}"
            );
        }
    }

    #[test]
    fn measures_that_are_not_there() {
        for (name, message, hint) in [
            ("cms123", "there is no shipped measure `cms123`", "did you mean `cms1"),
            ("unheard", "there is no shipped measure `unheard`", "one of cms122, "),
            ("./none.sql", "cannot read `./none.sql`: No such file or directory (os error 2)", ""),
        ] {
            let error = Measure::find(name).unwrap_err();
            assert_eq!(error.message(), message);
            assert!(error.remedy().unwrap_or_default().starts_with(hint), "{:?}", error.remedy());
        }
    }
}
