//! A decimal comes out as it was written, all digits and zeros of it, wherever it stands and however its key is spelled.

use std::fs;
use std::path::Path;

use kiln::fhirpath::Document;
use kiln::flatten::View;
use kiln::ingest::{Options, discover};
use kiln::pipeline::{self, Care, Flow, MaxRejects, Progress, TableOutput, TextTable};
use kiln::query::Format;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::support::environment;

/// A member whose value is a number.
#[derive(Debug, Clone)]
struct Number {
    text: String,
    /// Which character of the key is written as an escape.
    escaped: Option<usize>,
    /// White space before the colon and behind it.
    space: [&'static str; 2],
    /// Another value of the same key before it; of duplicates the last counts.
    duplicate: bool,
}

impl Number {
    fn member(&self, key: &str) -> String {
        let [before, behind] = self.space;
        let spelled: String = key
            .chars()
            .enumerate()
            .map(|(i, c)| match self.escaped {
                Some(at) if at % key.len() == i => format!("\\u{:04X}", c as u32),
                _ => c.to_string(),
            })
            .collect();
        let duplicate = if self.duplicate { format!("\"{key}\":-7.70,") } else { String::new() };
        format!("{duplicate}\"{spelled}\"{before}:{behind}{}", self.text)
    }
}

/// An Observation with numbers in three places, and text around them that may be taken for numbers.
#[derive(Debug, Clone)]
struct Observation {
    noise: &'static str,
    value: Option<Number>,
    components: Vec<Option<Number>>,
    extensions: Vec<Number>,
}

impl Observation {
    fn json(&self) -> String {
        let quantity = |number: &Number| {
            format!("\"valueQuantity\": {{\"unit\":\"1.0\",{}}}", number.member("value"))
        };
        let mut members = vec!["\"resourceType\":\"Observation\"".to_owned()];
        members.extend((!self.noise.is_empty()).then(|| self.noise.to_owned()));
        let extensions = self.extensions.iter().map(|e| {
            format!("{{\"url\":\"http://example.org/7.50\",{}}}", e.member("valueDecimal"))
        });
        members.push(format!("\"extension\":[{}]", extensions.collect::<Vec<_>>().join(", ")));
        members.extend(self.value.iter().map(quantity));
        let components = self
            .components
            .iter()
            .map(|c| format!("{{{}}}", c.as_ref().map_or_else(String::new, quantity)));
        members.push(format!("\"component\":[{}]", components.collect::<Vec<_>>().join(",")));
        format!("{{{}}}", members.join(","))
    }

    fn expected(&self) -> Value {
        let texts =
            |numbers: Vec<&Number>| numbers.iter().map(|n| json!(n.text)).collect::<Vec<_>>();
        json!({
            "value": self.value.as_ref().map(|n| &n.text),
            "components": texts(self.components.iter().flatten().collect()),
            "extensions": texts(self.extensions.iter().collect()),
        })
    }
}

fn number_text() -> impl Strategy<Value = String> {
    // What simd-json cannot represent is rejected: powers beyond f64.
    prop_oneof![
        "-?(0|[1-9][0-9]{0,35})",
        "-?(0|[1-9][0-9]{0,24})\\.[0-9]{1,25}",
        "-?(0|[1-9][0-9]{0,5})\\.[0-9]{0,4}0{1,12}",
        "-?(0|[1-9][0-9]{0,9})[eE][+-]?[0-9]{1,2}",
        "-?(0|[1-9][0-9]{0,24})\\.[0-9]{1,25}[eE][+-]?[0-9]{1,2}",
        "-?0\\.0{0,30}[1-9]",
        "-?0",
    ]
}

fn number() -> impl Strategy<Value = Number> {
    let space = || select(vec!["", "", " ", "\t", " \r ", "   "]);
    (
        number_text(),
        prop::option::weighted(0.3, 0..12_usize),
        [space(), space()],
        prop::bool::weighted(0.2),
    )
        .prop_map(|(text, escaped, space, duplicate)| Number {
            text,
            escaped,
            space,
            duplicate,
        })
}

fn observation() -> impl Strategy<Value = Observation> {
    let noise = select(vec![
        "",
        r#""note":[{"text":"1.5 \" 2.5, \\"},{"text":"\"value\": 3.5"}]"#,
        r#""unknown":[1.50,"x",-2,"\"",[3e1,{"a\"b":4}],"\\",true,null]"#,
        r#""":0.10,"\\":0.20,"é\u00e9😀":0.30"#,
        r#""id":"\u0031.5""#,
    ]);
    let components = prop::collection::vec(prop::option::weighted(0.8, number()), 0..4);
    let extensions = prop::collection::vec(number(), 0..3);
    (noise, prop::option::weighted(0.8, number()), components, extensions).prop_map(
        |(noise, value, components, extensions)| Observation {
            noise,
            value,
            components,
            extensions,
        },
    )
}

/// How resources stand in files.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Lines,
    BundleLine,
    BundleDocument,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decimals_are_as_written(
        observations in prop::collection::vec(observation(), 1..12),
        layout in select(vec![Layout::Lines, Layout::BundleLine, Layout::BundleDocument]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let input = write(&observations, layout, folder.path());
        let rows = rows(&input, folder.path());
        prop_assert_eq!(rows.len(), observations.len());
        for (row, observation) in rows.iter().zip(&observations) {
            prop_assert_eq!(row, &observation.expected(), "{}", observation.json());
        }
    }
}

/// A JSON text, and the numbers in it in order.
type Written = (String, Vec<String>);

/// Any JSON: numbers in lists, behind keys that are doubled, escaped or empty, between texts that look like numbers.
fn json_text() -> impl Strategy<Value = Written> {
    let other = vec!["null", "true", "\"1.50\"", r#""\"2""#, r#""\\""#, "{}", "[]", "\"\""];
    let leaf = prop_oneof![
        3 => number_text().prop_map(|n| (n.clone(), vec![n])),
        1 => select(other).prop_map(|text| (text.to_owned(), Vec::new())),
    ];
    leaf.prop_recursive(6, 80, 6, |inner| {
        let space = || select(vec!["", "", "", " ", "\r\n\t", "\n    "]);
        let keys = vec!["value", "value", "valu\\u0065", "é", "\\u00e9", "\\\"", "\\\\", "1.5", ""];
        let member = (select(keys), space(), space(), inner.clone());
        let object = (prop::collection::vec(member, 0..6), space());
        let list = (prop::collection::vec(inner, 0..6), space());
        prop_oneof![
            object.prop_map(|(members, space)| {
                let member = |(key, before, behind, (text, numbers)): (_, _, _, Written)| {
                    (format!("\"{key}\"{before}:{behind}{text}"), numbers)
                };
                together(['{', '}'], members.into_iter().map(member), space)
            }),
            list.prop_map(|(elements, space)| together(['[', ']'], elements.into_iter(), space)),
        ]
    })
}

fn together(
    [open, close]: [char; 2],
    parts: impl Iterator<Item = Written>,
    space: &str,
) -> Written {
    let (texts, numbers): (Vec<_>, Vec<_>) = parts.unzip();
    let inside = texts.join(&format!("{space},{space}"));
    (format!("{open}{space}{inside}{space}{close}"), numbers.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The text of every number is found from its node, and no other node has one.
    #[test]
    fn every_number_of_any_json_is_found((text, numbers) in json_text()) {
        let mut scratch = text.clone().into_bytes();
        let base = scratch.as_ptr() as usize;
        let tape = simd_json::to_tape(&mut scratch).unwrap();
        let arena = bumpalo::Bump::new();
        let doc = Document::new(&tape.0, 0, text.as_bytes(), base, &arena);
        let found: Vec<_> = (0..tape.0.len()).filter_map(|at| doc.number_text(at as u32)).collect();
        prop_assert_eq!(found, numbers, "{}", text);
    }
}

/// Gives the path of the file.
fn write(observations: &[Observation], layout: Layout, folder: &Path) -> String {
    let resources: Vec<_> = observations.iter().map(Observation::json).collect();
    let bundle = |between: &str| {
        let entries: Vec<_> = resources.iter().map(|r| format!("{{\"resource\":{r}}}")).collect();
        let entries = entries.join(&format!(",{between}"));
        format!("{{\"total\":12.0,{between}\"resourceType\":\"Bundle\",\"entry\":[{entries}]}}")
    };
    let (name, text) = match layout {
        Layout::Lines => ("lines.ndjson", resources.join("\n")),
        Layout::BundleLine => ("bundle.ndjson", bundle(" ")),
        Layout::BundleDocument => ("bundle.json", bundle("\n  ")),
    };
    fs::write(folder.join(name), text).unwrap();
    folder.join(name).to_string_lossy().into_owned()
}

fn rows(input: &str, folder: &Path) -> Vec<Value> {
    let views = [view()];
    let path = folder.join("rows");
    let output = TextTable::file(Format::Ndjson, &views[0].schema(false), &path).unwrap();
    let (input, options, progress) =
        (discover(&[input.to_owned()]), Options::default(), Progress::default());
    let flow = Flow {
        views: &views,
        origin: None,
        care: Care::default(),
        environment: environment(&[]),
        input: &options,
        threads: 1,
        progress: &progress,
    };
    let outputs = vec![TableOutput::Text(output)];
    pipeline::flatten(&flow, std::iter::once(input), outputs, MaxRejects::Count(0)).unwrap();
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn view() -> View {
    let list =
        |name, path| json!({ "name": name, "path": path, "type": "decimal", "collection": true });
    let definition = json!({
        "resourceType": "ViewDefinition",
        "name": "numbers",
        "status": "active",
        "resource": "Observation",
        "select": [{ "column": [
            { "name": "value", "path": "value.ofType(Quantity).value", "type": "decimal" },
            list("components", "component.value.ofType(Quantity).value"),
            list("extensions", "extension('http://example.org/7.50').value.ofType(decimal)"),
        ]}],
    });
    View::compile(&definition).unwrap().0
}
