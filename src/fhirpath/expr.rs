//! What an expression is once resolved: every name bound to JSON keys, every function found, every type known.

use std::ops::Range;

use super::functions::Function;
use super::value::Literal;
use crate::fhir::Type;

/// A resolved expression.
#[derive(Debug)]
pub struct Expr {
    pub(super) kind: ExprKind,
    /// Bytes of the source text, for messages.
    pub(super) span: Range<usize>,
    /// What evaluation can yield.
    pub gives: Static,
}

#[derive(Debug)]
pub(super) enum ExprKind {
    Literal(Literal),
    Empty,
    /// `$this`, and the focus that a leading name stands on.
    This,
    /// `$index`
    Index,
    /// `$total`
    Total,
    /// `%rowIndex` (SQL on FHIR)
    RowIndex,
    /// `%resource`, `%rootResource`: the resource of the line.
    Resource,
    /// `%context`: what the whole expression is evaluated on.
    Context,
    /// Names in a row; with `first`, no more than the first value is looked for.
    Path {
        input: Box<Expr>,
        steps: Vec<Step>,
        first: bool,
    },
    /// A path whose values are in a slot of the trie of the focus, unless its walk gave up.
    Captured {
        slot: u8,
        path: Box<Expr>,
    },
    /// `getResourceKey()` of the focus, whose `id` is in a slot.
    CapturedKey {
        slot: u8,
        call: Box<Expr>,
    },
    Call {
        function: &'static Function,
        input: Box<Expr>,
        arguments: Vec<Expr>,
    },
    /// `exists(criterion)` of a path: its values are looked at one by one, until one will do.
    Exists {
        input: Box<Expr>,
        steps: Vec<Step>,
        criterion: Box<Expr>,
    },
    /// `where(criterion).first()`, with a criterion that no item makes fail.
    FirstWhere {
        input: Box<Expr>,
        criterion: Box<Expr>,
    },
    /// `getReferenceKey()`, with the type that is asked for, and the number of this place among those of the view.
    ReferenceKeys {
        input: Box<Expr>,
        wanted: Option<Type>,
        place: usize,
    },
    /// `ofType(T)`, and `as`, which wants a single value.
    OfType {
        input: Box<Expr>,
        wanted: Kind,
        single: bool,
    },
    /// `is`
    Is {
        input: Box<Expr>,
        wanted: Kind,
    },
    Item {
        input: Box<Expr>,
        index: Box<Expr>,
    },
    Negate(Box<Expr>),
    Binary {
        operator: Operator,
        left: Box<Expr>,
        right: Box<Expr>,
    },
}

/// One name of a path, and the JSON keys it stands for on each type it can be applied to.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: Box<str>,
    pub(super) routes: Vec<Route>,
    /// Whether values of other types can come here, such as contained resources.
    pub(super) open: bool,
}

impl Step {
    /// What was foreseen for values of this type. An Age is walked as the Quantity that it was foreseen to be.
    pub(super) fn route(&self, of: Type) -> Option<&Route> {
        let exact = self.routes.iter().find(|r| r.from == of);
        exact.or_else(|| self.routes.iter().find(|r| of.is_a(r.from)))
    }
}

/// The JSON keys of an element on one type: one, but for choices.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) from: Type,
    pub(super) keys: Vec<Key>,
}

/// A JSON key and the type of its values.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) of: Type,
    pub(super) primitive: bool,
}

/// FHIRPath's binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    And,
    Or,
    Xor,
    Implies,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Div,
    Mod,
    Concatenate,
    Union,
    In,
    Contains,
}

impl Operator {
    /// The operator that a symbol or word of the language stands for.
    pub(super) fn of(symbol: &str) -> Self {
        match symbol {
            "and" => Self::And,
            "or" => Self::Or,
            "xor" => Self::Xor,
            "implies" => Self::Implies,
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "~" => Self::Equivalent,
            "!~" => Self::NotEquivalent,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "+" => Self::Plus,
            "-" => Self::Minus,
            "*" => Self::Times,
            "/" => Self::Divide,
            "div" => Self::Div,
            "mod" => Self::Mod,
            "&" => Self::Concatenate,
            "|" => Self::Union,
            "in" => Self::In,
            _ => Self::Contains,
        }
    }
}

/// A type that values can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A type of FHIR.
    Fhir(Type),
    /// A type of FHIRPath itself.
    System(System),
}

/// The types of FHIRPath itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum System {
    Boolean,
    Integer,
    /// What can exceed 32 bits. Values know no difference, columns do.
    Long,
    Decimal,
    String,
    Date,
    DateTime,
    Time,
    Quantity,
}

impl System {
    /// Its name in the specification.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::Long => "Long",
            Self::Decimal => "Decimal",
            Self::String => "String",
            Self::Date => "Date",
            Self::DateTime => "DateTime",
            Self::Time => "Time",
            Self::Quantity => "Quantity",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        const ALL: [System; 8] = [
            System::Boolean,
            System::Integer,
            System::Decimal,
            System::String,
            System::Date,
            System::DateTime,
            System::Time,
            System::Quantity,
        ];
        ALL.into_iter().find(|s| s.name() == name)
    }
}

impl Kind {
    /// Its name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fhir(of) => of.name(),
            Self::System(system) => system.name(),
        }
    }
}

/// What is known of an expression's values before any resource is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Static {
    /// The types they can have; empty where nothing is known.
    pub kinds: Vec<Kind>,
    /// Whether there can be more than one.
    pub many: bool,
}

impl Static {
    /// One value of a FHIR type.
    pub fn one(of: Type) -> Self {
        Self { kinds: vec![Kind::Fhir(of)], many: false }
    }

    pub(super) fn system(system: System) -> Self {
        Self { kinds: vec![Kind::System(system)], many: false }
    }

    /// Any values at all.
    pub fn unknown() -> Self {
        Self { kinds: Vec::new(), many: true }
    }

    pub(super) fn single(mut self) -> Self {
        self.many = false;
        self
    }

    /// The types of both; nothing known if one side is unknown.
    pub(super) fn or(mut self, other: &Self) -> Self {
        if self.kinds.is_empty() || other.kinds.is_empty() {
            self.kinds.clear();
        } else {
            for kind in &other.kinds {
                if !self.kinds.contains(kind) {
                    self.kinds.push(*kind);
                }
            }
        }
        self.many |= other.many;
        self
    }
}

impl Expr {
    /// Whether it is `%rowIndex` and nothing else.
    pub fn is_row_index(&self) -> bool {
        matches!(self.kind, ExprKind::RowIndex)
    }
}
