//! Expressions as trees, and how they are written.

use std::fmt;

use kiln::fhir::Type;

/// An expression of the part of FHIRPath that views are made of.
#[derive(Debug, Clone)]
pub(super) enum Path {
    This,
    /// A type name in front of a path.
    TypeName(String),
    Resource,
    RowIndex,
    /// As written.
    Text(String),
    Number(String),
    Boolean(bool),
    Name(Box<Path>, String),
    Item(Box<Path>, usize),
    OfType(Box<Path>, Type),
    Call(Box<Path>, &'static str, Vec<Path>),
    Binary(Box<Path>, &'static str, Box<Path>),
}

impl Path {
    pub(super) fn name(self, name: &str) -> Self {
        Self::Name(Box::new(self), name.to_owned())
    }

    pub(super) fn call(self, function: &'static str, arguments: Vec<Self>) -> Self {
        Self::Call(Box::new(self), function, arguments)
    }

    pub(super) fn binary(self, operator: &'static str, right: Self) -> Self {
        Self::Binary(Box::new(self), operator, Box::new(right))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::This => f.write_str("$this"),
            Self::TypeName(name) | Self::Number(name) => f.write_str(name),
            Self::Resource => f.write_str("%resource"),
            Self::RowIndex => f.write_str("%rowIndex"),
            Self::Boolean(b) => write!(f, "{b}"),
            Self::Text(text) => {
                let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
                write!(f, "'{}'", escaped.replace('\n', "\\n"))
            }
            Self::Name(input, name) if matches!(**input, Self::This) => f.write_str(name),
            Self::Name(input, name) => write!(f, "{}.{name}", Operand(input)),
            Self::Item(input, index) => write!(f, "{}[{index}]", Operand(input)),
            Self::OfType(input, of) => write!(f, "{}.ofType({of})", Operand(input)),
            Self::Call(input, function, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(Self::to_string).collect();
                write!(f, "{}.{function}({})", Operand(input), arguments.join(", "))
            }
            Self::Binary(left, operator, right) => {
                write!(f, "{} {operator} {}", Operand(left), Operand(right))
            }
        }
    }
}

/// Binary expressions within others stand in parentheses.
struct Operand<'p>(&'p Path);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Path::Binary(..) => write!(f, "({})", self.0),
            other => other.fmt(f),
        }
    }
}
