//! The same input gives the same bytes, however many threads there are and however the input is cut.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use kiln::flatten::View;
use kiln::ingest::{Options, discover};
use kiln::pipeline::{
    self, Care, Flow, MaxRejects, Outcome, Pipeline, Progress, RunOptions, Source, TableOutput,
    TextTable,
};
use kiln::query::{Engine, Format};
use kiln::warehouse::{ParquetOptions, TableWriter};

use serde_json::{Value, json};

use crate::support::{block_on, environment, export, rows};

/// Cuts of a small input, down to a line a block.
const SMALL_CUTS: &[(u64, usize)] = &[
    (1, 1),
    (2, 64 << 10),
    (7, 3),
    (61, 61),
    (1000, 17),
    (1 << 10, 1 << 10),
    (4099, 999),
    (10_000, 5_000),
    (64 << 10, 4 << 10),
    (64 << 10, 1 << 20),
    (1 << 20, 100),
    (64 << 20, 64 << 20),
];

/// Cuts of a larger one.
const CUTS: &[(u64, usize)] =
    &[(1 << 10, 1 << 10), (10_007, 4_001), (256 << 10, 64 << 10), (8 << 20, 4 << 20)];

const THREADS: [usize; 3] = [1, 2, 8];

#[derive(Clone, Copy)]
enum Kind {
    Parquet(usize),
    Text(Format),
}

#[test]
fn nasty_files_give_the_same_bytes_however_cut() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("nasty");
    nasty_files(&input);
    let views = small_views();
    for kind in [Kind::Parquet(7), Kind::Text(Format::Csv), Kind::Text(Format::Ndjson)] {
        check(&views, std::slice::from_ref(&input), kind, SMALL_CUTS, folder.path());
    }
}

#[test]
fn an_export_gives_the_same_bytes_however_cut() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    let sample = export(&folder.path().join("sample"), 6, 7);
    nasty_files(&input);
    let inputs = [sample, input];
    let views = shipped_views();
    // Row groups that end within a block, and such that take in many.
    check(&views, &inputs, Kind::Parquet(100), CUTS, folder.path());
    check(&views, &inputs, Kind::Parquet(131_072), &CUTS[1..2], folder.path());
    for format in [Format::Csv, Format::Ndjson] {
        check(&views, &inputs, Kind::Text(format), &CUTS[1..2], folder.path());
    }
}

/// The Parquet files of the tables, `_rejects` among them, and the account of the run.
#[test]
fn a_run_gives_the_same_tables_however_cut() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    nasty_files(&input);
    let mut first = None;
    for (threads, cut) in [(1, (64 << 20, 64 << 20)), (2, (1, 1)), (8, (100, 50)), (8, (999, 4000))]
    {
        let warehouse = folder.path().join(format!("warehouse-{threads}-{}", cut.0));
        let found = run(&input, &warehouse, threads, cut);
        let rejects = block_on(rejects(&warehouse));
        assert_eq!(rejects.len(), BAD_LINES + BAD_ENTRIES, "{threads} threads, cut {cut:?}");
        assert_same(first.get_or_insert_with(|| found.clone()), &found, threads, cut);
    }
}

fn run(input: &Path, warehouse: &Path, threads: usize, cut: (u64, usize)) -> Files {
    let source = Source::Paths(vec![input.to_string_lossy().into_owned()]);
    let pipeline = Pipeline {
        max_rejects: MaxRejects::Count(1000),
        input: options(cut, true),
        ..Pipeline::new("same", source, shipped_views(), warehouse)
    };
    let progress = Progress::default();
    let options = RunOptions { run: Some("run".into()), ..RunOptions::new(threads, &progress) };
    let report = block_on(pipeline::run(&pipeline, &options)).unwrap().report;
    let account = format!("{:?} {:?} {:?}", report.files, report.tables, report.rejects);
    let mut found = Files::from([("account".into(), account.into_bytes())]);
    for table in fs::read_dir(warehouse).unwrap().map(|e| e.unwrap().path()) {
        for file in fs::read_dir(&table).unwrap().map(|e| e.unwrap().path()) {
            if file.extension().is_some_and(|e| e == "parquet") {
                let name = file.strip_prefix(warehouse).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(file).unwrap());
            }
        }
    }
    assert!(found.len() > 3, "there are tables: {:?}", found.keys());
    found
}

/// The rejects are where they stand in the files, in the order of the files.
async fn rejects(warehouse: &Path) -> Vec<Vec<String>> {
    let engine = Engine::open(warehouse).await.unwrap();
    let sql = r#"SELECT file, line, byte_offset, entry, reason FROM "_rejects""#;
    let found = rows(&engine, sql).await;
    let place = |row: &[String]| -> (String, u64, i64) {
        let entry = row[3].parse().unwrap_or(-1);
        (row[0].clone(), row[1].parse().unwrap(), entry)
    };
    assert!(found.is_sorted_by_key(|row| place(row)), "{found:#?}");
    found
}

type Files = BTreeMap<String, Vec<u8>>;

/// Every cut on every number of threads gives what one thread gives that reads the whole at once.
fn check(views: &[View], inputs: &[PathBuf], kind: Kind, cuts: &[(u64, usize)], scratch: &Path) {
    let whole = (u64::MAX >> 1, 1 << 30);
    let expected = flatten(views, inputs, kind, 1, whole, scratch);
    assert!(expected.values().any(|bytes| bytes.len() > 1000), "there is something to compare");
    for cut in cuts {
        for threads in THREADS {
            let found = flatten(views, inputs, kind, threads, *cut, scratch);
            assert_same(&expected, &found, threads, *cut);
        }
    }
}

fn assert_same(expected: &Files, found: &Files, threads: usize, cut: (u64, usize)) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{threads} threads, cut {cut:?}: files");
    for (name, bytes) in expected {
        let other = &found[name];
        if bytes == other {
            continue;
        }
        let at = bytes.iter().zip(other).take_while(|(a, b)| a == b).count();
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[at.saturating_sub(200)..bytes.len().min(at + 200)])
                .into_owned()
        };
        panic!(
            "{threads} threads, cut {cut:?}: {name} differs from byte {at} on ({} and {} bytes):\n{}\n---\n{}",
            bytes.len(),
            other.len(),
            text(bytes),
            text(other)
        );
    }
}

/// One pass; its files by name, and its account as if it were a file.
fn flatten(
    views: &[View],
    inputs: &[PathBuf],
    kind: Kind,
    threads: usize,
    cut: (u64, usize),
    scratch: &Path,
) -> Files {
    let folder = tempfile::tempdir_in(scratch).unwrap();
    let (input, progress) = (options(cut, false), Progress::default());
    let outputs = views.iter().map(|view| output(kind, view, folder.path())).collect();
    let environment = environment(&[]);
    let flow = Flow {
        views,
        origin: None,
        care: Care::default(),
        environment,
        input: &input,
        threads,
        progress: &progress,
    };
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let inputs = discover(&inputs.iter().map(text).collect::<Vec<_>>()).unwrap();
    let inputs: Vec<_> = inputs.files.iter().map(|file| text(&file.path)).collect();
    // On one thread all files at once, on several one after the other, as those of an export arrive.
    let parts = inputs.chunks(if threads == 1 { inputs.len() } else { 1 }).map(discover);
    let outcome = pipeline::flatten(&flow, parts, outputs, MaxRejects::Count(1000)).unwrap();
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())
    };
    let mut found: Files =
        fs::read_dir(folder.path()).unwrap().map(|entry| read(entry.unwrap().path())).collect();
    assert_eq!(found.len(), views.len(), "one file a view, and nothing else");
    found.insert("account".into(), account(&outcome).into_bytes());
    found
}

/// All that is told of a pass, besides times.
fn account(outcome: &Outcome) -> String {
    let Outcome { input, counts, rejects, .. } = outcome;
    assert_eq!(rejects.count(), (BAD_LINES + BAD_ENTRIES) as u64);
    format!("{input:#?}\n{counts:#?}\n{:#?}\n{:#?}", rejects.first, rejects.by_reason)
}

fn output(kind: Kind, view: &View, folder: &Path) -> TableOutput {
    let schema = view.schema(false);
    match kind {
        Kind::Parquet(row_group_rows) => {
            let options = ParquetOptions { row_group_rows, ..ParquetOptions::default() };
            let path = folder.join(format!("{}.parquet", view.name));
            TableOutput::Parquet(TableWriter::single(&path, schema, &options).unwrap())
        }
        Kind::Text(format) => {
            let path = folder.join(format!("{}.txt", view.name));
            TableOutput::Text(TextTable::file(format, &schema, &path).unwrap())
        }
    }
}

/// Two on one type, one with several rows a resource.
fn shipped_views() -> Vec<View> {
    let names = ["patient", "patient_address", "condition", "observation", "observation_component"];
    let mut findings = Vec::new();
    let views = pipeline::load(&names.map(str::to_owned), Path::new("."), &mut findings);
    assert_eq!(findings, []);
    views
}

/// The same with few columns: with a line a block, columns are what takes time.
fn small_views() -> Vec<View> {
    let view = |name: &str, resource: &str, select: Value| {
        let view = json!({
            "resourceType": "ViewDefinition", "status": "active",
            "name": name, "resource": resource, "select": select,
        });
        View::compile(&view).unwrap().0
    };
    let column = |name: &str, path: &str| json!({ "name": name, "path": path });
    let id = column("id", "getResourceKey()");
    vec![
        view(
            "a",
            "Patient",
            json!([{ "column": [
                id, column("active", "active"), column("born", "birthDate"), column("name", "name.family.first()"),
            ]}]),
        ),
        view(
            "b",
            "Patient",
            json!([
                { "column": [id] },
                { "forEach": "address", "column": [column("city", "city")] },
            ]),
        ),
        view(
            "c",
            "Observation",
            json!([
                { "column": [id] },
                { "forEachOrNull": "component", "column": [column("value", "value.ofType(Quantity).value")] },
            ]),
        ),
    ]
}

fn options((split_bytes, block_bytes): (u64, usize), keep_excerpts: bool) -> Options {
    Options { split_bytes, block_bytes, max_line_bytes: 1 << 20, keep_excerpts }
}

/// How many lines of [`nasty_files`] are rejects.
const BAD_LINES: usize = 3 * 8;
/// How many entries are.
const BAD_ENTRIES: usize = 1;

/// Everything that may be found in files: marks, line ends, blanks, bad lines, members, Bundles, no last newline.
fn nasty_files(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let text = nasty_lines();
    fs::write(folder.join("a.ndjson"), &text).unwrap();
    let mut members = Vec::new();
    for piece in text.chunks(text.len() / 3) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(piece).unwrap();
        members.extend(encoder.finish().unwrap());
    }
    fs::write(folder.join("b.ndjson.gz"), members).unwrap();
    let mut zst = File::create(folder.join("c.ndjson.zst")).unwrap();
    for piece in text.chunks(text.len() / 2) {
        zst.write_all(&zstd::encode_all(piece, 1).unwrap()).unwrap();
    }
    let entries: Vec<_> = (0..9).map(|i| format!(r#"{{"resource":{}}}"#, patient(i))).collect();
    let bundle = format!(
        "{{\"resourceType\": \"Bundle\",\n \"entry\": [{}, {{\"resource\": 7}}, {{}}]}}\n",
        entries.join(",\n")
    );
    fs::write(folder.join("d.json"), bundle).unwrap();
    fs::write(folder.join("e.ndjson"), "").unwrap();
    fs::write(folder.join("f.ndjson"), patient(99)).unwrap();
}

fn nasty_lines() -> Vec<u8> {
    let mut text = b"\xef\xbb\xbf".to_vec();
    let bad: [&[u8]; 8] = [
        b"{",
        b"[1,2]",
        b"{\"resourceType\":\"Patient\",\"id\":\"x\"} {}",
        b"{\"id\":\"no type\"}",
        b"\xff\xfe",
        b"{\"resourceType\":\"Patient\",\"id\":\"\x00\"}",
        b"nul",
        b"{\"resourceType\":5}",
    ];
    for i in 0..16 {
        let line = match i % 4 {
            0 => patient(i),
            1 => observation(i),
            2 => format!(
                "{{\"resourceType\":\"Bundle\",\"entry\":[{{\"resource\":{}}}]}}",
                patient(i)
            ),
            _ => format!("  {}\t", observation(i)),
        };
        text.extend(line.as_bytes());
        text.extend(if i % 3 == 0 { &b"\r\n"[..] } else { b"\n" });
        if i.is_multiple_of(2) {
            text.extend(bad[i / 2]);
            text.extend(b"\n \t\r\n\n");
        }
    }
    text
}

fn patient(i: usize) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"p{i}","active":{},"birthDate":"19{:02}-02-03","name":[{{"family":"Ünïcode\u2028 {i}"}}],"address":[{{"city":"A{i}"}},{{"city":"B{}"}}]}}"#,
        i.is_multiple_of(2),
        i % 100,
        "x".repeat(i * 7)
    )
}

fn observation(i: usize) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"o{i}","status":"final","code":{{"coding":[{{"code":"c{}"}}]}},"subject":{{"reference":"Patient/p{i}"}},"valueQuantity":{{"value":{i}.{:03}0,"unit":"mg"}},"component":[{{"code":{{"text":"a"}},"valueQuantity":{{"value":1e{}}}}},{{"code":{{"text":"b"}}}}]}}"#,
        i % 3,
        i * 13,
        i % 5
    )
}
