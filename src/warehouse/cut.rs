//! Where a row group ends: a function of the rows alone, whatever batches they come in.

use std::collections::VecDeque;

use arrow::array::{Array, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;

/// Bytes are looked at each time so many rows of a row group have come. Looking at fixed rows, and
/// not at the ends of batches, is what makes the cut independent of how the input was split.
const STRIPE_ROWS: usize = 1024;

/// Collects batches in order and gives them back as row groups.
pub(super) struct Cutter {
    limit_rows: usize,
    limit_bytes: u64,
    open: Vec<RecordBatch>,
    open_rows: usize,
    open_bytes: u64,
    full: VecDeque<Vec<RecordBatch>>,
}

impl Cutter {
    /// A row group ends with its `limit_rows`-th row, or with the first stripe of 1024 rows that
    /// brings it to `limit_bytes` of Arrow data.
    pub(super) fn new(limit_rows: usize, limit_bytes: u64) -> Self {
        Self {
            limit_rows: limit_rows.max(1),
            limit_bytes: limit_bytes.max(1),
            open: Vec::new(),
            open_rows: 0,
            open_bytes: 0,
            full: VecDeque::new(),
        }
    }

    /// Appends the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        let (mut start, mut end) = (0, 0);
        while end < batch.num_rows() {
            let to_stripe = STRIPE_ROWS - self.open_rows % STRIPE_ROWS;
            let rows = to_stripe.min(self.limit_rows - self.open_rows).min(batch.num_rows() - end);
            self.open_bytes += batch_bytes(batch, end, rows);
            self.open_rows += rows;
            end += rows;
            if self.is_full() {
                self.open.push(batch.slice(start, end - start));
                self.cut();
                start = end;
            }
        }
        if start < end {
            self.open.push(batch.slice(start, end - start));
        }
    }

    /// The next complete row group.
    pub(super) fn next_full(&mut self) -> Option<Vec<RecordBatch>> {
        self.full.pop_front()
    }

    /// Ends the last row group, which is as long as it happens to be.
    pub(super) fn end(&mut self) {
        if self.open_rows > 0 {
            self.cut();
        }
    }

    fn is_full(&self) -> bool {
        self.open_rows == self.limit_rows
            || (self.open_rows.is_multiple_of(STRIPE_ROWS) && self.open_bytes >= self.limit_bytes)
    }

    fn cut(&mut self) {
        self.full.push_back(std::mem::take(&mut self.open));
        (self.open_rows, self.open_bytes) = (0, 0);
    }
}

fn batch_bytes(batch: &RecordBatch, start: usize, rows: usize) -> u64 {
    batch.columns().iter().map(|column| array_bytes(column.as_ref(), start, rows)).sum()
}

/// The Arrow bytes of some rows of an array, without validity bits: a sum over rows, so that it
/// is the same however the rows are cut.
fn array_bytes(array: &dyn Array, start: usize, rows: usize) -> u64 {
    match array.data_type() {
        DataType::Utf8 => text_bytes(array.as_string::<i32>().offsets(), start, rows),
        DataType::LargeUtf8 => text_bytes(array.as_string::<i64>().offsets(), start, rows),
        DataType::Binary => text_bytes(array.as_binary::<i32>().offsets(), start, rows),
        DataType::LargeBinary => text_bytes(array.as_binary::<i64>().offsets(), start, rows),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (from, to) = range(list.offsets(), start, rows);
            array_bytes(list.values().as_ref(), from, to - from) + (rows * 4) as u64
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|column| array_bytes(column.as_ref(), start, rows)).sum()
        }
        DataType::Dictionary(key, _) => (rows * key.primitive_width().unwrap_or(4)) as u64,
        DataType::Boolean => rows as u64,
        other => (rows * other.primitive_width().unwrap_or(16)) as u64,
    }
}

fn text_bytes<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, start: usize, rows: usize) -> u64 {
    let (from, to) = range(offsets, start, rows);
    (to - from + rows * size_of::<O>()) as u64
}

fn range<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    start: usize,
    rows: usize,
) -> (usize, usize) {
    (offsets[start].as_usize(), offsets[start + rows].as_usize())
}
