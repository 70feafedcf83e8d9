//! A run as a process of its own: started, watched, stopped in time, with the last lines that it said.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// So long a run that was told to stop may take until it is killed. It loses nothing: runs go on where they stopped.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// So many of the last lines of standard error are kept, and so many characters of each.
const LINES: usize = 10;
const CHARACTERS: usize = 500;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code.
    Exit(i32),
    /// By a signal that was not ours.
    Killed,
    /// Stopped, since it took longer than its schedule allows.
    TimedOut,
    /// Stopped for a later slot.
    Replaced,
    /// Stopped with the service.
    Stopped,
}

impl Ending {
    /// Whether another attempt can help.
    pub(super) fn is_passing(self) -> bool {
        matches!(self, Self::Exit(6 | 9) | Self::TimedOut)
    }

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit(0) => "succeeded",
            Self::Exit(_) => "failed",
            Self::Killed => "killed",
            Self::TimedOut => "timed_out",
            Self::Replaced => "replaced",
            Self::Stopped => "stopped",
        }
    }

    /// The exit code, if it ended by itself.
    pub fn exit_code(self) -> Option<i32> {
        match self {
            Self::Exit(code) => Some(code),
            _ => None,
        }
    }
}

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// This program.
    pub(super) program: PathBuf,
    /// The pipeline's.
    pub(super) file: PathBuf,
    pub(super) slot: Timestamp,
    pub(super) timeout: Option<Duration>,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) ending: Ending,
    /// The last lines of standard error.
    pub(super) said: Vec<String>,
}

impl Run {
    /// Runs it to its end, or until `stop` says why it has to end.
    pub(super) async fn perform(self, mut stop: watch::Receiver<Option<Ending>>) -> Ran {
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => {
                let said = vec![format!("the run cannot be started: {error}")];
                return Ran { ending: Ending::Exit(6), said };
            }
        };
        let listener = child.stderr.take().map(|stderr| tokio::spawn(last_lines(stderr)));
        let timeout = async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let ending = tokio::select! {
            status = child.wait() => ending_of(status.ok()),
            () = timeout => terminate(&mut child, Ending::TimedOut).await,
            why = told(&mut stop) => terminate(&mut child, why).await,
        };
        let said = match listener {
            // A grandchild may hold the pipe open; what it says then is not waited for.
            Some(lines) => tokio::time::timeout(Duration::from_secs(1), lines).await,
            None => return Ran { ending, said: Vec::new() },
        };
        Ran { ending, said: said.ok().and_then(Result::ok).unwrap_or_default() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&self.file).arg("--slot").arg(self.slot.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the service, which lets runs finish.
        #[cfg(unix)]
        command.process_group(0);
        command.kill_on_drop(true);
        command
    }
}

fn ending_of(status: Option<ExitStatus>) -> Ending {
    status.and_then(|status| status.code()).map_or(Ending::Killed, Ending::Exit)
}

/// Why it has to end, once that is said.
async fn told(stop: &mut watch::Receiver<Option<Ending>>) -> Ending {
    match stop.wait_for(Option::is_some).await {
        Ok(why) => (*why).unwrap_or(Ending::Stopped),
        Err(_) => Ending::Stopped,
    }
}

/// Asks it to end, and then sees to it. One that was done at this very moment counts as what it is.
async fn terminate(child: &mut Child, why: Ending) -> Ending {
    if let Some(id) = child.id() {
        ask_to_end(id).await;
    }
    let ended = tokio::time::timeout(LAST_WAIT, child.wait()).await;
    let Ok(status) = ended else {
        // It may be gone by now.
        let _ = child.kill().await;
        return why;
    };
    match ending_of(status.ok()) {
        Ending::Exit(0) => Ending::Exit(0),
        _ => why,
    }
}

/// Sends SIGTERM. The standard library cannot without `unsafe`, and every shell can.
async fn ask_to_end(id: u32) {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("kill -TERM {id}"));
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Without a shell it is killed when its time is over.
    let _ = shell.status().await;
}

async fn last_lines(from: impl AsyncRead + Unpin) -> Vec<String> {
    let mut from = BufReader::new(from);
    let mut lines = VecDeque::with_capacity(LINES + 1);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        lines.push_back(text.trim_end().chars().take(CHARACTERS).collect::<String>());
        if lines.len() > LINES {
            lines.pop_front();
        }
        line.clear();
    }
    lines.into()
}

/// The program that runs now, for runs of it; `None` where the system does not tell.
pub(super) fn this_program() -> Option<PathBuf> {
    // While it is replaced by a newer one, Linux tells the old name with a mark.
    let path = std::env::current_exe().ok()?;
    let text = path.to_str()?;
    let name = text.strip_suffix(" (deleted)").unwrap_or(text);
    Some(Path::new(name).to_owned())
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A run of a shell script in place of the program.
    async fn check(
        script: &str,
        timeout: Option<u64>,
        told: Option<Ending>,
        said: &[&str],
    ) -> Ending {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let run = Run {
            program,
            file: "nightly.toml".into(),
            slot: "2026-11-23T02:00:00Z".parse().unwrap(),
            timeout: timeout.map(Duration::from_millis),
        };
        let (_stop, stopped) = watch::channel(told);
        let ran = run.perform(stopped).await;
        assert_eq!(ran.said, said, "{script}");
        ran.ending
    }

    #[tokio::test]
    async fn runs_end() {
        let said = "run nightly.toml --slot 2026-11-23T02:00:00Z";
        let stopped = Some(Ending::Stopped);
        for (script, timeout, told, lines, expected) in [
            ("echo $* >&2", None, None, &[said][..], Ending::Exit(0)),
            ("echo hidden; exit 9", None, None, &[], Ending::Exit(9)),
            ("kill -KILL $$", None, None, &[], Ending::Killed),
            ("exec sleep 600", Some(50), None, &[], Ending::TimedOut),
            ("exec sleep 600", None, stopped, &[], Ending::Stopped),
            ("exec sleep 600", None, Some(Ending::Replaced), &[], Ending::Replaced),
        ] {
            assert_eq!(check(script, timeout, told, lines).await, expected, "{script}");
        }
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let text: String = (0..100).map(|i| format!("{i}{}\n", "x".repeat(1000))).collect();
        let lines = last_lines(text.as_bytes()).await;
        assert_eq!((lines.len(), lines[0].chars().count()), (LINES, CHARACTERS));
        assert!(lines[0].starts_with("90x") && lines[9].starts_with("99x"), "{lines:?}");
    }
}
