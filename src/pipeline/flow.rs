//! The heart of a run: blocks of lines go through all views on all threads, and come out in the order of the input.
//!
//! In one [`Pass`], the threads each take the next block, parse and flatten it, and hand its batches on under the block's
//! number. Nothing is sent between threads but batches and counts; the tape of a line never leaves its thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};

use super::census::{Census, Found, Place, Seen};
use super::output::TableOutput;
use super::pass::Pass;
use super::progress::Progress;
use super::rejects::{Reject, RejectLog};
use crate::error::{Error, ErrorKind, Result};
use crate::fhirpath::Environment;
use crate::flatten::{Counts, Flattener, Source, View};
use crate::ingest::{
    self, Block, BlockCounts, InputFile, Inputs, Line, Origin, Parser, Rejected, Resource, Tally,
};

/// One line in so many is timed: often enough to know, too seldom to cost.
const SAMPLE: u64 = 16;

/// Views over inputs.
pub struct Flow<'f> {
    /// The views, all fed by one pass.
    pub views: &'f [View],
    /// What the columns for source and run say; without it tables have neither these nor a key.
    pub origin: Option<RowsOf<'f>>,
    /// Which resources are passed over, and whether it is noted which came.
    pub care: Care<'f>,
    /// What is the same for all resources.
    pub environment: Environment,
    /// How the input is read.
    pub input: &'f ingest::Options,
    /// How many threads.
    pub threads: usize,
    /// Where the work stands, for people.
    pub progress: &'f Progress,
}

/// Which resources are passed over, and whether it is noted which came.
#[derive(Clone, Copy, Default)]
pub struct Care<'c> {
    /// The folder for a census of the resources: then it is known which came twice.
    pub(super) census: Option<&'c Path>,
    /// Whether resources that are tagged SUBSETTED are passed over.
    pub(super) whole_only: bool,
    /// What a census found: only resources of types that came in several versions pass, in the version that counts.
    pub(super) once_more: Option<&'c Found>,
}

/// What came of it.
pub struct Outcome {
    /// The account of the input.
    pub input: ingest::Report,
    /// By view.
    pub counts: Vec<Counts>,
    /// Resources that were passed over, by view.
    pub passed_over: Vec<u64>,
    /// Which resources came, if that was to be noted.
    pub(super) census: Option<Census>,
    /// The files, in the order of their numbers.
    pub(super) files: Vec<InputFile>,
    /// What was rejected.
    pub rejects: RejectLog,
    /// Time of all threads together.
    pub times: Times,
    /// What is well to know of the input.
    pub warnings: Vec<String>,
}

/// Time that threads spent, by stage.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Reading plain files, and waiting for compressed ones to be decoded.
    pub read: Duration,
    /// Splitting and parsing.
    pub parse: Duration,
    /// Evaluating views and building columns.
    pub flatten: Duration,
    /// Encoding and writing.
    pub encode: Duration,
}

impl Times {
    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.parse += other.parse;
        self.flatten += other.flatten;
        self.encode += other.encode;
    }
}

impl Outcome {
    /// Nothing yet.
    fn new(flow: &Flow<'_>, rejects: RejectLog) -> Self {
        let views = flow.views.len();
        Self {
            input: ingest::Report::default(),
            counts: vec![Counts::default(); views],
            passed_over: vec![0; views],
            census: flow.care.census.map(|folder| Census::new(folder.to_owned())),
            files: Vec::new(),
            rejects,
            times: Times::default(),
            warnings: Vec::new(),
        }
    }
}

impl Flow<'_> {
    /// Sends every resource of the input through the views of its type. The outputs are in the order of the views.
    ///
    /// The input comes in parts, one pass each: all at once, or as it arrives. How it is cut does not show in what
    /// comes out.
    pub fn drive(
        &self,
        parts: impl Iterator<Item = Result<Inputs>>,
        outputs: &[TableOutput],
        rejects: RejectLog,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::new(self, rejects);
        let mut blocks = 0;
        for inputs in parts {
            let inputs = Arc::new(inputs?);
            let first = outcome.files.len() as u32;
            let numbers: Vec<_> = (first..).take(inputs.files.len()).collect();
            outcome.files.extend_from_slice(&inputs.files);
            blocks += self.part(&inputs, &numbers, blocks, outputs, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Sends resources through the views once more: those of some files, with the numbers they had.
    pub(super) fn again(
        &self,
        files: Vec<(u32, InputFile)>,
        outputs: &[TableOutput],
    ) -> Result<Outcome> {
        let mut outcome = Outcome::new(self, RejectLog::new(None, ""));
        let (numbers, files): (Vec<_>, _) = files.into_iter().unzip();
        let inputs = Arc::new(Inputs { files, ..Inputs::default() });
        self.part(&inputs, &numbers, 0, outputs, &mut outcome)?;
        Ok(outcome)
    }

    /// One part, after so many blocks of earlier ones; gives how many it had. Its files have these numbers.
    fn part(
        &self,
        inputs: &Arc<Inputs>,
        numbers: &[u32],
        before: u64,
        outputs: &[TableOutput],
        outcome: &mut Outcome,
    ) -> Result<u64> {
        let Self { views, input, threads, progress, .. } = *self;
        progress.total_bytes.fetch_add(inputs.total_bytes(), Ordering::Relaxed);
        let pass = Pass { inputs: inputs.clone(), input, threads, progress };
        let mut account = Account { tally: Tally::new(inputs.clone()), inputs, views, outcome };
        pass.run(
            || Worker::new(self, numbers),
            |worker, block, read| worker.block(block, before, read, outputs, progress),
            |done| account.settle(done),
        )?;
        let blocks = account.tally.blocks();
        let report = account.tally.finish()?;
        outcome.warnings.extend(super::report::warnings(&report, &inputs.ignored));
        outcome.input.add(report);
        Ok(blocks)
    }
}

/// A resource that a view failed on.
struct Failed {
    origin: Origin,
    view: usize,
    reason: String,
    excerpt: Option<String>,
}

/// What came of one block, besides its batches.
struct BlockDone {
    counts: BlockCounts,
    views: Vec<Counts>,
    passed_over: Vec<u64>,
    seen: Vec<Seen>,
    failed: Vec<Failed>,
    times: Times,
}

impl BlockDone {
    fn rows(&self) -> u64 {
        self.views.iter().map(|c| c.rows).sum()
    }
}

/// One thread's parser and column builders.
struct Worker<'f> {
    parser: Parser,
    flatteners: Vec<Flattener<'f>>,
    /// Views by resource type; a file has few, so the list is searched faster than a hash is made.
    by_type: Vec<(&'static str, Vec<usize>)>,
    origin: Option<RowsOf<'f>>,
    gate: Gate<'f>,
    keep_excerpts: bool,
    failed: Vec<Failed>,
    times: Times,
    lines: u64,
}

/// Lets resources pass to the views, and notes which came.
struct Gate<'f> {
    care: Care<'f>,
    /// The name of the source.
    source: Option<&'f str>,
    /// The numbers of the files of this part.
    files: &'f [u32],
    seen: Vec<Seen>,
    /// By view.
    passed_over: Vec<u64>,
}

impl Gate<'_> {
    /// Whether a resource of the type with this number goes to these views.
    fn lets_pass(&mut self, resource: &Resource<'_>, of: usize, views: &[usize]) -> bool {
        let Care { census, whole_only, once_more } = self.care;
        if census.is_none() && !whole_only && once_more.is_none() {
            return true;
        }
        if once_more.is_some_and(|found| !found.by_type.contains_key(&of)) {
            return false;
        }
        let place = || Place::of(resource.origin, self.files[resource.origin.file as usize]);
        let superseded = || once_more.is_some_and(|found| found.superseded.contains(&place()));
        let identity = resource.identity();
        if whole_only && identity.subsetted || superseded() {
            for view in views {
                self.passed_over[*view] += 1;
            }
            return false;
        }
        if census.is_some() {
            self.seen.extend(Seen::of(&identity, self.source, of, place()));
        }
        true
    }
}

impl<'f> Worker<'f> {
    fn new(flow: &Flow<'f>, files: &'f [u32]) -> Self {
        let by_type = by_type(flow.views);
        let flattener =
            |view| Flattener::new(view, flow.origin.is_some(), flow.environment.clone());
        Self {
            parser: Parser::new(flow.input),
            flatteners: flow.views.iter().map(flattener).collect(),
            by_type,
            origin: flow.origin,
            gate: Gate {
                care: flow.care,
                source: flow.origin.and_then(|origin| origin.source),
                files,
                seen: Vec::new(),
                passed_over: vec![0; flow.views.len()],
            },
            keep_excerpts: flow.input.keep_excerpts,
            failed: Vec::new(),
            times: Times::default(),
            lines: 0,
        }
    }

    fn block(
        &mut self,
        block: &Block,
        before: u64,
        read: Duration,
        outputs: &[TableOutput],
        progress: &Progress,
    ) -> Result<BlockDone> {
        self.times.read += read;
        let counts = self.flatten(block)?;
        let done = self.finish_block(before + block.index, counts, outputs)?;
        progress.rows.fetch_add(done.rows(), Ordering::Relaxed);
        Ok(done)
    }

    fn flatten(&mut self, block: &Block) -> Result<BlockCounts> {
        let started = Instant::now();
        let mut flatten = Duration::ZERO;
        let keep = self.keep_excerpts;
        let Self { parser, flatteners, by_type, gate, failed, lines, .. } = self;
        let counts = parser.run(block, |line| {
            if let Line::Resource(resource) = line {
                let of_type = by_type.iter().position(|(of, _)| *of == resource.resource_type);
                let views = of_type.map_or(&[][..], |of| by_type[of].1.as_slice());
                if of_type.is_some_and(|of| !gate.lets_pass(&resource, of, views)) {
                    return Ok(());
                }
                *lines += 1;
                if lines.is_multiple_of(SAMPLE) {
                    let started = Instant::now();
                    add(flatteners, views, &resource, keep, failed);
                    flatten += started.elapsed() * SAMPLE as u32;
                } else {
                    add(flatteners, views, &resource, keep, failed);
                }
            }
            Ok(())
        })?;
        let elapsed = started.elapsed();
        self.times.flatten += flatten.min(elapsed);
        self.times.parse += elapsed.saturating_sub(flatten);
        Ok(counts)
    }

    /// Hands the block's batches on, under its number among all blocks of the run.
    fn finish_block(
        &mut self,
        number: u64,
        counts: BlockCounts,
        outputs: &[TableOutput],
    ) -> Result<BlockDone> {
        let mut views = Vec::with_capacity(outputs.len());
        for (flattener, output) in self.flatteners.iter_mut().zip(outputs) {
            let started = Instant::now();
            let (batch, counted) = flattener.finish();
            self.times.flatten += started.elapsed();
            views.push(counted);
            let batches = if batch.num_rows() == 0 {
                Vec::new()
            } else {
                vec![with_origin(batch, self.origin)]
            };
            let started = Instant::now();
            output.push(number, batches)?;
            self.times.encode += started.elapsed();
        }
        let times = std::mem::take(&mut self.times);
        let none = vec![0; views.len()];
        Ok(BlockDone {
            counts,
            views,
            passed_over: std::mem::replace(&mut self.gate.passed_over, none),
            seen: std::mem::take(&mut self.gate.seen),
            failed: std::mem::take(&mut self.failed),
            times,
        })
    }
}

/// The types that have views, each with the views' numbers; a type's number is its place here.
pub(super) fn by_type(views: &[View]) -> Vec<(&'static str, Vec<usize>)> {
    let mut by_type: Vec<(_, Vec<_>)> = Vec::new();
    for (i, view) in views.iter().enumerate() {
        let name = view.resource.name();
        match by_type.iter_mut().find(|(of, _)| *of == name) {
            Some((_, views)) => views.push(i),
            None => by_type.push((name, vec![i])),
        }
    }
    by_type
}

fn add(
    flatteners: &mut [Flattener<'_>],
    views: &[usize],
    resource: &Resource<'_>,
    keep_excerpts: bool,
    failed: &mut Vec<Failed>,
) {
    let Resource { nodes, root, raw, base, origin, .. } = *resource;
    for view in views {
        if let Err(error) = flatteners[*view].add(Source { nodes, root, raw, base }) {
            let excerpt = keep_excerpts.then(|| Rejected::excerpt_of(raw));
            failed.push(Failed { origin, view: *view, reason: error.message, excerpt });
        }
    }
}

/// Where the rows of a run come from.
#[derive(Debug, Clone, Copy)]
pub struct RowsOf<'r> {
    /// The run.
    pub run: &'r str,
    /// The source, if it has a name.
    pub source: Option<&'r str>,
}

/// Appends the columns for source and run: the same text in each row, so dictionaries of one.
fn with_origin(batch: RecordBatch, origin: Option<RowsOf<'_>>) -> RecordBatch {
    let Some(RowsOf { run, source }) = origin else { return batch };
    let rows = batch.num_rows();
    let column = |text: Option<&str>| -> ArrayRef {
        let keys = Int32Array::from(vec![text.map(|_| 0); rows]);
        Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from_iter([text]))))
    };
    let schema = super::with_origin_fields(&batch.schema());
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.extend([column(source), column(Some(run))]);
    RecordBatch::try_new(schema, columns).expect("both columns have a value for each row")
}

/// The account of one part, kept in the order of its blocks.
struct Account<'p> {
    inputs: &'p Inputs,
    tally: Tally,
    views: &'p [View],
    outcome: &'p mut Outcome,
}

impl Account<'_> {
    /// Line rejects and failures of views go to the log in the order of their places.
    fn settle(&mut self, done: BlockDone) -> Result<()> {
        for (sum, counts) in self.outcome.counts.iter_mut().zip(&done.views) {
            sum.add(counts);
        }
        for (sum, count) in self.outcome.passed_over.iter_mut().zip(&done.passed_over) {
            *sum += count;
        }
        if let Some(census) = &mut self.outcome.census {
            census.add(done.seen)?;
        }
        self.outcome.times.add(&done.times);
        let mut rejects: Vec<(Origin, Reject)> =
            done.failed.into_iter().map(|f| self.of_view(f)).collect();
        for rejected in self.tally.add(done.counts)? {
            rejects.push((rejected.origin, Reject::of_line(rejected, self.inputs)));
        }
        rejects.sort_by_key(|(origin, _)| (origin.file, origin.offset, origin.entry));
        rejects.into_iter().try_for_each(|(_, reject)| self.outcome.rejects.add(reject))
    }

    fn of_view(&self, failed: Failed) -> (Origin, Reject) {
        let Failed { origin, view, reason, excerpt } = failed;
        let reject = Reject {
            file: self.inputs.files[origin.file as usize].path.clone(),
            line: origin.line + self.tally.lines_before(origin.file),
            byte_offset: origin.offset,
            entry: origin.entry,
            view: Some(self.views[view].name.clone()),
            reason,
            excerpt,
        };
        (origin, reject)
    }
}

/// Runs `work` on a pool of so many threads.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
        Error::new(ErrorKind::Output, format!("cannot start {threads} threads: {e}")).caused_by(e)
    })?;
    Ok(pool.install(work))
}
