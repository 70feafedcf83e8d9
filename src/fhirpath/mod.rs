//! FHIRPath: text → tokens → syntax → resolved [`Expr`] → values of a resource.
//!
//! An expression is parsed, its names bound to the element table and its functions found *once*; every mistake shows
//! then, with its place in the text. Evaluation runs on the tape of a parsed line and allocates in an arena only.
//!
//! Most expressions of a view are plain paths. Those of one focus are put together in a [`Trie`], whose one walk over the
//! focus finds all their values: the fast path (`trie`). Everything else is evaluated expression by expression (`eval`,
//! `walk`), and so are plain paths where the walk meets something out of the ordinary.
//!
//! Spec: FHIRPath N1 (<http://hl7.org/fhirpath/N1/>), with the functions that FHIR and SQL on FHIR add. The module
//! knows nothing of files, views or Arrow.

mod checks;
mod compare;
mod document;
mod eval;
mod expr;
mod functions;
mod lex;
mod limits;
mod operators;
mod parse;
mod references;
mod resolve;
mod shortcuts;
mod steps;
mod trie;
mod typing;
mod value;
mod walk;

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

pub use crate::temporal::{Precision, Temporal, TemporalKind};
pub use document::{Document, Json};
pub use eval::{Context, Environment, EvalError, Evaluated};
pub use expr::{Expr, Kind, Static, System};
pub use references::Unresolved;
pub use resolve::Names;
pub use trie::{Captured, Ready, Trie};
pub use value::{Collection, Element, Item, Literal, Quantity, QuantityRef, decimal};

use crate::fhir::Type;

/// A mistake in an expression, found before any resource is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the expression.
    pub span: Range<usize>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl SyntaxError {
    fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// Compiles expressions for one resource type.
pub struct Compiler<'n> {
    resolver: resolve::Resolver<'n>,
}

impl<'n> Compiler<'n> {
    /// A compiler for expressions on `resource`, with the constants in `names`.
    pub fn new(resource: Type, names: &'n dyn Names) -> Self {
        let context = RefCell::new(Static::one(resource));
        Self {
            resolver: resolve::Resolver {
                resource,
                names,
                context,
                doubts: RefCell::default(),
                reference_keys: RefCell::default(),
                effort: limits::Effort::default(),
            },
        }
    }

    /// Where the expressions compiled so far ask for keys of references, each as its span within its expression.
    /// Their order is that of the counts in [`Unresolved`].
    pub fn reference_keys(&self) -> Vec<Range<usize>> {
        self.resolver.reference_keys.borrow().clone()
    }

    /// Compiles `text` for a focus of the given types.
    pub fn compile(&self, text: &str, focus: &Static) -> Result<Expr, SyntaxError> {
        self.resolver.context.replace(focus.clone());
        self.resolver.effort.begin();
        self.resolver.expression(&self.parse(text)?, focus)
    }

    fn parse(&self, text: &str) -> Result<parse::Syntax, SyntaxError> {
        let (tree, doubts) = parse::parse(text)?;
        for doubt in doubts {
            self.resolver.note(doubt);
        }
        Ok(tree)
    }

    /// What the expressions compiled since the last call say that works, though hardly as meant.
    pub fn take_doubts(&self) -> Vec<SyntaxError> {
        self.resolver.doubts.take()
    }

    /// Compiles paths that are applied to their own results, as in a view's `repeat`. The error comes with the index
    /// of the path.
    pub fn compile_descent(
        &self,
        paths: &[&str],
        focus: &Static,
    ) -> Result<Vec<Expr>, (usize, SyntaxError)> {
        let mut trees = Vec::with_capacity(paths.len());
        for (i, path) in paths.iter().enumerate() {
            trees.push(self.parse(path).map_err(|e| (i, e))?);
        }
        let borrowed: Vec<_> = trees.iter().collect();
        self.resolver.context.replace(Static::unknown());
        self.resolver.effort.begin();
        self.resolver.descent(&borrowed, focus)
    }
}
