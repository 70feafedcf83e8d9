//! DuckDB itself: its shared library, or its program.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use adbc_core::options::{AdbcVersion, OptionDatabase, OptionValue};
use adbc_core::{Connection, Database, Driver as _, Statement};
use adbc_driver_manager::{ManagedConnection, ManagedDriver};

use super::first_text;
use crate::error::{Error, ErrorKind, Result};

/// Where DuckDB is, if the pipeline does not say.
const VARIABLE: &str = "KILN_DUCKDB";

/// The function of the library that ADBC begins with.
const ENTRY_POINT: &[u8] = b"duckdb_adbc_init";

/// What runs the statements.
pub(super) enum Driver {
    Library(ManagedDriver),
    Program(PathBuf),
}

impl Driver {
    /// The one that is named: by the pipeline, else by `KILN_DUCKDB`; else the library, else the program, where the system
    /// finds them.
    pub(super) fn find(named: Option<&Path>) -> Result<Self> {
        let named = named.map(Path::to_owned).or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
        if let Some(path) = named {
            if !is_library(&path) {
                return Ok(Self::Program(path));
            }
            return library(&path).map(Self::Library).map_err(|e| {
                let message = format!("cannot use `{}` as DuckDB: {e}", path.display());
                Error::new(ErrorKind::Definition, message)
                    .hint("name `libduckdb.so` of DuckDB's release for C, or the program `duckdb`")
            });
        }
        let name = format!("{}duckdb{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        if let Ok(library) = library(Path::new(&name)) {
            return Ok(Self::Library(library));
        }
        let runs = Command::new("duckdb").arg("-version").stdin(Stdio::null()).output();
        if runs.is_ok_and(|done| done.status.success()) {
            return Ok(Self::Program(PathBuf::from("duckdb")));
        }
        let message = format!("DuckDB is not there: neither its library `{name}` nor its program");
        Err(Error::new(ErrorKind::Definition, message).hint(format!(
            "install it (`pip install duckdb-cli` has the program), or name it: `driver` in the load, or `{VARIABLE}`"
        )))
    }

    /// Runs statements in a database file, all in one transaction but the last.
    pub(super) fn run(&self, file: &Path, statements: &[String]) -> Result<()> {
        match self {
            Self::Library(library) => {
                let mut connection = connect(library.clone(), file, false)?;
                for sql in statements {
                    let done = prepared(&mut connection, sql).and_then(|mut s| s.execute_update());
                    done.map_err(|e| refused(&e.message))?;
                }
                Ok(())
            }
            Self::Program(program) => {
                let script = statements.join(";\n") + ";\n";
                ask(program, file, &["-bail"], &script).map(|_| ())
            }
        }
    }

    /// The text of the only value that a query gives.
    pub(super) fn value(&self, file: &Path, query: &str) -> Result<String> {
        match self {
            Self::Library(library) => {
                let mut connection = connect(library.clone(), file, true)?;
                let mut statement =
                    prepared(&mut connection, query).map_err(|e| refused(&e.message))?;
                let mut batches = statement.execute().map_err(|e| refused(&e.message))?;
                let batch = batches.next().and_then(Result::ok);
                batch.as_ref().and_then(first_text).ok_or_else(|| refused("no value"))
            }
            Self::Program(program) => {
                let options = ["-bail", "-readonly", "-noheader", "-list"];
                let text = ask(program, file, &options, &format!("{query};\n"))?;
                Ok(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        }
    }
}

/// Whether a file is a library by its name: `libduckdb.so.1`, `duckdb.dll`.
fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    [".so", ".dylib", ".dll"].iter().any(|ending| name.ends_with(ending)) || name.contains(".so.")
}

fn library(path: &Path) -> adbc_core::error::Result<ManagedDriver> {
    ManagedDriver::load_dynamic_from_filename(path, Some(ENTRY_POINT), AdbcVersion::V100)
}

fn connect(mut driver: ManagedDriver, file: &Path, only_read: bool) -> Result<ManagedConnection> {
    let option = |name: &str, value: String| {
        (OptionDatabase::Other(name.to_owned()), OptionValue::String(value))
    };
    let mut options = vec![option("path", file.to_string_lossy().into_owned())];
    options.extend(only_read.then(|| option("access_mode", "READ_ONLY".to_owned())));
    let database = driver.new_database_with_opts(options).map_err(|e| refused(&e.message))?;
    database.new_connection().map_err(|e| refused(&e.message))
}

fn prepared(
    connection: &mut ManagedConnection,
    sql: &str,
) -> adbc_core::error::Result<impl Statement + use<>> {
    let mut statement = connection.new_statement()?;
    statement.set_sql_query(sql)?;
    Ok(statement)
}

/// Runs the program on a script; what it says on standard output.
fn ask(program: &Path, file: &Path, options: &[&str], script: &str) -> Result<String> {
    let started = Command::new(program)
        // Without the user's start file.
        .args(["-init", if cfg!(windows) { "NUL" } else { "/dev/null" }])
        .args(options)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|e| {
        Error::new(ErrorKind::Definition, format!("cannot start `{}`: {e}", program.display()))
            .hint("`driver` names DuckDB's program or library")
    })?;
    // A program that ends early says why on standard error.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(script.as_bytes()));
    let done = child.wait_with_output().map_err(|e| refused(&e.to_string()))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(refused(&String::from_utf8_lossy(&done.stderr)))
}

/// What DuckDB says: its first line. Errors of these kinds cite values.
fn refused(said: &str) -> Error {
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    let cites = ["Conversion Error", "Out of Range Error", "Constraint Error"];
    let line = cites.into_iter().find(|kind| line.contains(kind)).unwrap_or(line);
    Error::new(ErrorKind::Output, format!("DuckDB cannot write the file: {}", line.trim()))
}
