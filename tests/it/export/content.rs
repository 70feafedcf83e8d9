//! What is in the files is the business of who reads them: F17, F23, F24, F27. The export stores them as they come.

use serde_json::json;

use super::bench::{Bench, conditions, patients, raw};
use crate::bulk_server::{File, Section, Setup};
use crate::support::block_on;

fn patient(text: &str) -> String {
    json!({ "resourceType": "Patient", "id": "1", "name": [{ "text": text }] }).to_string()
}

#[test]
fn f17_lines_are_stored_as_they_come() {
    let (a, b) = (patient("a"), patient("b"));
    let long = patient(&"x".repeat(12 << 20));
    let cases: [(&str, Vec<u8>); 9] = [
        ("CRLF", format!("{a}\r\n{b}\r\n").into()),
        ("blank lines", format!("\n\n{a}\n\n \t\n{b}\n\n").into()),
        ("no final newline", format!("{a}\n{b}").into()),
        ("whitespace", format!("  {a}  \n\t{b}\n").into()),
        (
            "line separators in strings",
            format!("{}\n{b}\n", patient("\u{2028}\u{2029}\u{85}")).into(),
        ),
        (
            "invalid UTF-8",
            [a.as_bytes(), b"\n{\"resourceType\":\"Patient\",\"id\":\"\xff\"}\n"].concat(),
        ),
        ("a broken line", format!("{a}\n{{\"resourceType\":\n{b}\n").into()),
        ("a long line", format!("{a}\n{long}\n{b}\n").into()),
        ("another type", format!("{a}\n{{\"resourceType\":\"Device\",\"id\":\"1\"}}\n").into()),
    ];
    for (name, body) in cases {
        block_on(async {
            let bench =
                Bench::new(Setup::with([raw("Patient", "p", body), conditions("c", 2)])).await;
            let done = bench.run().await;
            assert!(done.result.is_ok(), "{name}: {:?}", done.result);
            bench.stored_all(&done);
        });
    }
}

/// A mark at the beginning is no part of the text.
#[test]
fn f17_a_byte_order_mark_is_left_out() {
    block_on(async {
        let bench =
            Bench::new(Setup::with([raw("Patient", "p", format!("\u{feff}{}\n", patient("a")))]))
                .await;
        let done = bench.run().await;
        bench.complete(&done);
        assert_eq!(bench.lines(&done, Section::Output), [[patient("a")]]);
    });
}

/// JSON that is no NDJSON: nothing of it is lost.
#[test]
fn f17_documents_are_kept_whole() {
    let bodies = [
        json!([{ "resourceType": "Patient", "id": "1" }, { "resourceType": "Patient", "id": "2" }]),
        json!({ "resourceType": "Bundle", "type": "collection", "entry": [] }),
    ];
    for body in bodies {
        block_on(async {
            let text = serde_json::to_string_pretty(&body).unwrap();
            let bench = Bench::new(Setup::with([raw("Patient", "p", text)])).await;
            let done = bench.run().await;
            bench.complete(&done);
            let stored: Vec<u8> = bench.contents().into_values().flatten().collect();
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&stored).unwrap(), body);
        });
    }
}

#[test]
fn f23_f24_f27_what_merging_needs_is_stored_as_it_comes() {
    block_on(async {
        let delete = |url: &str| json!({ "request": { "method": "DELETE", "url": url } });
        let urls = [
            "Patient/1",
            "https://elsewhere.example/fhir/Patient/2",
            "Patient?identifier=x|3",
            "Patient/unknown",
        ];
        let entries: Vec<_> = urls.iter().map(|url| delete(url)).collect();
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
        let subsetted = json!({
            "resourceType": "Patient", "id": "1",
            "meta": { "tag": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED" }] },
        });
        let merged = json!({
            "resourceType": "Patient", "id": "2", "link": [{ "type": "replaces", "other": { "reference": "Patient/1" } }],
        });
        let files = [
            raw("Patient", "p", format!("{subsetted}\n{merged}\n")),
            patients("p2", 3),
            File::new(Section::Deleted, Some("Bundle"), "d", format!("{bundle}\n"))
                .entry("count", json!(1)),
            File::new(Section::Deleted, None, "d2", format!("{bundle}\n{bundle}\n")),
        ];
        let done = Bench::new(Setup::with(files)).await.stores_all().await;
        let sections: Vec<_> = done.arrived.iter().map(|f| f.section.as_str()).collect();
        assert_eq!(sections.iter().filter(|s| **s == "deleted").count(), 2, "{sections:?}");
    });
}
