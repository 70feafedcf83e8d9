//! An S3-compatible endpoint: `moto_server` of the Python package moto, where there is one.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

/// Signatures are not verified, but who removes something has to have one.
const AUTHORIZATION: &str = "Authorization: AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, \
                             SignedHeaders=host, Signature=x";

/// A running server, which ends with this.
pub(crate) struct Moto {
    server: Child,
    address: String,
}

impl Moto {
    /// Starts the server that `KILN_MOTO` or `PATH` leads to. Without one, says that the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: no `moto_server` on PATH, and no KILN_MOTO");
            return None;
        };
        let mut server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let running =
            lines.find_map(|l| Some(l.unwrap().split_once("http://")?.1.trim().to_owned()));
        // What it says of requests is read, or it would stand still.
        thread::spawn(move || lines.for_each(drop));
        Some(Self { server, address: running.expect("the server says where it listens") })
    }

    /// Its url.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket (`/b`) or an object (`/b/key`).
    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        self.send("PUT", path, content);
    }

    /// Removes an object.
    pub(crate) fn delete(&self, path: &str) {
        self.send("DELETE", path, b"");
    }

    fn send(&self, method: &str, path: &str, content: &[u8]) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, content.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\
             {AUTHORIZATION}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(content).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "{method} {path}: {answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = env::var_os("KILN_MOTO") {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("moto_server")).find(|p| p.is_file())
}
