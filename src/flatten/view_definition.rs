//! The ViewDefinition as the standard writes it (SQL on FHIR 2.0 and 3.0-ballot).

use serde_json::Value;

/// A ViewDefinition as written, checked for form only.
#[derive(Debug, Default)]
pub(super) struct ViewDefinition {
    /// Name of the table.
    pub(super) name: Option<String>,
    /// What the table is for.
    pub(super) description: Option<String>,
    /// The resource type it flattens.
    pub(super) resource: String,
    /// `%name` values.
    pub(super) constants: Vec<Constant>,
    /// Criteria, all of which a resource must meet.
    pub(super) filters: Vec<Expression>,
    /// What makes the rows.
    pub(super) selects: Vec<SelectDefinition>,
}

/// An expression and the JSON path it stands at.
#[derive(Debug, Clone, Default)]
pub(super) struct Expression {
    /// FHIRPath.
    pub(super) text: String,
    /// JSON path within the view.
    pub(super) at: String,
}

/// `constant`: a name for a value.
#[derive(Debug)]
pub(super) struct Constant {
    /// Used as `%name`.
    pub(super) name: String,
    /// FHIR type, from the key: `valueDate` is a `date`.
    pub(super) of: String,
    /// The value as written; that it is missing is noted already.
    pub(super) value: Option<Value>,
    /// JSON path of the value within the view.
    pub(super) at: String,
    /// JSON path of the name.
    pub(super) name_at: String,
}

/// One `select`.
#[derive(Debug, Default)]
pub(super) struct SelectDefinition {
    /// `column`
    pub(super) columns: Vec<ColumnDefinition>,
    /// `forEach`, `forEachOrNull` or `repeat`.
    pub(super) iteration: Option<IterationDefinition>,
    /// `select` within
    pub(super) selects: Vec<SelectDefinition>,
    /// `unionAll`
    pub(super) unions: Vec<SelectDefinition>,
    /// JSON path within the view.
    pub(super) at: String,
}

/// What a select goes through.
#[derive(Debug)]
pub(super) enum IterationDefinition {
    /// A row set for each value; none for none.
    ForEach(Expression),
    /// A row set for each value; one of nulls for none.
    ForEachOrNull(Expression),
    /// A row set for each value found by applying the paths again and again.
    Repeat(Vec<Expression>),
}

/// `column`
#[derive(Debug, Default)]
pub(super) struct ColumnDefinition {
    /// Name of the column.
    pub(super) name: String,
    /// What it holds.
    pub(super) path: Expression,
    /// For people.
    pub(super) description: Option<String>,
    /// `type`, as written.
    pub(super) of: Option<String>,
    /// Whether it holds lists.
    pub(super) collection: bool,
    /// Value of the tag `ansi/type`, and its JSON path.
    pub(super) ansi_type: Option<(String, String)>,
    /// JSON path within the view.
    pub(super) at: String,
}
