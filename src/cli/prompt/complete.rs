//! What Tab offers at the query prompt: a pure function of the text, the cursor and the tables.

use crate::query::{Column, Table};

/// The statements and clauses worth offering; functions are not, there are hundreds.
const KEYWORDS: &[&str] = &[
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "count",
    "create",
    "cross",
    "desc",
    "describe",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "false",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "right",
    "select",
    "show",
    "table",
    "tables",
    "then",
    "true",
    "try_cast",
    "union",
    "unnest",
    "using",
    "values",
    "view",
    "when",
    "where",
    "with",
];

/// The words after which a table is named.
const BEFORE_TABLE: &[&str] = &["from", "join", "describe", "desc", "\\d"];

/// The commands of the prompt, offered after a backslash.
const COMMANDS: &[&str] = &["\\?", "\\d", "\\format", "\\q", "\\timing"];

/// The formats that the prompt can show.
const FORMATS: &[&str] = &["csv", "json", "ndjson", "table"];

/// The words that can stand at the cursor `pos` (a byte offset) of `line`, and where the word to
/// replace starts. After `table.` or `alias.` these are the table's columns; after FROM and JOIN
/// tables; elsewhere, once a letter is typed, the columns of the tables named in the line (of all
/// tables if none is), tables and keywords. Nothing is offered inside a text in quotes.
pub(crate) fn complete(line: &str, pos: usize, catalog: &[Table]) -> (usize, Vec<String>) {
    let before = &line[..pos];
    if before.starts_with('\\') && !before.contains(char::is_whitespace) {
        return (0, starting(COMMANDS.iter().map(|c| (*c).to_owned()), before));
    }
    if before.matches('\'').count() % 2 == 1 {
        return (pos, Vec::new());
    }
    let start = word_start(before);
    let (head, word) = before.split_at(start);
    if let Some(qualifier) = head.strip_suffix('.') {
        let name = unquoted(&qualifier[word_start(qualifier)..]);
        let columns = table_of(&name, line, catalog).map(|table| columns(&table.columns));
        return (start, starting(columns.unwrap_or_default(), word));
    }
    let previous = head.split_whitespace().last().unwrap_or_default().to_lowercase();
    if previous == "\\format" {
        return (start, starting(FORMATS.iter().map(|f| (*f).to_owned()), word));
    }
    if BEFORE_TABLE.contains(&previous.as_str()) || in_table_list(head) {
        return (start, starting(tables(catalog), word));
    }
    if word.is_empty() {
        return (start, Vec::new());
    }
    let mut found = starting(columns_in_scope(line, catalog), word);
    found.extend(starting(tables(catalog), word));
    found.extend(starting(keywords(word), word));
    (start, found)
}

/// The candidates that start as `word` does, whatever the case and quotes; sorted, each once.
fn starting(candidates: impl IntoIterator<Item = String>, word: &str) -> Vec<String> {
    let word = unquoted(word).to_lowercase();
    let fits = |c: &String| unquoted(c).to_lowercase().starts_with(&word);
    let mut found: Vec<_> = candidates.into_iter().filter(fits).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Keywords in the case in which `word` is typed.
fn keywords(word: &str) -> Vec<String> {
    let upper = word.starts_with(char::is_uppercase);
    KEYWORDS.iter().map(|k| if upper { k.to_uppercase() } else { (*k).to_owned() }).collect()
}

fn tables(catalog: &[Table]) -> Vec<String> {
    catalog.iter().map(|table| quoted(&table.name)).collect()
}

fn columns(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| quoted(&column.name)).collect()
}

/// The columns of the tables named in `line`, or of all when it names none.
fn columns_in_scope(line: &str, catalog: &[Table]) -> Vec<String> {
    let words = words(line);
    let named: Vec<_> =
        catalog.iter().filter(|t| words.iter().any(|w| unquoted(w) == t.name)).collect();
    let scope = if named.is_empty() { catalog.iter().collect() } else { named };
    scope.into_iter().flat_map(|table| columns(&table.columns)).collect()
}

/// The table that `name` is, or is an alias of, in `line`.
fn table_of<'a>(name: &str, line: &str, catalog: &'a [Table]) -> Option<&'a Table> {
    let named = |name: &str| catalog.iter().find(|table| table.name == name);
    named(name).or_else(|| {
        let words = words(line);
        let is_alias = |i: &usize| unquoted(words[*i]) == name;
        (1..words.len()).filter(is_alias).find_map(|i| {
            let with_as = i > 1 && words[i - 1].eq_ignore_ascii_case("as");
            named(&unquoted(words[if with_as { i - 2 } else { i - 1 }]))
        })
    })
}

/// Whether the text ends in a FROM list, after a comma: `from patient p, `.
fn in_table_list(head: &str) -> bool {
    let lower = head.to_lowercase();
    let clause = lower.rsplit(|c: char| c.is_whitespace()).find(|w| KEYWORDS.contains(w));
    clause == Some("from") && head.trim_end().ends_with(',')
}

fn words(line: &str) -> Vec<&str> {
    line.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect()
}

/// Where the word that ends `text` starts.
fn word_start(text: &str) -> usize {
    text.rfind(|c| !is_word(c))
        .map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '"')
}

/// `word` without quotes; without them, SQL reads it in lower case.
fn unquoted(word: &str) -> String {
    if word.starts_with('"') { word.replace('"', "") } else { word.to_lowercase() }
}

fn quoted(name: &str) -> String {
    crate::query::quoted(name)
}

#[cfg(test)]
mod tests {
    use super::complete;
    use crate::query::{Column, Table};

    fn catalog() -> Vec<Table> {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            sql_type: "string".to_owned(),
            comment: None,
            nullable: true,
        };
        let table = |name: &str, columns: &[&str]| Table {
            name: name.to_owned(),
            columns: columns.iter().map(column).collect(),
            rows: None,
        };
        vec![
            table("patient", &["id", "gender", "birthDate"]),
            table("condition", &["id", "patient_id", "code"]),
        ]
    }

    #[test]
    fn completes_at_the_bar() {
        for (text, start, expected) in [
            ("sel|", 0, vec!["select"]),
            ("SEL|", 0, vec!["SELECT"]),
            ("select * from |", 14, vec!["condition", "patient"]),
            ("select * from pa|", 14, vec!["patient"]),
            ("select * from patient p, |", 25, vec!["condition", "patient"]),
            ("select * from patient\njoin c|", 27, vec!["condition"]),
            ("select patient.| from patient", 15, vec!["\"birthDate\"", "gender", "id"]),
            ("select p.g| from patient p", 9, vec!["gender"]),
            ("select c.| from patient p join condition AS c", 9, vec!["code", "id", "patient_id"]),
            ("select nobody.|", 14, vec![]),
            ("select gen| from patient", 7, vec!["gender"]),
            ("select cod| from patient", 7, vec![]),
            ("select birthd|", 7, vec!["\"birthDate\""]),
            ("select \"birth|", 7, vec!["\"birthDate\""]),
            ("select co|", 7, vec!["code", "condition", "count"]),
            ("select |", 7, vec![]),
            ("select 'pa|", 10, vec![]),
            ("select 'é', gen| from patient", 13, vec!["gender"]),
            ("\\|", 0, vec!["\\?", "\\d", "\\format", "\\q", "\\timing"]),
            ("\\d p|", 3, vec!["patient"]),
            ("\\format n|", 8, vec!["ndjson"]),
            ("describe c|", 9, vec!["condition"]),
        ] {
            let pos = text.find('|').expect("a bar marks the cursor");
            let line = text.replacen('|', "", 1);
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            let (found_start, mut found) = complete(&line, pos, &catalog());
            found.sort_unstable();
            let mut sorted = expected;
            sorted.sort_unstable();
            assert_eq!(found, sorted, "{text}");
            if !found.is_empty() {
                assert_eq!(found_start, start, "{text}");
            }
        }
    }
}
