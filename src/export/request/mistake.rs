//! What is wrong with a setting, and where it stands.

/// A setting that cannot be used, or (as a warning) one that is better not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, below the table of the export: `types[2]`, `auth.algorithm`.
    pub path: String,
    /// What is wrong: one lower-case sentence.
    pub message: String,
    /// What to write instead, if we know.
    pub hint: Option<String>,
}

/// Mistakes, gathered: all are told at once.
#[derive(Debug, Default)]
pub(in crate::export) struct Mistakes(pub(in crate::export) Vec<Mistake>);

impl Mistakes {
    /// Adds one without a hint.
    pub(in crate::export) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Mistake { path: path.into(), message: message.into(), hint: None });
    }

    /// Adds one with a hint.
    pub(in crate::export) fn hinted(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Mistake {
            path: path.into(),
            message: message.into(),
            hint: Some(hint.into()),
        });
    }
}
