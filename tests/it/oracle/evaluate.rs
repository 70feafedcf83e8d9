//! What expressions give: slow and by the book (FHIRPath N1).

use kiln::fhir::Type;

use super::json::Json;
use super::paths::Path;
use super::values::{Element, Value};

/// A result, or why there is none.
pub(super) type Evaluated<T> = Result<T, &'static str>;

/// What an expression can see.
#[derive(Clone)]
pub(super) struct Scope<'r> {
    pub(super) this: Value<'r>,
    pub(super) resource: Element<'r>,
    pub(super) row_index: usize,
}

impl<'r> Scope<'r> {
    pub(super) fn on(&self, this: &Value<'r>) -> Self {
        Self { this: this.clone(), ..*self }
    }
}

/// The values of an expression.
pub(super) fn evaluate<'r>(path: &Path, scope: &Scope<'r>) -> Evaluated<Vec<Value<'r>>> {
    Ok(match path {
        Path::This | Path::TypeName(_) => vec![scope.this.clone()],
        Path::Resource => vec![Value::Element(scope.resource)],
        Path::RowIndex => vec![Value::Number(scope.row_index.to_string())],
        Path::Text(text) => vec![Value::Text(text.clone())],
        Path::Number(text) => vec![Value::Number(text.clone())],
        Path::Boolean(b) => vec![Value::Boolean(*b)],
        Path::Name(input, name) => {
            let children = |value| match value {
                Value::Element(element) => element.children(name),
                _ => Vec::new(),
            };
            let input = evaluate(input, scope)?;
            input.into_iter().flat_map(children).map(Value::Element).collect()
        }
        Path::Item(input, index) => {
            evaluate(input, scope)?.into_iter().skip(*index).take(1).collect()
        }
        Path::OfType(input, of) => {
            let mut values = evaluate(input, scope)?;
            values.retain(|v| matches!(v, Value::Element(e) if is_of(e.concrete(), *of)));
            values
        }
        Path::Call(input, function, arguments) => {
            call(function, evaluate(input, scope)?, arguments, scope)?
        }
        Path::Binary(left, operator, right) => binary(operator, left, right, scope)?,
    })
}

/// Primitives do not count as what they specialise: a `code` is no `string` here.
fn is_of(of: Type, wanted: Type) -> bool {
    of == wanted || (!of.is_primitive() && of.is_a(wanted))
}

fn call<'r>(
    function: &str,
    mut input: Vec<Value<'r>>,
    arguments: &[Path],
    scope: &Scope<'r>,
) -> Evaluated<Vec<Value<'r>>> {
    let number = |n: usize| vec![Value::Number(n.to_string())];
    Ok(match (function, arguments) {
        ("first", []) => input.into_iter().take(1).collect(),
        ("last", []) => input.pop().into_iter().collect(),
        ("count", []) => number(input.len()),
        ("exists", []) => vec![Value::Boolean(!input.is_empty())],
        ("empty", []) => vec![Value::Boolean(input.is_empty())],
        ("not", []) => condition(&input)?.map(|b| Value::Boolean(!b)).into_iter().collect(),
        ("exists", [criterion]) => {
            for item in &input {
                if condition(&evaluate(criterion, &scope.on(item))?)? == Some(true) {
                    return Ok(vec![Value::Boolean(true)]);
                }
            }
            vec![Value::Boolean(false)]
        }
        ("where", [criterion]) => {
            let mut kept = Vec::new();
            for item in input {
                if condition(&evaluate(criterion, &scope.on(&item))?)? == Some(true) {
                    kept.push(item);
                }
            }
            kept
        }
        ("select", [projection]) => {
            let mut found = Vec::new();
            for item in &input {
                found.extend(evaluate(projection, &scope.on(item))?);
            }
            found
        }
        ("repeat", [projection]) => {
            let mut found = Vec::new();
            for item in &input {
                descend(projection, item, scope, &mut found)?;
            }
            found
        }
        ("extension", [Path::Text(url)]) => extensions(&input, url),
        ("join", [Path::Text(separator)]) => joined(&input, separator)?,
        _ => unreachable!("`{function}` is never generated so"),
    })
}

fn descend<'r>(
    path: &Path,
    item: &Value<'r>,
    scope: &Scope<'r>,
    found: &mut Vec<Value<'r>>,
) -> Evaluated<()> {
    for next in evaluate(path, &scope.on(item))? {
        if found.iter().all(|f| f.equals(&next) != Some(true)) {
            found.push(next.clone());
            descend(path, &next, scope, found)?;
        }
    }
    Ok(())
}

fn extensions<'r>(input: &[Value<'r>], url: &str) -> Vec<Value<'r>> {
    let mut found = Vec::new();
    for item in input {
        let Value::Element(element) = item else { continue };
        let Some(list) = element.holder().and_then(|h| h.get("extension")) else { continue };
        let of = Type::named("Extension").unwrap();
        let matching = list.elements().into_iter().filter(|e| e.get_text("url") == Some(url));
        found.extend(
            matching.map(|json| Value::Element(Element { json: Some(json), beside: None, of })),
        );
    }
    found
}

fn joined<'r>(input: &[Value<'r>], separator: &str) -> Evaluated<Vec<Value<'r>>> {
    let mut texts = Vec::new();
    for item in input {
        match item {
            Value::Text(text) => texts.push(text.clone()),
            Value::Element(Element { json: Some(Json::Text(text)), .. }) => {
                texts.push(text.clone());
            }
            Value::Element(Element { json: None, .. }) => {}
            _ => return Err("only texts can be joined"),
        }
    }
    let any = !texts.is_empty();
    Ok(any.then(|| Value::Text(texts.join(separator))).into_iter().collect())
}

/// N1, "Singleton Evaluation of Collections".
fn condition(values: &[Value<'_>]) -> Evaluated<Option<bool>> {
    match values {
        [] => Ok(None),
        [one] => Ok(Some(one.boolean().unwrap_or(true))),
        _ => Err("several values where a boolean is wanted"),
    }
}

fn binary<'r>(
    operator: &str,
    left: &Path,
    right: &Path,
    scope: &Scope<'r>,
) -> Evaluated<Vec<Value<'r>>> {
    let left = evaluate(left, scope)?;
    let decisive = match operator {
        "and" => Some(false),
        "or" => Some(true),
        _ => None,
    };
    let truth = if let Some(decisive) = decisive {
        let left = condition(&left)?;
        // The right side is not looked at where the left decides.
        let decided = left == Some(decisive);
        let right = if decided { left } else { condition(&evaluate(right, scope)?)? };
        match (left, right) {
            (Some(a), Some(b)) => Some(if decisive { a || b } else { a && b }),
            (a, b) if a == Some(decisive) || b == Some(decisive) => Some(decisive),
            _ => None,
        }
    } else {
        let right = evaluate(right, scope)?;
        match operator {
            "|" => return Ok(distinct(left.into_iter().chain(right))),
            "=" => equal(&left, &right),
            _ => equal(&left, &right).map(|e| !e),
        }
    };
    Ok(truth.map(Value::Boolean).into_iter().collect())
}

fn distinct<'r>(values: impl Iterator<Item = Value<'r>>) -> Vec<Value<'r>> {
    let mut kept: Vec<Value<'r>> = Vec::new();
    for value in values {
        if kept.iter().all(|k| k.equals(&value) != Some(true)) {
            kept.push(value);
        }
    }
    kept
}

/// N1, "Equals": empty if a side is empty, or where one pair has no answer and no other differs.
fn equal(left: &[Value<'_>], right: &[Value<'_>]) -> Option<bool> {
    if left.is_empty() || right.is_empty() {
        return None;
    }
    if left.len() != right.len() {
        return Some(false);
    }
    let pairs: Vec<_> = left.iter().zip(right).map(|(a, b)| a.equals(b)).collect();
    if pairs.contains(&Some(false)) {
        return Some(false);
    }
    (!pairs.contains(&None)).then_some(true)
}
