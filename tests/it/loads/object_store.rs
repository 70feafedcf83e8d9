//! File drops in an S3-compatible store: `moto_server` of PyPI's `moto[server]`, on `PATH` or named by `KILN_MOTO`.

use object_store::ObjectStoreExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;

use super::tables::Resources;
use super::{load, perform, written};
use crate::moto::Moto;
use crate::support::block_on;

async fn get(store: &AmazonS3, path: String) -> Vec<u8> {
    let found = store.get(&ObjectPath::from(path)).await.unwrap();
    found.bytes().await.unwrap().to_vec()
}

#[test]
fn into_a_bucket() {
    let Some(moto) = Moto::start() else { return };
    moto.put("/drops", b"");
    block_on(async {
        let endpoint = moto.endpoint();
        let store = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_allow_http(true)
            .with_bucket_name("drops")
            .with_access_key_id("id")
            .with_secret_access_key("s3cret")
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "s3cret\n").unwrap();
        let text = |bucket: &str, format: &str| {
            format!(
                "to = 'files'\npath = 's3://{bucket}/a/{format}'\nformat = '{format}'\n\
                 store = {{ endpoint = '{endpoint}', access_key_id = 'id', secret_access_key = {{ file = 'key' }} }}"
            )
        };
        let mut table = Resources::new(folder.path(), "a");
        // As CSV more than one part of an upload.
        (0..300_000).for_each(|i| table.put(&format!("p{i}"), "r1", &[i]));
        let versions = [table.commit()];
        for format in ["csv", "parquet"] {
            let drop = load(folder.path(), &text("drops", format));
            let report = perform(&drop, &versions, "r1").await.unwrap();
            assert_eq!(written(&report), [("a", 300_000)]);
            let report = perform(&drop, &versions, "r2").await.unwrap();
            assert_eq!(written(&report), [("a", 0)], "the newest drop is found");
            let manifest = get(&store, format!("a/{format}/r1/manifest.json")).await;
            let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            let file = get(&store, format!("a/{format}/r1/a.{format}")).await;
            let entry = &manifest["tables"][0];
            assert_eq!((&entry["rows"], &entry["bytes"]), (&300_000.into(), &file.len().into()));
            assert_eq!(entry["sha256"], super::drops::sha256(&file));
            assert_eq!(get(&store, format!("a/{format}/latest")).await, b"r1\n");
        }
        let error = perform(&load(folder.path(), &text("nowhere", "csv")), &versions, "r1").await;
        let said = error.unwrap_err().to_string();
        assert!(said.contains("object store") && !said.contains("s3cret"), "{said}");
    });
}
