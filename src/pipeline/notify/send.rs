//! Brings a message to its receiver: POST to a url, or the standard input of a program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, redirect};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use url::{Host, Url};

use crate::clock::Clock;
use crate::settings::{Secret, reveal};

/// How long is waited, and how often it is tried.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// For an answer of the webhook.
    pub(super) answer: Duration,
    /// Before another try of the webhook; doubles.
    pub(super) pause: Duration,
    /// Tries after the first.
    pub(super) retries: u32,
    /// For the program to end.
    pub(super) program: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            pause: Duration::from_secs(2),
            retries: 2,
            program: Duration::from_mins(1),
        }
    }
}

/// The url of a webhook; why it is none, without its text, which may carry a token.
pub(super) fn url(text: &SecretString) -> Result<Url, String> {
    let url = Url::parse(text.expose_secret().trim()).map_err(|e| format!("it is no url: {e}"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("its url names no server".into()),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err("plain `http` would show the message to others".into()),
        scheme => Err(format!("`{scheme}` is no scheme for a message")),
    }
}

/// Why a try did not reach the webhook.
enum Missed {
    /// Another try may.
    Passing(String),
    Lasting(String),
}

/// Posts the JSON. A redirect is refused: the message goes where the settings say, or nowhere.
pub(super) async fn post(
    secret: &Secret,
    json: Vec<u8>,
    limits: &Limits,
    clock: &Clock,
) -> Result<(), String> {
    let url = url(&reveal(secret).map_err(|e| e.to_string())?)?;
    let client = Client::builder()
        .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(limits.answer)
        .build()
        .map_err(|_| "cannot set up TLS; see the certificates of the system".to_owned())?;
    let mut pause = limits.pause;
    for _ in 0..limits.retries {
        match post_once(&client, &url, json.clone(), limits).await {
            Err(Missed::Passing(_)) => clock.wait(pause).await,
            Err(Missed::Lasting(why)) => return Err(why),
            Ok(()) => return Ok(()),
        }
        pause *= 2;
    }
    let last = post_once(&client, &url, json, limits).await;
    last.map_err(|(Missed::Passing(why) | Missed::Lasting(why))| why)
}

async fn post_once(
    client: &Client,
    url: &Url,
    json: Vec<u8>,
    limits: &Limits,
) -> Result<(), Missed> {
    let request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(json);
    // The client's own words may name the url.
    let status = match request.send().await {
        Ok(response) => response.status(),
        Err(e) if e.is_timeout() => {
            let seconds = limits.answer.as_secs_f64();
            return Err(Missed::Passing(format!("there is no answer within {seconds} s")));
        }
        Err(e) if e.is_connect() => return Err(Missed::Passing("it cannot be reached".into())),
        Err(_) => return Err(Missed::Passing("the connection broke off".into())),
    };
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => {
            Err(Missed::Lasting(format!("it redirects ({status}), which is not followed")))
        }
        408 | 425 | 429 | 500.. => Err(Missed::Passing(format!("it answers {status}"))),
        _ => Err(Missed::Lasting(format!("it answers {status}"))),
    }
}

/// Runs the program with the JSON at its standard input, in `folder`; what it says is not listened to. It is killed when
/// it takes too long.
pub(super) async fn run(
    program: &[String],
    folder: &Path,
    json: Vec<u8>,
    limits: &Limits,
) -> Result<(), String> {
    let (name, arguments) = program.split_first().ok_or("it has no name")?;
    // A path with a folder begins at the pipeline's folder, a bare name is looked for where programs are.
    let beside = Path::new(name).components().count() > 1;
    let file = if beside { folder.join(name) } else { name.into() };
    let mut child =
        Command::new(std::path::absolute(&file).ok().filter(|_| beside).unwrap_or(file))
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("`{name}` cannot be started: {e}"))?;
    let input = child.stdin.take();
    let work = async {
        if let Some(mut input) = input {
            // A program need not read; it says by its exit code whether all is well.
            let _ = input.write_all(&json).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(limits.program, work).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{name}` ended with {status}")),
        Ok(Err(e)) => Err(format!("`{name}` cannot be waited for: {e}")),
        Err(_) => {
            let seconds = limits.program.as_secs_f64();
            Err(format!("`{name}` was killed after {seconds} s"))
        }
    }
}
