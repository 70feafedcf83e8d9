//! Servers that do not answer at all, or refuse whoever comes.

use kiln::error::ErrorKind;

use super::bench::{Bench, seconds, told, two_files};
use crate::bulk_server::{Answer, Fault, Route, Setup, SignIn, TestKey, outcome};
use crate::support::block_on;

/// Which request is never answered; the same command, later, is worth a try.
#[test]
fn silence_is_left_for_later() {
    let routes = [
        Route::KickOff,
        Route::Status,
        Route::Token,
        Route::SmartConfiguration,
        Route::file("patients"),
    ];
    for route in routes {
        block_on(async {
            let setup = Setup::with(two_files()).sign_in(SignIn::Smart(vec![TestKey::ec()]));
            let bench = Bench::new(setup.fault(route.clone(), 1..=999, Fault::Silent)).await;
            let mut bench = bench.set(|settings| settings.attempts = 2);
            bench.settings.timeout = std::time::Duration::from_millis(200);
            let failed = bench.fails(ErrorKind::TryLater, &["127.0.0.1"]).await;
            assert!(failed.waits.iter().all(|wait| *wait >= seconds(1)), "{route:?}");
            let asked = bench.server.count(&route);
            assert!((2..=4).contains(&asked), "{route:?} was asked {asked} times");
        });
    }
}

#[test]
fn a_port_where_nobody_listens() {
    block_on(async {
        let bench = Bench::new(Setup::with(two_files())).await.set(|settings| {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            settings.request.server.set_port(Some(free.local_addr().unwrap().port())).unwrap();
        });
        let error = bench.run().await.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TryLater, "{}", told(&error));
        assert!(error.to_string().contains("$export"), "{error}");
    });
}

/// Refusals that no waiting helps against, and how often each is asked.
#[test]
fn refusals_are_not_repeated() {
    let forbidden = || Fault::Instead(outcome(403, "error", "forbidden", "not with these scopes"));
    let unknown = || Fault::Instead(Answer::text(404, "text/html", "<html>not found</html>"));
    let cases = [
        (Route::KickOff, forbidden(), "not with these scopes"),
        (Route::KickOff, unknown(), "404"),
        (
            Route::KickOff,
            Fault::Instead(outcome(401, "error", "login", "who are you")),
            "who are you",
        ),
        (Route::Status, forbidden(), "not with these scopes"),
        (Route::file("patients"), forbidden(), "not with these scopes"),
    ];
    for (route, fault, text) in cases {
        block_on(async {
            let setup = Setup::with(two_files()).sign_in(SignIn::Smart(vec![TestKey::ec()]));
            let bench = Bench::new(setup.fault(route.clone(), 1..=99, fault)).await;
            let failed = bench.fails(ErrorKind::Refused, &[text]).await;
            assert!(failed.result.unwrap_err().remedy().is_some(), "{route:?}: what to do is said");
            assert!(bench.server.count(&route) <= 2, "{route:?}");
        });
    }
}

/// A static token that is void cannot be renewed.
#[test]
fn a_void_bearer_token_is_said() {
    block_on(async {
        let setup = Setup::with(two_files()).sign_in(SignIn::Bearer("static-token-3"));
        let bench = Bench::new(setup).await.set(|settings| {
            settings.auth =
                kiln::export::AuthSettings::Bearer { token: super::bench::secret("old-token") };
        });
        let failed = bench.fails(ErrorKind::Refused, &["401"]).await;
        assert!(!told(&failed.result.unwrap_err()).contains("old-token"));
        assert!(bench.server.count(&Route::KickOff) <= 2);
    });
}
