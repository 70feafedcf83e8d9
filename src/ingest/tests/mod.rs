//! Tests of the stage as a whole: files in, the sequence of resources and rejects out.
#![allow(clippy::unwrap_used)]

mod ahead;
mod files;
mod outcomes;
mod sweeps;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use simd_json::Node;

use super::{
    Block, BlockCounts, Blocks, Counts, Line, Options, Origin, Parser, Report, Resource, Tally,
    discover,
};
use crate::error::Result;

/// A folder of input files that goes away.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn add(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn argument(&self) -> Vec<String> {
        vec![self.0.path().to_str().unwrap().to_owned()]
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

/// Everything that reading gives, made comparable.
#[derive(Debug, PartialEq)]
struct Reading {
    /// One text for each resource and reject, in order.
    events: Vec<String>,
    counts: Vec<Counts>,
    total: Counts,
}

fn read(inputs: &[String], options: &Options, threads: usize) -> Result<Reading> {
    let inputs = Arc::new(discover(inputs)?);
    let blocks = Blocks::new(inputs.clone(), options, threads);
    let done = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                if let Err(error) = work(&blocks, options, &done) {
                    failed.lock().unwrap().get_or_insert(error);
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap() {
        return Err(error);
    }
    let (events, Report { files, total }) = add_up(Tally::new(inputs), done.into_inner().unwrap())?;
    Ok(Reading { events, counts: files.into_iter().map(|file| file.counts).collect(), total })
}

type Done = (BlockCounts, Vec<(Origin, String)>);

fn work(blocks: &Blocks, options: &Options, done: &Mutex<Vec<Done>>) -> Result<()> {
    let (mut parser, mut block) = (Parser::new(options), Block::default());
    while blocks.next(&mut block)? {
        let mut events = Vec::new();
        let counts = parser.run(&block, |line| {
            events.push(match line {
                Line::Resource(resource) => (resource.origin, describe(resource)),
                Line::Deletion(deletion) => {
                    (deletion.origin, format!("-{}", deletion.url.unwrap_or_default()))
                }
                Line::Rejected(rejected) => (rejected.origin, format!("!{}", rejected.reason)),
            });
            Ok(())
        })?;
        done.lock().unwrap().push((counts, events));
    }
    Ok(())
}

fn add_up(mut tally: Tally, mut done: Vec<Done>) -> Result<(Vec<String>, Report)> {
    done.sort_by_key(|(counts, _)| counts.index);
    let mut events = Vec::new();
    for (counts, found) in done {
        let mut from_lines = Vec::new();
        for (mut origin, what) in found {
            origin.line += tally.lines_before(origin.file);
            let entry = origin.entry.map(|entry| format!("[{entry}]")).unwrap_or_default();
            events.push(format!("{}:{}@{}{entry} {what}", origin.file, origin.line, origin.offset));
            if what.starts_with('!') {
                from_lines.push((origin, what));
            }
        }
        let absolute = tally.add(counts)?;
        let from_tally: Vec<_> =
            absolute.iter().map(|r| (r.origin, format!("!{}", r.reason))).collect();
        assert_eq!(from_tally, from_lines);
    }
    Ok((events, tally.finish()?))
}

/// Type and id of a resource; checks on the way that strings lie as far from the base as in the text.
fn describe(resource: Resource<'_>) -> String {
    for node in resource.nodes {
        if let Node::String(text) = node
            && !text.is_empty()
        {
            let at = text.as_ptr().addr() - resource.base;
            let written = &resource.raw[at..at + text.len()];
            assert!(written == text.as_bytes() || written.contains(&b'\\'));
            assert_eq!(resource.raw[at - 1], b'"');
        }
    }
    let Node::Object { count, .. } = resource.nodes[resource.root] else {
        panic!("a resource is an object")
    };
    let id =
        resource.nodes[resource.root..=resource.root + count].windows(2).find_map(
            |pair| match pair {
                [Node::String("id"), Node::String(id)] => Some(*id),
                _ => None,
            },
        );
    format!("{} {}", resource.resource_type, id.unwrap_or("-"))
}

fn one_file(name: &str, content: &[u8], options: &Options) -> Result<Reading> {
    let folder = Folder::new();
    let path = folder.add(name, content);
    read(&[path], options, 1)
}

fn strings(paths: &[&Path]) -> Vec<String> {
    paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect()
}
