//! The line editor of the query prompt: history, completion, statements over several lines.

use std::env;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Helper, Highlighter, Hinter};

use super::complete::complete;
use super::is_complete;
use crate::error::{Error, ErrorKind, Result};
use crate::query::Table;

/// Statements remembered from one session to the next.
const REMEMBERED: usize = 1000;

/// What a person typed.
pub(super) enum Input {
    /// A command or a complete statement.
    Text(String),
    /// Ctrl-C: the text typed so far is dropped.
    Interrupted,
    /// Ctrl-D.
    End,
}

/// Reads statements from a terminal.
pub(super) struct Editor {
    lines: rustyline::Editor<Assistant, DefaultHistory>,
    /// `None` when nothing is to be kept.
    history: Option<PathBuf>,
}

#[derive(Helper, Highlighter, Hinter)]
struct Assistant {
    catalog: Vec<Table>,
}

impl Editor {
    /// An editor that completes the names of `catalog`. History that cannot be read or kept is
    /// done without.
    pub(super) fn open(catalog: Vec<Table>) -> Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(REMEMBERED)
            .map_err(fault)?
            .build();
        let mut lines = rustyline::Editor::with_config(config).map_err(fault)?;
        lines.set_helper(Some(Assistant { catalog }));
        let history = history_path().filter(|path| create_private(path).is_ok());
        if let Some(path) = &history {
            // An unreadable history is an empty one.
            let _ = lines.load_history(path);
        }
        Ok(Self { lines, history })
    }

    /// The next statement or command, waited for.
    pub(super) fn read(&mut self) -> Result<Input> {
        match self.lines.readline("kiln> ") {
            Ok(text) => {
                self.remember(&text);
                Ok(Input::Text(text))
            }
            Err(ReadlineError::Interrupted) => Ok(Input::Interrupted),
            Err(ReadlineError::Eof) => Ok(Input::End),
            Err(e) => Err(fault(e)),
        }
    }

    /// Replaces the names that completion offers.
    pub(super) fn learn(&mut self, catalog: Vec<Table>) {
        if let Some(assistant) = self.lines.helper_mut() {
            assistant.catalog = catalog;
        }
    }

    /// Kept at once, so that a killed session has not forgotten.
    fn remember(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() || !self.lines.add_history_entry(text).unwrap_or(false) {
            return;
        }
        if let Some(path) = &self.history {
            // The session is worth more than its history.
            let _ = self.lines.append_history(path);
        }
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(line, pos, &self.catalog))
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let complete = is_complete(context.input());
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// `$XDG_DATA_HOME/kiln/history`, or in `~/.local/share`; none with `KILN_HISTORY=off`.
fn history_path() -> Option<PathBuf> {
    if env::var_os("KILN_HISTORY").is_some_and(|value| value == "off") {
        return None;
    }
    let data = match env::var_os("XDG_DATA_HOME").map(PathBuf::from) {
        Some(path) if path.is_absolute() => path,
        _ => env::home_dir()?.join(".local/share"),
    };
    Some(data.join("kiln/history"))
}

/// Makes the file for its owner alone: statements may name patients.
fn create_private(path: &PathBuf) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    File::options().append(true).create(true).mode(0o600).open(path).map(|_| ())
}

fn fault(e: ReadlineError) -> Error {
    Error::new(ErrorKind::Input, format!("cannot read from the terminal: {e}")).caused_by(e)
}
