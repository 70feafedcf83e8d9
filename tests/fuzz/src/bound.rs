//! Which expressions are evaluated: those whose cost is bounded by their length.
//!
//! A view may be slow: `select(… select(… select(…)))` over many items is what its author asked for. The fuzzer would
//! find nothing else, so loops within loops are compiled and not run.

use serde_json::Value;

/// Calls that yield more than they take, or evaluate an argument for each item.
const LOOPS: [&str; 11] = [
    "aggregate",
    "all",
    "combine",
    "descendants",
    "exists",
    "repeat",
    "replace",
    "select",
    "split",
    "toChars",
    "where",
];

/// More of them in one expression are not run.
const MOST_LOOPS: usize = 4;

/// Longer expressions are not run.
const LONGEST: usize = 600;

/// Iterations in a view; with more it is not run.
const MOST_ITERATIONS: usize = 5;

/// Whether an expression is cheap on a small resource.
pub fn is_cheap(expression: &str) -> bool {
    let loops: usize = LOOPS.iter().map(|name| expression.matches(name).count()).sum();
    loops <= MOST_LOOPS && expression.len() <= LONGEST
}

/// Whether a view is cheap on a small resource.
pub fn is_cheap_view(view: &Value) -> bool {
    let mut iterations = 0;
    expressions_are_cheap(view, &mut iterations) && iterations <= MOST_ITERATIONS
}

fn expressions_are_cheap(json: &Value, iterations: &mut usize) -> bool {
    match json {
        Value::String(text) => is_cheap(text),
        Value::Array(list) => list.iter().all(|v| expressions_are_cheap(v, iterations)),
        Value::Object(object) => object.iter().all(|(key, value)| {
            *iterations += match key.as_str() {
                "forEach" | "forEachOrNull" => 1,
                // Each path of a repeat multiplies what the others find.
                "repeat" => value.as_array().map_or(0, Vec::len),
                _ => 0,
            };
            expressions_are_cheap(value, iterations)
        }),
        _ => true,
    }
}
