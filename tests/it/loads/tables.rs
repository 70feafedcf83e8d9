//! Tables as the warehouse has them, made for these tests: versions of a table of resources with random changes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use kiln::load::TableVersion;
use parquet::arrow::ArrowWriter;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Writes batches to a Parquet file.
pub(crate) fn parquet(path: &Path, batches: &[RecordBatch]) -> PathBuf {
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
    path.to_owned()
}

/// A field with a comment.
pub(crate) fn field(name: &str, data_type: DataType, comment: &str) -> Field {
    let comment = ("comment".to_owned(), comment.to_owned());
    Field::new(name, data_type, true).with_metadata(HashMap::from([comment]))
}

/// Versions of a table of resources: each has one to three rows, of the run that wrote it last.
pub(crate) struct Resources {
    pub(crate) name: String,
    folder: PathBuf,
    version: u64,
    /// By key: run, amounts.
    content: BTreeMap<String, (String, Vec<i64>)>,
}

impl Resources {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            version: 0,
            content: BTreeMap::new(),
        }
    }

    pub(crate) fn put(&mut self, key: &str, run: &str, amounts: &[i64]) {
        self.content.insert(key.to_owned(), (run.to_owned(), amounts.to_owned()));
    }

    /// New, changed and deleted resources.
    pub(crate) fn change(&mut self, random: &mut ChaCha8Rng, run: &str, changes: usize) {
        for _ in 0..changes {
            let key = format!("p-{:05}", random.random_range(0..3000));
            if random.random_bool(0.3) {
                self.content.remove(&key);
            } else {
                let rows = random.random_range(1..4);
                let amounts = (0..rows).map(|_| random.random_range(-1000..1000));
                let amounts: Vec<_> = amounts.collect();
                self.put(&key, run, &amounts);
            }
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.content.values().map(|(_, amounts)| amounts.len() as u64).sum()
    }

    /// The sum of all amounts.
    pub(crate) fn sum(&self) -> i64 {
        self.content.values().flat_map(|(_, amounts)| amounts).sum()
    }

    pub(crate) fn schema() -> SchemaRef {
        let word = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(Schema::new(vec![
            field("_key", DataType::Utf8, "the resource's key"),
            field("patient_id", DataType::Utf8, "whose it is; it's a key"),
            field("amount", DataType::Int64, "how much"),
            field("cost", DataType::Decimal128(18, 2), "what it costs"),
            field("_source", word.clone(), "where it comes from"),
            field("_run", word, "who wrote it"),
        ]))
    }

    /// Writes the content as the next version, in several files.
    pub(crate) fn commit(&mut self) -> TableVersion {
        self.version += 1;
        let all: Vec<_> = self.content.iter().collect();
        let mut files = Vec::new();
        for (i, part) in all.chunks(all.len().div_ceil(3).max(1)).enumerate() {
            let name = format!("{}-{}-{i}.parquet", self.name, self.version);
            files.push(parquet(&self.folder.join(name), &[batch(part)]));
        }
        TableVersion {
            name: self.name.clone(),
            version: self.version,
            schema: Self::schema(),
            files,
        }
    }
}

fn batch(part: &[(&String, &(String, Vec<i64>))]) -> RecordBatch {
    let rows: Vec<_> = part
        .iter()
        .flat_map(|(key, (run, amounts))| amounts.iter().map(move |a| (key.as_str(), run, *a)))
        .collect();
    let text = |of: &dyn Fn(usize) -> Option<String>| -> ArrayRef {
        Arc::new((0..rows.len()).map(of).collect::<StringArray>())
    };
    let cost = rows.iter().map(|(_, _, a)| i128::from(*a) * 7).collect::<Decimal128Array>();
    let columns: Vec<ArrayRef> = vec![
        text(&|i| Some(rows[i].0.to_owned())),
        text(&|i| (rows[i].2 % 5 != 0).then(|| format!("Patient/{}", rows[i].2 % 50))),
        Arc::new(rows.iter().map(|(_, _, a)| *a).collect::<Int64Array>()),
        Arc::new(cost.with_precision_and_scale(18, 2).unwrap()),
        text(&|_| None),
        text(&|i| Some(rows[i].1.clone())),
    ];
    let schema = Resources::schema();
    let columns = schema.fields().iter().zip(columns);
    let columns = columns.map(|(f, c)| arrow::compute::cast(&c, f.data_type()).unwrap()).collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}
