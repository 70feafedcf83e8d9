//! Which files are found, and what happens to those that cannot be read.

use std::fs;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::ingest::{Compression, Format, Inputs, Split, splits};

const LINE: &str = "{\"resourceType\":\"A\"}\n";

fn names(inputs: &Inputs, root: &Folder) -> Vec<String> {
    let root = root.0.path();
    inputs
        .files
        .iter()
        .map(|file| file.path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn check_error(result: Result<impl Sized>, part: &str) {
    let error: Error = result.err().expect("must fail");
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    assert!(error.remedy().is_some() || std::error::Error::source(&error).is_some(), "{error}");
}

#[test]
fn a_directory_is_walked_in_the_order_of_paths() {
    let folder = Folder::new();
    for name in [
        "b.ndjson",
        "a.JSONL",
        "c.ndjson.gz",
        "sub/z.json",
        "sub/a.ndjson.zst",
        ".hidden.ndjson",
        "_part.ndjson",
        ".git/x.ndjson",
        "README.md",
        "x.parquet",
        "y.gz",
        "log.ndjson",
    ] {
        let content = match name.rsplit_once('.').unwrap().1 {
            "gz" => gzip(LINE.as_bytes()),
            "zst" => zstd(LINE.as_bytes()),
            _ => LINE.into(),
        };
        folder.add(name, content);
    }
    let inputs = discover(&folder.argument()).unwrap();
    assert_eq!(
        names(&inputs, &folder),
        ["a.JSONL", "b.ndjson", "c.ndjson.gz", "sub/a.ndjson.zst", "sub/z.json"]
    );
    assert_eq!(inputs.files[4].format, Format::Document);
    assert_eq!(inputs.files[3].compression, Compression::Zstd);
    let ignored: Vec<_> =
        inputs.ignored.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(ignored, ["README.md", "x.parquet", "y.gz"]);
}

#[test]
fn an_export_is_read_when_it_is_whole() {
    let folder = Folder::new();
    for name in ["Patient.00000.ndjson", "export.journal", "log.ndjson"] {
        folder.add(name, LINE);
    }
    folder.add("export.json", "{}");
    let error = discover(&folder.argument()).unwrap_err();
    assert!(error.message().ends_with("is not whole"), "{error}");
    let manifest = r#"{"transactionTime":"2026-01-01T00:00:00Z","output":[{"type":"Patient","url":"Patient.00000.ndjson"}]}"#;
    folder.add("manifest.json", manifest);
    let inputs = discover(&folder.argument()).unwrap();
    assert_eq!(names(&inputs, &folder), ["Patient.00000.ndjson"]);
    assert_eq!(inputs.ignored, Vec::<PathBuf>::new());
}

#[test]
fn arguments_keep_their_order_and_a_file_is_taken_once() {
    let folder = Folder::new();
    let b = folder.add("b.ndjson", LINE);
    folder.add("a.ndjson", LINE);
    let odd = folder.add("export.txt", LINE);
    std::os::unix::fs::symlink(folder.0.path(), folder.path("ring")).unwrap();
    let around = folder.path("ring").join("b.ndjson").to_str().unwrap().to_owned();
    let pattern = folder.path("*.ndjson").to_str().unwrap().to_owned();
    let found = |arguments: &[&String]| {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.clone()).collect();
        names(&discover(&arguments).unwrap(), &folder)
    };
    assert_eq!(found(&[&odd, &b, &folder.argument()[0]]), ["export.txt", "b.ndjson", "a.ndjson"]);
    assert_eq!(found(&[&b, &b, &around]), ["b.ndjson"]);
    fs::create_dir(folder.path("sub")).unwrap();
    let back = folder.path("sub/../b.ndjson").to_str().unwrap().to_owned();
    std::os::unix::fs::symlink("../b.ndjson", folder.path("sub/link.ndjson")).unwrap();
    let link = folder.path("sub/link.ndjson").to_str().unwrap().to_owned();
    assert_eq!(found(&[&back, &b, &link, &around]), ["sub/../b.ndjson"]);
    assert_eq!(found(&[&link, &folder.argument()[0]]), ["sub/link.ndjson", "a.ndjson"]);
    assert_eq!(found(&[&pattern]), ["a.ndjson", "b.ndjson"]);
}

#[test]
fn a_manifest_chooses_the_files() {
    let folder = Folder::new();
    let manifest = folder.add(
        "manifest.json",
        r#"{"transactionTime":"2026-01-01T00:00:00Z","request":"r","requiresAccessToken":false,"output":[
            {"type":"Patient","url":"https://example.org/x/two.ndjson?sig=1","count":3},
            {"type":"Patient","url":"https://example.org/x/one"}],
            "deleted":[{"type":"Bundle","url":"https://example.org/x/del.ndjson"}],
            "error":[{"type":"OperationOutcome","url":"https://example.org/x/err.ndjson"}]}"#,
    );
    for name in ["one", "two.ndjson", "three.ndjson", "err.ndjson"] {
        folder.add(name, LINE);
    }
    for argument in [folder.argument(), vec![manifest]] {
        let inputs = discover(&argument).unwrap();
        assert_eq!(names(&inputs, &folder), ["two.ndjson", "one"]);
        let declared = inputs.files[0].declared.clone().unwrap();
        assert_eq!((declared.resource_type.as_str(), declared.count), ("Patient", Some(3)));
        assert_eq!(inputs.manifests[0].transaction_time, "2026-01-01T00:00:00Z");
        assert_eq!(inputs.manifests[0].deleted[0].path, folder.path("del.ndjson"));
        assert_eq!(inputs.manifests[0].errors.len(), 1);
        assert_eq!(inputs.ignored, [folder.path("three.ndjson")]);
    }
    fs::remove_file(folder.path("one")).unwrap();
    check_error(discover(&folder.argument()), "one`");
    check_error(discover(&folder.argument()), "manifest.json");
}

#[test]
fn input_that_cannot_be_used_is_refused_before_reading() {
    let folder = Folder::new();
    fs::create_dir(folder.path("empty")).unwrap();
    folder.add("other/readme.txt", "");
    folder.add("broken/manifest.json", "{\"output\":[");
    folder.add(
        "twins/manifest.json",
        r#"{"transactionTime":"t","output":[{"url":"a/1"},{"url":"b/1"}]}"#,
    );
    folder.add("twins/1", LINE);
    folder.add("none/manifest.json", r#"{"transactionTime":"t","output":[]}"#);
    folder.add("plain.ndjson.gz", LINE);
    folder.add("zero.ndjson.gz", "");
    folder.add("zero.ndjson.zst", "");
    std::os::unix::fs::symlink("nowhere", folder.path("dangling.ndjson")).unwrap();
    for (name, part) in [
        ("empty", "nothing to read in"),
        ("other", "nothing to read in"),
        ("none", "nothing to read in"),
        ("*.parquet", "nothing to read in"),
        ("broken", "the manifest is not valid JSON"),
        ("twins", "end in the same file name"),
        ("plain.ndjson.gz", "is not gzip data"),
        ("zero.ndjson.gz", "is not gzip data"),
        ("zero.ndjson.zst", "is not zstd data"),
        ("missing.ndjson", "cannot find"),
        ("dangling.ndjson", "cannot find"),
        ("dangling*", "cannot find"),
    ] {
        check_error(discover(&strings(&[&folder.path(name)])), part);
    }
    check_error(discover(&[]), "nothing to read");
    check_error(discover(&["/dev/null".to_owned()]), "not a regular file");
    check_error(discover(&["a[".to_owned()]), "not a valid pattern");
}

#[test]
fn compressed_data_is_read_whole_or_not_at_all() {
    let text = LINE.repeat(40) + "{\"resourceType\":\"B\"}";
    let middle = text.len() / 2 + 3;
    let (head, tail) = text.as_bytes().split_at(middle);
    for (name, pack) in [("a.ndjson.gz", gzip as fn(&[u8]) -> Vec<u8>), ("a.ndjson.zst", zstd)] {
        let (first, whole) = (pack(head), [pack(head), pack(tail)].concat());
        for block_bytes in [1, 50, 1 << 20] {
            let options = Options { block_bytes, ..Options::default() };
            assert_eq!(one_file(name, &whole, &options).unwrap().total.lines, 41);
            let empty = one_file(name, &pack(b""), &options).unwrap();
            assert_eq!(empty.total.lines, 0);
        }
        for end in 5..whole.len() {
            // Cut between members nothing shows: only a manifest's count can tell.
            if end != first.len() {
                check_error(one_file(name, &whole[..end], &Options::default()), name);
            }
        }
        for garbage in [&b"\0"[..], b"garbage", b"\x1f\x8b", LINE.as_bytes()] {
            check_error(one_file(name, &[&whole[..], garbage].concat(), &Options::default()), name);
        }
        // zstd has no checksum unless asked for, so that damage may pass for data there.
        if pack(b"").starts_with(&[0x1f]) {
            let mut damaged = whole.clone();
            damaged[first.len() / 2] ^= 0x55;
            check_error(one_file(name, &damaged, &Options::default()), name);
        }
    }
}

#[test]
fn a_file_that_changes_while_being_read_is_an_error() {
    let change = |name: &str, before: &[u8], after: Option<&[u8]>| {
        let folder = Folder::new();
        let path = folder.add(name, before);
        let options = Options { block_bytes: 100, ..Options::default() };
        let inputs = Arc::new(discover(&[path]).unwrap());
        let change = || match after {
            Some(after) => fs::write(folder.path(name), after).unwrap(),
            None => fs::remove_file(folder.path(name)).unwrap(),
        };
        let later = name.starts_with("later");
        if !later {
            change();
        }
        let blocks = Blocks::new(inputs.clone(), &options, 1);
        let (mut block, mut parser, mut tally) =
            (Block::default(), Parser::new(&options), Tally::new(inputs));
        if later {
            assert!(blocks.next(&mut block)?);
            tally.add(parser.run(&block, |_| Ok(()))?)?;
            change();
        }
        while blocks.next(&mut block)? {
            tally.add(parser.run(&block, |_| Ok(()))?)?;
        }
        tally.finish()
    };
    let text = LINE.repeat(100).into_bytes();
    let shifted = [b"\n", &text[..text.len() - 1]].concat();
    let wide = text.iter().map(|&byte| if byte == b'\n' { b' ' } else { byte }).collect::<Vec<_>>();
    for name in ["a.ndjson", "later.ndjson", "a.json"] {
        check_error(
            change(name, &text, Some(&text[..text.len() / 2])),
            "changed while it was being read",
        );
        check_error(
            change(name, &text, Some(&[&text[..], b"x"].concat())),
            "changed while it was being read",
        );
        check_error(change(name, &text, None), "cannot open");
    }
    check_error(change("later.ndjson", &text, Some(&shifted)), "changed while it was being read");
    check_error(change("later.ndjson", &text, Some(&wide)), "changed while it was being read");
    let grown = [gzip(&text), gzip(&text)].concat();
    check_error(
        change("a.ndjson.gz", &gzip(&text), Some(&grown)),
        "changed while it was being read",
    );
}

#[test]
fn only_plain_ndjson_is_split() {
    let folder = Folder::new();
    folder.add("a.ndjson", LINE);
    folder.add("b.json", LINE);
    folder.add("c.ndjson", "");
    let inputs = discover(&folder.argument()).unwrap();
    let options = Options { split_bytes: 10, ..Options::default() };
    let found: Vec<_> = splits(&inputs, &options)
        .iter()
        .map(|&Split { file, start, end }| (file, start, end))
        .collect();
    assert_eq!(found, [(0, 0, 10), (0, 10, 20), (0, 20, 21), (1, 0, 21), (2, 0, 0)]);
}

#[test]
fn after_an_error_there_are_no_more_blocks() {
    let folder = Folder::new();
    let packed = gzip(LINE.as_bytes());
    folder.add("a.ndjson.gz", &packed[..5]);
    folder.add("b.ndjson", LINE);
    folder.add("c.ndjson", LINE);
    let options = Options { block_bytes: 1, ..Options::default() };
    for broken in ["a.ndjson.gz", "b.ndjson"] {
        let blocks = Blocks::new(Arc::new(discover(&folder.argument()).unwrap()), &options, 1);
        let _ = fs::remove_file(folder.path("b.ndjson"));
        check_error(blocks.next(&mut Block::default()), broken);
        assert!(!blocks.next(&mut Block::default()).unwrap());
        let _ = fs::remove_file(folder.path("a.ndjson.gz"));
        folder.add("b.ndjson", LINE);
    }
}
