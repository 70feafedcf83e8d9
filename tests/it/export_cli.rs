//! `kiln export` and `kiln keygen` as people use them.

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::bulk_server::{BulkServer, File, Route, Section, Setup, SignIn};
use crate::command::{folder, names, run, write};
use crate::support::block_on;

fn patients() -> File {
    let line = |id| json!({ "resourceType": "Patient", "id": id }).to_string();
    File::output("Patient", "patients", &["a", "b"].map(line))
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// The program, with waits that a test can stand.
async fn export(folder: &Path, url: &str, arguments: &[&str]) -> Ran {
    let quick = ["--poll-min", "1ms", "--poll-max", "20ms"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.current_dir(folder).arg("export").arg(url).args(arguments).args(quick);
    let done = command.env("KILN_TEST_TOKEN", "token-of-a-test").output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { code: done.status.code(), stdout: text(&done.stdout), stderr: text(&done.stderr) }
}

#[test]
fn an_export_is_a_folder_that_can_be_flattened() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let deleted = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [] });
        let deleted = File::new(Section::Deleted, Some("Bundle"), "gone", format!("{deleted}\n"));
        let server = BulkServer::start(Setup::with([patients(), deleted])).await;
        let url = format!("{}/Group/7/$export?_type=Patient", server.base());
        let Ran { code, stdout, stderr } = export(folder.path(), &url, &["--out", "out"]).await;
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.starts_with("2 resources in 2 files, 0.0 MB, as of 20"), "{stdout}");
        assert!(stdout.ends_with(", in out; 1 Bundle of deletions\n"), "{stdout}");
        let out = folder.path().join("out");
        let expected = [
            "Patient.00000.ndjson",
            "deleted.00000.ndjson",
            "export.json",
            "export.lock",
            "log.ndjson",
            "manifest.json",
        ];
        assert_eq!(
            names(&out).iter().filter(|n| !n.starts_with('.')).collect::<Vec<_>>(),
            expected
        );
        let rows = tokio::task::spawn_blocking({
            let folder = folder.path().to_owned();
            move || run(&folder, &["flatten", "--view", "patient", "out"], "")
        });
        let rows = rows.await.unwrap();
        assert_eq!((rows.code, rows.stdout.lines().count()), (0, 2), "{}", rows.stderr);
        assert!(!rows.stderr.contains("not read"), "{}", rows.stderr);

        // Again: nothing is asked of the server, and it says the same.
        let asked = server.asked().len();
        let again = export(folder.path(), &url, &["--out", "out"]).await;
        assert_eq!((again.code, again.stdout), (Some(0), stdout), "{}", again.stderr);
        assert_eq!(server.asked().len(), asked);
        // Another export does not go on with its files.
        let other = url.replace("Group/7", "Group/8");
        let refused = export(folder.path(), &other, &["--out", "out"]).await;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    });
}

#[test]
fn a_dry_run_begins_nothing() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(Setup::with([patients()])).await;
        let url = format!("{}/$export?_type=Patient", server.base());
        let page = export(folder.path(), &url, &["--dry-run"]).await;
        assert_eq!(page.code, Some(0), "{}", page.stderr);
        assert!(page.stdout.contains("$export?_type=Patient"), "{}", page.stdout);
        let json = export(folder.path(), &url, &["--dry-run", "--json"]).await;
        assert!(serde_json::from_str::<Value>(&json.stdout).is_ok_and(|r| r.is_object()));
        assert_eq!(server.count(&Route::KickOff), 0);
        assert_eq!(names(folder.path()), Vec::<String>::new());
        // A port that nobody listens at any more.
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/fhir", free.local_addr().unwrap());
        drop(free);
        let silent = export(folder.path(), &url, &["--dry-run"]).await;
        assert_eq!(silent.code, Some(9), "{}", silent.stderr);
        assert!(silent.stdout.contains("/fhir/Patient/$export"), "{}", silent.stdout);
    });
}

/// What flags and the url say reaches the server; where both say something, the flag.
#[test]
fn flags_become_parameters() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(Setup::with([patients()])).await;
        let url = format!("{}/$export?_type=Group&_since=2025-01-01T00:00:00Z", server.base());
        let flags = [
            "--out",
            "out",
            "--type",
            "Patient,Condition",
            "--type-filter",
            "Condition?code=a,b",
            "--elements",
            "id,code",
            "--until",
            "2026-01-01T00:00:00+01:00",
            "--include-associated-data",
            "LatestProvenanceResources",
            "--attempts",
            "2",
            "--timeout",
            "30s",
            "--part-mib",
            "1",
            "--parallel",
            "1",
            "--compress",
        ];
        let done = export(folder.path(), &url, &flags).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let mut asked = server.parameters().concat();
        asked.sort();
        let expected = [
            ("_elements", "id,code"),
            ("_since", "2025-01-01T00:00:00Z"),
            ("_type", "Patient,Condition"),
            ("_typeFilter", "Condition?code=a%2Cb"),
            ("_until", "2025-12-31T23:00:00Z"),
            ("includeAssociatedData", "LatestProvenanceResources"),
        ];
        let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        assert_eq!(asked, expected.map(text));
        assert!(names(&folder.path().join("out")).contains(&"Patient.00000.ndjson.zst".to_owned()));
    });
}

#[test]
fn a_token_is_used_and_never_shown() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::with([patients()]).sign_in(SignIn::Bearer("token-of-a-test"));
        let server = BulkServer::start(setup).await;
        let url = server.base().to_string();
        let refused = export(folder.path(), &url, &["--out", "out"]).await;
        assert_eq!(refused.code, Some(10), "{}", refused.stderr);
        let flags = ["--out", "out", "--token-env", "KILN_TEST_TOKEN"];
        let done = export(folder.path(), &url, &flags).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(server.breaches(), Vec::<String>::new());
        for said in [&refused.stderr, &done.stderr, &done.stdout] {
            assert!(!said.contains("token-of-a-test"), "{said}");
        }
    });
}

#[test]
fn an_export_is_given_up_where_it_is_asked_to() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(Setup { polls: 1_000, ..Setup::with([patients()]) }).await;
        let url = server.base().to_string();
        let waited = export(folder.path(), &url, &["--out", "out", "--max-wait", "100ms"]).await;
        assert_eq!(waited.code, Some(9), "{}", waited.stderr);
        let given_up = export(folder.path(), &url, &["--out", "out", "--cancel"]).await;
        assert_eq!(given_up.code, Some(0), "{}", given_up.stderr);
        assert_eq!((server.count(&Route::KickOff), server.count(&Route::Delete)), (1, 1));
    });
}

/// Of another folder, another client, or one whose state was lost.
#[test]
fn a_job_is_taken_up_by_its_status_url() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = BulkServer::start(Setup { polls: 8, ..Setup::with([patients()]) }).await;
        let url = server.base().to_string();
        let begun = export(folder.path(), &url, &["--out", "lost", "--max-wait", "1ms"]).await;
        assert_eq!(begun.code, Some(9), "{}", begun.stderr);
        let job = format!("{url}/jobs/1");
        let flags = ["--out", "out", "--adopt", &job];
        for time in 1..=2 {
            let done = export(folder.path(), &url, &flags).await;
            assert_eq!(done.code, Some(0), "{time}: {}", done.stderr);
        }
        assert_eq!((server.count(&Route::KickOff), server.count(&Route::Delete)), (1, 1));
        let other = export(folder.path(), &url, &["--out", "out", "--adopt", &url]).await;
        assert_eq!(other.code, Some(2), "{}", other.stderr);
        assert!(other.stderr.contains("an export of its own"), "{}", other.stderr);
    });
}

#[test]
fn mistakes_are_told_before_anything_is_asked() {
    let export =
        "[source.export]\nserver = \"https://example.org/fhir\"\n[warehouse]\npath = \"w\"\n";
    let folder = folder(&[
        ("export.toml", export),
        ("files.toml", "[source]\npath = \"x\"\n[warehouse]\npath = \"w\"\n"),
    ]);
    for (arguments, expected) in [
        (&["https://example.org/fhir"][..], "the export has no folder"),
        (
            &["https://example.org/fhir", "--out", "o", "--type", "Pateint"],
            "did you mean `Patient`?",
        ),
        (&["http://example.org/fhir", "--out", "o"], "http"),
        (&["files.toml"], "the source of `files.toml` is no export"),
        (&["https://example.org/fhir", "--out", "o", "--vendor", "epik"], "did you mean `epic`?"),
        (
            &["https://example.org/fhir", "--out", "o", "--client-id", "me"],
            "`--client-id` alone signs nobody in",
        ),
        (
            &["https://example.org/fhir", "--dry-run", "--client-id", "me"],
            "`--client-id` alone signs nobody in",
        ),
        (
            &["export.toml", "--type", "Patient", "--client-id", "me", "--key", "k", "--compress"],
            "leave out --type, --client-id, --key, --compress, or change the pipeline",
        ),
        (&["export.toml", "--dry-run", "--header-env", "a=B"], "leave out --header-env,"),
    ] {
        let ran = run(folder.path(), &[&["export"], arguments].concat(), "");
        assert_ne!(ran.code, 0, "{arguments:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
        assert_eq!(names(folder.path()), ["export.toml", "files.toml"], "{arguments:?}");
    }
}

/// All at once, each under its key.
#[test]
fn mistakes_of_a_pipeline_are_told_at_once() {
    let text = r#"
[source.export]
server = "https://example.org/fhir"
level = "grup"
types = ["Pateint", "patient"]
since = "2026-01-01T00:00:00Z"
elements = ["id"]
max_wait = "soon"
vendor = "bcda"

[source.export.auth]
kind = "smart"
client_id = "kiln"
key = { file = "none.pem" }
algorithm = "HS256"

[warehouse]
path = "warehouse"
"#;
    let folder = folder(&[("nightly.toml", text)]);
    let ran = run(folder.path(), &["check", "nightly.toml"], "");
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let places =
        ["auth.algorithm", "elements", "level", "max_wait", "since", "types[0]", "types[1]"];
    for place in places {
        let at = format!("  at: nightly.toml: source.export.{place}\n");
        assert!(ran.stderr.contains(&at), "{place}:\n{}", ran.stderr);
    }
    let mistakes = "mistakes in the definitions; nothing was read";
    assert!(ran.stderr.contains(mistakes), "{}", ran.stderr);
}

#[test]
fn keys_are_made_once_and_the_private_one_is_private() {
    for algorithm in ["es384", "rs384"] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["keygen", "--algorithm", algorithm, "--out", "key", "--public", "jwks"];
        let made = run(folder.path(), &arguments, "");
        assert_eq!(made.code, 0, "{}", made.stderr);
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let key: Value = serde_json::from_slice(&read("key")).unwrap();
        let jwks: Value = serde_json::from_slice(&read("jwks")).unwrap();
        assert!(key["d"].is_string() && jwks["keys"][0]["d"].is_null());
        assert_eq!(key["kid"], jwks["keys"][0]["kid"]);
        assert!(!made.stdout.contains(key["d"].as_str().unwrap()));
        #[cfg(unix)]
        {
            let file = fs::metadata(folder.path().join("key")).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }
        write(folder.path(), "jwks", b"mine");
        assert_eq!(run(folder.path(), &arguments, "").code, 6, "keys are never replaced");
        assert_eq!(read("jwks"), b"mine");
    }
}
