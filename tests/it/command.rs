//! The program as a user runs it: in a folder of its own, with what it says and the code it ends with.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with its arguments, in `folder`.
pub(crate) fn kiln(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.current_dir(folder).args(arguments).env("RUST_BACKTRACE", "0");
    command
}

/// Runs it with `input` on standard input.
pub(crate) fn run(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut command = kiln(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    Ran {
        code: done.status.code().expect("the program is not killed"),
        stdout: String::from_utf8(done.stdout).unwrap(),
        stderr: String::from_utf8(done.stderr).unwrap(),
    }
}

/// Checks the exit code, the whole of standard output, and that the lines are on standard error in this order.
pub(crate) fn check(folder: &Path, arguments: &[&str], code: i32, stdout: &str, lines: &[&str]) {
    check_with_input(folder, arguments, "", code, stdout, lines);
}

/// As [`check`], with text on standard input.
pub(crate) fn check_with_input(
    folder: &Path,
    arguments: &[&str],
    input: &str,
    code: i32,
    stdout: &str,
    lines: &[&str],
) {
    let ran = run(folder, arguments, input);
    let said = &ran.stderr;
    assert_eq!(ran.code, code, "{arguments:?}: {said}");
    assert_eq!(ran.stdout, stdout, "{arguments:?}: {said}");
    let mut found = said.lines();
    for line in lines {
        assert!(found.any(|l| l == *line), "{arguments:?}: `{line}` (in this order) in:\n{said}");
    }
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text.as_bytes());
    }
    folder
}

/// Writes a file and the folders it is in.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The names in a folder, sorted; those of folders end in `/`.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let name = |e: std::io::Result<fs::DirEntry>| {
        let entry = e.unwrap();
        let slash = if entry.file_type().unwrap().is_dir() { "/" } else { "" };
        format!("{}{slash}", entry.file_name().to_string_lossy())
    };
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}
