//! Syntax to expression: names are bound to the element table and functions to theirs; every mistake shows here,
//! before a resource is read.

use std::cell::RefCell;
use std::ops::Range;

use super::SyntaxError;
use super::checks::{self, Verdict};
use super::expr::{Expr, ExprKind, Kind, Operator, Static, System};
use super::functions::{self, Function, Scope};
use super::limits::Effort;
use super::parse::{Syntax, SyntaxKind};
use super::shortcuts;
use super::steps::{first_of, name_span, narrow};
use super::typing::{
    binary_type, check_key_input, literal_type, resource_type, result, type_named, type_specifier,
};
use super::value::Literal;
use crate::fhir::Type;
use crate::suggest;

/// What names an expression may use besides elements.
pub trait Names {
    /// The constant `%name` of the view, and its type where the value does not tell it.
    fn constant(&self, name: &str) -> Option<(Literal, Option<System>)>;
    /// All constants, for suggestions.
    fn constants(&self) -> Vec<String>;
}

/// Resolves expressions of one resource type.
pub(super) struct Resolver<'n> {
    pub(super) resource: Type,
    pub(super) names: &'n dyn Names,
    /// What the whole expression is evaluated on.
    pub(super) context: RefCell<Static>,
    /// What works, though hardly as meant.
    pub(super) doubts: RefCell<Vec<SyntaxError>>,
    /// The calls of `getReferenceKey`, by their spans.
    pub(super) reference_keys: RefCell<Vec<Range<usize>>>,
    /// What the expression at hand has taken so far.
    pub(super) effort: Effort,
}

/// What `$this` is, within an argument or at the top.
type Focus<'f> = &'f Static;

/// A resolved part of an expression, or what is wrong with it.
pub(super) type Resolved<T = Expr> = Result<T, SyntaxError>;

impl Resolver<'_> {
    pub(super) fn expression(&self, syntax: &Syntax, focus: Focus<'_>) -> Resolved {
        let _level = self.effort.deeper(&syntax.span)?;
        let span = syntax.span.clone();
        let done = |kind, gives| Ok(Expr { kind, span: span.clone(), gives });
        match &syntax.kind {
            SyntaxKind::Literal(literal) => {
                done(ExprKind::Literal(literal.clone()), literal_type(literal))
            }
            SyntaxKind::Empty => done(ExprKind::Empty, Static::unknown().single()),
            SyntaxKind::This => done(ExprKind::This, focus.clone().single()),
            SyntaxKind::Index => done(ExprKind::Index, Static::system(System::Integer)),
            SyntaxKind::Total => done(ExprKind::Total, Static::unknown()),
            SyntaxKind::Variable(name) => self.variable(name, span),
            SyntaxKind::Member(input, name) => self.member(input.as_deref(), name, span, focus),
            SyntaxKind::Call(input, name, arguments) => {
                self.call(input.as_deref(), name, arguments, span, focus)
            }
            SyntaxKind::Indexer(input, index) => {
                let input = Box::new(self.expression(input, focus)?);
                let index = Box::new(self.expression(index, focus)?);
                if let ExprKind::Literal(Literal::Integer(0)) = index.kind
                    && let ExprKind::Path { first: false, .. } = input.kind
                {
                    return Ok(first_of(*input, span));
                }
                let gives = input.gives.clone().single();
                done(ExprKind::Item { input, index }, gives)
            }
            SyntaxKind::Negate(operand) => {
                let operand = self.expression(operand, focus)?;
                let gives = operand.gives.clone();
                done(ExprKind::Negate(Box::new(operand)), gives)
            }
            SyntaxKind::Binary(operator, left, right) => {
                self.binary(operator, left, right, span, focus)
            }
            SyntaxKind::Type(operator, input, name) => {
                let input = self.expression(input, focus)?;
                type_test(operator, input, name, span)
            }
        }
    }

    fn variable(&self, name: &str, span: Range<usize>) -> Resolved {
        let (kind, gives) = match name {
            "resource" | "rootResource" => (ExprKind::Resource, Static::one(self.resource)),
            "context" => (ExprKind::Context, self.context.borrow().clone().single()),
            "rowIndex" => (ExprKind::RowIndex, Static::system(System::Integer)),
            "ucum" => text_literal("http://unitsofmeasure.org"),
            "sct" => text_literal("http://snomed.info/sct"),
            "loinc" => text_literal("http://loinc.org"),
            _ => match self.names.constant(name) {
                Some((literal, of)) => {
                    let gives = of.map_or_else(|| literal_type(&literal), Static::system);
                    (ExprKind::Literal(literal), gives)
                }
                None => return Err(self.unknown_variable(name, span)),
            },
        };
        Ok(Expr { kind, span, gives })
    }

    fn unknown_variable(&self, name: &str, span: Range<usize>) -> SyntaxError {
        let mut known = self.names.constants();
        known.extend(["resource", "context", "rowIndex"].map(str::to_owned));
        let hint = suggest::nearest(name, known.iter().map(String::as_str)).map_or_else(
            || "declare it under `constant` of the view".into(),
            |n| format!("did you mean `%{n}`?"),
        );
        SyntaxError::new(format!("`%{name}` is not defined"), span).hint(hint)
    }

    fn member(
        &self,
        input: Option<&Syntax>,
        name: &str,
        span: Range<usize>,
        focus: Focus<'_>,
    ) -> Resolved {
        let Some(input) = input else {
            // A leading type name (`Patient.name`) says where the path starts.
            if names_focus(name, focus) {
                return Ok(Expr { kind: ExprKind::This, span, gives: focus.clone().single() });
            }
            let start = span.start..span.start;
            let this = Expr { kind: ExprKind::This, span: start, gives: focus.clone().single() };
            return self.step_onto(this, name, span);
        };
        let input = self.expression(input, focus)?;
        self.step_onto(input, name, span)
    }

    fn call(
        &self,
        input: Option<&Syntax>,
        name: &str,
        arguments: &[Syntax],
        span: Range<usize>,
        focus: Focus<'_>,
    ) -> Resolved {
        let input = match input {
            Some(input) => self.expression(input, focus)?,
            None => Expr {
                kind: ExprKind::This,
                span: span.start..span.start,
                gives: focus.clone().single(),
            },
        };
        let own_span = name_span(&input, name, &span);
        if let ("ofType" | "as" | "is", [argument]) = (name, arguments) {
            return type_test(name, input, &type_specifier(argument)?, span);
        }
        check_key_input(name, &input.gives, &own_span)?;
        if name == "getReferenceKey" {
            return self.reference_keys(input, arguments, span, own_span);
        }
        let function = functions::named(name)
            .ok_or_else(|| checks::unknown_function(name, own_span.clone()))?;
        if !function.arity.contains(&arguments.len()) {
            return Err(checks::wrong_arity(
                function.name,
                &function.arity,
                arguments.len(),
                own_span,
            ));
        }
        let input = match name {
            "first" => match shortcuts::first(input, span.clone()) {
                Ok(first) => return Ok(first),
                Err(input) => input,
            },
            _ => input,
        };
        let mut arguments = self.arguments(function, arguments, &input.gives, focus)?;
        checks::check_pattern(function, &arguments)?;
        let gives = result(function.gives, &input.gives, &arguments);
        if let ("exists", Some(criterion)) = (name, arguments.pop_if(|_| name == "exists")) {
            return Ok(shortcuts::exists(input, criterion, function, span, gives));
        }
        Ok(Expr {
            kind: ExprKind::Call { function, input: Box::new(input), arguments },
            span,
            gives,
        })
    }

    /// Calls are numbered, so that references without a key are counted for each.
    fn reference_keys(
        &self,
        input: Expr,
        arguments: &[Syntax],
        span: Range<usize>,
        own_span: Range<usize>,
    ) -> Resolved {
        let wanted = match arguments {
            [] => None,
            [of] => Some(resource_type(of)?),
            _ => {
                return Err(checks::wrong_arity(
                    "getReferenceKey",
                    &(0..=1),
                    arguments.len(),
                    own_span,
                ));
            }
        };
        let gives = Static { many: input.gives.many, ..Static::system(System::String) };
        let mut calls = self.reference_keys.borrow_mut();
        let kind = ExprKind::ReferenceKeys { input: Box::new(input), wanted, place: calls.len() };
        calls.push(span.clone());
        Ok(Expr { kind, span, gives })
    }

    fn arguments(
        &self,
        function: &Function,
        arguments: &[Syntax],
        input: &Static,
        focus: Focus<'_>,
    ) -> Resolved<Vec<Expr>> {
        match function.scope {
            Scope::Outer => arguments.iter().map(|a| self.expression(a, focus)).collect(),
            Scope::Each => {
                let item = input.clone().single();
                arguments.iter().map(|a| self.expression(a, &item)).collect()
            }
            Scope::Total => {
                let item = input.clone().single();
                let scope = |i| if i == 0 { &item } else { focus };
                arguments.iter().enumerate().map(|(i, a)| self.expression(a, scope(i))).collect()
            }
            Scope::Descent => arguments
                .iter()
                .map(|a| self.descent(&[a], input).map(|mut e| e.remove(0)).map_err(|(_, e)| e))
                .collect(),
        }
    }

    /// Expressions that are applied to their own results (`repeat`): their focus is the input or any of their results.
    /// The error comes with the index of the path.
    pub(super) fn descent(
        &self,
        paths: &[&Syntax],
        start: &Static,
    ) -> Result<Vec<Expr>, (usize, SyntaxError)> {
        let mut focus = start.clone().single();
        let earlier = self.doubts.borrow().len();
        loop {
            self.doubts.borrow_mut().truncate(earlier);
            let mut found = Vec::with_capacity(paths.len());
            let mut wider = focus.clone();
            for path in paths {
                let before = self.doubts.borrow().len();
                let expr = self.expression(path, &focus);
                // A name that no type has so far may be one of a type that another path leads to.
                let is_sound = self.doubts.borrow().len() == before;
                if let Some(e) = expr.iter().find(|e| is_sound || !e.gives.kinds.is_empty()) {
                    wider = wider.or(&e.gives);
                }
                found.push(expr);
            }
            wider.many = false;
            if wider == focus {
                let numbered = found.into_iter().enumerate();
                return numbered.map(|(i, path)| path.map_err(|e| (i, e))).collect();
            }
            focus = wider;
        }
    }

    fn binary(
        &self,
        operator: &str,
        left: &Syntax,
        right: &Syntax,
        span: Range<usize>,
        focus: Focus<'_>,
    ) -> Resolved {
        let left = Box::new(self.expression(left, focus)?);
        let right = Box::new(self.expression(right, focus)?);
        let operator = Operator::of(operator);
        match checks::comparison(operator, &left, &right, &span) {
            Verdict::Fine => {}
            Verdict::Doubtful(doubt) => self.note(doubt),
            Verdict::Refused(error) => return Err(error),
        }
        let gives = binary_type(operator, &left, &right);
        Ok(Expr { kind: ExprKind::Binary { operator, left, right }, span, gives })
    }
}

fn names_focus(name: &str, focus: Focus<'_>) -> bool {
    let Some(of) = Type::named(name) else { return false };
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && focus.kinds.iter().any(|k| matches!(k, Kind::Fhir(t) if t.is_a(of)))
}

fn type_test(operator: &str, input: Expr, name: &str, span: Range<usize>) -> Resolved {
    let wanted = type_named(name, &span)?;
    if operator == "is" {
        let gives = Static::system(System::Boolean);
        return Ok(Expr { kind: ExprKind::Is { input: Box::new(input), wanted }, span, gives });
    }
    let gives = Static { kinds: vec![wanted], many: input.gives.many && operator == "ofType" };
    // `as` must see all values, to fail where there are several.
    let narrows = operator == "ofType" || !input.gives.many;
    if let (ExprKind::Path { .. }, Kind::Fhir(of), true) = (&input.kind, wanted, narrows) {
        return narrow(input, of, span, gives);
    }
    Ok(Expr {
        kind: ExprKind::OfType { input: Box::new(input), wanted, single: operator == "as" },
        span,
        gives,
    })
}

fn text_literal(text: &str) -> (ExprKind, Static) {
    (ExprKind::Literal(Literal::String(text.into())), Static::system(System::String))
}
