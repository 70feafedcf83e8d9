//! The query prompt: `kiln query` without SQL. Statements end with `;`, commands start with `\`.

mod complete;
mod editor;

use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::time::Instant;

use clap::ValueEnum;
use tokio::runtime::Builder;

use self::editor::{Editor, Input};
use crate::error::{Error, ErrorKind, Result};
use crate::query::{Engine, Format, Output, Table, write};

/// What `\?` prints.
const HELP: &str = "\
SELECT …;        a statement ends with a semicolon and may span lines
\\d               list the tables
\\d TABLE         list a table's columns
\\format FORMAT   table, csv, ndjson or json
\\timing          show or hide how long a statement takes
\\q               leave (also Ctrl-D); Ctrl-C cancels what runs
";

/// How the prompt starts out.
#[derive(Debug, Clone, Copy)]
pub(super) struct PromptOptions {
    /// The format of results, until `\format` changes it.
    pub format: Format,
    /// How many rows of a result a terminal shows as a table.
    pub rows: usize,
}

impl Default for PromptOptions {
    fn default() -> Self {
        Self { format: Format::Table, rows: 40 }
    }
}

/// Answers statements from standard input. On a terminal it prompts, and errors do not end it;
/// otherwise the first statement that fails ends it with that error.
pub(super) async fn run(engine: &Engine, options: PromptOptions) -> Result<()> {
    let terminal = io::stdin().is_terminal();
    let rows = (terminal && io::stdout().is_terminal()).then_some(options.rows);
    let mut session = Session::new(engine, options.format, rows, Screen);
    session.interruptible = terminal;
    if terminal {
        interactive(&mut session).await
    } else {
        script(&mut session, io::stdin().lock()).await
    }
}

/// A conversation: what has been set in it, and where its answers go.
struct Session<'e, W> {
    engine: &'e Engine,
    /// Whether Ctrl-C ends a query and not the program.
    interruptible: bool,
    format: Format,
    rows: Option<usize>,
    timing: bool,
    out: W,
}

/// Whether a session goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Go,
    Quit,
}

async fn interactive<W: Write + Clone + Send + 'static>(
    session: &mut Session<'_, W>,
) -> Result<()> {
    let tables = session.engine.tables().await;
    session.say(&format!("{} tables; \\? for help\n", tables.len()))?;
    let mut editor = Editor::open(tables)?;
    loop {
        // Reading blocks this thread, on purpose: nothing else runs between two statements.
        let text = match editor.read()? {
            Input::Text(text) => text,
            Input::Interrupted => continue,
            Input::End => return Ok(()),
        };
        match session.answer(&text).await {
            Ok(Next::Go) => {}
            Ok(Next::Quit) => return Ok(()),
            Err(error) => session.say(&described(&error))?,
        }
        editor.learn(session.engine.tables().await);
    }
}

async fn script<W: Write + Clone + Send + 'static>(
    session: &mut Session<'_, W>,
    input: impl BufRead,
) -> Result<()> {
    let mut text = String::new();
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(|e| {
            Error::new(ErrorKind::Input, format!("cannot read standard input: {e}")).caused_by(e)
        })?;
        if text.trim().is_empty() {
            // Blank lines in place of those already run, so that errors name the right line.
            text = "\n".repeat(number);
        }
        text.push_str(&line);
        text.push('\n');
        if is_complete(&text) && session.answer(&std::mem::take(&mut text)).await? == Next::Quit {
            return Ok(());
        }
    }
    if !text.trim().is_empty() {
        session.answer(&text).await?;
    }
    Ok(())
}

impl<'e, W: Write + Clone + Send + 'static> Session<'e, W> {
    fn new(engine: &'e Engine, format: Format, rows: Option<usize>, out: W) -> Self {
        Self { engine, interruptible: false, format, rows, timing: false, out }
    }

    /// Runs a command or the statements of `text`.
    async fn answer(&mut self, text: &str) -> Result<Next> {
        let words: Vec<_> = text.trim().trim_end_matches(';').split_whitespace().collect();
        match words[..] {
            [] => {}
            ["\\q" | "exit" | "quit"] => return Ok(Next::Quit),
            ["\\?"] => self.say(HELP)?,
            ["\\timing"] => {
                self.timing = !self.timing;
                self.say(if self.timing { "timing is on\n" } else { "timing is off\n" })?;
            }
            ["\\d"] => self.say(&table_list(&self.engine.tables().await))?,
            ["\\d", table] => self.describe(table).await?,
            ["\\format", format] => self.format = format_named(format)?,
            [command, ..] if command.starts_with('\\') => {
                let message = format!("there is no command `{command}`, or not with these words");
                return Err(
                    Error::new(ErrorKind::Definition, message).hint("\\? lists the commands")
                );
            }
            _ => self.query(text).await?,
        }
        Ok(Next::Go)
    }

    async fn query(&mut self, sql: &str) -> Result<()> {
        let start = Instant::now();
        let results = self.engine.run(sql)?;
        let out = Box::new(BufWriter::new(self.out.clone()));
        let output = match self.rows {
            Some(rows) => Output::Screen(out, rows),
            None => Output::Stream(out),
        };
        let work = write(results, self.format, output);
        if !self.interruptible {
            work.await?;
        } else if until_interrupted(work).await?.is_none() {
            self.say("\ncancelled\n")?;
        }
        if self.timing {
            self.say(&format!("time: {:.1} ms\n", start.elapsed().as_secs_f64() * 1e3))?;
        }
        Ok(())
    }

    async fn describe(&mut self, name: &str) -> Result<()> {
        let tables = self.engine.tables().await;
        let name = name.trim_matches('"');
        match tables.iter().find(|table| table.name == name) {
            Some(table) => self.say(&column_list(table)),
            None => Err(Error::new(ErrorKind::Definition, format!("there is no table `{name}`"))
                .hint("\\d lists the tables")),
        }
    }

    fn say(&mut self, text: &str) -> Result<()> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        match written {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::new(ErrorKind::Output, format!("cannot write the answer: {e}"))
                    .caused_by(e))
            }
            _ => Ok(()),
        }
    }
}

/// Runs `work` until it ends, or until Ctrl-C: then there is no result. It has threads of its own
/// to be left behind on, since a join can compute for hours without a point to stop it at.
async fn until_interrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<Option<T>> {
    let threads = Builder::new_multi_thread().enable_all().build().map_err(|e| {
        Error::new(ErrorKind::Query, format!("cannot start threads for the query: {e}"))
            .caused_by(e)
    })?;
    let task = threads.spawn(work);
    let outcome = tokio::select! {
        done = task => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    };
    threads.shutdown_background();
    match outcome {
        None => Ok(None),
        Some(Ok(result)) => result.map(Some),
        Some(Err(e)) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Ok(None),
        },
    }
}

/// Standard output, locked only for the time of a write.
#[derive(Clone, Copy)]
struct Screen;

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Whether `text` can be run: a command, or statements of which the last ends with `;` outside
/// of quotes and comments.
pub(super) fn is_complete(text: &str) -> bool {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.starts_with('\\') || matches!(trimmed, "exit" | "quit") {
        return true;
    }
    let mut rest = text;
    let mut ended = false;
    while let Some(c) = rest.chars().next() {
        let closing = match c {
            '\'' => Some("'"),
            '"' => Some("\""),
            '-' if rest.starts_with("--") => Some("\n"),
            '/' if rest.starts_with("/*") => Some("*/"),
            _ => None,
        };
        let Some(closing) = closing else {
            ended = c == ';' || (ended && c.is_whitespace());
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let comment = closing.len() == 2 || closing == "\n";
        let opening = if comment { 2 } else { 1 };
        match rest[opening..].split_once(closing) {
            Some((_, after)) => rest = after,
            None => return ended && closing == "\n",
        }
        ended = ended && comment;
    }
    ended
}

fn format_named(name: &str) -> Result<Format> {
    match Format::from_str(name, true) {
        Ok(Format::Parquet) => {
            Err(Error::new(ErrorKind::Usage, "`parquet` is written to a file only")
                .hint("kiln query --format parquet --output FILE 'SELECT …'"))
        }
        Ok(format) => Ok(format),
        Err(_) => Err(Error::new(ErrorKind::Usage, format!("there is no format `{name}`"))
            .hint("table, csv, ndjson and json can be shown here")),
    }
}

fn table_list(tables: &[Table]) -> String {
    let count = |table: &Table| table.rows.map_or_else(String::new, |rows| rows.to_string());
    aligned(
        tables.iter().map(|t| [t.name.clone(), count(t), format!("{} columns", t.columns.len())]),
        &["table", "rows", ""],
    )
}

fn column_list(table: &Table) -> String {
    let rows = table.columns.iter().map(|column| {
        let required = if column.nullable { "" } else { " not null" };
        let sql_type = format!("{}{required}", column.sql_type);
        [column.name.clone(), sql_type, column.comment.clone().unwrap_or_default()]
    });
    aligned(rows, &["column", "type", "comment"])
}

/// Rows below a head, in columns two spaces apart.
fn aligned(rows: impl Iterator<Item = [String; 3]>, head: &[&str; 3]) -> String {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for [a, b, c] in &rows {
        text.push_str(format!("{a:first$}  {b:second$}  {c}").trim_end());
        text.push('\n');
    }
    text
}

/// An error as the prompt shows it.
fn described(error: &Error) -> String {
    let places = error.places().iter().map(|(what, place)| format!("at {what} {place}\n"));
    let hint = error.remedy().map(|hint| format!("hint: {hint}\n"));
    format!("error: {}\n", error.message()) + &places.chain(hint).collect::<String>()
}

#[cfg(test)]
mod tests;
