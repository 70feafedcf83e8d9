//! The table of the module's documentation, row by row.

use super::*;
use crate::ingest::Reason;

const BEYOND: &str = "!a number beyond 1e308 or half a surrogate pair";
const PATIENT: &str = r#"{"resourceType":"Patient","id":"a"}"#;

/// Checks the events (without `0:`, the file) and the counts of lines and blanks.
fn check(file: &str, content: &[u8], events: &[&str], lines: u64, blanks: u64) {
    let shown = String::from_utf8_lossy(&content[..content.len().min(80)]);
    let options = Options { max_line_bytes: 2 << 20, ..Options::default() };
    let reading = one_file(file, content, &options).unwrap();
    let found: Vec<_> =
        reading.events.iter().map(|event| event.strip_prefix("0:").unwrap()).collect();
    assert_eq!(found, events, "{shown}");
    assert_eq!((reading.total.lines, reading.total.blanks), (lines, blanks), "{shown}");
}

#[test]
fn lines_end_where_they_should() {
    let check = |content: &str, events: &[&str], lines, blanks| {
        check("a.ndjson", content.as_bytes(), events, lines, blanks);
    };
    check("", &[], 0, 0);
    check("\n", &[], 1, 1);
    check("\n\r\n \t\n", &[], 3, 3);
    check("\u{feff}", &[], 1, 1);
    check(PATIENT, &["1@0 Patient a"], 1, 0);
    check(&format!("{PATIENT}\n"), &["1@0 Patient a"], 1, 0);
    check(&format!("{PATIENT}\r\n{PATIENT}\r\n"), &["1@0 Patient a", "2@37 Patient a"], 2, 0);
    check(&format!("\u{feff}{PATIENT}\n{PATIENT}"), &["1@3 Patient a", "2@39 Patient a"], 2, 0);
    check(&format!("\n \n{PATIENT}\n\n"), &["3@3 Patient a"], 4, 3);
    check(
        &format!("{PATIENT}\n\u{feff}{PATIENT}"),
        &["1@0 Patient a", "2@36 !not valid JSON"],
        2,
        0,
    );
    let separators = "{\"resourceType\":\"Patient\",\"id\":\"a\u{2028}b\u{2029}c\"}\n";
    check(separators, &["1@0 Patient a\u{2028}b\u{2029}c"], 1, 0);
    check("{\"resourceType\":\"A\"}\n{\"resourceType\":\"B\"}", &["1@0 A -", "2@21 B -"], 2, 0);
}

#[test]
fn a_line_that_cannot_be_used_is_rejected_with_its_reason() {
    let deep = |open: &str, depth: usize| open.repeat(depth).into_bytes();
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"resourceType":"Patient","id":"d","x":{open}{close}}}"#).into_bytes()
    };
    for (line, outcome) in [
        (b"{\"resourceType\":\"Patient\",\"id\":\"\xff\"}".to_vec(), "!not valid UTF-8"),
        (b"\xff\xfe{\0}\0".to_vec(), "!not valid UTF-8"),
        (b"{\"resourceType\":\"Patient\",".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\"".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Pat".to_vec(), "!not valid JSON"),
        (b"{'resourceType':'Patient'}".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",}".to_vec(), "!not valid JSON"),
        (b"\0\0\0\0".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",\"id\":\"a\0b\"}".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",\"id\":\"a\tb\"}".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\"\x0c}".to_vec(), "!not valid JSON"),
        (b"\x0c".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",\"x\":01}".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",\"x\":1.}".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",\"x\":+1}".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",\"x\":NaN}".to_vec(), "!not valid JSON"),
        (b"{\"resourceType\":\"Patient\",\"x\":123456789012345678901}".to_vec(), "Patient -"),
        // Valid by RFC 8259, but beyond simd-json: see the module's documentation.
        (b"{\"resourceType\":\"Patient\",\"x\":1e999}".to_vec(), BEYOND),
        (b"{\"resourceType\":\"Patient\",\"x\":\"\\ud800\"}".to_vec(), BEYOND),
        (format!("{PATIENT}{PATIENT}").into_bytes(), "!more text after the JSON value"),
        (format!("{PATIENT} {PATIENT}").into_bytes(), "!more text after the JSON value"),
        (format!("{PATIENT},").into_bytes(), "!more text after the JSON value"),
        (b"1 2".to_vec(), "!more text after the JSON value"),
        (format!("[{PATIENT}]").into_bytes(), "!an array where a resource should be"),
        (b"\"Patient\"".to_vec(), "!a string where a resource should be"),
        (b"12".to_vec(), "!a number where a resource should be"),
        (b"1.5".to_vec(), "!a number where a resource should be"),
        (b"null".to_vec(), "!null where a resource should be"),
        (b"false".to_vec(), "!a boolean where a resource should be"),
        (b"{}".to_vec(), "!no `resourceType`"),
        (
            b"{\"id\":\"x\",\"contained\":[{\"resourceType\":\"Patient\"}]}".to_vec(),
            "!no `resourceType`",
        ),
        (b"{\"resourceType\":7}".to_vec(), "!`resourceType` is not a string"),
        (b"{\"resourceType\":null}".to_vec(), "!`resourceType` is not a string"),
        (b"{\"resourceType\":\"\"}".to_vec(), "!`resourceType` is not the name of a type"),
        (b"{\"resourceType\":\"Jane Doe\"}".to_vec(), "!`resourceType` is not the name of a type"),
        (deep("[", 1 << 20), "!nested too deeply"),
        (deep("{\"a\":", 300_000), "!nested too deeply"),
        (nested(1100), "!nested too deeply"),
        (nested(1000), "Patient d"),
        (vec![b'{'; (2 << 20) + 1], "!longer than 2097152 bytes"),
        (b"{\"id\":\"x\",\"resourceType\":\"Patient\"}".to_vec(), "Patient x"),
        (b"{\"text\":{\"resourceType\":\"A\"},\"resourceType\":\"B\"}".to_vec(), "B -"),
        (
            b"{\"resourceType\":\"A\",\"resourceType\":\"B\",\"id\":\"1\",\"id\":\"2\"}".to_vec(),
            "B 1",
        ),
        (b"{\"\\u0072esourceType\":\"A\"}".to_vec(), "A -"),
        (b" \t{\"resourceType\":\"A\"} \t".to_vec(), "A -"),
    ] {
        // A reject must not touch its neighbours, and its line end not matter.
        let file = [PATIENT.as_bytes(), b"\n", &line, b"\r\n", PATIENT.as_bytes()].concat();
        let (second, third) =
            (format!("2@36 {outcome}"), format!("3@{} Patient a", 38 + line.len()));
        check("a.ndjson", &file, &["1@0 Patient a", &second, &third], 3, 0);
    }
}

#[test]
fn bundles_are_unwrapped() {
    let bundle = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"a"}},
        {"fullUrl":"x"},7,{"resource":[]},{"resource":{"id":"no type"}},{"resource":{"resourceType":"Bundle",
        "entry":[]}},{"search":{"mode":"match"},"resource":{"resourceType":"B","id":"b"}}]}"#;
    let events = [
        "1@0[0] Patient a",
        "1@0[2] !a number where a resource should be",
        "1@0[3] !an array where a resource should be",
        "1@0[4] !no `resourceType`",
        "1@0[5] Bundle -",
        "1@0[6] B b",
    ];
    let line = bundle.replace('\n', " ");
    check("a.ndjson", line.as_bytes(), &events, 1, 0);
    check("a.json", bundle.as_bytes(), &events, 1, 0);
    check("a.json.gz", &gzip(bundle.as_bytes()), &events, 1, 0);
    let total = one_file("a.json", bundle.as_bytes(), &Options::default()).unwrap().total;
    assert_eq!((total.bundles, total.entries(), total.entry_resources), (1, 7, 3));
    assert_eq!(
        (total.entries_without_resource, total.rejected_entries, total.rejected_lines),
        (1, 3, 0)
    );

    check("a.ndjson", br#"{"resourceType":"Bundle"}"#, &[], 1, 0);
    check("a.ndjson", br#"{"resourceType":"Bundle","entry":[]}"#, &[], 1, 0);
    let not_array = "1@0 !`entry` of the Bundle is not an array";
    check("a.ndjson", br#"{"resourceType":"Bundle","entry":{}}"#, &[not_array], 1, 0);
}

#[test]
fn documents_hold_a_bundle_a_resource_or_an_array() {
    let pretty = "\u{feff}\r\n{\n  \"resourceType\": \"Patient\",\n  \"id\": \"a\"\n}\n";
    check("a.json", pretty.as_bytes(), &["1@3 Patient a"], 1, 0);
    let array = format!("[{PATIENT},\n null, {PATIENT}]");
    let events =
        ["1@0[0] Patient a", "1@0[1] !null where a resource should be", "1@0[2] Patient a"];
    check("a.json", array.as_bytes(), &events, 1, 0);
    check("a.json", b"[]", &[], 1, 0);
    check("a.json", b"", &[], 0, 0);
    check("a.json", b" \n", &[], 1, 1);
    check("a.json", b"{", &["1@0 !not valid JSON"], 1, 0);
    check("a.json", b"7", &["1@0 !a number where a resource should be"], 1, 0);
    check("a.json", &vec![b'['; (2 << 20) + 1], &["1@0 !longer than 2097152 bytes"], 1, 0);
    check(
        "a.json.zst",
        &zstd(&vec![b'['; (2 << 20) + 1]),
        &["1@0 !longer than 2097152 bytes"],
        1,
        0,
    );
    // NDJSON under the wrong name is not read as its first line.
    let lines = format!("{PATIENT}\n{PATIENT}\n");
    check("a.json", lines.as_bytes(), &["1@0 !more text after the JSON value"], 1, 0);
}

#[test]
fn excerpts_are_kept_on_request_only() {
    let folder = Folder::new();
    let path = folder.add("a.ndjson", "é".repeat(300));
    for (keep_excerpts, excerpt) in [(false, None), (true, Some("é".repeat(200)))] {
        for max_line_bytes in [10, 1000] {
            let options = Options { max_line_bytes, keep_excerpts, ..Options::default() };
            let inputs = Arc::new(discover(std::slice::from_ref(&path)).unwrap());
            let mut block = Block::default();
            assert!(Blocks::new(inputs.clone(), &options, 1).next(&mut block).unwrap());
            let counts = Parser::new(&options).run(&block, |_| Ok(())).unwrap();
            let rejects = Tally::new(inputs).add(counts).unwrap();
            assert_eq!(rejects[0].excerpt, excerpt);
        }
    }
}

/// Why the only line of a block is rejected, if it is.
fn one_line(text: &[u8], parser: &mut Parser) -> Option<Reason> {
    let counts = parser.run(&Block::of_line(text), |_| Ok(())).unwrap();
    counts.pieces[0].rejects.first().map(|rejected| rejected.reason)
}

/// The second opinion of another parser on damaged lines: accepted by one means accepted by both.
#[test]
fn damaged_lines_are_judged_as_serde_json_does() {
    let line =
        r#"{"resourceType":"Patient","id":"a\u00e9\"","n":[1,-2.5e3,0.10,true,null,{}],"s":"é\n"}"#;
    let parser = std::cell::RefCell::new(Parser::new(&Options::default()));
    let mut runner =
        proptest::test_runner::TestRunner::new(proptest::test_runner::Config::with_cases(20_000));
    let damage =
        proptest::collection::vec((0..line.len(), proptest::num::u8::ANY, 0..3_usize), 1..3);
    let alphabet = b"{}[],:\"\\0123456789.eE+-truefalsn u/b\x00\x01\x1f\x7f\x80\xc3\xa9\xff\t\r";
    runner
        .run(&damage, |edits| {
            let mut text = line.as_bytes().to_vec();
            for (at, byte, kind) in edits {
                let (at, byte) = (at.min(text.len() - 1), alphabet[byte as usize % alphabet.len()]);
                match kind {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    _ => drop(text.remove(at)),
                }
            }
            let valid = serde_json::from_slice::<serde_json::Value>(&text);
            let reading = one_line(&text, &mut parser.borrow_mut());
            let broken = matches!(
                reading,
                Some(
                    Reason::InvalidJson
                        | Reason::InvalidUtf8
                        | Reason::TrailingText
                        | Reason::NotRepresentable
                )
            );
            assert_eq!(broken, valid.is_err(), "{}: {valid:?}", String::from_utf8_lossy(&text));
            Ok(())
        })
        .unwrap();
}
