//! Lines: any bytes are a file. However it is cut and packed, the same comes out, and it is what a plain split gives.
#![no_main]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use bumpalo::Bump;
use kiln_fuzz::fhirpath::Document;
use kiln_fuzz::ingest::{
    Block, Blocks, Compression, Format, InputFile, Inputs, Line, Options, Parser, Reason, Resource,
    Tally,
};
use kiln_fuzz::{error, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

/// The file that stands for the input; in memory where the system has a place for that.
static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("kiln-fuzz-{}", std::process::id()))
});

/// The first bytes of an input say how it is cut; the rest is the file.
const HEAD: usize = 4;

/// All in one piece, but for the limit.
const WHOLE: usize = 1 << 20;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::bytes(data, size, max_size, seed, mutate::lines)
});

fuzz_target!(|data: &[u8]| {
    let Some((head, content)) = data.split_at_checked(HEAD) else { return };
    let options = |split_bytes: usize, block_bytes| Options {
        split_bytes: split_bytes as u64,
        block_bytes,
        // Not less than a byte order mark has, which would then be told from the line at some cuts only.
        max_line_bytes: usize::from(head[2]) * 4 + 4,
        keep_excerpts: head[3] & 1 == 1,
    };
    let (whole, cut) = (options(WHOLE, WHOLE), options(head[0].into(), head[1].into()));
    let format = if head[3] & 2 == 2 { Format::Document } else { Format::Lines };

    let expected = read(content, format, Compression::Plain, &whole).expect("plain bytes are read");
    if format == Format::Lines {
        expected.check_lines(content, whole.max_line_bytes);
    }
    let again = read(content, format, Compression::Plain, &cut).expect("plain bytes are read");
    assert_eq!(again, expected);
    let (packed, compression) = pack(content, head);
    for options in [&whole, &cut] {
        let unpacked =
            read(&packed, format, compression, options).expect("what was packed is read");
        assert_eq!(unpacked, expected, "{compression:?}");
    }
    // Bytes that nobody packed are read or refused.
    let _ = read(content, format, compression, &cut);
});

/// As one member or frame, or as two.
fn pack(content: &[u8], head: &[u8]) -> (Vec<u8>, Compression) {
    let at = if head[3] & 4 == 4 { usize::from(head[0]).min(content.len()) } else { 0 };
    let parts = [&content[..at], &content[at..]];
    if head[3] & 8 == 8 {
        let pack = |part: &[u8]| zstd::encode_all(part, 1).expect("memory can be written");
        (parts.map(pack).concat(), Compression::Zstd)
    } else {
        (parts.map(gzip).concat(), Compression::Gzip)
    }
}

fn gzip(part: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(part).and_then(|()| encoder.finish()).expect("memory can be written")
}

/// What comes out of a file.
#[derive(Debug, PartialEq)]
struct Reading {
    /// Line and entry of each resource and reject, what it is, and the offset of its line.
    events: Vec<(u64, Option<u32>, String, u64)>,
    lines: u64,
    blanks: u64,
}

fn read(
    content: &[u8],
    format: Format,
    compression: Compression,
    options: &Options,
) -> error::Result<Reading> {
    std::fs::write(&*PATH, content).expect("the file of the input can be written");
    let size = content.len() as u64;
    let file = InputFile { path: PATH.clone(), size, format, compression, declared: None };
    let inputs = Arc::new(Inputs { files: vec![file], ..Inputs::default() });
    let blocks = Blocks::new(inputs.clone(), options, 1);
    let (mut parser, mut block, mut tally) =
        (Parser::new(options), Block::default(), Tally::new(inputs));
    let mut events = Vec::new();
    while blocks.next(&mut block)? {
        let before = tally.lines_before(0);
        let counts = parser.run(&block, |line| {
            let (origin, what) = match line {
                Line::Resource(resource) => (resource.origin, describe(&resource)),
                Line::Deletion(deletion) => (deletion.origin, format!("-{:?}", deletion.url)),
                // How much is kept of a line that is longer than this tiny limit depends on the cut.
                Line::Rejected(reject) => match reject.reason {
                    Reason::TooLong(_) => (reject.origin, format!("!{}", reject.reason)),
                    _ => (reject.origin, format!("!{} {:?}", reject.reason, reject.excerpt)),
                },
            };
            events.push((before + origin.line, origin.entry, what, origin.offset));
            Ok(())
        })?;
        tally.add(counts)?;
    }
    let total = tally.finish()?.total;
    assert!(total.adds_up());
    Ok(Reading { events, lines: total.lines, blanks: total.blanks })
}

/// Type and JSON of a resource. The JSON rebuilt from the tape must be what another parser finds in the text.
fn describe(resource: &Resource<'_>) -> String {
    let Resource { nodes, root, raw, base, .. } = *resource;
    let arena = Bump::new();
    let doc = Document::new(nodes, root as u32, raw, base, &arena);
    let mut json = String::new();
    doc.json(root as u32, &mut json);
    if root == 0 && !is_deep(raw) {
        let parse = |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|e| e.to_string());
        assert_eq!(parse(json.as_bytes()), parse(raw));
        assert!(parse(raw).is_ok(), "{:?} is no JSON", String::from_utf8_lossy(raw));
    }
    format!("{} {json}", resource.resource_type)
}

/// Deeper than the other parser goes.
fn is_deep(raw: &[u8]) -> bool {
    raw.iter().filter(|b| matches!(b, b'{' | b'[')).count() > 120
}

impl Reading {
    /// Compares with the lines of a plain split.
    fn check_lines(&self, content: &[u8], limit: usize) {
        let mut lines: Vec<_> = content.split(|b| *b == b'\n').collect();
        if lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        assert_eq!(self.lines, lines.len() as u64);
        let (mut blanks, mut offset) = (0, 0);
        let mut events = self.events.iter().peekable();
        for (index, line) in lines.iter().enumerate() {
            let mark = if index == 0 { line.strip_prefix(b"\xef\xbb\xbf") } else { None };
            let start = offset + if mark.is_some() { 3 } else { 0 };
            offset += line.len() as u64 + 1;
            let text = mark.unwrap_or(line);
            let blank =
                text.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) && line.len() <= limit;
            blanks += u64::from(blank);
            let mut found = 0;
            while let Some((.., what, at)) = events.next_if(|e| e.0 == index as u64 + 1) {
                assert_eq!(*at, start);
                assert_eq!(line.len() > limit, what.starts_with("!longer"), "{what}");
                found += 1;
            }
            // A Bundle's entries may be any number.
            let bundle = text.windows(6).any(|w| w == b"Bundle") || text.contains(&b'\\');
            assert!(if blank { found == 0 } else { found == 1 || bundle }, "line {}", index + 1);
        }
        assert_eq!((self.blanks, events.next()), (blanks, None));
    }
}
