//! The table of functions in `pipelines/README.md`: made of what the functions say of themselves, and kept fresh.
//!
//! `KILN_WRITE_README=1 cargo test --lib functions::readme` writes it anew.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use super::all;

const BEGIN: &str = "<!-- functions: written by src/query/functions/readme.rs -->\n";
const END: &str = "<!-- end of functions -->";

fn table() -> String {
    let mut text = String::from("\n| function | gives | example |\n| --- | --- | --- |\n");
    for f in all() {
        let (example, result) = f.example;
        let row = format!(
            "| `{}({})` | {}. | `{example}` is `{result}` |\n",
            f.name,
            f.arguments,
            f.meaning.replace('|', "\\|")
        );
        text.push_str(&row);
    }
    text.push('\n');
    text
}

#[test]
fn the_readme_has_every_function() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("KILN_WRITE_README").is_some() {
        fs::write(&path, [before, BEGIN, &table(), END, after].concat()).unwrap();
        return;
    }
    assert_eq!(written, table(), "run the test with KILN_WRITE_README=1");
}
