//! The formats of a result, and what an encoder of one must do.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::csv::Csv;
use super::json::Json;
use super::parquet::Parquet;
use super::table::Aligned;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned text for people.
    Table,
    /// RFC 4180 with a header line; null is empty, the empty text is `""`.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Json,
    /// One Parquet file.
    Parquet,
}

/// Where encoders write.
pub type Sink<'a> = Box<dyn Write + Send + 'a>;

/// Writes result sets in one format: for each `begin`, any number of `batch`, `end`; `finish`
/// after the last.
pub trait Encode: Send {
    /// Begins a result set.
    fn begin(&mut self, schema: &SchemaRef) -> io::Result<()>;
    /// Writes rows of it.
    fn batch(&mut self, batch: &RecordBatch) -> io::Result<()>;
    /// Ends it.
    fn end(&mut self) -> io::Result<()>;
    /// Ends the output.
    fn finish(&mut self) -> io::Result<()>;
}

impl Format {
    /// The encoder of the format; `rows` limits what [`Format::Table`] shows.
    pub fn encoder<'a>(self, to: Sink<'a>, rows: Option<usize>) -> Box<dyn Encode + 'a> {
        match self {
            Self::Table => Box::new(Aligned::new(to, rows)),
            Self::Csv => Box::new(Csv::new(to)),
            Self::Ndjson => Box::new(Json::lines(to)),
            Self::Json => Box::new(Json::array(to)),
            Self::Parquet => Box::new(Parquet::new(to)),
        }
    }

    /// Whether one output can hold several result sets and still be what the format says.
    pub(super) fn holds_several(self) -> bool {
        matches!(self, Self::Table | Self::Ndjson)
    }

    /// Whether two columns of one name would hide each other from a reader.
    pub(super) fn needs_unique_names(self) -> bool {
        matches!(self, Self::Ndjson | Self::Json | Self::Parquet)
    }

    /// The name as given on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}
