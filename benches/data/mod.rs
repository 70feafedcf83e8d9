//! What the benchmarks share: the data, the views over it, and how Criterion measures.

pub(crate) mod limit;
pub(crate) mod sql;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use criterion::Criterion;
use kiln::fhirpath::Environment;
use kiln::flatten::{Flattener, Source, View};
use kiln::ingest::{Block, Blocks, Line, Options, Parser, discover};
use kiln::pipeline::moment;
use serde_json::Value;

/// The allocator of the `kiln` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) type Outcome<T> = Result<T, String>;

/// The NDJSON files that the views read, and the views.
pub(crate) struct Data {
    /// The folder with `bench/` and `data/synthea/`.
    pub(crate) shared: PathBuf,
    /// One file for each resource type that a view reads, sorted.
    pub(crate) files: Vec<PathBuf>,
    /// The definitions, in the order of their names.
    pub(crate) definitions: Vec<Value>,
}

impl Data {
    /// The base export, or what is in the folder that `KILN_BENCH_DATA` names; `None` without a shared folder.
    fn find() -> Outcome<Option<Self>> {
        let Some(shared) = shared() else { return Ok(None) };
        let folder = std::env::var_os("KILN_BENCH_DATA").map(PathBuf::from);
        let folder = folder.map_or_else(|| base(&shared), Ok)?;
        let definitions = files_in(&shared.join("bench/views"))?;
        let definitions: Vec<_> =
            definitions.iter().map(|file| json(file)).collect::<Outcome<_>>()?;
        let mut data = Self { shared, files: vec![], definitions };
        data.files =
            data.definitions.iter().map(|view| resource_file(&folder, view)).collect::<Vec<_>>();
        data.files.sort();
        data.files.dedup();
        Ok(Some(data))
    }

    /// The view of this name, and the file that it reads.
    pub(crate) fn view(&self, name: &str) -> (View, &Path) {
        let definition = self.definitions.iter().find(|view| view["name"] == name);
        let view = compile(definition.expect("the shared folder has the view"));
        let file = self.files.iter().find(|file| stem(file) == view.resource.name());
        (view, file.expect("there is a file for each view"))
    }

    /// The names of the views.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().filter_map(|view| view["name"].as_str())
    }
}

/// The main function of a benchmark by Criterion: short samples, since `cargo bench` runs them all.
pub(crate) fn measure(benchmark: impl FnOnce(&mut Criterion, &Data)) -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--test") {
        println!("nothing measured: `cargo bench` runs this");
        return ExitCode::SUCCESS;
    }
    let data = match Data::find() {
        Ok(Some(data)) => data,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let criterion = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500));
    let mut criterion =
        criterion.measurement_time(Duration::from_secs(2)).without_plots().configure_from_args();
    benchmark(&mut criterion, &data);
    criterion.final_summary();
    ExitCode::SUCCESS
}

/// Reads a file block by block into the same buffer, as a thread of Kiln does.
pub(crate) fn each_block(file: &Path, block: &mut Block, mut each: impl FnMut(&Block)) {
    let inputs = discover(&[file.to_string_lossy().into_owned()]).unwrap();
    let blocks = Blocks::new(Arc::new(inputs), &Options::default(), 1);
    while blocks.next(block).unwrap() {
        each(block);
    }
}

/// Sends a file through views on this thread; gives their batches, of which each block makes one.
pub(crate) fn flatten(file: &Path, views: &[&View]) -> Vec<Vec<RecordBatch>> {
    let environment = Environment { now: moment().0, bases: vec![], key_prefix: None };
    let mut flatteners: Vec<_> =
        views.iter().map(|view| Flattener::new(view, false, environment.clone())).collect();
    let mut parser = Parser::new(&Options::default());
    let mut batches = vec![vec![]; views.len()];
    each_block(file, &mut Block::default(), |block| {
        let parsed = parser.run(block, |line| {
            if let Line::Resource(resource) = line {
                let source = Source {
                    nodes: resource.nodes,
                    root: resource.root,
                    raw: resource.raw,
                    base: resource.base,
                };
                for flattener in &mut flatteners {
                    flattener.add(source).unwrap();
                }
            }
            Ok(())
        });
        parsed.unwrap();
        for (flattener, batches) in flatteners.iter_mut().zip(&mut batches) {
            batches.push(flattener.finish().0);
        }
    });
    batches
}

pub(crate) fn compile(definition: &Value) -> View {
    let compiled = View::compile(definition);
    compiled.unwrap_or_else(|problems| panic!("{}: {problems:?}", definition["name"])).0
}

/// The folder with the data and the peers' programs; says so if it is not there.
pub(crate) fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("KILN_SHARED").unwrap_or_else(|| "../shared".into());
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join(named);
    let there = shared.join("bench").is_dir();
    if !there {
        let shared = shared.display();
        println!("nothing measured: no folder {shared}/bench; KILN_SHARED names its parent");
    }
    there.then_some(shared)
}

/// Where data is kept from call to call.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-data")
}

/// The base export, unpacked.
pub(crate) fn base(shared: &Path) -> Outcome<PathBuf> {
    make(&cache().join("base"), |folder| {
        for packed in files_in(&shared.join("data/synthea"))? {
            let text = flate2::read::MultiGzDecoder::new(File::open(&packed).map_err(at(&packed))?);
            let mut file = File::create(folder.join(stem(&packed))).map_err(at(folder))?;
            io::copy(&mut io::BufReader::with_capacity(1 << 20, text), &mut file)
                .map_err(at(&packed))?;
        }
        Ok(())
    })
}

/// The base export `copies` times, with fresh ids and moved dates; needs Python.
pub(crate) fn scaled(shared: &Path, copies: usize, python: &Path) -> Outcome<PathBuf> {
    let base = base(shared)?;
    make(&cache().join(format!("x{copies}")), |folder| {
        let mut scale = Command::new(python);
        scale.arg(shared.join("bench/scale.py")).args([&base, folder]).arg(copies.to_string());
        text_of(&mut scale).map(drop)
    })
}

/// Fills a folder unless that was done before; it gets its name when it is whole.
fn make(folder: &Path, fill: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<PathBuf> {
    if !folder.is_dir() {
        eprintln!("making {}", folder.display());
        let unfinished = folder.with_extension("part");
        fs::create_dir_all(&unfinished).map_err(at(&unfinished))?;
        fill(&unfinished)?;
        fs::rename(&unfinished, folder).map_err(at(folder))?;
    }
    Ok(folder.into())
}

/// The file in `folder` that a view reads.
pub(crate) fn resource_file(folder: &Path, definition: &Value) -> PathBuf {
    folder.join(format!("{}.ndjson", definition["resource"].as_str().unwrap_or("")))
}

pub(crate) fn json(file: &Path) -> Outcome<Value> {
    serde_json::from_slice(&fs::read(file).map_err(at(file))?).map_err(at(file))
}

pub(crate) fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub(crate) fn size(file: &Path) -> Outcome<u64> {
    fs::metadata(file).map(|data| data.len()).map_err(at(file))
}

pub(crate) fn files_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(at(folder))?.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// What a command prints; when it fails, that is the error.
pub(crate) fn text_of(command: &mut Command) -> Outcome<String> {
    let output =
        command.output().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text.into_owned()) } else { Err(text.into_owned()) }
}

pub(crate) fn at<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}
