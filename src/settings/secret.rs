//! Secrets: where the settings say they are, and what they are.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// A secret, or where it is. Never printed.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    rename_all = "lowercase",
    untagged,
    deny_unknown_fields,
    expecting = "expected { env = \"NAME\" }, { file = \"PATH\" } or a text"
)]
pub enum Secret {
    /// In this variable of the environment.
    Env {
        /// Its name.
        env: String,
    },
    /// In this file, without the last line end.
    File {
        /// Its path.
        file: PathBuf,
    },
    /// As written.
    Inline(SecretString),
}

impl Secret {
    /// With its path relative to `base`.
    pub(crate) fn at(self, base: &Path) -> Self {
        match self {
            Self::File { file } => Self::File { file: base.join(file) },
            other => other,
        }
    }
}

/// The secret: of the environment, of a file without its last line end, or as written.
///
/// # Errors
/// The variable or file is missing, empty or no text. The errors name it, never what is in it.
pub(crate) fn reveal(secret: &Secret) -> Result<SecretString> {
    match secret {
        Secret::Env { env } => {
            let Ok(text) = std::env::var(env) else {
                let message = format!("the environment variable `{env}` is not set, or is no text");
                return Err(Error::new(ErrorKind::Definition, message)
                    .hint(format!("set it where Kiln is started: `export {env}=…`")));
            };
            present(text, "variable", env)
        }
        Secret::File { file } => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Error::io(ErrorKind::Definition, "read the secret in", file, error)
            })?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            present(text.to_owned(), "file", &file.display().to_string())
        }
        Secret::Inline(text) => Ok(text.clone()),
    }
}

fn present(text: String, what: &'static str, place: &str) -> Result<SecretString> {
    if text.trim().is_empty() {
        let message = format!("the secret in {what} `{place}` is empty");
        return Err(Error::new(ErrorKind::Definition, message));
    }
    Ok(text.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn secrets_are_found_where_the_settings_say() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            Secret::File { file }
        };
        let path = std::env::var("PATH").unwrap();
        let env = |name: &str| Secret::Env { env: name.to_owned() };
        for (secret, expected) in [
            (file("plain", b"s3cret"), Ok("s3cret")),
            (file("line", b"s3cret\n"), Ok("s3cret")),
            (file("windows", b"s3 cret\r\n"), Ok("s3 cret")),
            (file("two", b"a\nb\n\n"), Ok("a\nb\n")),
            (Secret::Inline("s3cret".into()), Ok("s3cret")),
            (env("PATH"), Ok(path.as_str())),
            (env("KILN_NO_SUCH_VARIABLE"), Err("KILN_NO_SUCH_VARIABLE")),
            (file("empty", b" \n"), Err("empty")),
            (file("binary", b"s3cret\xff"), Err("binary")),
            (Secret::File { file: folder.path().join("missing") }, Err("missing")),
        ] {
            match (reveal(&secret), expected) {
                (Ok(found), Ok(text)) => assert_eq!(found.expose_secret(), text),
                (Err(error), Err(name)) => {
                    assert_eq!(error.kind(), ErrorKind::Definition);
                    assert!(error.to_string().contains(name), "{error}");
                    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
                }
                (found, _) => panic!("{secret:?}: {found:?}"),
            }
        }
    }
}
