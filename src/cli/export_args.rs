//! What `kiln export` and `kiln keygen` take: the keys of `[source.export]`, as flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `kiln export`
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // flags are
pub struct ExportArguments {
    /// The base url of a FHIR server, the url of an export (`…/Group/7/$export?_type=Patient`), or a pipeline file
    /// whose source is an export.
    #[arg(value_name = "URL|PIPELINE")]
    pub from: String,
    /// Where the files go. Begun there earlier, the export goes on. (Pipelines have a folder of their own.)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Say what the server offers and what would be sent; begin nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The report of `--dry-run` as JSON.
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Take up a job that was begun elsewhere, by its status url.
    #[arg(long, value_name = "URL", conflicts_with = "dry_run")]
    pub adopt: Option<String>,
    /// Give up the export that was begun in the folder: delete its job on the server.
    #[arg(long, conflicts_with = "dry_run")]
    pub cancel: bool,
    /// On Ctrl-C, delete the job on the server. By default it runs on, and the same command goes on with it.
    #[arg(long)]
    pub cancel_on_interrupt: bool,
    /// What is exported.
    #[command(flatten)]
    pub what: WhatArguments,
    /// Who exports.
    #[command(flatten)]
    pub sign_in: SignInArguments,
    /// How.
    #[command(flatten)]
    pub how: HowArguments,
}

/// What is exported.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is exported")]
pub struct WhatArguments {
    /// All patients, or everything the server has; a group by `--group`.
    #[arg(long, value_parser = ["patient", "system"])]
    pub level: Option<String>,
    /// The patients of the group with this id.
    #[arg(long, value_name = "ID", conflicts_with = "level")]
    pub group: Option<String>,
    /// The patients of the group with this name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["level", "group"])]
    pub group_name: Option<String>,
    /// The patients of the group with this identifier.
    #[arg(long, value_name = "SYSTEM|VALUE", conflicts_with_all = ["level", "group", "group_name"])]
    pub group_identifier: Option<String>,
    /// Resource types; all that the server gives if there are none.
    #[arg(long = "type", value_name = "TYPE,…", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only resources of a type that a search finds; may be given several times.
    #[arg(long = "type-filter", value_name = "TYPE?QUERY")]
    pub type_filters: Vec<String>,
    /// Only what changed since this instant.
    #[arg(long, value_name = "INSTANT")]
    pub since: Option<String>,
    /// Only what changed before this instant.
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<String>,
    /// Only these elements.
    #[arg(long, value_name = "ELEMENT,…", value_delimiter = ',')]
    pub elements: Vec<String>,
    /// Only these patients.
    #[arg(long = "patient", value_name = "ID,…", value_delimiter = ',')]
    pub patients: Vec<String>,
    /// Only the patients in this file, one a line.
    #[arg(long, value_name = "FILE", conflicts_with = "patients")]
    pub patients_file: Option<PathBuf>,
    /// Data that belongs to the resources, such as LatestProvenanceResources.
    #[arg(long, value_name = "SET,…", value_delimiter = ',')]
    pub include_associated_data: Vec<String>,
    /// One file for each patient, or whatever type.
    #[arg(long, value_name = "TYPE")]
    pub organize_output_by: Option<String>,
    /// The format of the files, if the server has another than NDJSON.
    #[arg(long, value_name = "MIME")]
    pub output_format: Option<String>,
    /// Load files that are ready while the server still prepares others.
    #[arg(long)]
    pub allow_partial_manifests: bool,
    /// Let the server leave out what it does not know; it says so in its errors.
    #[arg(long)]
    pub lenient: bool,
    /// Ask for the status of the job in a header of its own.
    #[arg(long)]
    pub separate_status: bool,
    /// A parameter of the server's own.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    pub parameters: Vec<(String, String)>,
}

/// Who exports. Secrets are never given on the command line, where others can read them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signing in")]
pub struct SignInArguments {
    /// The client, as registered with the server.
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// The private key (SMART Backend Services): JWK, JWKS or PEM.
    #[arg(long, value_name = "FILE", requires = "client_id")]
    pub key: Option<PathBuf>,
    /// The variable of the environment that holds the private key.
    #[arg(long, value_name = "NAME", requires = "client_id", conflicts_with = "key")]
    pub key_env: Option<String>,
    /// Which key of several (`kid`).
    #[arg(long, value_name = "KID")]
    pub key_id: Option<String>,
    /// RS384 or ES384; by default what fits the key.
    #[arg(long, value_name = "ALG")]
    pub algorithm: Option<String>,
    /// The file that holds the client's secret (Basic, as BCDA).
    #[arg(long, value_name = "FILE", requires = "client_id", conflicts_with_all = ["key", "key_env"])]
    pub secret: Option<PathBuf>,
    /// The variable of the environment that holds the client's secret.
    #[arg(long, value_name = "NAME", requires = "client_id", conflicts_with_all = ["key", "key_env", "secret"])]
    pub secret_env: Option<String>,
    /// The file that holds an access token.
    #[arg(long, value_name = "FILE", conflicts_with = "client_id")]
    pub token: Option<PathBuf>,
    /// The variable of the environment that holds an access token.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["client_id", "token"])]
    pub token_env: Option<String>,
    /// The token endpoint, where the server does not tell.
    #[arg(long, value_name = "URL")]
    pub token_url: Option<String>,
    /// Scopes, instead of one for each type.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// A header of the server's own; its value is read from a variable of the environment.
    #[arg(long = "header-env", value_name = "HEADER=NAME", value_parser = pair)]
    pub headers: Vec<(String, String)>,
}

/// How it is exported.
#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
#[allow(clippy::struct_excessive_bools)] // flags are
pub struct HowArguments {
    /// Whose server it is: epic, oracle, bcda, …
    #[arg(long, value_name = "NAME")]
    pub vendor: Option<String>,
    /// How the request is sent: auto, get or post.
    #[arg(long, value_name = "METHOD")]
    pub kickoff: Option<String>,
    /// How long to wait for the server; the same command waits on.
    #[arg(long, value_name = "TIME")]
    pub max_wait: Option<String>,
    /// Never ask for the status sooner than this.
    #[arg(long, value_name = "TIME")]
    pub poll_min: Option<String>,
    /// Ask for the status at least this often, whatever the server says.
    #[arg(long, value_name = "TIME")]
    pub poll_max: Option<String>,
    /// How often a request is tried that fails for a passing reason.
    #[arg(long, value_name = "N")]
    pub attempts: Option<u32>,
    /// How long the server may be silent within a request.
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,
    /// Files loaded at once.
    #[arg(long, value_name = "N")]
    pub parallel: Option<usize>,
    /// Store the files with zstd.
    #[arg(long)]
    pub compress: bool,
    /// Cut stored files at a line end at this size.
    #[arg(long, value_name = "MIB")]
    pub part_mib: Option<u64>,
    /// Keep files with another number of resources than the manifest says, with a warning.
    #[arg(long)]
    pub accept_counts: bool,
    /// Load attachments of these MIME types: `text/*,application/pdf`, or `all`.
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    pub attachments: Vec<String>,
    /// Put attachments of up to so many bytes into their resource.
    #[arg(long, value_name = "BYTES", default_value_t = 0, requires = "attachments")]
    pub inline_attachments: u64,
    /// Errors that the server reports in its files are warnings.
    #[arg(long)]
    pub accept_errors: bool,
    /// Begin anew if the server no longer knows the job.
    #[arg(long)]
    pub restart_lost_job: bool,
    /// Leave the job on the server when all is stored.
    #[arg(long)]
    pub keep_job: bool,
    /// Allow plain http to other machines.
    #[arg(long)]
    pub allow_http: bool,
}

/// `kiln keygen`
#[derive(Debug, Args)]
pub struct KeygenArguments {
    /// The kind of key: ES384 (P-384) or RS384 (RSA, 3072 bits).
    #[arg(long, value_enum, default_value = "es384")]
    pub algorithm: KeyAlgorithm,
    /// Where the private key goes, as a JWK that only you can read. An existing file is never replaced.
    #[arg(long, value_name = "FILE", default_value = "kiln-private.jwk")]
    pub out: PathBuf,
    /// Where the public key goes, as the JWKS to register.
    #[arg(long, value_name = "FILE", default_value = "kiln-public.jwks.json")]
    pub public: PathBuf,
}

/// Kinds of keys that SMART Backend Services knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyAlgorithm {
    /// ECDSA on P-384.
    Es384,
    /// RSA.
    Rs384,
}

impl KeyAlgorithm {
    /// Its name in JOSE (RFC 7518).
    pub fn name(self) -> &'static str {
        match self {
            Self::Es384 => "ES384",
            Self::Rs384 => "RS384",
        }
    }
}

impl WhatArguments {
    /// The parameters by name.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        self.parameters.iter().cloned().collect()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// Which flags were given.
fn given<const N: usize>(flags: [(bool, &'static str); N]) -> Vec<&'static str> {
    flags.into_iter().filter_map(|(given, flag)| given.then_some(flag)).collect()
}

impl WhatArguments {
    /// The flags that were given, for refusals.
    pub fn given(&self) -> Vec<&'static str> {
        let Self {
            level,
            group,
            group_name,
            group_identifier,
            types,
            type_filters,
            since,
            until,
            elements,
            patients,
            patients_file,
            include_associated_data,
            organize_output_by,
            output_format,
            allow_partial_manifests,
            lenient,
            separate_status,
            parameters,
        } = self;
        given([
            (level.is_some(), "--level"),
            (group.is_some(), "--group"),
            (group_name.is_some(), "--group-name"),
            (group_identifier.is_some(), "--group-identifier"),
            (!types.is_empty(), "--type"),
            (!type_filters.is_empty(), "--type-filter"),
            (since.is_some(), "--since"),
            (until.is_some(), "--until"),
            (!elements.is_empty(), "--elements"),
            (!patients.is_empty(), "--patient"),
            (patients_file.is_some(), "--patients-file"),
            (!include_associated_data.is_empty(), "--include-associated-data"),
            (organize_output_by.is_some(), "--organize-output-by"),
            (output_format.is_some(), "--output-format"),
            (*allow_partial_manifests, "--allow-partial-manifests"),
            (*lenient, "--lenient"),
            (*separate_status, "--separate-status"),
            (!parameters.is_empty(), "--parameter"),
        ])
    }
}

impl SignInArguments {
    /// The flags that were given, for refusals.
    pub fn given(&self) -> Vec<&'static str> {
        let Self {
            client_id,
            key,
            key_env,
            key_id,
            algorithm,
            secret,
            secret_env,
            token,
            token_env,
            token_url,
            scopes,
            headers,
        } = self;
        given([
            (client_id.is_some(), "--client-id"),
            (key.is_some(), "--key"),
            (key_env.is_some(), "--key-env"),
            (key_id.is_some(), "--key-id"),
            (algorithm.is_some(), "--algorithm"),
            (secret.is_some(), "--secret"),
            (secret_env.is_some(), "--secret-env"),
            (token.is_some(), "--token"),
            (token_env.is_some(), "--token-env"),
            (token_url.is_some(), "--token-url"),
            (!scopes.is_empty(), "--scope"),
            (!headers.is_empty(), "--header-env"),
        ])
    }
}

impl HowArguments {
    /// The flags that were given, for refusals.
    pub fn given(&self) -> Vec<&'static str> {
        let Self {
            vendor,
            kickoff,
            max_wait,
            poll_min,
            poll_max,
            attempts,
            timeout,
            parallel,
            compress,
            part_mib,
            accept_counts,
            attachments,
            inline_attachments,
            accept_errors,
            restart_lost_job,
            keep_job,
            allow_http,
        } = self;
        given([
            (vendor.is_some(), "--vendor"),
            (kickoff.is_some(), "--kickoff"),
            (max_wait.is_some(), "--max-wait"),
            (poll_min.is_some(), "--poll-min"),
            (poll_max.is_some(), "--poll-max"),
            (attempts.is_some(), "--attempts"),
            (timeout.is_some(), "--timeout"),
            (parallel.is_some(), "--parallel"),
            (*compress, "--compress"),
            (part_mib.is_some(), "--part-mib"),
            (*accept_counts, "--accept-counts"),
            (!attachments.is_empty(), "--attachments"),
            (*inline_attachments > 0, "--inline-attachments"),
            (*accept_errors, "--accept-errors"),
            (*restart_lost_job, "--restart-lost-job"),
            (*keep_job, "--keep-job"),
            (*allow_http, "--allow-http"),
        ])
    }
}
