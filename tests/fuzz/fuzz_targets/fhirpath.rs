//! FHIRPath: any text is parsed; what parses is compiled for several types; what compiles is evaluated.
#![no_main]

use bumpalo::Bump;
use kiln_fuzz::fhirpath::{
    Compiler, Context, Document, Expr, Item, Literal, Names, Static, SyntaxError, System, Temporal,
    Unresolved,
};
use kiln_fuzz::{bound, fhir::Type, mutate, resources};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

struct Constants;

impl Names for Constants {
    fn constant(&self, name: &str) -> Option<(Literal, Option<System>)> {
        let value = match name {
            "n" => Literal::Integer(i64::MIN),
            "s" => Literal::String("🦀 text".into()),
            "t" => Literal::Temporal(Temporal::literal("2024-02-29T23:59:60.9+14:00")?),
            _ => return None,
        };
        Some((value, None))
    }

    fn constants(&self) -> Vec<String> {
        ["n", "s", "t"].map(str::to_owned).into()
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::bytes(data, size, max_size, seed, mutate::expression)
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for resource in resources::ORDINARY {
        let of = resources::type_of(resource);
        let compiler = Compiler::new(of, &Constants);
        match compiler.compile(&text, &Static::one(of)) {
            Err(error) => check_place(&error, &text),
            Ok(expr) if bound::is_cheap(&text) => evaluate(&expr, resource, of),
            Ok(_) => {}
        }
        compiler.take_doubts().iter().for_each(|doubt| check_place(doubt, &text));
        if let Err((_, error)) = compiler.compile_descent(&[&text, "item"], &Static::one(of)) {
            check_place(&error, &text);
        }
    }
});

/// The command line shows the place under the text.
fn check_place(error: &SyntaxError, text: &str) {
    let span = &error.span;
    assert!(
        span.start <= span.end && text.is_char_boundary(span.start.min(text.len())),
        "{error:?}"
    );
}

/// On a resource as it was compiled for, and on those of its type that are not as it expects.
fn evaluate(expr: &Expr, resource: &str, of: Type) {
    let (environment, unresolved) = (resources::environment(), Unresolved::default());
    let hostile = resources::HOSTILE.into_iter().filter(|r| resources::type_of(r) == of);
    for resource in std::iter::once(resource).chain(hostile) {
        resources::parsed(resource, |nodes, raw, base| {
            let arena = Bump::new();
            let doc = Document::new(nodes, 0, raw, base, &arena);
            let cx = Context::new(&doc, of, &environment, &unresolved);
            for item in expr.eval(cx.focus, &cx).unwrap_or_default() {
                consume(*item, &doc);
            }
        });
    }
}

/// What a column does with a value.
fn consume<'a>(item: Item<'a>, doc: &Document<'a>) {
    let mut text = String::new();
    if let Item::Element(element) = item
        && doc.present(element.at)
    {
        doc.json(element.at, &mut text);
    }
    if let Some(Item::Temporal(t)) = item.system(doc) {
        text.push_str(&t.to_string());
        let _ = (t.instant_micros(), t.wall_micros(), t.days_since_epoch());
    }
}
