//! `kiln export` and `kiln keygen`: the client on its own, without tables.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::commands::{accept, block_on};
use super::export_args::{ExportArguments, KeygenArguments, SignInArguments};
use super::progress::Watch;
use super::report;
use crate::error::{Error, ErrorKind, Result};
use crate::export::{
    AttachmentSettings, AttachmentsTable, AuthSettings, Clock, Complete, ExportJob, ExportRequest,
    ExportTable, KickOff, Level, Mistake, PatientList, Secret, Settings, Span, conformance, keygen,
};
use crate::flatten::Severity;
use crate::pipeline::{Pipeline, Progress, check_types, next_export};

/// Performs an export into a folder, or says what it would do.
pub(super) fn export(arguments: &ExportArguments) -> Result<()> {
    let (settings, folder) = settings(arguments)?;
    if arguments.dry_run {
        return dry_run(settings, arguments.json);
    }
    let folder = folder.ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the export has no folder").hint("name one with `--out`")
    })?;
    let progress = Progress::default();
    let work = perform(settings, &folder, &progress, arguments);
    let complete = Watch::start("export").over(&progress, || block_on(work))?;
    match complete {
        Some(complete) => report::exported(&complete, &folder),
        None => report::text("the export is given up: its job on the server is deleted\n"),
    }
}

/// Tells what there is to tell, whatever the server is like; only one that does not answer ends the command.
fn dry_run(settings: Settings, json: bool) -> Result<()> {
    let report = block_on(conformance(settings, Clock::System))?;
    if json {
        report::json(&report)?;
    } else {
        report::text(&report.to_string())?;
    }
    if report.reachable {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TryLater, "the server does not answer").at("server", report.server))
}

/// `None` if the export was given up.
async fn perform(
    settings: Settings,
    folder: &Path,
    progress: &Progress,
    arguments: &ExportArguments,
) -> Result<Option<Complete>> {
    let observer = progress.observer();
    let mut job = ExportJob::open(settings, folder, Clock::System, observer)?;
    if let Some(url) = &arguments.adopt {
        job.adopt(url)?;
    }
    if arguments.cancel {
        return job.cancel().await.map(|()| None);
    }
    tokio::select! {
        complete = job.run(|_| {}) => {
            let mut complete = complete?;
            complete.warnings.extend(job.finish().await?);
            return Ok(Some(complete));
        }
        _ = tokio::signal::ctrl_c() => {}
    }
    if arguments.cancel_on_interrupt {
        return job.cancel().await.map(|()| None);
    }
    Err(Error::new(ErrorKind::TryLater, "interrupted").hint(
        "what was loaded is kept, and the server works on: the same command goes on; with `--cancel` it gives the job up",
    ))
}

/// What the command line says, or the pipeline it names; and the folder of the export.
fn settings(arguments: &ExportArguments) -> Result<(Settings, Option<PathBuf>)> {
    if !arguments.from.contains("://") {
        return of_pipeline(arguments);
    }
    check_client(&arguments.sign_in)?;
    let request = ExportRequest::from_url(&arguments.from).map_err(|m| refused(&m))?;
    let table = table(arguments, request);
    for problem in check_types(&table.types) {
        let hint = problem.hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        let text = format!("--type: {}{hint}", problem.message);
        match problem.severity {
            Severity::Error => return Err(Error::new(ErrorKind::Usage, text)),
            Severity::Warning => report::hint(&text),
        }
    }
    let resolved = table.resolve(Path::new(""), Timestamp::now()).map_err(|m| refused(&m))?;
    for warning in &resolved.warnings {
        report::hint(&sentence(warning));
    }
    Ok((resolved.settings, arguments.out.clone()))
}

/// A client's id alone signs nobody in.
fn check_client(given: &SignInArguments) -> Result<()> {
    let proofs = given.key.is_some()
        || given.secret.is_some()
        || given.key_env.is_some()
        || given.secret_env.is_some();
    if given.client_id.is_none() || proofs {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "`--client-id` alone signs nobody in")
        .hint("add `--key` or `--key-env` (SMART), or `--secret` or `--secret-env` (Basic)"))
}

fn of_pipeline(arguments: &ExportArguments) -> Result<(Settings, Option<PathBuf>)> {
    let path = Path::new(&arguments.from);
    let ExportArguments { what, sign_in, how, .. } = arguments;
    let flags = [what.given(), sign_in.given(), how.given()].concat();
    if !flags.is_empty() {
        let message = format!("`{}` says itself what is exported, and how", path.display());
        return Err(Error::new(ErrorKind::Usage, message)
            .hint(format!("leave out {}, or change the pipeline", flags.join(", "))));
    }
    let pipeline = accept(Pipeline::load(path))?;
    let Some((settings, folder)) = block_on(next_export(&pipeline))? else {
        let message = format!("the source of `{}` is no export", path.display());
        let hint = "name the url of a server, or a pipeline with `[source.export]`";
        return Err(Error::new(ErrorKind::Usage, message).hint(hint));
    };
    Ok((settings, Some(arguments.out.clone().unwrap_or(folder))))
}

/// The flags as a table of a pipeline; where the url says something too, the flag counts.
fn table(arguments: &ExportArguments, url: ExportRequest) -> ExportTable {
    let ExportArguments { what, sign_in, how, .. } = arguments;
    let or = |flag: &[String], url: Vec<String>| if flag.is_empty() { url } else { flag.to_vec() };
    let in_variable =
        |(name, variable): &(String, String)| (name.clone(), Secret::Env { env: variable.clone() });
    let mut parameters = url.parameters;
    parameters.extend(what.parameters());
    let mut table = ExportTable {
        server: url.server.to_string(),
        vendor: how.vendor.clone(),
        kickoff: how
            .kickoff
            .clone()
            .or_else(|| (url.kick_off == KickOff::Post).then(|| "post".into())),
        types: or(&what.types, url.types),
        type_filters: or(&what.type_filters, url.type_filters),
        since: what.since.clone().or(url.since),
        until: what.until.clone().or(url.until),
        elements: or(&what.elements, url.elements),
        patients: match &what.patients_file {
            Some(file) => PatientList::File { file: file.clone() },
            None => PatientList::Listed(or(&what.patients, url.patients)),
        },
        include_associated_data: or(&what.include_associated_data, url.associated_data),
        output_format: what.output_format.clone().or(url.output_format),
        organize_output_by: what.organize_output_by.clone().or(url.organize_by),
        allow_partial_manifests: what.allow_partial_manifests || url.partial_manifests,
        lenient: what.lenient,
        separate_status: what.separate_status,
        parameters,
        headers: sign_in.headers.iter().map(in_variable).collect(),
        allow_http: how.allow_http,
        max_wait: how.max_wait.clone().map(Span),
        poll_min: how.poll_min.clone().map(Span),
        poll_max: how.poll_max.clone().map(Span),
        attempts: how.attempts,
        timeout: how.timeout.clone().map(Span),
        parallel: how.parallel,
        part_mib: how.part_mib,
        count_must_fit: how.accept_counts.then_some(false),
        compress: how.compress.then_some(true),
        accept_errors: how.accept_errors.then_some(true),
        restart_lost_job: how.restart_lost_job.then_some(true),
        delete_job: how.keep_job.then_some(false),
        attachments: attachments(&how.attachments, how.inline_attachments),
        auth: auth(sign_in),
        ..ExportTable::default()
    };
    match (&what.level, &what.group, &what.group_name, &what.group_identifier) {
        (None, None, None, None) => set_level(&mut table, url.level),
        (level, group, name, identifier) => {
            (table.level, table.group) = (level.clone(), group.clone());
            (table.group_name, table.group_identifier) = (name.clone(), identifier.clone());
        }
    }
    table
}

fn set_level(table: &mut ExportTable, level: Level) {
    match level {
        Level::System => table.level = Some("system".into()),
        Level::Patient => table.level = Some("patient".into()),
        Level::Group(id) => table.group = Some(id),
        Level::GroupNamed(name) => table.group_name = Some(name),
    }
}

fn attachments(types: &[String], inline_bytes: u64) -> Option<AttachmentsTable> {
    let types = match types {
        [] => return None,
        [all] if all == "all" => Vec::new(),
        types => types.to_vec(),
    };
    Some(AttachmentsTable::Some(AttachmentSettings { types, inline_bytes }))
}

/// How to sign in, by what is given for it.
fn auth(given: &SignInArguments) -> AuthSettings {
    let secret = |file: &Option<PathBuf>, variable: &Option<String>| {
        let file = file.clone().map(|file| Secret::File { file });
        file.or_else(|| variable.clone().map(|env| Secret::Env { env }))
    };
    let client_id = || given.client_id.clone().unwrap_or_default();
    let (token_url, scopes) = (given.token_url.clone(), given.scopes.clone());
    if let Some(key) = secret(&given.key, &given.key_env) {
        let (key_id, algorithm) = (given.key_id.clone(), given.algorithm.clone());
        let client_id = client_id();
        return AuthSettings::Smart {
            client_id,
            key,
            key_id,
            algorithm,
            jwks_url: None,
            token_url,
            scopes,
        };
    }
    if let Some(client_secret) = secret(&given.secret, &given.secret_env) {
        return AuthSettings::Basic { client_id: client_id(), client_secret, token_url, scopes };
    }
    secret(&given.token, &given.token_env)
        .map_or(AuthSettings::None, |token| AuthSettings::Bearer { token })
}

/// All mistakes of the command line as one error.
fn refused(mistakes: &[Mistake]) -> Error {
    let all: Vec<_> = mistakes.iter().map(sentence).collect();
    Error::new(ErrorKind::Usage, all.join("; "))
}

fn sentence(mistake: &Mistake) -> String {
    let hint = mistake.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{}: {}{hint}", mistake.path, mistake.message)
}

/// Makes a key pair: the private key for us alone, the public one to register.
pub(super) fn new_keys(arguments: &KeygenArguments) -> Result<()> {
    let pair = keygen(arguments.algorithm.name())?;
    write_new(&arguments.out, pair.private_jwk.expose_secret(), true)?;
    write_new(&arguments.public, &pair.public_jwks, false)?;
    report::keys_made(&pair.kid, &arguments.out, &arguments.public)
}

/// Writes a file that must not be there yet: replacing a key would lock its owner out.
fn write_new(path: &Path, text: &str, private: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o644 });
    let mut file =
        options.open(path).map_err(|e| Error::io(ErrorKind::Output, "create", path, e))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| Error::io(ErrorKind::Output, "write", path, e))
}
