//! The connection: its url, TLS, and errors that tell neither the password nor values of rows.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, ErrorKind, Result};
use crate::settings::{Secret, reveal};

/// Connects.
///
/// `sslmode` is `disable`, `prefer` (default: TLS if the server has it) or `require`. A certificate is verified always,
/// with the server's name; `verify-ca` and `verify-full` are therefore the same as `require`. `sslrootcert` names a file
/// with the only authorities that are trusted, in place of those of the system.
pub(super) async fn connect(url: &Secret) -> Result<Client> {
    let secret = reveal(url)?;
    let (url, authorities) = understood(secret.expose_secret());
    let mut config = Config::from_str(&url).map_err(|_| {
        // The reason would cite parts of the url.
        Error::new(ErrorKind::Definition, "the url of the database is not in the form of one")
            .hint("`postgresql://user:password@host:5432/database?sslmode=require`; special characters of a password are written as `%40`")
    })?;
    if config.get_application_name().is_none() {
        config.application_name("kiln");
    }
    let client = if config.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = config.connect(NoTls).await.map_err(unreachable)?;
        tokio::spawn(connection);
        client
    } else {
        let tls = tls(authorities, config.get_ssl_mode() == SslMode::Require)?;
        let (client, connection) = config.connect(tls).await.map_err(unreachable)?;
        tokio::spawn(connection);
        client
    };
    let settings = "SET client_min_messages = warning; SET statement_timeout = 0; \
        SET idle_in_transaction_session_timeout = 0; SET standard_conforming_strings = on; \
        SET row_security = off";
    client.batch_execute(settings).await.map_err(|e| failed("begin the session", &e))?;
    Ok(client)
}

/// A url in the words that the client understands, and its file of authorities.
fn understood(url: &str) -> (String, Option<PathBuf>) {
    let Some((base, parameters)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (mut kept, mut authorities) = (Vec::new(), None);
    for parameter in parameters.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            Some(("sslrootcert", file)) => authorities = Some(PathBuf::from(file)),
            _ => kept.push(parameter),
        }
    }
    (format!("{base}?{}", kept.join("&")), authorities)
}

fn tls(authorities: Option<PathBuf>, required: bool) -> Result<MakeRustlsConnect> {
    let Some(file) = authorities else {
        // Fails where one is chosen already, which is as good.
        let _ = aws_lc_rs::default_provider().install_default();
        return match MakeRustlsConnect::with_native_certs() {
            Ok((tls, _)) => Ok(tls),
            // A server without TLS can be talked to; one with TLS is refused in the handshake.
            Err(_) if !required => trusting(RootCertStore::empty()),
            Err(_) => Err(unusable("this machine has no certificates of authorities")
                .hint("install `ca-certificates`, or name a file: `sslrootcert=FILE` in the url")),
        };
    };
    let without = || unusable(format!("`{}` holds no certificates", file.display()));
    let certificates = CertificateDer::pem_file_iter(&file).map_err(|_| without())?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|_| without())?;
        roots.add(certificate).map_err(|_| without())?;
    }
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> Result<MakeRustlsConnect> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(format!("TLS cannot be used: {e}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn unusable(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Definition, what)
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it on
fn unreachable(error: tokio_postgres::Error) -> Error {
    if error.as_db_error().is_some() {
        return failed("sign in", &error);
    }
    // The sentence names the kind of failure, the cause says more: `Connection refused`, a certificate's fault.
    let cause = std::error::Error::source(&error).map_or_else(String::new, |e| format!(": {e}"));
    let message = format!("cannot connect to PostgreSQL: {error}{cause}");
    if message.contains("TLS") {
        return Error::new(ErrorKind::Refused, message).hint(
            "certificates are verified: `sslrootcert=FILE` in the url names their authority; or, on a network that you trust, `sslmode=disable`",
        );
    }
    Error::new(ErrorKind::TryLater, message)
        .hint("check host and port of the url, and that the server is up")
}

/// An error of the server, without what it says of values.
pub(super) fn failed(doing: &str, error: &tokio_postgres::Error) -> Error {
    let Some(said) = error.as_db_error() else {
        let message = format!("cannot {doing} in PostgreSQL: {error}");
        return Error::new(ErrorKind::TryLater, message);
    };
    let code = said.code().code();
    let kind = match &code[..2] {
        // Connection, resources, operator intervention; a lock that others hold; a deadlock.
        "08" | "53" | "57" | "40" => ErrorKind::TryLater,
        _ if code == "55P03" => ErrorKind::TryLater,
        _ => ErrorKind::Refused,
    };
    // Data exceptions, violations of constraints and what triggers raise may cite values.
    let text = match &code[..2] {
        "22" | "23" | "P0" => format!("SQLSTATE {code}"),
        _ => format!("{} (SQLSTATE {code})", said.message()),
    };
    Error::new(kind, format!("cannot {doing} in PostgreSQL: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_libpq() {
        for (url, expected, authorities) in [
            ("postgresql://u@h/d", "postgresql://u@h/d", None),
            ("postgresql://u@h/d?sslmode=prefer", "postgresql://u@h/d?sslmode=prefer", None),
            (
                "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3",
                "postgresql://u@h/d?sslmode=require&connect_timeout=3",
                Some("/ca.pem"),
            ),
        ] {
            let found = understood(url);
            assert_eq!(found, (expected.to_owned(), authorities.map(PathBuf::from)), "{url}");
        }
    }
}
