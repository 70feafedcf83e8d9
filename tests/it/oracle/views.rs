//! Views as trees, how they are written, and their rows by the algorithm of the specification (SQL on FHIR,
//! "Processing Algorithm"): rows are lists of named cells, multiplied and joined one by one.

use kiln::fhir::Type;
use kiln::flatten::{self, CellType};
use serde_json::{Value as Definition, json};

use super::evaluate::{Evaluated, Scope, evaluate};
use super::json::Json;
use super::paths::Path;
use super::values::{Element, Value};

/// A ViewDefinition.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) resource: Type,
    pub(super) filters: Vec<Path>,
    pub(super) selects: Vec<Select>,
}

#[derive(Debug, Clone)]
pub(super) struct Select {
    pub(super) each: Each,
    pub(super) columns: Vec<Column>,
    pub(super) nested: Vec<Select>,
    pub(super) unions: Vec<Select>,
}

/// What a select goes through.
#[derive(Debug, Clone)]
pub(super) enum Each {
    Once,
    /// `forEach`
    Value(Path),
    /// `forEachOrNull`
    ValueOrNull(Path),
    Repeat(Vec<Path>),
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) path: Path,
    pub(super) collection: bool,
    /// Whether it asks for text, whatever its values are.
    pub(super) as_text: bool,
}

impl View {
    /// The definition as JSON.
    pub(super) fn definition(&self) -> Definition {
        let filters = self.filters.iter().map(|f| json!({ "path": f.to_string() }));
        json!({
            "resource": self.resource.name(),
            "where": filters.collect::<Vec<_>>(),
            "select": selects(&self.selects),
        })
    }

    /// The rows of a resource.
    pub(super) fn rows<'r>(&self, resource: &'r Json) -> Evaluated<Vec<Row<'r>>> {
        let resource = Element { json: Some(resource), beside: None, of: self.resource };
        let scope = Scope { this: Value::Element(resource), resource, row_index: 0 };
        for filter in &self.filters {
            match evaluate(filter, &scope)?.as_slice() {
                [] => return Ok(Vec::new()),
                [one] => match one.boolean() {
                    Some(true) => {}
                    Some(false) => return Ok(Vec::new()),
                    None => return Err("`where` gives no boolean"),
                },
                _ => return Err("`where` gives several values"),
            }
        }
        let parts = self.selects.iter().map(|s| s.rows(&scope)).collect::<Evaluated<Vec<_>>>()?;
        Ok(product(parts))
    }
}

fn selects(list: &[Select]) -> Vec<Definition> {
    list.iter().map(Select::definition).collect()
}

/// Cells with the names of their columns, in the order of the columns.
pub(super) type Row<'r> = Vec<(String, Cell<'r>)>;

/// What a row has for a column.
#[derive(Debug, Clone)]
pub(super) enum Cell<'r> {
    Null,
    One(Value<'r>),
    List(Vec<Value<'r>>),
}

impl Select {
    fn definition(&self) -> Definition {
        let mut definition = json!({});
        match &self.each {
            Each::Once => {}
            Each::Value(path) => definition["forEach"] = json!(path.to_string()),
            Each::ValueOrNull(path) => definition["forEachOrNull"] = json!(path.to_string()),
            Each::Repeat(paths) => {
                let paths: Vec<_> = paths.iter().map(Path::to_string).collect();
                definition["repeat"] = json!(paths);
            }
        }
        let columns: Vec<_> = self.columns.iter().map(Column::definition).collect();
        let parts = [
            ("column", columns),
            ("select", selects(&self.nested)),
            ("unionAll", selects(&self.unions)),
        ];
        for (key, list) in parts {
            if !list.is_empty() {
                definition[key] = json!(list);
            }
        }
        definition
    }

    /// All columns, in the order of the table.
    fn all_columns(&self) -> Vec<&Column> {
        let inner = self.nested.iter().chain(self.unions.first()).flat_map(Self::all_columns);
        self.columns.iter().chain(inner).collect()
    }

    fn rows<'r>(&self, scope: &Scope<'r>) -> Evaluated<Vec<Row<'r>>> {
        let foci = match &self.each {
            Each::Once => return self.rows_of_focus(scope),
            Each::Value(path) | Each::ValueOrNull(path) => evaluate(path, scope)?,
            Each::Repeat(paths) => {
                let mut found = Vec::new();
                traverse(paths, scope, &mut found)?;
                found
            }
        };
        let mut rows = Vec::new();
        for (row_index, focus) in foci.iter().enumerate() {
            rows.extend(self.rows_of_focus(&Scope { row_index, ..scope.on(focus) })?);
        }
        if foci.is_empty() && matches!(self.each, Each::ValueOrNull(_)) {
            rows.push(self.null_row());
        }
        Ok(rows)
    }

    /// The cells of the columns, times the rows of each select within, times those of all union branches.
    fn rows_of_focus<'r>(&self, scope: &Scope<'r>) -> Evaluated<Vec<Row<'r>>> {
        let cell = |c: &Column| Ok((c.name.clone(), c.cell(scope)?));
        let mut parts = vec![vec![self.columns.iter().map(cell).collect::<Evaluated<Row<'r>>>()?]];
        for select in &self.nested {
            parts.push(select.rows(scope)?);
        }
        if !self.unions.is_empty() {
            let mut all = Vec::new();
            for branch in &self.unions {
                all.extend(branch.rows(scope)?);
            }
            parts.push(all);
        }
        Ok(product(parts))
    }

    /// "all columns … null", but `%rowIndex` is 0.
    fn null_row<'r>(&self) -> Row<'r> {
        let zero = Value::Number("0".into());
        let cell = |column: &Column| match (&column.path, column.collection) {
            (Path::RowIndex, false) => Cell::One(zero.clone()),
            (Path::RowIndex, true) => Cell::List(vec![zero.clone()]),
            _ => Cell::Null,
        };
        self.all_columns().into_iter().map(|c| (c.name.clone(), cell(c))).collect()
    }
}

fn traverse<'r>(paths: &[Path], scope: &Scope<'r>, found: &mut Vec<Value<'r>>) -> Evaluated<()> {
    for path in paths {
        for item in evaluate(path, scope)? {
            found.push(item.clone());
            traverse(paths, &scope.on(&item), found)?;
        }
    }
    Ok(())
}

fn product<'r>(parts: Vec<Vec<Row<'r>>>) -> Vec<Row<'r>> {
    parts.into_iter().fold(vec![Vec::new()], |rows, part| {
        let with = |row: &Row<'r>| -> Vec<Row<'r>> {
            part.iter().map(|more| [row.clone(), more.clone()].concat()).collect()
        };
        rows.iter().flat_map(with).collect()
    })
}

impl Column {
    fn definition(&self) -> Definition {
        let mut definition = json!({ "name": self.name, "path": self.path.to_string() });
        if self.collection {
            definition["collection"] = json!(true);
        }
        if self.as_text {
            definition["tag"] = json!([{ "name": "ansi/type", "value": "CHARACTER VARYING" }]);
        }
        definition
    }

    fn cell<'r>(&self, scope: &Scope<'r>) -> Evaluated<Cell<'r>> {
        let mut values = evaluate(&self.path, scope)?;
        if self.collection {
            return Ok(Cell::List(values));
        }
        match values.len() {
            0 => Ok(Cell::Null),
            1 => Ok(Cell::One(values.remove(0))),
            _ => Err("several values in a single column"),
        }
    }
}

/// A cell as text, for comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    Null,
    One(String),
    List(Vec<Option<String>>),
}

impl Cell<'_> {
    /// What a column has of it.
    pub(super) fn shown(&self, column: &flatten::Column) -> Shown {
        match self {
            Cell::Null => Shown::Null,
            Cell::One(value) => shown(value, column).map_or(Shown::Null, Shown::One),
            // An element without a value adds no entry.
            Cell::List(values) => {
                let entries = values.iter().filter(|v| v.written().is_some());
                Shown::List(entries.map(|v| shown(v, column)).collect())
            }
        }
    }
}

fn shown(value: &Value<'_>, column: &flatten::Column) -> Option<String> {
    let complex = |of: &str| of.starts_with(|c: char| c.is_ascii_uppercase());
    match column.cell {
        CellType::Boolean => value.boolean().map(|b| b.to_string()),
        CellType::Int32 => value.number().and_then(|n| n.whole()).map(|n| n.to_string()),
        // JSON stands in columns of complex types only.
        _ if value.is_complex() && !column.fhir_type.as_deref().is_some_and(complex) => None,
        _ => value.written(),
    }
}
