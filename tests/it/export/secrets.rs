//! Nothing secret is ever written or said: F30.

use std::os::unix::fs::PermissionsExt;

use kiln::export::{AttachmentSettings, Clock};
use serde_json::json;

use super::bench::{Bench, Outcome, conditions, raw, secret, told};
use crate::bulk_server::{
    Answer, BulkServer, CLIENT, CLIENT_SECRET, Fault, File, Route, SIGNATURE, Section, Setup,
    SignIn, TestKey, VENDOR_HEADER, outcome,
};
use crate::support::block_on;

/// Something about a patient, in resources and in what breaks.
const PHI: &str = "Kowalska-PHI-marker";
const VENDOR_SECRET: &str = "vendor-header-secret-9";

fn files() -> Vec<File> {
    let patient = json!({ "resourceType": "Patient", "id": "1", "name": [{ "family": PHI }] });
    let note = format!("__OTHER__bucket/1/0/note?X-Amz-Signature={SIGNATURE}");
    let document = json!({
        "resourceType": "DocumentReference", "id": "2", "description": PHI,
        "content": [{ "attachment": { "contentType": "text/plain", "url": note } }],
    });
    vec![
        raw("Patient", "p", format!("{patient}\n{{\"broken\": {PHI}\n")).elsewhere(),
        raw("DocumentReference", "d", format!("{document}\n")).elsewhere(),
        conditions("c", 3),
        File { content_type: "text/plain", ..File::new(Section::Attachment, None, "note", PHI) }
            .elsewhere(),
    ]
}

/// What is set up, and how often it is run.
fn scenarios() -> Vec<(&'static str, Setup)> {
    let fault =
        |route: &str, last, fault| Setup::with(files()).fault(Route::file(route), 1..=last, fault);
    let refused =
        Answer::json(401, &json!({ "error": "invalid_client", "error_description": "no" }));
    let page = Answer::text(200, "text/html", format!("<html>{PHI}</html>"));
    let denied = Answer::text(403, "application/xml", format!("<Error>{SIGNATURE}</Error>"));
    vec![
        ("a good export", Setup::with(files())),
        ("a cut file", fault("p", 99, Fault::Cut(50))),
        ("a page in place of a file", fault("p", 99, Fault::Instead(page))),
        ("refused by the store", fault("p", 99, Fault::Instead(denied))),
        ("a file redirected", fault("c", 1, Fault::RedirectElsewhere)),
        ("a file redirected for ever", fault("p", 99, Fault::RedirectToItself)),
        ("half a line", fault("p", 99, Fault::Ends(60))),
        ("a silent server", fault("p", 99, Fault::Silent)),
        ("sign-in refused", Setup::default().fault(Route::Token, 1..=9, Fault::Instead(refused))),
        (
            "kick-off refused",
            Setup::default().fault(
                Route::KickOff,
                1..=9,
                Fault::Instead(outcome(403, "error", "forbidden", "no")),
            ),
        ),
        ("a token refused", Setup::default().fault(Route::Status, 1..=99, Fault::Status(401))),
    ]
}

#[test]
fn f30_secrets_stay_secret() {
    let keys = [TestKey::rsa(), TestKey::ec()];
    for (name, setup) in scenarios() {
        for sign_in in [
            SignIn::Smart(vec![keys[0].clone()]),
            SignIn::Smart(vec![keys[1].clone()]),
            SignIn::Basic,
        ] {
            block_on(async {
                let private: Vec<_> = match &sign_in {
                    SignIn::Smart(keys) => private_parts(&keys[0].private),
                    _ => vec![CLIENT_SECRET.to_owned()],
                };
                let setup = Setup { files_need_token: false, ..setup.clone().sign_in(sign_in) };
                let bench = Bench::new(setup).await.set(|settings| {
                    settings.timeout = std::time::Duration::from_millis(300);
                    settings.attempts = 2;
                    settings.headers.insert(VENDOR_HEADER.into(), secret(VENDOR_SECRET));
                    settings.attachments =
                        Some(AttachmentSettings { types: vec![], inline_bytes: 10_000 });
                });
                let said = [bench.run().await, bench.run().await].map(|outcome| said_by(&outcome));
                let mut secrets = bench.server.secrets();
                secrets.extend(private);
                secrets.extend([SIGNATURE, PHI, VENDOR_SECRET].map(str::to_owned));
                let written = written(&bench);
                let texts = [&said[0], &said[1], &written, &format!("{:?}", bench.settings)];
                for secret in &secrets {
                    for text in texts {
                        let at = text.find(secret.as_str());
                        let near = at.map(|at| text[at.saturating_sub(200)..at].to_owned());
                        assert_eq!(near, None, "{name}: `{secret}` is told");
                    }
                }
            });
        }
    }
}

/// The program tells no more than the library, on a terminal or not.
#[test]
fn f30_the_program_tells_no_secret() {
    block_on(async {
        for (name, setup) in scenarios() {
            if ["a silent server", "a cut file"].contains(&name) {
                continue; // Real waits, and nothing else to tell.
            }
            let key = TestKey::ec();
            let setup = setup.sign_in(SignIn::Smart(vec![key.clone()]));
            let setup = Setup { clock: Clock::System, files_need_token: false, ..setup };
            let server = BulkServer::start(setup).await;
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("key.jwk");
            std::fs::write(&file, &key.private).unwrap();
            let base = server.base().to_string();
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
            command.args(["export", &base, "--type", "Patient,Condition", "--out", "out"]);
            command.args(["--poll-min", "1ms", "--poll-max", "5ms", "--attachments", "all"]);
            command.args(["--client-id", CLIENT, "--key"]).arg(&file);
            let header = format!("{VENDOR_HEADER}=KILN_TEST_VENDOR");
            command.args(["--header-env", &header]).env("KILN_TEST_VENDOR", VENDOR_SECRET);
            let done = command.current_dir(folder.path()).output().await.unwrap();
            let said = [&*done.stdout, &*done.stderr].map(String::from_utf8_lossy).concat();
            assert!(!said.is_empty(), "{name}");
            let mut secrets = server.secrets();
            secrets.extend(private_parts(&key.private));
            secrets.extend([SIGNATURE, PHI, VENDOR_SECRET].map(str::to_owned));
            for secret in secrets {
                assert!(!said.contains(&secret), "{name}: `{secret}` in {said}");
            }
        }
    });
}

/// Lines of a PEM, or private members of a JWK.
fn private_parts(key: &str) -> Vec<String> {
    match serde_json::from_str::<serde_json::Value>(key) {
        Ok(jwk) => vec![jwk["d"].as_str().unwrap().to_owned()],
        Err(_) => {
            key.lines().filter(|line| !line.starts_with('-')).take(5).map(str::to_owned).collect()
        }
    }
}

/// Error, chain of causes, warnings and events, also as programmers see them.
fn said_by(outcome: &Outcome) -> String {
    let mut said = vec![format!("{:?} {:?}", outcome.events, outcome.warning)];
    match &outcome.result {
        Ok(complete) => said.push(format!("{:?} {complete:?}", complete.warnings)),
        Err(error) => {
            said.push(format!("{} {error:?}", told(error)));
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                said.push(format!("{cause} {cause:?}"));
                source = cause.source();
            }
        }
    }
    said.join(" ")
}

/// Names of all files, and the text of those that are no data.
fn written(bench: &Bench) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(bench.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let data = bench.parts().contains(&name) || entry.path().is_dir();
        text.push_str(&name);
        if data {
            continue;
        }
        let mut content = std::fs::read_to_string(entry.path()).unwrap();
        if name == "export.json" && bench.state()["complete"] == false {
            // Without the presigned urls there is no going on; so only the owner may read them, until all is there.
            let mode = std::fs::metadata(entry.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
            content = content.replace(SIGNATURE, "");
        }
        text.push_str(&content);
    }
    text
}
