//! `kiln schedule`.

use std::io::{BufWriter, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::commands::block_on;
use super::report;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Pipeline;
use crate::query::Format;
use crate::schedule::{self, Event, Failed, Listen, Loaded, Options, Planned};
use crate::settings::{Secret, Span, reveal};

/// `kiln schedule`
#[derive(Debug, Args)]
pub struct ScheduleArguments {
    /// Pipeline files, or folders of them.
    #[arg(required = true)]
    pub pipelines: Vec<PathBuf>,
    /// Run what is due now, and end when that is done; for a cron or Kubernetes that calls this.
    #[arg(long, conflicts_with = "list")]
    pub once: bool,
    /// Show the next slots, and end.
    #[arg(long)]
    pub list: bool,
    /// How `--list` writes.
    #[arg(long, value_enum, default_value = "table", requires = "list")]
    pub format: Format,
    /// So many runs may go on at the same time, of all pipelines together.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// When told to stop (SIGTERM, Ctrl-C), runs may take so long to end: `60s`, `10m`. Then they are stopped; they go
    /// on the next time.
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span)]
    pub grace: Duration,
    /// Look for pipeline files that changed, appeared or vanished so often.
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = poll)]
    pub poll: Duration,
    /// Where health (`/health`) and metrics (`/metrics`) are, or `off`. Beyond loopback with `--token-env` only.
    #[arg(long, value_name = "ADDRESS:PORT|off", default_value = "127.0.0.1:9187", value_parser = address)]
    pub listen: Address,
    /// The variable of the environment that holds the token that `/health` and `/metrics` ask for.
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
    /// How events are written to standard output.
    #[arg(long, value_enum, default_value = "json")]
    pub log: LogFormat,
}

/// An address to listen on, or none.
#[derive(Debug, Clone, Copy)]
pub struct Address(Option<SocketAddr>);

/// Formats of `kiln schedule --log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line of text an event.
    Text,
}

fn span(text: &str) -> Result<Duration, String> {
    Span(text.to_owned()).duration().ok_or_else(|| "write it as `60s`, `10m` or in seconds".into())
}

fn poll(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(10)..=Duration::from_secs(30);
    span(text).ok().filter(|span| allowed.contains(span)).ok_or_else(|| "10ms to 30s".into())
}

fn address(text: &str) -> Result<Address, String> {
    if text == "off" {
        return Ok(Address(None));
    }
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse()
        .map(|address| Address(Some(address)))
        .map_err(|_| "write it as `127.0.0.1:9187`".into())
}

/// Runs pipelines when their schedules say.
pub(super) fn schedule(arguments: &ScheduleArguments) -> Result<()> {
    if let Some(missing) = arguments.pipelines.iter().find(|path| !path.exists()) {
        let message = format!("there is no file or folder `{}`", missing.display());
        return Err(Error::new(ErrorKind::Input, message));
    }
    if arguments.list {
        return list(arguments);
    }
    let options = options(arguments)?;
    if !arguments.once {
        return block_on(schedule::serve(options));
    }
    match block_on(schedule::once(options))?.first() {
        Some(failed) => Err(failure(failed)),
        None => Ok(()),
    }
}

fn options(arguments: &ScheduleArguments) -> Result<Options> {
    let env = arguments.token_env.clone();
    let token = env.map(|env| reveal(&Secret::Env { env })).transpose()?;
    let listen = arguments.listen.0.map(|address| Listen::new(address, token)).transpose()?;
    let format = arguments.log;
    Ok(Options {
        pipelines: arguments.pipelines.clone(),
        load: Box::new(load),
        log: Box::new(move |event| log(event, format)),
        parallel: usize::from(arguments.parallel),
        grace: arguments.grace,
        poll: arguments.poll,
        listen,
    })
}

/// What a pipeline file says of its schedule.
fn load(file: &Path, text: &str) -> Loaded {
    let (pipeline, _) = Pipeline::read(text, file).map_err(|findings| {
        let errors = findings.iter().filter(|finding| finding.is_error());
        errors.map(report::finding_line).collect::<Vec<_>>()
    })?;
    let Some(schedule) = pipeline.schedule.clone() else { return Ok(None) };
    let history = pipeline.warehouse().map_err(|error| vec![error.to_string()])?.state_folder();
    let (file, text) = (file.to_owned(), text.into());
    Ok(Some(Planned { name: pipeline.name, file, text, schedule, history }))
}

/// Nobody may read what is told; the service goes on.
fn log(event: &Event, format: LogFormat) {
    let line = match format {
        LogFormat::Json => event.json(),
        LogFormat::Text => event.to_string(),
    };
    let _ = report::text(&format!("{line}\n"));
}

/// The first run that failed, with its own exit code where there is one.
fn failure(failed: &Failed) -> Error {
    let kinds = [
        ErrorKind::Usage,
        ErrorKind::Definition,
        ErrorKind::Input,
        ErrorKind::Rejects,
        ErrorKind::Output,
        ErrorKind::Query,
        ErrorKind::Warehouse,
        ErrorKind::TryLater,
        ErrorKind::Refused,
        ErrorKind::Incomplete,
    ];
    let code = failed.ending.exit_code();
    let kind = kinds.into_iter().find(|kind| code == Some(i32::from(kind.exit_code())));
    let how = match code {
        Some(code) => format!("ended with exit code {code}"),
        None => format!("was ended ({})", failed.ending.name()),
    };
    // What was stopped or killed goes on with the same command.
    Error::new(
        kind.unwrap_or(ErrorKind::TryLater),
        format!("the run of `{}` {how}", failed.pipeline),
    )
}

/// Shows the next slots of all pipelines.
fn list(arguments: &ScheduleArguments) -> Result<()> {
    /// So many of each.
    const NEXT: usize = 3;
    let files = arguments.pipelines.iter().map(|path| schedule::files(path));
    let mut rows: Vec<[String; 4]> = Vec::new();
    let mut mistakes = 0;
    for file in files.collect::<Result<Vec<_>>>()?.concat() {
        match schedule::text(&file).and_then(|text| load(&file, &text)) {
            Ok(None) => {}
            Ok(Some(planned)) => {
                let slots = planned.schedule.slots(Timestamp::now()).take(NEXT);
                rows.extend(slots.map(|slot| {
                    let local = planned.schedule.local(slot);
                    [planned.name.clone(), slot.to_string(), local, file.display().to_string()]
                }));
            }
            Err(found) => {
                mistakes += found.len();
                for line in &found {
                    report::plain(&format!("error: {line}"));
                }
            }
        }
    }
    rows.sort_by(|a, b| (&a[1], &a[0]).cmp(&(&b[1], &b[0])));
    show(&rows, arguments.format)?;
    if mistakes > 0 { Err(crate::pipeline::refuse(mistakes)) } else { Ok(()) }
}

fn show(rows: &[[String; 4]], format: Format) -> Result<()> {
    let columns = ["pipeline", "slot", "local_time", "file"].into_iter().enumerate();
    let columns = columns.map(|(i, name)| {
        let values = StringArray::from_iter_values(rows.iter().map(|row| row[i].as_str()));
        (name, Arc::new(values) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns).expect("columns are of one length");
    let failed = |e| {
        Error::new(ErrorKind::Output, format!("cannot write to standard output: {e}")).caused_by(e)
    };
    let mut encoder = format.encoder(Box::new(BufWriter::new(stdout())), None);
    let written = encoder.begin(&batch.schema()).and_then(|()| encoder.batch(&batch));
    written.and_then(|()| encoder.end()).and_then(|()| encoder.finish()).map_err(failed)
}
