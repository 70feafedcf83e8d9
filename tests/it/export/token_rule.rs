//! The token goes only where it belongs: F10 and F11. The server counts what came where it must not as a breach.

use kiln::error::ErrorKind;
use kiln::export::{AttachmentSettings, KickOff};

use super::bench::{Bench, conditions, patients, raw, secret, two_files};
use crate::bulk_server::{
    Asked, Fault, File, Route, SIGNATURE, Section, Setup, SignIn, TestKey, VENDOR_HEADER,
};
use crate::support::block_on;

async fn signed_in(setup: Setup) -> Bench {
    let setup = Setup {
        files_need_token: setup.files_need_token,
        ..setup.sign_in(SignIn::Smart(vec![TestKey::rsa()]))
    };
    Bench::new(setup).await.set(|settings| {
        settings.headers.insert(VENDOR_HEADER.into(), secret("vendor-client-5"));
    })
}

fn outcomes(name: &str) -> File {
    let line = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}"#;
    File::new(Section::Error, Some("OperationOutcome"), name, line)
}

fn deletions(name: &str) -> File {
    let line = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/9"}}]}"#;
    File::new(Section::Deleted, Some("Bundle"), name, line)
}

#[test]
fn f10_files_that_need_no_token_get_none() {
    block_on(async {
        let elsewhere =
            [patients("p", 9).elsewhere(), outcomes("e").elsewhere(), deletions("d").elsewhere()];
        let here = [conditions("c", 9), outcomes("e2"), deletions("d2")];
        let bench = signed_in(Setup::with(elsewhere.into_iter().chain(here))).await;
        bench.stores_all().await;
        let files = bench.server.of(&Route::file("*"));
        assert_eq!(files.len(), 6);
        assert!(files.iter().all(|asked| !asked.signed_in()));
        let jobs = bench.server.of(&Route::Status);
        let own =
            |asked: &Asked| asked.signed_in() && asked.header(VENDOR_HEADER) == "vendor-client-5";
        assert!(jobs.iter().all(own), "the job itself needs both");
    });
}

#[test]
fn f10_attachments_follow_the_same_rule() {
    for files_need_token in [false, true] {
        block_on(async {
            let note = |n: usize, url: &str| {
                format!(
                    r#"{{"resourceType":"DocumentReference","id":"{n}","content":[{{"attachment":{{"contentType":"text/plain","url":"{url}"}}}}]}}"#
                )
            };
            let presigned = format!("__OTHER__bucket/1/0/far?X-Amz-Signature={SIGNATURE}");
            let lines = [note(1, &presigned), note(2, "__OWN__fhir/Binary/near")].join("\n");
            let attachment = |name| File {
                content_type: "text/plain",
                ..File::new(Section::Attachment, None, name, format!("the text of {name}"))
            };
            let files = [
                raw("DocumentReference", "notes", lines),
                attachment("far").elsewhere(),
                attachment("near"),
            ];
            let setup = Setup { files_need_token, ..Setup::with(files) };
            let bench = signed_in(setup).await.set(|settings| {
                settings.request.types = vec!["DocumentReference".into()];
                settings.attachments =
                    Some(AttachmentSettings { types: vec![], inline_bytes: 1000 });
            });
            let done = bench.run().await;
            assert!(done.result.is_ok(), "{:?}", done.result);
            assert_eq!(bench.server.breaches(), Vec::<String>::new());
            let (far, near) = (Route::file("far"), Route::file("near"));
            assert_eq!((bench.server.count(&far), bench.server.count(&near)), (1, 1));
            assert_eq!(bench.server.of(&near)[0].signed_in(), files_need_token);
        });
    }
}

#[test]
fn f11_a_redirect_elsewhere_drops_token_and_headers() {
    block_on(async {
        let setup = Setup { files_need_token: true, ..Setup::with(two_files()) };
        let setup = setup.fault(Route::file("*"), 1..=1, Fault::RedirectElsewhere);
        let bench = signed_in(setup).await;
        bench.stores_all().await;
        let (far, near): (Vec<_>, Vec<_>) =
            bench.server.of(&Route::file("*")).into_iter().partition(|asked| asked.elsewhere);
        assert_eq!((far.len(), near.len()), (2, 2));
        assert!(
            near.iter().all(|asked| asked.signed_in() && !asked.header(VENDOR_HEADER).is_empty())
        );
        assert!(
            far.iter().all(|asked| !asked.signed_in() && asked.header(VENDOR_HEADER).is_empty())
        );
    });
}

#[test]
fn f11_redirects_that_never_end_are_refused() {
    block_on(async {
        let setup = Setup { files_need_token: true, ..Setup::with([patients("p", 5)]) };
        let setup = setup.fault(Route::file("*"), 1..=9999, Fault::RedirectToItself);
        let bench = signed_in(setup).await;
        let error = bench.run().await.result.unwrap_err();
        assert!(error.to_string().contains("redirect"), "{error}");
        let asked = bench.server.count(&Route::file("*"));
        assert!(asked <= 6 * bench.settings.attempts as usize, "{asked} requests");
    });
}

#[test]
fn plain_http_to_other_hosts_is_refused_before_anything_is_sent() {
    block_on(async {
        let bench = signed_in(Setup::with(two_files())).await.set(|settings| {
            settings.request.server = "http://fhir.example.org/r4".parse().unwrap();
        });
        let error = bench.run().await.result.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Definition | ErrorKind::Usage | ErrorKind::Refused),
            "{error}"
        );
        assert!(super::bench::told(&error).contains("http"), "{error}");
        assert_eq!(bench.server.asked().len(), 0);
    });
}

/// Redirects at the own origin keep the token: of polls, of the kick-off by GET and by POST.
#[test]
fn redirects_at_home_are_followed_with_all_that_belongs_to_them() {
    for (route, kick_off) in [
        (Route::Status, KickOff::Get),
        (Route::KickOff, KickOff::Get),
        (Route::KickOff, KickOff::Post),
    ] {
        block_on(async {
            let setup = Setup::with(two_files()).fault(route.clone(), 1..=1, Fault::RedirectAtHome);
            let bench = signed_in(setup).await.set(|settings| settings.request.kick_off = kick_off);
            bench.stores_all().await;
            let asked = bench.server.of(&route);
            assert!(asked.iter().all(|a| a.signed_in() && !a.header(VENDOR_HEADER).is_empty()));
            assert!(asked.iter().all(|a| a.body == asked[0].body), "{kick_off:?}");
        });
    }
}

/// A manifest that does not say whether files want the token: they get it at home, and nowhere else.
#[test]
fn without_requires_access_token_the_origin_decides() {
    block_on(async {
        let setup = Setup::with([patients("near", 5), conditions("far", 5).elsewhere()]);
        let silent: fn(&mut serde_json::Value) = |manifest| {
            manifest.as_object_mut().unwrap().remove("requiresAccessToken").unwrap();
        };
        let setup = Setup { files_need_token: true, ..setup };
        let bench = signed_in(setup.fault(Route::Status, 3..=3, Fault::Json(silent))).await;
        bench.stores_all().await;
        assert!(bench.server.of(&Route::file("near"))[0].signed_in());
    });
}
