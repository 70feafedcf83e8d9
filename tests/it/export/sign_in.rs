//! Signing in: F8 and F9, and every way to do it.

use std::sync::Arc;

use jiff::SignedDuration;
use kiln::error::ErrorKind;
use kiln::export::{AuthSettings, keygen};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};

use super::bench::{Bench, patients, secret, two_files};
use crate::bulk_server::{Answer, Fault, Route, Setup, SignIn, TestKey};
use crate::support::block_on;

fn smart() -> SignIn {
    SignIn::Smart(vec![TestKey::rsa()])
}

#[test]
fn every_way_to_sign_in() {
    let ways = [
        smart(),
        SignIn::Smart(vec![TestKey::ec()]),
        SignIn::Basic,
        SignIn::Bearer("static-token-3"),
        SignIn::Nobody,
    ];
    for sign_in in ways {
        block_on(async {
            let setup = Setup::with(two_files());
            let setup = if let SignIn::Nobody = sign_in { setup } else { setup.sign_in(sign_in) };
            let files_need_token = setup.files_need_token;
            let bench = Bench::new(setup).await;
            bench.stores_all().await;
            let files = bench.server.of(&Route::file("*"));
            assert!(files.iter().all(|asked| asked.signed_in() == files_need_token));
            let scopes = bench.server.count(&Route::Token);
            assert!(scopes <= 1, "one token is enough: {scopes}");
        });
    }
}

#[test]
fn a_key_of_keygen_signs_in() {
    for algorithm in ["RS384", "ES384"] {
        block_on(async {
            let pair = keygen(algorithm).unwrap();
            let public: Value = serde_json::from_str(&pair.public_jwks).unwrap();
            let key = TestKey::registered(&public["keys"][0]);
            let bench =
                Bench::new(Setup::with(two_files()).sign_in(SignIn::Smart(vec![key]))).await;
            let bench = bench.set(|settings| {
                let AuthSettings::Smart { key, key_id, .. } = &mut settings.auth else { panic!() };
                (*key, *key_id) = (kiln::export::Secret::Inline(pair.private_jwk.clone()), None);
            });
            bench.stores_all().await;
        });
    }
}

#[test]
fn f08_tokens_that_end_soon_are_renewed() {
    for lifetime in [5, 60, 300] {
        block_on(async {
            let setup = Setup { token_seconds: lifetime, polls: 60, ..Setup::with(two_files()) };
            let bench = Bench::new(setup.sign_in(smart())).await;
            bench.stores_all().await;
            let tokens = bench.server.count(&Route::Token);
            assert!(tokens > 1, "10 minutes are longer than {lifetime} s");
            if lifetime == 300 {
                assert!(tokens <= 4, "{tokens} tokens in 10 minutes");
            }
        });
    }
}

#[test]
fn f08_a_token_refused_by_three_downloads_is_renewed_once() {
    block_on(async {
        let names = ["a", "b", "c"];
        let setup = Setup::with(names.map(|name| patients(name, 5))).sign_in(smart());
        let barrier = Arc::new(Barrier::new(names.len()));
        // One hears of it when another has the new token already: that one is as good for it.
        let renewed = Arc::new(Notify::new());
        let mut setup = setup.fault(Route::file("a"), 1..=1, Fault::RevokeTokens);
        for name in names {
            setup = setup.fault(Route::file(name), 1..=1, Fault::Together(barrier.clone()));
        }
        let setup = setup.fault(Route::file("c"), 1..=1, Fault::Until(renewed.clone())).fault(
            Route::file("a"),
            2..=2,
            Fault::Announce(renewed),
        );
        let bench = Bench::new(setup).await;
        bench.stores_all().await;
        assert_eq!(bench.server.count(&Route::Token), 2, "the first, and one for all three");
        for name in names {
            assert_eq!(bench.server.count(&Route::file(name)), 2, "{name}");
        }
    });
}

#[test]
fn f08_a_token_that_ends_within_a_file_does_not_end_the_file() {
    block_on(async {
        let setup = Setup { token_seconds: 60, ..Setup::with(two_files()) };
        let late = Fault::Passes(std::time::Duration::from_mins(2));
        let setup = setup.sign_in(smart()).fault(Route::file("patients"), 2..=2, late);
        let bench = Bench::new(setup).await.set(|settings| settings.parallel = 1);
        bench.stores_all().await;
    });
}

/// How the token endpoint fails, and whether the export goes on.
#[test]
fn f09_a_flaky_token_endpoint() {
    let bare = Answer::new(400);
    let html = Answer::text(503, "text/html", "<html>");
    let refused = Answer::json(
        400,
        &json!({
            "error": "invalid_client", "error_description": "the key is not registered",
        }),
    );
    for (nth, answer, goes_on) in
        [(2, bare, true), (1, html.clone(), true), (2, html, true), (1, refused, false)]
    {
        block_on(async {
            let setup = Setup { token_seconds: 60, polls: 30, ..Setup::with(two_files()) };
            let last = if goes_on { nth } else { 99 };
            let setup =
                setup.sign_in(smart()).fault(Route::Token, nth..=last, Fault::Instead(answer));
            let bench = Bench::new(setup).await;
            if goes_on {
                bench.stores_all().await;
                return;
            }
            let texts = ["invalid_client", "the key is not registered", "/auth/token"];
            bench.fails(ErrorKind::Refused, &texts).await;
            assert_eq!(bench.server.count(&Route::KickOff), 0);
        });
    }
}

#[test]
fn f09_expires_in_of_all_kinds() {
    let kinds: [fn(i64) -> Value; 5] = [
        |seconds| json!(seconds),
        |seconds| json!(seconds.to_string()),
        |seconds| json!(seconds as f64),
        |_| Value::Null,
        |_| json!("soon"),
    ];
    for expires_in in kinds {
        block_on(async {
            let setup = Setup { expires_in, polls: 60, ..Setup::with(two_files()) };
            let bench = Bench::new(setup.sign_in(smart())).await;
            bench.stores_all().await;
        });
    }
}

#[test]
fn f09_clocks_two_minutes_apart() {
    for minutes in [-2, 2] {
        block_on(async {
            let clock_ahead = SignedDuration::from_mins(minutes);
            let setup = Setup { clock_ahead, ..Setup::with(two_files()) };
            let bench = Bench::new(setup.sign_in(smart())).await;
            let warnings = bench.stores_all().await.result.unwrap().warnings;
            // One that is ahead does no harm.
            let told = warnings.iter().any(|warning| warning.contains("clocks"));
            assert_eq!(told, minutes < 0, "{warnings:?}");
        });
    }
}

#[test]
fn a_key_that_is_not_registered_is_said() {
    block_on(async {
        let bench = Bench::new(Setup::with(two_files()).sign_in(smart())).await;
        let bench = bench.set(|settings| {
            let AuthSettings::Smart { key, key_id, .. } = &mut settings.auth else { panic!() };
            (*key, *key_id) = (secret(&TestKey::ec().private), None);
        });
        let error = bench.run().await.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("is not registered"), "{error}");
        assert_eq!(bench.server.count(&Route::KickOff), 0);
    });
}

#[test]
fn scopes_cover_what_is_exported_and_no_more() {
    block_on(async {
        let bench = Bench::new(Setup::with(two_files()).sign_in(smart())).await;
        bench.stores_all().await;
        let body = bench.server.of(&Route::Token).remove(0).body;
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
        let (_, scope) = form.iter().find(|(key, _)| key == "scope").unwrap();
        let mut scopes: Vec<_> = scope.split(' ').collect();
        scopes.sort_unstable();
        assert_eq!(scopes, ["system/Condition.read", "system/Patient.read"]);
    });
}
