//! What is wrong with a setting, and where it stands.

/// A setting that cannot be used, or (as a warning) one that is better not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, below the table it belongs to: `types[2]`, `auth.algorithm`.
    pub path: String,
    /// What is wrong: one lower-case sentence.
    pub message: String,
    /// What to write instead, if we know.
    pub hint: Option<String>,
}

/// Mistakes, gathered: all are told at once.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl Mistakes {
    /// Adds one without a hint.
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Mistake { path: path.into(), message: message.into(), hint: None });
    }

    /// Adds one with a hint.
    pub(crate) fn hinted(
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
