//! Compressed files decoded ahead: their order, their errors, and an early end.

use super::*;
use crate::error::ErrorKind;
use crate::ingest::Inputs;
use crate::ingest::decode_ahead::DecodeAhead;

/// So many lines, which tell their file and place.
fn text(file: &str, lines: usize) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| {
            format!("{{\"resourceType\":\"A\",\"id\":\"{file}{line}\"}}\n").into_bytes()
        })
        .collect()
}

fn options(block_bytes: usize) -> Options {
    Options { block_bytes, split_bytes: 5000, ..Options::default() }
}

/// Files of all kinds: some larger than all that may wait, many smaller than a block.
fn folder() -> Folder {
    let folder = Folder::new();
    for file in 0..60_usize {
        let lines = if file % 7 == 0 { 3000 } else { file % 4 * 10 };
        let text = text(&format!("{file}-"), lines);
        match file % 5 {
            4 => folder.add(&format!("{file:02}.ndjson"), text),
            3 => folder.add(&format!("{file:02}.ndjson.zst"), zstd(&text)),
            _ => folder.add(&format!("{file:02}.ndjson.gz"), gzip(&text)),
        };
    }
    folder
}

#[test]
fn compressed_files_come_in_order_among_plain_ones() {
    let folder = folder();
    let whole = read(&folder.argument(), &options(64 << 20), 1).unwrap();
    let ids = whole.events.iter().map(|event| event.rsplit(' ').next().unwrap().to_owned());
    let expected = (0..60_usize).flat_map(|file| {
        let lines = if file % 7 == 0 { 3000 } else { file % 4 * 10 };
        (0..lines).map(move |line| format!("{file}-{line}"))
    });
    assert!(ids.eq(expected), "the order of the input");
    for threads in [1, 2, 8] {
        for block_bytes in [1 << 10, 20 << 10] {
            let reading = read(&folder.argument(), &options(block_bytes), threads).unwrap();
            assert!(reading == whole, "{threads} threads, block_bytes {block_bytes}");
        }
    }
}

/// Which lines share a block may not depend on the number of threads either: it decides on row groups.
#[test]
fn blocks_are_the_same_for_any_number_of_threads() {
    let folder = folder();
    let inputs = Arc::new(discover(&folder.argument()).unwrap());
    let blocks = |threads: usize| {
        let blocks = Blocks::new(inputs.clone(), &options(10 << 10), threads);
        let (mut block, mut seen) = (Block::default(), Vec::new());
        while blocks.next(&mut block).unwrap() {
            assert_eq!(block.index, seen.len() as u64);
            let pieces = block
                .pieces
                .iter()
                .map(|piece| (piece.file, block.data[piece.lines.clone()].to_vec()));
            seen.push((pieces.collect::<Vec<_>>(), block.stored_bytes()));
        }
        seen
    };
    let one = blocks(1);
    assert_eq!(one.iter().map(|(_, stored)| stored).sum::<u64>(), inputs.total_bytes());
    assert!(one.iter().any(|(pieces, _)| pieces.len() > 1), "small files share blocks");
    assert!(blocks(2) == one);
    assert!(blocks(8) == one);
}

/// The blocks before the damage are handed out, nothing after it, whatever has been decoded by then.
#[test]
fn an_error_comes_in_its_place() {
    let folder = Folder::new();
    for file in 0..5 {
        let mut packed = gzip(&text(&format!("{file}-"), 1000));
        if file == 2 {
            packed.truncate(packed.len() - 4);
        }
        folder.add(&format!("{file}.ndjson.gz"), packed);
    }
    let inputs = Arc::new(discover(&folder.argument()).unwrap());
    for threads in [1, 2, 8] {
        let blocks = Blocks::new(inputs.clone(), &options(4 << 10), threads);
        let (mut block, mut files) = (Block::default(), Vec::new());
        let error = loop {
            match blocks.next(&mut block) {
                Ok(more) => assert!(more, "no end without the error"),
                Err(error) => break error,
            }
            files.extend(block.pieces.iter().map(|piece| piece.file));
        };
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("2.ndjson.gz` is cut off"), "{error}");
        assert!(files.is_sorted());
        assert!(files.contains(&1) && files.contains(&2), "{files:?}");
        assert!(!blocks.next(&mut block).unwrap());
    }
}

/// A hang is what would show.
#[test]
fn decoding_ends_with_those_who_ask() {
    let folder = folder();
    let inputs = Arc::new(discover(&folder.argument()).unwrap());
    for threads in [1, 2, 8] {
        for taken in [0, 1, 5, 100] {
            let blocks = Blocks::new(inputs.clone(), &options(1 << 10), threads);
            let mut block = Block::default();
            for _ in 0..taken {
                assert!(blocks.next(&mut block).unwrap());
            }
        }
        let panicked = std::thread::spawn({
            let inputs = inputs.clone();
            move || {
                let blocks = Blocks::new(inputs, &options(1 << 10), threads);
                blocks.next(&mut Block::default()).unwrap();
                std::panic::resume_unwind(Box::new("the parser panics"));
            }
        });
        assert!(panicked.join().is_err());
    }
}

/// Memory does not grow with the file: whoever takes a block leaves a buffer for the next.
#[test]
fn buffers_go_round() {
    let folder = Folder::new();
    let path = folder.add("a.ndjson.gz", gzip(&text("", 50_000)));
    let blocks = Blocks::new(Arc::new(discover(&[path]).unwrap()), &options(4 << 10), 1);
    let (mut block, mut buffers) = (Block::default(), std::collections::BTreeSet::new());
    while blocks.next(&mut block).unwrap() {
        buffers.insert(block.data.as_ptr().addr());
    }
    assert!(block.index > 300, "{} blocks", block.index);
    assert!(buffers.len() < 20, "{} buffers", buffers.len());
}

/// The run is of a file that is not there: a bug, which must not leave those who wait without an answer.
#[test]
#[should_panic(expected = "index out of bounds")]
fn a_panic_goes_on_where_the_block_is_waited_for() {
    let inputs = Arc::new(Inputs::default());
    let ahead = DecodeAhead::start(&inputs, &options(1), vec![0..1, 1..2], 2);
    let _ = ahead.next(&mut Block::default());
}
