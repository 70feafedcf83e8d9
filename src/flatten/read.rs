//! Reads a ViewDefinition from JSON, and notes every deviation from the form that the standard gives it.

use serde_json::{Map, Value};

use super::problem::Problem;
use super::view_definition::{
    ColumnDefinition, Constant, Expression, IterationDefinition, SelectDefinition, ViewDefinition,
};
use crate::suggest;

/// Keys of FHIR's canonical resources that say nothing about rows.
const METADATA: [&str; 36] = [
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
    "subtitle",
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
    "lastReviewDate",
    "effectivePeriod",
    "topic",
    "author",
    "editor",
    "reviewer",
    "endorser",
    "relatedArtifact",
];

/// Reads a view as far as it can be read.
pub(super) fn read(json: &Value, problems: &mut Vec<Problem>) -> ViewDefinition {
    let mut reader = Reader { problems };
    reader.view(json)
}

struct Reader<'p> {
    problems: &'p mut Vec<Problem>,
}

/// An object and its JSON path.
type Placed<'j> = (String, &'j Value);

impl Reader<'_> {
    fn error(&mut self, at: &str, message: impl Into<String>) {
        self.problems.push(Problem::error(at, message));
    }

    fn error_with(&mut self, at: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::error(at, message).hint(hint));
    }

    fn view(&mut self, json: &Value) -> ViewDefinition {
        if !json.is_object() {
            self.error("", "a ViewDefinition must be a JSON object");
            return ViewDefinition::default();
        }
        self.resource_type(json);
        self.fhir_version(json);
        let own = ["name", "url", "description", "resource", "constant", "where", "select"];
        self.unknown_keys(json, "", &[&METADATA[..], &own[..]].concat());
        if json.get("resource").is_none_or(|r| r == "") {
            let hint = "name the resource type, such as `Patient`";
            self.error_with("resource", "`resource` is missing", hint);
        }
        let name = self.string(json, "name", "");
        if let Some(name) = &name {
            self.sql_name(name, "name");
        }
        let selects = if json.get("select").is_none_or(|s| s.as_array().is_some_and(Vec::is_empty))
        {
            self.error("select", "a view needs at least one `select`");
            Vec::new()
        } else {
            self.list(json, "select", "")
        };
        ViewDefinition {
            name,
            description: self.string(json, "description", ""),
            resource: self.string(json, "resource", "").unwrap_or_default(),
            constants: self.constants(json),
            filters: self
                .list(json, "where", "")
                .into_iter()
                .filter_map(|(at, w)| self.filter(w, &at))
                .collect(),
            selects: selects.into_iter().map(|(at, s)| self.select(s, at)).collect(),
        }
    }

    /// The name in 3.0, the canonical URL in 2.0, nothing in the official tests.
    fn resource_type(&mut self, json: &Value) {
        let Some(kind) = self.string(json, "resourceType", "") else { return };
        if kind.rsplit('/').next() != Some("ViewDefinition") {
            self.error("resourceType", format!("this is a `{kind}`, not a ViewDefinition"));
        }
    }

    fn fhir_version(&mut self, json: &Value) {
        let versions: Vec<_> = match json.get("fhirVersion") {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one],
            _ => return,
        };
        if !versions.is_empty() && !versions.iter().any(|v| *v == "4.0" || v.starts_with("4.0.")) {
            let message =
                format!("the view is for FHIR {}, and Kiln reads it as R4", versions.join(", "));
            let hint = "elements that R4 does not have give nothing";
            self.problems.push(Problem::warning("fhirVersion", message).hint(hint));
        }
    }

    fn unknown_keys(&mut self, json: &Value, at: &str, known: &[&str]) {
        for key in json.as_object().into_iter().flat_map(Map::keys) {
            if known.contains(&key.as_str()) || key.starts_with('_') {
                continue;
            }
            let part = if at.is_empty() { "view" } else { "view here" };
            let message = format!("`{key}` is not part of a {part} and has no effect");
            let problem = Problem::warning(join(at, key), message);
            self.problems.push(match suggest::nearest(key, known.iter().copied()) {
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

    /// The text of a key that must be there.
    fn required(&mut self, json: &Value, key: &str, at: &str, whose: &str) -> Option<String> {
        if json.get(key).is_none() {
            self.error(at, format!("{whose} needs a `{key}`"));
        }
        self.string(json, key, at)
    }

    /// The objects of a list, each with its JSON path. A single object in place of a list is refused, and read.
    fn list<'j>(&mut self, json: &'j Value, key: &str, at: &str) -> Vec<Placed<'j>> {
        let at = join(at, key);
        let list = match json.get(key) {
            None => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                let hint = format!("write `\"{key}\": [{}]`", example(key));
                self.error_with(&at, format!("`{key}` must be a list"), hint);
                return other.is_object().then_some((at, other)).into_iter().collect();
            }
        };
        if list.is_empty() {
            let problem = Problem::warning(&at, format!("an empty `{key}` has no effect"));
            self.problems.push(problem.hint("leave it out"));
        }
        let indexed = list.iter().enumerate().map(|(i, v)| (format!("{at}[{i}]"), v));
        let (objects, others): (Vec<_>, Vec<_>) = indexed.partition(|(_, v)| v.is_object());
        for (at, _) in others {
            self.error_with(&at, "expected an object here", format!("write `{}`", example(key)));
        }
        objects
    }

    fn constants(&mut self, json: &Value) -> Vec<Constant> {
        let mut found: Vec<Constant> = Vec::new();
        for (at, constant) in self.list(json, "constant", "") {
            let Some(constant) = self.constant(constant, &at) else { continue };
            if let Some(first) = found.iter().find(|c| c.name == constant.name) {
                let message = format!("there are two constants `{}`", constant.name);
                let hint = format!("the first is `{}`", first.name_at.trim_end_matches(".name"));
                self.error_with(&constant.name_at, message, hint);
                continue;
            }
            found.push(constant);
        }
        found
    }

    fn constant(&mut self, json: &Value, at: &str) -> Option<Constant> {
        let keys: Vec<_> = json.as_object().into_iter().flat_map(Map::keys).collect();
        let (values, others): (Vec<&String>, Vec<&String>) =
            keys.into_iter().partition(|key| key.starts_with("value"));
        for key in others {
            let only = Value::Object([(key.clone(), Value::Null)].into_iter().collect());
            self.unknown_keys(&only, at, &["name", "id", "extension", "modifierExtension"]);
        }
        let name = self.required(json, "name", at, "a constant");
        if let Some(name) = &name {
            self.sql_name(name, &join(at, "name"));
        }
        let whose =
            name.as_ref().map_or_else(|| "a constant".into(), |n| format!("constant `{n}`"));
        match values.as_slice() {
            [] => self.error(at, format!("{whose} has no value")),
            [_] => {}
            [_, second, ..] => {
                self.error(&join(at, second), format!("{whose} has several values"));
            }
        }
        let key = values.first().map_or("", |key| key.as_str());
        let mut of = key.strip_prefix("value").unwrap_or_default().chars();
        let head = of.next().map(|c| c.to_ascii_lowercase());
        Some(Constant {
            name: name?,
            of: head.into_iter().chain(of).collect(),
            value: json.get(key).cloned(),
            at: join(at, key),
            name_at: join(at, "name"),
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
        self.check_contents(json, &at);
        let columns = self.list(json, "column", &at);
        SelectDefinition {
            columns: columns.into_iter().map(|(at, c)| self.column(c, at)).collect(),
            iteration: self.iteration(json, &at),
            selects: self.selects(json, "select", &at),
            unions: self.selects(json, "unionAll", &at),
            at,
        }
    }

    fn selects(&mut self, json: &Value, key: &str, at: &str) -> Vec<SelectDefinition> {
        let selects = self.list(json, key, at);
        selects.into_iter().map(|(at, s)| self.select(s, at)).collect()
    }

    /// A select must give columns. Whether a union of nothing is one row or none nobody could tell.
    fn check_contents(&mut self, json: &Value, at: &str) {
        let is_empty = |key| json.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty);
        let gives_none = |key| json.get(key).is_none() || is_empty(key);
        if is_empty("unionAll") {
            self.error(&join(at, "unionAll"), "a `unionAll` needs at least one branch");
        } else if ["column", "select", "unionAll"].into_iter().all(gives_none) {
            let hint = "give it a `column`; a criterion belongs into `where` of the view";
            self.error_with(at, "this select gives no column", hint);
        }
    }

    fn iteration(&mut self, json: &Value, at: &str) -> Option<IterationDefinition> {
        let given: Vec<_> = ["forEach", "forEachOrNull", "repeat"]
            .into_iter()
            .filter(|k| json.get(k).is_some())
            .collect();
        if let [_, second, ..] = given.as_slice() {
            let message = format!("a select may have only one of `{}`", given.join("`, `"));
            let hint = "put one of them into a `select` of its own within";
            self.error_with(&join(at, second), message, hint);
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
            let hint = "write `\"repeat\": [\"item\"]`";
            self.error_with(at, "`repeat` must be a list of paths", hint);
            return None;
        };
        let mut found = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let (text, at) = (text.as_str().unwrap_or_default(), format!("{at}[{i}]"));
            if text.trim().is_empty() {
                self.error(&at, "the expression is empty");
            } else {
                found.push(Expression { text: text.to_owned(), at });
            }
        }
        Some(IterationDefinition::Repeat(found))
    }

    fn column(&mut self, json: &Value, at: String) -> ColumnDefinition {
        let known = ["name", "path", "description", "collection", "type", "tag", "id", "extension"];
        self.unknown_keys(json, &at, &[&known[..], &["tags"]].concat());
        if json.get("tags").is_some() {
            let problem = Problem::warning(join(&at, "tags"), "`tags` has no effect");
            self.problems.push(problem.hint("it is spelled `tag`"));
        }
        let name = self.required(json, "name", &at, "a column");
        if let Some(name) = &name {
            self.sql_name(name, &join(&at, "name"));
        }
        let name = name.unwrap_or_default();
        let path = self.expression(json, "path", &at).unwrap_or_else(|| {
            self.error(&at, format!("column `{name}` needs a `path`"));
            Expression { text: String::new(), at: join(&at, "path") }
        });
        ColumnDefinition {
            path,
            description: self.string(json, "description", &at),
            of: self.string(json, "type", &at),
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

    /// The first `ansi/type`; tags of other names are for other programs.
    fn ansi_type(&mut self, json: &Value, at: &str) -> Option<(String, String)> {
        let mut found = None;
        for (at, tag) in self.list(json, "tag", at) {
            self.unknown_keys(tag, &at, &["name", "value", "id", "extension"]);
            let name = self.required(tag, "name", &at, "a tag");
            let value = self.required(tag, "value", &at, "a tag");
            if name.as_deref() != Some("ansi/type") {
                continue;
            }
            if found.is_some() {
                self.error(&at, "a column can have only one tag `ansi/type`");
            } else {
                found = value.map(|value| (value, join(&at, "value")));
            }
        }
        found
    }

    /// Invariant sql-name of the standard: a letter, then letters, digits and underscores.
    fn sql_name(&mut self, name: &str, at: &str) {
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            let hint = "begin with a letter, go on with letters, digits and `_`";
            self.error_with(at, format!("`{name}` is no name for SQL"), hint);
        }
    }
}

/// What stands in the lists of a view.
fn example(key: &str) -> &'static str {
    match key {
        "column" => "{\"name\": …, \"path\": …}",
        "where" => "{\"path\": …}",
        "constant" => "{\"name\": …, \"valueString\": …}",
        "tag" => "{\"name\": …, \"value\": …}",
        _ => "{\"column\": …}",
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}
