//! Tokens to a syntax tree: operator precedence, and nothing about meaning.

use std::ops::Range;

use super::SyntaxError;
use super::lex::{Kind, Token, tokens};
use super::limits::MOST_TOKENS;
use super::value::{Literal, Quantity, decimal};
use crate::temporal::Temporal;
use crate::ucum;

/// A node of the tree and the text it came from.
#[derive(Debug, Clone)]
pub(super) struct Syntax {
    pub(super) kind: SyntaxKind,
    pub(super) span: Range<usize>,
}

/// What a node says.
#[derive(Debug, Clone)]
pub(super) enum SyntaxKind {
    /// `'text'`, `1`, `1.0`, `true`, `@2020`, `4 days`.
    Literal(Literal),
    /// `{}`.
    Empty,
    /// `$this`.
    This,
    /// `$index`.
    Index,
    /// `$total`.
    Total,
    /// `%name`.
    Variable(String),
    /// `name`, or `input.name`.
    Member(Option<Box<Syntax>>, String),
    /// `name(…)`, or `input.name(…)`.
    Call(Option<Box<Syntax>>, String, Vec<Syntax>),
    /// `input[index]`.
    Indexer(Box<Syntax>, Box<Syntax>),
    /// `-input`; a `+` before a value says nothing.
    Negate(Box<Syntax>),
    /// Two operands and the operator between them.
    Binary(&'static str, Box<Syntax>, Box<Syntax>),
    /// `input is Type` or `input as Type`; the type's name may have a prefix (`FHIR.Quantity`).
    Type(&'static str, Box<Syntax>, String),
}

/// Binary operators by rising precedence (FHIRPath N1, section "Operator Precedence").
const LEVELS: [&[&str]; 10] = [
    &["implies"],
    &["or", "xor"],
    &["and"],
    &["in", "contains"],
    &["=", "~", "!=", "!~"],
    &["<=", "<", ">", ">="],
    &["|"],
    &["is", "as"],
    &["+", "-", "&"],
    &["*", "/", "div", "mod"],
];

/// Deeper nesting than any expression needs, and less than the stack can hold.
const MAX_DEPTH: usize = 200;

/// The tree of a whole expression, and what in it works though hardly as meant.
pub(super) fn parse(text: &str) -> Result<(Syntax, Vec<SyntaxError>), SyntaxError> {
    let (tokens, doubts) = tokens(text)?;
    if let Some(first) = tokens.get(MOST_TOKENS) {
        return Err(SyntaxError::new("the expression is too long", first.span.clone()));
    }
    let mut parser = Parser { text, tokens, at: 0, depth: 0 };
    let tree = parser.expression(0)?;
    match parser.peek() {
        Kind::End => Ok((tree, doubts)),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].span.clone()
    }

    fn advance(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Kind::Symbol(s) if *s == symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), SyntaxError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let span = self.span();
        match self.peek() {
            Kind::End => {
                SyntaxError::new(format!("the expression ends where {wanted} should follow"), span)
            }
            _ => SyntaxError::new(
                format!("expected {wanted}, found `{}`", &self.text[span.clone()]),
                span,
            ),
        }
    }

    fn expression(&mut self, level: usize) -> Result<Syntax, SyntaxError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        self.depth += 1;
        if self.depth > MAX_DEPTH * LEVELS.len() {
            return Err(SyntaxError::new("the expression is nested too deeply", self.span()));
        }
        let mut left = self.expression(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            self.advance();
            left = if matches!(operator, "is" | "as") {
                let (name, end) = self.type_name()?;
                let span = left.span.start..end;
                Syntax { kind: SyntaxKind::Type(operator, Box::new(left), name), span }
            } else {
                let right = self.expression(level + 1)?;
                let span = left.span.start..right.span.end;
                Syntax { kind: SyntaxKind::Binary(operator, Box::new(left), Box::new(right)), span }
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self, of: &[&'static str]) -> Option<&'static str> {
        match self.peek() {
            Kind::Symbol(s) => of.iter().find(|o| *o == s).copied(),
            Kind::Name(n) if self.text[self.span()].starts_with(n.as_str()) => {
                of.iter().find(|o| *o == n).copied()
            }
            _ => None,
        }
    }

    fn unary(&mut self) -> Result<Syntax, SyntaxError> {
        let mut signs = Vec::new();
        loop {
            let start = self.span().start;
            if self.take("-") {
                signs.push(start);
            } else if !self.take("+") {
                break;
            }
        }
        let operand = self.postfix()?;
        let end = operand.span.end;
        // A second minus undoes the first; more would only nest deeply.
        let needed = if signs.len() > 1 { 2 - signs.len() % 2 } else { signs.len() };
        Ok(signs.into_iter().take(needed).rev().fold(operand, |operand, start| Syntax {
            kind: SyntaxKind::Negate(Box::new(operand)),
            span: start..end,
        }))
    }

    fn postfix(&mut self) -> Result<Syntax, SyntaxError> {
        let mut left = self.term()?;
        loop {
            let start = left.span.start;
            let kind = if self.take(".") {
                self.invocation(Some(Box::new(left)))?
            } else if self.take("[") {
                let index = self.expression(0)?;
                self.expect("]")?;
                SyntaxKind::Indexer(Box::new(left), Box::new(index))
            } else {
                return Ok(left);
            };
            left = Syntax { kind, span: start..self.tokens[self.at - 1].span.end };
        }
    }

    /// A name, or a name and arguments, applied to `input` (`None`: to the focus).
    fn invocation(&mut self, input: Option<Box<Syntax>>) -> Result<SyntaxKind, SyntaxError> {
        let Kind::Name(name) = self.peek().clone() else {
            if matches!(self.peek(), Kind::Special) {
                return Ok(self.special());
            }
            return Err(self.unexpected("a name"));
        };
        self.advance();
        if !self.take("(") {
            return Ok(SyntaxKind::Member(input, name));
        }
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.expression(0)?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(SyntaxKind::Call(input, name, arguments))
    }

    fn special(&mut self) -> SyntaxKind {
        let token = self.advance();
        match &self.text[token.span] {
            "$this" => SyntaxKind::This,
            "$index" => SyntaxKind::Index,
            _ => SyntaxKind::Total,
        }
    }

    fn term(&mut self) -> Result<Syntax, SyntaxError> {
        let start = self.span().start;
        let kind = match self.peek().clone() {
            Kind::Symbol("(") => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect(")")?;
                return Ok(Syntax {
                    kind: inner.kind,
                    span: start..self.tokens[self.at - 1].span.end,
                });
            }
            Kind::Symbol("{") => {
                self.advance();
                self.expect("}")?;
                SyntaxKind::Empty
            }
            Kind::Special => self.special(),
            Kind::Variable(name) => {
                self.advance();
                SyntaxKind::Variable(name)
            }
            Kind::Name(name) if name == "true" || name == "false" => {
                self.advance();
                SyntaxKind::Literal(Literal::Boolean(name == "true"))
            }
            Kind::Name(_) => self.invocation(None)?,
            _ => SyntaxKind::Literal(self.literal()?),
        };
        Ok(Syntax { kind, span: start..self.tokens[self.at.saturating_sub(1)].span.end })
    }

    fn literal(&mut self) -> Result<Literal, SyntaxError> {
        let Token { kind, span } = self.tokens[self.at].clone();
        let text = &self.text[span.clone()];
        let literal = match kind {
            Kind::String(text) => Some(Literal::String(text.into())),
            Kind::Integer => text.trim_end_matches('L').parse().ok().map(Literal::Integer),
            Kind::Decimal => decimal(text).map(Literal::Decimal),
            Kind::Temporal => Temporal::literal(&text[1..]).map(Literal::Temporal),
            _ => return Err(self.unexpected("a value")),
        };
        let literal =
            literal.ok_or_else(|| SyntaxError::new(format!("`{text}` is no valid value"), span))?;
        self.advance();
        Ok(self.with_unit(literal))
    }

    /// `4 days` and `5 'mg'` are quantities.
    fn with_unit(&mut self, number: Literal) -> Literal {
        let value = match number {
            Literal::Integer(n) => n.into(),
            Literal::Decimal(d) => d,
            other => return other,
        };
        let unit = match self.peek() {
            Kind::String(unit) => ucum::calendar(unit).unwrap_or(unit).to_owned(),
            Kind::Name(word) => match ucum::calendar(word) {
                Some(unit) => unit.to_owned(),
                None => return number,
            },
            _ => return number,
        };
        self.advance();
        Literal::Quantity(Quantity { value, unit: unit.into() })
    }

    /// `Quantity` or `FHIR.Quantity`, and where it ends.
    fn type_name(&mut self) -> Result<(String, usize), SyntaxError> {
        let mut name = String::new();
        loop {
            let Kind::Name(part) = self.peek().clone() else {
                return Err(self.unexpected("a type"));
            };
            let token = self.advance();
            name.push_str(&part);
            if !matches!(name.as_str(), "FHIR" | "System") || !self.take(".") {
                return Ok((name, token.span.end));
            }
            name.push('.');
        }
    }
}
