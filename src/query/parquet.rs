//! A result as one Parquet file.

use std::io;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::format::{Encode, Sink};

/// A Parquet file, compressed with zstd, for the one result set it can hold.
pub(super) struct Parquet<'a> {
    to: Option<Sink<'a>>,
    writer: Option<ArrowWriter<Sink<'a>>>,
}

impl<'a> Parquet<'a> {
    pub(super) fn new(to: Sink<'a>) -> Self {
        Self { to: Some(to), writer: None }
    }
}

impl Encode for Parquet<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> io::Result<()> {
        let Some(to) = self.to.take() else {
            return Err(io::Error::other("a Parquet file holds one result"));
        };
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        self.writer = Some(ArrowWriter::try_new(to, schema.clone(), Some(properties))?);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch)?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        match self.writer.take() {
            Some(writer) => Ok(writer.into_inner()?.flush()?),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
