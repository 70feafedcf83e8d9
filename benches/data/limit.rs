//! The limit: simd-json's tape of each line, and nothing else.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memchr_iter;
use simd_json::{Buffers, Tape, fill_tape};

/// Bytes that one thread takes at a time.
const CHUNK: usize = 4 << 20;
/// Bytes that are read, without being timed, before they are parsed.
const SEGMENT: u64 = 256 << 20;
/// How often each segment is parsed: the mean of a few passes is steadier than one of a fraction of a second.
const PASSES: u32 = 3;

/// One thread's parser: its buffers are used again for every line.
pub(crate) struct Bare {
    line: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Bare {
    pub(crate) fn new() -> Self {
        Self { line: Vec::new(), buffers: Buffers::default(), tape: Tape(Vec::new()) }
    }

    /// Parses whole lines; gives the number of nodes.
    pub(crate) fn parse(&mut self, text: &[u8]) -> usize {
        let mut start = 0;
        let mut nodes = 0;
        for end in memchr_iter(b'\n', text) {
            nodes += self.parse_line(&text[start..end]);
            start = end + 1;
        }
        nodes + self.parse_line(&text[start..])
    }

    fn parse_line(&mut self, line: &[u8]) -> usize {
        if line.is_empty() {
            return 0;
        }
        self.line.clear();
        self.line.extend_from_slice(line);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        fill_tape(&mut self.line, &mut self.buffers, &mut tape).unwrap();
        let nodes = tape.0.len();
        self.tape = tape.reset();
        nodes
    }
}

/// The time that parsing takes on so many threads: wall, and CPU of the whole process meanwhile. The text ends with a
/// line end.
pub(crate) fn parse_all(mut text: impl Read, threads: usize) -> (Duration, Duration) {
    let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
    let mut segment = Vec::new();
    while text.by_ref().take(SEGMENT).read_to_end(&mut segment).unwrap() > 0 {
        let whole = segment.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (cpu_before, started) = (cpu_time(), Instant::now());
        (0..PASSES).for_each(|_| parse_on(&segment[..whole], threads));
        wall += started.elapsed();
        cpu += cpu_time().saturating_sub(cpu_before);
        segment.drain(..whole);
    }
    (wall / PASSES, cpu / PASSES)
}

fn parse_on(text: &[u8], threads: usize) {
    let (chunks, next) = (chunks(text), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut bare = Bare::new();
                while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    std::hint::black_box(bare.parse(chunk));
                }
            });
        }
    });
}

/// Cuts text at line ends.
fn chunks(text: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let least = CHUNK.min(rest.len());
        let end = memchr::memchr(b'\n', &rest[least..]).map_or(rest.len(), |n| least + n + 1);
        let (chunk, others) = rest.split_at(end);
        chunks.push(chunk);
        rest = others;
    }
    chunks
}

/// The CPU time of this process so far, in the kernel's ticks of 10 ms (proc(5), "/proc/pid/stat").
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}
