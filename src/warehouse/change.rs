//! What a commit does to a table.

use std::sync::Arc;

use super::key_set::KeySet;

/// What becomes of the rows that the table has of the same source ([`super::CommitInfo::source`]). Rows of other sources
/// stay always.
#[derive(Debug, Clone, Copy)]
pub enum Change<'c> {
    /// All go: the new rows are the whole content.
    Replace,
    /// Those go that one of these names; the new rows come.
    Merge(&'c [Gone]),
    /// None goes; the new rows come.
    Append,
}

/// Rows that go: those whose text column holds one of the keys.
#[derive(Debug, Clone)]
pub struct Gone {
    /// The column; rows of files that do not have it stay.
    pub column: String,
    /// The keys.
    pub keys: Arc<KeySet>,
}
