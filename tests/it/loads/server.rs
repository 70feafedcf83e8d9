//! A PostgreSQL server in a temporary folder, shared by the tests that run at the same time; it ends with the last.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Must not stand in any error.
pub(crate) const PASSWORD: &str = "s3cret-w0rd";

pub(crate) struct Server {
    port: u16,
    process: Child,
    pub(crate) folder: TempDir,
}

/// A database of its own on the server.
pub(crate) struct Database {
    pub(crate) server: Arc<Server>,
    pub(crate) name: String,
}

impl Database {
    /// A new database; none where PostgreSQL is not installed.
    pub(crate) async fn new() -> Option<Self> {
        static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let server = {
            let mut running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(server) = running.upgrade() {
                server
            } else {
                let server = Arc::new(Server::start()?);
                *running = Arc::downgrade(&server);
                server
            }
        };
        let name = format!("d{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let (client, connection) =
            tokio_postgres::connect(&server.url("postgres"), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Some(Self { server, name })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?sslmode=disable", self.server.url(&self.name))
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Statements that must succeed.
    pub(crate) async fn execute(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// The rows of a query, cells as PostgreSQL writes them, with `|` between; null is `∅`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let client = self.client().await;
        let found = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let rows = found.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|i| row.get(i).unwrap_or("∅").to_owned());
                Some(cells.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        rows.collect()
    }
}

impl Server {
    fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL is not installed (Debian's package `postgresql`)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        give_to_postgres(&data);
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let mut initdb = as_postgres(&programs.join("initdb"), folder.path());
        initdb.arg("-D").arg(&data).args(["-U", "kiln", "-E", "UTF8", "--locale=C", "--no-sync"]);
        initdb.arg("--pwfile").arg(&password).args(["--auth", "scram-sha-256"]);
        let done = initdb.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        certificate(folder.path(), &data);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = as_postgres(&programs.join("postgres"), folder.path());
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "timezone=UTC"] {
            postgres.args(["-c", setting]);
        }
        if data.join("server.crt").exists() {
            postgres.args(["-c", "ssl=on"]);
        }
        postgres.arg("-c").arg(format!("unix_socket_directories={}", data.display()));
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = postgres.stdout(Stdio::null()).stderr(Stdio::from(log)).spawn().unwrap();
        let server = Self { port, process, folder };
        server.wait();
        Some(server)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://kiln:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// The authority of the server's certificate; none where `openssl` is not installed.
    pub(crate) fn authority(&self) -> Option<PathBuf> {
        Some(self.folder.path().join("server.crt")).filter(|file| file.exists())
    }

    /// Until it answers the question for TLS, as it does once it is up.
    fn wait(&self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_mins(1) {
            let mut answer = [0];
            let asked =
                std::net::TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut to| {
                    to.write_all(&[0, 0, 0, 8, 4, 210, 22, 47])?;
                    to.read_exact(&mut answer)
                });
            if asked.is_ok() && self.folder.path().join("data/postmaster.pid").exists() {
                let pid = fs::read_to_string(self.folder.path().join("data/postmaster.pid"));
                if pid.is_ok_and(|text| text.contains("ready")) {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        panic!("PostgreSQL does not start:\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The program that changed the user has become the server: it is the same process.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of the server's programs.
fn programs() -> Option<PathBuf> {
    let debian = glob::glob("/usr/lib/postgresql/*/bin/initdb").unwrap().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("initdb"));
    let found = debian.chain(on_path).filter(|program| program.is_file()).last()?;
    found.parent().map(Path::to_owned)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

/// A program of the server's, which refuses to run as root.
fn as_postgres(program: &Path, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder).env_remove("PGDATA");
    command
}

fn give_to_postgres(path: &Path) {
    if !is_root() {
        return;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of = users.lines().find(|line| line.starts_with("postgres:")).unwrap();
    let ids: Vec<u32> = of.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    chown(path, Some(ids[0]), Some(ids[1])).unwrap();
}

/// A certificate for the server, signed by itself, for the loopback address.
fn certificate(folder: &Path, data: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kiln"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(data.join("server.key"))
        .arg("-out")
        .arg(data.join("server.crt"))
        .output();
    if !made.is_ok_and(|done| done.status.success()) {
        return;
    }
    fs::copy(data.join("server.crt"), folder.join("server.crt")).unwrap();
    for file in ["server.key", "server.crt"] {
        fs::set_permissions(data.join(file), fs::Permissions::from_mode(0o600)).unwrap();
        give_to_postgres(&data.join(file));
    }
}
