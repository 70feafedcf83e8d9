//! The two relations that terminology becomes: members of a value set, rows of a concept map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The columns of a value set (term-4): `system` and `code` are never null.
pub(super) static VALUE_SET: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("system", DataType::Utf8, false),
        Field::new("version", DataType::Utf8, true),
        Field::new("code", DataType::Utf8, false),
        Field::new("display", DataType::Utf8, true),
        Field::new("inactive", DataType::Boolean, true),
    ]))
});

/// The columns of a concept map (term-10).
pub(super) const CONCEPT_MAP_COLUMNS: [&str; 9] = [
    "source_system",
    "source_version",
    "source_code",
    "source_display",
    "target_system",
    "target_version",
    "target_code",
    "target_display",
    "relationship",
];

/// The columns of a concept map, with their types.
pub(super) static CONCEPT_MAP: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name| {
        let needed = matches!(name, "source_system" | "source_code");
        Field::new(name, DataType::Utf8, !needed)
    };
    Arc::new(Schema::new(CONCEPT_MAP_COLUMNS.map(field).to_vec()))
});

/// What identifies a member: one row of the relation (term-7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Coding {
    pub(super) system: String,
    pub(super) version: Option<String>,
    pub(super) code: String,
}

/// What else is known of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) display: Option<String>,
    /// `true`, or unknown.
    pub(super) inactive: Option<bool>,
}

/// The members of a value set, each once.
pub(super) type Members = BTreeMap<Coding, About>;

/// The members as rows.
pub(super) fn value_set_batch(members: &Members) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(members.keys().map(|m| Some(&m.system)).collect::<StringArray>()),
        Arc::new(members.keys().map(|m| m.version.as_ref()).collect::<StringArray>()),
        Arc::new(members.keys().map(|m| Some(&m.code)).collect::<StringArray>()),
        Arc::new(members.values().map(|about| about.display.as_ref()).collect::<StringArray>()),
        Arc::new(members.values().map(|about| about.inactive).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(VALUE_SET.clone(), columns)
}

/// One row of a concept map, in the order of [`CONCEPT_MAP_COLUMNS`].
pub(super) type Mapping = [Option<String>; 9];

/// The mappings as rows.
pub(super) fn concept_map_batch(mappings: &[Mapping]) -> Result<RecordBatch, ArrowError> {
    let column = |i: usize| -> ArrayRef {
        Arc::new(mappings.iter().map(|mapping| mapping[i].as_ref()).collect::<StringArray>())
    };
    RecordBatch::try_new(CONCEPT_MAP.clone(), (0..9).map(column).collect())
}

/// `url|version` of the code systems of the members; the url alone where no version is recorded.
pub(super) fn code_systems(members: &Members) -> Vec<String> {
    let named = |m: &Coding| match &m.version {
        Some(version) => format!("{}|{version}", m.system),
        None => m.system.clone(),
    };
    let named: BTreeSet<_> = members.keys().map(named).collect();
    named.into_iter().collect()
}
