//! `[source.export]`: what it comes to, and that all mistakes are told at once.

use std::path::Path;

use super::*;

const SERVER: &str = "server = \"https://ehr.example/fhir/\"\n";

fn resolve(toml: &str) -> Result<Resolved, Vec<String>> {
    let table: ExportTable = toml::from_str(toml).map_err(|e| vec![e.message().to_owned()])?;
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let resolved = table.resolve(Path::new("/base"), now);
    resolved.map_err(|mistakes| mistakes.into_iter().map(|m| m.path).collect())
}

#[test]
fn the_defaults_are_good_for_weeks() {
    let Resolved { settings, folder, warnings } = resolve(SERVER).unwrap();
    assert_eq!(settings.request.server.as_str(), "https://ehr.example/fhir");
    assert_eq!(settings.request.level, crate::export::Level::Patient);
    assert_eq!(settings.max_wait, Duration::from_hours(30 * 24));
    assert_eq!(settings.poll, (Duration::from_secs(1), Duration::from_mins(5)));
    assert_eq!((settings.attempts, settings.parallel), (5, 5));
    assert!(settings.delete_job && settings.count_must_fit && !settings.restart_lost_job);
    assert_eq!((folder, warnings), (None, Vec::new()));
}

#[test]
fn mistakes_are_told_all_at_once() {
    for (toml, expected) in [
        ("", &["server"] as &[&str]),
        (
            "server = \"ehr.example\"\nlevel = \"sistem\"\nkickoff = \"put\"",
            &["level", "kickoff", "server"],
        ),
        ("server = \"localhost:8080/fhir\"", &["server"]),
        ("server = \"http://ehr.example/fhir\"", &["server"]),
        ("server = \"http://ehr.example/fhir\"\nallow_http = true", &[]),
        ("group = \"a\"\ngroup_name = \"b\"", &["group"]),
        ("level = \"group\"", &["level"]),
        ("level = \"system\"\ngroup = \"a\"", &["level"]),
        ("level = \"group\"\ngroup = \"Group/a\"", &[]),
        (
            "types = [\"patient\", \"Observation\", \"\"]\nsince = \"2030-01-01T00:00:00Z\"",
            &["since", "types[0]", "types[2]"],
        ),
        ("max_wait = \"soon\"\npoll_min = \"5m\"\npoll_max = \"1s\"", &["max_wait", "poll_max"]),
        ("poll_min = \"10m\"", &[]),
        ("poll_max = \"250ms\"", &[]),
        (
            "parallel = 0\nattempts = 0\npart_mib = 0\ntimeout = 0\npoll_min = 0",
            &["attempts", "parallel", "part_mib", "poll_min", "timeout"],
        ),
        ("parallel = 100", &["parallel"]),
        ("vendor = \"epik\"", &["vendor"]),
        ("vendor = \"Epic\"\nlevel = \"system\"", &["level"]),
        (
            "vendor = \"cerner\"\ngroup = \"g\"\nelements = [\"id\"]\ntype_filters = [\"Patient?active=true\"]",
            &["elements", "type_filters"],
        ),
        (
            "[headers]\nAuthorization = { env = \"A\" }\n\"a b\" = \"x\"",
            &["headers.Authorization", "headers.a b"],
        ),
        (
            "[auth]\nkind = \"smart\"\nclient_id = \" \"\nkey = { file = \"k.pem\" }\nalgorithm = \"RS256\"\ntoken_url = \"http://x.example/t\"",
            &["auth.client_id", "auth.token_url", "auth.algorithm"],
        ),
        ("attachments = { types = [\"text\", \"image/*\"] }", &["attachments.types[0]"]),
        ("patients = { file = \"/does/not/exist\" }", &["patients.file"]),
        ("patients = [\"1\"]\nlevel = \"system\"", &["patients"]),
    ] {
        let with_server = if toml.contains("server") || toml.is_empty() {
            toml.to_owned()
        } else {
            format!("{SERVER}{toml}")
        };
        let found = resolve(&with_server).map_or_else(|paths| paths, |_| Vec::new());
        assert_eq!(found, expected, "{toml}");
    }
}

/// Forms that are wrong for any server are refused while reading, by name.
#[test]
fn unknown_keys_are_refused() {
    for (toml, message) in [
        ("servr = \"x\"", "unknown field `servr`"),
        ("attachments = 7", "expected true, false, or"),
        ("patients = 7", "expected a list of patients"),
        ("max_wait = []", "a span of time"),
        ("[auth]\nkind = \"magic\"", "unknown variant `magic`"),
        ("[auth]\nkind = \"bearer\"\ntoken = { env = \"A\", extra = 1 }", "expected { env"),
    ] {
        let error = resolve(&format!("{SERVER}{toml}")).unwrap_err();
        assert!(error[0].contains(message), "{toml}: {error:?}");
    }
}

#[test]
fn a_vendor_fills_in_what_the_user_did_not_say() {
    let of = |toml: &str| resolve(&format!("{SERVER}{toml}")).unwrap();
    let bcda = of(
        "vendor = \"bcda\"\nauth = { kind = \"basic\", client_id = \"a\", client_secret = { env = \"B\" } }",
    );
    assert_eq!(bcda.settings.parallel, 2);
    let AuthSettings::Basic { token_url, .. } = &bcda.settings.auth else { panic!("basic") };
    assert_eq!(token_url.as_deref(), Some("https://ehr.example/auth/token"));
    assert_eq!(of("vendor = \"bcda\"\nparallel = 4").settings.parallel, 4);
    let epic = of("vendor = \"epic\"\ngroup = \"g\"\nsince = \"2026-01-01T00:00:00Z\"");
    let paths: Vec<_> = epic.warnings.iter().map(|w| w.path.as_str()).collect();
    assert_eq!(paths, ["since", "headers"]);
    assert_eq!(
        of("vendor = \"epic\"\ngroup = \"g\"\npoll_max = \"2s\"").settings.poll,
        (Duration::from_secs(2), Duration::from_secs(2))
    );
    assert!(
        of("vendor = \"epic\"\ngroup = \"g\"\n[headers]\nepic-client-id = { env = \"A\" }")
            .warnings
            .is_empty()
    );
}

#[test]
fn secrets_in_the_file_are_allowed_but_told_of() {
    let resolved =
        resolve(&format!("{SERVER}[auth]\nkind = \"bearer\"\ntoken = \"geheim\"")).unwrap();
    assert_eq!(resolved.warnings[0].path, "auth.token");
    assert!(!format!("{resolved:?}").contains("geheim"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.txt"), "\u{feff}1\r\n\nPatient/2\n").unwrap();
    let toml = format!(
        "{SERVER}patients = {{ file = \"p.txt\" }}\nfolder = \"exports\"\n[auth]\nkind = \"bearer\"\ntoken = {{ file = \"t\" }}"
    );
    let table: ExportTable = toml::from_str(&toml).unwrap();
    let resolved = table.resolve(folder.path(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(resolved.settings.request.patients, ["Patient/1", "Patient/2"]);
    assert_eq!(resolved.folder.as_deref(), Some(Path::new("exports")));
    let AuthSettings::Bearer { token: Secret::File { file } } = &resolved.settings.auth else {
        panic!("bearer")
    };
    assert_eq!(file, &folder.path().join("t"));
}
