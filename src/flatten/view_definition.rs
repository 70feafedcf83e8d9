//! The ViewDefinition as the standard writes it (SQL on FHIR 2.0 and 3.0-ballot), read from JSON with every
//! deviation noted.

use serde_json::Value;

use super::problem::Problem;

/// A ViewDefinition as written, checked for form only.
#[derive(Debug, Default)]
pub(super) struct ViewDefinition {
    /// Name of the table.
    pub(super) name: Option<String>,
    /// What the table is for.
    pub(super) description: Option<String>,
    /// The resource type it flattens.
    pub(super) resource: String,
    /// `%name` values.
    pub(super) constants: Vec<Constant>,
    /// Criteria, all of which a resource must meet.
    pub(super) filters: Vec<Expression>,
    /// What makes the rows.
    pub(super) selects: Vec<SelectDefinition>,
}

/// An expression and the JSON path it stands at.
#[derive(Debug, Clone, Default)]
pub(super) struct Expression {
    /// FHIRPath.
    pub(super) text: String,
    /// JSON path within the view.
    pub(super) at: String,
}

/// `constant`: a name for a value.
#[derive(Debug)]
pub(super) struct Constant {
    /// Used as `%name`.
    pub(super) name: String,
    /// FHIR type, from the key: `valueDate` is a `date`.
    pub(super) of: String,
    /// The value as written.
    pub(super) value: Value,
    /// JSON path within the view.
    pub(super) at: String,
}

/// One `select`.
#[derive(Debug, Default)]
pub(super) struct SelectDefinition {
    /// `column`
    pub(super) columns: Vec<ColumnDefinition>,
    /// `forEach`, `forEachOrNull` or `repeat`.
    pub(super) iteration: Option<IterationDefinition>,
    /// `select` within
    pub(super) selects: Vec<SelectDefinition>,
    /// `unionAll`
    pub(super) unions: Vec<SelectDefinition>,
    /// JSON path within the view.
    pub(super) at: String,
}

/// What a select goes through.
#[derive(Debug)]
pub(super) enum IterationDefinition {
    /// A row set for each value; none for none.
    ForEach(Expression),
    /// A row set for each value; one of nulls for none.
    ForEachOrNull(Expression),
    /// A row set for each value found by applying the paths again and again.
    Repeat(Vec<Expression>),
}

/// `column`
#[derive(Debug, Default)]
pub(super) struct ColumnDefinition {
    /// Name of the column.
    pub(super) name: String,
    /// What it holds.
    pub(super) path: Expression,
    /// For people.
    pub(super) description: Option<String>,
    /// FHIR type, without the StructureDefinition base.
    pub(super) of: Option<String>,
    /// Whether it holds lists.
    pub(super) collection: bool,
    /// Value of the tag `ansi/type`.
    pub(super) ansi_type: Option<String>,
    /// JSON path within the view.
    pub(super) at: String,
}

/// Keys of FHIR's canonical resources that say nothing about rows.
const METADATA: [&str; 27] = [
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "modifierExtension",
    "identifier",
    "version",
    "versionAlgorithmString",
    "versionAlgorithmCoding",
    "title",
    "status",
    "experimental",
    "date",
    "publisher",
    "contact",
    "useContext",
    "jurisdiction",
    "purpose",
    "copyright",
    "copyrightLabel",
    "fhirVersion",
    "profile",
    "approvalDate",
];

/// Reads a view; `None` where it has no usable form. Problems are added in the order of the text.
pub(super) fn read(json: &Value, problems: &mut Vec<Problem>) -> ViewDefinition {
    let mut reader = Reader { problems };
    reader.view(json)
}

struct Reader<'p> {
    problems: &'p mut Vec<Problem>,
}

impl Reader<'_> {
    fn error(&mut self, at: &str, message: impl Into<String>) {
        self.problems.push(Problem::error(at, message));
    }

    fn view(&mut self, json: &Value) -> ViewDefinition {
        let Some(object) = json.as_object() else {
            self.error("", "a ViewDefinition must be a JSON object");
            return ViewDefinition::default();
        };
        if let Some(kind) = object.get("resourceType").and_then(Value::as_str)
            && !kind.ends_with("ViewDefinition")
        {
            self.error("resourceType", format!("this is a `{kind}`, not a ViewDefinition"));
        }
        let own = ["name", "url", "description", "resource", "constant", "where", "select"];
        self.unknown_keys(json, "", &[&METADATA[..], &own[..]].concat());
        let resource = self.string(json, "resource", "").unwrap_or_else(|| {
            self.problems.push(
                Problem::error("resource", "`resource` is missing")
                    .hint("name the resource type, such as `Patient`"),
            );
            String::new()
        });
        let name = self.string(json, "name", "");
        if let Some(name) = &name {
            self.sql_name(name, "name");
        }
        let selects = self.list(json, "select", "");
        if selects.is_empty() {
            self.error("select", "a view needs at least one `select`");
        }
        ViewDefinition {
            name,
            description: self.string(json, "description", ""),
            resource,
            constants: self
                .list(json, "constant", "")
                .into_iter()
                .filter_map(|(at, c)| self.constant(c, &at))
                .collect(),
            filters: self
                .list(json, "where", "")
                .into_iter()
                .filter_map(|(at, w)| self.filter(w, &at))
                .collect(),
            selects: selects.into_iter().map(|(at, s)| self.select(s, at)).collect(),
        }
    }

    fn unknown_keys(&mut self, json: &Value, at: &str, known: &[&str]) {
        for key in json.as_object().into_iter().flat_map(|o| o.keys()) {
            if known.contains(&key.as_str()) || key.starts_with('_') {
                continue;
            }
            let problem = Problem::warning(
                join(at, key),
                format!("`{key}` is not part of a view and has no effect"),
            );
            self.problems.push(match crate::suggest::nearest(key, known.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            });
        }
    }

    fn string(&mut self, json: &Value, key: &str, at: &str) -> Option<String> {
        let text = json.get(key)?.as_str();
        if text.is_none() {
            self.error(&join(at, key), format!("`{key}` must be a text"));
        }
        text.map(str::to_owned)
    }

    /// The objects of a list, each with its JSON path.
    fn list<'j>(&mut self, json: &'j Value, key: &str, at: &str) -> Vec<(String, &'j Value)> {
        let at = join(at, key);
        let Some(list) = json.get(key) else { return Vec::new() };
        let Some(list) = list.as_array() else {
            self.error(&at, format!("`{key}` must be a list"));
            return Vec::new();
        };
        let indexed = list.iter().enumerate().map(|(i, v)| (format!("{at}[{i}]"), v));
        let (objects, others): (Vec<_>, Vec<_>) = indexed.partition(|(_, v)| v.is_object());
        for (at, _) in others {
            self.error(&at, "expected an object here");
        }
        objects
    }

    fn constant(&mut self, json: &Value, at: &str) -> Option<Constant> {
        let Some(name) = self.string(json, "name", at) else {
            self.error(at, "a constant needs a `name`");
            return None;
        };
        self.sql_name(&name, &join(at, "name"));
        let mut values =
            json.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("value"));
        let found = values.next();
        if values.next().is_some() {
            self.error(at, format!("constant `{name}` has several values"));
        }
        let Some((key, value)) = found else {
            self.error(at, format!("constant `{name}` has no value"));
            return None;
        };
        let (head, tail) = key["value".len()..].split_at(usize::from(key.len() > "value".len()));
        Some(Constant {
            name,
            of: head.to_lowercase() + tail,
            value: value.clone(),
            at: join(at, key),
        })
    }

    fn filter(&mut self, json: &Value, at: &str) -> Option<Expression> {
        self.unknown_keys(json, at, &["path", "description", "id", "extension"]);
        let found = self.expression(json, "path", at);
        if found.is_none() {
            self.error(at, "`where` needs a `path`");
        }
        found
    }

    /// One that is no text, or has none, is noted here and stays empty.
    fn expression(&mut self, json: &Value, key: &str, at: &str) -> Option<Expression> {
        json.get(key)?;
        let text = self.string(json, key, at).unwrap_or_default();
        if text.trim().is_empty() && json[key].is_string() {
            self.error(&join(at, key), "the expression is empty");
        }
        Some(Expression { text, at: join(at, key) })
    }

    fn select(&mut self, json: &Value, at: String) -> SelectDefinition {
        let known = [
            "column",
            "select",
            "forEach",
            "forEachOrNull",
            "repeat",
            "unionAll",
            "id",
            "extension",
        ];
        self.unknown_keys(json, &at, &known);
        let columns = self.list(json, "column", &at);
        SelectDefinition {
            columns: columns.into_iter().map(|(at, c)| self.column(c, at)).collect(),
            iteration: self.iteration(json, &at),
            selects: self
                .list(json, "select", &at)
                .into_iter()
                .map(|(at, s)| self.select(s, at))
                .collect(),
            unions: self
                .list(json, "unionAll", &at)
                .into_iter()
                .map(|(at, s)| self.select(s, at))
                .collect(),
            at,
        }
    }

    fn iteration(&mut self, json: &Value, at: &str) -> Option<IterationDefinition> {
        let given: Vec<_> = ["forEach", "forEachOrNull", "repeat"]
            .into_iter()
            .filter(|k| json.get(k).is_some())
            .collect();
        if given.len() > 1 {
            let message = format!("a select may have only one of `{}`", given.join("`, `"));
            self.problems.push(
                Problem::error(at, message)
                    .hint("put one of them into a `select` of its own within"),
            );
        }
        match *given.first()? {
            "forEach" => self.expression(json, "forEach", at).map(IterationDefinition::ForEach),
            "forEachOrNull" => {
                self.expression(json, "forEachOrNull", at).map(IterationDefinition::ForEachOrNull)
            }
            _ => self.repeat(&json["repeat"], &join(at, "repeat")),
        }
    }

    fn repeat(&mut self, paths: &Value, at: &str) -> Option<IterationDefinition> {
        let texts =
            paths.as_array().filter(|list| !list.is_empty() && list.iter().all(Value::is_string));
        let Some(texts) = texts else {
            self.error(at, "`repeat` must be a list of paths");
            return None;
        };
        let path = |(i, text): (usize, &Value)| Expression {
            text: text.as_str().unwrap_or_default().to_owned(),
            at: format!("{at}[{i}]"),
        };
        Some(IterationDefinition::Repeat(texts.iter().enumerate().map(path).collect()))
    }

    fn column(&mut self, json: &Value, at: String) -> ColumnDefinition {
        let known = ["name", "path", "description", "collection", "type", "tag", "id", "extension"];
        self.unknown_keys(json, &at, &known);
        if json.get("tags").is_some() {
            self.problems.push(
                Problem::warning(join(&at, "tags"), "`tags` has no effect")
                    .hint("it is spelled `tag`"),
            );
        }
        let name = self.string(json, "name", &at).unwrap_or_else(|| {
            self.error(&at, "a column needs a `name`");
            String::new()
        });
        if !name.is_empty() {
            self.sql_name(&name, &join(&at, "name"));
        }
        let path = self.expression(json, "path", &at).unwrap_or_else(|| {
            self.error(&at, format!("column `{name}` needs a `path`"));
            Expression { text: String::new(), at: join(&at, "path") }
        });
        let base = "http://hl7.org/fhir/StructureDefinition/";
        ColumnDefinition {
            path,
            description: self.string(json, "description", &at),
            of: self.string(json, "type", &at).map(|t| t.trim_start_matches(base).to_owned()),
            collection: self.collection(json, &at),
            ansi_type: self.ansi_type(json, &at),
            name,
            at,
        }
    }

    fn collection(&mut self, json: &Value, at: &str) -> bool {
        match json.get("collection") {
            None => false,
            Some(Value::Bool(b)) => *b,
            Some(_) => {
                self.error(&join(at, "collection"), "`collection` must be true or false");
                false
            }
        }
    }

    fn ansi_type(&mut self, json: &Value, at: &str) -> Option<String> {
        let tags = self.list(json, "tag", at);
        let tag = tags
            .into_iter()
            .find(|(_, t)| t.get("name").and_then(Value::as_str) == Some("ansi/type"))?
            .1;
        tag.get("value").and_then(Value::as_str).map(str::to_owned)
    }

    /// Invariant sql-name of the standard: a letter, then letters, digits and underscores.
    fn sql_name(&mut self, name: &str, at: &str) {
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            let problem = Problem::error(at, format!("`{name}` is no name for SQL"));
            self.problems
                .push(problem.hint("begin with a letter, go on with letters, digits and `_`"));
        }
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}
