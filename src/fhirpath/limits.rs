//! How much an expression may ask for, so that none takes the stack, the time or the memory of the program.

use std::cell::Cell;
use std::ops::Range;

use super::SyntaxError;
use super::eval::{Context, EvalError, Evaluated, fail};

/// Tokens of an expression: the tree of so many can still be taken down again, be it one long chain.
pub(super) const MOST_TOKENS: usize = 20_000;

/// Height of an expression's tree: of nested parts, and of chains such as `a or b or c …`. Less than the stack of a
/// thread can hold.
const HIGHEST: usize = 1000;

/// Parts that are resolved for one expression. Those in a `repeat` are resolved until its types are known, those in
/// a `repeat` in a `repeat` again and again.
const MOST_STEPS: usize = 50_000;

/// What the resolution of one expression has taken so far.
#[derive(Default)]
pub(super) struct Effort {
    height: Cell<usize>,
    steps: Cell<usize>,
}

impl Effort {
    /// Begins an expression.
    pub(super) fn begin(&self) {
        self.steps.set(0);
    }

    /// Goes one level down, until what is returned goes out of scope.
    pub(super) fn deeper(&self, span: &Range<usize>) -> Result<Level<'_>, SyntaxError> {
        self.steps.set(self.steps.get() + 1);
        if self.height.get() >= HIGHEST {
            return Err(SyntaxError::new("the expression is nested too deeply", span.clone()));
        }
        if self.steps.get() > MOST_STEPS {
            return Err(SyntaxError::new("the expression is too complex", span.clone()));
        }
        self.height.set(self.height.get() + 1);
        Ok(Level(&self.height))
    }
}

/// A level of the tree while it is resolved.
pub(super) struct Level<'e>(&'e Cell<usize>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Bytes that can be calculated from any resource, besides [`TIMES`] those of its text. More is a loop within a loop,
/// or a text that is appended to itself, and would go on to fill the memory.
const MOST_BYTES: usize = 128 << 20;

/// How often the text of a resource may be held in different forms.
const TIMES: usize = 8;

impl Context<'_> {
    /// Checks that `bytes` more can be calculated from this resource.
    pub(super) fn room(&self, bytes: usize, span: &Range<usize>) -> Result<(), EvalError> {
        let most = MOST_BYTES + self.doc.raw.len().saturating_mul(TIMES);
        if self.doc.arena.allocated_bytes().saturating_add(bytes) > most {
            return too_much(span);
        }
        Ok(())
    }
}

#[cold]
fn too_much(span: &Range<usize>) -> Evaluated<'static, ()> {
    fail(span, "this makes more of one resource than fits into memory")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bumpalo::Bump;

    use super::super::*;

    struct NoNames;

    impl Names for NoNames {
        fn constant(&self, _: &str) -> Option<(Literal, Option<System>)> {
            None
        }

        fn constants(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// The number of values on a Patient with two names, or why there are none.
    fn count(expression: &str) -> Result<usize, String> {
        let patient = r#"{"resourceType":"Patient","name":[{"family":"x"},{"given":[null]}]}"#;
        let of = Type::named("Patient").unwrap();
        let compiler = Compiler::new(of, &NoNames);
        let expr = compiler.compile(expression, &Static::one(of)).map_err(|e| e.message)?;
        let mut scratch = patient.as_bytes().to_vec();
        let base = scratch.as_ptr().addr();
        let tape = simd_json::to_tape(&mut scratch).unwrap();
        let arena = Bump::new();
        let raw = patient.as_bytes();
        let doc = Document::new(&tape.0, 0, raw, base, &arena);
        let now = Temporal::date_time("2026-01-01T00:00:00Z").unwrap();
        let environment = Environment { now, bases: Vec::new(), key_prefix: None };
        let unresolved = Unresolved::default();
        let cx = Context::new(&doc, of, &environment, &unresolved);
        expr.eval(cx.focus, &cx).map(<[_]>::len).map_err(|e| e.message)
    }

    /// Tests run on threads of 2 MB, as the program's do.
    #[test]
    fn long_expressions_work_or_are_refused() {
        let chain = |links: usize, link: &str| format!("1{}", link.repeat(links));
        for link in [" + 1", " | 1", " = 1", ".first()", "[0]", " is Integer", ".select($this)"] {
            assert_eq!(count(&chain(900, link)), Ok(1), "{link}");
            let refused = Err("the expression is nested too deeply".to_owned());
            assert_eq!(count(&chain(3000, link)), refused, "{link}");
        }
        let refused = Err("the expression is too long".to_owned());
        assert_eq!(count(&chain(1_000_000, " + 1")), refused);
        let nested = |call: &str| format!("{}1{}", call.repeat(190), ")".repeat(190));
        for call in ["(", "-(", "select(", "1.where(1 = ", "iif(true, "] {
            assert_eq!(count(&nested(call)), Ok(1), "{call}");
        }
    }

    /// The second name equals nothing, not even itself: a value of it is missing.
    #[test]
    fn an_element_is_found_once() {
        assert_eq!(count("name.repeat(%resource.name)"), Ok(2));
        assert_eq!(count("1.repeat(%resource)"), Ok(1));
    }

    #[test]
    fn what_grows_without_end_is_stopped() {
        let sixty = (0..60).map(|n| n.to_string()).collect::<Vec<_>>().join(" | ");
        let hundred_kilobytes = "(1 | 2 | 3 | 4 | 5).aggregate($total & $total & $total & $total, '0123456789')\
            .select($this & $this & $this & $this & $this & $this & $this & $this)";
        let long = format!("'{}'", "x".repeat(2000));
        let memory = "this makes more of one resource than fits into memory";
        let endless = "`repeat` finds new values without end";
        for (expression, expected) in [
            (format!("({sixty}).aggregate($total & $total, 'x')"), memory),
            (format!("({sixty}).aggregate($total.combine($total), 'x')"), memory),
            (format!("{hundred_kilobytes}.replace('', {long})"), memory),
            (format!("{hundred_kilobytes}.replaceMatches('x', {long})"), memory),
            (format!("{hundred_kilobytes}.toChars().join({long})"), memory),
            ("1.repeat($this + 1)".to_owned(), endless),
            ("1.repeat($this * 2 | $this * 2 + 1)".to_owned(), endless),
            ("1.repeatAll($this)".to_owned(), endless),
        ] {
            assert_eq!(count(&expression), Err(expected.to_owned()), "{expression}");
        }
    }
}
