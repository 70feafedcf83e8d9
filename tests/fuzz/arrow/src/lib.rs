//! The part of `arrow` that the modules under test use, under the same names: arrays, buffers, types; no kernels.

pub use arrow_buffer as buffer;

/// Arrays and their builders.
pub mod array {
    pub use arrow_array::builder::*;
    pub use arrow_array::*;
}

/// Types of columns.
pub mod datatypes {
    pub use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
}
