//! Tests of warehouses in object stores: the same rows as in a folder, in memory and on a server that speaks S3.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, PutMode};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::merge::{check_against_model, rows_of, step_of};
use super::*;

fn in_store(store: Arc<dyn ObjectStore>, prefix: &str, state: &Path) -> Warehouse {
    let url = format!("s3://kiln/{prefix}");
    Warehouse::in_store(&url, state, store, ObjectPath::from(prefix)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_store_in_memory_are_as_the_model_says() {
    for (seed, prefix) in [(11, ""), (12, "a/b c")] {
        let state = tempfile::tempdir().unwrap();
        let warehouse = in_store(Arc::new(InMemory::new()), prefix, state.path());
        check_against_model(&warehouse, seed).await;
        assert_eq!(warehouse.table_names().await.unwrap(), ["t"]);
        assert_eq!(files_below(&warehouse.staging_folder()), Vec::<PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_a_store_are_kept_up() {
    let state = tempfile::tempdir().unwrap();
    let store = Arc::new(InMemory::new());
    let warehouse = in_store(store.clone(), "house", state.path());
    keep_up(&warehouse).await;
    // Without a state folder, it can be read.
    let reading = in_store(store, "house", Path::new(""));
    assert_eq!(rows_of(&reading).await.len(), 30);
    let error = reading.begin("run-1").unwrap_err();
    assert_eq!((error.kind(), error.remedy().is_some()), (ErrorKind::Usage, true));
    assert!(!format!("{warehouse:?}").contains("InMemory"));
}

/// Ten runs, made one file, of which the old ones are removed.
async fn keep_up(warehouse: &Warehouse) {
    for run in 0..10 {
        let rows = (0..3).map(|n| (format!("k{n}"), run * 3 + n)).collect();
        step_of(warehouse, run, "a", rows).await;
    }
    let before = rows_of(warehouse).await;
    let done = warehouse.optimize(&[], &[], &ParquetOptions::default()).await.unwrap();
    assert_eq!((done[0].files_after, done[0].version), (1, Some(10)));
    assert_eq!(rows_of(warehouse).await, before);
    let removed = warehouse.vacuum(&[], Duration::ZERO, false).await.unwrap();
    assert_eq!(removed[0].files.len(), done[0].files_before);
    assert_eq!(warehouse.vacuum(&[], Duration::ZERO, false).await.unwrap(), []);
    assert_eq!(rows_of(warehouse).await, before);
    let versions = warehouse.versions_as_of(&AsOf::Run("run-0004".to_owned())).await.unwrap();
    assert_eq!(versions["t"], 4);
}

/// `moto_server`, a server that speaks S3, with a bucket `kiln`.
struct Server(Child, String);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// None if the program is not there.
    fn start() -> Option<Self> {
        let program = std::env::var("KILN_MOTO").unwrap_or_else(|_| "moto_server".to_owned());
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("http://127.0.0.1:") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "moto_server has ended");
        }
        let address = line.split("http://").nth(1).unwrap().trim().to_owned();
        // What it says about requests must be read, or it waits.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let server = Self(child, address);
        server.make_bucket();
        Some(server)
    }

    fn make_bucket(&self) {
        let mut connection = TcpStream::connect(&self.1).unwrap();
        let request = format!(
            "PUT /kiln HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.1
        );
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        let builder = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", self.1))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name("kiln")
            .with_access_key_id("id")
            .with_secret_access_key("key");
        Arc::new(builder.build().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_server_are_as_the_model_says() {
    let Some(server) = Server::start() else {
        #[allow(clippy::print_stderr)]
        {
            eprintln!("skipped: there is no `moto_server` (pip install 'moto[server]')");
        }
        return;
    };
    let state = tempfile::tempdir().unwrap();
    check_against_model(&in_store(server.store(), "model", state.path()), 13).await;
    let warehouse = in_store(server.store(), "deep/house", state.path());
    keep_up(&warehouse).await;
    // What commits rely on: of two log entries of one number, one stands.
    let (store, entry) = (server.store(), ObjectPath::from("deep/entry.json"));
    let mut put = Vec::new();
    for content in ["first", "second"] {
        put.push(store.put_opts(&entry, content.into(), PutMode::Create.into()).await);
    }
    assert!(matches!(put[..], [Ok(_), Err(object_store::Error::AlreadyExists { .. })]), "{put:?}");
}

/// A file that is sent in several parts.
#[tokio::test(flavor = "multi_thread")]
async fn large_files_are_sent_whole() {
    let (state, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let warehouse = in_store(Arc::new(InMemory::new()), "house", state.path());
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let noise: Vec<String> =
        (0..20_000).map(|_| format!("{:0>1100}", random.random::<u64>())).collect();
    let noise: Vec<_> = noise.iter().map(|text| Some(text.as_str())).collect();
    let batch = text("a", &noise);
    let staging = warehouse.begin("run-1").unwrap();
    let options = ParquetOptions {
        compression: parquet::basic::Compression::UNCOMPRESSED,
        ..ParquetOptions::default()
    };
    let writer = staging.writer("t", batch.schema(), &options).unwrap();
    writer.push(0, vec![batch.clone()]).unwrap();
    let parts = writer.finish().unwrap();
    assert!(parts[0].bytes > 20 << 20);
    let info = CommitInfo { pipeline: "p".to_owned(), source: None, transaction: 1 };
    let change = Change::Replace;
    staging.commit("t", &batch.schema(), &parts, change, &info).await.unwrap();
    let snapshot = warehouse.snapshot("t").await.unwrap();
    let files = warehouse.local_files(&snapshot, copies.path()).await.unwrap();
    assert_same(&read(&files), &batch);
}
