//! Wherever input is cut and however many threads read it, the same comes out.

use super::*;

const MAX_LINE: usize = 300;

/// Every nasty in one file: about 4 kB.
fn nasties() -> Vec<u8> {
    let patient =
        |id: usize| format!("{{\"resourceType\":\"Patient\",\"id\":\"{id}\"}}").into_bytes();
    let long = |bytes: usize| {
        format!("{{\"resourceType\":\"Patient\",\"x\":\"{}\"}}", "x".repeat(bytes)).into_bytes()
    };
    let lines: Vec<Vec<u8>> = vec![
        patient(1),
        b"\r".to_vec(),
        b"".to_vec(),
        b" \t \r".to_vec(),
        [&patient(2)[..], b"\r"].concat(),
        "{\"resourceType\":\"Observation\",\"id\":\"u\u{2028}x\u{2029}y\",\"v\":1.50}".into(),
        b"{\"resourceType\":\"Patient\",\"id\":\"\xff\"}".to_vec(),
        b"{\"resourceType\":\"Patient\",".to_vec(),
        long(700),
        b"[]".to_vec(),
        b"null".to_vec(),
        long(1500),
        b"{\"resourceType\":7}".to_vec(),
        b"\0\0".to_vec(),
        long(MAX_LINE - "{\"resourceType\":\"Patient\",\"x\":\"\"}".len()),
        long(MAX_LINE + 1 - "{\"resourceType\":\"Patient\",\"x\":\"\"}".len()),
        br#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"A","id":"3"}},{},7]}"#
            .to_vec(),
        [patient(4), patient(5)].concat(),
        b"".to_vec(),
        patient(6),
        vec![b'['; 250],
        patient(7),
    ];
    [b"\xef\xbb\xbf", lines.join(&b'\n').as_slice()].concat()
}

fn options(block_bytes: usize, split_bytes: u64) -> Options {
    Options { split_bytes, block_bytes, max_line_bytes: MAX_LINE, keep_excerpts: false }
}

/// The nasties three ways, among empty and small files.
fn folder() -> (Folder, usize) {
    let (folder, nasties) = (Folder::new(), nasties());
    let half = nasties.len() / 2 + 1;
    folder.add("a.ndjson", &nasties);
    folder.add("b.ndjson", "");
    folder.add("c.ndjson", "\n\n\n");
    folder.add("d.ndjson.gz", [gzip(&nasties[..half]), gzip(b""), gzip(&nasties[half..])].concat());
    folder.add("e.ndjson.gz", gzip(b""));
    folder.add("f.json", "[{\"resourceType\":\"A\",\n\"id\":\"1\"},{\"resourceType\":\"B\"}]");
    folder.add("g.ndjson", [&nasties[3..], b"\n"].concat());
    folder.add("h.ndjson.zst", [zstd(&nasties[..half]), zstd(&nasties[half..])].concat());
    folder.add("i.json.gz", gzip(b"{\"resourceType\":\"A\"}"));
    folder.add("j.ndjson.zst", zstd(b"{\"resourceType\":\"A\"}"));
    (folder, nasties.len())
}

#[test]
fn the_whole_is_what_it_should_be() {
    let (folder, _) = folder();
    let reading = read(&folder.argument(), &options(1 << 20, 1 << 20), 1).unwrap();
    let nasties = &reading.counts[0];
    assert_eq!(
        (nasties.lines, nasties.blanks, nasties.rejected_lines, nasties.bundles),
        (22, 4, 11, 1)
    );
    assert_eq!((nasties.entries(), nasties.entry_resources, nasties.rejected_entries), (3, 1, 1));
    assert_eq!(nasties.total_resources(), 7);
    let too_long = reading.events.iter().filter(|event| event.contains("!longer than 300")).count();
    assert_eq!(too_long, 4 * 3);
    for compressed in [3, 7] {
        assert_eq!(reading.counts[compressed], *nasties);
        let of = |file: usize| {
            let prefix = format!("{file}:");
            reading
                .events
                .iter()
                .filter_map(move |event| event.strip_prefix(&prefix).map(str::to_owned))
        };
        assert!(of(compressed).eq(of(0)));
    }
}

#[test]
fn every_block_size_gives_the_same() {
    let (folder, size) = folder();
    let whole = read(&folder.argument(), &options(1 << 20, 1 << 20), 1).unwrap();
    for block_bytes in (1..=64).chain((65..=size + 1).step_by(13)) {
        let reading = read(&folder.argument(), &options(block_bytes, 1 << 20), 1).unwrap();
        assert_eq!(reading, whole, "block_bytes {block_bytes}");
    }
}

/// The plain file alone is cheap enough for every size, and for splits within blocks and the reverse.
#[test]
fn every_split_size_gives_the_same() {
    let folder = Folder::new();
    let nasties = nasties();
    let path = [folder.add("a.ndjson", &nasties)];
    let whole = read(&path, &options(1 << 20, 1 << 20), 1).unwrap();
    for size in 1..=nasties.len() {
        for options in [options(1 << 20, size as u64), options(size, 1 << 20), options(size, 97)] {
            assert_eq!(read(&path, &options, 1).unwrap(), whole, "{options:?}");
        }
    }
}

#[test]
fn every_number_of_threads_gives_the_same() {
    let (folder, _) = folder();
    let whole = read(&folder.argument(), &options(1 << 20, 1 << 20), 1).unwrap();
    for threads in [1, 2, 8] {
        for block_bytes in [1, 100, 1000] {
            let reading = read(&folder.argument(), &options(block_bytes, 500), threads).unwrap();
            assert_eq!(reading, whole, "{threads} threads, block_bytes {block_bytes}");
        }
    }
}

/// Small files share blocks, and blocks are numbered without a gap.
#[test]
fn small_files_share_blocks() {
    let folder = Folder::new();
    for index in 0..300 {
        folder.add(
            &format!("{index:03}.ndjson"),
            format!("{{\"resourceType\":\"A\",\"id\":\"{index}\"}}\n"),
        );
    }
    let inputs = Arc::new(discover(&folder.argument()).unwrap());
    let blocks = Blocks::new(inputs.clone(), &options(4000, 1 << 20), 1);
    let (mut block, mut seen, mut stored) = (Block::default(), 0, 0);
    while blocks.next(&mut block).unwrap() {
        assert_eq!(block.index, seen);
        seen += 1;
        stored += block.stored_bytes();
    }
    assert_eq!((seen, stored), (3, inputs.total_bytes()));
}

/// A line far beyond the limit is passed over without being held.
#[test]
fn memory_is_bounded_by_the_limit() {
    let line = format!(
        "{{\"resourceType\":\"A\",\"x\":\"{}\"}}\n{{\"resourceType\":\"B\"}}",
        "x".repeat(16 << 20)
    );
    let options = Options { max_line_bytes: 1 << 20, block_bytes: 128 << 10, ..Options::default() };
    for (name, content) in [
        ("a.ndjson", line.as_bytes().to_vec()),
        ("a.ndjson.gz", gzip(line.as_bytes())),
        ("a.ndjson.zst", zstd(line.as_bytes())),
    ] {
        let folder = Folder::new();
        let path = [folder.add(name, content)];
        let reading = read(&path, &options, 1).unwrap();
        let second = format!("0:2@{} B -", line.find('\n').unwrap() + 1);
        assert_eq!(reading.events, ["0:1@0 !longer than 1048576 bytes", &second]);

        let blocks = Blocks::new(Arc::new(discover(&path).unwrap()), &options, 1);
        let mut block = Block::default();
        while blocks.next(&mut block).unwrap() {
            assert!(
                block.data.capacity() <= 2 * (options.max_line_bytes + options.block_bytes),
                "{name}"
            );
        }
    }
}
