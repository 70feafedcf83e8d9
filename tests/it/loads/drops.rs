//! File drops in a folder.

use std::fs;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::tables::Resources;
use super::{load, perform, written};
use crate::support::block_on;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hex: Vec<_> = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    hex.concat()
}

#[test]
fn into_a_folder() {
    block_on(async {
        for (format, text) in [
            (
                "csv",
                "_key,patient_id,amount,cost,_source,_run\np,Patient/1,1,0.07,,r1\np,Patient/2,2,0.14,,r1\n",
            ),
            (
                "ndjson",
                "{\"_key\":\"p\",\"patient_id\":\"Patient/1\",\"amount\":1,\"cost\":0.07,\"_source\":null,\"_run\":\"r1\"}\n{\"_key\":\"p\",\"patient_id\":\"Patient/2\",\"amount\":2,\"cost\":0.14,\"_source\":null,\"_run\":\"r1\"}\n",
            ),
            ("parquet", "PAR1"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let drop =
                load(folder.path(), &format!("to = 'files'\npath = 'drop'\nformat = '{format}'"));
            let mut table = Resources::new(folder.path(), "a");
            table.put("p", "r1", &[1, 2]);
            let versions = [table.commit()];
            assert_eq!(written(&perform(&drop, &versions, "r1").await.unwrap()), [("a", 2)]);
            let path = folder.path().join("drop");
            let file = fs::read(path.join(format!("r1/a.{format}"))).unwrap();
            assert!(file.starts_with(text.as_bytes()), "{}", String::from_utf8_lossy(&file));
            let manifest: Value =
                serde_json::from_slice(&fs::read(path.join("r1/manifest.json")).unwrap()).unwrap();
            let entry = &manifest["tables"][0];
            let digest = sha256(&file);
            assert_eq!((&manifest["run"], &entry["sha256"]), (&"r1".into(), &digest.into()));
            assert_eq!((&entry["rows"], &entry["bytes"]), (&2.into(), &file.len().into()));
            assert_eq!(entry["columns"][1]["comment"], "whose it is; it's a key");

            // The newest drop has these versions; then it has not.
            assert_eq!(written(&perform(&drop, &versions, "r2").await.unwrap()), [("a", 0)]);
            assert!(!path.join("r2").exists());
            table.put("q", "r3", &[3]);
            let versions = [table.commit()];
            let hidden = folder.path().join("hidden");
            fs::rename(&versions[0].files[0], &hidden).unwrap();
            perform(&drop, &versions, "r3").await.unwrap_err();
            assert_eq!(fs::read_to_string(path.join("latest")).unwrap(), "r1\n", "still whole");
            assert!(!path.join("r3/manifest.json").exists());
            fs::rename(&hidden, &versions[0].files[0]).unwrap();
            assert_eq!(written(&perform(&drop, &versions, "r3").await.unwrap()), [("a", 3)]);
            assert_eq!(fs::read_to_string(path.join("latest")).unwrap(), "r3\n");
        }
    });
}
