//! The pages of `pipelines/examples/`: every command works as written, and prints what the page shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of a page, and what the page shows as its result, if it shows any.
struct Step {
    command: String,
    result: Option<String>,
}

#[test]
fn a_research_cohort() {
    follow("cohort");
}

#[test]
fn gaps_in_care() {
    follow("gaps-in-care");
}

#[test]
fn the_trend_of_visits() {
    follow("ed-visits");
}

fn follow(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    copy(&root.join("pipelines"), &folder.path().join("pipelines"));
    let page = fs::read_to_string(root.join(format!("pipelines/examples/{page}.md"))).unwrap();
    let steps = steps(&page);
    assert!(steps.iter().any(|step| step.result.is_some()), "the page shows results");
    for Step { command, result } in steps {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_kiln"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", program.parent().unwrap().display());
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &command]).env("PATH", path);
        let ran = shell.current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{command}\n{said}");
        let printed = String::from_utf8(ran.stdout).unwrap();
        if let Some(result) = result {
            assert_eq!(printed, result, "{command}");
        }
    }
}

/// The blocks in `sh`, each with the block in `text` right behind it.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut parts = page.split("```");
    while let (Some(between), Some(block)) = (parts.next(), parts.next()) {
        if let Some(command) = block.strip_prefix("sh\n") {
            steps.push(Step { command: command.to_owned(), result: None });
        } else if let Some(result) = block.strip_prefix("text\n")
            && between.trim().is_empty()
            && let Some(step) = steps.last_mut()
        {
            step.result = Some(result.to_owned());
        }
    }
    steps
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
