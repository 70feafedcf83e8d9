//! SQLQuery and SQLView of SQL on FHIR 3.0: SQL with a name, parameters, and canonical dependencies.
//!
//! A [`Library`] is read from an annotated `.sql` file or from the FHIR Library resource, and written as either. A
//! [`Shelf`] finds the libraries that one depends on and puts them in order; [`Engine::prepare`] makes each dependency
//! known to the session under its canonical url, so that two files may call two tables by the same label.

mod annotation;
mod fhir;
mod parameter;
mod relations;
mod shelf;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;

pub use parameter::{Parameter, ParameterType};
pub use shelf::Shelf;

use super::terminology::{self, Failure};
use super::{Engine, Results, error, statement};
use crate::error::{Error, ErrorKind, Result};
use crate::suggest;

/// Where urls of files begin that do not say their own.
const OURS: &str = "http://kiln.example.org/Library/";

/// What a library is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LibraryType {
    /// Is run; may have parameters.
    Query,
    /// Is a table that others depend on; has no parameters.
    View,
}

/// A SQLQuery or SQLView.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// `Library.name`, an SQL identifier.
    pub name: String,
    /// The canonical url without version.
    pub url: String,
    /// What it is for.
    pub kind: LibraryType,
    /// Its business version.
    pub version: Option<String>,
    /// The parameters, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// What its SQL reads, by label.
    pub dependencies: Vec<Dependency>,
    /// Everything else that it says of itself, by annotation (`title`, `description`, `status`, `author`, …).
    pub about: BTreeMap<String, Vec<String>>,
    /// The SQL with its comments, as in the file.
    pub sql: String,
}

/// A `relatedArtifact` of type depends-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// `url` or `url|version` of a ViewDefinition, SQLView, ValueSet or ConceptMap.
    pub canonical: String,
    /// What the SQL calls it.
    pub label: String,
}

impl Library {
    /// Reads a file: `.json` is the FHIR resource, anything else annotated SQL. Fails with [`ErrorKind::Input`] if it
    /// cannot be read and with [`ErrorKind::Definition`] if it is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::io(ErrorKind::Input, "read", path, e))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let read = if path.extension().is_some_and(|e| e == "json") {
            Self::from_fhir(&text)
        } else {
            Self::from_sql(&text, &stem)
        };
        read.map_err(|e| e.within("file", path.display()))
    }

    /// Reads annotated SQL; `stem` is the name if none is annotated.
    pub fn from_sql(text: &str, stem: &str) -> Result<Self> {
        let library = annotation::read(text, stem)?;
        library.check()?;
        Ok(library)
    }

    /// Whether a text has annotations, so that it is more than SQL.
    pub fn is_annotated(text: &str) -> bool {
        annotation::any(text)
    }

    /// The first value of an annotation.
    pub fn says(&self, annotation: &str) -> Option<&str> {
        self.about.get(annotation)?.first().map(String::as_str)
    }

    /// What is wrong without knowing any other file.
    fn check(&self) -> Result<()> {
        let statement = self.statement()?;
        relations::check_labels(&statement, &self.dependencies)?;
        if self.kind == LibraryType::View
            && let Some(parameter) = self.parameters.first()
        {
            let message =
                format!("an SQLView takes no parameters, and this one has `{}`", parameter.name);
            return Err(Error::new(ErrorKind::Definition, message).hint(
                "give facts with their dates; the query that reads the view applies the parameter",
            ));
        }
        let names: Vec<_> = self.parameters.iter().map(|p| p.name.as_str()).collect();
        match relations::placeholders(&statement)
            .iter()
            .find(|used| !names.contains(&used.as_str()))
        {
            Some(unknown) => Err(undeclared(unknown, &names)),
            None => Ok(()),
        }
    }

    /// The one SELECT that it is.
    fn statement(&self) -> Result<statement::Parsed> {
        let mut statements = statement::parse(&self.sql)?;
        let first = statements.pop_front().filter(|_| statements.is_empty());
        first.filter(statement::is_query).ok_or_else(|| {
            Error::new(ErrorKind::Definition, "an SQLQuery or SQLView is one SELECT, and no more")
                .hint("`WITH … AS (…)` before it takes the place of earlier statements")
        })
    }
}

fn undeclared(name: &str, declared: &[&str]) -> Error {
    let error =
        Error::new(ErrorKind::Definition, format!("the parameter `:{name}` is not declared"));
    match suggest::nearest(name, declared.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `:{near}`?")),
        None => error.hint(format!("add `-- @param: {name} string` to the file")),
    }
}

impl Engine {
    /// Makes everything known that `library` depends on, and plans it with the values of its parameters.
    ///
    /// Fails with [`ErrorKind::Definition`]: a dependency that is not found, a value that is missing, of no parameter or
    /// not of its type, SQL that does not fit the tables.
    pub async fn prepare(
        &self,
        libraries: &Shelf,
        library: &Library,
        values: &BTreeMap<String, String>,
    ) -> Result<Results> {
        let values = parameter::values(&library.parameters, values)?;
        for view in libraries.order(library)? {
            self.add_view(libraries, &view).await.map_err(|e| e.within("library", &view.url))?;
        }
        let mut query = library.statement()?;
        self.relate_leaves(libraries, library).await?;
        relations::rewrite(&mut query, &self.targets(libraries, library)?);
        parameter::bind(&mut query, &values);
        Ok(Results::new(self.context.clone(), &library.sql, VecDeque::from([query])))
    }

    /// Plans `library` with any values: whatever is wrong with it shows. Best over [`Engine::over_schemas`].
    pub async fn check_library(&self, libraries: &Shelf, library: &Library) -> Result<()> {
        let values = library.parameters.iter().map(|p| (p.name.clone(), p.of.any().to_owned()));
        let mut results = self.prepare(libraries, library, &values.collect()).await?;
        results.next().await.map(|_| ())
    }

    /// Registers an SQLView under its url. What it depends on is registered already.
    async fn add_view(&self, libraries: &Shelf, view: &Library) -> Result<()> {
        let name = TableReference::bare(view.url.as_str());
        if self.context.table_exist(name.clone()).unwrap_or(false) {
            return Ok(());
        }
        self.relate_leaves(libraries, view).await?;
        let mut query = view.statement()?;
        relations::rewrite(&mut query, &self.targets(libraries, view)?);
        let tables = super::catalog::table_names(&self.context);
        let explain =
            |e: datafusion::error::DataFusionError| error::planning(&e, &view.sql, &tables);
        let plan = self.context.state().statement_to_plan(query).await.map_err(explain)?;
        terminology::of(&self.context).prepare(&self.context, &plan).await.map_err(
            |e| match e {
                Failure::Plan(e) => explain(e),
                Failure::Terminology(error) => error,
            },
        )?;
        let table = Arc::new(ViewTable::new(plan, None));
        self.context.register_table(name, table).map_err(explain)?;
        Ok(())
    }

    /// Registers the value sets and concept maps that a library reads, each under its canonical.
    async fn relate_leaves(&self, libraries: &Shelf, library: &Library) -> Result<()> {
        for dependency in &library.dependencies {
            let canonical = dependency.canonical.as_str();
            let known = self.context.table_exist(TableReference::bare(canonical)).unwrap_or(false);
            if !known && self.table_of(libraries, canonical)?.is_none() {
                self.relate(canonical, canonical).await?;
            }
        }
        Ok(())
    }

    /// Which table of the session each label means.
    fn targets(&self, libraries: &Shelf, library: &Library) -> Result<BTreeMap<String, String>> {
        let target = |dependency: &Dependency| {
            let table = self.table_of(libraries, &dependency.canonical)?;
            Ok((dependency.label.clone(), table.unwrap_or_else(|| dependency.canonical.clone())))
        };
        library.dependencies.iter().map(target).collect()
    }

    /// The table of a ViewDefinition, or the url of an SQLView; `None` for what terminology has to answer.
    fn table_of(&self, libraries: &Shelf, canonical: &str) -> Result<Option<String>> {
        if let Some(view) = libraries.find(canonical)? {
            return Ok(Some(view.url.clone()));
        }
        let url = canonical.split('|').next().unwrap_or_default();
        if url.contains("/Library/") {
            let message = format!("the library `{canonical}` is not found");
            return Err(Error::new(ErrorKind::Definition, message)
                .hint("it is looked for in the folder of the file; `--library` names others"));
        }
        let Some((_, id)) = url.split_once("/ViewDefinition/") else { return Ok(None) };
        // FHIR ids have hyphens where names of SQL have underscores.
        let table = id.replace('-', "_");
        if self.context.table_exist(TableReference::bare(table.as_str())).unwrap_or(false) {
            return Ok(Some(table));
        }
        let tables = super::catalog::table_names(&self.context);
        let error = Error::new(
            ErrorKind::Definition,
            format!("the ViewDefinition `{canonical}` has no table `{table}` here"),
        );
        Err(match suggest::nearest(&table, tables.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("name its schema in the pipeline that fills the warehouse"),
        })
    }
}
