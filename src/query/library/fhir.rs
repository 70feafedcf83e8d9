//! A library as the FHIR resource: profiles SQLQuery and SQLView of Library.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::annotation::{self, is_identifier, wrong};
use super::parameter::{Parameter, ParameterType};
use super::{Dependency, Library, LibraryType, OURS};
use crate::error::Result;

const GUIDE: &str = "http://hl7.org/fhir/uv/sql-on-fhir";

impl Library {
    /// The FHIR resource, with the SQL as text and in base64.
    pub fn to_fhir(&self) -> Value {
        let (profile, code) = match self.kind {
            LibraryType::Query => ("SQLQuery", "sql-query"),
            LibraryType::View => ("SQLView", "sql-view"),
        };
        let mut library = json!({
            "resourceType": "Library",
            "meta": { "profile": [format!("{GUIDE}/StructureDefinition/{profile}")] },
            "url": self.url,
            "name": self.name,
            "status": self.says("status").unwrap_or("draft"),
            "type": { "coding": [{ "system": format!("{GUIDE}/CodeSystem/LibraryTypesCodes"), "code": code }] },
            "content": [{
                "contentType": "application/sql",
                "extension": [{ "url": format!("{GUIDE}/StructureDefinition/sql-text"), "valueString": self.sql }],
                "data": STANDARD.encode(&self.sql),
            }],
        });
        let related = self
            .dependencies
            .iter()
            .map(|d| json!({ "type": "depends-on", "resource": d.canonical, "label": d.label }));
        let parameters = self.parameters.iter().map(|p| {
            let mut parameter = json!({ "name": p.name, "use": "in", "type": p.of.name() });
            if let Some(text) = &p.description {
                parameter["documentation"] = json!(text);
            }
            parameter
        });
        let authors = self.about.get("author").into_iter().flatten().map(|a| json!({ "name": a }));
        let lists: [(&str, Vec<Value>); 3] = [
            ("author", authors.collect()),
            ("relatedArtifact", related.collect()),
            ("parameter", parameters.collect()),
        ];
        let texts = ["title", "description", "publisher"].map(|key| (key, self.says(key)));
        let texts = texts.into_iter().chain([("version", self.version.as_deref())]);
        for (key, text) in texts.filter_map(|(key, text)| Some((key, text?))) {
            library[key] = json!(text);
        }
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            library[key] = json!(list);
        }
        library
    }

    /// Reads the FHIR resource. Its elements count, not the annotations that its SQL may have.
    pub(super) fn from_fhir(text: &str) -> Result<Self> {
        let json: Value =
            serde_json::from_str(text).map_err(|e| wrong(format!("not valid JSON: {e}")))?;
        if json["resourceType"] != "Library" {
            return Err(wrong("the file holds no Library"));
        }
        let name = text_of(&json, "name").ok_or_else(|| wrong("the Library has no `name`"))?;
        if !is_identifier(&name) {
            return Err(wrong(format!("`{name}` cannot be the name of a query")));
        }
        let mut about = BTreeMap::new();
        for key in ["title", "description", "publisher", "status"] {
            about.extend(text_of(&json, key).map(|text| (key.to_owned(), vec![text])));
        }
        let authors: Vec<_> = list(&json, "author").filter_map(|a| text_of(a, "name")).collect();
        if !authors.is_empty() {
            about.insert("author".to_owned(), authors);
        }
        let library = Self {
            url: text_of(&json, "url").unwrap_or_else(|| format!("{OURS}{name}")),
            name,
            kind: kind(&json)?,
            version: text_of(&json, "version"),
            parameters: list(&json, "parameter").map(parameter).collect::<Result<_>>()?,
            dependencies: list(&json, "relatedArtifact")
                .filter(|r| r["type"] == "depends-on")
                .map(dependency)
                .collect::<Result<_>>()?,
            about,
            sql: content(&json)?,
        };
        library.check()?;
        Ok(library)
    }

    /// The SQL with the annotations that say what the resource says, for `.sql` files.
    pub fn to_sql(&self) -> String {
        if Self::from_sql(&self.sql, &self.name).is_ok_and(|read| read == *self) {
            return self.sql.clone();
        }
        let mut lines = vec![format!("@name: {}", self.name), format!("@url: {}", self.url)];
        if self.kind == LibraryType::View {
            lines.push("@type: sql-view".to_owned());
        }
        lines.extend(self.version.iter().map(|v| format!("@version: {v}")));
        for (key, values) in &self.about {
            lines
                .extend(values.iter().map(|v| format!("@{key}: {}", v.replace(['\n', '\r'], " "))));
        }
        lines.extend(self.parameters.iter().map(|p| {
            let text = p.description.as_deref().unwrap_or_default().replace(['\n', '\r'], " ");
            format!("@param: {} {} {text}", p.name, p.of.name()).trim_end().to_owned()
        }));
        let related =
            |d: &Dependency| format!("@relatedDependency: {} as {}", d.canonical, d.label);
        lines.extend(self.dependencies.iter().map(related));
        let head: String = lines.iter().flat_map(|line| ["-- ", line, "\n"]).collect();
        // What the SQL says of itself is said above, and would be there twice.
        format!("{head}\n{}\n", annotation::without(&self.sql).trim())
    }
}

fn kind(json: &Value) -> Result<LibraryType> {
    let codes = list(&json["type"], "coding").filter_map(|c| c["code"].as_str());
    let kinds = codes.filter_map(|code| match code {
        "sql-query" => Some(LibraryType::Query),
        "sql-view" => Some(LibraryType::View),
        _ => None,
    });
    kinds.into_iter().next().ok_or_else(|| {
        wrong("the Library is neither an SQLQuery nor an SQLView")
            .hint("`type.coding.code` is `sql-query` or `sql-view`")
    })
}

fn parameter(json: &Value) -> Result<Parameter> {
    let name = text_of(json, "name").ok_or_else(|| wrong("a parameter has no `name`"))?;
    let of = ParameterType::named(&text_of(json, "type").unwrap_or_default())?;
    Ok(Parameter { name, of, description: text_of(json, "documentation") })
}

fn dependency(json: &Value) -> Result<Dependency> {
    let canonical =
        text_of(json, "resource").ok_or_else(|| wrong("a dependency has no `resource`"))?;
    let label = text_of(json, "label").filter(|label| is_identifier(label));
    let label =
        label.ok_or_else(|| wrong(format!("the dependency `{canonical}` has no `label`")))?;
    Ok(Dependency { canonical, label })
}

/// The SQL: plain SQL if there are dialects, as text if that is there, else from base64.
fn content(json: &Value) -> Result<String> {
    let of = |c: &Value| text_of(c, "contentType").unwrap_or_default();
    let contents: Vec<_> =
        list(json, "content").filter(|c| of(c).starts_with("application/sql")).collect();
    let plain = contents.iter().find(|c| !of(c).contains("dialect=")).or(contents.first());
    let content =
        plain.ok_or_else(|| wrong("the Library has no content of type `application/sql`"))?;
    let extension = list(content, "extension")
        .find(|e| e["url"].as_str().is_some_and(|url| url.ends_with("/sql-text")));
    if let Some(text) = extension.and_then(|e| text_of(e, "valueString")) {
        return Ok(text);
    }
    let data = text_of(content, "data").unwrap_or_default();
    let bytes =
        STANDARD.decode(data).map_err(|_| wrong("the content of the Library is not base64"))?;
    String::from_utf8(bytes).map_err(|_| wrong("the SQL of the Library is not UTF-8"))
}

fn list<'j>(json: &'j Value, key: &str) -> impl Iterator<Item = &'j Value> {
    json[key].as_array().into_iter().flatten()
}

fn text_of(json: &Value, key: &str) -> Option<String> {
    json[key].as_str().map(str::to_owned)
}
