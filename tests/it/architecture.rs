//! The rules of `src/lib.rs`, checked over the sources: who imports whom, who may use which crate, who prints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::rust_code::{TEST_ATTRIBUTE, Token, bare, tokens, without_comments_and_strings};

/// Which modules a module may import, besides itself and [`COMMON`].
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "pipeline",
            "export",
            "sample",
            "ingest",
            "flatten",
            "warehouse",
            "query",
            "measure",
            "quality",
            "history",
            "load",
            "schedule",
        ],
    ),
    (
        "pipeline",
        &[
            "export",
            "sample",
            "ingest",
            "flatten",
            "fhirpath",
            "fhir",
            "warehouse",
            "query",
            "quality",
            "history",
            "load",
            "schedule",
        ],
    ),
    ("quality", &["query"]),
    ("schedule", &["history"]),
    ("history", &[]),
    ("load", &[]),
    ("objects", &[]),
    ("clock", &[]),
    ("settings", &[]),
    ("flatten", &["fhirpath", "fhir"]),
    ("fhirpath", &["fhir"]),
    ("fhir", &[]),
    ("ingest", &[]),
    ("export", &[]),
    ("sample", &[]),
    ("warehouse", &[]),
    ("query", &[]),
    ("measure", &["query"]),
    ("durable", &[]),
    ("error", &[]),
    ("suggest", &[]),
    ("temporal", &[]),
    ("ucum", &[]),
];

/// What all may import.
const COMMON: &[&str] =
    &["clock", "durable", "error", "objects", "settings", "suggest", "temporal", "ucum"];

/// Crates that are the business of few modules: a change of version must not reach further.
const ONLY_IN: &[(&str, &[&str])] = &[
    // The values of `--format` are the formats of `query`.
    ("clap", &["cli", "query"]),
    ("datafusion", &["query", "warehouse"]),
    ("deltalake", &["query", "warehouse"]),
    ("flate2", &["export", "ingest"]),
    ("indicatif", &["cli"]),
    ("rayon", &["pipeline", "warehouse"]),
    ("rustyline", &["cli"]),
    ("simd_json", &["ingest", "flatten", "fhirpath"]),
    ("reqwest", &["export", "pipeline"]),
    ("rusqlite", &["history"]),
    ("object_store", &["objects", "warehouse", "load", "pipeline", "query"]),
    ("tokio_postgres", &["load"]),
    ("croner", &["schedule"]),
    ("axum", &["schedule"]),
    ("tokio", &["cli", "clock", "export", "load", "pipeline", "schedule"]),
    ("zstd", &["export", "ingest"]),
];

/// The only file that prints.
const PRINTER: &str = "cli/report.rs";

/// Code lines of a file, without blank lines, comments and tests.
const MAX_CODE_LINES: usize = 400;

/// Larger files, with the lines they may have and why.
const LARGE: &[(&str, usize, &str)] = &[];

#[test]
fn sources_keep_the_rules() {
    let sources = sources();
    assert!(sources.len() > 50, "the sources are there");
    let breaches: Vec<_> = sources.iter().flat_map(|s| breaches(&s.path, &s.text)).collect();
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "tests", "benches"] {
        for Source { path, text } in files(folder) {
            assert!(text.starts_with("//! "), "{folder}/{}: begins with `//!`", path.display());
        }
    }
}

#[test]
fn no_exception_is_stale() {
    let sources = sources();
    for (path, _, why) in LARGE {
        let source = sources.iter().find(|s| s.path == Path::new(path)).expect(path);
        let lines = code_lines(&bare(&source.text));
        assert!(lines > MAX_CODE_LINES, "{path} has {lines} lines; no exception is due ({why})");
    }
}

#[test]
fn every_module_has_a_rule() {
    let ruled: BTreeSet<_> = MAY_IMPORT.iter().map(|(module, _)| (*module).to_owned()).collect();
    let found: BTreeSet<_> = sources().iter().map(|s| module_of(&s.path).to_owned()).collect();
    assert_eq!(found.into_iter().filter(|m| m != "lib").collect::<BTreeSet<_>>(), ruled);
}

/// Pieces of code at a place, with the breaches they are; none where the list is empty.
#[test]
fn planted_breaches_are_found() {
    let import = |line, from, to| {
        let module = module_of(Path::new(from));
        format!("src/{from}:{line}: `{module}` may not import `{to}`")
    };
    let cases: &[(&str, &str, Vec<String>)] = &[
        ("ingest/a.rs", "use crate::error::Result;", vec![]),
        ("ingest/a.rs", "use crate::flatten::View;", vec![import(2, "ingest/a.rs", "flatten")]),
        (
            "ingest/a.rs",
            "use crate::{error::Error,\n    query::{self, cli},\n    sample};",
            vec![import(3, "ingest/a.rs", "query"), import(4, "ingest/a.rs", "sample")],
        ),
        ("query/mod.rs", "use super::pipeline;", vec![import(2, "query/mod.rs", "pipeline")]),
        ("query/a.rs", "use super::pipeline;", vec![]),
        (
            "query/a.rs",
            "fn f() { super::super::cli::main() }",
            vec![import(2, "query/a.rs", "cli")],
        ),
        ("flatten/a.rs", "type T = crate::fhirpath::Temporal;", vec![]),
        (
            "sample/a.rs",
            "type T = &'static crate::fhir::Type;",
            vec![import(2, "sample/a.rs", "fhir")],
        ),
        (
            "fhirpath/a.rs",
            "fn f(x: crate :: ingest::X) {}",
            vec![import(2, "fhirpath/a.rs", "ingest")],
        ),
        ("main.rs", "fn main() { kiln::pipeline::run() }", vec![import(2, "main.rs", "pipeline")]),
        ("cli/a.rs", "use crate::fhirpath::Temporal;", vec![import(2, "cli/a.rs", "fhirpath")]),
        // Neither comments, strings nor tests count.
        (
            "fhir/a.rs",
            "// crate::cli\n/* crate::cli /* println!() */ */\n/// [`crate::cli`]\nfn f() {}",
            vec![],
        ),
        (
            "fhir/a.rs",
            "const A: &str = \"crate::cli \\\" crate::cli\"; const B: &str = r#\"crate::cli\"#;",
            vec![],
        ),
        (
            "fhir/a.rs",
            "const Q: char = '\"'; use crate::cli; // \"",
            vec![import(2, "fhir/a.rs", "cli")],
        ),
        ("fhir/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n", vec![]),
        (
            "fhir/a.rs",
            "#[cfg(test)]\nmod tests;\nuse crate::cli;",
            vec![import(4, "fhir/a.rs", "cli")],
        ),
        (
            "ingest/a.rs",
            "use datafusion::prelude::*;",
            vec!["src/ingest/a.rs:2: `ingest` may not use the crate `datafusion`".into()],
        ),
        ("warehouse/a.rs", "use deltalake::DeltaTable;", vec![]),
        (
            "query/a.rs",
            "fn f() { rayon::join(|| (), || ()); }",
            vec!["src/query/a.rs:2: `query` may not use the crate `rayon`".into()],
        ),
        (
            "warehouse/a.rs",
            "#[tokio::main]\nasync fn main() {}",
            vec!["src/warehouse/a.rs:2: `warehouse` may not use the crate `tokio`".into()],
        ),
        ("cli/report.rs", "fn f() { println!(); }", vec![]),
        (
            "cli/a.rs",
            "fn f() {\n    eprint!(\"x\");\n}",
            vec!["src/cli/a.rs:3: only src/cli/report.rs prints".into()],
        ),
    ];
    for (path, code, expected) in cases {
        let found = breaches(Path::new(path), &format!("//! A file.\n{code}\n"));
        assert_eq!(&found, expected, "{path}: {code}");
    }
}

#[test]
fn planted_faults_of_form_are_found() {
    let long = |lines: usize| format!("//! A file.\n{}", "fn f() {}\n\n// why\n".repeat(lines));
    let tested =
        format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", long(400), "fn f() {}\n".repeat(99));
    let cases = [
        ("use std::fmt;\n".to_owned(), "src/fhir/a.rs:1: a file begins with `//!`"),
        (long(400), ""),
        (tested, ""),
        (long(401), "src/fhir/a.rs:1: 401 code lines, 400 allowed"),
    ];
    for (text, expected) in cases {
        assert_eq!(breaches(Path::new("fhir/a.rs"), &text).join("\n"), expected);
    }
}

struct Source {
    /// Below `src`.
    path: PathBuf,
    text: String,
}

/// All files of `src` that are not tests as a whole.
fn sources() -> Vec<Source> {
    let mut found = files("src");
    let tests: Vec<PathBuf> = found.iter().flat_map(test_files).collect();
    found.retain(|s| {
        !tests.iter().any(|t| s.path.starts_with(t) || s.path.with_extension("") == *t)
    });
    found
}

/// All Rust files below a folder of the repository, sorted.
fn files(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What build scripts generate for the fuzz targets is no source of ours.
                folders.extend(Some(path).filter(|p| !p.ends_with("fuzz/target")));
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Paths without extension of the modules that a file declares for tests only.
fn test_files(source: &Source) -> Vec<PathBuf> {
    let code = without_comments_and_strings(&source.text);
    let folder = match source.path.file_stem().unwrap().to_str() {
        Some("mod" | "lib" | "main") => source.path.parent().unwrap().to_owned(),
        _ => source.path.with_extension(""),
    };
    let declared = code.split(TEST_ATTRIBUTE).skip(1).filter_map(|after| {
        let item = &after[..after.find([';', '{'])?];
        after[item.len()..].starts_with(';').then(|| item.split_whitespace().last())?
    });
    declared.map(|name| folder.join(name)).collect()
}

/// What a file does against the rules, with its place.
fn breaches(path: &Path, text: &str) -> Vec<String> {
    let code = bare(text);
    let mut found = Vec::new();
    let mut breach = |line: usize, what: String| {
        found.push(format!("src/{}:{line}: {what}", path.display()));
    };
    if !text.starts_with("//!") {
        breach(1, "a file begins with `//!`".into());
    }
    let lines = code_lines(&code);
    let large = LARGE.iter().find(|(file, ..)| path == Path::new(file));
    let allowed = large.map_or(MAX_CODE_LINES, |(_, lines, _)| *lines);
    if lines > allowed {
        breach(1, format!("{lines} code lines, {allowed} allowed"));
    }
    let tokens = tokens(&code);
    let module = module_of(path);
    for (line, to) in imports(&tokens, depth_of(path)) {
        if !may_import(module, to) {
            breach(line, format!("`{module}` may not import `{to}`"));
        }
    }
    for (line, name) in crates(&tokens) {
        let rule = ONLY_IN.iter().find(|(restricted, _)| *restricted == name);
        if rule.is_some_and(|(_, modules)| !modules.contains(&module)) {
            breach(line, format!("`{module}` may not use the crate `{name}`"));
        }
    }
    for pair in tokens.windows(2) {
        let prints = matches!(pair[0].1, "print" | "println" | "eprint" | "eprintln" | "dbg");
        if prints && pair[1].1 == "!" && path != Path::new(PRINTER) {
            breach(pair[0].0, format!("only src/{PRINTER} prints"));
        }
    }
    found
}

fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

fn may_import(module: &str, to: &str) -> bool {
    let allowed = MAY_IMPORT.iter().find(|(from, _)| *from == module).map_or(&[][..], |(_, to)| to);
    // What is no module (`crate::VERSION`) would be in `lib.rs`, which has none.
    module == to || COMMON.contains(&to) || allowed.contains(&to) || module == "lib"
}

/// The top module of a file: `query` of `query/cell.rs`, `error` of `error.rs`.
fn module_of(path: &Path) -> &'static str {
    let top = path.components().next().unwrap().as_os_str().to_str().unwrap();
    let top = top.strip_suffix(".rs").unwrap_or(top);
    MAY_IMPORT.iter().map(|(module, _)| *module).find(|m| *m == top).unwrap_or("lib")
}

/// How many `super` lead from a file's module to the crate's root.
fn depth_of(path: &Path) -> usize {
    let parts = path.components().count();
    if path.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// The modules named in paths from the root: `crate::x`, `super::x`, `crate::{x, y::z}`, in `main.rs` `kiln::x`.
fn imports<'c>(tokens: &[Token<'c>], depth: usize) -> Vec<Token<'c>> {
    let mut found = Vec::new();
    for (i, (_, token)) in tokens.iter().enumerate() {
        if i > 0 && tokens[i - 1].1 == "::" {
            continue;
        }
        let supers =
            tokens[i..].chunks(2).take_while(|c| matches!(c, [(_, "super"), (_, "::")])).count();
        let rooted = match *token {
            "crate" | "kiln" => tokens.get(i + 1).is_some_and(|t| t.1 == "::"),
            "super" => supers == depth,
            _ => false,
        };
        if rooted {
            found.extend(first_names(&tokens[i + 2 * supers.max(1)..]));
        }
    }
    found
}

/// The first name of a path, or of each path of a group in braces.
fn first_names<'c>(tokens: &[Token<'c>]) -> Vec<Token<'c>> {
    if tokens.first().is_none_or(|t| t.1 != "{") {
        return tokens.first().copied().into_iter().collect();
    }
    let (mut depth, mut found) = (0, Vec::new());
    for pair in tokens.windows(2) {
        match pair[0].1 {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        let begins = matches!(pair[0].1, "{" | ",") && pair[1].1 != "}";
        if depth == 1 && begins {
            found.push(pair[1]);
        }
    }
    found
}

/// Names that begin a path.
fn crates<'c>(tokens: &[Token<'c>]) -> Vec<Token<'c>> {
    let begins = |i: usize| i == 0 || tokens[i - 1].1 != "::";
    let pairs = tokens.windows(2).enumerate();
    pairs.filter(|(i, p)| begins(*i) && p[1].1 == "::").map(|(_, p)| p[0]).collect()
}
